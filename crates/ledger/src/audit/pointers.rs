//! What events point to: digests, each once, in 32 bytes apiece.

use crate::digest::Digest;

/// A set of digests that is put together from sorted pieces.
#[derive(Debug, Default)]
pub(super) struct Pointers {
    held: Vec<Digest>,
    /// How many of them are sorted and unique, from the first on.
    tidy: usize,
}

impl Pointers {
    pub(super) fn extend(&mut self, some: &[Digest]) {
        self.held.extend_from_slice(some);
        // Tidied when half of it is new, so that events with the same objects take no memory.
        if self.held.len() >= 2 * self.tidy + 65_536 {
            self.tidy_up();
        }
    }

    fn tidy_up(&mut self) {
        self.held.sort_unstable();
        self.held.dedup();
        self.tidy = self.held.len();
    }

    /// All of them, sorted.
    pub(super) fn sorted(&mut self) -> &[Digest] {
        self.tidy_up();
        &self.held
    }
}
