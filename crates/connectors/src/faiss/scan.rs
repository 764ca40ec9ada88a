//! Streams of records: rows of the table, each with its vector.

use std::ops::Range;
use std::sync::Arc;

use carnet_connect::{RecordRef, RecordStream, Records, RecordsBuilder, StoreError};
use carnet_model::Code;

use super::collection::Collection;
use super::order::Order;
use super::slots::Slots;
use super::table::{RowBatches, Spool};

/// Records per batch from the spool.
const BATCH_RECORDS: usize = 2_048;
const BATCH_BYTES: usize = 8 << 20;

/// A stream over one collection. At its end it makes sure that the files are still those that it
/// read.
pub(super) struct Scan<'c> {
    collection: &'c Collection,
    slots: Arc<Slots>,
    source: Source<'c>,
    over: bool,
}

enum Source<'c> {
    /// Batches of the table, with the numbers of their rows.
    Table(RowBatches<'c>, Box<dyn Iterator<Item = usize> + Send + 'c>),
    /// Ranks of an order, or rows where there is none.
    Spool(Arc<Spool>, Option<Arc<Order>>, Range<usize>),
}

impl<'c> Scan<'c> {
    pub(super) fn of_table(
        collection: &'c Collection,
        slots: Arc<Slots>,
        batches: RowBatches<'c>,
        rows: impl IntoIterator<Item = usize, IntoIter: Send + 'c>,
    ) -> Self {
        let source = Source::Table(batches, Box::new(rows.into_iter()));
        Self { collection, slots, source, over: false }
    }

    pub(super) fn of_spool(
        collection: &'c Collection,
        slots: Arc<Slots>,
        spool: Arc<Spool>,
        order: Option<Arc<Order>>,
        ranks: Range<usize>,
    ) -> Self {
        Self { collection, slots, source: Source::Spool(spool, order, ranks), over: false }
    }

    fn advance(&mut self) -> Result<Option<Records>, StoreError> {
        let (collection, slots) = (self.collection, self.slots.as_ref());
        let dimensions = collection.contract.dimensions;
        match &mut self.source {
            Source::Table(batches, numbers) => {
                let Some(rows) = batches.next().transpose()? else {
                    return match numbers.next() {
                        None => Ok(None),
                        Some(row) => Err(StoreError::new(
                            Code::STORE_MALFORMED,
                            format!("the metadata ends before row {row}"),
                        )),
                    };
                };
                let numbers = numbers.by_ref().take(rows.len());
                let vectors = vectors(collection, slots, numbers, rows.len())?;
                rows.with_vectors(dimensions, vectors).map(Some)
            }
            Source::Spool(spool, order, ranks) => {
                let mut builder = RecordsBuilder::new(dimensions);
                let mut vector = Vec::with_capacity(collection.index.dimensions());
                while builder.len() < BATCH_RECORDS && builder.bytes() < BATCH_BYTES {
                    let Some(rank) = ranks.next() else { break };
                    let row = order.as_ref().map_or(rank, |order| order.row(rank));
                    vector.clear();
                    collection.gather(slots.of(row), &mut vector)?;
                    builder.push(&RecordRef { vector: &vector, ..spool.row(row)? })?;
                }
                if builder.is_empty() { Ok(None) } else { builder.finish().map(Some) }
            }
        }
    }
}

/// The vectors of these rows, one after another.
fn vectors(
    collection: &Collection,
    slots: &Slots,
    mut rows: impl Iterator<Item = usize>,
    count: usize,
) -> Result<Vec<f32>, StoreError> {
    let mut out = Vec::with_capacity(count * collection.index.dimensions());
    rows.try_for_each(|row| collection.gather(slots.of(row), &mut out))?;
    Ok(out)
}

impl RecordStream for Scan<'_> {
    fn next(&mut self) -> Result<Option<Records>, StoreError> {
        if self.over {
            return Ok(None);
        }
        let next = self.collection.checked(self.advance());
        if !matches!(next, Ok(Some(_))) {
            self.over = true;
        }
        if matches!(next, Ok(None)) {
            self.collection.ensure_unchanged()?;
        }
        next
    }
}
