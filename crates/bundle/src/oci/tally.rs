//! How much of a bundle was written, and how much was there already.

use serde::Serialize;

/// Blobs and their bytes: those that were written, and those that were there with the right digest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Blobs that were written.
    pub blobs_written: u64,
    /// Their bytes.
    pub bytes_written: u64,
    /// Blobs that were there.
    pub blobs_skipped: u64,
    /// Their bytes.
    pub bytes_skipped: u64,
}

impl Tally {
    pub(super) fn note(&mut self, bytes: u64, written: bool) {
        let (blobs, all) = if written {
            (&mut self.blobs_written, &mut self.bytes_written)
        } else {
            (&mut self.blobs_skipped, &mut self.bytes_skipped)
        };
        *blobs += 1;
        *all += bytes;
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.blobs_written += other.blobs_written;
        self.bytes_written += other.bytes_written;
        self.blobs_skipped += other.blobs_skipped;
        self.bytes_skipped += other.bytes_skipped;
    }
}
