//! Reading a log beside its writer.

use std::ops::Range;

use carnet_ledger::{Digest, Event, HashTiles, Note, TILE_WIDTH, leaf_hash, root_of};

use crate::error::JournalError;
use crate::log_store::{LogMade, LogStore, Signed, Which, integer};
use crate::objects::Objects;
use crate::place::LogPlace;
use crate::walk::walk;

/// A log as it was when it was opened, for reading. A writer that works beside it is not
/// disturbed, and what it appends later is not seen.
///
/// Nothing is verified unless `verify` is called: the other answers are what is stored.
#[derive(Debug)]
pub struct LogReader {
    database: Box<dyn LogStore>,
    objects: Objects,
    made: LogMade,
    size: u64,
}

/// The end of a log that was verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogEnd {
    /// How many events there are.
    pub events: u64,
    /// The hash of the last one.
    pub last_hash: Option<Digest>,
    /// The RFC 6962 root over all of them.
    pub root: Digest,
}

impl LogReader {
    /// Opens the log of a state directory, or another place; `None` where there is none.
    pub fn open(place: impl Into<LogPlace>) -> Result<Option<Self>, JournalError> {
        let place = place.into();
        let Some(mut database) = place.read()? else { return Ok(None) };
        let Some(made) = database.made()? else { return Ok(None) };
        let size = database.count()?;
        Ok(Some(Self { database, objects: place.objects()?, made, size }))
    }

    /// What the log was made with.
    pub fn made(&self) -> &LogMade {
        &self.made
    }

    /// How many events there were when it was opened.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Computes the whole chain and its tree again, up to the events of this moment, and calls
    /// with each event once it and all before it hold. What the calls have built counts only if
    /// the answer is the end.
    pub fn verify<E: From<JournalError>>(
        &self,
        fold: &mut dyn FnMut(&Event) -> Result<(), E>,
    ) -> Result<LogEnd, E> {
        let end = walk(self.database.as_ref(), &self.made, None, fold)?;
        let (events, root) = (end.tree.size(), end.tree.root());
        Ok(LogEnd { events, last_hash: end.last_hash, root })
    }

    /// Calls with the sequence number and the stored bytes of each event of a range, in order,
    /// until one call fails. Every event of the range must be there.
    pub fn each_event<E: From<JournalError>>(
        &self,
        range: Range<u64>,
        mut take: impl FnMut(u64, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        if range.end > self.size {
            return Err(JournalError::EventMissing(self.size.max(range.start)).into());
        }
        let (mut next, to) = (range.start, integer(range.end));
        let mut from = Some(integer(range.start));
        while let Some(first) = from {
            let page = self.database.page((first, to))?;
            for (sequence, bytes) in page.events() {
                if sequence != integer(next) {
                    return Err(JournalError::EventMissing(next).into());
                }
                take(next, bytes)?;
                next += 1;
            }
            from = page.next;
        }
        if next < range.end { Err(JournalError::EventMissing(next).into()) } else { Ok(()) }
    }

    /// The stored bytes of one event.
    pub fn event(&self, sequence: u64) -> Result<Vec<u8>, JournalError> {
        let found = if sequence < self.size { self.database.event(sequence)? } else { None };
        found.ok_or(JournalError::EventMissing(sequence))
    }

    /// The bytes of an object, checked against its name.
    pub fn object(&self, digest: Digest) -> Result<Vec<u8>, JournalError> {
        self.objects.get(digest)
    }

    /// The last stored checkpoint of at most this size, with its size; without one, of all that
    /// there was.
    pub fn checkpoint_at_most(
        &self,
        size: Option<u64>,
    ) -> Result<Option<(u64, Note)>, JournalError> {
        let size = size.unwrap_or(self.size).min(self.size);
        told(self.database.checkpoint(Which::To(size))?)
    }

    /// The last checkpoint that left with an export, with its size.
    pub fn last_exported(&self) -> Result<Option<(u64, Note)>, JournalError> {
        told(self.database.checkpoint(Which::ExportedTo(self.size))?)
    }
}

fn told(found: Option<Signed>) -> Result<Option<(u64, Note)>, JournalError> {
    found.map(|found| Ok((found.size, found.note()?))).transpose()
}

impl HashTiles for LogReader {
    type Error = JournalError;

    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<Digest>, JournalError> {
        let width = usize::from(width.min(TILE_WIDTH));
        if let Some(mut stored) = self.database.tile(level, index)?
            && stored.len() >= width
        {
            stored.truncate(width);
            return Ok(stored);
        }
        let first =
            index.checked_mul(u64::from(TILE_WIDTH)).ok_or(JournalError::EventMissing(index))?;
        let end = first.saturating_add(width as u64);
        let mut hashes = Vec::with_capacity(width);
        match level.checked_sub(1) {
            None => self.each_event(first..end, |_, bytes| {
                hashes.push(leaf_hash(bytes));
                Ok::<_, JournalError>(())
            })?,
            Some(below) => {
                for tile in first..end {
                    hashes.push(root_of(self.tile(below, tile, TILE_WIDTH)?));
                }
            }
        }
        Ok(hashes)
    }
}
