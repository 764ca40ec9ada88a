//! A table in a temporary file of ours that has no name: it takes disk, not memory, and is gone
//! with the process.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::thread;

use carnet_connect::{RecordRef, StoreError};
use carnet_model::Code;
use memmap2::Mmap;

use super::RowBatches;
use super::columns::TableRows;
use crate::faiss::mapped;
use crate::faiss::rows;

/// A spooled table: rows in the table's order, reached by number.
#[derive(Debug)]
pub(in super::super) struct Spool {
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    first: usize,
    offsets: Vec<u64>,
    bytes: Mmap,
}

/// Writes one part.
pub(super) struct PartWriter {
    first: usize,
    offsets: Vec<u64>,
    file: BufWriter<File>,
    at: u64,
    buffer: Vec<u8>,
}

impl PartWriter {
    pub(super) fn new(first: usize, rows: usize) -> Result<Self, StoreError> {
        let file = BufWriter::with_capacity(1 << 20, tempfile::tempfile().map_err(failed)?);
        Ok(Self { first, offsets: Vec::with_capacity(rows), file, at: 0, buffer: Vec::new() })
    }

    pub(super) fn push(&mut self, record: &RecordRef<'_>) -> Result<(), StoreError> {
        self.buffer.clear();
        rows::encode(record, &mut self.buffer)?;
        self.file.write_all(&self.buffer).map_err(failed)?;
        self.offsets.push(self.at);
        self.at += self.buffer.len() as u64;
        Ok(())
    }

    fn finish(self) -> Result<Part, StoreError> {
        let file = self.file.into_inner().map_err(|error| failed(error.into_error()))?;
        let bytes = mapped::map(&file).map_err(failed)?;
        Ok(Part { first: self.first, offsets: self.offsets, bytes })
    }
}

fn failed(error: std::io::Error) -> StoreError {
    StoreError::io("cannot write a temporary file with the metadata", error)
        .remedy("set TMPDIR to a directory with space for the metadata")
}

impl Spool {
    /// Spools the spans of a table, each in a thread of its own.
    pub(super) fn fill<'t>(
        spans: Vec<Range<usize>>,
        read: &(dyn Fn(Range<usize>) -> Result<RowBatches<'t>, StoreError> + Sync),
    ) -> Result<Self, StoreError> {
        let parts = thread::scope(|scope| {
            let workers: Vec<_> = spans
                .into_iter()
                .map(|span| {
                    scope.spawn(move || {
                        let mut part = PartWriter::new(span.start, span.len())?;
                        for batch in read(span)? {
                            batch?.each(&mut |record| part.push(record))?;
                        }
                        part.finish()
                    })
                })
                .collect();
            workers
                .into_iter()
                .map(|worker| {
                    let panicked = |_| StoreError::new(Code::BUG, "a reader thread panicked");
                    worker.join().map_err(panicked).and_then(|part| part)
                })
                .collect::<Result<Vec<_>, _>>()
        })?;
        Ok(Self { parts })
    }

    /// A spool of one part.
    pub(super) fn of(part: PartWriter) -> Result<Self, StoreError> {
        Ok(Self { parts: vec![part.finish()?] })
    }

    /// A row, its vector empty.
    pub(in super::super) fn row(&self, row: usize) -> Result<RecordRef<'_>, StoreError> {
        let after = self.parts.partition_point(|part| part.first <= row);
        let part = after.checked_sub(1).and_then(|at| self.parts.get(at));
        let found = part.and_then(|part| {
            let offset = usize::try_from(*part.offsets.get(row - part.first)?).ok()?;
            rows::decode(&mut part.bytes.get(offset..)?)
        });
        found
            .map(|row| row.record)
            .ok_or_else(|| StoreError::new(Code::BUG, format!("row {row} was not spooled")))
    }
}

impl TableRows {
    /// Each row as a record with an empty vector.
    fn each(
        &self,
        take: &mut dyn FnMut(&RecordRef<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        (0..self.len()).try_for_each(|row| take(&self.record(row)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_by_number() {
        let mut part = PartWriter::new(0, 3).unwrap();
        for id in ["c", "a", "b"] {
            let record = RecordRef {
                id,
                vector: &[],
                metadata: "{}",
                version: Some(1),
                source_hash: None,
                created_ts: None,
                updated_ts: Some(-1),
            };
            part.push(&record).unwrap();
        }
        let spool = Spool::of(part).unwrap();
        assert_eq!(spool.row(1).unwrap().id, "a");
        assert_eq!(spool.row(2).unwrap().updated_ts, Some(-1));
        assert!(spool.row(3).is_err());
    }
}
