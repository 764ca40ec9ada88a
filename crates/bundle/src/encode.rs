//! One collection's Parquet files: records are read in order, encoded by all threads, written in
//! order. One pass gives the files, the root and the facts.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::FixedSizeBinaryBuilder;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use carnet_connect::{ContentFacts, Job, Records, StoreError, StoreSnapshot, shorten};
use carnet_ledger::{CompactRange, leaf_hash};
use carnet_model::{Code, CollectionName};
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use crate::collection::CollectionDigest;
use crate::columns::{
    BLOCK_ROWS, EncodedGroup, Encoder, GROUP_ROWS, Table, TableFile, digest_block,
};
use crate::error::BundleError;
use crate::facts::note;
use crate::files::FileSum;
use crate::ordered::in_id_order;
use crate::record::record_digest;
use crate::work::Work;

/// Where the files of one collection go.
pub(crate) struct Places<'p> {
    pub(crate) embeddings: &'p Path,
    pub(crate) digests: &'p Path,
    pub(crate) metadata: Option<&'p Path>,
}

/// What was written.
pub(crate) struct Written {
    pub(crate) digest: CollectionDigest,
    pub(crate) embeddings: FileSum,
    pub(crate) digests: FileSum,
    pub(crate) metadata: Option<FileSum>,
}

/// Ranges that are read ahead are about as large as a row group, so that all threads find work.
const RANGES_MAX: u64 = 1_024;

pub(crate) fn write_collection(
    view: &dyn StoreSnapshot,
    name: &CollectionName,
    places: &Places<'_>,
    work: &Work<'_>,
) -> Result<Written, BundleError> {
    let described = view.describe(name)?;
    let dimensions = described.contract.dimensions;
    let parts = described.records.div_ceil(GROUP_ROWS as u64).clamp(1, RANGES_MAX);
    let ranges = view.ranges(name, usize::try_from(parts).unwrap_or(1).max(work.threads()))?;
    let job = work.progress.job(&format!("export {name}"), "records", Some(described.records));
    let files = Files {
        embeddings: TableFile::create(places.embeddings, Table::Embeddings, dimensions)?,
        digests: TableFile::create(places.digests, Table::Digests, dimensions)?,
        metadata: match places.metadata {
            None => None,
            Some(path) => Some(TableFile::create(path, Table::Metadata, dimensions)?),
        },
    };
    let encoders = files.encoders(dimensions);
    let (jobs, waiting) = bounded::<Group>(0);
    let (done, results) = unbounded();
    let sink = std::thread::scope(|scope| {
        for _ in 0..work.threads() {
            let (waiting, done, encoders) = (waiting.clone(), done.clone(), encoders.clone());
            scope.spawn(move || encode_groups(&encoders, &waiting, &done));
        }
        drop((waiting, done));
        let mut sink = Sink::new(files, dimensions, jobs, results, job.as_ref());
        in_id_order(view, name, &ranges, work, |records| sink.take(&records))?;
        sink.finish()
    })?;
    let (files, range, facts) = sink;
    let root =
        range.root().ok_or_else(|| StoreError::new(Code::BUG, "a tree does not begin at 0"))?;
    Ok(Written {
        digest: CollectionDigest {
            name: name.clone(),
            records: facts.records,
            dimensions,
            root,
            contract_digest: described.contract.digest(),
            contract: described.contract,
            facts,
        },
        embeddings: files.embeddings.finish()?,
        digests: files.digests.finish()?,
        metadata: files.metadata.map(TableFile::finish).transpose()?,
    })
}

struct Files {
    embeddings: TableFile,
    digests: TableFile,
    metadata: Option<TableFile>,
}

#[derive(Clone)]
struct Encoders {
    embeddings: Encoder,
    digests: Encoder,
    metadata: Option<(Encoder, SchemaRef)>,
}

impl Files {
    fn encoders(&self, dimensions: u32) -> Encoders {
        let schema = Table::Metadata.schema(dimensions);
        Encoders {
            embeddings: self.embeddings.encoder(),
            digests: self.digests.encoder(),
            metadata: self.metadata.as_ref().map(|file| (file.encoder(), schema)),
        }
    }
}

