//! The steps that only look: what is on both sides before anything is changed.

use std::collections::BTreeMap;

use carnet_bundle::{ARTIFACT_KINDS, CollectionDigest, digest_collection};
use carnet_ledger::Digest;
use carnet_model::{CollectionContract, CollectionName};
use serde::{Deserialize, Serialize};

use super::context::{Context, Done};
use super::files;
use crate::error::StepError;

/// What was seen of the source.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SourceSeen {
    pub(crate) observed_at_us: i64,
    pub(crate) store: String,
    pub(crate) collections: Vec<SourceCollection>,
}

/// One collection of the source.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SourceCollection {
    /// What the store itself declares.
    pub(crate) declared: CollectionContract,
    /// Its content, under the contract that the plan completes.
    pub(crate) digest: CollectionDigest,
    /// Columns that travel in the metadata.
    pub(crate) carried_columns: Vec<String>,
}

/// What was seen of the target.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TargetSeen {
    pub(crate) observed_at_us: i64,
    pub(crate) store: String,
    /// The collections that are there already, of those that move.
    pub(crate) collections: Vec<TargetCollection>,
    /// The artifacts that are there already.
    pub(crate) artifacts: BTreeMap<String, Digest>,
}

/// One collection of the target.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TargetCollection {
    pub(crate) name: CollectionName,
    pub(crate) records: u64,
    pub(crate) contract: CollectionContract,
}

impl TargetSeen {
    /// How many records a collection held before the import.
    pub(crate) fn before(&self, name: &CollectionName) -> u64 {
        self.collections.iter().find(|held| held.name == *name).map_or(0, |held| held.records)
    }
}

pub(super) fn describe_source(cx: &Context<'_>) -> Result<Done, StepError> {
    // A target that does not answer is noticed before the source is read through.
    cx.target()?.snapshot()?.collections()?;
    let store = cx.source()?.label().to_owned();
    let collections = cx.with_source(|view, contracts| {
        let plain = cx.source()?.snapshot()?;
        let mut seen = Vec::with_capacity(contracts.len());
        for contract in contracts {
            let described = plain.describe(&contract.name)?;
            seen.push(SourceCollection {
                declared: described.contract,
                carried_columns: described.carried_columns,
                digest: digest_collection(view, &contract.name, &cx.work)?,
            });
        }
        Ok(seen)
    })?;
    let records = collections.iter().map(|collection| collection.digest.records).sum();
    let count = collections.len() as u64;
    let seen = SourceSeen { observed_at_us: cx.now_us(), store, collections };
    Ok(Done::seen(cx, &seen)?.count("records", records).count("collections", count))
}

pub(super) fn describe_target(cx: &Context<'_>) -> Result<Done, StepError> {
    let target = cx.target()?;
    let source: SourceSeen = cx.seen("prepare/describe_source")?;
    let view = target.snapshot()?;
    let there = view.collections()?;
    let mut collections = Vec::new();
    for collection in &source.collections {
        let name = collection.digest.name.clone();
        if there.contains(&name) {
            let described = view.describe(&name)?;
            let (records, contract) = (described.records, described.contract);
            collections.push(TargetCollection { name, records, contract });
        }
    }
    let artifacts = match cx.target_artifacts() {
        Some(folder) => artifact_digests(&folder)?,
        None => BTreeMap::new(),
    };
    let records = collections.iter().map(|collection| collection.records).sum();
    let store = target.label().to_owned();
    let seen = TargetSeen { observed_at_us: cx.now_us(), store, collections, artifacts };
    Ok(Done::seen(cx, &seen)?.count("records", records))
}

/// Notes how the source is held still: by the flag, or by the view that the export opens. A view
/// does not outlive its process, so the export opens its own.
pub(super) fn pin_source(cx: &Context<'_>) -> Result<Done, StepError> {
    let store = cx.source()?;
    let view = store.snapshot()?;
    let mut records = 0;
    for contract in cx.contracts(view.as_ref())? {
        records += view.describe(&contract.name)?.records;
    }
    let held_by = match (&cx.knowledge()?.quiesce, store.capabilities().read) {
        (Some(_), _) => "flag",
        (None, carnet_connect::ReadConsistency::Snapshot) => "snapshot",
        (None, carnet_connect::ReadConsistency::ChangeDetected) => "change_detected",
    };
    Ok(Done::default().count("records", records).fact("held_by", held_by))
}

/// The digests of the artifact files in a folder, by path.
pub(crate) fn artifact_digests(
    folder: &std::path::Path,
) -> Result<BTreeMap<String, Digest>, StepError> {
    let mut found = BTreeMap::new();
    for kind in ARTIFACT_KINDS {
        let place = folder.join(kind);
        if !place.is_dir() {
            continue;
        }
        for (path, _) in files::walk(&place)?.files {
            if let Some(digest) = files::digest(&place.join(&path))? {
                found.insert(format!("{kind}/{}", path.to_string_lossy()), digest);
            }
        }
    }
    Ok(found)
}
