//! Reading a log from its first event to its last, where nothing is believed that can be computed
//! again: the chain, and what is stored of its tree.

use std::num::NonZero;
use std::thread;

use carnet_ledger::{
    Damage, Digest, Event, EventCheck, EventDamage, EventDraft, EventError, EventType, HashProfile,
    SigningKey, Value, Verifier,
};

use super::database::{Database, LogMade, Signed};
use super::error::{JournalError, TreeDamage};
use super::signer;
use super::tree::{Tile, Tree};

/// The end of a log that holds.
#[derive(Debug, Clone)]
pub(super) struct End {
    /// The hash of the last event.
    pub(super) last_hash: Option<Digest>,
    /// The tree over all events.
    pub(super) tree: Tree,
}

/// Verifies the whole log in constant memory, and calls with each event once it and all before it
/// hold. What the calls have built counts only if the answer is the end. A `key` that the log has
/// retired is refused.
pub(super) fn walk<E: From<JournalError>>(
    database: &Database,
    made: &LogMade,
    key: Option<&SigningKey>,
    fold: &mut dyn FnMut(&Event) -> Result<(), E>,
) -> Result<End, E> {
    let moment = database.one_moment()?;
    let mut walk = Walk {
        verifier: Verifier::new(made.hash_profile),
        beside: Beside::new(database, made, key)?,
        key_id: key.map(|key| key.verifying_key().key_id()),
        retired: None,
    };
    let mut stretch = Stretch::default();
    database.each_event::<E>((i64::MIN, i64::MAX), &mut |_, bytes| {
        stretch.push(bytes);
        if stretch.bytes.len() >= STRETCH_BYTES {
            walk.go_on(&stretch, fold)?;
            stretch.clear();
        }
        Ok(())
    })?;
    walk.go_on(&stretch, fold)?;
    let tree = walk.beside.finish()?;
    drop(moment);
    match walk.retired {
        Some(retired) => Err(retired.into()),
        None => Ok(End { last_hash: walk.verifier.finish().last_hash, tree }),
    }
}

/// How far the log was found to hold.
struct Walk<'d> {
    verifier: Verifier,
    beside: Beside<'d>,
    key_id: Option<String>,
    retired: Option<JournalError>,
}

impl Walk<'_> {
    fn go_on<E: From<JournalError>>(
        &mut self,
        stretch: &Stretch,
        fold: &mut dyn FnMut(&Event) -> Result<(), E>,
    ) -> Result<(), E> {
        let made = self.beside.made;
        for checked in stretch.check(made.hash_profile) {
            let sequence = self.beside.tree.size();
            let Checked { check, event } =
                checked.map_err(|damage| JournalError::Damaged(damage.at(sequence)))?;
            if sequence == 0 && check.chain_id() != made.chain_id {
                return Err(JournalError::Damaged(Damage::WrongChain { sequence }).into());
            }
            self.verifier.place(&check).map_err(JournalError::Damaged)?;
            self.beside.append(check.leaf())?;
            let event = event.map_err(|source| JournalError::Event { sequence, source })?;
            if let Some(key) = self.key_id.as_ref().filter(|key| retires(&event.draft, key)) {
                let key = key.clone();
                self.retired.get_or_insert(JournalError::Retired { key, sequence });
            }
            fold(&event)?;
        }
        Ok(())
    }
}

/// How many bytes of events are checked at the same time.
const STRETCH_BYTES: usize = 2 << 20;

/// The stored bytes of events that follow on each other.
#[derive(Default)]
struct Stretch {
    bytes: Vec<u8>,
    /// Where each event ends.
    ends: Vec<usize>,
}

/// An event that holds by itself.
struct Checked<'a> {
    check: EventCheck<'a>,
    event: Result<Event, EventError>,
}

impl Stretch {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.ends.push(self.bytes.len());
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Checks each event by itself, on all cores. The answers are in the events' order.
    fn check(&self, profile: HashProfile) -> Vec<Result<Checked<'_>, EventDamage>> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let events: Vec<&[u8]> = starts
            .zip(&self.ends)
            .map(|(start, end)| self.bytes.get(start..*end).unwrap_or_default())
            .collect();
        let workers = thread::available_parallelism().map_or(1, NonZero::get);
        let share = events.len().div_ceil(workers).max(32);
        let mut answers: Vec<_> = events.iter().map(|_| None).collect();
        thread::scope(|scope| {
            for (events, answers) in events.chunks(share).zip(answers.chunks_mut(share)) {
                scope.spawn(move || {
                    for (bytes, answer) in events.iter().zip(answers) {
                        let check = EventCheck::of(profile, bytes);
                        let event = Event::parse(bytes);
                        *answer = Some(check.map(|check| Checked { check, event }));
                    }
                });
            }
        });
        answers.into_iter().flatten().collect()
    }
}

/// Whether an event retires the key with this id.
pub(super) fn retires(draft: &EventDraft, key_id: &str) -> bool {
    let old = draft.fields.get("old_key_id");
    draft.event_type == EventType::KeySucceeded
        && matches!(old, Some(Value::Text(old)) if old == key_id)
}

/// What is stored beside the events, held against the tree over them.
struct Beside<'d> {
    database: &'d Database,
    made: &'d LogMade,
    key: Option<&'d SigningKey>,
    tree: Tree,
    full: Vec<Tile>,
    /// The next checkpoint.
    next: Option<Signed>,
}

impl<'d> Beside<'d> {
    fn new(
        database: &'d Database,
        made: &'d LogMade,
        key: Option<&'d SigningKey>,
    ) -> Result<Self, JournalError> {
        let (tree, full, next) = (Tree::default(), Vec::new(), database.checkpoint_from(0)?);
        let mut beside = Self { database, made, key, tree, full, next };
        beside.check_checkpoint()?;
        Ok(beside)
    }

    fn append(&mut self, leaf: Digest) -> Result<(), JournalError> {
        self.tree.append(leaf, &mut self.full);
        for tile in self.full.drain(..) {
            let stored = self.database.tile(tile.level, tile.index)?;
            if self.database.has_tree() && stored.as_ref() != Some(&tile.hashes) {
                return Err(damaged(&tile));
            }
        }
        self.check_checkpoint()
    }

    /// Checks the checkpoint of the present size, if there is one.
    fn check_checkpoint(&mut self) -> Result<(), JournalError> {
        let size = self.tree.size();
        let Some(signed) = self.next.as_ref().filter(|signed| signed.size == size) else {
            return Ok(());
        };
        signer::check(&signed.text, &self.made.chain_id, size, self.tree.root(), self.key)
            .map_err(JournalError::Tree)?;
        self.next = self.database.checkpoint_from(size + 1)?;
        Ok(())
    }

    /// The tree, unless there is more beside the events than they account for.
    fn finish(self) -> Result<Tree, JournalError> {
        let events = self.tree.size();
        let open: Vec<Tile> = self.tree.open_above().collect();
        let most = Tree::full_tiles(events) + open.len() as u64;
        if self.next.is_some() || self.database.tiles()? > most {
            return Err(JournalError::Tree(TreeDamage::Truncated { events }));
        }
        for tile in open {
            // A log that was never written by a build that stores them has none.
            let stored = self.database.tile(tile.level, tile.index)?;
            if stored.is_some_and(|stored| stored != tile.hashes) {
                return Err(damaged(&tile));
            }
        }
        Ok(self.tree)
    }
}

fn damaged(tile: &Tile) -> JournalError {
    JournalError::Tree(TreeDamage::Tile { level: tile.level, index: tile.index })
}
