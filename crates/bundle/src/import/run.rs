//! Doing what an import plan says, range by range, with resume.

use std::collections::BTreeMap;

use carnet_connect::{
    Job, Load, LoadMode, LoadRequest, StoreError, StoreSnapshot, VectorRepository,
};
use carnet_model::plan::ImportMode;
use carnet_model::{Code, CollectionName};
use serde::Serialize;

use crate::collection::digest_collection;
use crate::error::BundleError;
use crate::import::journal::ImportJournal;
use crate::import::merge::MergeWrites;
use crate::import::plan::{CollectionPlan, ImportPlan, RangePlan};
use crate::import::pump::{Tee, pump};
use crate::import::verify::Expected;
use crate::leaves::{RangeDigest, RangeLeaves, digest_range, root_of_ranges};
use crate::work::Work;

/// What an import has done, not yet read back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// What each collection of the target must now be.
    pub expected: Vec<Expected>,
    /// Ranges that were written.
    pub ranges_written: u64,
    /// Ranges of an earlier attempt that were compared on both sides and found equal.
    pub ranges_kept: u64,
}

/// Does what a plan says. `source` is a view of the source as it is now; for a resumed import
/// another one than that of the first attempt.
///
/// A range that the journal calls finished is digested again on both sides and copied again if they
/// differ. When the source is not what was planned any more, nothing becomes visible
/// (`content.differs`). On failure the loads are abandoned; what remains in the target is named in
/// the error.
pub fn run_import(
    plan: &ImportPlan,
    source: &dyn StoreSnapshot,
    target: &dyn VectorRepository,
    journal: &dyn ImportJournal,
    work: &Work<'_>,
) -> Result<Imported, BundleError> {
    let mut imported = Imported { expected: Vec::new(), ranges_written: 0, ranges_kept: 0 };
    for collection in &plan.collections {
        let request = LoadRequest {
            contract: collection.contract.clone(),
            mode: collection.load,
            token: plan.token.clone(),
        };
        if let Some(expected) = already_there(&request, target, journal, work)? {
            imported.expected.push(expected);
            continue;
        }
        let load = target.begin_load(&request)?;
        let job = One {
            plan: collection,
            mode: plan.mode,
            source,
            target,
            load: load.as_ref(),
            journal,
            work,
        };
        match job.run() {
            Ok(done) => {
                imported.expected.push(done.expected);
                imported.ranges_written += done.written;
                imported.ranges_kept += done.kept;
            }
            Err(error) => return Err(abandoned(load.as_ref(), &collection.contract.name, error)),
        }
    }
    Ok(imported)
}

/// Takes back a failed load. What cannot be taken back is named.
fn abandoned(load: &dyn Load, name: &CollectionName, cause: BundleError) -> BundleError {
    let left = match load.abandon() {
        Ok(left) => left,
        Err(error) => vec![format!("the unfinished load of {name} ({error})")],
    };
    if left.is_empty() {
        return cause;
    }
    BundleError::LeftBehind { collection: name.clone(), left, source: Box::new(cause) }
}

/// Whether an earlier attempt has made this collection visible. If it was cut off in the middle of
/// that, the target itself is asked, and the load is ended: what is there may have been written in
/// place, with the load still open.
fn already_there(
    request: &LoadRequest,
    target: &dyn VectorRepository,
    journal: &dyn ImportJournal,
    work: &Work<'_>,
) -> Result<Option<Expected>, BundleError> {
    let name = &request.contract.name;
    let Some((expected, known)) = journal.commit_of(name)? else { return Ok(None) };
    if known {
        return Ok(Some(expected));
    }
    let view = target.snapshot()?;
    if !view.collections()?.contains(name) {
        return Ok(None);
    }
    let found = digest_collection(view.as_ref(), name, work)?;
    // Content alone does not tell whether the declared index was finished.
    let index = view.describe(name)?.index;
    let indexed = expected
        .contract
        .index
        .as_ref()
        .is_none_or(|declared| index.as_ref().is_some_and(|index| index.kind == declared.kind));
    let there = indexed
        && found.root == expected.root
        && found.records == expected.records
        && found.contract_digest == expected.contract.digest();
    if !there {
        return Ok(None);
    }
    drop(view);
    if target.begin_load(request)?.commit(work.progress).is_err() {
        // What cannot be ended is loaded again, which tells why.
        return Ok(None);
    }
    journal.committed(&expected)?;
    Ok(Some(expected))
}

/// One collection being imported.
struct One<'r> {
    plan: &'r CollectionPlan,
    mode: ImportMode,
    source: &'r dyn StoreSnapshot,
    target: &'r dyn VectorRepository,
    load: &'r dyn Load,
    journal: &'r dyn ImportJournal,
    work: &'r Work<'r>,
}

struct Done {
    expected: Expected,
    written: u64,
    kept: u64,
}

