//! The records of a snapshot against its digests, roots and counts.

use std::error::Error;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::{Array, FixedSizeBinaryArray, RecordBatch};
use carnet_connect::{ContentFacts, Job, Records, StoreError, shorten};
use carnet_ledger::{CompactRange, leaf_hash};
use carnet_model::{Code, is_canonical_metadata};

use crate::collection::CollectionDigest;
use crate::columns::Table;
use crate::error::BundleError;
use crate::facts::note;
use crate::leaves::join;
use crate::manifest::{Manifest, ManifestCollection};
use crate::record::record_digest;
use crate::table::{TableReader, TableRows};
use crate::verify::check::Checks;

/// Parts for each worker, so that the slowest holds up little.
const PARTS_PER_WORKER: usize = 8;

/// The files of one collection, open.
pub(super) struct Opened {
    embeddings: TableReader,
    digests: TableReader,
    metadata: Option<TableReader>,
}

impl Opened {
    pub(super) fn rows(&self) -> u64 {
        self.embeddings.rows()
    }
}

/// What was read of one collection.
pub(super) struct CollectionSeen {
    /// Why its files could not be opened.
    pub(super) unreadable: Option<String>,
    /// Its parts, in order.
    pub(super) parts: Vec<Part>,
}

/// What was read of some row groups that follow one another.
pub(super) struct Part {
    range: CompactRange,
    facts: ContentFacts,
    first: Option<String>,
    last: Option<String>,
    /// The first pair of ids that does not ascend.
    disorder: Option<String>,
    /// The first record that is not what `digests.parquet` says.
    differs: Option<String>,
    /// The first record whose metadata is not in canonical form.
    informal: Option<String>,
    /// The first row in which `metadata.parquet` differs.
    metadata_differs: Option<String>,
    /// Why reading ended early.
    broken: Option<String>,
}

