//! JSON values cut out of a stream one after the other, so that a document of any size is read in
//! the memory of its largest value.

use std::io::{self, Read};

use super::material::{BUFFER, read_full};

/// Why a stream cannot be cut.
#[derive(Debug)]
pub(super) enum CutError {
    Io(io::Error),
    /// Not the JSON that is looked for.
    Form(String),
}

impl From<io::Error> for CutError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads JSON from front to back. A value is given as its bytes, not yet checked: where it ends is
/// found by its brackets and quotes alone.
pub(super) struct Cutter<R> {
    reader: R,
    buffer: Vec<u8>,
    at: usize,
    /// How many bytes stand before the buffer.
    before: u64,
    /// The most bytes of one value.
    limit: usize,
}

impl<R: Read> Cutter<R> {
    pub(super) fn new(reader: R, limit: usize) -> Self {
        Self { reader, buffer: Vec::new(), at: 0, before: 0, limit }
    }

    /// The reader, with whatever is not read.
    pub(super) fn into_reader(self) -> R {
        self.reader
    }

    /// What is wrong at this place.
    pub(super) fn wrong(&self, what: &str) -> CutError {
        CutError::Form(format!("{what} at byte {}", self.before + self.at as u64))
    }

    /// Drops what was cut, and reads on. False at the end.
    fn fill(&mut self) -> io::Result<bool> {
        self.buffer.drain(..self.at);
        self.before += self.at as u64;
        self.at = 0;
        let held = self.buffer.len();
        self.buffer.resize(held + BUFFER, 0);
        let read = match self.buffer.get_mut(held..) {
            Some(room) => read_full(&mut self.reader, room)?,
            None => 0,
        };
        self.buffer.truncate(held + read);
        Ok(read > 0)
    }

