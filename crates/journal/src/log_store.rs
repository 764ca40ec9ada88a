//! What keeps a log: rows in, rows out. What they mean is for others.

use std::fmt::Debug;

use carnet_ledger::{Chain, Digest, EvidenceProfile, HashProfile, Note};

use crate::error::{JournalError, TreeDamage};
use crate::tree::Tile;

/// What a log was made with. It stays so for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogMade {
    /// The log's id, the same in each of its events.
    pub chain_id: String,
    /// How its events are hashed.
    pub hash_profile: HashProfile,
    /// Which profile of evidence it promises.
    pub evidence_profile: EvidenceProfile,
}

/// Which stored checkpoint is wanted, by its size.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Which {
    /// The one of this size.
    Exactly(u64),
    /// The first of at least this size.
    From(u64),
    /// The last of at most this size.
    To(u64),
    /// The last of at most this size that was exported.
    ExportedTo(u64),
}

/// A database that keeps one log. Whoever writes to it has the number that `take_over` gave; each
/// transaction compares it, so that a writer that was replaced is refused by the database itself.
pub(crate) trait LogStore: Debug + Send {
    /// What the log was made with; `None` where nothing was made yet.
    fn made(&mut self) -> Result<Option<LogMade>, JournalError>;

    /// Makes an empty log.
    fn make(&mut self, new: &Chain) -> Result<LogMade, JournalError>;

    /// Brings a log of a format before into the one that is written, in one transaction. Its
    /// events, which must have been verified, stay as they are to the byte.
    fn migrate(&mut self) -> Result<(), JournalError>;

    /// Takes a log of so many events over: every earlier writer is refused from now on. `holder`
    /// says to others who has it.
    fn take_over(&mut self, events: u64, holder: &str) -> Result<u64, JournalError>;

    /// Whether the writer with this number may still write, and nobody else can begin to.
    fn check_lease(&self, mine: u64) -> Result<(), JournalError>;

    /// Stores all of it in one transaction, durable when it returns. A writer that lost its
    /// generation is refused.
    fn add(&mut self, mine: u64, addition: &Addition<'_>) -> Result<(), JournalError>;

    /// Marks a stored checkpoint as one that was exported, and keeps it as it is now.
    fn note_export(&mut self, mine: u64, size: u64, note: &str) -> Result<(), JournalError>;

    /// A stored checkpoint.
    fn checkpoint(&self, which: Which) -> Result<Option<Signed>, JournalError>;

    /// How many events there are: one more than the last sequence number.
    fn count(&self) -> Result<u64, JournalError>;

    /// From now on and until the moment is over, all that is read is of one moment.
    fn begin_moment(&self) -> Result<(), JournalError>;

    /// The moment is over.
    fn end_moment(&self);

    /// The first stored events of a range, in order: about a megabyte of them. Rows that are missing
    /// are passed over.
    fn page(&self, range: (i64, i64)) -> Result<Page, JournalError>;

    /// The bytes of one event.
    fn event(&self, sequence: u64) -> Result<Option<Vec<u8>>, JournalError>;

    /// The hashes of a tile; `None` where it is not stored.
    fn tile(&self, level: u8, index: u64) -> Result<Option<Vec<Digest>>, JournalError>;

    /// How many tiles are stored.
    fn tiles(&self) -> Result<u64, JournalError>;

    /// Whether the log has a tree: one of the first format has none.
    fn has_tree(&self) -> bool;

    /// Lets a file have so many pages, as a disk that is full would.
    #[cfg(test)]
    fn limit(&self, _pages: i64) {}
}

/// The hashes in the stored bytes of a tile.
pub(crate) fn hashes(bytes: &[u8]) -> Vec<Digest> {
    bytes.as_chunks().0.iter().map(|hash| Digest(*hash)).collect()
}

/// What one transaction adds.
#[derive(Default)]
pub(crate) struct Addition<'a> {
    /// Sequence numbers and stored bytes.
    pub(crate) events: &'a [(u64, Vec<u8>)],
    /// The tiles that these events complete, and the open ones above them.
    pub(crate) tiles: &'a [Tile],
    /// A checkpoint: its size and the signed note.
    pub(crate) checkpoint: Option<(u64, String)>,
}

/// A page has about so many bytes.
const PAGE_BYTES: usize = 1 << 20;

/// Stored events that follow on each other.
#[derive(Debug, Default)]
pub(crate) struct Page {
    bytes: Vec<u8>,
    /// The sequence number of each event, and where its bytes end.
    ends: Vec<(i64, usize)>,
    /// Where the next page begins; `None` behind the last.
    pub(crate) next: Option<i64>,
}

impl Page {
    /// Whether it has as many bytes as a page should have.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= PAGE_BYTES
    }

    pub(crate) fn push(&mut self, sequence: i64, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.ends.push((sequence, self.bytes.len()));
    }

    /// The sequence number and the bytes of each event.
    pub(crate) fn events(&self) -> impl Iterator<Item = (i64, &[u8])> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|(_, end)| *end));
        starts.zip(&self.ends).map(|(start, (sequence, end))| {
            (*sequence, self.bytes.get(start..*end).unwrap_or_default())
        })
    }
}

/// A stored checkpoint.
pub(crate) struct Signed {
    pub(crate) size: u64,
    /// The signed note.
    pub(crate) text: String,
}

impl Signed {
    pub(crate) fn note(&self) -> Result<Note, JournalError> {
        let damage = TreeDamage::Checkpoint { size: self.size };
        Note::parse(self.text.as_bytes()).map_err(|_| JournalError::Tree(damage))
    }
}

/// Sequence numbers and sizes count events: they stay far below 2^63.
pub(crate) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
