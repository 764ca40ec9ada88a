//! The staged parts of a load: one file for each range, whole or not there.
//!
//! A part is its records, encoded one after another, then a trailer: JSON with the range and the
//! counts, its length (u32) and eight letters. It is written under another name, made durable and
//! renamed: a part under its own name is complete.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use carnet_connect::{
    IdRange, RecordRef, RecordStream, Records, RecordsBuilder, StoreError, shorten,
};
use carnet_model::Code;
use serde::{Deserialize, Serialize};

use super::mapped::Mapped;
use super::place::{absent, cannot, sync_dir};
use super::rows;
use super::table::faiss_id;

const ENDING: &str = "part";
const LETTERS: &[u8; 8] = b"carnet-1";
const BATCH_RECORDS: usize = 2_048;
const BATCH_BYTES: usize = 8 << 20;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Trailer {
    range: IdRange,
    records: u64,
    dimensions: u32,
    /// Bytes of encoded records.
    bytes: u64,
    /// Whether each record carries a FAISS id.
    faiss_ids: bool,
}

impl Trailer {
    /// The size was compared with the file's.
    fn bytes(&self) -> usize {
        usize::try_from(self.bytes).unwrap_or(usize::MAX)
    }
}

/// A finished part.
#[derive(Debug)]
pub(super) struct Part {
    file: Mapped,
    trailer: Trailer,
}

impl Part {
    pub(super) fn range(&self) -> &IdRange {
        &self.trailer.range
    }

    pub(super) fn records(&self) -> u64 {
        self.trailer.records
    }

    pub(super) fn has_faiss_ids(&self) -> bool {
        self.trailer.faiss_ids
    }

    fn open(path: &Path) -> Result<Self, StoreError> {
        let file = Mapped::open(path)?;
        let trailer = trailer(&file).ok_or_else(|| {
            StoreError::new(Code::STORE_MALFORMED, cannot("use", path))
                .because("it is not a part that Carnet wrote")
        })?;
        Ok(Self { file, trailer })
    }
}

fn trailer(file: &[u8]) -> Option<Trailer> {
    let (rest, letters) = file.split_last_chunk::<8>()?;
    let (rest, length) = rest.split_last_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    let (rest, json) = rest.split_at_checked(rest.len().checked_sub(length)?)?;
    let trailer: Trailer = serde_json::from_slice(json).ok()?;
    (letters == LETTERS && trailer.bytes == rest.len() as u64).then_some(trailer)
}

/// The records of parts, one part after another.
pub(super) struct PartStream {
    parts: VecDeque<Arc<Part>>,
    /// Where the next record of the first part begins, and how many were taken from it.
    at: usize,
    taken: u64,
}

impl PartStream {
    /// Parts in order of their ranges.
    pub(super) fn new(parts: impl IntoIterator<Item = Arc<Part>>) -> Self {
        Self { parts: parts.into_iter().collect(), at: 0, taken: 0 }
    }
}

impl RecordStream for PartStream {
    fn next(&mut self) -> Result<Option<Records>, StoreError> {
        while let Some(part) = self.parts.front() {
            if self.taken < part.records() {
                break;
            }
            self.parts.pop_front();
            (self.at, self.taken) = (0, 0);
        }
        let Some(part) = self.parts.front() else { return Ok(None) };
        let mut builder = RecordsBuilder::new(part.trailer.dimensions);
        let mut vector = Vec::with_capacity(part.trailer.dimensions as usize);
        let mut rest = part.file.get(self.at..part.trailer.bytes()).unwrap_or_default();
        while self.taken < part.records()
            && builder.len() < BATCH_RECORDS
            && builder.bytes() < BATCH_BYTES
        {
            let row = rows::decode(&mut rest).ok_or_else(|| {
                StoreError::new(Code::STORE_MALFORMED, "a staged part was damaged")
                    .remedy("abandon the load and begin again")
            })?;
            vector.clear();
            rows::floats(row.vector, &mut vector);
            builder.push(&RecordRef { vector: &vector, ..row.record })?;
            self.taken += 1;
        }
        self.at = part.trailer.bytes().saturating_sub(rest.len());
        builder.finish().map(Some)
    }
}

/// The finished parts in a directory, in order of their ranges. None if there is no such directory.
pub(super) fn list(dir: &Path) -> Result<Vec<Arc<Part>>, StoreError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::io(cannot("list", dir), error)),
    };
    let mut parts = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| StoreError::io(cannot("list", dir), error))?.path();
        if path.extension().is_some_and(|ending| ending == ENDING) {
            parts.push(Arc::new(Part::open(&path)?));
        }
    }
    parts.sort_by(|a, b| a.range().from.cmp(&b.range().from));
    Ok(parts)
}

