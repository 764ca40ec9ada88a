//! Rows of COPY as records.

use carnet_connect::{RecordRef, Records, RecordsBuilder, StoreError, check_id, shorten};
use carnet_model::{Code, write_canonical_metadata};

use super::error::copy_failed;
use super::sql;
use super::table::Table;
use super::wire::{Row, WireError, read_int64, read_time, read_vector};

/// A batch is cut at this many records or bytes: large enough to be worth a hand-over between
/// threads, small enough to stay in the processor's cache.
const BATCH_RECORDS: usize = 1_024;
const BATCH_BYTES: usize = 2 << 20;

/// Makes batches of records out of rows.
#[derive(Debug)]
pub(super) struct Decoder {
    place: String,
    /// Whether `created_ts` and `updated_ts` are integers of microseconds.
    integer_times: [bool; 2],
    /// The carried columns' names as JSON.
    carried: Vec<String>,
    /// Refuse ids that do not ascend.
    ordered: bool,
    last: String,
    builder: RecordsBuilder,
    vector: Vec<f32>,
    joined: String,
    metadata: String,
}

/// A stream that ended early, or is not what COPY sends.
pub(super) fn wire_failed(place: &str, error: WireError) -> StoreError {
    let what = format!("cannot read {place}");
    match error {
        WireError::Io(error) => copy_failed(what, error),
        error @ WireError::Malformed(_) => {
            StoreError::new(Code::STORE_MALFORMED, what).because(error)
        }
    }
}

fn utf8<'a>(field: &'a [u8], what: &str, place: &str) -> Result<&'a str, StoreError> {
    std::str::from_utf8(field).map_err(|error| {
        StoreError::new(Code::STORE_MALFORMED, format!("{what} of {place} is not UTF-8"))
            .because(error)
    })
}

impl Decoder {
    /// For rows of a table's `select_list`. `ordered`: their ids must ascend.
    pub(super) fn new(table: &Table, dimensions: u32, ordered: bool) -> Self {
        let integer = |column: &Option<super::table::Column>| {
            column.as_ref().is_some_and(|column| column.type_name != "timestamptz")
        };
        let parts = &table.parts;
        Self {
            place: table.place(),
            integer_times: [integer(&parts.created_ts), integer(&parts.updated_ts)],
            carried: table.carried.iter().map(|column| sql::json_text(&column.name)).collect(),
            ordered,
            last: String::new(),
            builder: RecordsBuilder::new(dimensions),
            vector: Vec::with_capacity(dimensions as usize),
            joined: String::new(),
            metadata: String::new(),
        }
    }

    /// Adds a row. Gives a batch when one is full.
    pub(super) fn push(&mut self, mut row: Row<'_>) -> Result<Option<Records>, StoreError> {
        let place = &self.place;
        let wire = |error| wire_failed(place, error);
        let Some(id) = row.field().map_err(wire)? else {
            return Err(StoreError::new(Code::RECORD_ID, format!("a row of {place} has no id"))
                .remedy("give each row an id"));
        };
        let id = utf8(id, "an id", place)?;
        let of = |what: &str| format!("{what} of record {:?} in {place}", shorten(id));
        if self.ordered {
            follows(&self.last, id, place)?;
        }
        let Some(vector) = row.field().map_err(wire)? else {
            return Err(StoreError::new(Code::RECORD_VECTOR, of("the vector") + " is NULL")
                .remedy("embed that record again, or delete it"));
        };
        read_vector(vector, &mut self.vector).map_err(wire)?;
        let metadata = row.field().map_err(wire)?.unwrap_or(b"{}");
        let metadata = utf8(metadata, "metadata", place)?;
        let version = row.field().map_err(wire)?.map(read_int64).transpose().map_err(wire)?;
        let source_hash = match row.field().map_err(wire)? {
            Some(field) => Some(utf8(field, "a source hash", place)?),
            None => None,
        };
        let mut times = [None; 2];
        for (time, integer) in times.iter_mut().zip(self.integer_times) {
            let Some(field) = row.field().map_err(wire)? else { continue };
            let micros = if integer { read_int64(field).map(Some) } else { read_time(field) };
            *time = Some(micros.map_err(wire)?.ok_or_else(|| {
                StoreError::new(Code::RECORD_TIME, of("a time") + " is infinite or out of range")
                    .remedy("set it to NULL or to a moment")
            })?);
        }
        let [created_ts, updated_ts] = times;
        let metadata = if self.carried.is_empty() {
            metadata
        } else {
            join(metadata, &self.carried, &mut row, &mut self.joined, place)?
        };
        self.metadata.clear();
        write_canonical_metadata(metadata, &mut self.metadata)
            .map_err(|error| StoreError::new(error.code(), of("the metadata")).because(error))?;
        let record = RecordRef {
            id,
            vector: &self.vector,
            metadata: &self.metadata,
            version,
            source_hash,
            created_ts,
            updated_ts,
        };
        self.builder.push(&record).map_err(|error| cannot_read(place, error))?;
        if self.ordered {
            self.last.clear();
            self.last.push_str(id);
        }
        if self.builder.len() >= BATCH_RECORDS || self.builder.bytes() >= BATCH_BYTES {
            return self.builder.finish().map(Some);
        }
        Ok(None)
    }