    /// The next byte that is no space, not yet taken.
    pub(super) fn peek(&mut self) -> io::Result<Option<u8>> {
        loop {
            while let Some(byte) = self.buffer.get(self.at) {
                if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                    return Ok(Some(*byte));
                }
                self.at += 1;
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Takes this byte if it is the next one behind spaces.
    pub(super) fn take(&mut self, byte: u8) -> io::Result<bool> {
        let found = self.peek()? == Some(byte);
        self.at += usize::from(found);
        Ok(found)
    }

    /// Takes this byte, or says what was expected.
    pub(super) fn require(&mut self, byte: u8, expected: &str) -> Result<(), CutError> {
        if self.take(byte)? { Ok(()) } else { Err(self.wrong(&format!("expected {expected}"))) }
    }

    /// Cuts out the next value.
    pub(super) fn value(&mut self) -> Result<&[u8], CutError> {
        self.peek()?;
        let mut edge = Edge::Start;
        let mut length = 0;
        loop {
            let rest = self.buffer.get(self.at + length..).unwrap_or_default();
            let found = rest.iter().position(|byte| edge.ends_before(*byte));
            length += found.unwrap_or(rest.len());
            if length > self.limit {
                return Err(self.wrong(&format!("a value of more than {} bytes", self.limit)));
            }
            if found.is_some() {
                break;
            }
            if !self.fill()? {
                if edge.is_whole() {
                    break;
                }
                return Err(self.wrong("the end of the file inside a value"));
            }
        }
        let start = self.at;
        self.at += length;
        Ok(self.buffer.get(start..self.at).unwrap_or_default())
    }
}

/// Follows a value byte by byte to where it ends.
#[derive(Debug, Clone, Copy)]
enum Edge {
    /// Nothing was read.
    Start,
    /// Inside a number or a word.
    Bare,
    /// Inside brackets, this many deep.
    Nested(usize),
    /// Inside a string that is inside this many brackets.
    Text(usize),
    /// Behind a backslash in such a string.
    Escape(usize),
    /// Behind the last byte.
    Closed,
}

impl Edge {
    #[inline]
    fn ends_before(&mut self, byte: u8) -> bool {
        *self = match (*self, byte) {
            (Self::Text(_), byte) if !matches!(byte, b'"' | b'\\') => return false,
            (
                Self::Start | Self::Bare,
                b'}' | b']' | b',' | b':' | b' ' | b'\t' | b'\n' | b'\r',
            )
            | (Self::Bare, b'"' | b'{' | b'[')
            | (Self::Closed, _) => return true,
            (Self::Text(depth), b'\\') => Self::Escape(depth),
            (Self::Text(0), _) | (Self::Nested(1), b'}' | b']') => Self::Closed,
            (Self::Start, b'"') => Self::Text(0),
            (Self::Start, b'{' | b'[') => Self::Nested(1),
            (Self::Escape(depth), _) | (Self::Nested(depth), b'"') => Self::Text(depth),
            (Self::Nested(depth), b'{' | b'[') => Self::Nested(depth + 1),
            (Self::Nested(depth), b'}' | b']') => Self::Nested(depth - 1),
            (Self::Text(depth) | Self::Nested(depth), _) => Self::Nested(depth),
            (Self::Start | Self::Bare, _) => Self::Bare,
        };
        false
    }

    fn is_whole(self) -> bool {
        matches!(self, Self::Bare | Self::Closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Gives out a few bytes at a time.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(buffer.len());
            let (now, later) = self.0.split_at(count);
            buffer[..count].copy_from_slice(now);
            self.0 = later;
            Ok(count)
        }
    }

    /// The items of a list, or what is wrong.
    fn items(text: &str, step: usize) -> Result<Vec<String>, String> {
        let mut cutter = Cutter::new(Slow(text.as_bytes(), step), 1_000);
        let mut cut = || {
            let mut items = Vec::new();
            cutter.require(b'[', "a list")?;
            if cutter.take(b']')? {
                return Ok(items);
            }
            loop {
                items.push(String::from_utf8_lossy(cutter.value()?).into_owned());
                if !cutter.take(b',')? {
                    cutter.require(b']', "the end")?;
                    return Ok(items);
                }
            }
        };
        cut().map_err(|error: CutError| match error {
            CutError::Io(error) => error.to_string(),
            CutError::Form(what) => what,
        })
    }

    #[test]
    fn values_end_where_their_brackets_and_quotes_do() {
        let text = r#" [ {"a":"]}\"","b":[1,{}]} , "x,\\" ,-12, true ,[[],"["] ] "#;
        for step in [1, 7, 1_000] {
            assert_eq!(
                items(text, step).unwrap(),
                [r#"{"a":"]}\"","b":[1,{}]}"#, r#""x,\\""#, "-12", "true", r#"[[],"["]"#]
            );
        }
        assert_eq!(items("[]", 1).unwrap(), [""; 0]);
    }

    #[test]
    fn what_ends_early_or_is_too_long_is_said() {
        for (text, what) in [
            ("{}", "expected a list at byte 0"),
            ("[{\"a\":1", "the end of the file inside a value at byte 1"),
            ("[\"a", "the end of the file inside a value at byte 1"),
            ("[1 2]", "expected the end at byte 3"),
            ("[\"a\"\"b\"]", "expected the end at byte 4"),
            ("", "expected a list at byte 0"),
        ] {
            assert_eq!(items(text, 3).unwrap_err(), what, "{text}");
        }
        let long = format!("[\"{}\"]", "a".repeat(1_000));
        assert_eq!(items(&long, 64).unwrap_err(), "a value of more than 1000 bytes at byte 1");
    }

    proptest! {
        #[test]
        fn lists_are_cut_as_another_reader_cuts_them(
            texts in prop::collection::vec("[ -~]{0,12}", 0..6),
            step in 1..40usize,
        ) {
            let values: Vec<_> = texts
                .iter()
                .map(|text| serde_json::json!({"k": text, "l": [text, {"n": 1}]}).to_string())
                .collect();
            let list = format!("[{}]", values.join(" ,\n"));
            prop_assert_eq!(items(&list, step).unwrap(), values);
        }

        #[test]
        fn no_bytes_make_it_panic_or_hang(text in "[\\[\\]{}\",:\\\\ a1]{0,40}", step in 1..9usize) {
            let _ = items(&text, step);
        }
    }
}
