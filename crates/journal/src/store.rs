//! Where a journal on disk puts its events: the database, the tree over what is in it, and the key
//! that signs the tree.

use std::sync::Arc;

use carnet_ledger::{Chain, Digest, Note, leaf_hash};

use crate::error::{JournalError, TreeDamage};
use crate::log_store::{Addition, LogStore, Which};
use crate::signer::Signer;
use crate::source::Clock;
use crate::tree::Tree;
use crate::walk::End;

/// The stored end of a log, held by one writer.
pub(crate) struct Store {
    database: Box<dyn LogStore>,
    generation: u64,
    last_hash: Option<Digest>,
    tree: Tree,
    signer: Option<Signer>,
    clock: Arc<dyn Clock>,
}

impl Store {
    /// Goes on behind the end of a log that was verified.
    pub(crate) fn new(
        database: Box<dyn LogStore>,
        generation: u64,
        end: End,
        signer: Option<Signer>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let End { last_hash, tree } = end;
        Self { database, generation, last_hash, tree, signer, clock }
    }

    /// Moves the end of a chain to where the stored events end.
    pub(crate) fn rewind(&self, chain: &mut Chain) {
        chain.next_sequence = self.tree.size();
        chain.last_hash = self.last_hash;
    }

    #[cfg(test)]
    pub(crate) fn database(&self) -> &dyn LogStore {
        self.database.as_ref()
    }

    /// Stores events with the tiles that they complete, and with a checkpoint where one is due, in
    /// one transaction.
    pub(crate) fn add(
        &mut self,
        events: &[(u64, Vec<u8>)],
        last_hash: Option<Digest>,
    ) -> Result<(), JournalError> {
        let (mut tree, mut tiles) = (self.tree.clone(), Vec::new());
        for (_, bytes) in events {
            tree.append(leaf_hash(bytes), &mut tiles);
        }
        if !tiles.is_empty() {
            tiles.extend(tree.open_above());
        }
        let (size, mut checkpoint) = (tree.size(), None);
        let mut now = None;
        if let Some(signer) = &self.signer {
            let now_ms = *now.insert(self.clock.elapsed_ms());
            if signer.is_due(size, now_ms) {
                checkpoint = Some((size, signer.sign(size, tree.root(), None)?.to_string()));
            }
        }
        let signed = checkpoint.is_some();
        let addition = Addition { events, tiles: &tiles, checkpoint };
        self.database.add(self.generation, &addition)?;
        (self.tree, self.last_hash) = (tree, last_hash);
        if let (true, Some(signer), Some(now)) = (signed, &mut self.signer, now) {
            signer.signed(size, now);
        }
        Ok(())
    }

    /// Signs the stored events if a checkpoint is due.
    pub(crate) fn sign_if_due(&mut self) -> Result<(), JournalError> {
        let now = self.clock.elapsed_ms();
        if self.signer.as_ref().is_some_and(|signer| signer.is_due(self.tree.size(), now)) {
            self.checkpoint()?;
        }
        Ok(())
    }

    /// Whether this writer may still write.
    pub(crate) fn check_lease(&self) -> Result<(), JournalError> {
        self.database.check_lease(self.generation)
    }

    /// The signed checkpoint of all stored events; `None` without a key, or without events.
    pub(crate) fn checkpoint(&mut self) -> Result<Option<Note>, JournalError> {
        let size = self.tree.size();
        if size == 0 || self.signer.is_none() {
            return Ok(None);
        }
        let beside = self.stored(size)?;
        let Some(signer) = &mut self.signer else { return Ok(None) };
        let note = signer.sign(size, self.tree.root(), beside.clone())?;
        if beside.as_ref() != Some(&note) {
            let checkpoint = Some((size, note.to_string()));
            let addition = Addition { checkpoint, ..Addition::default() };
            self.database.add(self.generation, &addition)?;
        }
        signer.signed(size, self.clock.elapsed_ms());
        Ok(Some(note))
    }

    /// The stored checkpoint of this size.
    fn stored(&self, size: u64) -> Result<Option<Note>, JournalError> {
        let found = self.database.checkpoint(Which::Exactly(size))?;
        found.map(|found| found.note()).transpose()
    }

    /// Remembers that this checkpoint has left the house. What it says must be what was signed.
    pub(crate) fn note_export(&mut self, size: u64, note: &Note) -> Result<(), JournalError> {
        let signed = self.stored(size)?;
        if signed.is_none_or(|signed| signed.text != note.text) {
            return Err(JournalError::Tree(TreeDamage::Forked { size }));
        }
        self.database.note_export(self.generation, size, &note.to_string())
    }

    /// The id of the key that signs, if one does.
    pub(crate) fn key_id(&self) -> Option<String> {
        self.signer.as_ref().map(Signer::key_id)
    }

    /// Signs nothing any more.
    pub(crate) fn retire_key(&mut self) {
        self.signer = None;
    }
}
