//! What an import will do, found out before anything is written.

use std::collections::BTreeMap;

use carnet_connect::{
    Capabilities, ContentFacts, Description, IdRange, LoadMode, Loss, StoreSnapshot,
    VectorRepository,
};
use carnet_ledger::Digest;
use carnet_model::plan::ImportMode;
use carnet_model::{CollectionContract, CollectionName, IndexSpec};
use serde::{Deserialize, Serialize};

use crate::collection::{CollectionDigest, digest_collection};
use crate::difference::contract_differences;
use crate::error::BundleError;
use crate::import::merge::{MergeOutcome, MergeWrites};
use crate::leaves::{RangeDigest, root_of_ranges};
use crate::work::Work;

/// Records of one range, about: the unit that is copied, repeated and resumed.
const RANGE_RECORDS: u64 = 16_384;

/// At least this many ranges for each worker, so that all have work to the end.
const RANGES_PER_WORKER: usize = 2;

const RANGES_MAX: u64 = 4_096;

/// What to import.
#[derive(Clone)]
pub struct ImportRequest<'a> {
    /// What happens to records that the target has already.
    pub mode: ImportMode,
    /// Names the loads in the target; the same again continues them. `a-z 0-9`, at most 32.
    pub token: &'a str,
    /// The collections; `None` for all.
    pub collections: Option<&'a [CollectionName]>,
    /// Digests of the very view that is imported, where they are known: they spare a pass.
    pub known: &'a [CollectionDigest],
    /// What the source can hold: what it cannot hold need not be looked for.
    pub source: &'a Capabilities,
    /// The index to declare in the target, by collection; others keep the source's.
    pub indexes: &'a BTreeMap<CollectionName, IndexSpec>,
    /// The names of losses that the owner accepts.
    pub accept_losses: &'a [String],
}

/// What an import does. It is made before the first write, can be stored, and is what a resumed
/// import goes by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportPlan {
    /// What happens to records that the target has already.
    pub mode: ImportMode,
    /// Names the loads in the target.
    pub token: String,
    /// The collections, in the order in which they are imported.
    pub collections: Vec<CollectionPlan>,
}

/// What an import does to one collection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectionPlan {
    /// The contract that the target has afterwards.
    pub contract: CollectionContract,
    /// Whether records are laid over what is there or take its place.
    pub load: LoadMode,
    /// The ranges, which together hold every id. Borders are drawn once and stay.
    pub ranges: Vec<RangePlan>,
    /// What happens to how many records.
    pub counts: ImportCounts,
    /// How many records the target has afterwards, where that is known beforehand: always when
    /// records are laid over others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_records: Option<u64>,
    /// The collection root of the target afterwards, where it is known beforehand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_root: Option<Digest>,
    /// What the target cannot hold and the owner has accepted to lose.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<AcceptedLoss>,
}

/// One range of an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RangePlan {
    /// Its borders.
    pub range: IdRange,
    /// What the target holds of it afterwards, when records are laid over others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<RangeDigest>,
}

/// What an import does to how many records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportCounts {
    /// New in the target.
    pub added: u64,
    /// In the target with a lower version: overwritten.
    pub overwritten: u64,
    /// In the target with the same content: not written.
    pub unchanged: u64,
    /// In the target with a higher version: not written.
    pub kept: u64,
    /// In the target and replaced as a whole.
    pub replaced: u64,
}

impl ImportCounts {
    fn join(self, other: Self) -> Self {
        Self {
            added: self.added + other.added,
            overwritten: self.overwritten + other.overwritten,
            unchanged: self.unchanged + other.unchanged,
            kept: self.kept + other.kept,
            replaced: self.replaced + other.replaced,
        }
    }
}

/// A loss that the owner has accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcceptedLoss {
    /// Its name.
    pub name: String,
    /// What exactly is lost.
    pub what: String,
}

