//! Makes the files of a collection from a stream of records, and puts them in the place of the old
//! ones. The vectors pass through.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use carnet_connect::{Progress, RecordStream, Records, StoreError, shorten};
use carnet_model::{Code, CollectionContract, Metric, Normalisation};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::collection::file_metric;
use super::format::{FlatWriter, Layout, MAX_DIMENSIONS, Metric as FileMetric};
use super::place::{CONTRACT, Exchange, INDEX, PARQUET, Place, SQLITE, cannot, remove, sync_dir};
use super::table::faiss_id;
use super::view::GROUP_ROWS;

/// Gives the records of a collection in byte order of id, from the start, each time.
pub(super) type Source<'s> = dyn Fn() -> Result<Box<dyn RecordStream + 's>, StoreError> + Sync + 's;

/// The metric of the index file. Refused: a contract that no index file can stand for.
pub(super) fn metric_of(contract: &CollectionContract) -> Result<FileMetric, StoreError> {
    let name = &contract.name;
    if !(1..=MAX_DIMENSIONS).contains(&contract.dimensions) {
        let what = format!("{name} has {} dimensions", contract.dimensions);
        return Err(StoreError::new(Code::STORE_UNSUPPORTED, what)
            .remedy(format!("FAISS stores take 1 to {MAX_DIMENSIONS} dimensions")));
    }
    let Some(metric) = contract.metric else {
        return Err(StoreError::new(
            Code::STORE_UNSUPPORTED,
            format!(
                "the metric of {name} is not declared, and an index file cannot be without one"
            ),
        )
        .remedy("state the metric in the contract of the collection"));
    };
    let unit = contract.normalisation == Some(Normalisation::UnitLength);
    file_metric(metric, unit).ok_or_else(|| {
        StoreError::new(
            Code::STORE_UNSUPPORTED,
            format!("{name} compares by {}, which FAISS does not have", Metric::Cosine),
        )
        .remedy(
            "state `normalisation: unit_length` if the vectors have unit length: cosine is then \
             stored as inner product; otherwise choose another target",
        )
    })
}

/// What a collection will hold, counted before it is written.
struct Count {
    records: u64,
    /// The FAISS id of each record, if each has one and no two are equal.
    ids: Option<Vec<i64>>,
}

/// Writes the files of a collection into a directory, durably.
pub(super) fn assemble(
    dir: &Path,
    contract: &CollectionContract,
    records: Option<u64>,
    source: &Source<'_>,
    progress: &dyn Progress,
) -> Result<(), StoreError> {
    let failed = |error| StoreError::io(cannot("make", dir), error);
    if dir.exists() {
        fs::remove_dir_all(dir).map_err(failed)?;
    }
    fs::create_dir_all(dir).map_err(failed)?;
    let count = match records {
        Some(records) => Count { records, ids: None },
        None => count(source)?,
    };
    let index = dir.join(INDEX);
    let table = dir.join(PARQUET);
    thread::scope(|scope| {
        let vectors = scope.spawn(|| write_index(&index, contract, &count, source, progress));
        let metadata = write_metadata(&table, contract, count.ids.is_some(), source, progress);
        let panicked = |_| StoreError::new(Code::BUG, "a writer thread panicked");
        vectors.join().map_err(panicked).and_then(|written| written)?;
        metadata
    })?;
    let path = dir.join(CONTRACT);
    let mut text = serde_json::to_vec_pretty(contract)
        .map_err(|error| StoreError::new(Code::BUG, "cannot write a contract").because(error))?;
    text.push(b'\n');
    fs::write(&path, text)
        .and_then(|()| File::open(&path)?.sync_all())
        .map_err(|error| StoreError::io(cannot("write", &path), error))?;
    sync_dir(dir)
}

fn count(source: &Source<'_>) -> Result<Count, StoreError> {
    let (mut records, mut all) = (0, Some(Vec::new()));
    let mut stream = source()?;
    while let Some(batch) = stream.next()? {
        records += batch.len() as u64;
        for record in batch.iter() {
            match (faiss_id(record.metadata), &mut all) {
                (Some(id), Some(ids)) => ids.push(id),
                _ => all = None,
            }
        }
    }
    let unique = |ids: &Vec<i64>| {
        let mut sorted = ids.clone();
        sorted.sort_unstable();
        sorted.iter().zip(sorted.iter().skip(1)).all(|(a, b)| a != b)
    };
    Ok(Count { records, ids: all.filter(|ids| !ids.is_empty() && unique(ids)) })
}

fn write_index(
    path: &Path,
    contract: &CollectionContract,
    count: &Count,
    source: &Source<'_>,
    progress: &dyn Progress,
) -> Result<(), StoreError> {
    let failed = |error: io::Error| StoreError::io(cannot("write", path), error);
    let job = progress.job(&format!("{} {INDEX}", contract.name), "records", Some(count.records));
    let asked = contract.index.as_ref().and_then(|index| index.parameters.get("id_map"));
    let layout = Layout {
        metric: metric_of(contract)?,
        dimensions: contract.dimensions,
        len: count.records,
        ids: count.ids.is_some() || asked.is_some_and(|asked| *asked != 0),
    };
    let file = BufWriter::with_capacity(1 << 20, File::create(path).map_err(failed)?);
    let mut writer = FlatWriter::new(file, layout).map_err(failed)?;
    let mut stream = source()?;
    while let Some(batch) = stream.next()? {
        for record in batch.iter() {
            writer.vectors(record.vector).map_err(failed)?;
        }
        job.add(batch.len() as u64);
    }
    let out = match &count.ids {
        Some(ids) => writer.finish(ids.iter().copied()),
        None => writer.finish(0..i64::try_from(count.records).unwrap_or(i64::MAX)),
    };
    let file = out.map_err(failed)?.into_inner().map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)
}