/// An error with its causes, in one line.
pub(super) fn with_causes(error: &BundleError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

pub(super) fn open_tables(dir: &Path, manifest: &Manifest) -> Vec<Result<Opened, String>> {
    let open = |entry: &ManifestCollection| {
        let table = |file: &str, table| TableReader::open(&dir.join(file), table, entry.dimensions);
        Ok::<_, StoreError>(Opened {
            embeddings: table(&entry.embeddings, Table::Embeddings)?,
            digests: table(&entry.digests, Table::Digests)?,
            metadata: match &entry.metadata {
                None => None,
                Some(file) => Some(table(file, Table::Metadata)?),
            },
        })
    };
    let told = |error: StoreError| with_causes(&error.into());
    manifest.collections.iter().map(|entry| open(entry).map_err(told)).collect()
}

/// Spans of row groups, for all threads; at least one. The last one is open: what the other files
/// hold beyond the embeddings belongs to it.
pub(super) fn spans(opened: &Opened, threads: usize) -> Vec<(usize, usize)> {
    let groups = opened.embeddings.groups();
    let step = groups.div_ceil(threads * PARTS_PER_WORKER).max(1);
    (0..groups.max(1)).step_by(step).map(|from| (from, (from + step).min(groups))).collect()
}

/// Reads row groups and compares each record with its digest. Never fails: what is wrong is in the
/// answer.
pub(super) fn read_part(opened: &Opened, from: usize, to: usize, job: &dyn Job) -> Part {
    let begin = (0..from).map(|group| opened.embeddings.group_rows(group)).sum();
    let mut part = Part {
        range: CompactRange::new(begin),
        facts: ContentFacts::default(),
        first: None,
        last: None,
        disorder: None,
        differs: None,
        informal: None,
        metadata_differs: None,
        broken: None,
    };
    if let Err(error) = part.read(opened, from, to, job) {
        part.broken = Some(with_causes(&error.into()));
    }
    part
}

impl Part {
    fn read(
        &mut self,
        opened: &Opened,
        from: usize,
        to: usize,
        job: &dyn Job,
    ) -> Result<(), StoreError> {
        let mut rows = opened.embeddings.read((from..to).collect())?;
        let end = if to == opened.embeddings.groups() { usize::MAX } else { to };
        let mut digests = Companion::open(&opened.digests, from, end);
        let mut metadata = opened.metadata.as_ref().map(|table| Companion::open(table, from, end));
        while let Some(batch) = rows.next()? {
            let records = Records::try_new(batch)?;
            let listed = digests.rows(records.len());
            self.compare(&records, listed.as_ref());
            if let Some(metadata) = &mut metadata {
                let apart = metadata.rows(records.len());
                self.compare_metadata(&records, apart.as_ref());
            }
            job.add(records.len() as u64);
        }
        if digests.has_more() {
            self.differs.get_or_insert_with(|| "digests.parquet holds more records".to_owned());
        }
        if metadata.is_some_and(|mut metadata| metadata.has_more()) {
            let more = || "metadata.parquet holds more records".to_owned();
            self.metadata_differs.get_or_insert_with(more);
        }
        Ok(())
    }

    fn compare(&mut self, records: &Records, listed: Result<&RecordBatch, &String>) {
        let listed = listed.map(Listed::of);
        for (row, record) in records.iter().enumerate() {
            let ascends = self.last.as_deref().is_none_or(|last| last < record.id);
            if !ascends {
                let last = self.last.as_deref().unwrap_or_default();
                let both = format!("{:?} stands before {:?}", shorten(last), shorten(record.id));
                self.disorder.get_or_insert(both);
            }
            match &mut self.last {
                None => {
                    self.first = Some(record.id.to_owned());
                    self.last = Some(record.id.to_owned());
                }
                Some(last) => record.id.clone_into(last),
            }
            note(&mut self.facts, &record);
            if self.informal.is_none() && !is_canonical_metadata(record.metadata) {
                let id = shorten(record.id);
                self.informal = Some(format!("the metadata of {id:?} is not canonical"));
            }
            let digest = record_digest(&record);
            self.range.append(leaf_hash(digest.as_bytes()));
            if self.differs.is_some() {
                continue;
            }
            self.differs = match &listed {
                Err(why) => Some((*why).clone()),
                Ok(Some(listed)) if listed.is(row, record.id, digest.as_bytes()) => None,
                Ok(_) => Some(format!(
                    "record {:?} has the digest {digest}, digests.parquet says otherwise",
                    shorten(record.id)
                )),
            };
        }
    }

    fn compare_metadata(&mut self, records: &Records, apart: Result<&RecordBatch, &String>) {
        if self.metadata_differs.is_some() {
            return;
        }
        let apart = match apart {
            Ok(apart) => apart,
            Err(why) => {
                self.metadata_differs = Some(why.clone());
                return;
            }
        };
        let same = |row: usize| {
            apart.schema().fields().iter().zip(apart.columns()).all(|(field, column)| {
                let held = records.batch().column_by_name(field.name());
                held.is_some_and(|held| {
                    held.slice(row, 1).to_data() == column.slice(row, 1).to_data()
                })
            })
        };
        let whole = apart.schema().fields().iter().zip(apart.columns()).all(|(field, column)| {
            let held = records.batch().column_by_name(field.name());
            held.is_some_and(|held| held.to_data() == column.to_data())
        });
        if !whole {
            let row = (0..records.len()).find(|row| !same(*row)).unwrap_or(0);
            let id = records.get(row).map(|record| shorten(record.id)).unwrap_or_default();
            self.metadata_differs = Some(format!("record {id:?} differs in metadata.parquet"));
        }
    }
}

/// The columns of `digests.parquet`.
struct Listed<'b> {
    ids: &'b arrow_array::StringArray,
    digests: &'b FixedSizeBinaryArray,
}

impl<'b> Listed<'b> {
    fn of(batch: &'b RecordBatch) -> Option<Self> {
        let ids = batch.columns().first()?.as_string_opt::<i32>()?;
        let digests = batch.columns().get(1)?.as_fixed_size_binary_opt()?;
        Some(Self { ids, digests })
    }

    fn is(&self, row: usize, id: &str, digest: &[u8; 32]) -> bool {
        row < self.ids.len()
            && row < self.digests.len()
            && self.ids.is_valid(row)
            && self.digests.is_valid(row)
            && self.ids.value(row) == id
            && self.digests.value(row) == digest
    }
}

/// A file whose rows belong to those of `embeddings.parquet`. Once it fails it stays failed.
struct Companion {
    rows: Result<TableRows, String>,
}

impl Companion {
    fn open(table: &TableReader, from: usize, to: usize) -> Self {
        let groups = (from..to.min(table.groups())).collect();
        Self { rows: table.read(groups).map_err(|error| with_causes(&error.into())) }
    }