/// Finds out what an import would do, and refuses what must not be done: conflicts
/// (`import.conflict`), contracts that do not fit (`contract.differs`), losses that nobody has
/// accepted (`loss`). Writes nothing.
///
/// Where the target has no records of a collection, the source is not read, unless its content must
/// be known to tell whether the target can hold it.
pub fn plan_import(
    source: &dyn StoreSnapshot,
    target: &dyn VectorRepository,
    request: &ImportRequest<'_>,
    work: &Work<'_>,
) -> Result<ImportPlan, BundleError> {
    let names = match request.collections {
        Some(names) => names.to_vec(),
        None => source.collections()?,
    };
    let capabilities = target.capabilities();
    if names.len() > 1 && !capabilities.collections {
        return Err(BundleError::Request {
            what: format!(
                "{} holds one collection, the source has {}",
                target.label(),
                names.len()
            ),
        });
    }
    let held = target.snapshot()?;
    let there = held.collections()?;
    let planner = Planner { source, target: held.as_ref(), capabilities, request, work };
    let mut collections = Vec::new();
    for name in &names {
        let described = source.describe(name)?;
        let existing = if there.contains(name) { Some(held.describe(name)?) } else { None };
        collections.push(match existing {
            Some(existing) if existing.records > 0 && request.mode != ImportMode::Replace => {
                planner.merge(name, &described, existing)?
            }
            existing => {
                planner.replace(name, described, existing.map_or(0, |held| held.records))?
            }
        });
    }
    Ok(ImportPlan { mode: request.mode, token: request.token.to_owned(), collections })
}

struct Planner<'p> {
    source: &'p dyn StoreSnapshot,
    target: &'p dyn StoreSnapshot,
    capabilities: &'p Capabilities,
    request: &'p ImportRequest<'p>,
    work: &'p Work<'p>,
}

