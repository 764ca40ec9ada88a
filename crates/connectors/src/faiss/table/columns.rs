//! From the columns that a table has to the columns that records have.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::builder::{Int64Builder, StringBuilder, TimestampMicrosecondBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{
    Array, ArrayRef, FixedSizeListArray, Float32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Schema};
use carnet_connect::{RecordRef, Records, StoreError, check_id, shorten};
use carnet_model::Code;

use super::{json, value};

pub(super) const FAISS_ID: &str = "faiss_id";
const FIELDS: [&str; 6] = ["id", "metadata", "version", "source_hash", "created_ts", "updated_ts"];

/// Records without their vectors: what a table of metadata holds of consecutive rows.
#[derive(Debug, Clone)]
pub(in super::super) struct TableRows {
    id: StringArray,
    metadata: StringArray,
    version: Int64Array,
    source_hash: StringArray,
    created_ts: TimestampMicrosecondArray,
    updated_ts: TimestampMicrosecondArray,
}

impl TableRows {
    /// How many rows.
    pub(in super::super) fn len(&self) -> usize {
        self.id.len()
    }

    /// A row as a record with an empty vector. It must be one of the rows.
    pub(super) fn record(&self, row: usize) -> RecordRef<'_> {
        let some = |valid: bool, value: i64| valid.then_some(value);
        RecordRef {
            id: self.id.value(row),
            vector: &[],
            metadata: self.metadata.value(row),
            version: some(self.version.is_valid(row), self.version.value(row)),
            source_hash: self.source_hash.is_valid(row).then(|| self.source_hash.value(row)),
            created_ts: some(self.created_ts.is_valid(row), self.created_ts.value(row)),
            updated_ts: some(self.updated_ts.is_valid(row), self.updated_ts.value(row)),
        }
    }

    /// Joins the rows with their vectors.
    pub(in super::super) fn with_vectors(
        self,
        dimensions: u32,
        vectors: Vec<f32>,
    ) -> Result<Records, StoreError> {
        let bug = |error| StoreError::new(Code::BUG, "cannot build a batch").because(error);
        let schema = Records::schema(dimensions);
        let (DataType::FixedSizeList(item, length), true) =
            (schema.field(1).data_type(), schema.fields().len() == 7)
        else {
            return Err(StoreError::new(Code::BUG, "records have another schema"));
        };
        let values: ArrayRef = Arc::new(Float32Array::from(vectors));
        let list = FixedSizeListArray::try_new(item.clone(), *length, values, None).map_err(bug)?;
        let batch = RecordBatch::try_new(
            schema,
            vec![
                Arc::new(self.id),
                Arc::new(list),
                Arc::new(self.metadata),
                Arc::new(self.version),
                Arc::new(self.source_hash),
                Arc::new(self.created_ts),
                Arc::new(self.updated_ts),
            ],
        )
        .map_err(bug)?;
        Records::try_new(batch)
    }
}

/// Which columns of a table are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chosen {
    /// Positions of the columns that become records.
    pub(super) positions: Vec<usize>,
    /// Names of those among them that travel in the metadata.
    pub(super) carried: Vec<String>,
    /// Whether there is a column of FAISS ids.
    pub(super) faiss_id: bool,
}

/// Whether a column has a field of its own in records.
pub(super) fn is_field(name: &str) -> bool {
    FIELDS.contains(&name)
}

/// Chooses the columns of a table: all but those to drop, of which those with a field of their own
/// stay. Refused: a table whose columns cannot become records.
pub(super) fn choose(schema: &Schema, drop: &[String]) -> Result<Chosen, StoreError> {
    let wrong = |what: String| StoreError::new(Code::TABLE_COLUMN, what);
    if schema.column_with_name("id").is_none() {
        let held: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        return Err(wrong(format!("no column id among {}", held.join(", ")))
            .remedy("name the column with each record's id `id`"));
    }
    let mut chosen = Chosen { positions: Vec::new(), carried: Vec::new(), faiss_id: false };
    for (at, field) in schema.fields().iter().enumerate() {
        let (name, kind) = (field.name().as_str(), field.data_type());
        if schema.fields().iter().take(at).any(|other| other.name() == name) {
            return Err(wrong(format!("the column {name} stands twice")));
        }
        chosen.faiss_id |= name == FAISS_ID && kind.is_integer();
        if !is_field(name) && drop.iter().any(|dropped| dropped == name) {
            continue;
        }
        let fits = match name {
            "id" => kind == &DataType::Utf8 || kind.is_integer(),
            "metadata" => {
                kind == &DataType::Utf8
                    || matches!(kind, DataType::Null | DataType::Struct(_) | DataType::Map(..))
                        && value::is_representable(kind, 0)
            }
            "source_hash" => matches!(kind, DataType::Utf8 | DataType::Null),
            "version" => kind.is_integer() || kind == &DataType::Null,
            FAISS_ID => kind.is_integer(),
            "created_ts" | "updated_ts" => {
                matches!(kind, DataType::Timestamp(..) | DataType::Int64 | DataType::Null)
            }
            _ => value::is_representable(kind, 0),
        };
        if !fits {
            return Err(wrong(format!("the column {name} is of type {kind}"))
                .remedy("convert the column, or name it under `drop`"));
        }
        chosen.positions.push(at);
        if !is_field(name) {
            chosen.carried.push(name.to_owned());
        }
    }
    Ok(chosen)
}

