//! A strict reader of JSON text (RFC 8259), one token at a time, and the writers of strings and
//! numbers in the form of RFC 8785.
//!
//! It keeps what a tree of values would lose: number tokens as they stand, and where in the text
//! each token is. Nothing is allocated but what a caller asks for.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::iter;

use crate::digest::hex;

/// Why text is not JSON. Offsets count bytes from the start of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// Something else stands here than JSON allows.
    #[error("expected {expected} at byte {offset}")]
    Expected {
        /// Where.
        offset: usize,
        /// What JSON allows here.
        expected: &'static str,
    },
    /// Half of a surrogate pair, which is no character and has no UTF-8 form.
    #[error("half of a surrogate pair at byte {offset}")]
    Surrogate {
        /// Where the escape starts.
        offset: usize,
    },
}

/// Reads JSON text from front to back.
#[derive(Debug, Clone)]
pub struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    /// Starts at the first byte.
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// How many bytes are read.
    pub fn offset(&self) -> usize {
        self.at
    }

    /// The next byte, not yet read.
    #[inline]
    pub fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Reads this byte if it is the next one.
    #[inline]
    pub fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Reads this byte, or says what was expected in its place.
    #[inline]
    pub fn require(&mut self, byte: u8, expected: &'static str) -> Result<(), ScanError> {
        if self.take(byte) { Ok(()) } else { Err(self.expected(expected)) }
    }

    /// Reads spaces, tabs and line ends, if there are any.
    #[inline]
    pub fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// The error that names what JSON allows at this place.
    #[cold]
    pub fn expected(&self, expected: &'static str) -> ScanError {
        ScanError::Expected { offset: self.at, expected }
    }

    /// Refuses anything but space up to the end.
    pub fn end(&mut self) -> Result<(), ScanError> {
        self.skip_space();
        if self.at == self.text.len() { Ok(()) } else { Err(self.expected("the end")) }
    }

    /// Reads `true`, `false` or `null` and returns the word.
    pub fn word(&mut self) -> Result<&'static str, ScanError> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        for word in ["true", "false", "null"] {
            if rest.starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(word);
            }
        }
        Err(self.expected("a value"))
    }

    /// Reads a number and returns its token.
    #[inline]
    pub fn number(&mut self) -> Result<&'a str, ScanError> {
        let start = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _sign = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Ok(self.text.get(start..self.at).unwrap_or_default())
    }

    #[inline]
    fn digits(&mut self) -> Result<(), ScanError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.expected("a digit")) } else { Ok(()) }
    }

    /// Reads a string with its quotes.
    #[inline]
    pub fn string(&mut self) -> Result<RawText<'a>, ScanError> {
        self.require(b'"', "a string")?;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at += plain_prefix(self.text.as_bytes().get(self.at..).unwrap_or_default());
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return Err(self.expected("no control character in a string")),
                None => return Err(self.expected("the end of a string")),
            }
        }
        let inner = self.text.get(start..self.at).unwrap_or_default();
        self.at += 1;
        Ok(RawText { inner, escaped })
    }

    fn escape(&mut self) -> Result<(), ScanError> {
        let start = self.at;
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => match self.unit()? {
                0xD800..=0xDBFF => {
                    let paired = self.take(b'\\')
                        && self.peek() == Some(b'u')
                        && matches!(self.unit()?, 0xDC00..=0xDFFF);
                    if !paired {
                        return Err(ScanError::Surrogate { offset: start });
                    }
                }
                0xDC00..=0xDFFF => return Err(ScanError::Surrogate { offset: start }),
                _ => {}
            },
            _ => return Err(self.expected("an escape that JSON has")),
        }
        Ok(())
    }

    /// Reads `uXXXX`.
    fn unit(&mut self) -> Result<u16, ScanError> {
        let digits = self.text.as_bytes().get(self.at + 1..self.at + 5).and_then(four_hex);
        let unit = digits.ok_or_else(|| self.expected("u and four hex digits"))?;
        self.at += 5;
        Ok(unit)
    }
}

/// What stands between the quotes of a string: checked, not decoded.
#[derive(Debug, Clone, Copy)]
pub struct RawText<'a> {
    inner: &'a str,
    escaped: bool,
}

/// A stretch of a string: characters that stand for themselves, or one escaped character.
enum Piece<'a> {
    Plain(&'a str),
    Escaped(char),
}

