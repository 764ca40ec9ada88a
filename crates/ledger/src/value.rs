//! JSON values without fractions, and their two canonical byte forms.

mod through_serde;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::Digest;
use crate::json::{
    ScanError, Scanner, cmp_utf16, write_ascii_string, write_decimal, write_rfc8785_string,
};

/// The deepest nesting of objects and lists that is read or written.
pub const MAX_DEPTH: usize = 64;

/// The largest integer that every JSON reader keeps: 2^53 − 1.
const MAX_INTEGER: i64 = (1 << 53) - 1;

/// A JSON object. Keys are kept in the order of their code points.
pub type Object = BTreeMap<String, Value>;

/// A JSON value that hashes to one digest: no fractions, no integer that a double would round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer within ±(2^53 − 1).
    Integer(Integer),
    /// A string. Never normalised: other code points are another string.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// An object.
    Object(Object),
}

/// An integer within ±(2^53 − 1), which every JSON reader keeps exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Integer(i64);

/// The number is beyond ±(2^53 − 1). Write it as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("integer beyond 2^53 - 1")]
pub struct IntegerTooLarge;

impl Integer {
    /// The number.
    pub fn get(self) -> i64 {
        self.0
    }
}

impl TryFrom<i64> for Integer {
    type Error = IntegerTooLarge;

    fn try_from(number: i64) -> Result<Self, IntegerTooLarge> {
        if (-MAX_INTEGER..=MAX_INTEGER).contains(&number) {
            Ok(Self(number))
        } else {
            Err(IntegerTooLarge)
        }
    }
}

impl TryFrom<u64> for Integer {
    type Error = IntegerTooLarge;

    fn try_from(number: u64) -> Result<Self, IntegerTooLarge> {
        i64::try_from(number).map_err(|_| IntegerTooLarge)?.try_into()
    }
}

impl From<u32> for Integer {
    fn from(number: u32) -> Self {
        Self(number.into())
    }
}

impl From<Integer> for Value {
    fn from(number: Integer) -> Self {
        Self::Integer(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Integer(number.into())
    }
}

impl TryFrom<u64> for Value {
    type Error = IntegerTooLarge;

    fn try_from(number: u64) -> Result<Self, IntegerTooLarge> {
        Ok(Self::Integer(number.try_into()?))
    }
}

impl TryFrom<i64> for Value {
    type Error = IntegerTooLarge;

