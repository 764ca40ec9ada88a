//! Records as rows of COPY, in the columns of our table.

use std::io::Write as _;

use carnet_connect::{IdRange, RecordRef, RecordStream, Records, StoreError, check_id, shorten};
use carnet_model::Code;
use half::f16;
use postgres::GenericClient;

use super::error::{copy_failed, failed};
use super::wire::{RowWriter, WireError};

/// Rows are handed to the connection in pieces of about this many bytes.
const PIECE: usize = 256 << 10;

/// The columns that rows are written for.
pub(super) const COLUMNS: &str =
    "id, embedding, metadata, version, source_hash, created_ts, updated_ts";

/// What records must be like to be written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'r> {
    pub(super) place: &'r str,
    pub(super) dimensions: u32,
    /// The target holds 16-bit floats: a value that they do not hold exactly is refused.
    pub(super) half: bool,
    pub(super) range: &'r IdRange,
}

impl Rules<'_> {
    fn check(&self, record: &RecordRef<'_>) -> Result<(), StoreError> {
        let id = record.id;
        check_id(id)?;
        let of = |what: &str| format!("{what} record {:?} for {}", shorten(id), self.place);
        if !self.range.contains(id) {
            let what = format!("record {:?} is outside of the range {}", shorten(id), self.range);
            return Err(StoreError::new(Code::BUG, what));
        }
        if id.contains('\0') {
            return Err(StoreError::new(Code::LOSS, of("U+0000 in the id of"))
                .remedy("change the id in the source, or choose another target"));
        }
        if record.vector.iter().any(|value| !value.is_finite()) {
            return Err(StoreError::new(Code::LOSS, of("NaN or infinity in the vector of"))
                .remedy("embed that record again, or choose another target"));
        }
        let exact = |value: &f32| f16::from_f32(*value).to_f32().to_bits() == value.to_bits();
        if self.half && !record.vector.iter().all(exact) {
            return Err(StoreError::new(Code::LOSS, of("a value that 16 bits do not hold in"))
                .remedy("change the column to vector, or choose another table"));
        }
        Ok(())
    }

    /// A batch whose vectors have another length.
    pub(super) fn check_dimensions(&self, records: &Records) -> Result<(), StoreError> {
        if records.dimensions() == self.dimensions as usize {
            return Ok(());
        }
        let first = records.get(0).map(|record| shorten(record.id)).unwrap_or_default();
        Err(StoreError::new(
            Code::RECORD_VECTOR,
            format!(
                "record {first:?} has {} dimensions, {} has {}",
                records.dimensions(),
                self.place,
                self.dimensions
            ),
        ))
    }
}

fn write(rows: &mut RowWriter, record: &RecordRef<'_>) -> Result<bool, WireError> {
    rows.row(7);
    rows.text(record.id)?;
    rows.vector(record.vector)?;
    rows.jsonb(record.metadata)?;
    rows.int64(record.version);
    rows.text_option(record.source_hash)?;
    Ok(rows.time(record.created_ts) && rows.time(record.updated_ts))
}

/// Copies a stream into a table with our columns; gives how many records. After an error the
/// client's transaction must be undone.
pub(super) fn copy_in(
    client: &mut impl GenericClient,
    target: &str,
    rules: Rules<'_>,
    records: &mut dyn RecordStream,
) -> Result<u64, StoreError> {
    let what = || format!("cannot write {}", rules.place);
    let copy = format!("COPY {target} ({COLUMNS}) FROM STDIN (FORMAT binary)");
    let mut writer = client.copy_in(copy.as_str()).map_err(|error| failed(what(), error))?;
    let mut rows = RowWriter::default();
    rows.bytes.reserve(PIECE + PIECE / 8);
    rows.header();
    let mut count = 0;
    while let Some(batch) = records.next()? {
        rules.check_dimensions(&batch)?;
        for record in batch.iter() {
            rules.check(&record)?;
            let fits = write(&mut rows, &record)
                .map_err(|error| StoreError::new(Code::LOSS, what()).because(error))?;
            if !fits {
                let what =
                    format!("record {:?} has a time beyond PostgreSQL's", shorten(record.id));
                return Err(StoreError::new(Code::RECORD_TIME, what));
            }
            if rows.bytes.len() >= PIECE {
                writer.write_all(&rows.bytes).map_err(|error| copy_failed(what(), error))?;
                rows.bytes.clear();
            }
        }
        count += batch.len() as u64;
    }
    rows.trailer();
    writer.write_all(&rows.bytes).map_err(|error| copy_failed(what(), error))?;
    let written = writer.finish().map_err(|error| failed(what(), error))?;
    if written == count {
        return Ok(count);
    }
    Err(StoreError::new(
        Code::STORE_FAILED,
        format!("{} took {written} of {count} records", rules.place),
    )
    .remedy("look for triggers or rules on the table"))
}