impl Planner<'_> {
    fn ranges(&self, name: &CollectionName, records: u64) -> Result<Vec<IdRange>, BundleError> {
        let by_size = records.div_ceil(RANGE_RECORDS).min(RANGES_MAX);
        let least = self.work.threads() * RANGES_PER_WORKER;
        let parts = usize::try_from(by_size).unwrap_or(1).max(least);
        Ok(self.source.ranges(name, parts)?)
    }

    /// The records of the source take the place of whatever is there.
    fn replace(
        &self,
        name: &CollectionName,
        described: Description,
        replaced: u64,
    ) -> Result<CollectionPlan, BundleError> {
        let mut contract = described.contract;
        let known = self.request.known.iter().find(|known| known.name == *name).cloned();
        let known = match known {
            None if must_look(self.request.source, self.capabilities) => {
                Some(digest_collection(self.source, name, self.work)?)
            }
            known => known,
        };
        let facts = known.as_ref().map_or_else(ContentFacts::default, |known| known.facts.clone());
        let accepted = self.accept(&mut contract, &facts)?;
        let records = known.as_ref().map_or(described.records, |known| known.records);
        let whole = |range| RangePlan { range, expected: None };
        Ok(CollectionPlan {
            contract,
            load: LoadMode::Replace,
            ranges: self.ranges(name, records)?.into_iter().map(whole).collect(),
            counts: ImportCounts { added: records, replaced, ..ImportCounts::default() },
            expected_records: known.as_ref().map(|known| known.records),
            expected_root: known.map(|known| known.root),
            accepted,
        })
    }

    /// The records of the source are laid over those of the target.
    fn merge(
        &self,
        name: &CollectionName,
        described: &Description,
        existing: Description,
    ) -> Result<CollectionPlan, BundleError> {
        let mut contract = existing.contract;
        fitting(&described.contract, &contract)?;
        let dimensions = contract.dimensions;
        let total = Some(described.records.max(existing.records));
        let job = self.work.progress.job(&format!("compare {name}"), "records", total);
        let ranges = self.ranges(name, described.records)?;
        let outcomes = self.work.each(ranges.clone(), |_, range| {
            let mut merge = MergeWrites::new(
                self.source.scan(name, &range)?,
                self.target.scan(name, &range)?,
                self.request.mode,
                dimensions,
            )?;
            while carnet_connect::RecordStream::next(&mut merge)?.is_some() {}
            job.add(merge.outcome.leaves.records());
            Ok::<_, BundleError>(merge.outcome)
        })?;
        no_conflict(name, &outcomes)?;
        let facts = outcomes
            .iter()
            .fold(ContentFacts::default(), |facts, outcome| facts.join(outcome.facts.clone()));
        // The declared index is the target's own and fits it already.
        let index = contract.index.take();
        let accepted = self.accept(&mut contract, &facts)?;
        contract.index = index;
        let counts = outcomes
            .iter()
            .fold(ImportCounts::default(), |counts, outcome| counts.join(outcome.counts));
        let leaves: Vec<_> = outcomes.into_iter().map(|outcome| outcome.leaves).collect();
        let planned = ranges.into_iter().zip(&leaves);
        Ok(CollectionPlan {
            contract,
            load: LoadMode::Upsert,
            ranges: planned
                .map(|(range, leaves)| RangePlan { range, expected: Some(leaves.digest()) })
                .collect(),
            counts,
            expected_records: Some(leaves.iter().map(crate::RangeLeaves::records).sum()),
            expected_root: Some(root_of_ranges(&leaves, self.work)?),
            accepted,
        })
    }

    /// Refuses losses that are not accepted. An accepted loss of the index leaves it undeclared.
    fn accept(
        &self,
        contract: &mut CollectionContract,
        facts: &ContentFacts,
    ) -> Result<Vec<AcceptedLoss>, BundleError> {
        if let Some(index) = self.request.indexes.get(&contract.name) {
            contract.index = Some(index.clone());
        }
        let losses = self.capabilities.losses(contract, facts);
        let is_accepted = |loss: &Loss| {
            loss.waivable && self.request.accept_losses.iter().any(|name| name == loss.name)
        };
        let (accepted, refused): (Vec<_>, Vec<_>) = losses.into_iter().partition(is_accepted);
        if !refused.is_empty() {
            return Err(BundleError::Loss { collection: contract.name.clone(), losses: refused });
        }
        if accepted.iter().any(|loss| loss.name == "index") {
            contract.index = None;
        }
        let named = |loss: Loss| AcceptedLoss { name: loss.name.to_owned(), what: loss.what };
        Ok(accepted.into_iter().map(named).collect())
    }
}

/// Whether the source may hold content that the target cannot, so that it must be looked at.
fn must_look(source: &Capabilities, target: &Capabilities) -> bool {
    source.id_bytes_max > target.id_bytes_max
        || source.nul_in_text && !target.nul_in_text
        || source.non_finite && !target.non_finite
}

/// Two collections whose vectors are not of one space are not put together. A fact that one side
/// does not declare is no contradiction here: the contract gate judges silence.
fn fitting(source: &CollectionContract, target: &CollectionContract) -> Result<(), BundleError> {
    let contradiction = contract_differences(source, target)
        .into_iter()
        .find(|differs| differs.a != "undeclared" && differs.b != "undeclared");
    match contradiction {
        None => Ok(()),
        Some(differs) => Err(BundleError::Contract {
            collection: target.name.clone(),
            what: format!(
                "{} is {} in the source and {} in the target",
                differs.field, differs.a, differs.b
            ),
        }),
    }
}

fn no_conflict(name: &CollectionName, outcomes: &[MergeOutcome]) -> Result<(), BundleError> {
    let count = outcomes.iter().map(|outcome| outcome.conflicts).sum();
    match outcomes.iter().find_map(|outcome| outcome.conflict.clone()) {
        None => Ok(()),
        Some(first) => Err(BundleError::Conflict { collection: name.clone(), first, count }),
    }
}