impl<'a> RawText<'a> {
    /// The text between the quotes, escapes and all.
    pub fn inner(self) -> &'a str {
        self.inner
    }

    /// The characters that the string stands for.
    pub fn decode(self) -> Cow<'a, str> {
        if !self.escaped {
            return Cow::Borrowed(self.inner);
        }
        let mut text = String::with_capacity(self.inner.len());
        for piece in self.pieces() {
            match piece {
                Piece::Plain(plain) => text.push_str(plain),
                Piece::Escaped(c) => text.push(c),
            }
        }
        Cow::Owned(text)
    }

    /// Appends the string with its quotes in the form of RFC 8785.
    #[inline]
    pub fn write_rfc8785(self, out: &mut String) {
        out.push('"');
        if self.escaped {
            for piece in self.pieces() {
                match piece {
                    Piece::Plain(plain) => out.push_str(plain),
                    Piece::Escaped(c) => push_rfc8785_char(c, out),
                }
            }
        } else {
            out.push_str(self.inner);
        }
        out.push('"');
    }

    /// Whether the string is written as RFC 8785 writes it.
    #[inline]
    pub fn is_rfc8785(self) -> bool {
        !self.escaped || self.escapes_only(|c| c < ' ')
    }

    /// Whether the string, given that it is ASCII without U+007F, is written as `write_ascii_string`
    /// writes it.
    #[inline]
    pub(crate) fn is_ascii_form(self) -> bool {
        !self.escaped || self.escapes_only(|c| !(' '..='~').contains(&c))
    }

    /// Whether each escape is the one that the canonical forms use: two bytes where there is such
    /// an escape, else lowercase `\uXXXX`, and that only for a character that needs it.
    fn escapes_only(self, needs: impl Fn(char) -> bool) -> bool {
        let mut rest = self.inner;
        loop {
            rest = rest.get(rest.find('\\').unwrap_or(rest.len())..).unwrap_or_default();
            let Some((c, length)) = escaped_char(rest) else { return true };
            let (escape, after) = rest.split_at(length);
            let right = match short_escape(c) {
                Some(short) => escape == short,
                None => needs(c) && !escape.bytes().any(|byte| byte.is_ascii_uppercase()),
            };
            if !right {
                return false;
            }
            rest = after;
        }
    }

    /// Compares the decoded strings by UTF-16 code units: the order of keys in RFC 8785.
    #[inline]
    pub fn cmp_utf16(self, other: Self) -> Ordering {
        if self.escaped || other.escaped {
            self.units().cmp(other.units())
        } else {
            cmp_utf16(self.inner, other.inner)
        }
    }

    /// Compares the decoded strings by code points: the order of keys in `ecs-hash-v1`.
    #[inline]
    pub(crate) fn cmp_points(self, other: Self) -> Ordering {
        if self.escaped || other.escaped {
            self.chars().cmp(other.chars())
        } else {
            self.inner.cmp(other.inner)
        }
    }

    fn units(self) -> impl Iterator<Item = u16> + 'a {
        self.chars().flat_map(|c| {
            let mut units = [0; 2];
            let count = c.encode_utf16(&mut units).len();
            units.into_iter().take(count)
        })
    }

    fn chars(self) -> impl Iterator<Item = char> + 'a {
        self.pieces().flat_map(|piece| {
            let (plain, escaped) = match piece {
                Piece::Plain(plain) => (plain, None),
                Piece::Escaped(c) => ("", Some(c)),
            };
            plain.chars().chain(escaped)
        })
    }

    fn pieces(self) -> impl Iterator<Item = Piece<'a>> {
        let mut rest = self.inner;
        iter::from_fn(move || {
            let plain = rest.find('\\').unwrap_or(rest.len());
            if plain > 0 {
                let (piece, after) = rest.split_at(plain);
                rest = after;
                return Some(Piece::Plain(piece));
            }
            let (c, length) = escaped_char(rest)?;
            rest = rest.get(length..)?;
            Some(Piece::Escaped(c))
        })
    }
}

/// The character that an escape at the start of the text stands for, and the escape's length.
/// None at the end of the text.
fn escaped_char(text: &str) -> Option<(char, usize)> {
    let bytes = text.as_bytes();
    let simple = match bytes.get(1)? {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let unit = u32::from(bytes.get(2..6).and_then(four_hex)?);
            if let Some(c) = char::from_u32(unit) {
                return Some((c, 6));
            }
            let low = u32::from(bytes.get(8..12).and_then(four_hex)?);
            let pair = 0x10000 + ((unit & 0x3FF) << 10) + (low & 0x3FF);
            return Some((char::from_u32(pair)?, 12));
        }
        // `"`, `\` and `/` stand for themselves.
        other => char::from(*other),
    };
    Some((simple, 2))
}

