//! The files beside the embeddings: processes, prompts, patterns, examples, domains, logs.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use carnet_model::StoreUrl;

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

/// What a FAISS store keeps in its folder.
const FAISS_OWN: [&str; 5] =
    ["collection.json", "collections", "index.faiss", "metadata.parquet", "metadata.sqlite"];

/// Of the entries of an artifact folder that did not travel those that are not the store's own: its
/// files may lie in the same folder, and they are moved as records.
#[must_use]
pub fn beside_the_store(folder: &Path, store: &StoreUrl, entries: Vec<String>) -> Vec<String> {
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let path = match store {
        StoreUrl::Faiss(path) | StoreUrl::Sqlite(path) | StoreUrl::Snapshot(path) => real(path),
        StoreUrl::Postgres(_) => return entries,
    };
    let Ok(within) = path.strip_prefix(real(folder)) else { return entries };
    let own: Vec<String> = match within.components().next() {
        None => FAISS_OWN.map(str::to_owned).into(),
        Some(first) => {
            let first = first.as_os_str().to_string_lossy();
            // SQLite keeps its log and its locks in files beside it.
            ["", "-journal", "-shm", "-wal"].map(|ending| format!("{first}{ending}")).into()
        }
    };
    entries.into_iter().filter(|entry| !own.contains(entry)).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stores_own_files_are_not_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let lab = folder.path().join("lab");
        fs::create_dir_all(lab.join("store")).unwrap();
        let entries = ["index.faiss", "kb.db", "kb.db-wal", "metadata.parquet", "notes", "store"];
        let beside = |store: String| {
            let store = StoreUrl::parse(&store).unwrap();
            beside_the_store(&lab, &store, entries.map(str::to_owned).into())
        };
        let (lab, without) = (lab.display(), |own: &[&str]| {
            let rest = entries.into_iter().filter(|entry| !own.contains(entry));
            rest.map(str::to_owned).collect::<Vec<_>>()
        });
        let faiss = without(&["index.faiss", "metadata.parquet"]);
        for written in [format!("faiss:{lab}"), format!("faiss:{lab}/store/..")] {
            assert_eq!(beside(written), faiss);
        }
        assert_eq!(beside(format!("faiss:{lab}/store")), without(&["store"]));
        assert_eq!(beside(format!("sqlite:{lab}/kb.db")), without(&["kb.db", "kb.db-wal"]));
        assert_eq!(beside(format!("faiss:{lab}/../other")), entries);
        assert_eq!(beside("postgres://h/lab".to_owned()), entries);
    }
}
