//! `metadata.parquet`, ours or other people's, read in place from the page cache.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use bytes::Bytes;
use bytes::buf::{Buf, Reader};
use carnet_connect::StoreError;
use carnet_model::Code;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
    RowSelector,
};
use parquet::basic::Compression;
use parquet::column::page::PageReader;
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;

use super::RowBatches;
use super::columns;
use crate::faiss::mapped::Mapped;

/// Rows per batch: a few megabytes of vectors go with them.
const BATCH_ROWS: usize = 2_048;

/// The bytes of a file, for many readers at once. Ranges outside of it are errors: a damaged file
/// asks for such.
#[derive(Debug, Clone)]
struct Chunks(Bytes);

impl Chunks {
    fn part(&self, start: u64, end: Option<u64>) -> Result<Bytes, ParquetError> {
        let end = end.unwrap_or(self.0.len() as u64);
        let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
        match range.filter(|(start, end)| start <= end && *end <= self.0.len()) {
            Some((start, end)) => Ok(self.0.slice(start..end)),
            None => Err(ParquetError::EOF(format!("bytes {start} to {end} of {}", self.0.len()))),
        }
    }
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }
}

impl ChunkReader for Chunks {
    type T = Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        self.part(start, None).map(Buf::reader)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        self.part(start, Some(start.saturating_add(length as u64)))
    }
}

/// An open Parquet file.
#[derive(Debug)]
pub(super) struct ParquetTable {
    path: PathBuf,
    file: Arc<Mapped>,
    chunks: Chunks,
    metadata: ArrowReaderMetadata,
    chosen: columns::Chosen,
    /// The first row of each row group, and the number of rows at the end.
    starts: Vec<usize>,
}

impl ParquetTable {
    pub(super) fn open(path: &Path, drop: &[String]) -> Result<Self, StoreError> {
        let file = Arc::new(Mapped::open(path)?);
        let chunks = Chunks(Bytes::from_owner(SharedMap(Arc::clone(&file))));
        // The writer's Arrow types are left aside: what counts is what Parquet itself says, with
        // fewer types for text, lists and times.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = guarded(path, || ArrowReaderMetadata::load(&chunks, options))?;
        let chosen = columns::choose(metadata.schema(), drop)
            .map_err(|error| StoreError::new(error.code(), bad_name(path)).because(error))?;
        ensure_readable(path, &metadata)?;
        guarded(path, || ensure_pages(&chunks, &metadata))?;
        let mut starts = vec![0_usize];
        for group in metadata.metadata().row_groups() {
            let rows = usize::try_from(group.num_rows()).ok();
            let end = rows.and_then(|rows| starts.last()?.checked_add(rows));
            starts.push(end.ok_or_else(|| {
                StoreError::new(Code::STORE_MALFORMED, bad_name(path))
                    .because("a row group with a negative number of rows")
            })?);
        }
        Ok(Self { path: path.to_owned(), file, chunks, metadata, chosen, starts })
    }

    pub(super) fn len(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }

    pub(super) fn carried_columns(&self) -> &[String] {
        &self.chosen.carried
    }

    /// Whether reading may begin in the middle of a row group. Not where lists are: the library skips
    /// over them without end when their levels are damaged.
    pub(super) fn can_skip(&self) -> bool {
        let columns = self.metadata.parquet_schema().columns();
        columns.iter().all(|column| column.max_rep_level() == 0)
    }

    /// About `parts` spans of about equal size that can be read one by one.
    pub(super) fn spans(&self, parts: usize) -> Vec<Range<usize>> {
        let step = self.len().div_ceil(parts).max(1);
        let mut cuts: Vec<usize> = if self.can_skip() {
            (0..self.len()).step_by(step).collect()
        } else {
            let mut last = 0;
            let mut cuts = vec![0];
            for start in &self.starts {
                if *start >= last + step {
                    last = *start;
                    cuts.push(last);
                }
            }
            cuts
        };
        cuts.push(self.len());
        cuts.dedup();
        cuts.iter().zip(cuts.iter().skip(1)).map(|(start, end)| *start..*end).collect()
    }

