//! The journal: one append-only, hash-chained log per run, in a state directory or a database. The state of a run is a
//! fold over it, and it is the evidence: there is no second place in which to record what
//! happened.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use carnet_ledger::{
    Chain, Digest, Event, EventDraft, EventType, EvidenceProfile, HashProfile, Integer, Note,
    SigningKey, Value,
};

use crate::appender::Appender;
use crate::error::JournalError;
use crate::lock::Lock;
use crate::log_store::Which;
use crate::objects::Objects;
use crate::place::{Held, LogPlace};
use crate::signer::Signer;
use crate::source::{Clock, IdSource};
use crate::store::Store;
use crate::ticker::Ticker;
use crate::walk;

/// What a log is made with, where there is none yet. A log that exists keeps its own.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogProfile {
    /// How its events are hashed.
    pub hash: HashProfile,
    /// Which profile of evidence it promises.
    pub evidence: Option<EvidenceProfile>,
}

/// The end of a log, open for one writer. Its threads share it.
pub struct Journal {
    place: Place,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
}

/// Where events go.
enum Place {
    /// A state directory, held by its lock, or a database, held by its connection.
    Disk(Disk),
    /// Nowhere: a dry run.
    Memory(Mutex<DryRun>),
}

/// What is dropped first stands first: the lock is let go of when nobody writes any more.
struct Disk {
    _ticker: Option<Ticker>,
    appender: Arc<Appender>,
    objects: Objects,
    private: Objects,
    generation: u64,
    lock: Option<Lock>,
}

/// A log without a place: its events go by.
struct DryRun {
    chain: Chain,
    objects: BTreeMap<Digest, Vec<u8>>,
}

