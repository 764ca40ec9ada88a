//! Reading a log from its first event to its last, where nothing is believed that can be computed
//! again: the chain, and what is stored of its tree.

use std::num::NonZero;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, Scope};

use carnet_ledger::{
    Damage, Digest, Event, EventCheck, EventDamage, EventDraft, EventError, EventType, HashProfile,
    Link, SigningKey, Value, Verifier,
};

use crate::error::{JournalError, TreeDamage};
use crate::log_store::{LogMade, LogStore, Page, Signed, Which};
use crate::signer;
use crate::tree::{Tile, Tree};

/// The end of a log that holds.
#[derive(Debug, Clone)]
pub(crate) struct End {
    /// The hash of the last event.
    pub(crate) last_hash: Option<Digest>,
    /// The tree over all events.
    pub(crate) tree: Tree,
}

/// Verifies the whole log in constant memory, and calls with each event once it and all before it
/// hold. What the calls have built counts only if the answer is the end. A `key` that the log has
/// retired is refused.
///
/// This thread reads pages of events, hands them out to be checked one by one, and puts what comes
/// back in order: pages that wait are checked while it reads, places and folds.
pub(crate) fn walk<E: From<JournalError>>(
    database: &dyn LogStore,
    made: &LogMade,
    key: Option<&SigningKey>,
    fold: &mut dyn FnMut(&Event) -> Result<(), E>,
) -> Result<End, E> {
    let moment = Moment::begin(database)?;
    let mut walk = Walk {
        verifier: Verifier::new(made.hash_profile),
        beside: Beside::new(database, made, key)?,
        key_id: key.map(|key| key.verifying_key().key_id()),
        retired: None,
    };
    thread::scope(|scope| {
        let mut crew = Crew::hire(scope, made.hash_profile);
        let mut next = Some(i64::MIN);
        loop {
            while let Some(from) = next.filter(|_| crew.has_room()) {
                let page = database.page((from, i64::MAX))?;
                next = page.next;
                crew.give(page);
            }
            match crew.take() {
                Some(checked) => walk.go_on(checked, fold)?,
                None => return Ok::<_, E>(()),
            }
        }
    })?;
    let tree = walk.beside.finish()?;
    drop(moment);
    match walk.retired {
        Some(retired) => Err(retired.into()),
        None => Ok(End { last_hash: walk.verifier.finish().last_hash, tree }),
    }
}

/// Until it is dropped, all that is read of a log is of one moment.
struct Moment<'d>(&'d dyn LogStore);

impl<'d> Moment<'d> {
    fn begin(database: &'d dyn LogStore) -> Result<Self, JournalError> {
        database.begin_moment()?;
        Ok(Self(database))
    }
}

impl Drop for Moment<'_> {
    fn drop(&mut self) {
        self.0.end_moment();
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
        page: Vec<Result<Checked, EventDamage>>,
        fold: &mut dyn FnMut(&Event) -> Result<(), E>,
    ) -> Result<(), E> {
        for checked in page {
            let sequence = self.beside.tree.size();
            let Checked { link, event } =
                checked.map_err(|damage| JournalError::Damaged(damage.at(sequence)))?;
            if sequence == 0 && link.chain_id != self.beside.made.chain_id {
                return Err(JournalError::Damaged(Damage::WrongChain { sequence }).into());
            }
            self.verifier.place(&link).map_err(JournalError::Damaged)?;
            self.beside.append(link.leaf)?;
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

/// An event that holds by itself.
struct Checked {
    link: Link,
    event: Result<Event, EventError>,
}

/// Checks each event of a page by itself. The answers are in the events' order.
fn check(profile: HashProfile, page: &Page) -> Vec<Result<Checked, EventDamage>> {
    let checked = |bytes| {
        let check = EventCheck::of(profile, bytes)?;
        Ok(Checked { link: check.link(), event: check.event() })
    };
    page.events().map(|(_, bytes)| checked(bytes)).collect()
}

/// How many pages a worker has at most: one in hand, and one that waits.
const PAGES: usize = 2;

/// Threads that check pages. Pages go round the workers and come back the same way, in order.
struct Crew {
    workers: Vec<Worker>,
    given: usize,
    taken: usize,
}

struct Worker {
    pages: Sender<Page>,
    checked: Receiver<Vec<Result<Checked, EventDamage>>>,
}

impl Crew {
    /// The threads end when the crew is dropped.
    fn hire<'s>(scope: &'s Scope<'s, '_>, profile: HashProfile) -> Self {
        let count = thread::available_parallelism().map_or(1, NonZero::get);
        let hire = |_| {
            let ((pages, to_check), (done, checked)) = (channel(), channel());
            scope.spawn(move || {
                // What nobody waits for any more needs no check.
                to_check.iter().try_for_each(|page| done.send(check(profile, &page)))
            });
            Worker { pages, checked }
        };
        Self { workers: (0..count).map(hire).collect(), given: 0, taken: 0 }
    }

    fn has_room(&self) -> bool {
        self.given - self.taken < PAGES * self.workers.len()
    }

    fn give(&mut self, page: Page) {
        let worker = self.given % self.workers.len();
        // A worker that fell is noticed where its answer is missing.
        let _ = self.workers.get(worker).map(|worker| worker.pages.send(page));
        self.given += 1;
    }

    /// The oldest page that was given, checked; `None` if there is none. A worker that fell gives
    /// none, and brings the scope down with it.
    fn take(&mut self) -> Option<Vec<Result<Checked, EventDamage>>> {
        if self.taken == self.given {
            return None;
        }
        let worker = self.workers.get(self.taken % self.workers.len())?;
        self.taken += 1;
        worker.checked.recv().ok()
    }
}

/// Whether an event retires the key with this id.
pub(crate) fn retires(draft: &EventDraft, key_id: &str) -> bool {
    let old = draft.fields.get("old_key_id");
    draft.event_type == EventType::KeySucceeded
        && matches!(old, Some(Value::Text(old)) if old == key_id)
}

/// What is stored beside the events, held against the tree over them.
struct Beside<'d> {
    database: &'d dyn LogStore,
    made: &'d LogMade,
    key: Option<&'d SigningKey>,
    tree: Tree,
    full: Vec<Tile>,
    /// The next checkpoint.
    next: Option<Signed>,
}

impl<'d> Beside<'d> {
    fn new(
        database: &'d dyn LogStore,
        made: &'d LogMade,
        key: Option<&'d SigningKey>,
    ) -> Result<Self, JournalError> {
        let (tree, full, next) =
            (Tree::default(), Vec::new(), database.checkpoint(Which::From(0))?);
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
        self.next = self.database.checkpoint(Which::From(size + 1))?;
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