/// Converts a batch whose schema was judged. `first` is the number of its first row, for errors.
pub(super) fn convert(batch: &RecordBatch, first: usize) -> Result<TableRows, StoreError> {
    let column = |name: &str| batch.column_by_name(name);
    let id = ids(column("id"), batch.num_rows(), first)?;
    for row in 0..id.len() {
        check_id(id.value(row)).map_err(|error| at_row(first + row, error))?;
    }
    Ok(TableRows {
        metadata: metadata(batch, &id, first)?,
        version: integers(column("version"), "version", &id, first)?,
        source_hash: column("source_hash")
            .and_then(|column| column.as_string_opt::<i32>().cloned())
            .unwrap_or_else(|| StringArray::new_null(batch.num_rows())),
        created_ts: times(column("created_ts"), "created_ts", &id)?,
        updated_ts: times(column("updated_ts"), "updated_ts", &id)?,
        id,
    })
}

/// The ids of a batch as text.
pub(super) fn ids(
    column: Option<&ArrayRef>,
    rows: usize,
    first: usize,
) -> Result<StringArray, StoreError> {
    let missing =
        |row: usize| at_row(first + row, StoreError::new(Code::RECORD_ID, "a record has no id"));
    let column = column.filter(|column| column.len() == rows).ok_or_else(|| missing(0))?;
    if let Some(row) = (0..rows).find(|row| column.is_null(*row)) {
        return Err(missing(row));
    }
    if let Some(text) = column.as_string_opt::<i32>() {
        return Ok(text.clone());
    }
    let mut text = StringBuilder::new();
    for row in 0..rows {
        text.append_value(integer(column, row).ok_or_else(|| missing(row))?.to_string());
    }
    Ok(text.finish())
}

fn at_row(row: usize, error: StoreError) -> StoreError {
    StoreError::new(error.code(), format!("row {row} of the metadata")).because(error)
}

/// Whole numbers of any width.
#[expect(clippy::wildcard_enum_match_arm, reason = "every other type is no integer")]
fn integer(column: &ArrayRef, row: usize) -> Option<i128> {
    macro_rules! value {
        ($kind:ty) => {
            Some(i128::from(column.as_primitive::<$kind>().value(row)))
        };
    }
    match column.data_type() {
        DataType::Int8 => value!(Int8Type),
        DataType::Int16 => value!(Int16Type),
        DataType::Int32 => value!(Int32Type),
        DataType::Int64 => value!(Int64Type),
        DataType::UInt8 => value!(UInt8Type),
        DataType::UInt16 => value!(UInt16Type),
        DataType::UInt32 => value!(UInt32Type),
        DataType::UInt64 => value!(UInt64Type),
        _ => None,
    }
}

/// The column of FAISS ids: whole numbers, none absent.
pub(super) fn faiss_ids(column: &ArrayRef, first: usize) -> Result<Vec<i64>, StoreError> {
    (0..column.len())
        .map(|row| {
            let value = if column.is_null(row) { None } else { integer(column, row) };
            value.and_then(|value| i64::try_from(value).ok()).ok_or_else(|| {
                StoreError::new(
                    Code::FAISS_ROWS,
                    format!("row {} of the metadata has no usable {FAISS_ID}", first + row),
                )
                .remedy("give each row the id that its vector has in the index")
            })
        })
        .collect()
}

