//! What an import remembers, so that one that was cut off continues.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use carnet_model::CollectionName;

use crate::error::BundleError;
use crate::import::verify::Expected;
use crate::leaves::RangeDigest;

/// Takes the steps of an import before and after they are done, from several threads. What it is
/// told must be durable when the call returns.
pub trait ImportJournal: Sync {
    /// A range is about to be written.
    fn range_begun(&self, collection: &CollectionName, range: usize) -> Result<(), BundleError>;

    /// A range is written, with the digest that the range then has in the target.
    fn range_done(
        &self,
        collection: &CollectionName,
        range: usize,
        digest: &RangeDigest,
    ) -> Result<(), BundleError>;

    /// All ranges are written and the collection is about to become visible.
    fn committing(&self, expected: &Expected) -> Result<(), BundleError>;

    /// The collection is visible.
    fn committed(&self, expected: &Expected) -> Result<(), BundleError>;

    /// The ranges that an earlier attempt has finished.
    fn done_ranges(
        &self,
        collection: &CollectionName,
    ) -> Result<BTreeMap<usize, RangeDigest>, BundleError>;

    /// What an earlier attempt was about to make visible, and whether it knows that it has.
    fn commit_of(
        &self,
        collection: &CollectionName,
    ) -> Result<Option<(Expected, bool)>, BundleError>;
}

/// Remembers nothing: an import that is cut off starts again.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoJournal;

impl ImportJournal for NoJournal {
    fn range_begun(&self, _: &CollectionName, _: usize) -> Result<(), BundleError> {
        Ok(())
    }

    fn range_done(&self, _: &CollectionName, _: usize, _: &RangeDigest) -> Result<(), BundleError> {
        Ok(())
    }

    fn committing(&self, _: &Expected) -> Result<(), BundleError> {
        Ok(())
    }

    fn committed(&self, _: &Expected) -> Result<(), BundleError> {
        Ok(())
    }

    fn done_ranges(&self, _: &CollectionName) -> Result<BTreeMap<usize, RangeDigest>, BundleError> {
        Ok(BTreeMap::new())
    }

    fn commit_of(&self, _: &CollectionName) -> Result<Option<(Expected, bool)>, BundleError> {
        Ok(None)
    }
}

#[derive(Debug, Default)]
struct Remembered {
    begun: BTreeSet<usize>,
    done: BTreeMap<usize, RangeDigest>,
    commit: Option<(Expected, bool)>,
}

/// Remembers in memory, for tests and dry runs.
#[derive(Debug, Default)]
pub struct MemoryJournal(Mutex<BTreeMap<CollectionName, Remembered>>);

impl MemoryJournal {
    fn held(&self) -> MutexGuard<'_, BTreeMap<CollectionName, Remembered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ranges whose writing was begun, finished or not.
    pub fn begun_ranges(&self, collection: &CollectionName) -> BTreeSet<usize> {
        self.held().get(collection).map(|held| held.begun.clone()).unwrap_or_default()
    }
}

impl ImportJournal for MemoryJournal {
    fn range_begun(&self, collection: &CollectionName, range: usize) -> Result<(), BundleError> {
        self.held().entry(collection.clone()).or_default().begun.insert(range);
        Ok(())
    }

    fn range_done(
        &self,
        collection: &CollectionName,
        range: usize,
        digest: &RangeDigest,
    ) -> Result<(), BundleError> {
        self.held().entry(collection.clone()).or_default().done.insert(range, *digest);
        Ok(())
    }

    fn committing(&self, expected: &Expected) -> Result<(), BundleError> {
        let commit = Some((expected.clone(), false));
        self.held().entry(expected.contract.name.clone()).or_default().commit = commit;
        Ok(())
    }

    fn committed(&self, expected: &Expected) -> Result<(), BundleError> {
        let commit = Some((expected.clone(), true));
        self.held().entry(expected.contract.name.clone()).or_default().commit = commit;
        Ok(())
    }

    fn done_ranges(
        &self,
        collection: &CollectionName,
    ) -> Result<BTreeMap<usize, RangeDigest>, BundleError> {
        Ok(self.held().get(collection).map(|held| held.done.clone()).unwrap_or_default())
    }

    fn commit_of(
        &self,
        collection: &CollectionName,
    ) -> Result<Option<(Expected, bool)>, BundleError> {
        Ok(self.held().get(collection).and_then(|held| held.commit.clone()))
    }
}
