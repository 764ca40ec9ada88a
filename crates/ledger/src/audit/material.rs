//! What an audit reads: named entries, and nothing of where they come from.

use std::io::{self, Read};

use crate::digest::{Digest, Hasher};

/// The named entries of a bundle, wherever they are: a directory, an archive, memory.
///
/// Names are relative paths with `/`, without `.` and `..`, and none stands twice: who offers the
/// material has refused anything else.
pub trait Material: Sync {
    /// All entries with their sizes in bytes, in the order of their names.
    fn entries(&self) -> &[(String, u64)];

    /// Opens an entry at its first byte.
    fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send + '_>>;

    /// Whether there is an entry of this name.
    fn has(&self, name: &str) -> bool {
        self.entries().binary_search_by(|(entry, _)| entry.as_str().cmp(name)).is_ok()
    }
}

/// Passes bytes on, and hashes and counts them.
pub(super) struct Hashed<R> {
    inner: R,
    hasher: Hasher,
    bytes: u64,
}

impl<R: Read> Hashed<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, hasher: Hasher::new(), bytes: 0 }
    }

    /// Reads what is left, and gives the digest and the number of all bytes.
    pub(super) fn finish(mut self) -> io::Result<FileSum> {
        let mut buffer = vec![0; BUFFER];
        while self.read(&mut buffer)? > 0 {}
        Ok(FileSum { sha256: self.hasher.finish(), bytes: self.bytes })
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..read).unwrap_or_default());
        self.bytes += read as u64;
        Ok(read)
    }
}

/// How many bytes are read at once.
pub(super) const BUFFER: usize = 256 << 10;

/// What was read of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileSum {
    pub(super) sha256: Digest,
    pub(super) bytes: u64,
}

/// Hashes a whole entry.
pub(super) fn hash_entry(material: &dyn Material, name: &str) -> io::Result<FileSum> {
    Hashed::new(material.open(name)?).finish()
}

/// Fills the buffer as far as there are bytes; says how many.
pub(super) fn read_full(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
