//! Records in memory: Arrow columns with one fixed schema.

use std::sync::Arc;

use arrow_array::builder::{
    FixedSizeListBuilder, Float32Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, FixedSizeListArray, Float32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use carnet_model::Code;

use crate::error::StoreError;

/// The longest id, in bytes. Far above real ids, far below what could exhaust memory.
pub const ID_BYTES_MAX: usize = 65_535;

/// One record, borrowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RecordRef<'a> {
    /// UTF-8, not empty, unique in its collection. Order is by bytes.
    pub id: &'a str,
    /// The vector, bit for bit.
    pub vector: &'a [f32],
    /// Canonical metadata: a JSON object (`carnet_model::canonical_metadata`).
    pub metadata: &'a str,
    /// The owner's version of this record.
    pub version: Option<i64>,
    /// A hash of what was embedded, as the owner wrote it.
    pub source_hash: Option<&'a str>,
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub created_ts: Option<i64>,
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub updated_ts: Option<i64>,
}

/// A batch of records of one collection. Columns, in this order: `id` text, `vector` a list of `d`
/// 32-bit floats, `metadata` text (canonical), and those that may be empty: `version` a 64-bit
/// integer, `source_hash` text, `created_ts` and `updated_ts` times in microseconds UTC.
#[derive(Debug, Clone, PartialEq)]
pub struct Records {
    batch: RecordBatch,
    id: StringArray,
    vector: Float32Array,
    metadata: StringArray,
    version: Int64Array,
    source_hash: StringArray,
    created_ts: TimestampMicrosecondArray,
    updated_ts: TimestampMicrosecondArray,
    dimensions: usize,
}

impl Records {
    /// The Arrow schema for vectors of this length.
    pub fn schema(dimensions: u32) -> SchemaRef {
        let time = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let length = i32::try_from(dimensions).unwrap_or(i32::MAX);
        Arc::new(Schema::new(vec![
            Field::new("id", DataType::Utf8, false),
            Field::new("vector", DataType::FixedSizeList(Arc::new(vector_item()), length), false),
            Field::new("metadata", DataType::Utf8, false),
            Field::new("version", DataType::Int64, true),
            Field::new("source_hash", DataType::Utf8, true),
            Field::new("created_ts", time(), true),
            Field::new("updated_ts", time(), true),
        ]))
    }

    /// Takes a batch of exactly this schema, with no nulls in `id`, `vector` and `metadata`.
    pub fn try_new(batch: RecordBatch) -> Result<Self, StoreError> {
        let wrong = |what: &str| StoreError::new(Code::STORE_MALFORMED, what.to_owned());
        let column = |name: &str| {
            batch.column_by_name(name).ok_or_else(|| wrong(&format!("no column {name}")))
        };
        let text = |name: &str| {
            column(name)?
                .as_string_opt::<i32>()
                .cloned()
                .ok_or_else(|| wrong(&format!("column {name} is not text")))
        };
        let time = |name: &str| {
            column(name)?
                .as_primitive_opt::<TimestampMicrosecondType>()
                .cloned()
                .ok_or_else(|| wrong(&format!("column {name} is not a time in microseconds")))
        };
        let list: FixedSizeListArray = column("vector")?
            .as_fixed_size_list_opt()
            .cloned()
            .ok_or_else(|| wrong("column vector is not a list of fixed size"))?;
        let dimensions = usize::try_from(list.value_length()).unwrap_or(0);
        let values = list
            .values()
            .as_primitive_opt::<Float32Type>()
            .ok_or_else(|| wrong("column vector does not hold 32-bit floats"))?;
        let vector = values.slice(list.value_offset_at(0), list.len() * dimensions);
        let version = column("version")?
            .as_primitive_opt::<Int64Type>()
            .cloned()
            .ok_or_else(|| wrong("column version is not a 64-bit integer"))?;
        let (id, metadata, source_hash) = (text("id")?, text("metadata")?, text("source_hash")?);
        let (created_ts, updated_ts) = (time("created_ts")?, time("updated_ts")?);
        for (name, nulls) in [
            ("id", id.null_count()),
            ("vector", list.null_count() + vector.null_count()),
            ("metadata", metadata.null_count()),
        ] {
            if nulls > 0 {
                return Err(wrong(&format!("column {name} holds {nulls} empty values")));
            }
        }
        Ok(Self {
            batch,
            id,
            vector,
            metadata,
            version,
            source_hash,
            created_ts,
            updated_ts,
            dimensions,
        })
    }

