//! Reading a log from its first event to its last, where nothing is believed that can be computed
//! again: the chain, and what is stored of its tree.

use carnet_ledger::{Digest, Event, HashProfile, Verifier, leaf_hash};

use super::database::Database;
use super::error::{JournalError, TreeDamage};
use super::tree::Tree;

/// The end of a log that holds.
#[derive(Debug, Clone)]
pub(super) struct End {
    /// The hash of the last event.
    pub(super) last_hash: Option<Digest>,
    /// The tree over all events.
    pub(super) tree: Tree,
}

/// Verifies the whole log in constant memory, and calls with each event once it and all before it
/// hold. What the calls have built counts only if the answer is the end.
pub(super) fn walk<E: From<JournalError>>(
    database: &Database,
    profile: HashProfile,
    fold: &mut dyn FnMut(&Event) -> Result<(), E>,
) -> Result<End, E> {
    let moment = database.one_moment()?;
    let mut verifier = Verifier::new(profile);
    let mut tree = Tree::default();
    let mut full = Vec::new();
    database.each_event((i64::MIN, i64::MAX), &mut |_, bytes| {
        verifier.check(bytes).map_err(JournalError::Damaged)?;
        let sequence = tree.size();
        tree.append(leaf_hash(bytes), &mut full);
        for tile in full.drain(..) {
            let stored = database.tile(tile.level, tile.index)?;
            if database.has_tree() && stored.as_ref() != Some(&tile.hashes) {
                let (level, index) = (tile.level, tile.index);
                return Err(JournalError::Tree(TreeDamage::Tile { level, index }).into());
            }
        }
        let event = Event::parse(bytes);
        fold(&event.map_err(|source| JournalError::Event { sequence, source })?)
    })?;
    if database.tiles()? > Tree::full_tiles(tree.size()) {
        let events = tree.size();
        return Err(JournalError::Tree(TreeDamage::Truncated { events }).into());
    }
    drop(moment);
    Ok(End { last_hash: verifier.finish().last_hash, tree })
}