fn four_hex(bytes: &[u8]) -> Option<u16> {
    bytes.iter().try_fold(0, |unit: u16, byte| {
        let digit = char::from(*byte).to_digit(16)?;
        Some((unit << 4) | u16::try_from(digit).ok()?)
    })
}

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);

/// How many bytes at the start stand for themselves in a JSON string: up to the first quote,
/// backslash or control character. Eight bytes at a time.
#[inline]
fn plain_prefix(bytes: &[u8]) -> usize {
    let special = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    let (words, rest) = bytes.as_chunks::<8>();
    let mut length = 0;
    for word in words {
        let word = u64::from_le_bytes(*word);
        let control = word.wrapping_sub(ONES * 0x20);
        let quote = (word ^ (ONES * u64::from(b'"'))).wrapping_sub(ONES);
        let backslash = (word ^ (ONES * u64::from(b'\\'))).wrapping_sub(ONES);
        // A borrow can only flag bytes above a byte that is rightly flagged, so the lowest flag
        // is exact. Bytes of 0x80 and more are never special; `!word` masks them.
        let flags = (control | quote | backslash) & !word & HIGH;
        if flags != 0 {
            return length + (flags.trailing_zeros() / 8) as usize;
        }
        length += 8;
    }
    length + rest.iter().take_while(|byte| !special(**byte)).count()
}

/// The same for a string in ASCII only: bytes of 0x7F and more do not stand for themselves either.
#[inline]
fn plain_ascii_prefix(bytes: &[u8]) -> usize {
    let special = |byte: u8| !matches!(byte, b' '..=b'~') || byte == b'"' || byte == b'\\';
    let (words, rest) = bytes.as_chunks::<8>();
    let mut length = 0;
    for word in words {
        let word = u64::from_le_bytes(*word);
        let control = word.wrapping_sub(ONES * 0x20);
        let quote = (word ^ (ONES * u64::from(b'"'))).wrapping_sub(ONES);
        let backslash = (word ^ (ONES * u64::from(b'\\'))).wrapping_sub(ONES);
        let delete = (word ^ (ONES * 0x7F)).wrapping_sub(ONES);
        let flags = (((control | quote | backslash | delete) & !word) | word) & HIGH;
        if flags != 0 {
            return length + (flags.trailing_zeros() / 8) as usize;
        }
        length += 8;
    }
    length + rest.iter().take_while(|byte| !special(**byte)).count()
}

/// Compares text by UTF-16 code units.
///
/// UTF-8 bytes sort as code points. UTF-16 differs in one place: U+E000 to U+FFFF (lead bytes EE
/// and EF) come after the characters beyond U+FFFF (lead bytes F0 and up), which UTF-16 writes
/// with units from D800 on.
#[inline]
pub fn cmp_utf16(a: &str, b: &str) -> Ordering {
    // The first difference is then an ASCII byte on one side, or an end.
    if a.is_ascii() || b.is_ascii() {
        return a.cmp(b);
    }
    match iter::zip(a.bytes(), b.bytes()).find(|(x, y)| x != y) {
        None => a.len().cmp(&b.len()),
        Some((0xEE..=0xEF, 0xF0..)) => Ordering::Greater,
        Some((0xF0.., 0xEE..=0xEF)) => Ordering::Less,
        Some((x, y)) => x.cmp(&y),
    }
}

/// Appends a string with its quotes in the form of RFC 8785: as few escapes as JSON allows.
pub fn write_rfc8785_string(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    loop {
        let (plain, after) = rest.split_at(plain_prefix(rest.as_bytes()));
        out.push_str(plain);
        let mut chars = after.chars();
        let Some(c) = chars.next() else { break };
        push_rfc8785_char(c, out);
        rest = chars.as_str();
    }
    out.push('"');
}

fn push_rfc8785_char(c: char, out: &mut String) {
    match short_escape(c) {
        Some(escape) => out.push_str(escape),
        None if c < ' ' => push_unit_escape(c as u16, out),
        None => out.push(c),
    }
}

