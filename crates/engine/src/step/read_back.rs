//! Reading the target back: every record, through a new view.

use carnet_bundle::record_digest;
use carnet_connect::{IdRange, Records, StoreSnapshot};
use carnet_ledger::{Digest, leaf_hash, root_of};
use carnet_model::{CollectionContract, CollectionName};
use serde::{Deserialize, Serialize};

use super::context::{Context, Done};
use super::look::SourceSeen;
use crate::error::StepError;
use crate::parallel::each;

/// Ranges for each worker: the slowest then holds up little.
const RANGES_PER_WORKER: usize = 8;

/// What the target gave back.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BackSeen {
    pub(crate) observed_at_us: i64,
    pub(crate) collections: Vec<BackCollection>,
}

/// One collection of the target.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct BackCollection {
    pub(crate) contract: CollectionContract,
    pub(crate) records: u64,
    pub(crate) root: Digest,
}

impl BackSeen {
    pub(crate) fn collection(&self, name: &CollectionName) -> Option<&BackCollection> {
        self.collections.iter().find(|it| it.contract.name == *name)
    }
}

/// The leaves of a collection in byte order of id, and some of its records with their places.
#[derive(Debug, Default)]
pub(crate) struct Leaves {
    pub(crate) leaves: Vec<Digest>,
    pub(crate) samples: Vec<(usize, Records)>,
}

impl Leaves {
    pub(crate) fn root(&self) -> Digest {
        root_of(self.leaves.iter().copied())
    }
}

/// The leaf of a record in its collection's tree.
pub(crate) fn leaf(record: &carnet_connect::RecordRef<'_>) -> Digest {
    leaf_hash(record_digest(record).as_bytes())
}

pub(super) fn read_back(cx: &Context<'_>) -> Result<Done, StepError> {
    let source: SourceSeen = cx.seen("prepare/describe_source")?;
    let target = cx.target()?;
    let view = target.snapshot()?;
    let there = view.collections()?;
    let mut collections = Vec::new();
    for wanted in &source.collections {
        let name = &wanted.digest.name;
        // A collection that is missing is for the gates to say.
        if !there.contains(name) {
            continue;
        }
        let described = view.describe(name)?;
        let leaves = read_leaves(cx, view.as_ref(), name, described.records)?;
        let records = leaves.leaves.len() as u64;
        let root = leaves.root();
        collections.push(BackCollection { contract: described.contract, records, root });
        cx.keep_leaves(name.clone(), leaves);
    }
    let records = collections.iter().map(|it| it.records).sum();
    let seen = BackSeen { observed_at_us: cx.now_us(), collections };
    Ok(Done::seen(cx, &seen)?.count("records", records))
}

/// Reads a collection in ranges, on all workers.
fn read_leaves(
    cx: &Context<'_>,
    view: &dyn StoreSnapshot,
    name: &CollectionName,
    total: u64,
) -> Result<Leaves, StepError> {
    let workers = cx.work.workers.max(1);
    let ranges = view.ranges(name, workers * RANGES_PER_WORKER)?;
    let job = cx.work.progress.job(&format!("read back {name}"), "records", Some(total));
    let parts = each(workers, &ranges, |range| read_range(view, name, range, job.as_ref()))?;
    let mut whole = Leaves::default();
    for part in parts {
        let offset = whole.leaves.len();
        whole.leaves.extend(part.leaves);
        whole.samples.extend(part.samples.into_iter().map(|(at, record)| (at + offset, record)));
    }
    Ok(whole)
}

fn read_range(
    view: &dyn StoreSnapshot,
    name: &CollectionName,
    range: &IdRange,
    job: &dyn carnet_connect::Job,
) -> Result<Leaves, StepError> {
    let mut read = Leaves::default();
    let mut stream = view.scan(name, range)?;
    while let Some(batch) = stream.next()? {
        if read.samples.is_empty() {
            read.samples.push((0, batch.slice(0, 1)?));
        }
        read.leaves.extend(batch.iter().map(|record| leaf(&record)));
        job.add(batch.len() as u64);
    }
    Ok(read)
}