    /// What is left, if anything.
    pub(super) fn finish(&mut self) -> Result<Option<Records>, StoreError> {
        if self.builder.is_empty() { Ok(None) } else { self.builder.finish().map(Some) }
    }
}

/// What a record alone cannot say: where it is.
pub(super) fn cannot_read(place: &str, error: StoreError) -> StoreError {
    StoreError::new(error.code(), format!("cannot read {place}")).because(error)
}

/// Refuses an id that does not come after the last one by bytes.
pub(super) fn follows(last: &str, id: &str, place: &str) -> Result<(), StoreError> {
    check_id(id).map_err(|error| cannot_read(place, error))?;
    match last.cmp(id) {
        std::cmp::Ordering::Less => Ok(()),
        std::cmp::Ordering::Equal => Err(StoreError::new(
            Code::RECORD_DUPLICATE,
            format!("the id {:?} stands twice in {place}", shorten(id)),
        )
        .remedy("give each record an id of its own")),
        std::cmp::Ordering::Greater => Err(StoreError::new(
            Code::STORE_MALFORMED,
            format!("{place} gives {:?} after {:?}", shorten(id), shorten(last)),
        )
        .remedy("the index on the id is damaged: REINDEX it")),
    }
}

/// The metadata with the carried columns under `_columns`. Metadata that already has that key is
/// refused later, as a key that stands twice.
fn join<'j>(
    metadata: &'j str,
    names: &[String],
    row: &mut Row<'_>,
    joined: &'j mut String,
    place: &str,
) -> Result<&'j str, StoreError> {
    joined.clear();
    let whole = metadata.trim_ascii();
    let Some(body) = whole.strip_suffix('}').filter(|body| body.starts_with('{')) else {
        // Not an object: the reader of metadata says so.
        return Ok(metadata);
    };
    let body = body.trim_ascii_end();
    joined.push_str(body);
    let mut any = false;
    for name in names {
        let Some(value) = row.field().map_err(|error| wire_failed(place, error))? else { continue };
        let lead = if any {
            ","
        } else if body.len() > 1 {
            ",\"_columns\":{"
        } else {
            "\"_columns\":{"
        };
        any = true;
        joined.push_str(lead);
        joined.push_str(name);
        joined.push(':');
        joined.push_str(utf8(value, "a column", place)?);
    }
    joined.push_str(if any { "}}" } else { "}" });
    Ok(joined)
}

#[cfg(test)]
mod tests {
    use super::super::table::{Access, Column, Parts};
    use super::super::wire::{RowReader, RowWriter};
    use super::*;

