//! Group commit. Making events durable costs a wait for the disk, whether it is one event or a
//! thousand. So each caller seals its events into the chain at once, and the first that finds
//! nobody storing stores what all have sealed until then, in one transaction. Those who come
//! meanwhile seal on, and the first of them stores the next batch.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, Thread};

use carnet_ledger::{Chain, Event, SealError, Sealed};

use crate::error::JournalError;
use crate::store::Store;

/// The writing end of a log, for several threads.
pub(crate) struct Appender {
    queue: Mutex<Queue>,
    /// Held while a batch is being stored; never wanted by one who holds the queue.
    store: Mutex<Store>,
}

struct Queue {
    /// The end of what is sealed: at or behind the end of what is stored.
    chain: Chain,
    /// Whether somebody is storing a batch, or was told to.
    busy: bool,
    /// What is sealed and not being stored yet.
    next: Batch,
}

/// Events that are stored together.
#[derive(Default)]
struct Batch {
    events: Vec<(u64, Vec<u8>)>,
    fate: Arc<Fate>,
    /// The first of those who wait for the batch, if anyone does.
    first: Option<Thread>,
}

/// What becomes of a batch.
#[derive(Default)]
struct Fate {
    /// The first of those who wait for the batch is to store it.
    turn: AtomicBool,
    answer: OnceLock<Result<(), Arc<JournalError>>>,
}

impl Fate {
    /// Waits for the answer; `None` tells the first that it is its turn.
    fn wait(&self, first: bool) -> Option<&Result<(), Arc<JournalError>>> {
        if !first {
            return Some(self.answer.wait());
        }
        while self.answer.get().is_none() && !self.turn.load(Ordering::Acquire) {
            thread::park();
        }
        self.answer.get()
    }
}

impl Batch {
    fn end(self, answer: Result<(), Arc<JournalError>>) {
        // Nobody else answers a batch. This wakes all who wait for the answer at once.
        let _ = self.fate.answer.set(answer);
        self.first.iter().for_each(Thread::unpark);
    }
}

