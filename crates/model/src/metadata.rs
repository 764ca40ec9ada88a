//! Canonical metadata: one text for one JSON object, whatever store it comes from.
//!
//! Keys are sorted by UTF-16 code units and strings have the escapes of RFC 8785. Numbers are
//! compared by their exact decimal value: a mathematical integer is written as plain digits
//! (−0 as `0`), any other number in the RFC 8785 form of its nearest double. A number that this
//! form would change is refused, as are duplicate keys and halves of surrogate pairs. So a store
//! that keeps text, such as SQLite, and one that keeps `numeric`, such as `jsonb`, give the same
//! bytes. `docs/formats.md` specifies it.

mod number;

use std::borrow::Cow;
use std::cmp::Ordering;

use carnet_document::Code;
use carnet_ledger::{RawText, ScanError, Scanner};

/// The most bytes of metadata that one record may have, as it stands and in canonical form.
pub const MAX_METADATA_BYTES: usize = 16 << 20;

/// The deepest nesting of objects and lists in metadata.
pub const MAX_METADATA_DEPTH: usize = 128;

/// Why text is not metadata. Offsets count bytes from the start of the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// Not JSON, or not an object.
    #[error("the metadata is not a JSON object: expected {expected} at byte {offset}")]
    Syntax {
        /// Where.
        offset: usize,
        /// What belongs there.
        expected: &'static str,
    },
    /// A number that canonical metadata cannot hold without changing it.
    #[error("the metadata has a number that cannot be kept exactly before byte {offset}: {token}")]
    Number {
        /// Where the number ends.
        offset: usize,
        /// The number as it stands, shortened.
        token: String,
    },
    /// A key stands twice in one object.
    #[error("the metadata has the key {key:?} twice in one object that ends at byte {offset}")]
    DuplicateKey {
        /// Where the object ends.
        offset: usize,
        /// The key, shortened.
        key: String,
    },
    /// Half of a surrogate pair, which is no character.
    #[error("the metadata has half of a surrogate pair at byte {offset}")]
    Surrogate {
        /// Where its escape starts.
        offset: usize,
    },
    /// Too many bytes.
    #[error("the metadata has more than {MAX_METADATA_BYTES} bytes")]
    TooLarge,
    /// Nested too deep.
    #[error("the metadata is nested deeper than {MAX_METADATA_DEPTH} levels at byte {offset}")]
    TooDeep {
        /// Where the level too many begins.
        offset: usize,
    },
}

impl MetadataError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Syntax { .. } => Code::METADATA_SYNTAX,
            Self::Number { .. } => Code::METADATA_NUMBER,
            Self::DuplicateKey { .. } => Code::METADATA_DUPLICATE_KEY,
            Self::Surrogate { .. } => Code::METADATA_SURROGATE,
            Self::TooLarge | Self::TooDeep { .. } => Code::METADATA_LIMIT,
        }
    }
}

impl From<ScanError> for MetadataError {
    fn from(error: ScanError) -> Self {
        match error {
            ScanError::Expected { offset, expected } => Self::Syntax { offset, expected },
            ScanError::Surrogate { offset } => Self::Surrogate { offset },
        }
    }
}

/// The canonical form of metadata; the text itself where it already is canonical.
pub fn canonical_metadata(text: &str) -> Result<Cow<'_, str>, MetadataError> {
    if is_canonical_metadata(text) {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    rewrite(text, &mut out)?;
    Ok(Cow::Owned(out))
}

/// Appends the canonical form of metadata. After an error `out` is as it was.
///
/// Text that already is canonical is copied after one look at it.
pub fn write_canonical_metadata(text: &str, out: &mut String) -> Result<(), MetadataError> {
    if is_canonical_metadata(text) {
        out.push_str(text);
        return Ok(());
    }
    let start = out.len();
    let written = rewrite(text, out);
    if written.is_err() {
        out.truncate(start);
    }
    written
}

/// Whether the text is canonical metadata as it stands. Allocates nothing.
pub fn is_canonical_metadata(text: &str) -> bool {
    let mut check = Check { scanner: Scanner::new(text), levels: MAX_METADATA_DEPTH };
    text.len() <= MAX_METADATA_BYTES
        && check.scanner.peek() == Some(b'{')
        && check.value().is_some()
        && check.scanner.offset() == text.len()
}

