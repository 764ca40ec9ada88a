//! Walking id-ordered streams record by record, and joining two of them.

use carnet_model::Code;

use crate::error::StoreError;
use crate::records::{RecordRef, Records, RecordsBuilder, shorten};
use crate::repository::RecordStream;

/// Batches made by joining are cut at this many records or bytes.
const BATCH_RECORDS: usize = 4_096;
const BATCH_BYTES: usize = 8 << 20;

/// A stream looked at one record at a time. Ids must ascend strictly: an id that stands twice is
/// `record.duplicate`, one that steps back is `store.malformed`.
pub struct RowCursor<'s> {
    stream: Box<dyn RecordStream + 's>,
    batch: Option<Records>,
    row: usize,
    last: Option<String>,
}

impl<'s> RowCursor<'s> {
    /// Stands at the first record.
    pub fn new(stream: Box<dyn RecordStream + 's>) -> Result<Self, StoreError> {
        let mut cursor = Self { stream, batch: None, row: 0, last: None };
        cursor.fill()?;
        Ok(cursor)
    }

    /// The record at the cursor; `None` at the end.
    pub fn current(&self) -> Option<RecordRef<'_>> {
        self.batch.as_ref()?.get(self.row)
    }

    /// Steps to the next record.
    pub fn advance(&mut self) -> Result<(), StoreError> {
        let Some(batch) = &self.batch else { return Ok(()) };
        self.row += 1;
        let (Some(left), Some(next)) = (batch.get(self.row - 1), batch.get(self.row)) else {
            self.last = batch.get(self.row - 1).map(|record| record.id.to_owned());
            return self.fill();
        };
        ascending(left.id, next.id)
    }

    fn fill(&mut self) -> Result<(), StoreError> {
        self.row = 0;
        loop {
            self.batch = self.stream.next()?;
            match &self.batch {
                Some(batch) if batch.is_empty() => {}
                _ => break,
            }
        }
        match (&self.last, self.current()) {
            (Some(last), Some(next)) => ascending(last, next.id),
            _ => Ok(()),
        }
    }
}

fn ascending(left: &str, right: &str) -> Result<(), StoreError> {
    match left.cmp(right) {
        std::cmp::Ordering::Less => Ok(()),
        std::cmp::Ordering::Equal => Err(StoreError::new(
            Code::RECORD_DUPLICATE,
            format!("the id {:?} stands twice", shorten(left)),
        )
        .remedy("give each record an id of its own")),
        std::cmp::Ordering::Greater => Err(StoreError::new(
            Code::STORE_MALFORMED,
            format!("the ids {:?} and {:?} are out of order", shorten(left), shorten(right)),
        )),
    }
}

/// Two id-ordered streams as one; where both hold an id, the second one's record counts.
pub struct MergedStream<'s> {
    base: RowCursor<'s>,
    over: RowCursor<'s>,
    dimensions: u32,
}

impl<'s> MergedStream<'s> {
    /// Lays `over` on `base`.
    pub fn new(
        base: Box<dyn RecordStream + 's>,
        over: Box<dyn RecordStream + 's>,
        dimensions: u32,
    ) -> Result<Self, StoreError> {
        Ok(Self { base: RowCursor::new(base)?, over: RowCursor::new(over)?, dimensions })
    }
}

impl RecordStream for MergedStream<'_> {
    fn next(&mut self) -> Result<Option<Records>, StoreError> {
        let mut builder = RecordsBuilder::new(self.dimensions);
        while builder.len() < BATCH_RECORDS && builder.bytes() < BATCH_BYTES {
            match (self.base.current(), self.over.current()) {
                (Some(base), over) if over.is_none_or(|over| base.id < over.id) => {
                    builder.push(&base)?;
                    self.base.advance()?;
                }
                (base, Some(over)) => {
                    let both = base.is_some_and(|base| base.id == over.id);
                    builder.push(&over)?;
                    self.over.advance()?;
                    if both {
                        self.base.advance()?;
                    }
                }
                (_, None) => break,
            }
        }
        if builder.is_empty() { Ok(None) } else { builder.finish().map(Some) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::batches;

    fn stream(ids: &[(&str, i64)]) -> Box<dyn RecordStream> {
        let records = Records::collect(
            1,
            ids.iter().map(|(id, version)| RecordRef {
                id,
                vector: &[0.0],
                metadata: "{}",
                version: Some(*version),
                source_hash: None,
                created_ts: None,
                updated_ts: None,
            }),
        )
        .unwrap();
        Box::new(batches(vec![records.slice(0, 1).unwrap(), records.slice(1, 99).unwrap()]))
    }

    #[test]
    fn the_upper_stream_wins_and_nothing_is_lost() {
        let base = stream(&[("a", 1), ("b", 1), ("d", 1)]);
        let over = stream(&[("b", 2), ("c", 2), ("e", 2)]);
        let mut merged = MergedStream::new(base, over, 1).unwrap();
        let batch = merged.next().unwrap().unwrap();
        let seen: Vec<_> = batch.iter().map(|r| (r.id.to_owned(), r.version.unwrap())).collect();
        let wanted = [("a", 1), ("b", 2), ("c", 2), ("d", 1), ("e", 2)];
        assert_eq!(seen, wanted.map(|(id, version)| (id.to_owned(), version)));
        assert!(merged.next().unwrap().is_none());
    }

    #[test]
    fn duplicates_and_steps_back_are_told_apart() {
        for (ids, code) in [
            ([("a", 1), ("a", 1), ("b", 1)], Code::RECORD_DUPLICATE),
            ([("a", 1), ("b", 1), ("b", 1)], Code::RECORD_DUPLICATE),
            ([("b", 1), ("a", 1), ("c", 1)], Code::STORE_MALFORMED),
        ] {
            let mut cursor = RowCursor::new(stream(&ids)).unwrap();
            let error = cursor.advance().and_then(|()| cursor.advance()).unwrap_err();
            assert_eq!(error.code(), code);
        }
    }
}