    pub(super) fn has_faiss_ids(&self) -> bool {
        self.chosen.faiss_id
    }

    pub(super) fn ensure_unchanged(&self) -> Result<(), StoreError> {
        self.file.ensure_unchanged()
    }

    /// The rows of ascending, disjoint spans.
    pub(super) fn rows(&self, spans: &[Range<usize>]) -> Result<RowBatches<'_>, StoreError> {
        let positions = self.chosen.positions.iter().copied();
        let columns = ProjectionMask::roots(self.metadata.parquet_schema(), positions);
        let reader = self.reader(spans, columns)?;
        let spans: Vec<_> = spans.to_vec();
        let mut numbers = spans.into_iter().flatten();
        Ok(Box::new(reader.map(move |batch| {
            let batch = batch?;
            let first = numbers.next().unwrap_or(0);
            numbers.by_ref().take(batch.num_rows().saturating_sub(1)).for_each(drop);
            columns::convert(&batch, first)
        })))
    }

    pub(super) fn each_id(
        &self,
        take: &mut dyn FnMut(&str) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.each_batch_of("id", &mut |batch, first| {
            let ids = columns::ids(batch.column_by_name("id"), batch.num_rows(), first)?;
            ids.iter().flatten().try_for_each(&mut *take)
        })
    }

    pub(super) fn faiss_ids(&self) -> Result<Vec<i64>, StoreError> {
        let mut all = Vec::with_capacity(self.len());
        self.each_batch_of(columns::FAISS_ID, &mut |batch, first| {
            if let Some(column) = batch.column_by_name(columns::FAISS_ID) {
                all.extend(columns::faiss_ids(column, first)?);
            }
            Ok(())
        })?;
        Ok(all)
    }

    fn each_batch_of(
        &self,
        column: &str,
        take: &mut dyn FnMut(&RecordBatch, usize) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let only = ProjectionMask::columns(self.metadata.parquet_schema(), [column]);
        let mut first = 0;
        let all = 0..self.len();
        for batch in self.reader(std::slice::from_ref(&all), only)? {
            let batch = batch?;
            take(&batch, first)?;
            first += batch.num_rows();
        }
        if first == self.len() {
            return Ok(());
        }
        Err(StoreError::new(Code::STORE_MALFORMED, bad_name(&self.path))
            .because(format!("{} rows announced, {first} found", self.len())))
    }

    fn reader(
        &self,
        spans: &[Range<usize>],
        columns: ProjectionMask,
    ) -> Result<impl Iterator<Item = Result<RecordBatch, StoreError>> + Send + '_, StoreError> {
        let (groups, selection) = select(&self.starts, spans);
        let mut reader = guarded(&self.path, || {
            ParquetRecordBatchReaderBuilder::new_with_metadata(
                self.chunks.clone(),
                self.metadata.clone(),
            )
            .with_projection(columns)
            .with_row_groups(groups)
            .with_row_selection(selection)
            .with_batch_size(BATCH_ROWS)
            .build()
        })?;
        // Nothing is read after a failure.
        let mut over = false;
        Ok(std::iter::from_fn(move || {
            if over {
                return None;
            }
            let next = guarded(&self.path, || reader.next().transpose());
            over = !matches!(next, Ok(Some(_)));
            next.transpose()
        }))
    }
}

/// Refuses compressions that this build does not read.
fn ensure_readable(path: &Path, metadata: &ArrowReaderMetadata) -> Result<(), StoreError> {
    let groups = metadata.metadata().row_groups().iter();
    for column in groups.flat_map(RowGroupMetaData::columns) {
        if !matches!(
            column.compression(),
            Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::ZSTD(_)
        ) {
            let what = format!("{} is compressed with {}", path.display(), column.compression());
            return Err(StoreError::new(Code::STORE_UNSUPPORTED, what)
                .remedy("write it with zstd, with snappy, or without compression"));
        }
    }
    Ok(())
}