impl Journal {
    /// Opens the log of a state directory, or another place, for writing, makes it where there is none, and computes
    /// its whole chain again. Calls with each event once it and all before it hold; what the calls
    /// have built counts only if the log opens. Refused while another process holds it.
    ///
    /// A `signer` signs checkpoints: every second or 10,000 events while events come, and on
    /// demand. One that the log has retired is refused.
    pub fn open<E: From<JournalError>>(
        at: impl Into<LogPlace>,
        profile: LogProfile,
        signer: Option<Arc<SigningKey>>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
        fold: &mut dyn FnMut(&Event) -> Result<(), E>,
    ) -> Result<Self, E> {
        let at: LogPlace = at.into();
        let io = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| JournalError::Io { doing, path, source }
        };
        let dir = at.folder();
        std::fs::create_dir_all(dir).map_err(io("make", dir))?;
        let Held { mut database, mut lock } = at.hold()?;
        let made = match database.made()? {
            Some(made) => made,
            None => database.make(&new_chain(profile, ids.as_ref()))?,
        };
        let end = walk::walk(database.as_ref(), &made, signer.as_deref(), fold)?;
        database.migrate()?;
        let events = end.tree.size();
        let holder = format!("process {}, since {}", std::process::id(), clock.now());
        let generation = database.take_over(events, &holder)?;
        if let Some(lock) = &mut lock {
            lock.note(generation, &holder).map_err(io("write", &dir.join("lock")))?;
        }
        let covered = database.checkpoint(Which::To(events))?.map_or(0, |last| last.size);
        let signer = signer.map(|key| Signer::new(key, &made.chain_id, covered));
        let ticks = signer.is_some();
        let store = Store::new(database, generation, end, signer, Arc::clone(&clock));
        let mut chain = Chain::new(made.chain_id, made.hash_profile, made.evidence_profile);
        store.rewind(&mut chain);
        let appender = Arc::new(Appender::new(chain, store));
        let ticker = if ticks { Some(Ticker::start(Arc::clone(&appender))?) } else { None };
        let place = Place::Disk(Disk {
            _ticker: ticker,
            appender,
            objects: at.objects()?,
            private: Objects::private(dir),
            generation,
            lock,
        });
        Ok(Self { place, clock, ids })
    }

    /// A log in memory, for a dry run.
    pub fn in_memory(profile: LogProfile, clock: Arc<dyn Clock>, ids: Arc<dyn IdSource>) -> Self {
        let chain = new_chain(profile, ids.as_ref());
        let place = Place::Memory(Mutex::new(DryRun { chain, objects: BTreeMap::new() }));
        Self { place, clock, ids }
    }

    /// Whether this writer still holds the log. Whoever acts on the world asks before each effect: a
    /// writer that was replaced would be refused only by its next append, and then it has acted.
    pub fn check_lease(&self) -> Result<(), JournalError> {
        match &self.place {
            Place::Disk(disk) => {
                disk.appender.store().check_lease()?;
                disk.lock.as_ref().map_or(Ok(()), Lock::check)
            }
            Place::Memory(_) => Ok(()),
        }
    }

    /// Stores the bytes of an object; durable when it returns.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, JournalError> {
        match &self.place {
            Place::Disk(disk) => disk.objects.put(bytes),
            Place::Memory(dry) => {
                let digest = Digest::of(bytes);
                lock(dry).objects.insert(digest, bytes.to_owned());
                Ok(digest)
            }
        }
    }

    /// Stores bytes that an undo needs and that must not become evidence.
    pub fn put_private(&self, bytes: &[u8]) -> Result<Digest, JournalError> {
        match &self.place {
            Place::Disk(disk) => disk.private.put(bytes),
            Place::Memory(_) => self.put(bytes),
        }
    }

    /// The bytes that `put_private` stored.
    pub fn private(&self, digest: Digest) -> Result<Vec<u8>, JournalError> {
        match &self.place {
            Place::Disk(disk) => disk.private.get(digest),
            Place::Memory(_) => self.object(digest),
        }
    }

    /// Stores a value as an object, in its RFC 8785 form.
    pub fn put_value(&self, value: &Value) -> Result<Digest, JournalError> {
        self.put(HashProfile::Rfc8785Sha256V1.canonical(value).as_bytes())
    }

    /// The bytes of an object.
    pub fn object(&self, digest: Digest) -> Result<Vec<u8>, JournalError> {
        match &self.place {
            Place::Disk(disk) => disk.objects.get(digest),
            Place::Memory(dry) => {
                let found = lock(dry).objects.get(&digest).cloned();
                found.ok_or(JournalError::ObjectMissing(digest))
            }
        }
    }

    /// Appends events in one transaction: all of them are durable when it returns, or none is
    /// written. The objects that they point to must have been put before. Threads that append at
    /// the same time share transactions.
    ///
    /// An event that retires the key of this writer is the last that stands behind one of its
    /// checkpoints: nothing is signed from then on.
    pub fn append(&self, drafts: Vec<EventDraft>) -> Result<Vec<Event>, JournalError> {
        let count = drafts.len();
        self.hand_over(&drafts)?;
        let mut drafts = drafts.into_iter();
        let writer = self.writer();
        let mut seal = |chain: &Chain| {
            let mut draft = drafts.next()?;
            let (key, value) = writer.clone();
            draft.context.insert(key, value);
            Some(chain.seal(draft, self.ids.next_id(), self.clock.now()))
        };
        match &self.place {
            Place::Disk(disk) => disk.appender.append(count, seal),
            Place::Memory(dry) => {
                let mut dry = lock(dry);
                let mut events = Vec::with_capacity(count);
                while let Some(sealed) = seal(&dry.chain) {
                    let event = sealed?.event;
                    dry.chain.accept(&event)?;
                    events.push(event);
                }
                Ok(events)
            }
        }
    }

    /// Before an event that retires the key that signs, the key signs what it stands for.
    fn hand_over(&self, drafts: &[EventDraft]) -> Result<(), JournalError> {
        let succeeds = |draft: &EventDraft| draft.event_type == EventType::KeySucceeded;
        // The others do not wait for the store.
        if !drafts.iter().any(succeeds) {
            return Ok(());
        }
        if let Place::Disk(disk) = &self.place {
            let mut store = disk.appender.store();
            let Some(key) = store.key_id() else { return Ok(()) };
            if drafts.iter().any(|draft| walk::retires(draft, &key)) {
                store.checkpoint()?;
                store.retire_key();
            }
        }
        Ok(())
    }

    /// The checkpoint of all durable events, signed now if it was not yet; `None` without a signer
    /// or without events.
    pub fn checkpoint(&self) -> Result<Option<Note>, JournalError> {
        match &self.place {
            Place::Disk(disk) => disk.appender.store().checkpoint(),
            Place::Memory(_) => Ok(None),
        }
    }

    /// Remembers that an export took this checkpoint along, as it is now: later ones are related to
    /// it. It must be one that was stored.
    pub fn note_export(&self, size: u64, note: &Note) -> Result<(), JournalError> {
        match &self.place {
            Place::Disk(disk) => disk.appender.store().note_export(size, note),
            Place::Memory(_) => Ok(()),
        }
    }

    /// What the context of each event says about its writer.
    fn writer(&self) -> (String, Value) {
        match self.generation() {
            // Generations count openings: they stay far below 2^53.
            Some(generation) => {
                let value = Integer::try_from(generation).map_or(Value::Null, Value::Integer);
                ("generation".to_owned(), value)
            }
            None => ("dry_run".to_owned(), true.into()),
        }
    }

    /// The number of this writer: grows each time that the log is opened for writing. `None` in a
    /// dry run.
    pub fn generation(&self) -> Option<u64> {
        match &self.place {
            Place::Disk(disk) => Some(disk.generation),
            Place::Memory(_) => None,
        }
    }

    fn chain(&self) -> Chain {
        match &self.place {
            Place::Disk(disk) => disk.appender.chain(),
            Place::Memory(dry) => lock(dry).chain.clone(),
        }
    }

    /// The name of the log, which it has from its first event on.
    pub fn name(&self) -> String {
        self.chain().chain_id
    }

    /// How many events there are.
    pub fn events(&self) -> u64 {
        self.chain().next_sequence
    }

    /// The hash of the last event.
    pub fn last_hash(&self) -> Option<Digest> {
        self.chain().last_hash
    }
}

/// Reads the objects of a log, for whoever folds its events.
pub fn journal_objects(
    place: &LogPlace,
) -> Result<impl Fn(Digest) -> Option<Vec<u8>> + use<>, JournalError> {
    let objects = place.objects()?;
    Ok(move |digest| objects.get(digest).ok())
}

fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

fn new_chain(profile: LogProfile, ids: &dyn IdSource) -> Chain {
    let evidence = profile.evidence.unwrap_or(EvidenceProfile::Baseline);
    Chain::new(ids.next_id().to_string(), profile.hash, evidence)
}
