//! All files of a policy snapshot, in memory: what is asked, what travels, what a verifier reads.

use std::collections::BTreeMap;

use carnet_ledger::Digest;

use super::document::{
    ALLOWED_BUILTINS, POLICY_VERSION, PolicyDefinition, PolicySnapshot, is_entry,
};
use super::error::PolicyError;
use super::self_test::SelfTests;

/// The document.
pub const SNAPSHOT: &str = "snapshot.json";
/// The folder of the modules.
pub const MODULES: &str = "modules/";
/// What the modules look up under `data`.
pub const DATA: &str = "data.json";
/// The decisions that the snapshot is known by.
pub const SELF_TESTS: &str = "self-tests.json";
/// What the author of a policy may choose.
pub const DEFINITION: &str = "policy.json";

/// How many modules there may be.
const MODULES_MAX: usize = 256;
/// How many bytes `self-tests.json` may have.
const SELF_TESTS_BYTES_MAX: usize = 16 << 20;

/// Whether this is the path of a module: relative, with `/`, ending in `.rego`, of plain characters.
pub fn is_module(path: &str) -> bool {
    let plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '-' | '.');
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.chars().all(plain);
    path.len() <= 256 && path.strip_suffix(".rego").is_some() && path.split('/').all(part)
}

/// A policy with all of its bytes, which are those that its snapshot names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFiles {
    snapshot: PolicySnapshot,
    modules: BTreeMap<String, String>,
    data: Option<Vec<u8>>,
    self_tests: Vec<u8>,
    tests: SelfTests,
}

impl PolicyFiles {
    /// A snapshot of what an author wrote. `modules` by path.
    pub fn of(
        definition: PolicyDefinition,
        modules: BTreeMap<String, String>,
        data: Option<Vec<u8>>,
        self_tests: Vec<u8>,
    ) -> Result<Self, PolicyError> {
        let PolicyDefinition { entry, limits } = definition;
        if !is_entry(&entry) {
            let what = format!("{entry:?} is no package such as {}", super::ENTRY);
            return Err(PolicyError::form(DEFINITION, what));
        }
        let digests =
            modules.iter().map(|(path, text)| (path.clone(), Digest::of(text.as_bytes())));
        let snapshot = PolicySnapshot {
            version: POLICY_VERSION.to_owned(),
            engine: PolicySnapshot::ENGINE.to_owned(),
            language: PolicySnapshot::LANGUAGE.to_owned(),
            entry,
            modules: digests.collect(),
            data: data.as_deref().map(Digest::of),
            self_tests: Digest::of(&self_tests),
            limits,
            builtins: ALLOWED_BUILTINS.iter().map(|it| (*it).to_owned()).collect(),
        };
        snapshot.check()?;
        Self::held(snapshot, modules, data, self_tests)
    }

    /// Reads a snapshot from its files, by their paths in its folder (`snapshot.json`,
    /// `modules/…`, `data.json`, `self-tests.json`). Each must have the digest that the document
    /// names, and there must be no other.
    pub fn read(files: &BTreeMap<String, Vec<u8>>) -> Result<Self, PolicyError> {
        let missing = |file: &str| PolicyError::Missing { file: file.to_owned() };
        let document = files.get(SNAPSHOT).ok_or_else(|| missing(SNAPSHOT))?;
        let snapshot = PolicySnapshot::read(document)?;
        let file = |name: &str, digest: Digest| match files.get(name) {
            None => Err(missing(name)),
            Some(bytes) if Digest::of(bytes) != digest => {
                Err(PolicyError::Damaged { file: name.to_owned() })
            }
            Some(bytes) => Ok(bytes.clone()),
        };
        let mut modules = BTreeMap::new();
        for (path, digest) in &snapshot.modules {
            let name = format!("{MODULES}{path}");
            let text = String::from_utf8(file(&name, *digest)?)
                .map_err(|_| PolicyError::form(&name, "it is not UTF-8 text"))?;
            modules.insert(path.clone(), text);
        }
        let data = snapshot.data.map(|digest| file(DATA, digest)).transpose()?;
        let self_tests = file(SELF_TESTS, snapshot.self_tests)?;
        let known = |name: &str| match name {
            SNAPSHOT | SELF_TESTS => true,
            DATA => data.is_some(),
            other => other.strip_prefix(MODULES).is_some_and(|path| modules.contains_key(path)),
        };
        if let Some(added) = files.keys().find(|name| !known(name)) {
            return Err(PolicyError::Added { file: added.clone() });
        }
        Self::held(snapshot, modules, data, self_tests)
    }

    fn held(
        snapshot: PolicySnapshot,
        modules: BTreeMap<String, String>,
        data: Option<Vec<u8>>,
        self_tests: Vec<u8>,
    ) -> Result<Self, PolicyError> {
        let limits = snapshot.limits;
        let limit = |what: &str, found: usize, max: u64| {
            let found = found as u64;
            if found <= max {
                return Ok(());
            }
            Err(PolicyError::Limit { what: what.to_owned(), found, max })
        };
        limit("the policy (modules)", modules.len(), MODULES_MAX as u64)?;
        let bytes = modules.values().map(String::len).sum();
        limit("the policy (bytes of its modules)", bytes, limits.modules_bytes)?;
        limit("data.json (bytes)", data.as_ref().map_or(0, Vec::len), limits.data_bytes)?;
        limit("self-tests.json (bytes)", self_tests.len(), SELF_TESTS_BYTES_MAX as u64)?;
        if let Some(data) = &data {
            let read: Result<serde_json::Map<String, serde_json::Value>, _> =
                serde_json::from_slice(data);
            read.map_err(|error| PolicyError::form(DATA, error.to_string()))?;
        }
        let tests = SelfTests::read(&self_tests)?;
        Ok(Self { snapshot, modules, data, self_tests, tests })
    }

    /// The document.
    pub const fn snapshot(&self) -> &PolicySnapshot {
        &self.snapshot
    }

    /// The modules, by path below `modules/`.
    pub const fn modules(&self) -> &BTreeMap<String, String> {
        &self.modules
    }

    /// The bytes of `data.json`.
    pub fn data(&self) -> Option<&[u8]> {
        self.data.as_deref()
    }

    /// The self-tests.
    pub fn tests(&self) -> &[super::SelfTest] {
        &self.tests.tests
    }

    /// All files by their paths in the snapshot's folder, the document among them.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let modules = self.modules.iter();
        let mut files: BTreeMap<String, Vec<u8>> = modules
            .map(|(path, text)| (format!("{MODULES}{path}"), text.clone().into_bytes()))
            .collect();
        files.insert(SNAPSHOT.to_owned(), self.snapshot.bytes());
        files.insert(SELF_TESTS.to_owned(), self.self_tests.clone());
        files.extend(self.data.clone().map(|data| (DATA.to_owned(), data)));
        files
    }
}