/// A row group to encode: blocks of `BLOCK_ROWS`.
struct Group {
    number: usize,
    blocks: Vec<RecordBatch>,
}

/// An encoded row group and what was learned on the way.
struct Encoded {
    number: usize,
    embeddings: EncodedGroup,
    digests: EncodedGroup,
    metadata: Option<EncodedGroup>,
    range: CompactRange,
    facts: ContentFacts,
    first: String,
    last: String,
}

fn encode_groups(
    encoders: &Encoders,
    waiting: &Receiver<Group>,
    done: &Sender<Result<Encoded, BundleError>>,
) {
    for group in waiting {
        if done.send(encode_group(encoders, group)).is_err() {
            break;
        }
    }
}

/// Each block is let go as soon as it is encoded.
fn encode_group(encoders: &Encoders, group: Group) -> Result<Encoded, BundleError> {
    let number = group.number;
    let mut range = CompactRange::new((number * GROUP_ROWS) as u64);
    let mut facts = ContentFacts::default();
    let (mut first, mut last) = (None, String::new());
    let mut embeddings = encoders.embeddings.begin(number)?;
    let mut digests = encoders.digests.begin(number)?;
    let mut metadata = match &encoders.metadata {
        None => None,
        Some((encoder, schema)) => Some((encoder.begin(number)?, schema)),
    };
    for block in group.blocks {
        let records = Records::try_new(block.clone())?;
        let mut column = FixedSizeBinaryBuilder::with_capacity(records.len(), 32);
        let mut before: Option<&str> = None;
        for record in records.iter() {
            ascending(before.unwrap_or(&last), record.id)?;
            before = Some(record.id);
            note(&mut facts, &record);
            let digest = record_digest(&record);
            range.append(leaf_hash(digest.as_bytes()));
            column.append_value(digest.as_bytes()).map_err(wrong)?;
        }
        first = first.or_else(|| records.get(0).map(|record| record.id.to_owned()));
        before.unwrap_or_default().clone_into(&mut last);
        let ids = Arc::clone(block.column(0));
        digests.add(&digest_block(ids, Arc::new(column.finish()) as ArrayRef)?)?;
        embeddings.add(&block)?;
        if let Some((metadata, schema)) = &mut metadata {
            metadata.add(&without_vectors(&block, schema)?)?;
        }
    }
    Ok(Encoded {
        number,
        embeddings: embeddings.end()?,
        digests: digests.end()?,
        metadata: metadata.map(|(metadata, _)| metadata.end()).transpose()?,
        range,
        facts,
        first: first.unwrap_or_default(),
        last,
    })
}

fn wrong(error: arrow_schema::ArrowError) -> BundleError {
    StoreError::new(Code::BUG, "cannot build a block of records").because(error).into()
}

fn without_vectors(block: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, BundleError> {
    let columns = schema.fields().iter().filter_map(|field| block.column_by_name(field.name()));
    RecordBatch::try_new(Arc::clone(schema), columns.cloned().collect()).map_err(wrong)
}

/// Ids ascend strictly. The empty text is before every id.
fn ascending(before: &str, id: &str) -> Result<(), BundleError> {
    let wrong = match before.cmp(id) {
        std::cmp::Ordering::Less => return Ok(()),
        std::cmp::Ordering::Equal => StoreError::new(
            Code::RECORD_DUPLICATE,
            format!("the id {:?} stands twice", shorten(id)),
        )
        .remedy("give each record an id of its own"),
        std::cmp::Ordering::Greater => StoreError::new(
            Code::STORE_MALFORMED,
            format!("the ids {:?} and {:?} are out of order", shorten(before), shorten(id)),
        ),
    };
    Err(wrong.into())
}

/// Takes records in order, cuts them into row groups, and appends what comes back encoded.
struct Sink<'j> {
    files: Files,
    dimensions: u32,
    jobs: Sender<Group>,
    results: Receiver<Result<Encoded, BundleError>>,
    job: &'j dyn Job,
    pieces: Vec<RecordBatch>,
    rows: usize,
    blocks: Vec<RecordBatch>,
    sent: usize,
    appended: usize,
    early: BTreeMap<usize, Encoded>,
    range: CompactRange,
    facts: ContentFacts,
    last: String,
}