/// Appends a string with its quotes in ASCII only, as Python's `json.dumps` writes it: every
/// character outside of space to tilde is escaped, those beyond U+FFFF as surrogate pairs.
pub(crate) fn write_ascii_string(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    loop {
        let (plain, after) = rest.split_at(plain_ascii_prefix(rest.as_bytes()));
        out.push_str(plain);
        let mut chars = after.chars();
        let Some(c) = chars.next() else { break };
        if let Some(escape) = short_escape(c) {
            out.push_str(escape);
        } else {
            let mut units = [0; 2];
            c.encode_utf16(&mut units).iter().for_each(|unit| push_unit_escape(*unit, out));
        }
        rest = chars.as_str();
    }
    out.push('"');
}

/// The two-byte escape that both canonical forms use, if the character has one.
fn short_escape(c: char) -> Option<&'static str> {
    Some(match c {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\u{8}' => "\\b",
        '\u{c}' => "\\f",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        _ => return None,
    })
}

fn push_unit_escape(unit: u16, out: &mut String) {
    out.push_str("\\u");
    push_ascii(&hex::<4>(&unit.to_be_bytes()), out);
}

/// Appends bytes that are ASCII by construction.
#[inline]
pub(crate) fn push_ascii(bytes: &[u8], out: &mut String) {
    debug_assert!(bytes.is_ascii(), "not ASCII: {bytes:?}");
    out.push_str(str::from_utf8(bytes).unwrap_or_default());
}

/// Appends an integer in decimal.
pub(crate) fn write_decimal(number: u64, out: &mut String) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        start -= 1;
        if rest == 0 {
            break;
        }
    }
    push_ascii(digits.get(start..).unwrap_or_default(), out);
}

/// JSON has no form for infinities and NaN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("JSON has no form for a number that is not finite")]
pub struct NotFinite;

