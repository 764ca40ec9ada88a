//! Policies in folders: read as their author wrote them or as a snapshot, and written as a snapshot.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use carnet_model::policy::{
    DATA, DEFINITION, MODULES, PolicyDefinition, PolicyError, PolicyFiles, PolicyLimits,
    SELF_TESTS, SNAPSHOT, is_module,
};

use crate::error::BundleError;
use crate::files::{list_tree, write_file};
use crate::new_folder::NewFolder;

/// The file of a place with policies that names the one in force.
pub const CURRENT_POLICY: &str = "current";
/// The folder of a place with policies that holds them, each under its digest.
pub const POLICY_SNAPSHOTS: &str = "snapshots";

/// How many bytes the files of a policy may have together; each part has its own limit besides.
const BYTES_MAX: u64 =
    2 * (PolicyLimits::MAX.modules_bytes + PolicyLimits::MAX.data_bytes) + (16 << 20);
/// How many files it may have.
const FILES_MAX: usize = 512;

/// Reads a policy: a snapshot (`snapshot.json` and what it names), a place in which policies are in
/// force (`current` names one), or what an author wrote: `*.rego` anywhere in the folder,
/// `self-tests.json`, and where they are needed `data.json` and `policy.json`.
pub fn read_policy(folder: &Path) -> Result<PolicyFiles, BundleError> {
    let read = |path: &Path| fs::read(path).map_err(|error| BundleError::io("read", path, error));
    let current = folder.join(CURRENT_POLICY);
    if current.is_file() {
        let text = String::from_utf8_lossy(&read(&current)?).into_owned();
        let named = text.trim().strip_prefix("sha256:").filter(|name| is_digest(name));
        let name = named.ok_or_else(|| BundleError::Policy {
            path: current.clone(),
            source: PolicyError::Form {
                file: CURRENT_POLICY.to_owned(),
                what: "it is not of the form sha256:HEX".to_owned(),
            },
        })?;
        let inner = folder.join(POLICY_SNAPSHOTS).join(name);
        let policy = read_policy(&inner)?;
        if policy.snapshot().digest().to_string() == name {
            return Ok(policy);
        }
        let file = SNAPSHOT.to_owned();
        return Err(BundleError::Policy { path: inner, source: PolicyError::Damaged { file } });
    }
    let failed = |source| BundleError::Policy { path: folder.to_owned(), source };
    let mut files = files_of(folder)?;
    if files.contains_key(SNAPSHOT) {
        return PolicyFiles::read(&files).map_err(failed);
    }
    let definition = match files.remove(DEFINITION) {
        Some(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
            failed(PolicyError::Form { file: DEFINITION.to_owned(), what: error.to_string() })
        })?,
        None => PolicyDefinition::default(),
    };
    let missing = || failed(PolicyError::Missing { file: SELF_TESTS.to_owned() });
    let self_tests = files.remove(SELF_TESTS).ok_or_else(missing)?;
    let data = files.remove(DATA);
    let mut modules = BTreeMap::new();
    for (path, bytes) in files {
        if path.strip_suffix(".rego").is_none() {
            continue;
        }
        let form = |what: &str| PolicyError::Form { file: path.clone(), what: what.to_owned() };
        if !is_module(&path) {
            return Err(failed(form("its name has a character that is not taken")));
        }
        let text = String::from_utf8(bytes).map_err(|_| failed(form("it is not UTF-8 text")))?;
        modules.insert(path, text);
    }
    PolicyFiles::of(definition, modules, data, self_tests).map_err(failed)
}

/// Writes a policy as a snapshot: a folder that is whole or not there.
pub fn write_policy(policy: &PolicyFiles, folder: &Path) -> Result<(), BundleError> {
    let new = NewFolder::make(folder)?;
    for (path, bytes) in policy.files() {
        let place = new.path().join(&path);
        if path.starts_with(MODULES) {
            let above = crate::files::parent_of(&place);
            fs::create_dir_all(above).map_err(|error| BundleError::io("make", above, error))?;
        }
        write_file(&place, &bytes)?;
    }
    new.publish()
}

fn is_digest(name: &str) -> bool {
    name.parse::<carnet_ledger::Digest>().is_ok()
}

/// The files of a folder that can belong to a policy, by their paths with `/`. A README and the
/// like are left where they are.
fn files_of(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>, BundleError> {
    let snapshot = folder.join(SNAPSHOT).is_file();
    let wanted = |path: &str| {
        snapshot
            || path.strip_suffix(".rego").is_some()
            || [DATA, SELF_TESTS, DEFINITION].contains(&path)
    };
    let limit = |what: &str, found: u64, max: u64| BundleError::Policy {
        path: folder.to_owned(),
        source: PolicyError::Limit { what: what.to_owned(), found, max },
    };
    let mut files = BTreeMap::new();
    let mut left = BYTES_MAX;
    for (name, bytes) in list_tree(folder)?.files {
        if !wanted(&name) {
            continue;
        }
        left = left
            .checked_sub(bytes)
            .ok_or_else(|| limit("the policy (bytes)", BYTES_MAX + 1, BYTES_MAX))?;
        if files.len() == FILES_MAX {
            return Err(limit("the policy (files)", FILES_MAX as u64 + 1, FILES_MAX as u64));
        }
        let place = folder.join(&name);
        let read = fs::read(&place).map_err(|error| BundleError::io("read", &place, error))?;
        files.insert(name, read);
    }
    Ok(files)
}