/// The finished part of exactly this range.
pub(super) fn find(dir: &Path, range: &IdRange) -> Result<Option<Arc<Part>>, StoreError> {
    let path = path_of(dir, range)?;
    if !path.exists() {
        return Ok(None);
    }
    let part = Part::open(&path)?;
    ensure_disjoint(&part, range).map(|()| Some(Arc::new(part)))
}

/// Writes the part of a range; gives the number of records.
pub(super) fn write(
    dir: &Path,
    range: &IdRange,
    dimensions: u32,
    records: &mut dyn RecordStream,
) -> Result<u64, StoreError> {
    for part in list(dir)? {
        ensure_disjoint(&part, range)?;
    }
    let path = path_of(dir, range)?;
    let staged = path.with_extension("new");
    let written = write_file(&staged, range, dimensions, records).and_then(|count| {
        fs::rename(&staged, &path)
            .map_err(|error| StoreError::io(cannot("write", &path), error))?;
        sync_dir(dir)?;
        Ok(count)
    });
    if written.is_err() {
        // What cannot be removed is never taken for a part, and goes with the directory.
        let _ = fs::remove_file(&staged);
    }
    written
}

fn ensure_disjoint(part: &Part, range: &IdRange) -> Result<(), StoreError> {
    let held = part.range();
    let before = |a: &IdRange, b: &IdRange| match (&a.to, &b.from) {
        (Some(end), Some(start)) => end <= start,
        _ => false,
    };
    if held == range || before(held, range) || before(range, held) {
        return Ok(());
    }
    Err(StoreError::new(
        Code::BUG,
        format!("the range {range} overlaps with {held}, loaded before"),
    ))
}

fn write_file(
    path: &Path,
    range: &IdRange,
    dimensions: u32,
    records: &mut dyn RecordStream,
) -> Result<u64, StoreError> {
    let failed = |error: io::Error| StoreError::io(cannot("write", path), error);
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path).map_err(failed)?);
    let (mut count, mut bytes, mut faiss_ids) = (0, 0, true);
    let (mut buffer, mut last) = (Vec::new(), String::new());
    while let Some(batch) = records.next()? {
        for record in batch.iter() {
            check(&record, range, dimensions, &last)?;
            record.id.clone_into(&mut last);
            faiss_ids = faiss_ids && faiss_id(record.metadata).is_some();
            buffer.clear();
            rows::encode(&record, &mut buffer)?;
            out.write_all(&buffer).map_err(failed)?;
            bytes += buffer.len() as u64;
            count += 1;
        }
    }
    let trailer = Trailer { range: range.clone(), records: count, dimensions, bytes, faiss_ids };
    let mut json = serde_json::to_vec(&trailer).map_err(|error| failed(error.into()))?;
    let length = u32::try_from(json.len()).map_err(|error| failed(io::Error::other(error)))?;
    json.extend(length.to_le_bytes());
    json.extend(LETTERS);
    out.write_all(&json).map_err(failed)?;
    let file = out.into_inner().map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)?;
    Ok(count)
}

/// Refuses what does not belong into the part.
fn check(
    record: &RecordRef<'_>,
    range: &IdRange,
    dimensions: u32,
    last: &str,
) -> Result<(), StoreError> {
    let id = shorten(record.id);
    if record.vector.len() != dimensions as usize {
        let held = record.vector.len();
        let what = format!("record {id:?} has {held} dimensions, the collection {dimensions}");
        return Err(StoreError::new(Code::RECORD_VECTOR, what));
    }
    if !range.contains(record.id) {
        let what = format!("record {id:?} is outside of the range {range}");
        return Err(StoreError::new(Code::BUG, what));
    }
    match record.id.cmp(last) {
        std::cmp::Ordering::Greater => Ok(()),
        std::cmp::Ordering::Equal => {
            Err(StoreError::new(Code::RECORD_DUPLICATE, format!("the id {id:?} stands twice")))
        }
        std::cmp::Ordering::Less => {
            let what = format!("the id {id:?} is out of order");
            Err(StoreError::new(Code::BUG, what))
        }
    }
}

/// The file of a range: the range is written in it, the name only tells ranges apart.
fn path_of(dir: &Path, range: &IdRange) -> Result<PathBuf, StoreError> {
    let json = serde_json::to_vec(range)
        .map_err(|error| StoreError::new(Code::BUG, "cannot name a range").because(error))?;
    // FNV-1a. Two ranges of one name would be refused as overlapping.
    let hash = json.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Ok(dir.join(format!("{hash:016x}.{ENDING}")))
}