/// Appends a double in the form of RFC 8785: as ECMAScript prints it, and −0 as `0`.
pub fn write_rfc8785_number(number: f64, out: &mut String) -> Result<(), NotFinite> {
    if !number.is_finite() {
        return Err(NotFinite);
    }
    out.push_str(ryu_js::Buffer::new().format_finite(number));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn string(text: &str) -> Result<RawText<'_>, ScanError> {
        Scanner::new(text).string()
    }

    #[test]
    fn strings_decode() {
        for (json, text) in [
            (r#""""#, ""),
            (r#""plain é 😀""#, "plain é 😀"),
            (r#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t"),
            (r#""\u0041\u00E9\uffFF\u0000""#, "Aé\u{ffff}\0"),
            (r#""a\ud83d\ude00b\uD83D\uDE00""#, "a😀b😀"),
            ("\"\u{7f}\"", "\u{7f}"),
        ] {
            assert_eq!(string(json).unwrap().decode(), text, "{json}");
        }
    }

    #[test]
    fn what_is_not_a_string_is_refused_with_its_place() {
        for (json, offset) in [
            ("", 0),
            ("a", 0),
            ("\"", 1),
            ("\"abcdefghijk", 12),
            ("\"a\nb\"", 2),
            ("\"a\0b\"", 2),
            (r#""\x""#, 2),
            (r#""\"#, 2),
            (r#""\u12""#, 2),
            (r#""\u12g4""#, 2),
            (r#""\u+123""#, 2),
            (r#""\ud83d\n""#, 1),
        ] {
            let error = string(json).map(RawText::decode).unwrap_err();
            let at = match error {
                ScanError::Expected { offset, .. } | ScanError::Surrogate { offset } => offset,
            };
            assert_eq!(at, offset, "{json}: {error}");
        }
    }

    #[test]
    fn half_a_pair_is_refused() {
        for json in [r#""ab\ud83d""#, r#""ab\ude00""#, r#""ab\ud83d\u0041""#, r#""ab\ud83dxxxxxx""#]
        {
            assert_eq!(string(json).unwrap_err(), ScanError::Surrogate { offset: 3 }, "{json}");
        }
    }

    #[test]
    fn numbers_keep_their_token() {
        for token in ["0", "-0", "10", "-1.50", "1e5", "1E+05", "0.0e-0"] {
            let mut scanner = Scanner::new(token);
            assert_eq!(scanner.number(), Ok(token));
            assert_eq!(scanner.end(), Ok(()));
        }
        for wrong in ["", "-", "+1", ".5", "1.", "1e", "1e+", "01", "0x1", "--1", "NaN"] {
            let mut scanner = Scanner::new(wrong);
            let read = scanner.number().and_then(|_| scanner.end());
            assert!(read.is_err(), "{wrong}");
        }
    }

    #[test]
    fn keys_sort_by_utf16_units() {
        // U+FF61 is below U+1F600 as a code point and above it in UTF-16.
        assert_eq!(cmp_utf16("\u{ff61}", "\u{1f600}"), Ordering::Greater);
        assert!("\u{ff61}" < "\u{1f600}");
        let raw = |json| string(json).unwrap();
        assert_eq!(raw(r#""\uff61""#).cmp_utf16(raw(r#""😀""#)), Ordering::Greater);
        assert_eq!(raw(r#""\u0061""#).cmp_utf16(raw(r#""a""#)), Ordering::Equal);
        assert_eq!(raw(r#""\n""#).cmp_utf16(raw(r#"" ""#)), Ordering::Less);
    }

    #[test]
    fn both_forms_of_a_string() {
        let text = "\"\\/\u{8}\u{c}\n\r\t\u{0}\u{1f} ~\u{7f}\u{80}é\u{2028}\u{ffff}😀";
        let mut out = String::new();
        write_rfc8785_string(text, &mut out);
        assert_eq!(
            out,
            "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f ~\u{7f}\u{80}é\u{2028}\u{ffff}😀\""
        );
        out.clear();
        write_ascii_string(text, &mut out);
        let expected =
            r#""\"\\/\b\f\n\r\t\u0000\u001f ~\u007f\u0080\u00e9\u2028\uffff\ud83d\ude00""#;
        assert_eq!(out, expected);
    }

    #[test]
    fn numbers_are_those_of_ecmascript() {
        for (number, text) in [
            (-0.0, "0"),
            (1e21, "1e+21"),
            (1e20, "100000000000000000000"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
        ] {
            let mut out = String::new();
            assert_eq!(write_rfc8785_number(number, &mut out), Ok(()));
            assert_eq!(out, text);
        }
        for number in [f64::NAN, f64::INFINITY] {
            assert_eq!(write_rfc8785_number(number, &mut String::new()), Err(NotFinite));
        }
    }

    /// Text in which escapes and what must be escaped are common.
    fn json_like() -> impl Strategy<Value = String> {
        prop_oneof![any::<String>(), r#"[\\"u0-9a-fD-d/bnrt\n 😀é]{0,24}"#]
    }

    proptest! {
        #[test]
        fn order_is_that_of_the_units(a in json_like(), b in json_like()) {
            let expected = a.encode_utf16().cmp(b.encode_utf16());
            prop_assert_eq!(cmp_utf16(&a, &b), expected);
            let (mut x, mut y) = (String::new(), String::new());
            write_rfc8785_string(&a, &mut x);
            write_ascii_string(&b, &mut y);
            prop_assert_eq!(string(&x).unwrap().cmp_utf16(string(&y).unwrap()), expected);
        }

        #[test]
        fn both_forms_decode_to_the_text(text in json_like()) {
            let mut rfc8785 = String::new();
            write_rfc8785_string(&text, &mut rfc8785);
            let mut ascii = String::new();
            write_ascii_string(&text, &mut ascii);
            prop_assert!(ascii.is_ascii());
            for form in [&rfc8785, &ascii] {
                let raw = string(form).unwrap();
                prop_assert_eq!(raw.decode(), text.as_str());
                let mut again = String::new();
                raw.write_rfc8785(&mut again);
                prop_assert_eq!(&again, &rfc8785);
                prop_assert_eq!(raw.is_rfc8785(), form == &rfc8785);
            }
        }

        #[test]
        fn strings_are_those_of_another_reader(inner in json_like()) {
            let json = format!("\"{inner}\"");
            let mut scanner = Scanner::new(&json);
            let ours = scanner.string().and_then(|raw| scanner.end().map(|()| raw.decode()));
            let theirs: Result<String, _> = serde_json::from_str(&json);
            prop_assert_eq!(ours.ok(), theirs.ok().map(Cow::Owned));
        }

        #[test]
        fn numbers_are_those_of_another_reader(text in "[-+0-9.eE]{0,12}") {
            let mut scanner = Scanner::new(&text);
            let ours = scanner.number().and_then(|_| scanner.end());
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text);
            prop_assert_eq!(ours.is_ok(), theirs.is_ok());
        }
    }
}
