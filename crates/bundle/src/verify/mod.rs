//! Verify: everything that a snapshot says about itself is compared with what it holds.

mod check;
mod content;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use carnet_ledger::Digest;
use carnet_model::Code;

pub use check::{Check, CheckVerdict, Verification};

use crate::artifacts::count_artifacts;
use crate::checksums::{CHECKSUMS, CHECKSUMS_BYTES_MAX, digest_of_checksums, parse_checksums};
use crate::error::BundleError;
use crate::files::{FileSum, Tree, hash_file, list_tree, read_small};
use crate::manifest::{MANIFEST, Manifest};
use crate::signature::is_signature;
use crate::verify::check::Checks;
use crate::verify::content::{CollectionSeen, Opened, Part, open_tables, read_part, spans};
use crate::work::Work;

/// Verifies a snapshot directory: every file against the checksums, every record against the
/// digests and the roots, every count. All checks run, as far as the others leave something to
/// look at; the answer is `ok` only if everything was compared and equal.
///
/// An error means that the directory could not be read at all; damage is in the answer.
pub fn verify_snapshot(dir: &Path, work: &Work<'_>) -> Result<Verification, BundleError> {
    if !dir.is_dir() {
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(BundleError::io("read the snapshot", dir, missing));
    }
    let mut checks = Checks::default();
    let listed = read_list(dir, &mut checks);
    let tree = list_tree(dir);
    let manifest = Manifest::read(dir);
    let tables = manifest.as_ref().ok().map(|manifest| open_tables(dir, manifest));
    let seen = look(dir, tree.as_ref().ok(), tables.as_deref().unwrap_or_default(), work)?;
    same_files(&mut checks, listed.as_ref(), &tree, &seen.sums);
    same_sums(&mut checks, listed.as_ref(), &seen.sums);
    let manifest = match manifest {
        Ok(manifest) => {
            checks.pass("manifest", 1);
            Some(manifest)
        }
        Err(error) => {
            checks.fail("manifest", error.code(), content::with_causes(&error));
            None
        }
    };
    let mut collections = Vec::new();
    if let Some(manifest) = &manifest {
        same_list(&mut checks, manifest, listed.as_ref());
        same_sizes(&mut checks, manifest, tree.as_ref().ok());
        same_artifacts(&mut checks, manifest, tree.as_ref().ok());
        checks.pass("contract", manifest.collections.len() as u64);
        collections = content::judge(&mut checks, manifest, seen.collections);
    }
    Ok(checks.end(manifest, collections))
}

/// Everything that was read.
struct Seen {
    sums: BTreeMap<String, Result<FileSum, BundleError>>,
    collections: Vec<CollectionSeen>,
}

