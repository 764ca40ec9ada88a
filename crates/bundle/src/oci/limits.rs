//! What is taken of a bundle at most.

use crate::archive::ArchiveLimits;

/// What a bundle from elsewhere may be at most. What exceeds it is refused before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BundleLimits {
    /// Bytes of all blobs together.
    pub bytes: u64,
    /// Files in its folder or archive.
    pub entries: u64,
    /// Folders inside one another in the path of a content.
    pub depth: usize,
    /// How many times as many bytes a compressed layer of a container image may give as it has.
    pub ratio: u64,
}

impl Default for BundleLimits {
    fn default() -> Self {
        Self { bytes: 1 << 44, entries: 100_000, depth: 32, ratio: 200 }
    }
}

impl BundleLimits {
    pub(super) const fn archive(&self) -> ArchiveLimits {
        ArchiveLimits { entries: self.entries, bytes: self.bytes }
    }
}