fn integers(
    column: Option<&ArrayRef>,
    name: &str,
    id: &StringArray,
    first: usize,
) -> Result<Int64Array, StoreError> {
    let Some(column) = column.filter(|column| column.data_type() != &DataType::Null) else {
        return Ok(Int64Array::new_null(id.len()));
    };
    if let Some(same) = column.as_primitive_opt::<Int64Type>() {
        return Ok(same.clone());
    }
    let mut out = Int64Builder::new();
    for row in 0..column.len() {
        if column.is_null(row) {
            out.append_null();
            continue;
        }
        let value = integer(column, row).and_then(|value| i64::try_from(value).ok());
        out.append_value(value.ok_or_else(|| {
            let what = format!("the {name} of record {:?} is too large", shorten(id.value(row)));
            at_row(first + row, StoreError::new(Code::STORE_MALFORMED, what))
        })?);
    }
    Ok(out.finish())
}

fn times(
    column: Option<&ArrayRef>,
    name: &str,
    id: &StringArray,
) -> Result<TimestampMicrosecondArray, StoreError> {
    let mut out = TimestampMicrosecondBuilder::new().with_timezone("UTC");
    let Some(column) = column.filter(|column| column.data_type() != &DataType::Null) else {
        (0..id.len()).for_each(|_| out.append_null());
        return Ok(out.finish());
    };
    for row in 0..column.len() {
        if column.is_null(row) {
            out.append_null();
            continue;
        }
        let micros = if let DataType::Timestamp(unit, _) = column.data_type() {
            value::micros(column, row, *unit)
        } else {
            Ok(column.as_primitive::<Int64Type>().value(row))
        };
        out.append_value(micros.map_err(|what| {
            let id = shorten(id.value(row));
            StoreError::new(Code::RECORD_TIME, format!("{name} of record {id:?} is {what}"))
                .remedy("round the times to microseconds")
        })?);
    }
    Ok(out.finish())
}

/// Canonical metadata: the column `metadata`, with every column that has no field of its own.
fn metadata(
    batch: &RecordBatch,
    id: &StringArray,
    first: usize,
) -> Result<StringArray, StoreError> {
    let held = batch.column_by_name("metadata");
    let schema = batch.schema_ref();
    let extras: Vec<(String, &ArrayRef)> = schema
        .fields()
        .iter()
        .zip(batch.columns())
        .filter(|(field, _)| !is_field(field.name()))
        .map(|(field, column)| (json::quoted(field.name()), column))
        .collect();
    if let Some(text) = held.and_then(|column| column.as_string_opt::<i32>())
        && extras.is_empty()
        && all_canonical(text, id, first)?
    {
        return Ok(text.clone());
    }
    let mut out = StringBuilder::new();
    for row in 0..batch.num_rows() {
        let id = id.value(row);
        let text = match held {
            Some(column) if column.is_valid(row) => {
                let text = column.as_string_opt::<i32>().map(|text| Cow::Borrowed(text.value(row)));
                let text = match text {
                    Some(text) => text,
                    None => Cow::Owned(as_json(column, "metadata", id, row)?),
                };
                json::canonical(&text, id, first + row)?.into_owned()
            }
            _ => "{}".to_owned(),
        };
        if extras.is_empty() {
            out.append_value(text);
            continue;
        }
        let columns = extras
            .iter()
            .map(|(name, column)| Ok((name.clone(), as_json(column, name, id, row)?)))
            .collect::<Result<Vec<_>, StoreError>>()?;
        out.append_value(json::with_columns(&text, &columns, id, first + row)?);
    }
    Ok(out.finish())
}

/// Whether a column of metadata needs no change, as in every file that Carnet wrote.
fn all_canonical(text: &StringArray, id: &StringArray, first: usize) -> Result<bool, StoreError> {
    for row in 0..text.len() {
        let same = text.is_valid(row)
            && matches!(
                json::canonical(text.value(row), id.value(row), first + row)?,
                Cow::Borrowed(_)
            );
        if !same {
            return Ok(false);
        }
    }
    Ok(true)
}

fn as_json(column: &ArrayRef, name: &str, id: &str, row: usize) -> Result<String, StoreError> {
    let mut text = String::new();
    value::write(column, row, &mut text).map_err(|what| {
        let what = format!("the column {name} of record {:?} holds {what}", shorten(id));
        StoreError::new(Code::TABLE_UNMAPPED, what)
            .remedy("convert the column, or name it under `drop`")
    })?;
    Ok(text)
}