    fn try_from(number: i64) -> Result<Self, IntegerTooLarge> {
        Ok(Self::Integer(number.try_into()?))
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Digest> for Value {
    /// 64 hex digits.
    fn from(digest: Digest) -> Self {
        Self::Text(digest.to_string())
    }
}

impl From<Vec<Value>> for Value {
    fn from(list: Vec<Value>) -> Self {
        Self::List(list)
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Object(object)
    }
}

/// Why bytes are not a value that can be hashed. Offsets count bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// More bytes than the reader takes.
    #[error("{size} bytes of JSON, and at most {limit} are read")]
    TooLarge {
        /// How many there are.
        size: usize,
        /// How many are read.
        limit: usize,
    },
    /// Not UTF-8.
    #[error("not UTF-8 from byte {0} on")]
    Utf8(usize),
    /// Not JSON.
    #[error("not JSON")]
    Syntax(#[source] ScanError),
    /// A key stands twice in one object.
    #[error("the key before byte {0} stands twice in its object")]
    DuplicateKey(usize),
    /// A fraction, an exponent, or an integer beyond ±(2^53 − 1).
    #[error("the number before byte {0} is not an integer within 2^53 - 1")]
    Number(usize),
    /// Nested too deep.
    #[error("nested deeper than {MAX_DEPTH} levels at byte {0}")]
    Depth(usize),
}

impl From<ScanError> for ParseError {
    fn from(error: ScanError) -> Self {
        Self::Syntax(error)
    }
}

impl Value {
    /// Reads JSON of at most `limit` bytes. Refuses what would not hash to one digest: duplicate
    /// keys, fractions, large integers, lone surrogates.
    pub fn parse(bytes: &[u8], limit: usize) -> Result<Self, ParseError> {
        if bytes.len() > limit {
            return Err(ParseError::TooLarge { size: bytes.len(), limit });
        }
        let text = str::from_utf8(bytes).map_err(|error| ParseError::Utf8(error.valid_up_to()))?;
        let mut scanner = Scanner::new(text);
        let value = parse_value(&mut scanner, MAX_DEPTH)?;
        scanner.end()?;
        Ok(value)
    }

    /// Whether objects and lists nest at most `levels` deep.
    pub(crate) fn fits(&self, levels: usize) -> bool {
        match self {
            Self::Null | Self::Bool(_) | Self::Integer(_) | Self::Text(_) => true,
            Self::List(list) => levels > 0 && list.iter().all(|item| item.fits(levels - 1)),
            Self::Object(object) => levels > 0 && object.values().all(|item| item.fits(levels - 1)),
        }
    }
}

fn parse_value(scanner: &mut Scanner<'_>, levels: usize) -> Result<Value, ParseError> {
    scanner.skip_space();
    match scanner.peek() {
        Some(b'{' | b'[') if levels == 0 => Err(ParseError::Depth(scanner.offset())),
        Some(b'{') => parse_object(scanner, levels - 1).map(Value::Object),
        Some(b'[') => parse_list(scanner, levels - 1).map(Value::List),
        Some(b'"') => Ok(Value::Text(scanner.string()?.decode().into_owned())),
        Some(b'-' | b'0'..=b'9') => {
            let number: Option<i64> = scanner.number()?.parse().ok();
            let wrong = || ParseError::Number(scanner.offset());
            number
                .and_then(|number| Integer::try_from(number).ok())
                .map(Value::Integer)
                .ok_or_else(wrong)
        }
        _ => Ok(match scanner.word()? {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => Value::Null,
        }),
    }
}

fn parse_object(scanner: &mut Scanner<'_>, levels: usize) -> Result<Object, ParseError> {
    let mut object = Object::new();
    scanner.require(b'{', "an object")?;
    scanner.skip_space();
    if scanner.take(b'}') {
        return Ok(object);
    }
    loop {
        scanner.skip_space();
        let key = scanner.string()?.decode().into_owned();
        if object.contains_key(&key) {
            return Err(ParseError::DuplicateKey(scanner.offset()));
        }
        scanner.skip_space();
        scanner.require(b':', "a colon")?;
        object.insert(key, parse_value(scanner, levels)?);
        scanner.skip_space();
        if !scanner.take(b',') {
            scanner.require(b'}', "a comma or the end of the object")?;
            return Ok(object);
        }
    }
}

fn parse_list(scanner: &mut Scanner<'_>, levels: usize) -> Result<Vec<Value>, ParseError> {
    let mut list = Vec::new();
    scanner.require(b'[', "a list")?;
    scanner.skip_space();
    if scanner.take(b']') {
        return Ok(list);
    }
    loop {
        list.push(parse_value(scanner, levels)?);
        scanner.skip_space();
        if !scanner.take(b',') {
            scanner.require(b']', "a comma or the end of the list")?;
            return Ok(list);
        }
    }
}

/// How a value becomes the bytes that are hashed. A log keeps the profile it was made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HashProfile {
    /// `ecs-hash-v1`: keys by code point, no spaces, ASCII only; the bytes of Python's
    /// `json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)`.
    #[default]
    EcsHashV1,
    /// `rfc8785-sha256-v1`: RFC 8785; keys by UTF-16 code unit, UTF-8 with few escapes.
    Rfc8785Sha256V1,
}

impl HashProfile {
    /// The name in events and manifests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EcsHashV1 => "ecs-hash-v1",
            Self::Rfc8785Sha256V1 => "rfc8785-sha256-v1",
        }
    }

    /// The canonical form of a value.
    pub fn canonical(self, value: &Value) -> String {
        let mut out = String::new();
        self.write(value, &mut out);
        out
    }

    /// SHA-256 of the canonical form.
    pub fn digest(self, value: &Value) -> Digest {
        Digest::of(self.canonical(value).as_bytes())
    }

    /// Appends the canonical form of a value.
    pub fn write(self, value: &Value, out: &mut String) {
        match value {
            Value::Null => out.push_str("null"),
            Value::Bool(true) => out.push_str("true"),
            Value::Bool(false) => out.push_str("false"),
            Value::Integer(number) => write_integer(*number, out),
            Value::Text(text) => self.write_text(text, out),
            Value::List(list) => {
                out.push('[');
                for (index, item) in list.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    self.write(item, out);
                }
                out.push(']');
            }
            Value::Object(object) => self.write_object(object, out),
        }
    }

    /// Appends the canonical form of an object.
    pub(crate) fn write_object(self, object: &Object, out: &mut String) {
        // Only characters beyond ASCII can stand in another order than that of code points.
        if self == Self::Rfc8785Sha256V1 && !object.keys().all(|key| key.is_ascii()) {
            let mut members: Vec<_> = object.iter().collect();
            members.sort_unstable_by(|(a, _), (b, _)| cmp_utf16(a, b));
            self.write_members(members, out);
        } else {
            self.write_members(object, out);
        }
    }

    fn write_members<'v>(
        self,
        members: impl IntoIterator<Item = (&'v String, &'v Value)>,
        out: &mut String,
    ) {
        out.push('{');
        for (index, (key, value)) in members.into_iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            self.write_text(key, out);
            out.push(':');
            self.write(value, out);
        }
        out.push('}');
    }

    /// Appends a string with its quotes.
    pub(crate) fn write_text(self, text: &str, out: &mut String) {
        match self {
            Self::EcsHashV1 => write_ascii_string(text, out),
            Self::Rfc8785Sha256V1 => write_rfc8785_string(text, out),
        }
    }
}

