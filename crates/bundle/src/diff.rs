//! Comparing two stores or snapshots record by record, in memory that does not grow with them.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use carnet_connect::{IdRange, Job, RowCursor, StoreSnapshot};
use carnet_ledger::Digest;
use carnet_model::{Code, CollectionName};
use serde::Serialize;

use crate::difference::{FieldDifference, contract_differences, differences, same};
use crate::error::BundleError;
use crate::work::Work;

/// Ranges for each worker, so that the slowest holds up little.
const RANGES_PER_WORKER: usize = 4;

/// What two sides differ in. Equal only if everything was compared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DiffReport {
    /// Collections on both sides.
    pub collections: Vec<CollectionDiff>,
    /// Collections that only the first side has.
    pub only_in_a: Vec<CollectionName>,
    /// Collections that only the second side has.
    pub only_in_b: Vec<CollectionName>,
}

/// What one collection differs in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CollectionDiff {
    /// Its name on the first side.
    pub a: CollectionName,
    /// Its name on the second side.
    pub b: CollectionName,
    /// Declared facts that differ.
    pub contract: Vec<FieldDifference>,
    /// The contract's digest on each side.
    pub contract_digests: (Digest, Digest),
    /// How many records are the same in every bit.
    pub same: u64,
    /// How many only the first side has.
    pub only_in_a: u64,
    /// How many only the second side has.
    pub only_in_b: u64,
    /// How many are on both sides with other content.
    pub differing: u64,
    /// In how many records each field differs: `vector`, `metadata`, …
    pub fields: BTreeMap<String, u64>,
    /// The first differences, in byte order of id.
    pub first: Vec<Difference>,
}

/// One record that is not the same on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Its id.
    pub id: String,
    /// What is different about it.
    pub kind: DifferenceKind,
}

/// How a record differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// The second side does not have it.
    OnlyInA,
    /// The first side does not have it.
    OnlyInB,
    /// Both have it, with these fields different.
    Differs(Vec<FieldDifference>),
}

impl CollectionDiff {
    /// Whether contract and records are the same.
    pub fn is_equal(&self) -> bool {
        self.contract_digests.0 == self.contract_digests.1
            && self.contract.is_empty()
            && self.records_equal()
    }

    fn records_equal(&self) -> bool {
        self.only_in_a == 0 && self.only_in_b == 0 && self.differing == 0
    }
}

impl DiffReport {
    /// Whether both sides hold the same. Two sides without any collection are not: nothing was
    /// compared.
    pub fn is_equal(&self) -> bool {
        !self.collections.is_empty()
            && self.only_in_a.is_empty()
            && self.only_in_b.is_empty()
            && self.collections.iter().all(CollectionDiff::is_equal)
    }

    /// The code of the difference; `None` if both sides are the same.
    pub fn code(&self) -> Option<Code> {
        if self.is_equal() {
            return None;
        }
        let contents = self.only_in_a.is_empty()
            && self.only_in_b.is_empty()
            && !self.collections.is_empty()
            && self.collections.iter().all(CollectionDiff::records_equal);
        Some(if contents { Code::CONTRACT_DIFFERS } else { Code::CONTENT_DIFFERS })
    }
}

/// Compares two views. Collections are paired by name; if each side has exactly one, these two are
/// compared whatever they are called. At most `shown` differences are kept for each collection;
/// all are counted.
pub fn diff(
    a: &dyn StoreSnapshot,
    b: &dyn StoreSnapshot,
    shown: usize,
    work: &Work<'_>,
) -> Result<DiffReport, BundleError> {
    let (names_a, names_b) = (a.collections()?, b.collections()?);
    if let ([one_a], [one_b]) = (names_a.as_slice(), names_b.as_slice()) {
        let only = diff_collection((a, one_a), (b, one_b), shown, work)?;
        return Ok(DiffReport { collections: vec![only], ..DiffReport::default() });
    }
    let without = |names: &[CollectionName], others: &[CollectionName]| {
        names.iter().filter(|name| !others.contains(name)).cloned().collect::<Vec<_>>()
    };
    let mut report = DiffReport {
        collections: Vec::new(),
        only_in_a: without(&names_a, &names_b),
        only_in_b: without(&names_b, &names_a),
    };
    for name in names_a.iter().filter(|name| names_b.contains(name)) {
        report.collections.push(diff_collection((a, name), (b, name), shown, work)?);
    }
    Ok(report)
}