/// Whether a key or a string in canonical metadata holds U+0000, which `jsonb` cannot keep.
pub fn metadata_holds_nul(canonical: &str) -> bool {
    canonical.match_indices("\\u0000").any(|(at, _)| {
        // After an odd number of backslashes this one is a character, and `u0000` is text.
        let before = canonical.as_bytes().get(..at).unwrap_or_default();
        before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 0
    })
}

/// Looks whether text is canonical, and gives up at the first byte that is not.
struct Check<'a> {
    scanner: Scanner<'a>,
    levels: usize,
}

impl Check<'_> {
    fn value(&mut self) -> Option<()> {
        match self.scanner.peek()? {
            b'"' => self.scanner.string().ok()?.is_rfc8785().then_some(()),
            b'{' => self.nested(Self::object),
            b'[' => self.nested(Self::list),
            b'-' | b'0'..=b'9' => number::is_canonical(self.scanner.number().ok()?).then_some(()),
            _ => self.scanner.word().ok().map(|_| ()),
        }
    }

    fn nested(&mut self, content: fn(&mut Self) -> Option<()>) -> Option<()> {
        self.levels = self.levels.checked_sub(1)?;
        content(self)?;
        self.levels += 1;
        Some(())
    }

    fn object(&mut self) -> Option<()> {
        self.scanner.take(b'{');
        if self.scanner.take(b'}') {
            return Some(());
        }
        let mut last: Option<RawText<'_>> = None;
        loop {
            let key = self.scanner.string().ok()?;
            let follows = last.is_none_or(|last| last.cmp_utf16(key) == Ordering::Less);
            if !follows || !key.is_rfc8785() || !self.scanner.take(b':') {
                return None;
            }
            last = Some(key);
            self.value()?;
            if !self.scanner.take(b',') {
                return self.scanner.take(b'}').then_some(());
            }
        }
    }

    fn list(&mut self) -> Option<()> {
        self.scanner.take(b'[');
        if self.scanner.take(b']') {
            return Some(());
        }
        loop {
            self.value()?;
            if !self.scanner.take(b',') {
                return self.scanner.take(b']').then_some(());
            }
        }
    }
}

fn rewrite(text: &str, out: &mut String) -> Result<(), MetadataError> {
    if text.len() > MAX_METADATA_BYTES {
        return Err(MetadataError::TooLarge);
    }
    let mut scanner = Scanner::new(text);
    scanner.skip_space();
    if scanner.peek() != Some(b'{') {
        return Err(scanner.expected("an object").into());
    }
    let start = out.len();
    let mut rewrite = Rewrite {
        scanner,
        levels: MAX_METADATA_DEPTH,
        most: start + MAX_METADATA_BYTES,
        out,
        // Enough for most records; a growing list is allocated several times.
        members: Vec::with_capacity(16),
        spare: String::new(),
    };
    rewrite.value()?;
    Ok(rewrite.scanner.end()?)
}

/// Writes what it reads in canonical form, and puts the members of an object in order once it has
/// them all.
struct Rewrite<'a, 'o> {
    scanner: Scanner<'a>,
    levels: usize,
    /// How long `out` may become. Only numbers grow: `1e99` is 100 digits.
    most: usize,
    out: &'o mut String,
    /// The members of all objects that are open, outermost first.
    members: Vec<Member<'a>>,
    /// Members out of order, while they are put in order.
    spare: String,
}

/// A member of an object that is open, and where it stands in `out`.
#[derive(Clone, Copy)]
struct Member<'a> {
    key: RawText<'a>,
    start: usize,
    end: usize,
}