fn write_integer(number: Integer, out: &mut String) {
    if number.get() < 0 {
        out.push('-');
    }
    write_decimal(number.get().unsigned_abs(), out);
}

impl fmt::Display for HashProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The name belongs to no hash profile that this build knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown hash profile {0:?}")]
pub struct UnknownProfile(String);

impl FromStr for HashProfile {
    type Err = UnknownProfile;

    fn from_str(name: &str) -> Result<Self, UnknownProfile> {
        [Self::EcsHashV1, Self::Rfc8785Sha256V1]
            .into_iter()
            .find(|profile| profile.name() == name)
            .ok_or_else(|| UnknownProfile(name.chars().take(80).collect()))
    }
}

impl Serialize for HashProfile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for HashProfile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Value, ParseError> {
        Value::parse(text.as_bytes(), 1 << 20)
    }

    #[test]
    fn the_two_forms_differ_in_escapes_and_in_the_order_of_keys() {
        let value =
            parse(r#" { "😀" : [ 1 , -2 , null ] , "｡" : "é\u007f" , "a" : { } } "#).unwrap();
        assert_eq!(
            HashProfile::EcsHashV1.canonical(&value),
            r#"{"a":{},"\uff61":"\u00e9\u007f","\ud83d\ude00":[1,-2,null]}"#
        );
        assert_eq!(
            HashProfile::Rfc8785Sha256V1.canonical(&value),
            "{\"a\":{},\"😀\":[1,-2,null],\"｡\":\"é\u{7f}\"}"
        );
    }

    #[test]
    fn what_would_not_hash_to_one_digest_is_refused() {
        let number = |text| parse(text).unwrap_err();
        for text in ["1.0", "1e2", "0.5", "9007199254740992", "-9007199254740992", "1e400"] {
            assert_eq!(number(text), ParseError::Number(text.len()));
        }
        assert!(parse("9007199254740991").is_ok());
        assert!(parse("-9007199254740991").is_ok());
        assert_eq!(parse(r#"{"a":1,"\u0061":2}"#), Err(ParseError::DuplicateKey(15)));
        assert!(matches!(
            parse(r#"["\ud800"]"#),
            Err(ParseError::Syntax(ScanError::Surrogate { offset: 2 }))
        ));
        assert_eq!(Value::parse(b"\"\xff\"", 10), Err(ParseError::Utf8(1)));
        assert_eq!(Value::parse(b"[1]", 2), Err(ParseError::TooLarge { size: 3, limit: 2 }));
        for text in ["", " ", "[", "[1", "[1,]", "{,}", "{\"a\"}", "{\"a\":1,}", "nul", "[] []"] {
            assert!(matches!(parse(text), Err(ParseError::Syntax(_))), "{text}");
        }
    }

    #[test]
    fn nesting_has_a_limit() {
        let nested = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let deepest = parse(&nested(MAX_DEPTH)).unwrap();
        assert!(deepest.fits(MAX_DEPTH) && !deepest.fits(MAX_DEPTH - 1));
        assert_eq!(parse(&nested(MAX_DEPTH + 1)), Err(ParseError::Depth(MAX_DEPTH)));
        assert!(parse(&"[".repeat(1 << 20)).is_err());
    }

    #[test]
    fn integers_keep_to_what_every_reader_keeps() {
        assert_eq!(Value::try_from(1u64 << 53), Err(IntegerTooLarge));
        assert_eq!(Value::try_from(-(1i64 << 53)), Err(IntegerTooLarge));
        assert_eq!(Integer::try_from((1u64 << 53) - 1).unwrap().get(), (1 << 53) - 1);
    }

    #[test]
    fn profiles_have_names() {
        for profile in [HashProfile::EcsHashV1, HashProfile::Rfc8785Sha256V1] {
            assert_eq!(profile.name().parse(), Ok(profile));
            let json = serde_json::to_string(&profile).unwrap();
            assert_eq!(serde_json::from_str::<HashProfile>(&json).unwrap(), profile);
        }
        assert!("md5".parse::<HashProfile>().is_err());
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-MAX_INTEGER..=MAX_INTEGER).prop_map(|n| Value::try_from(n).unwrap()),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..6).prop_map(Value::from),
            ]
        })
    }

    proptest! {
        #[test]
        fn both_forms_read_back_as_the_value(value in any_value()) {
            for profile in [HashProfile::EcsHashV1, HashProfile::Rfc8785Sha256V1] {
                prop_assert_eq!(parse(&profile.canonical(&value)), Ok(value.clone()));
            }
        }

        #[test]
        fn no_bytes_make_the_reader_fall(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Value::parse(&bytes, 100);
        }

        #[test]
        fn what_is_read_another_reader_reads_too(
            text in r#"[\[\]{}:,"\\a-c0-9eE.\- tfn]{0,30}"#,
        ) {
            if parse(&text).is_ok() {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
            }
        }
    }
}