    fn table(carried: &[&str]) -> Table {
        let column = |name: &str| Column { name: name.to_owned(), ..Column::default() };
        Table {
            oid: 1,
            schema: "public".into(),
            name: "docs".into(),
            kind: 'r',
            parts: Parts { id: column("id"), vector: column("embedding"), ..Parts::default() },
            carried: carried.iter().map(|name| column(name)).collect(),
            all: Vec::new(),
            only: None,
            only_value: None,
            access: Access::Index,
            unique: true,
            keyed: true,
        }
    }

    /// Id, vector, metadata and carried values.
    type Sample<'a> = (Option<&'a str>, Option<&'a [f32]>, Option<&'a str>, &'a [Option<&'a str>]);

    /// Decodes rows of one-dimensional vectors.
    fn decode(carried: &[&str], rows: &[Sample<'_>]) -> Result<Records, StoreError> {
        let mut writer = RowWriter::default();
        writer.header();
        for (id, vector, metadata, values) in rows {
            writer.row(u16::try_from(7 + values.len()).unwrap());
            writer.text_option(*id).unwrap();
            match vector {
                Some(vector) => writer.vector(vector).unwrap(),
                None => writer.null(),
            }
            writer.text_option(*metadata).unwrap();
            writer.int64(Some(3));
            writer.null();
            writer.int64(None);
            writer.int64(Some(if *id == Some("infinite") { i64::MAX } else { 0 }));
            for value in *values {
                writer.text_option(*value).unwrap();
            }
        }
        writer.trailer();
        let mut reader = RowReader::new(writer.bytes.as_slice());
        let mut decoder = Decoder::new(&table(carried), 1, true);
        while let Some(row) = reader.next().unwrap() {
            assert!(decoder.push(row)?.is_none());
        }
        Ok(decoder.finish()?.unwrap())
    }

    const ONE: Option<&[f32]> = Some(&[1.0]);

    #[test]
    fn carried_columns_stand_under_one_key() {
        for (metadata, values, wanted) in [
            (
                Some(r#"{"z": 1}"#),
                [Some("1"), Some("\"x\"")],
                r#"{"_columns":{"a":1,"b\"":"x"},"z":1}"#,
            ),
            (Some(" { } "), [None, Some("[1.0]")], r#"{"_columns":{"b\"":[1]}}"#),
            (None, [None, None], "{}"),
        ] {
            let records = decode(&["a", "b\""], &[(Some("i"), ONE, metadata, &values)]).unwrap();
            assert_eq!(records.get(0).unwrap().metadata, wanted);
        }
        let clash = decode(&["a"], &[(Some("i"), ONE, Some(r#"{"_columns":1}"#), &[Some("1")])]);
        assert_eq!(clash.unwrap_err().code(), Code::METADATA_DUPLICATE_KEY);
    }

    #[test]
    fn what_is_not_a_record_is_refused_by_code() {
        let row = |id, vector, metadata| decode(&[], &[(id, vector, metadata, &[])]).unwrap_err();
        let cases = [
            (row(None, ONE, None), Code::RECORD_ID),
            (row(Some(""), ONE, None), Code::RECORD_ID),
            (row(Some("nothing"), None, None), Code::RECORD_VECTOR),
            (row(Some("longer"), Some(&[1.0, 2.0]), None), Code::RECORD_VECTOR),
            (row(Some("infinite"), ONE, None), Code::RECORD_TIME),
            (row(Some("list"), ONE, Some("[]")), Code::METADATA_SYNTAX),
            (
                row(Some("number"), ONE, Some(r#"{"a":0.1234567890123456789}"#)),
                Code::METADATA_NUMBER,
            ),
            (
                decode(&[], &[(Some("a"), ONE, None, &[]), (Some("a"), ONE, None, &[])])
                    .unwrap_err(),
                Code::RECORD_DUPLICATE,
            ),
            (
                decode(&[], &[(Some("b"), ONE, None, &[]), (Some("a"), ONE, None, &[])])
                    .unwrap_err(),
                Code::STORE_MALFORMED,
            ),
        ];
        for (error, code) in cases {
            assert_eq!(error.code(), code, "{error}");
        }
        assert!(row(Some("nothing"), None, None).to_string().contains("nothing"));
    }
}