    /// The next rows, which must be this many.
    fn rows(&mut self, count: usize) -> Result<RecordBatch, String> {
        let rows = self.rows.as_mut().map_err(|why| why.clone())?;
        let next = match rows.next() {
            Ok(Some(batch)) if batch.num_rows() == count => return Ok(batch),
            Ok(_) => format!("{} does not have the same rows", rows.file()),
            Err(error) => with_causes(&error.into()),
        };
        self.rows = Err(next.clone());
        Err(next)
    }

    fn has_more(&mut self) -> bool {
        self.rows.as_mut().is_ok_and(|rows| !matches!(rows.next(), Ok(None)))
    }
}

/// Compares what was read with what the manifest says, and gives the recomputed digests.
pub(super) fn judge(
    checks: &mut Checks,
    manifest: &Manifest,
    seen: Vec<CollectionSeen>,
) -> Vec<CollectionDigest> {
    let mut wrong = Wrong::default();
    let mut collections = Vec::new();
    for (entry, seen) in manifest.collections.iter().zip(seen) {
        collections.extend(judge_one(&mut wrong, entry, seen));
    }
    let records = manifest.record_count;
    let mut found = vec![
        ("records", wrong.records),
        ("ids", wrong.ids),
        ("canonical", wrong.canonical),
        ("root", wrong.root),
        ("digests", wrong.digests),
    ];
    if manifest.collections.iter().any(|entry| entry.metadata.is_some()) {
        found.push(("metadata", wrong.metadata));
    }
    for (name, first) in found {
        match first {
            None => checks.pass(name, records),
            Some(first) => checks.fail(name, Code::SNAPSHOT_DAMAGED, first),
        }
    }
    collections
}

/// The first difference of each check.
#[derive(Default)]
struct Wrong {
    records: Option<String>,
    ids: Option<String>,
    canonical: Option<String>,
    root: Option<String>,
    digests: Option<String>,
    metadata: Option<String>,
}

impl Wrong {
    fn unreadable(&mut self, why: &str) {
        for place in [
            &mut self.records,
            &mut self.ids,
            &mut self.canonical,
            &mut self.root,
            &mut self.digests,
            &mut self.metadata,
        ] {
            place.get_or_insert_with(|| why.to_owned());
        }
    }
}

fn judge_one(
    wrong: &mut Wrong,
    entry: &ManifestCollection,
    seen: CollectionSeen,
) -> Option<CollectionDigest> {
    let file = &entry.embeddings;
    let first = |place: &mut Option<String>, found: Option<String>, file: &str| {
        if let Some(found) = found {
            place.get_or_insert_with(|| format!("{file}: {found}"));
        }
    };
    let broken = seen.unreadable.or_else(|| seen.parts.iter().find_map(|part| part.broken.clone()));
    let mut facts = ContentFacts::default();
    let mut last: Option<String> = None;
    let mut ranges = Vec::new();
    for part in seen.parts {
        if let (Some(last), Some(next)) = (&last, &part.first)
            && last >= next
        {
            let both = format!("{:?} stands before {:?}", shorten(last), shorten(next));
            first(&mut wrong.ids, Some(both), file);
        }
        last = part.last.or(last);
        first(&mut wrong.ids, part.disorder, file);
        first(&mut wrong.canonical, part.informal, file);
        first(&mut wrong.digests, part.differs, file);
        first(&mut wrong.metadata, part.metadata_differs, file);
        facts = facts.join(part.facts);
        ranges.push(part.range);
    }
    if let Some(why) = broken {
        wrong.unreadable(&why);
        return None;
    }
    if facts.records != entry.record_count {
        let what = format!("{} records, the manifest says {}", facts.records, entry.record_count);
        first(&mut wrong.records, Some(what), file);
    }
    // Row groups with fewer rows than they say leave gaps between the ranges.
    let Ok(root) = join(ranges) else {
        first(&mut wrong.root, Some("row groups are shorter than they say".to_owned()), file);
        return None;
    };
    if root != entry.root {
        let what = format!("the root is {root}, the manifest says {}", entry.root);
        first(&mut wrong.root, Some(what), file);
    }
    Some(CollectionDigest {
        name: entry.name.clone(),
        records: facts.records,
        dimensions: entry.dimensions,
        root,
        contract: entry.contract.clone(),
        contract_digest: entry.contract.digest(),
        facts,
    })
}
