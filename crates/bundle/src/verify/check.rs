//! The answer of a verification: each check with its verdict.

use carnet_model::Code;
use serde::Serialize;

use crate::collection::CollectionDigest;
use crate::manifest::Manifest;

/// The checks of every snapshot, in the order in which they are told.
const CHECKS: [&str; 13] = [
    "checksum_list",
    "files",
    "sha256",
    "manifest",
    "file_list",
    "sizes",
    "artifacts",
    "contract",
    "records",
    "ids",
    "canonical",
    "root",
    "digests",
];

/// The check of snapshots that hold the metadata apart.
const METADATA: &str = "metadata";

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckVerdict {
    /// Everything was compared and is equal.
    Pass,
    /// Something differs, or could not be read.
    Fail,
    /// Another check left nothing to look at.
    NotRun,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// How it ended.
    pub verdict: CheckVerdict,
    /// How many things were compared.
    pub compared: u64,
    /// The first difference: which file or record, and both values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
    #[serde(skip)]
    code: Option<Code>,
}

/// What is known of a snapshot after looking at all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// Every check, in a fixed order.
    pub checks: Vec<Check>,
    /// The inventory, if it can be read.
    #[serde(skip)]
    pub manifest: Option<Manifest>,
    /// The digest of each collection, recomputed from the records. Empty unless all is well.
    pub collections: Vec<CollectionDigest>,
}

impl Verification {
    /// Whether every check was run and passed.
    pub fn is_ok(&self) -> bool {
        !self.checks.is_empty()
            && self.checks.iter().all(|check| check.verdict == CheckVerdict::Pass)
    }

    /// The code of the first check that did not pass; `None` if all is well.
    pub fn code(&self) -> Option<Code> {
        let first = self.checks.iter().find(|check| check.verdict != CheckVerdict::Pass)?;
        let failed = self.checks.iter().find(|check| check.verdict == CheckVerdict::Fail);
        let version = self
            .checks
            .iter()
            .find_map(|check| check.code.filter(|code| *code == Code::SNAPSHOT_VERSION));
        // A snapshot of another version is not judged by the rules of this one.
        Some(
            version
                .unwrap_or_else(|| failed.unwrap_or(first).code.unwrap_or(Code::SNAPSHOT_DAMAGED)),
        )
    }

    /// The first difference, for people.
    pub fn first_difference(&self) -> Option<&str> {
        self.checks.iter().find_map(|check| check.first.as_deref())
    }
}

/// Checks as they come in; those that never do are `not_run`.
#[derive(Default)]
pub(super) struct Checks(Vec<Check>);

impl Checks {
    pub(super) fn pass(&mut self, name: &'static str, compared: u64) {
        let verdict = CheckVerdict::Pass;
        self.0.push(Check { name, verdict, compared, first: None, code: None });
    }

    pub(super) fn fail(&mut self, name: &'static str, code: Code, first: String) {
        let verdict = CheckVerdict::Fail;
        self.0.push(Check { name, verdict, compared: 0, first: Some(first), code: Some(code) });
    }

    pub(super) fn end(
        self,
        manifest: Option<Manifest>,
        collections: Vec<CollectionDigest>,
    ) -> Verification {
        let not_run = |name| Check {
            name,
            verdict: CheckVerdict::NotRun,
            compared: 0,
            first: None,
            code: None,
        };
        let find = |name| self.0.iter().find(|check| check.name == name).cloned();
        let all = CHECKS.into_iter().map(|name| find(name).unwrap_or_else(|| not_run(name)));
        let checks = all.chain(find(METADATA)).collect();
        let all = Verification { checks, manifest, collections };
        if all.is_ok() { all } else { Verification { collections: Vec::new(), ..all } }
    }
}