impl Rewrite<'_, '_> {
    fn value(&mut self) -> Result<(), MetadataError> {
        self.scanner.skip_space();
        match self.scanner.peek() {
            Some(b'"') => self.scanner.string()?.write_rfc8785(self.out),
            Some(b'{') => self.nested(Self::object)?,
            Some(b'[') => self.nested(Self::list)?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => self.out.push_str(self.scanner.word()?),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), MetadataError> {
        let token = self.scanner.number()?;
        if number::write(token, self.out).is_err() {
            let offset = self.scanner.offset();
            return Err(MetadataError::Number { offset, token: shortened(token) });
        }
        if self.out.len() > self.most { Err(MetadataError::TooLarge) } else { Ok(()) }
    }

    fn nested(
        &mut self,
        content: fn(&mut Self) -> Result<(), MetadataError>,
    ) -> Result<(), MetadataError> {
        let offset = self.scanner.offset();
        self.levels = self.levels.checked_sub(1).ok_or(MetadataError::TooDeep { offset })?;
        content(self)?;
        self.levels += 1;
        Ok(())
    }

    fn object(&mut self) -> Result<(), MetadataError> {
        self.scanner.require(b'{', "an object")?;
        self.out.push('{');
        let content = self.out.len();
        let first = self.members.len();
        let mut in_order = true;
        self.scanner.skip_space();
        if !self.scanner.take(b'}') {
            loop {
                let start = self.out.len();
                self.scanner.skip_space();
                let key = self.scanner.string()?;
                if self.members.len() > first
                    && let Some(last) = self.members.last()
                {
                    in_order &= last.key.cmp_utf16(key) == Ordering::Less;
                }
                key.write_rfc8785(self.out);
                self.scanner.skip_space();
                self.scanner.require(b':', "a colon")?;
                self.out.push(':');
                self.value()?;
                self.members.push(Member { key, start, end: self.out.len() });
                self.scanner.skip_space();
                if !self.scanner.take(b',') {
                    break;
                }
                self.out.push(',');
            }
            self.scanner.require(b'}', "a comma or the end of the object")?;
        }
        if !in_order {
            self.put_in_order(content, first)?;
        }
        self.members.truncate(first);
        self.out.push('}');
        Ok(())
    }

    /// Sorts the members from `first` on, which are all that `out` holds from `content` on.
    fn put_in_order(&mut self, content: usize, first: usize) -> Result<(), MetadataError> {
        let members = self.members.get_mut(first..).unwrap_or_default();
        members.sort_unstable_by(|a, b| a.key.cmp_utf16(b.key));
        let twice = members.windows(2).find_map(|pair| match pair {
            [a, b] if a.key.cmp_utf16(b.key).is_eq() => Some(a.key),
            _ => None,
        });
        if let Some(key) = twice {
            return Err(MetadataError::DuplicateKey {
                offset: self.scanner.offset(),
                key: shortened(&key.decode()),
            });
        }
        self.spare.clear();
        self.spare.push_str(self.out.get(content..).unwrap_or_default());
        self.out.truncate(content);
        for (index, member) in members.iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            let range = member.start - content..member.end - content;
            self.out.push_str(self.spare.get(range).unwrap_or_default());
        }
        Ok(())
    }

