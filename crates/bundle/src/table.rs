//! Reading the Parquet files of a snapshot. They are foreign input: every number is checked before
//! it is believed, and every failure is an error that names the file.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, FixedSizeListArray, Float32Array, RecordBatch};
use arrow_schema::DataType;
use bytes::Bytes;
use carnet_connect::{IdRange, RecordStream, Records, StoreError};
use carnet_model::Code;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::statistics::Statistics;

use crate::columns::{BLOCK_ROWS, Table};
use crate::vectors::{VectorPages, vector_leaf};

/// No row group that is read has more rows: ours have 8,192.
const GROUP_ROWS_MAX: i64 = 1 << 20;

/// Rows that are decoded at a time.
const BATCH_ROWS: usize = BLOCK_ROWS;

/// A file that several threads read at once, each at places of its own.
#[derive(Clone)]
struct Shared {
    file: Arc<File>,
    bytes: u64,
}

struct SharedAt {
    shared: Shared,
    at: u64,
}

impl Read for SharedAt {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.shared.file.read_at(buffer, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl Length for Shared {
    fn len(&self) -> u64 {
        self.bytes
    }
}

impl ChunkReader for Shared {
    type T = BufReader<SharedAt>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(BufReader::with_capacity(4_096, SharedAt { shared: self.clone(), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        // Nothing is allocated for a length that the file does not have.
        let end = start.checked_add(length as u64);
        if end.is_none_or(|end| end > self.bytes) {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} are not there")));
        }
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, start)?;
        Ok(bytes.into())
    }
}

/// An open Parquet file of a snapshot.
#[derive(Clone)]
pub(crate) struct TableReader {
    path: PathBuf,
    file: Shared,
    metadata: ArrowReaderMetadata,
    groups: usize,
    /// The vectors' length, and where they are if they can be read straight from the pages.
    dimensions: u32,
    vectors: Option<usize>,
}

/// Runs code of the Parquet library over foreign bytes. The library has asserted on damaged files
/// before; here that is an error like any other.
fn guarded<T>(
    path: &Path,
    read: impl FnOnce() -> Result<T, ParquetError>,
) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            Err(malformed(path, "is not the Parquet file of a snapshot").because(error))
        }
        Err(_) => Err(malformed(path, "is a Parquet file that cannot be decoded")),
    }
}

fn malformed(path: &Path, what: &str) -> StoreError {
    StoreError::new(Code::SNAPSHOT_MALFORMED, format!("{} {what}", path.display()))
        .remedy("check the snapshot with `carnet snapshot verify`")
}

impl TableReader {
    /// Opens a file and checks that it has the columns of this table.
    pub(crate) fn open(path: &Path, table: Table, dimensions: u32) -> Result<Self, StoreError> {
        let opened = || {
            let file = File::open(path)?;
            let bytes = file.metadata()?.len();
            Ok(Shared { file: Arc::new(file), bytes })
        };
        let file = opened()
            .map_err(|error| StoreError::io(format!("cannot read {}", path.display()), error))?;
        let metadata =
            guarded(path, || ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()))?;
        let expected = table.schema(dimensions);
        let held = metadata.schema();
        let same = held.fields().len() == expected.fields().len()
            && held.fields().iter().zip(expected.fields()).all(|(held, expected)| {
                held.name() == expected.name() && held.data_type() == expected.data_type()
            });
        if !same {
            return Err(malformed(path, &format!("does not have the columns of {table:?}")));
        }
        let groups = metadata.metadata().row_groups();
        for group in groups {
            if !(0..=GROUP_ROWS_MAX).contains(&group.num_rows()) {
                return Err(malformed(path, &format!("has a row group of {}", group.num_rows())));
            }
        }
        let groups = groups.len();
        let vectors = vector_leaf(&metadata).filter(|_| table == Table::Embeddings);
        Ok(Self { path: path.to_owned(), file, metadata, groups, dimensions, vectors })
    }

    /// How many row groups.
    pub(crate) fn groups(&self) -> usize {
        self.groups
    }

    /// How many rows, by the row groups.
    pub(crate) fn rows(&self) -> u64 {
        let groups = self.metadata.metadata().row_groups();
        groups.iter().map(|group| u64::try_from(group.num_rows()).unwrap_or(0)).sum()
    }

    /// How many rows one row group says it has.
    pub(crate) fn group_rows(&self, group: usize) -> u64 {
        let groups = self.metadata.metadata().row_groups();
        groups.get(group).map_or(0, |group| u64::try_from(group.num_rows()).unwrap_or(0))
    }

    /// A lower bound of the ids of a row group, and an upper one; `None` where the file has none.
    pub(crate) fn bounds(&self, group: usize) -> Option<(&str, &str)> {
        let column = self.metadata.metadata().row_groups().get(group)?.columns().first()?;
        let Some(Statistics::ByteArray(bounds)) = column.statistics() else { return None };
        let (min, max) = (bounds.min_bytes_opt()?, bounds.max_bytes_opt()?);
        Some((std::str::from_utf8(min).ok()?, std::str::from_utf8(max).ok()?))
    }

    /// The row groups that may hold ids of a range.
    pub(crate) fn groups_of(&self, range: &IdRange) -> Vec<usize> {
        let may_hold = |group: &usize| match self.bounds(*group) {
            None => true,
            Some((min, max)) => {
                range.from.as_deref().is_none_or(|from| from <= max)
                    && range.to.as_deref().is_none_or(|to| min < to)
            }
        };
        (0..self.groups).filter(may_hold).collect()
    }

    /// The rows of these groups, batch by batch.
    pub(crate) fn read(&self, groups: Vec<usize>) -> Result<TableRows, StoreError> {
        let schema = self.metadata.parquet_schema();
        let leaves = (0..schema.num_columns()).filter(|leaf| Some(*leaf) != self.vectors);
        let columns = ProjectionMask::leaves(schema, leaves);
        let vectors = self.vectors.map(|leaf| {
            let (file, metadata) = (Arc::new(self.file.clone()), self.metadata.clone());
            let dimensions = usize::try_from(self.dimensions).unwrap_or(usize::MAX);
            VectorPages::new(file, metadata, leaf, dimensions, groups.clone())
        });
        let reader = guarded(&self.path, || {
            ParquetRecordBatchReaderBuilder::new_with_metadata(
                self.file.clone(),
                self.metadata.clone(),
            )
            .with_batch_size(BATCH_ROWS)
            .with_row_groups(groups)
            .with_projection(columns)
            .build()
        })?;
        let path = self.path.clone();
        Ok(TableRows { path, reader: Some(reader), vectors, dimensions: self.dimensions })
    }

    /// The records of a range, from these groups. Only for tables of whole records.
    pub(crate) fn records(
        &self,
        groups: Vec<usize>,
        range: IdRange,
    ) -> Result<TableRecords, StoreError> {
        Ok(TableRecords { rows: self.read(groups)?, range, last: String::new() })
    }
}

