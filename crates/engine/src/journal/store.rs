//! Where a journal on disk puts its events: the database, and the tree over what is in it.

use carnet_ledger::{Chain, Digest, leaf_hash};

use super::database::{Addition, Database};
use super::error::JournalError;
use super::tree::Tree;
use super::walk::End;

/// The stored end of a log, held by one writer.
pub(super) struct Store {
    database: Database,
    generation: u64,
    last_hash: Option<Digest>,
    tree: Tree,
}

impl Store {
    /// Goes on behind the end of a log that was verified.
    pub(super) fn new(database: Database, generation: u64, end: End) -> Self {
        Self { database, generation, last_hash: end.last_hash, tree: end.tree }
    }

    /// Moves the end of a chain to where the stored events end.
    pub(super) fn rewind(&self, chain: &mut Chain) {
        chain.next_sequence = self.tree.size();
        chain.last_hash = self.last_hash;
    }

    #[cfg(test)]
    pub(super) fn database(&self) -> &Database {
        &self.database
    }

    /// Stores events with the tiles that they complete, in one transaction.
    pub(super) fn add(
        &mut self,
        events: &[(u64, Vec<u8>)],
        last_hash: Option<Digest>,
    ) -> Result<(), JournalError> {
        let (mut tree, mut tiles) = (self.tree.clone(), Vec::new());
        for (_, bytes) in events {
            tree.append(leaf_hash(bytes), &mut tiles);
        }
        let addition = Addition { events, tiles: &tiles, checkpoint: None };
        self.database.add(self.generation, &addition)?;
        (self.tree, self.last_hash) = (tree, last_hash);
        Ok(())
    }
}