fn write_metadata(
    path: &Path,
    contract: &CollectionContract,
    with_ids: bool,
    source: &Source<'_>,
    progress: &dyn Progress,
) -> Result<(), StoreError> {
    let failed = |error: io::Error| StoreError::io(cannot("write", path), error);
    let bad = |error: ParquetError| {
        let ParquetError::External(cause) = error else {
            return StoreError::new(Code::IO, cannot("write", path)).because(error);
        };
        match cause.downcast::<io::Error>() {
            Ok(error) => failed(*error),
            Err(cause) => StoreError::new(Code::IO, cannot("write", path)).because(cause),
        }
    };
    let job = progress.job(&format!("{} {PARQUET}", contract.name), "records", None);
    let schema = table_schema(contract.dimensions, with_ids)?;
    let properties = WriterProperties::builder()
        .set_created_by("Carnet".to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .build();
    let file = BufWriter::with_capacity(1 << 20, File::create(path).map_err(failed)?);
    let mut writer =
        ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties)).map_err(bad)?;
    let mut stream = source()?;
    while let Some(batch) = stream.next()? {
        writer.write(&table_batch(&batch, &schema, with_ids)?).map_err(bad)?;
        job.add(batch.len() as u64);
    }
    let out = writer.into_inner().map_err(bad)?;
    let file = out.into_inner().map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)
}

/// The schema of records without the vector, and with the FAISS id where there is one.
fn table_schema(dimensions: u32, with_ids: bool) -> Result<SchemaRef, StoreError> {
    let records = Records::schema(dimensions);
    let mut fields: Vec<_> =
        records.fields().iter().filter(|field| field.name() != "vector").cloned().collect();
    if fields.len() + 1 != records.fields().len() {
        return Err(StoreError::new(Code::BUG, "records have another schema"));
    }
    if with_ids {
        fields.push(Arc::new(Field::new("faiss_id", DataType::Int64, false)));
    }
    Ok(Arc::new(Schema::new(fields)))
}

fn table_batch(
    records: &Records,
    schema: &SchemaRef,
    with_ids: bool,
) -> Result<RecordBatch, StoreError> {
    let batch = records.batch();
    let mut columns: Vec<ArrayRef> = schema
        .fields()
        .iter()
        .filter_map(|field| batch.column_by_name(field.name()).cloned())
        .collect();
    if with_ids {
        let ids = records
            .iter()
            .map(|record| {
                faiss_id(record.metadata).ok_or_else(|| {
                    let what = format!("record {:?} lost its faiss_id", shorten(record.id));
                    StoreError::new(Code::STORE_CHANGED, what)
                })
            })
            .collect::<Result<Vec<i64>, _>>()?;
        columns.push(Arc::new(Int64Array::from(ids)));
    }
    RecordBatch::try_new(Arc::clone(schema), columns)
        .map_err(|error| StoreError::new(Code::BUG, "cannot build a batch").because(error))
}

const NEW: &str = "new";
const OLD: &str = "old";
/// The files of a collection, in the order in which they are exchanged.
const FILES: [&str; 3] = [INDEX, PARQUET, CONTRACT];

/// Where the new files of a load are made.
pub(super) fn new_files(staging: &Path) -> PathBuf {
    staging.join(NEW)
}

/// Puts the new files in the place of the old ones, which are kept until all are there. Continues
/// an exchange that was cut off.
pub(super) fn exchange(place: &Place, staging: &Path, token: &str) -> Result<(), StoreError> {
    let (new, old) = (staging.join(NEW), staging.join(OLD));
    fs::create_dir_all(&old).map_err(|error| StoreError::io(cannot("make", &old), error))?;
    place.begin_exchange(&Exchange::Load(token.to_owned()))?;
    for name in FILES {
        if new.join(name).exists() {
            let held = place.file(name);
            if held.exists() {
                rename(&held, &old.join(name))?;
            }
            rename(&new.join(name), &held)?;
        }
    }
    if place.file(SQLITE).exists() {
        rename(&place.file(SQLITE), &old.join(SQLITE))?;
    }
    place.end_exchange()?;
    discard(staging)
}

/// Puts the old files back after an exchange that was cut off.
pub(super) fn take_back(place: &Place, staging: &Path) -> Result<(), StoreError> {
    let (new, old) = (staging.join(NEW), staging.join(OLD));
    for name in FILES.iter().chain([&SQLITE]) {
        let (held, kept) = (place.file(name), old.join(name));
        if kept.exists() {
            rename(&kept, &held)?;
        } else if *name != SQLITE && !new.join(name).exists() {
            // It came from the load, and nothing was there before.
            remove(&held)?;
        }
    }
    place.end_exchange()
}

/// Removes the staging directory of a load.
pub(super) fn discard(staging: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(staging) {
        Err(error) if !super::place::absent(&error) => {
            Err(StoreError::io(cannot("remove", staging), error))
        }
        _ => staging.parent().map_or(Ok(()), sync_dir),
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    fs::rename(from, to).map_err(|error| StoreError::io(cannot("replace", to), error))
}