    /// Copies borrowed records into one batch.
    pub fn collect<'a>(
        dimensions: u32,
        records: impl IntoIterator<Item = RecordRef<'a>>,
    ) -> Result<Self, StoreError> {
        let mut builder = RecordsBuilder::new(dimensions);
        for record in records {
            builder.push(&record)?;
        }
        builder.finish()
    }

    /// How many records.
    pub fn len(&self) -> usize {
        self.id.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The length of each vector.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// The record at a position; `None` past the end.
    pub fn get(&self, row: usize) -> Option<RecordRef<'_>> {
        if row >= self.len() {
            return None;
        }
        let start = row * self.dimensions;
        Some(RecordRef {
            id: self.id.value(row),
            vector: self.vector.values().get(start..start + self.dimensions)?,
            metadata: self.metadata.value(row),
            version: self.version.is_valid(row).then(|| self.version.value(row)),
            source_hash: self.source_hash.is_valid(row).then(|| self.source_hash.value(row)),
            created_ts: self.created_ts.is_valid(row).then(|| self.created_ts.value(row)),
            updated_ts: self.updated_ts.is_valid(row).then(|| self.updated_ts.value(row)),
        })
    }

    /// All records in order.
    pub fn iter(&self) -> impl Iterator<Item = RecordRef<'_>> {
        (0..self.len()).filter_map(|row| self.get(row))
    }

    /// Records `offset..offset + len`, without copying.
    pub fn slice(&self, offset: usize, len: usize) -> Result<Self, StoreError> {
        let offset = offset.min(self.len());
        Self::try_new(self.batch.slice(offset, len.min(self.len() - offset)))
    }

    /// The Arrow batch.
    pub fn batch(&self) -> &RecordBatch {
        &self.batch
    }
}

/// Builds one batch, row by row.
#[derive(Debug)]
pub struct RecordsBuilder {
    dimensions: u32,
    id: StringBuilder,
    vector: FixedSizeListBuilder<Float32Builder>,
    metadata: StringBuilder,
    version: Int64Builder,
    source_hash: StringBuilder,
    created_ts: TimestampMicrosecondBuilder,
    updated_ts: TimestampMicrosecondBuilder,
    bytes: usize,
}

impl RecordsBuilder {
    /// An empty batch for vectors of this length.
    pub fn new(dimensions: u32) -> Self {
        let length = i32::try_from(dimensions).unwrap_or(i32::MAX);
        Self {
            dimensions,
            id: StringBuilder::new(),
            vector: FixedSizeListBuilder::new(Float32Builder::new(), length)
                .with_field(vector_item()),
            metadata: StringBuilder::new(),
            version: Int64Builder::new(),
            source_hash: StringBuilder::new(),
            created_ts: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            updated_ts: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            bytes: 0,
        }
    }

    /// Adds a record. Refused: an empty or overlong id (`record.id`), a vector of another length
    /// (`record.vector`).
    pub fn push(&mut self, record: &RecordRef<'_>) -> Result<(), StoreError> {
        check_id(record.id)?;
        if record.vector.len() != self.dimensions as usize {
            return Err(StoreError::new(
                Code::RECORD_VECTOR,
                format!(
                    "record {:?} has {} dimensions, the collection {}",
                    shorten(record.id),
                    record.vector.len(),
                    self.dimensions
                ),
            ));
        }
        self.id.append_value(record.id);
        self.vector.values().append_slice(record.vector);
        self.vector.append(true);
        self.metadata.append_value(record.metadata);
        self.version.append_option(record.version);
        self.source_hash.append_option(record.source_hash);
        self.created_ts.append_option(record.created_ts);
        self.updated_ts.append_option(record.updated_ts);
        self.bytes += record.id.len() + record.vector.len() * 4 + record.metadata.len() + 32;
        Ok(())
    }

