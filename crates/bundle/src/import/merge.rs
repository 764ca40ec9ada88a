//! Laying a source over a target that has records of its own.

use std::cmp::Ordering;

use carnet_connect::{
    ContentFacts, RecordRef, RecordStream, Records, RecordsBuilder, RowCursor, StoreError, shorten,
};
use carnet_model::plan::ImportMode;

use crate::difference::same;
use crate::facts::note;
use crate::import::plan::ImportCounts;
use crate::leaves::RangeLeaves;
use crate::record::record_leaf;

/// Batches are cut at this many records or bytes.
const BATCH_RECORDS: usize = 1_024;
const BATCH_BYTES: usize = 4 << 20;

/// What becomes of an id that both sides have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Both are the same.
    Unchanged,
    /// The source's version is higher.
    Overwritten,
    /// The target's version is higher.
    Kept,
    /// Other content where none may win.
    Conflict,
}

fn fate(mode: ImportMode, source: &RecordRef<'_>, target: &RecordRef<'_>) -> Fate {
    if same(source, target) {
        return Fate::Unchanged;
    }
    match mode {
        ImportMode::Append => Fate::Conflict,
        // A record without a version is older than any that has one.
        ImportMode::Upsert => match source.version.cmp(&target.version) {
            Ordering::Greater => Fate::Overwritten,
            Ordering::Less => Fate::Kept,
            Ordering::Equal => Fate::Conflict,
        },
        ImportMode::Replace => Fate::Overwritten,
    }
}

/// The records of a range that must be written so that the target holds the union, as a stream. On
/// the way it learns what the range holds afterwards.
pub(crate) struct MergeWrites<'s> {
    source: RowCursor<'s>,
    target: RowCursor<'s>,
    mode: ImportMode,
    dimensions: u32,
    pub(crate) outcome: MergeOutcome,
}

/// What laying one range over another does.
#[derive(Debug, Default)]
pub(crate) struct MergeOutcome {
    /// The leaves of the union.
    pub(crate) leaves: RangeLeaves,
    /// What happens to how many records.
    pub(crate) counts: ImportCounts,
    /// What is known of the records to write.
    pub(crate) facts: ContentFacts,
    /// The first id in conflict.
    pub(crate) conflict: Option<String>,
    /// How many ids are in conflict.
    pub(crate) conflicts: u64,
}

impl<'s> MergeWrites<'s> {
    pub(crate) fn new(
        source: Box<dyn RecordStream + 's>,
        target: Box<dyn RecordStream + 's>,
        mode: ImportMode,
        dimensions: u32,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            source: RowCursor::new(source)?,
            target: RowCursor::new(target)?,
            mode,
            dimensions,
            outcome: MergeOutcome::default(),
        })
    }

    /// Looks at the next id of either side, and puts its record into the batch if it is to be
    /// written. `false` at the end.
    fn step(&mut self, batch: &mut RecordsBuilder) -> Result<bool, StoreError> {
        let outcome = &mut self.outcome;
        let mut write = |record: &RecordRef<'_>| {
            note(&mut outcome.facts, record);
            batch.push(record)
        };
        let (from_source, from_target, leaf) = match (self.source.current(), self.target.current())
        {
            (Some(source), target) if target.is_none_or(|target| source.id < target.id) => {
                outcome.counts.added += 1;
                write(&source)?;
                (true, false, record_leaf(&source))
            }
            (Some(source), Some(target)) if source.id == target.id => {
                let winner = match fate(self.mode, &source, &target) {
                    Fate::Unchanged => {
                        outcome.counts.unchanged += 1;
                        target
                    }
                    Fate::Kept => {
                        outcome.counts.kept += 1;
                        target
                    }
                    Fate::Overwritten => {
                        outcome.counts.overwritten += 1;
                        write(&source)?;
                        source
                    }
                    Fate::Conflict => {
                        outcome.conflicts += 1;
                        outcome.conflict.get_or_insert_with(|| shorten(source.id));
                        target
                    }
                };
                (true, true, record_leaf(&winner))
            }
            (_, Some(target)) => (false, true, record_leaf(&target)),
            (_, None) => return Ok(false),
        };
        outcome.leaves.push(leaf);
        if from_source {
            self.source.advance()?;
        }
        if from_target {
            self.target.advance()?;
        }
        Ok(true)
    }
}

impl RecordStream for MergeWrites<'_> {
    fn next(&mut self) -> Result<Option<Records>, StoreError> {
        let mut batch = RecordsBuilder::new(self.dimensions);
        while batch.len() < BATCH_RECORDS && batch.bytes() < BATCH_BYTES {
            if !self.step(&mut batch)? {
                break;
            }
        }
        if batch.is_empty() { Ok(None) } else { batch.finish().map(Some) }
    }
}
