//! The files beside the embeddings: processes, prompts, patterns, examples, domains, logs.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use crate::error::BundleError;
use crate::files::{FileSum, HashedFile, list_tree};
use crate::work::Work;

/// The folders that hold artifacts, each a kind of its own.
pub const ARTIFACT_KINDS: [&str; 6] =
    ["bpmn", "domains", "examples", "logs", "patterns", "prompts"];

/// The artifacts of a directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Artifacts {
    /// Relative paths with sizes, sorted.
    pub(crate) files: Vec<(String, u64)>,
    /// Entries beside the known folders; they do not travel.
    pub(crate) left_behind: Vec<String>,
}

/// Finds artifacts under a directory. A kind without a folder has none; empty folders do not
/// travel.
pub(crate) fn find_artifacts(root: &Path) -> Result<Artifacts, BundleError> {
    let mut found = Artifacts::default();
    let failed = |error| BundleError::io("list", root, error);
    for entry in fs::read_dir(root).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let kind = ARTIFACT_KINDS.iter().find(|kind| name == **kind);
        let Some(kind) = kind else {
            found.left_behind.push(name.to_string_lossy().into_owned());
            continue;
        };
        let held = entry.file_type().map_err(failed)?;
        if !held.is_dir() {
            return Err(BundleError::Artifact {
                path: entry.path(),
                what: "not a directory; links do not travel".to_owned(),
            });
        }
        let tree = list_tree(&entry.path())?;
        let under = |(path, bytes)| (format!("{kind}/{path}"), bytes);
        found.files.extend(tree.files.into_iter().map(under));
    }
    found.files.sort_unstable();
    found.left_behind.sort_unstable();
    Ok(found)
}

/// How many files there are of each kind, every kind named.
pub(crate) fn count_artifacts<'f>(
    files: impl IntoIterator<Item = &'f str>,
) -> BTreeMap<String, u64> {
    let mut counts: BTreeMap<String, u64> =
        ARTIFACT_KINDS.iter().map(|kind| ((*kind).to_owned(), 0)).collect();
    for path in files {
        let kind = path.split_once('/').map(|(kind, _)| kind);
        if let Some(count) = kind.and_then(|kind| counts.get_mut(kind)) {
            *count += 1;
        }
    }
    counts
}

/// Copies artifacts into a directory that has none yet, hashing what is read and what is written
/// in one pass. The names stay; times and owners do not travel.
pub(crate) fn copy_artifacts(
    from: &Path,
    to: &Path,
    found: &Artifacts,
    work: &Work<'_>,
) -> Result<Vec<(String, FileSum)>, BundleError> {
    let total = found.files.iter().map(|(_, bytes)| bytes).sum();
    let job = work.progress.job("copy artifacts", "bytes", Some(total));
    for (path, _) in &found.files {
        if let Some(dir) = to.join(path).parent() {
            fs::create_dir_all(dir).map_err(|error| BundleError::io("make", dir, error))?;
        }
    }
    work.each(found.files.iter().collect(), |_, (path, _)| {
        let sum = copy_file(&from.join(path), &to.join(path), |bytes| job.add(bytes))?;
        Ok((path.clone(), sum))
    })
}

pub(crate) fn copy_file(
    from: &Path,
    to: &Path,
    mut done: impl FnMut(u64),
) -> Result<FileSum, BundleError> {
    let reading = |error| BundleError::io("read", from, error);
    let writing = |error| BundleError::io("write", to, error);
    let mut source = File::open(from).map_err(reading)?;
    let mut target = HashedFile::create(to).map_err(writing)?;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let n = source.read(&mut buffer).map_err(reading)?;
        if n == 0 {
            return target.finish().map_err(writing);
        }
        target.write_all(buffer.get(..n).unwrap_or_default()).map_err(writing)?;
        done(n as u64);
    }
}
