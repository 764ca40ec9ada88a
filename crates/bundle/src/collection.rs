//! The digest of a whole collection, in any store.

use carnet_connect::{ContentFacts, StoreSnapshot};
use carnet_ledger::Digest;
use carnet_model::{CollectionContract, CollectionName};
use serde::{Deserialize, Serialize};

use crate::error::BundleError;
use crate::facts::note;
use crate::leaves::{ShardLeaves, root_of_shards};
use crate::record::record_leaf;
use crate::work::Work;

/// Shards for each worker: the slowest shard then holds up little.
const SHARDS_PER_WORKER: usize = 8;

/// What a collection holds, in short: equal digests mean equal records, whatever holds them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectionDigest {
    /// The collection.
    pub name: CollectionName,
    /// How many records.
    pub records: u64,
    /// The length of each vector.
    pub dimensions: u32,
    /// The RFC 6962 root over the records' leaves, in byte order of id.
    pub root: Digest,
    /// The declared contract.
    pub contract: CollectionContract,
    /// Its digest, which leaves the name out.
    pub contract_digest: Digest,
    /// What the pass found about the content.
    pub facts: ContentFacts,
}

/// Reads every record of a collection once, in whatever order the store likes best.
///
/// Holds the ids and 32 bytes of each record, never vectors or metadata. An id that stands twice is
/// `record.duplicate`.
pub fn digest_collection(
    view: &dyn StoreSnapshot,
    name: &CollectionName,
    work: &Work<'_>,
) -> Result<CollectionDigest, BundleError> {
    let described = view.describe(name)?;
    let shards = view.shards(name, work.threads() * SHARDS_PER_WORKER)?;
    let job = work.progress.job(&format!("digest {name}"), "records", Some(described.records));
    let parts = work.each(shards, |_, shard| {
        let mut leaves = ShardLeaves::default();
        let mut facts = ContentFacts::default();
        let mut stream = view.scan_shard(name, &shard)?;
        while let Some(batch) = stream.next()? {
            for record in batch.iter() {
                note(&mut facts, &record);
                leaves.push(record.id, record_leaf(&record));
            }
            job.add(batch.len() as u64);
        }
        Ok::<_, BundleError>((leaves, facts))
    })?;
    let (leaves, facts): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    let facts = facts.into_iter().fold(ContentFacts::default(), ContentFacts::join);
    Ok(CollectionDigest {
        name: name.clone(),
        records: facts.records,
        dimensions: described.contract.dimensions,
        root: root_of_shards(leaves, work)?,
        contract_digest: described.contract.digest(),
        contract: described.contract,
        facts,
    })
}

/// The digests of all collections, by name.
pub fn digest_store(
    view: &dyn StoreSnapshot,
    work: &Work<'_>,
) -> Result<Vec<CollectionDigest>, BundleError> {
    view.collections()?.iter().map(|name| digest_collection(view, name, work)).collect()
}
