//! What the writer of a log signs: checkpoints, each of which fixes all events before it.

use std::sync::Arc;

use carnet_ledger::{Checkpoint, Digest, Note, SignatureAnswer, SigningKey};

use crate::error::{JournalError, TreeDamage};

/// A checkpoint follows after so many events at the latest,
const EVENTS: u64 = 10_000;
/// or after so many milliseconds.
pub(crate) const MILLIS: u64 = 1_000;

/// The key of a log's writer, and what it has signed.
pub(crate) struct Signer {
    key: Arc<SigningKey>,
    origin: String,
    /// The size of the last checkpoint.
    covered: u64,
    /// When that was, on the clock that never runs backwards.
    signed_at: Option<u64>,
}

impl Signer {
    /// A key for a log whose last checkpoint has this size.
    pub(crate) fn new(key: Arc<SigningKey>, chain_id: &str, covered: u64) -> Self {
        Self { key, origin: Checkpoint::origin_of(chain_id), covered, signed_at: None }
    }

    /// Whether a log of this size needs a checkpoint now.
    pub(crate) fn is_due(&self, size: u64, now_ms: u64) -> bool {
        let events = size.saturating_sub(self.covered);
        let late = |at| now_ms.saturating_sub(at) >= MILLIS;
        events >= EVENTS || (events > 0 && self.signed_at.is_none_or(late))
    }

    /// The signed checkpoint of a log of this size and root. `beside` is one of the same size that
    /// is stored already: its signatures are kept.
    pub(crate) fn sign(
        &self,
        size: u64,
        root: Digest,
        beside: Option<Note>,
    ) -> Result<Note, JournalError> {
        let checkpoint = Checkpoint { origin: self.origin.clone(), size, root };
        let mut note = checkpoint.sign(&[self.key.as_ref()]).map_err(JournalError::Sign)?;
        let Some(mut beside) = beside else { return Ok(note) };
        if beside.text != note.text {
            return Err(JournalError::Tree(TreeDamage::Forked { size }));
        }
        if beside.check(self.key.verifying_key()) == SignatureAnswer::Good {
            return Ok(beside);
        }
        beside.signatures.append(&mut note.signatures);
        Ok(beside)
    }

    /// Remembers that a checkpoint was stored.
    pub(crate) fn signed(&mut self, size: u64, now_ms: u64) {
        (self.covered, self.signed_at) = (size, Some(now_ms));
    }

    /// `<name>+<8 hex digits>`.
    pub(crate) fn key_id(&self) -> String {
        self.key.verifying_key().key_id()
    }
}

/// Holds a stored checkpoint against the log: it must be one of this log, of this size and root,
/// and what bears the name of `key` must be its signature.
pub(crate) fn check(
    stored: &str,
    chain_id: &str,
    size: u64,
    root: Digest,
    key: Option<&SigningKey>,
) -> Result<(), TreeDamage> {
    let damage = TreeDamage::Checkpoint { size };
    let note = Note::parse(stored.as_bytes()).map_err(|_| damage.clone())?;
    let said = Checkpoint::parse(&note.text).map_err(|_| damage.clone())?;
    if said.origin != Checkpoint::origin_of(chain_id) || said.size != size {
        return Err(damage);
    }
    if said.root != root {
        return Err(TreeDamage::Forked { size });
    }
    match key.map(|key| note.check(key.verifying_key())) {
        Some(SignatureAnswer::Bad) => Err(damage),
        Some(SignatureAnswer::Good | SignatureAnswer::Absent) | None => Ok(()),
    }
}