    fn list(&mut self) -> Result<(), MetadataError> {
        self.scanner.require(b'[', "a list")?;
        self.out.push('[');
        self.scanner.skip_space();
        if !self.scanner.take(b']') {
            loop {
                self.value()?;
                self.scanner.skip_space();
                if !self.scanner.take(b',') {
                    break;
                }
                self.out.push(',');
            }
            self.scanner.require(b']', "a comma or the end of the list")?;
        }
        self.out.push(']');
        Ok(())
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(60) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn canonical(text: &str) -> Result<String, MetadataError> {
        canonical_metadata(text).map(Cow::into_owned)
    }

    /// The canonical form of a number token, or None if it is refused.
    fn number(token: &str) -> Option<String> {
        let canonical = canonical(&format!("{{\"n\":{token}}}"));
        match canonical {
            Ok(text) => Some(text[5..text.len() - 1].to_owned()),
            Err(MetadataError::Number { offset, .. }) => {
                assert_eq!(offset, 5 + token.len());
                None
            }
            Err(other) => panic!("{token}: {other}"),
        }
    }

    #[test]
    fn objects_have_one_form() {
        for (text, expected) in [
            ("{}", "{}"),
            (" \t\r\n{ \n} ", "{}"),
            (r#"{"b": 1, "a": 2}"#, r#"{"a":2,"b":1}"#),
            (
                r#"{"b":{"d":[],"c":{}},"a":[{"z":1,"y":[2, 3]}]}"#,
                r#"{"a":[{"y":[2,3],"z":1}],"b":{"c":{},"d":[]}}"#,
            ),
            (r#"{"a":[true , false,null,"x"]}"#, r#"{"a":[true,false,null,"x"]}"#),
            // `jsonb` orders keys by their length first.
            (r#"{"z": 1, "aa": 2, "b": 3}"#, r#"{"aa":2,"b":3,"z":1}"#),
            (r#"{"":1,"\u0000":2}"#, r#"{"":1,"\u0000":2}"#),
            (r#"{"a":"\/\u00e9\u0041\ud83d\ude00\u001F\u000a"}"#, r#"{"a":"/éA😀\u001f\n"}"#),
            ("{\"é\":\"e\u{301} \u{7f}\u{2028}\"}", "{\"é\":\"e\u{301} \u{7f}\u{2028}\"}"),
            // By code points U+FF61 comes first, by UTF-16 units U+1F600 does.
            (r#"{"｡":1,"😀":2}"#, r#"{"😀":2,"｡":1}"#),
            (r#"{"\uff61":1,"\ud83d\ude00":2,"\u0061":3}"#, r#"{"a":3,"😀":2,"｡":1}"#),
            // Sorted as the characters that they stand for, not as escapes.
            (r#"{" ":1,"\n":2}"#, r#"{"\n":2," ":1}"#),
            (r#"{"\"":1,"!":2," ":3}"#, r#"{" ":3,"!":2,"\"":1}"#),
        ] {
            assert_eq!(canonical(text).as_deref(), Ok(expected), "{text}");
            assert_eq!(is_canonical_metadata(text), text == expected, "{text}");
            assert!(is_canonical_metadata(expected), "{expected}");
        }
    }

    #[test]
    fn numbers_keep_their_exact_value() {
        let zeros = "0".repeat(399);
        for (token, expected) in [
            ("0", "0"),
            ("-0", "0"),
            ("-0.0", "0"),
            ("0e99", "0"),
            ("100", "100"),
            ("100.0", "100"),
            ("1e2", "100"),
            ("1E+2", "100"),
            ("-1.50e1", "-15"),
            ("0.1e1", "1"),
            ("1000e-3", "1"),
            ("9007199254740993", "9007199254740993"),
            ("9007199254740993.0", "9007199254740993"),
            ("-123456789012345678901234567890", "-123456789012345678901234567890"),
            ("1e21", "1000000000000000000000"),
            ("1e399", &format!("1{zeros}")),
            ("0.1", "0.1"),
            ("0.10", "0.1"),
            ("1e-1", "0.1"),
            ("0.000001", "0.000001"),
            ("0.0000001", "1e-7"),
            ("1E-07", "1e-7"),
            ("5e-324", "5e-324"),
            ("-2.5", "-2.5"),
            ("3.141592653589793", "3.141592653589793"),
        ] {
            assert_eq!(number(token).as_deref(), Some(expected), "{token}");
            assert_eq!(number(expected).as_deref(), Some(expected), "{expected}");
            assert_eq!(
                is_canonical_metadata(&format!("{{\"n\":{token}}}")),
                token == expected,
                "{token}"
            );
        }
    }

    #[test]
    fn numbers_that_would_change_are_refused() {
        let long = "1".repeat(401);
        for token in [
            "0.10000000000000000001",
            "3.14159265358979323846",
            "9007199254740992.5",
            "1e-400",
            "0.3000000000000000444",
            "1e400",
            "-1e400",
            "1e99999999999999999999",
            "1e-99999999999999999999",
            &long,
            &format!("-{long}"),
            &format!("{long}.5"),
            &format!("{long}.0"),
        ] {
            assert_eq!(number(token), None, "{token}");
        }
        let error = canonical(&format!("{{\"n\":{long}}}")).unwrap_err();
        assert!(error.to_string().len() < 200, "{error}");
        assert_eq!(error.code(), Code::METADATA_NUMBER);
    }

    #[test]
    fn what_is_no_object_is_refused_with_its_place() {
        for (text, offset) in [
            ("", 0),
            ("[1]", 0),
            ("\u{feff}{}", 0),
            ("null", 0),
            ("{", 1),
            ("{} {}", 3),
            ("{a:1}", 1),
            ("{'a':1}", 1),
            (r#"{"a"}"#, 4),
            (r#"{"a":}"#, 5),
            (r#"{"a":1,}"#, 7),
            (r#"{"a":[1,]}"#, 8),
            (r#"{"a":NaN}"#, 5),
            (r#"{"a":-}"#, 6),
            (r#"{"a":01}"#, 6),
            (r#"{"a":1.}"#, 7),
            (r#"{"a":"\x"}"#, 7),
            ("{\"a\":\"\n\"}", 6),
            (r#"{"a":"b"#, 7),
        ] {
            let mut out = "before".to_owned();
            let error = write_canonical_metadata(text, &mut out).unwrap_err();
            assert!(
                matches!(error, MetadataError::Syntax { offset: at, .. } if at == offset),
                "{text}: {error}"
            );
            assert_eq!(error.code(), Code::METADATA_SYNTAX);
            assert_eq!(out, "before");
        }
    }

    #[test]
    fn a_key_twice_is_refused_however_it_is_written() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"b":2,"\u0061":1}"#,
            r#"{"b":1,"a":{"x":1},"b":2}"#,
            r#"{"c":[{"":1,"":2}]}"#,
        ] {
            let error = canonical(text).unwrap_err();
            assert_eq!(error.code(), Code::METADATA_DUPLICATE_KEY, "{text}");
        }
        assert!(canonical(r#"{"a":{"a":1},"b":{"a":1}}"#).is_ok());
    }

    #[test]
    fn half_a_pair_is_refused() {
        let error = canonical(r#"{"a":"\ud83d"}"#).unwrap_err();
        assert_eq!(error, MetadataError::Surrogate { offset: 6 });
        assert_eq!(error.code(), Code::METADATA_SURROGATE);
    }

    #[test]
    fn size_and_depth_have_limits() {
        let nested = |levels| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        let deepest = nested(MAX_METADATA_DEPTH - 1);
        assert_eq!(canonical(&deepest).as_deref(), Ok(deepest.as_str()));
        let error = canonical(&nested(MAX_METADATA_DEPTH)).unwrap_err();
        assert_eq!(error, MetadataError::TooDeep { offset: 5 + MAX_METADATA_DEPTH - 1 });
        assert_eq!(error.code(), Code::METADATA_LIMIT);
        assert!(canonical(&"{\"a\":".repeat(1 << 20)).is_err());

        let text = |size| format!("{{\"a\":\"{}\"}}", "x".repeat(size - 8));
        assert!(canonical(&text(MAX_METADATA_BYTES)).is_ok());
        assert_eq!(canonical(&text(MAX_METADATA_BYTES + 1)), Err(MetadataError::TooLarge));
        // A short text whose numbers have 400 digits each.
        let grows = format!("{{\"a\":[{}1]}}", "1e399,".repeat(50_000));
        assert_eq!(canonical(&grows), Err(MetadataError::TooLarge));
    }

    #[test]
    fn nul_is_found_and_only_nul() {
        for (text, found) in [
            (r#"{"a":"\u0000"}"#, true),
            (r#"{"\u0000":1}"#, true),
            (r#"{"a":"\\u0000"}"#, false),
            (r#"{"a":"\\\u0000"}"#, true),
            (r#"{"a":"u0000\u0001"}"#, false),
            (r#"{"a":"\\u0000 \u0000"}"#, true),
        ] {
            let canonical = canonical(text).unwrap();
            assert_eq!(metadata_holds_nul(&canonical), found, "{text}");
            let value: serde_json::Value = serde_json::from_str(text).unwrap();
            let decoded = format!("{value:?}").contains("\\0");
            assert_eq!(found, decoded, "{text}");
        }
    }

    /// Values whose numbers are doubles with fractions, or integers that doubles hold.
    fn any_value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<f64>().prop_filter("a fraction", |n| n.fract() != 0.0).prop_map(Into::into),
            (-(1i64 << 53)..=1 << 53).prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::vec((any::<String>(), inner), 0..6)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    fn any_object() -> impl Strategy<Value = serde_json::Value> {
        prop::collection::vec((any::<String>(), any_value()), 0..6)
            .prop_map(|members| serde_json::Value::Object(members.into_iter().collect()))
    }

    /// The value as text with every object's members shuffled, spaces, and escapes where none are
    /// needed.
    fn shuffled(value: &serde_json::Value, random: &mut u64, out: &mut String) {
        let mut next = |below: u64| {
            *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
            (*random >> 33) % below
        };
        out.push_str(["", " ", "\n\t"][usize::try_from(next(3)).unwrap()]);
        match value {
            serde_json::Value::Object(object) => {
                let mut members: Vec<_> = object.iter().collect();
                for at in 1..members.len() {
                    members.swap(at, usize::try_from(next(at as u64 + 1)).unwrap());
                }
                out.push('{');
                for (index, (key, item)) in members.into_iter().enumerate() {
                    out.push_str(if index > 0 { " ," } else { "" });
                    escaped(key, out);
                    out.push_str(" :");
                    shuffled(item, random, out);
                }
                out.push('}');
            }
            serde_json::Value::Array(list) => {
                out.push('[');
                for (index, item) in list.iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    shuffled(item, random, out);
                }
                out.push(']');
            }
            serde_json::Value::String(text) => escaped(text, out),
            serde_json::Value::Number(_) | serde_json::Value::Bool(_) | serde_json::Value::Null => {
                out.push_str(&value.to_string());
            }
        }
    }

    fn escaped(text: &str, out: &mut String) {
        out.push('"');
        for unit in text.encode_utf16() {
            out.push_str("\\u");
            for shift in [12, 8, 4, 0] {
                let digit = char::from_digit(u32::from(unit >> shift) & 0xF, 16).unwrap();
                out.push(digit.to_ascii_uppercase());
            }
        }
        out.push('"');
    }

    proptest! {
        #[test]
        fn another_implementation_agrees_and_order_does_not_matter(
            value in any_object(),
            mut random in any::<u64>(),
        ) {
            let expected = serde_json_canonicalizer::to_string(&value).unwrap();
            let text = value.to_string();
            prop_assert_eq!(canonical(&text), Ok(expected.clone()));
            prop_assert_eq!(is_canonical_metadata(&text), text == expected);
            prop_assert!(is_canonical_metadata(&expected));
            let mut other = String::new();
            shuffled(&value, &mut random, &mut other);
            prop_assert_eq!(canonical(&other), Ok(expected));
        }

        #[test]
        fn the_form_of_the_form_is_the_form(
            text in r#"\{("[ab\\u0-9]{0,3}" ?: ?(-?[0-9]{1,3}(\.[0-9]{1,3})?([eE]-?[0-9])?|"[\\nué😀]{0,4}"|\[1, \{\}\]),?){0,4}\}"#,
        ) {
            if let Ok(canonical) = canonical_metadata(&text) {
                prop_assert!(is_canonical_metadata(&canonical));
                prop_assert_eq!(is_canonical_metadata(&text), canonical == text);
                // The slow way says the same as the quick look.
                let mut again = String::new();
                prop_assert_eq!(rewrite(&canonical, &mut again), Ok(()));
                prop_assert_eq!(again, canonical);
            } else {
                prop_assert!(!is_canonical_metadata(&text));
            }
        }

        #[test]
        fn no_bytes_make_the_reader_fall(
            bytes in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..100),
                prop::collection::vec(prop::sample::select(&br#"{}[]:,"\\u0dD8-9.eE+ tfn"#[..]), 0..60),
            ],
        ) {
            let text = String::from_utf8_lossy(&bytes);
            let mut out = String::new();
            let written = write_canonical_metadata(&text, &mut out);
            prop_assert_eq!(written.is_ok(), canonical_metadata(&text).is_ok());
            prop_assert!(written.is_ok() || out.is_empty());
        }

        #[test]
        fn numbers_keep_their_value_or_are_refused(
            token in "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,24})?([eE][-+]?[0-9]{1,3})?",
        ) {
            if let Some(form) = number(&token) {
                prop_assert_eq!(number(&form), Some(form.clone()));
                let (a, b): (f64, f64) = (form.parse().unwrap(), token.parse().unwrap());
                prop_assert!(a.partial_cmp(&b).unwrap().is_eq());
            }
        }
    }
}