    /// How many records so far.
    pub fn len(&self) -> usize {
        arrow_array::builder::ArrayBuilder::len(&self.id)
    }

    /// Whether there are none so far.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// About how many bytes so far: what batch borders are drawn by.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Gives the batch and starts an empty one.
    pub fn finish(&mut self) -> Result<Records, StoreError> {
        self.bytes = 0;
        let batch = RecordBatch::try_new(
            Records::schema(self.dimensions),
            vec![
                Arc::new(self.id.finish()),
                Arc::new(self.vector.finish()),
                Arc::new(self.metadata.finish()),
                Arc::new(self.version.finish()),
                Arc::new(self.source_hash.finish()),
                Arc::new(self.created_ts.finish()),
                Arc::new(self.updated_ts.finish()),
            ],
        )
        .map_err(|error| StoreError::new(Code::BUG, "cannot build a batch").because(error))?;
        Records::try_new(batch)
    }
}

fn vector_item() -> Field {
    Field::new("item", DataType::Float32, false)
}

/// Refuses an id that is empty or beyond `ID_BYTES_MAX`.
pub fn check_id(id: &str) -> Result<(), StoreError> {
    match id.len() {
        0 => Err(StoreError::new(Code::RECORD_ID, "a record has an empty id")
            .remedy("give each record an id; nothing was changed")),
        1..=ID_BYTES_MAX => Ok(()),
        long => Err(StoreError::new(
            Code::RECORD_ID,
            format!("the id that starts with {:?} has {long} bytes", shorten(id)),
        )
        .remedy(format!("use ids of at most {ID_BYTES_MAX} bytes"))),
    }
}

/// An id as errors show it: at most 60 characters.
pub fn shorten(id: &str) -> String {
    let mut shown: String = id.chars().take(60).collect();
    if shown.len() < id.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record<'a>(id: &'a str, vector: &'a [f32]) -> RecordRef<'a> {
        RecordRef {
            id,
            vector,
            metadata: "{}",
            version: Some(1),
            source_hash: None,
            created_ts: None,
            updated_ts: Some(-1),
        }
    }

    #[test]
    fn what_goes_in_comes_out_bit_for_bit() {
        let vector = [-0.0f32, f32::MIN_POSITIVE, f32::NAN];
        let records = Records::collect(3, [record("a", &vector), record("b", &vector)]).unwrap();
        let second = records.slice(1, 9).unwrap();
        assert_eq!((records.len(), second.len()), (2, 1));
        let seen = second.get(0).unwrap();
        assert_eq!(seen.id, "b");
        let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(seen.vector), bits(&vector));
        assert_eq!((seen.version, seen.source_hash, seen.updated_ts), (Some(1), None, Some(-1)));
        assert!(second.get(1).is_none());
    }

    #[test]
    fn a_builder_counts_and_starts_again() {
        let mut builder = RecordsBuilder::new(1);
        assert!(builder.is_empty());
        builder.push(&record("a", &[1.0])).unwrap();
        assert_eq!(builder.len(), 1);
        assert_eq!(builder.finish().unwrap().len(), 1);
        assert!(builder.is_empty() && builder.finish().unwrap().is_empty());
    }

    #[test]
    fn bad_ids_and_lengths_are_refused_by_code() {
        let mut builder = RecordsBuilder::new(2);
        let long = "x".repeat(ID_BYTES_MAX + 1);
        let cases = [
            (builder.push(&record("", &[0.0, 0.0])), Code::RECORD_ID),
            (builder.push(&record(&long, &[0.0, 0.0])), Code::RECORD_ID),
            (builder.push(&record("a", &[0.0])), Code::RECORD_VECTOR),
        ];
        for (result, code) in cases {
            assert_eq!(result.unwrap_err().code(), code);
        }
        assert!(builder.is_empty());
    }
}
