//! The journal: one append-only, hash-chained log per state directory. The state of a run is a
//! fold over it, and it is the evidence: there is no second place in which to record what
//! happened.

mod database;
mod error;
mod lock;
mod objects;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use carnet_ledger::{
    Chain, Digest, Event, EventDraft, EvidenceProfile, HashProfile, Integer, Sealed, Value,
    Verifier,
};

pub use error::JournalError;
pub(crate) use error::io_code;

use crate::source::{Clock, IdSource};
use database::Database;
use lock::Lock;
use objects::Objects;

/// What a log is made with, where there is none yet. A log that exists keeps its own.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogProfile {
    /// How its events are hashed.
    pub hash: HashProfile,
    /// Which profile of evidence it promises.
    pub evidence: Option<EvidenceProfile>,
}

/// The end of a log, open for one writer.
pub struct Journal {
    chain: Chain,
    place: Place,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
}

/// Where events go.
enum Place {
    /// A state directory, held by its lock.
    Disk { database: Database, objects: Objects, private: Objects, generation: u64, _lock: Lock },
    /// Nowhere: a dry run.
    Memory { events: Vec<Vec<u8>>, objects: BTreeMap<Digest, Vec<u8>> },
}

/// A log that was read from its first event to its last, and holds.
#[derive(Debug, Clone)]
pub struct Log {
    /// The events, in order.
    pub events: Vec<Event>,
    /// The hash of the last one.
    pub last_hash: Option<Digest>,
}