/// Walks over the headers of all pages. The library believes the number of values in them, and
/// counts for years where damage made it large.
fn ensure_pages(chunks: &Chunks, metadata: &ArrowReaderMetadata) -> Result<(), ParquetError> {
    let shared = Arc::new(chunks.clone());
    for group in metadata.metadata().row_groups() {
        for column in group.columns() {
            let rows = usize::try_from(group.num_rows()).unwrap_or(0);
            let mut pages = SerializedPageReader::new(Arc::clone(&shared), column, rows, None)?;
            let mut values = Some(0_usize);
            while let Some(page) = pages.peek_next_page()? {
                if !page.is_dict {
                    let more = page.num_levels.or(page.num_rows).unwrap_or(0);
                    values = values.and_then(|values| values.checked_add(more));
                }
                pages.skip_next_page()?;
            }
            if values.and_then(|values| i64::try_from(values).ok()) != Some(column.num_values()) {
                let name = column.column_path().string();
                let what = format!("the pages of {name} do not hold as many values as announced");
                return Err(ParquetError::General(what));
            }
        }
    }
    Ok(())
}

/// Which row groups hold the spans, and which of their rows to take.
fn select(starts: &[usize], spans: &[Range<usize>]) -> (Vec<usize>, RowSelection) {
    let mut groups = Vec::new();
    let mut selectors = Vec::new();
    // The next row of the chosen groups that nothing was said about.
    let mut at = 0;
    for (group, (start, end)) in starts.iter().zip(starts.iter().skip(1)).enumerate() {
        let (start, end) = (*start, *end);
        let inside = |span: &&Range<usize>| span.start < end && start < span.end;
        if !spans.iter().any(|span| inside(&span)) {
            continue;
        }
        groups.push(group);
        at = at.max(start);
        for span in spans.iter().filter(inside) {
            let (from, to) = (span.start.max(start), span.end.min(end));
            selectors.push(RowSelector::skip(from.saturating_sub(at)));
            selectors.push(RowSelector::select(to.saturating_sub(from)));
            at = to;
        }
        selectors.push(RowSelector::skip(end.saturating_sub(at)));
        at = end;
    }
    (groups, RowSelection::from(selectors))
}

fn bad_name(path: &Path) -> String {
    format!("cannot read {}", path.display())
}

/// Runs the Parquet library over other people's bytes. It asserts on some damaged files: that is an
/// error of the file here, like any other.
fn guarded<T, E: std::error::Error + Send + Sync + 'static>(
    path: &Path,
    read: impl FnOnce() -> Result<T, E>,
) -> Result<T, StoreError> {
    let bad = || StoreError::new(Code::STORE_MALFORMED, bad_name(path));
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(result) => result.map_err(|error| bad().because(error)),
        Err(_) => Err(bad().because("the Parquet file is damaged: it cannot be decoded")),
    }
}

/// A mapped file as the owner of `Bytes`.
struct SharedMap(Arc<Mapped>);

impl AsRef<[u8]> for SharedMap {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows that a selection takes, counted over the whole file.
    fn taken(starts: &[usize], spans: &[Range<usize>]) -> Vec<usize> {
        let (groups, selection) = select(starts, spans);
        let rows: Vec<usize> =
            groups.iter().flat_map(|group| starts[*group]..starts[group + 1]).collect();
        let mut at = 0;
        let mut taken = Vec::new();
        for selector in selection.iter() {
            if !selector.skip {
                taken.extend(&rows[at..at + selector.row_count]);
            }
            at += selector.row_count;
        }
        taken
    }

    #[test]
    fn spans_are_taken_across_row_groups() {
        let starts = [0, 10, 10, 25, 40];
        for from in 0..40 {
            for to in from..=40 {
                let span = from..to;
                let wanted: Vec<_> = span.clone().collect();
                assert_eq!(taken(&starts, std::slice::from_ref(&span)), wanted);
            }
        }
        let picked: Vec<_> = [0, 9, 10, 24, 39].iter().map(|row| *row..row + 1).collect();
        assert_eq!(taken(&starts, &picked), [0, 9, 10, 24, 39]);
        assert_eq!(taken(&starts, &[3..5, 8..12, 30..31]), [3, 4, 8, 9, 10, 11, 30]);
    }
}