/// One piece of reading. Large files are hashed by one thread each; records are read by all.
enum Task<'t> {
    Hash(&'t str),
    Read { collection: usize, opened: &'t Opened, from: usize, to: usize },
}

enum Answer {
    Hashed(String, Result<FileSum, BundleError>),
    Read(usize, Part),
}

/// Hashes all files and digests all records, with all threads.
fn look(
    dir: &Path,
    tree: Option<&Tree>,
    tables: &[Result<Opened, String>],
    work: &Work<'_>,
) -> Result<Seen, BundleError> {
    let mut files: Vec<&(String, u64)> = tree.into_iter().flat_map(|tree| &tree.files).collect();
    files.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let total = files.iter().map(|(_, bytes)| bytes).sum();
    let hashing = work.progress.job("hash files", "bytes", Some(total));
    let records = tables.iter().flatten().map(Opened::rows).sum();
    let reading = work.progress.job("digest records", "records", Some(records));
    let mut tasks: Vec<Task<'_>> = Vec::new();
    let hashes = files.iter().map(|(path, _)| Task::Hash(path));
    let mut reads = Vec::new();
    for (collection, opened) in tables.iter().enumerate() {
        let Ok(opened) = opened else { continue };
        for (from, to) in spans(opened, work.threads()) {
            reads.push(Task::Read { collection, opened, from, to });
        }
    }
    tasks.extend(hashes);
    tasks.extend(reads);
    let answers = work.each(tasks, |_, task| {
        Ok::<_, BundleError>(match task {
            Task::Hash(path) => {
                let sum = hash_file(&dir.join(path), |bytes| hashing.add(bytes));
                Answer::Hashed(path.to_owned(), sum)
            }
            Task::Read { collection, opened, from, to } => {
                Answer::Read(collection, read_part(opened, from, to, reading.as_ref()))
            }
        })
    })?;
    let mut seen = Seen { sums: BTreeMap::new(), collections: Vec::new() };
    seen.collections = tables
        .iter()
        .map(|opened| CollectionSeen {
            unreadable: opened.as_ref().err().cloned(),
            parts: Vec::new(),
        })
        .collect();
    for answer in answers {
        match answer {
            Answer::Hashed(path, sum) => {
                seen.sums.insert(path, sum);
            }
            Answer::Read(collection, part) => {
                if let Some(one) = seen.collections.get_mut(collection) {
                    one.parts.push(part);
                }
            }
        }
    }
    Ok(seen)
}

fn read_list(dir: &Path, checks: &mut Checks) -> Option<BTreeMap<String, Digest>> {
    let path = dir.join(CHECKSUMS);
    let listed =
        read_small(&path, CHECKSUMS_BYTES_MAX).and_then(|bytes| parse_checksums(&path, &bytes));
    match listed {
        Ok(listed) => {
            checks.pass("checksum_list", listed.len() as u64);
            Some(listed)
        }
        Err(error) => {
            let code = Code::SNAPSHOT_MALFORMED;
            checks.fail("checksum_list", code, content::with_causes(&error));
            None
        }
    }
}

/// Every listed file is there, and no other but signatures of the manifest, which are made last.
fn same_files(
    checks: &mut Checks,
    listed: Option<&BTreeMap<String, Digest>>,
    tree: &Result<Tree, BundleError>,
    sums: &BTreeMap<String, Result<FileSum, BundleError>>,
) {
    let (Some(listed), Ok(tree)) = (listed, tree) else {
        if let Err(error) = tree {
            checks.fail("files", Code::SNAPSHOT_DAMAGED, content::with_causes(error));
        }
        return;
    };
    let there: BTreeSet<&str> = tree.files.iter().map(|(path, _)| path.as_str()).collect();
    if let Some((missing, digest)) = listed.iter().find(|(path, _)| !there.contains(path.as_str()))
    {
        // A file with these bytes that is not listed: then its name in the list is wrong.
        let held = |sum: &Result<FileSum, _>| sum.as_ref().is_ok_and(|sum| sum.sha256 == *digest);
        let other = sums.iter().find(|(path, sum)| !listed.contains_key(*path) && held(sum));
        let what = match other {
            Some((path, _)) => format!("{CHECKSUMS} has {missing:?} for the name of {path:?}"),
            None => format!("{missing:?} is missing"),
        };
        return checks.fail("files", Code::SNAPSHOT_DAMAGED, what);
    }
    let known = |path: &str| path == CHECKSUMS || is_signature(path) || listed.contains_key(path);
    if let Some(other) = there.iter().find(|path| !known(path)) {
        let what = format!("{other:?} is not in {CHECKSUMS}");
        return checks.fail("files", Code::SNAPSHOT_DAMAGED, what);
    }
    let holds = |dir: &str| listed.keys().any(|path| path.starts_with(&format!("{dir}/")));
    let dirs = tree.dirs.iter().filter_map(|dir| dir.to_str()).filter(|dir| !dir.is_empty());
    if let Some(empty) = dirs.into_iter().find(|dir| !holds(dir)) {
        let what = format!("the directory {empty:?} holds no listed file");
        return checks.fail("files", Code::SNAPSHOT_DAMAGED, what);
    }
    checks.pass("files", listed.len() as u64);
}

/// Every file has the listed SHA-256.
fn same_sums(
    checks: &mut Checks,
    listed: Option<&BTreeMap<String, Digest>>,
    sums: &BTreeMap<String, Result<FileSum, BundleError>>,
) {
    let Some(listed) = listed else { return };
    for (path, digest) in listed {
        let wrong = match sums.get(path) {
            Some(Ok(sum)) if sum.sha256 == *digest => continue,
            Some(Ok(sum)) if sum.sha256.is_damaged_copy(digest) => format!(
                "{CHECKSUMS} is damaged: its line of {path:?} says {digest}, which is {} but for a \
                 few bits",
                sum.sha256
            ),
            Some(Ok(sum)) => format!("{path:?} has SHA-256 {}, listed is {digest}", sum.sha256),
            Some(Err(error)) => content::with_causes(error),
            None => format!("{path:?} could not be hashed"),
        };
        return checks.fail("sha256", Code::SNAPSHOT_DAMAGED, wrong);
    }
    checks.pass("sha256", listed.len() as u64);
}

/// The checksums of all files but the manifest are those that it was made with.
fn same_list(checks: &mut Checks, manifest: &Manifest, listed: Option<&BTreeMap<String, Digest>>) {
    let Some(listed) = listed else { return };
    let others = listed.iter().filter(|(path, _)| *path != MANIFEST);
    let found = digest_of_checksums(others.clone().map(|(path, digest)| (path, *digest)));
    if found == manifest.files_sha256 {
        return checks.pass("file_list", others.count() as u64);
    }
    let said = manifest.files_sha256;
    let what =
        format!("the other lines of {CHECKSUMS} have SHA-256 {found}, the manifest says {said}");
    checks.fail("file_list", Code::SNAPSHOT_DAMAGED, what);
}

/// Every file but the manifest and the checksums has the size that the manifest says, and the
/// manifest names no other.
fn same_sizes(checks: &mut Checks, manifest: &Manifest, tree: Option<&Tree>) {
    let Some(tree) = tree else { return };
    let ours = |path: &str| path == MANIFEST || path == CHECKSUMS || is_signature(path);
    let there: BTreeMap<&str, u64> =
        tree.files.iter().map(|(path, bytes)| (path.as_str(), *bytes)).collect();
    let differs = manifest.files.iter().find_map(|(path, bytes)| match there.get(path.as_str()) {
        Some(held) if held == bytes => None,
        Some(held) => Some(format!("{path:?} has {held} bytes, the manifest says {bytes}")),
        None => Some(format!("{path:?} is missing")),
    });
    let other = || {
        let unknown = |path: &&&str| !ours(path) && !manifest.files.contains_key(**path);
        there.keys().find(unknown).map(|path| format!("{path:?} is not in the manifest"))
    };
    match differs.or_else(other) {
        None => checks.pass("sizes", manifest.files.len() as u64),
        Some(what) => checks.fail("sizes", Code::SNAPSHOT_DAMAGED, what),
    }
}

/// The number of files of each kind of artifact.
fn same_artifacts(checks: &mut Checks, manifest: &Manifest, tree: Option<&Tree>) {
    let Some(tree) = tree else { return };
    let counts = count_artifacts(tree.files.iter().map(|(path, _)| path.as_str()));
    let of = |held: &BTreeMap<String, u64>, kind: &str| held.get(kind).copied().unwrap_or(0);
    let kinds: BTreeSet<&String> = counts.keys().chain(manifest.artifacts.keys()).collect();
    let wrong = kinds.iter().find(|kind| of(&counts, kind) != of(&manifest.artifacts, kind));
    match wrong {
        None => checks.pass("artifacts", counts.values().sum()),
        Some(kind) => checks.fail(
            "artifacts",
            Code::SNAPSHOT_DAMAGED,
            format!(
                "{kind}/ holds {} files, the manifest says {}",
                of(&counts, kind),
                of(&manifest.artifacts, kind)
            ),
        ),
    }
}
