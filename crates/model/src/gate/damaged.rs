//! Ways to damage an observation.

use carnet_ledger::Digest;

/// Which items of a list are damaged: the first, the middle and the last, each once. A judge that
/// looks at one end only is caught at the other.
pub(super) fn spots(len: usize) -> Vec<usize> {
    let mut spots = vec![0, len / 2, len.saturating_sub(1)];
    spots.dedup();
    spots.retain(|spot| *spot < len);
    spots
}

/// Another digest: one bit is flipped.
pub(super) fn flipped(digest: Digest) -> Digest {
    let mut bytes = *digest.as_bytes();
    if let Some(byte) = bytes.last_mut() {
        *byte ^= 1;
    }
    Digest(bytes)
}

/// The damaged copies of some facts, each with the name of its damage.
pub(super) struct Copies<'a, F> {
    facts: &'a F,
    made: Vec<(&'static str, F)>,
}

impl<'a, F: Clone + PartialEq> Copies<'a, F> {
    pub(super) fn of(facts: &'a F) -> Self {
        Self { facts, made: Vec::new() }
    }

    /// Adds a copy, unless the damage changed nothing (two equal items exchanged, say).
    pub(super) fn add(&mut self, name: &'static str, damage: impl FnOnce(&mut F)) {
        let mut copy = self.facts.clone();
        damage(&mut copy);
        if copy != *self.facts {
            self.made.push((name, copy));
        }
    }

    pub(super) fn done(self) -> Vec<(&'static str, F)> {
        self.made
    }
}