impl<'j> Sink<'j> {
    fn new(
        files: Files,
        dimensions: u32,
        jobs: Sender<Group>,
        results: Receiver<Result<Encoded, BundleError>>,
        job: &'j dyn Job,
    ) -> Self {
        Self {
            files,
            dimensions,
            jobs,
            results,
            job,
            pieces: Vec::new(),
            rows: 0,
            blocks: Vec::new(),
            sent: 0,
            appended: 0,
            early: BTreeMap::new(),
            range: CompactRange::new(0),
            facts: ContentFacts::default(),
            last: String::new(),
        }
    }

    fn take(&mut self, records: &Records) -> Result<(), BundleError> {
        if records.dimensions() != self.dimensions as usize {
            return Err(StoreError::new(
                Code::RECORD_VECTOR,
                format!(
                    "a record has {} dimensions, the collection {}",
                    records.dimensions(),
                    self.dimensions
                ),
            )
            .into());
        }
        let mut at = 0;
        while at < records.len() {
            let n = (BLOCK_ROWS - self.rows).min(records.len() - at);
            self.pieces.push(records.batch().slice(at, n));
            self.rows += n;
            at += n;
            if self.rows == BLOCK_ROWS {
                self.end_block()?;
            }
        }
        Ok(())
    }

    fn end_block(&mut self) -> Result<(), BundleError> {
        let pieces = std::mem::take(&mut self.pieces);
        self.rows = 0;
        let block = match pieces.as_slice() {
            [] => return Ok(()),
            [one] => one.clone(),
            several => concat_batches(&Records::schema(self.dimensions), several).map_err(wrong)?,
        };
        self.blocks.push(block);
        self.append_done()?;
        if self.blocks.len() * BLOCK_ROWS == GROUP_ROWS { self.end_group() } else { Ok(()) }
    }

    fn end_group(&mut self) -> Result<(), BundleError> {
        if self.blocks.is_empty() {
            return Ok(());
        }
        let group = Group { number: self.sent, blocks: std::mem::take(&mut self.blocks) };
        self.sent += 1;
        // Waits until a thread is free: groups that are read and not encoded cost the most memory.
        let sent = self.jobs.send(group);
        self.append_done()?;
        sent.map_err(|_| StoreError::new(Code::BUG, "the encoders have stopped").into())
    }

    /// Writes what is encoded by now: an encoded group that waits costs as much as one to encode.
    fn append_done(&mut self) -> Result<(), BundleError> {
        while let Ok(result) = self.results.try_recv() {
            self.append(result?)?;
        }
        Ok(())
    }

    fn append(&mut self, encoded: Encoded) -> Result<(), BundleError> {
        self.early.insert(encoded.number, encoded);
        while let Some(next) = self.early.remove(&self.appended) {
            ascending(&self.last, &next.first)?;
            self.last = next.last;
            self.range.merge(&next.range).map_err(|gap| {
                StoreError::new(Code::BUG, "row groups do not follow one another").because(gap)
            })?;
            self.files.embeddings.append(next.embeddings)?;
            self.files.digests.append(next.digests)?;
            if let (Some(file), Some(group)) = (&mut self.files.metadata, next.metadata) {
                file.append(group)?;
            }
            self.job.add(next.facts.records);
            self.facts = std::mem::take(&mut self.facts).join(next.facts);
            self.appended += 1;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(Files, CompactRange, ContentFacts), BundleError> {
        self.end_block()?;
        self.end_group()?;
        while self.appended < self.sent {
            let result = self.results.recv();
            let lost = |_| StoreError::new(Code::BUG, "the encoders have stopped");
            self.append(result.map_err(lost)??)?;
        }
        Ok((self.files, self.range, self.facts))
    }
}