type Side<'s> = (&'s dyn StoreSnapshot, &'s CollectionName);

/// Compares one collection of each side.
pub fn diff_collection(
    a: Side<'_>,
    b: Side<'_>,
    shown: usize,
    work: &Work<'_>,
) -> Result<CollectionDiff, BundleError> {
    let (held_a, held_b) = (a.0.describe(a.1)?, b.0.describe(b.1)?);
    let larger = if held_a.records >= held_b.records { a } else { b };
    let ranges = larger.0.ranges(larger.1, work.threads() * RANGES_PER_WORKER)?;
    let total = held_a.records.max(held_b.records);
    let job = work.progress.job(&format!("compare {}", a.1), "records", Some(total));
    let parts = work.each(ranges, |_, range| compare(a, b, &range, shown, job.as_ref()))?;
    let mut all = CollectionDiff {
        a: a.1.clone(),
        b: b.1.clone(),
        contract: contract_differences(&held_a.contract, &held_b.contract),
        contract_digests: (held_a.contract.digest(), held_b.contract.digest()),
        same: 0,
        only_in_a: 0,
        only_in_b: 0,
        differing: 0,
        fields: BTreeMap::new(),
        first: Vec::new(),
    };
    for part in parts {
        all.same += part.same;
        all.only_in_a += part.only_in_a;
        all.only_in_b += part.only_in_b;
        all.differing += part.differing;
        for (field, count) in part.fields {
            *all.fields.entry(field).or_default() += count;
        }
        let room = shown.saturating_sub(all.first.len());
        all.first.extend(part.first.into_iter().take(room));
    }
    Ok(all)
}

#[derive(Default)]
struct Counts {
    same: u64,
    only_in_a: u64,
    only_in_b: u64,
    differing: u64,
    fields: BTreeMap<String, u64>,
    first: Vec<Difference>,
}

/// Progress is told in steps of this many records.
const STEP: u64 = 1_024;

fn compare(
    a: Side<'_>,
    b: Side<'_>,
    range: &IdRange,
    shown: usize,
    job: &dyn Job,
) -> Result<Counts, BundleError> {
    let mut left = RowCursor::new(a.0.scan(a.1, range)?)?;
    let mut right = RowCursor::new(b.0.scan(b.1, range)?)?;
    let mut counts = Counts::default();
    let mut waiting = 0;
    loop {
        let order = match (left.current(), right.current()) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(l), Some(r)) => l.id.cmp(r.id),
        };
        let difference = match (order, left.current(), right.current()) {
            (Ordering::Equal, Some(l), Some(r)) => {
                if same(&l, &r) {
                    counts.same += 1;
                    None
                } else {
                    counts.differing += 1;
                    let found = differences(&l, &r);
                    for one in &found {
                        let field = one.field.split('[').next().unwrap_or_default();
                        *counts.fields.entry(field.to_owned()).or_default() += 1;
                    }
                    Some((l.id, DifferenceKind::Differs(found)))
                }
            }
            (Ordering::Less, Some(l), _) => {
                counts.only_in_a += 1;
                Some((l.id, DifferenceKind::OnlyInA))
            }
            (_, _, Some(r)) => {
                counts.only_in_b += 1;
                Some((r.id, DifferenceKind::OnlyInB))
            }
            (_, _, None) => break,
        };
        if let Some((id, kind)) = difference
            && counts.first.len() < shown
        {
            counts.first.push(Difference { id: id.to_owned(), kind });
        }
        if order.is_le() {
            left.advance()?;
        }
        if order.is_ge() {
            right.advance()?;
        }
        waiting += 1;
        if waiting == STEP {
            job.add(std::mem::take(&mut waiting));
        }
    }
    job.add(waiting);
    Ok(counts)
}
