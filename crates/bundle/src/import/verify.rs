//! After an import: the target is read back as a whole and compared with what was expected.

use carnet_connect::VectorRepository;
use carnet_ledger::Digest;
use carnet_model::CollectionContract;
use serde::{Deserialize, Serialize};

use crate::collection::{CollectionDigest, digest_collection};
use crate::difference::{FieldDifference, contract_differences};
use crate::error::BundleError;
use crate::work::Work;

/// What a collection of the target must be after an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Its contract.
    pub contract: CollectionContract,
    /// How many records.
    pub records: u64,
    /// The collection root.
    pub root: Digest,
}

/// A collection that was read back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifiedCollection {
    /// What it must be.
    pub expected: Expected,
    /// What was read back; `None` if the target has no such collection.
    pub found: Option<CollectionDigest>,
    /// In what both differ. Empty: they are equal.
    pub differences: Vec<FieldDifference>,
}

/// A target that was read back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifiedImport {
    /// Each collection that was expected.
    pub collections: Vec<VerifiedCollection>,
}

impl VerifiedImport {
    /// Whether every collection was compared and is equal. Nothing expected is nothing proven.
    pub fn is_equal(&self) -> bool {
        !self.collections.is_empty()
            && self.collections.iter().all(|one| one.found.is_some() && one.differences.is_empty())
    }

    /// The first difference as an error (`content.differs`).
    pub fn check(&self) -> Result<(), BundleError> {
        if self.is_equal() {
            return Ok(());
        }
        let wrong = self.collections.iter().find(|one| !one.differences.is_empty());
        let Some((one, first)) = wrong.and_then(|one| Some((one, one.differences.first()?))) else {
            return Err(BundleError::Request { what: "there is nothing to verify".to_owned() });
        };
        Err(BundleError::Differs {
            collection: one.expected.contract.name.clone(),
            what: format!("{} is {} and must be {}", first.field, first.b, first.a),
        })
    }
}

/// Reads the target back through a new view, every record of it, and compares count, root and
/// contract. What differs is in the answer; `VerifiedImport::check` makes it an error.
pub fn verify_target(
    target: &dyn VectorRepository,
    expected: &[Expected],
    work: &Work<'_>,
) -> Result<VerifiedImport, BundleError> {
    let view = target.snapshot()?;
    let there = view.collections()?;
    let mut collections = Vec::new();
    for one in expected {
        let name = &one.contract.name;
        let found = if there.contains(name) {
            Some(digest_collection(view.as_ref(), name, work)?)
        } else {
            None
        };
        let differences = found.as_ref().map_or_else(
            || vec![differs("collection", &"there", &"missing")],
            |found| compare(one, found),
        );
        collections.push(VerifiedCollection { expected: one.clone(), found, differences });
    }
    Ok(VerifiedImport { collections })
}

fn compare(expected: &Expected, found: &CollectionDigest) -> Vec<FieldDifference> {
    let mut all = contract_differences(&expected.contract, &found.contract);
    if expected.contract.digest() != found.contract_digest && all.is_empty() {
        all.push(differs("contract_digest", &expected.contract.digest(), &found.contract_digest));
    }
    if expected.records != found.records {
        all.push(differs("records", &expected.records, &found.records));
    }
    if expected.root != found.root {
        all.push(differs("root", &expected.root, &found.root));
    }
    all
}

fn differs(field: &str, a: &dyn ToString, b: &dyn ToString) -> FieldDifference {
    FieldDifference { field: field.to_owned(), a: a.to_string(), b: b.to_string() }
}
