//! A reader over the bytes of a file. Every read is checked against what is left.

use super::FormatError;

/// Reads fields one after another. Integers are little-endian: FAISS writes memory as it is, and
/// every machine that it runs on is little-endian.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// A run of equal elements in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// Where it begins.
    pub(super) start: usize,
    /// How many elements.
    pub(super) count: usize,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// An error at the current place.
    pub(super) fn wrong(&self, what: impl Into<String>) -> FormatError {
        FormatError::Malformed { at: self.at as u64, what: what.into() }
    }

    pub(super) const fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    fn take<const N: usize>(&mut self, what: &str) -> Result<[u8; N], FormatError> {
        let bytes = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<N>());
        let bytes = *bytes.ok_or_else(|| self.wrong(format!("the file ends within {what}")))?;
        self.at += N;
        Ok(bytes)
    }

    pub(super) fn tag(&mut self) -> Result<[u8; 4], FormatError> {
        self.take("a class tag")
    }

    pub(super) fn byte(&mut self, what: &str) -> Result<u8, FormatError> {
        self.take::<1>(what).map(|[byte]| byte)
    }

    pub(super) fn i32(&mut self, what: &str) -> Result<i32, FormatError> {
        self.take(what).map(i32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, what: &str) -> Result<u64, FormatError> {
        self.take(what).map(u64::from_le_bytes)
    }

    /// A count of things that take at least `size` bytes each of what is left.
    pub(super) fn count(&mut self, size: usize, what: &str) -> Result<usize, FormatError> {
        let at = self.at;
        let count = self.u64(what)?;
        let fits = usize::try_from(count)
            .ok()
            .filter(|count| count.checked_mul(size).is_some_and(|bytes| bytes <= self.left()));
        fits.ok_or_else(|| FormatError::Malformed {
            at: at as u64,
            what: format!("{what} of {count} x {size} bytes, but {} are left", self.left()),
        })
    }

    /// Steps over `count` elements of `size` bytes.
    pub(super) fn run(
        &mut self,
        count: usize,
        size: usize,
        what: &str,
    ) -> Result<Run, FormatError> {
        let bytes = count.checked_mul(size).filter(|bytes| *bytes <= self.left());
        let bytes = bytes.ok_or_else(|| {
            self.wrong(format!("{what}: {count} x {size} bytes, but {} are left", self.left()))
        })?;
        let start = self.at;
        self.at += bytes;
        Ok(Run { start, count })
    }

    /// A vector as FAISS writes it: a count, then that many elements of `size` bytes.
    pub(super) fn vector(&mut self, size: usize, what: &str) -> Result<Run, FormatError> {
        let count = self.count(size, what)?;
        self.run(count, size, what)
    }
}

/// The little-endian 64-bit word at `start`, or none beyond the end.
pub(super) fn word(bytes: &[u8], start: usize) -> Option<u64> {
    let word = bytes.get(start..)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*word))
}

/// The little-endian 32-bit integer at `start`, or none beyond the end.
pub(super) fn int(bytes: &[u8], start: usize) -> Option<i32> {
    let word = bytes.get(start..)?.first_chunk::<4>()?;
    Some(i32::from_le_bytes(*word))
}