/// Rows of a table as they stand in the file.
pub(crate) struct TableRows {
    path: PathBuf,
    reader: Option<ParquetRecordBatchReader>,
    vectors: Option<VectorPages<Shared>>,
    dimensions: u32,
}

impl TableRows {
    /// The name of the file.
    pub(crate) fn file(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// The next rows. After an error there are no more.
    pub(crate) fn next(&mut self) -> Result<Option<RecordBatch>, StoreError> {
        let Some(reader) = &mut self.reader else { return Ok(None) };
        let (vectors, dimensions) = (&mut self.vectors, self.dimensions);
        let next = guarded(&self.path, || {
            let Some(rows) = reader.next().transpose()? else { return Ok(None) };
            match vectors {
                None => Ok(Some(rows)),
                Some(vectors) => {
                    let elements = vectors.take(rows.num_rows())?;
                    with_vectors(&rows, elements, dimensions).map(Some)
                }
            }
        });
        if !matches!(next, Ok(Some(_))) {
            self.reader = None;
        }
        next
    }
}

/// Puts the vectors where the schema of records has them.
fn with_vectors(
    rows: &RecordBatch,
    elements: Vec<f32>,
    dimensions: u32,
) -> ParquetResult<RecordBatch> {
    let schema = Records::schema(dimensions);
    let values: ArrayRef = Arc::new(Float32Array::from(elements));
    let columns = schema.fields().iter().map(|field| {
        if let DataType::FixedSizeList(item, length) = field.data_type() {
            let (item, values) = (Arc::clone(item), Arc::clone(&values));
            let list = FixedSizeListArray::try_new(item, *length, values, None)?;
            return Ok(Arc::new(list) as ArrayRef);
        }
        let missing = || ParquetError::General(format!("no column {}", field.name()));
        rows.column_by_name(field.name()).cloned().ok_or_else(missing)
    });
    let columns = columns.collect::<ParquetResult<Vec<_>>>()?;
    Ok(RecordBatch::try_new(Arc::clone(&schema), columns)?)
}

/// The records of a range. Their order is checked, because the file was written elsewhere.
pub(crate) struct TableRecords {
    rows: TableRows,
    range: IdRange,
    last: String,
}

impl TableRecords {
    fn check_order(&mut self, records: &Records) -> Result<(), StoreError> {
        let mut last = self.last.as_str();
        for record in records.iter() {
            if record.id <= last {
                return Err(malformed(
                    &self.rows.path,
                    &format!("does not have its ids in ascending order at {:?}", record.id),
                ));
            }
            last = record.id;
        }
        self.last = last.to_owned();
        Ok(())
    }
}

impl RecordStream for TableRecords {
    fn next(&mut self) -> Result<Option<Records>, StoreError> {
        loop {
            let Some(batch) = self.rows.next()? else { return Ok(None) };
            let path = &self.rows.path;
            let records = Records::try_new(batch).map_err(|error| {
                malformed(path, "holds rows that are no records").because(error)
            })?;
            self.check_order(&records)?;
            let begin = match &self.range.from {
                None => 0,
                Some(from) => position(&records, |id| id < from.as_str()),
            };
            let end = match &self.range.to {
                None => records.len(),
                Some(to) => position(&records, |id| id < to.as_str()),
            };
            if begin < end {
                return records.slice(begin, end - begin).map(Some);
            }
        }
    }
}

/// How many leading ids fit; the ids ascend.
fn position(records: &Records, fits: impl Fn(&str) -> bool) -> usize {
    let (mut low, mut high) = (0, records.len());
    while low < high {
        let middle = usize::midpoint(low, high);
        if records.get(middle).is_some_and(|record| fits(record.id)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}