impl Appender {
    pub(crate) fn new(chain: Chain, store: Store) -> Self {
        let queue = Queue { chain, busy: false, next: Batch::default() };
        Self { queue: Mutex::new(queue), store: Mutex::new(store) }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stored end. Waits while a batch is being stored.
    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The end of what is sealed.
    pub(crate) fn chain(&self) -> Chain {
        self.queue().chain.clone()
    }

    /// Seals events one behind the other, and returns when they are durable. If one cannot be
    /// sealed, or they cannot be stored, none is in the log.
    pub(crate) fn append(
        &self,
        events: usize,
        mut seal: impl FnMut(&Chain) -> Option<Result<Sealed, SealError>>,
    ) -> Result<Vec<Event>, JournalError> {
        let mut sealed = Vec::with_capacity(events);
        let mut queue = self.queue();
        let before = (queue.chain.next_sequence, queue.chain.last_hash);
        let held = queue.next.events.len();
        while let Some(one) = seal(&queue.chain) {
            let done = one.and_then(|one| queue.chain.accept(&one.event).map(|()| one));
            match done {
                Ok(Sealed { event, bytes }) => {
                    queue.next.events.push((event.sequence, bytes));
                    sealed.push(event);
                }
                Err(error) => {
                    (queue.chain.next_sequence, queue.chain.last_hash) = before;
                    queue.next.events.truncate(held);
                    return Err(error.into());
                }
            }
        }
        if sealed.is_empty() {
            return Ok(sealed);
        }
        if queue.busy {
            let fate = Arc::clone(&queue.next.fate);
            let first = queue.next.first.is_none();
            if first {
                queue.next.first = Some(thread::current());
            }
            drop(queue);
            if let Some(answer) = fate.wait(first) {
                return answer.clone().map(|()| sealed).map_err(JournalError::Together);
            }
            queue = self.queue();
        }
        queue.busy = true;
        self.store_next(queue)?;
        Ok(sealed)
    }

    /// Stores what is sealed, tells those who wait for it, and the first of the next batch that it
    /// is its turn.
    fn store_next(&self, mut queue: MutexGuard<'_, Queue>) -> Result<(), JournalError> {
        let batch = std::mem::take(&mut queue.next);
        let last_hash = queue.chain.last_hash;
        drop(queue);
        let mut store = self.store();
        let stored = store.add(&batch.events, last_hash);
        let mut queue = self.queue();
        let mut behind = Batch::default();
        if stored.is_err() {
            // What was sealed behind these events hangs on them.
            behind = std::mem::take(&mut queue.next);
            store.rewind(&mut queue.chain);
        }
        drop(store);
        queue.busy = !queue.next.events.is_empty();
        if let (true, Some(first)) = (queue.busy, &queue.next.first) {
            queue.next.fate.turn.store(true, Ordering::Release);
            first.unpark();
        }
        drop(queue);
        let Err(error) = stored else {
            batch.end(Ok(()));
            return Ok(());
        };
        let error = Arc::new(error);
        for lost in [batch, behind] {
            lost.end(Err(Arc::clone(&error)));
        }
        Err(Arc::try_unwrap(error).unwrap_or_else(JournalError::Together))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::AtomicU64;

    use super::*;
    use crate::database::Database;
    use crate::log_store::LogStore as _;
    use crate::source::Clock;
    use crate::walk;
    use carnet_ledger::{
        Digest, EventDraft, EventId, EventTime, EventType, EvidenceProfile, HashProfile, Object,
        Outcome,
    };
    use carnet_model::Code;

    /// A clock that stands still.
    struct Still;

    impl Clock for Still {
        fn now(&self) -> EventTime {
            EventTime::from_unix_millis(0).unwrap()
        }

        fn elapsed_ms(&self) -> u64 {
            0
        }
    }

    fn appender(dir: &Path) -> Appender {
        let mut chain = Chain::new("log", HashProfile::EcsHashV1, EvidenceProfile::Baseline);
        let mut database = Database::open(dir).unwrap();
        let made = database.made().unwrap().unwrap_or_else(|| database.make(&chain).unwrap());
        let end = walk::walk::<JournalError>(&database, &made, None, &mut |_| Ok(()));
        let end = end.unwrap();
        let generation = database.take_over(end.tree.size(), "test").unwrap();
        let store = Store::new(Box::new(database), generation, end, None, Arc::new(Still));
        store.rewind(&mut chain);
        Appender::new(chain, store)
    }

    fn one(appender: &Appender, ids: &AtomicU64) -> Result<Vec<Event>, JournalError> {
        let digest = Digest::of(b"x");
        let mut draft = Some(EventDraft {
            event_type: EventType::ProcessIntent,
            actor: "test".into(),
            actor_details: None,
            tenant_id: "lab".into(),
            outcome: Outcome::Accepted,
            evidence_pointer: digest,
            correlation_id: "run".into(),
            resource_id: Some("x".repeat(3000)),
            action: None,
            authority_snapshot_id: digest,
            policy_snapshot_id: digest,
            jurisdiction: None,
            classification: None,
            context: Object::new(),
            fields: Object::new(),
        });
        let id = EventId(u128::from(ids.fetch_add(1, Ordering::Relaxed)).to_be_bytes());
        let time = EventTime::from_unix_millis(0).unwrap();
        appender.append(1, |chain| Some(chain.seal(draft.take()?, id, time)))
    }

    #[test]
    fn all_who_wait_learn_that_there_is_no_room_and_go_on_when_there_is() {
        let dir = tempfile::tempdir().unwrap();
        let held = appender(dir.path());
        let (ids, acknowledged) = (AtomicU64::new(0), AtomicU64::new(0));
        for pages in [60, 120, 400] {
            held.store().database().limit(pages);
            thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        let error = loop {
                            match one(&held, &ids) {
                                Ok(_) => acknowledged.fetch_add(1, Ordering::Relaxed),
                                Err(error) => break error,
                            };
                        };
                        assert_eq!(error.code(), Code::DISK_FULL, "{error:?}");
                    });
                }
            });
            let stored = held.store().database().count().unwrap();
            assert_eq!(stored, acknowledged.load(Ordering::Relaxed));
            assert_eq!(held.chain().next_sequence, stored);
        }
        assert!(ids.load(Ordering::Relaxed) > acknowledged.load(Ordering::Relaxed));
        drop(held);
        assert_eq!(appender(dir.path()).chain().next_sequence, acknowledged.into_inner());
    }
}
