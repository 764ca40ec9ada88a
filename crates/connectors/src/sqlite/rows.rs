//! One row as a record, and one record as a row.

use carnet_connect::{RecordRef, RecordsBuilder, StoreError, shorten};
use carnet_model::{Code, canonical_metadata};
use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, Row, params};

use super::schema::Table;

/// Reads the row of `Table::selection` into the batch. `scratch` is kept between rows.
pub(super) fn push_row(
    table: &Table,
    row: &Row<'_>,
    builder: &mut RecordsBuilder,
    scratch: &mut Vec<f32>,
) -> Result<(), StoreError> {
    let id = id_of(table, value(row, 0)?)?;
    read_vector(table, id, value(row, 1)?, scratch)?;
    let metadata = match value(row, 2)? {
        ValueRef::Text(bytes) => {
            let held = text(bytes, Code::METADATA_SYNTAX, "metadata", id)?;
            canonical_metadata(held).map_err(|source| {
                StoreError::new(source.code(), format!("record {:?} cannot be read", shorten(id)))
                    .because(source)
                    .remedy("correct its metadata in the source")
            })?
        }
        // A table of others may leave it empty: that is an object without keys.
        ValueRef::Null => "{}".into(),
        other @ (ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Blob(_)) => {
            return Err(of_type(Code::METADATA_SYNTAX, "metadata", id, other));
        }
    };
    builder.push(&RecordRef {
        id,
        vector: scratch,
        metadata: &metadata,
        version: integer(row, 3, Code::STORE_MALFORMED, "version", id)?,
        source_hash: match value(row, 4)? {
            ValueRef::Null => None,
            ValueRef::Text(bytes) => Some(text(bytes, Code::STORE_MALFORMED, "source_hash", id)?),
            other @ (ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Blob(_)) => {
                return Err(of_type(Code::STORE_MALFORMED, "source_hash", id, other));
            }
        },
        created_ts: integer(row, 5, Code::RECORD_TIME, "created_ts", id)?,
        updated_ts: integer(row, 6, Code::RECORD_TIME, "updated_ts", id)?,
    })
}

fn value<'r>(row: &'r Row<'_>, column: usize) -> Result<ValueRef<'r>, StoreError> {
    row.get_ref(column).map_err(|source| super::failure::failed("cannot read a row", source))
}

/// The id, which must be text.
pub(super) fn id_of<'r>(table: &Table, value: ValueRef<'r>) -> Result<&'r str, StoreError> {
    let wrong = |what: String| {
        Err(StoreError::new(Code::RECORD_ID, format!("a record of {} has {what}", table.name))
            .remedy("give each record an id that is text"))
    };
    match value {
        ValueRef::Text(bytes) => std::str::from_utf8(bytes).or_else(|source| {
            let shown = shorten(&String::from_utf8_lossy(bytes));
            wrong(format!("an id that is not UTF-8: {shown:?}")).map_err(|e| e.because(source))
        }),
        ValueRef::Null => wrong("no id".to_owned()),
        ValueRef::Integer(number) => wrong(format!("the integer {number} as its id")),
        ValueRef::Real(number) => wrong(format!("the number {number} as its id")),
        ValueRef::Blob(_) => wrong("a blob as its id".to_owned()),
    }
}

/// The vector into `out`: exactly the collection's number of little-endian 32-bit floats.
pub(super) fn read_vector(
    table: &Table,
    id: &str,
    value: ValueRef<'_>,
    out: &mut Vec<f32>,
) -> Result<(), StoreError> {
    let wrong = |what: String| {
        StoreError::new(Code::RECORD_VECTOR, format!("record {:?} {what}", shorten(id)))
            .remedy("embed that record again, or delete it in the source")
    };
    out.clear();
    match value {
        ValueRef::Blob(bytes) if bytes.len() == table.dimensions as usize * 4 => {
            let (floats, _) = bytes.as_chunks::<4>();
            out.extend(floats.iter().map(|float| f32::from_le_bytes(*float)));
            Ok(())
        }
        ValueRef::Blob(bytes) => Err(wrong(format!(
            "has a vector of {} bytes; {} dimensions take {}",
            bytes.len(),
            table.dimensions,
            table.dimensions as usize * 4
        ))),
        ValueRef::Null => Err(wrong("has no vector".to_owned())),
        other @ (ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Text(_)) => {
            Err(of_type(Code::RECORD_VECTOR, "vector", id, other))
        }
    }
}

fn integer(
    row: &Row<'_>,
    column: usize,
    code: Code,
    name: &str,
    id: &str,
) -> Result<Option<i64>, StoreError> {
    match value(row, column)? {
        ValueRef::Null => Ok(None),
        ValueRef::Integer(number) => Ok(Some(number)),
        other @ (ValueRef::Real(_) | ValueRef::Text(_) | ValueRef::Blob(_)) => {
            Err(of_type(code, name, id, other))
        }
    }
}

fn text<'r>(bytes: &'r [u8], code: Code, name: &str, id: &str) -> Result<&'r str, StoreError> {
    std::str::from_utf8(bytes).map_err(|source| {
        StoreError::new(code, format!("the {name} of record {:?} is not UTF-8", shorten(id)))
            .because(source)
    })
}

fn of_type(code: Code, name: &str, id: &str, value: ValueRef<'_>) -> StoreError {
    let kind = value.data_type();
    StoreError::new(code, format!("the {name} of record {:?} is of type {kind}", shorten(id)))
}

/// Writes one record. `scratch` is kept between rows.
pub(super) fn write_row(
    statement: &mut CachedStatement<'_>,
    record: &RecordRef<'_>,
    scratch: &mut Vec<u8>,
) -> rusqlite::Result<usize> {
    // As whole chunks the compiler copies them at the speed of memory.
    scratch.resize(record.vector.len() * 4, 0);
    for (bytes, float) in scratch.as_chunks_mut::<4>().0.iter_mut().zip(record.vector) {
        *bytes = float.to_le_bytes();
    }
    statement.execute(params![
        record.id,
        scratch.as_slice(),
        record.metadata,
        record.version,
        record.source_hash,
        record.created_ts,
        record.updated_ts,
    ])
}