impl Journal {
    /// Opens the log of a state directory for writing, makes it where there is none, and computes
    /// its whole chain again. Refused while another process holds it.
    pub fn open(
        dir: &Path,
        profile: LogProfile,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Result<(Self, Log), JournalError> {
        std::fs::create_dir_all(dir).map_err(|source| JournalError::Io {
            doing: "make",
            path: dir.to_owned(),
            source,
        })?;
        let mut lock = Lock::take(dir)?;
        let mut database = Database::open(dir)?;
        let new = new_chain(profile, ids.as_ref());
        let made = database.made(Some(&new))?;
        let log = read(&database, made.hash_profile)?;
        let generation = database.take_over()?;
        lock.note(generation).map_err(|source| JournalError::Io {
            doing: "write",
            path: dir.join("lock"),
            source,
        })?;
        let chain = Chain {
            next_sequence: log.events.len() as u64,
            last_hash: log.last_hash,
            ..Chain::new(made.chain_id, made.hash_profile, made.evidence_profile)
        };
        let (objects, private) = (Objects::new(dir), Objects::private(dir));
        let place = Place::Disk { database, objects, private, generation, _lock: lock };
        Ok((Self { chain, place, clock, ids }, log))
    }

    /// A log in memory, for a dry run.
    pub fn in_memory(profile: LogProfile, clock: Arc<dyn Clock>, ids: Arc<dyn IdSource>) -> Self {
        let chain = new_chain(profile, ids.as_ref());
        let place = Place::Memory { events: Vec::new(), objects: BTreeMap::new() };
        Self { chain, place, clock, ids }
    }

    /// Reads the log of a state directory beside its writer; `None` where there is none.
    pub fn read(dir: &Path) -> Result<Option<Log>, JournalError> {
        if !Database::exists(dir) {
            return Ok(None);
        }
        let mut database = Database::open_read_only(dir)?;
        let made = database.made(None)?;
        Ok(Some(read(&database, made.hash_profile)?))
    }

    /// Reads an object of a state directory beside its writer.
    pub fn read_object(dir: &Path, digest: Digest) -> Result<Vec<u8>, JournalError> {
        Objects::new(dir).get(digest)
    }

    /// Stores the bytes of an object; durable when it returns.
    pub fn put(&mut self, bytes: &[u8]) -> Result<Digest, JournalError> {
        match &mut self.place {
            Place::Disk { objects, .. } => objects.put(bytes),
            Place::Memory { objects, .. } => {
                let digest = Digest::of(bytes);
                objects.insert(digest, bytes.to_owned());
                Ok(digest)
            }
        }
    }

    /// Stores bytes that an undo needs and that must not become evidence.
    pub fn put_private(&mut self, bytes: &[u8]) -> Result<Digest, JournalError> {
        match &self.place {
            Place::Disk { private, .. } => private.put(bytes),
            Place::Memory { .. } => self.put(bytes),
        }
    }

    /// The bytes that `put_private` stored.
    pub fn private(&self, digest: Digest) -> Result<Vec<u8>, JournalError> {
        match &self.place {
            Place::Disk { private, .. } => private.get(digest),
            Place::Memory { .. } => self.object(digest),
        }
    }

    /// Stores a value as an object, in its RFC 8785 form.
    pub fn put_value(&mut self, value: &Value) -> Result<Digest, JournalError> {
        self.put(HashProfile::Rfc8785Sha256V1.canonical(value).as_bytes())
    }

    /// The bytes of an object.
    pub fn object(&self, digest: Digest) -> Result<Vec<u8>, JournalError> {
        match &self.place {
            Place::Disk { objects, .. } => objects.get(digest),
            Place::Memory { objects, .. } => {
                objects.get(&digest).cloned().ok_or(JournalError::ObjectMissing(digest))
            }
        }
    }

    /// Appends events in one transaction: all of them are durable when it returns, or none is
    /// written. The objects that they point to must have been put before.
    pub fn append(&mut self, drafts: Vec<EventDraft>) -> Result<Vec<Event>, JournalError> {
        let mut chain = self.chain.clone();
        let mut sealed = Vec::with_capacity(drafts.len());
        for mut draft in drafts {
            match self.generation() {
                Some(generation) => {
                    // Generations count openings: they stay far below 2^53.
                    let value = Integer::try_from(generation).map_or(Value::Null, Value::Integer);
                    draft.context.insert("generation".to_owned(), value);
                }
                None => {
                    draft.context.insert("dry_run".to_owned(), true.into());
                }
            }
            let one = chain.seal(draft, self.ids.next_id(), self.clock.now())?;
            chain.accept(&one.event)?;
            sealed.push(one);
        }
        self.store(&sealed)?;
        self.chain = chain;
        Ok(sealed.into_iter().map(|one| one.event).collect())
    }

    fn store(&mut self, sealed: &[Sealed]) -> Result<(), JournalError> {
        match &mut self.place {
            Place::Disk { database, generation, .. } => {
                let rows: Vec<_> = sealed
                    .iter()
                    .map(|one| (one.event.sequence, one.bytes.as_slice(), one.event.event_hash))
                    .collect();
                database.append(*generation, &rows)
            }
            Place::Memory { events, .. } => {
                events.extend(sealed.iter().map(|one| one.bytes.clone()));
                Ok(())
            }
        }
    }

    /// The number of this writer: grows each time that the log is opened for writing. `None` in a
    /// dry run.
    pub fn generation(&self) -> Option<u64> {
        match &self.place {
            Place::Disk { generation, .. } => Some(*generation),
            Place::Memory { .. } => None,
        }
    }

    /// How many events there are.
    pub fn events(&self) -> u64 {
        self.chain.next_sequence
    }

    /// The hash of the last event.
    pub fn last_hash(&self) -> Option<Digest> {
        self.chain.last_hash
    }
}

fn new_chain(profile: LogProfile, ids: &dyn IdSource) -> Chain {
    let evidence = profile.evidence.unwrap_or(EvidenceProfile::Baseline);
    Chain::new(ids.next_id().to_string(), profile.hash, evidence)
}

fn read(database: &Database, profile: HashProfile) -> Result<Log, JournalError> {
    let mut verifier = Verifier::new(profile);
    let mut events = Vec::new();
    database.each_event(|bytes| {
        verifier.check(&bytes).map_err(JournalError::Damaged)?;
        let sequence = events.len() as u64;
        events
            .push(Event::parse(&bytes).map_err(|source| JournalError::Event { sequence, source })?);
        Ok(())
    })?;
    Ok(Log { events, last_hash: verifier.finish().last_hash })
}