impl One<'_> {
    fn name(&self) -> &CollectionName {
        &self.plan.contract.name
    }

    fn run(&self) -> Result<Done, BundleError> {
        let described = self.source.describe(self.name())?;
        let title = format!("copy {}", self.name());
        let job = self.work.progress.job(&title, "records", Some(described.records));
        let done = self.journal.done_ranges(self.name())?;
        // Only a merge looks at the target; a view that is held open costs some stores a lock.
        let view = match self.plan.load {
            LoadMode::Upsert => Some(self.target.snapshot()?),
            LoadMode::Replace => None,
        };
        let ranges: Vec<&RangePlan> = self.plan.ranges.iter().collect();
        let results = self.work.each(ranges, |n, range| {
            if let Some(leaves) = self.still_done(&done, n, range)? {
                job.add(leaves.records());
                return Ok((leaves, false));
            }
            self.journal.range_begun(self.name(), n)?;
            let leaves = match &view {
                None => self.copy(range, job.as_ref())?,
                Some(view) => self.merge(view.as_ref(), range, job.as_ref())?,
            };
            self.journal.range_done(self.name(), n, &leaves.digest())?;
            Ok::<_, BundleError>((leaves, true))
        })?;
        drop(job);
        let written = results.iter().filter(|(_, written)| *written).count() as u64;
        let kept = results.len() as u64 - written;
        let leaves: Vec<RangeLeaves> = results.into_iter().map(|(leaves, _)| leaves).collect();
        let expected = Expected {
            contract: self.plan.contract.clone(),
            records: leaves.iter().map(RangeLeaves::records).sum(),
            root: root_of_ranges(&leaves, self.work)?,
        };
        self.as_planned(&expected)?;
        // A view that stays open would see the store change, or hold up the writer.
        drop(view);
        self.journal.committing(&expected)?;
        self.load.commit(self.work.progress)?;
        self.journal.committed(&expected)?;
        Ok(Done { expected, written, kept })
    }

    /// The leaves of a range that an earlier attempt has finished, if both sides still agree.
    fn still_done(
        &self,
        done: &BTreeMap<usize, RangeDigest>,
        n: usize,
        range: &RangePlan,
    ) -> Result<Option<RangeLeaves>, BundleError> {
        if !done.contains_key(&n) {
            return Ok(None);
        }
        let Some(mut back) = self.load.read_back(&range.range)? else { return Ok(None) };
        let back = digest_range(back.as_mut())?;
        let expected = if let Some(expected) = range.expected {
            expected
        } else {
            let mut source = self.source.scan(self.name(), &range.range)?;
            digest_range(source.as_mut())?.digest()
        };
        Ok((back.digest() == expected).then_some(back))
    }

    /// Writes the records of the source as the whole of the range.
    fn copy(&self, range: &RangePlan, job: &dyn Job) -> Result<RangeLeaves, BundleError> {
        let mut source = Tee::new(self.source.scan(self.name(), &range.range)?);
        let count = pump(&mut source, job, |records| self.load.load_range(&range.range, records))?;
        if count == source.leaves.records() {
            return Ok(source.leaves);
        }
        Err(self.differs(&format!(
            "range {}: {count} records written of {}",
            range.range,
            source.leaves.records()
        )))
    }

    /// Writes those records of the source that the target does not have yet.
    fn merge(
        &self,
        view: &dyn StoreSnapshot,
        range: &RangePlan,
        job: &dyn Job,
    ) -> Result<RangeLeaves, BundleError> {
        let name = self.name();
        let mut merge = MergeWrites::new(
            self.source.scan(name, &range.range)?,
            view.scan(name, &range.range)?,
            self.mode,
            self.plan.contract.dimensions,
        )?;
        let mut checked = Checked { merge: &mut merge, expected: range.expected };
        pump(&mut checked, job, |records| self.load.load_range(&range.range, records))?;
        Ok(merge.outcome.leaves)
    }

    /// Nothing becomes visible that is not what was planned.
    fn as_planned(&self, seen: &Expected) -> Result<(), BundleError> {
        if let Some(records) = self.plan.expected_records.filter(|n| *n != seen.records) {
            return Err(self.differs(&format!("{} records and not {records}", seen.records)));
        }
        match self.plan.expected_root.filter(|root| *root != seen.root) {
            None => Ok(()),
            Some(root) => Err(self.differs(&format!("root {} and not {root}", seen.root))),
        }
    }

    fn differs(&self, what: &str) -> BundleError {
        let what = format!("not what was planned: {what}; the source or the target has changed");
        BundleError::Differs { collection: self.name().clone(), what }
    }
}

/// A merge that ends with an error unless it did what was planned: the range is then not written.
struct Checked<'m, 's> {
    merge: &'m mut MergeWrites<'s>,
    expected: Option<RangeDigest>,
}

impl carnet_connect::RecordStream for Checked<'_, '_> {
    fn next(&mut self) -> Result<Option<carnet_connect::Records>, StoreError> {
        let next = self.merge.next()?;
        let outcome = &self.merge.outcome;
        let as_planned = || self.expected.is_none_or(|planned| planned == outcome.leaves.digest());
        if outcome.conflicts > 0 || next.is_none() && !as_planned() {
            return Err(StoreError::new(
                Code::CONTENT_DIFFERS,
                "the source or the target has changed since the import was planned",
            )
            .remedy("plan the import again"));
        }
        Ok(next)
    }
}
