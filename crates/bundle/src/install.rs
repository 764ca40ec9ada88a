//! The artifacts of a snapshot go into a folder of the target's.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::artifacts::{copy_file, find_artifacts};
use crate::error::BundleError;
use crate::files::{FileSum, hash_file, sync_dir};
use crate::work::Work;

/// What installing artifacts will do, found out before anything is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactInstall {
    from: PathBuf,
    to: PathBuf,
    files: Vec<(String, FileSum, Fate)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Added,
    Replaced,
    Unchanged,
}

/// What was done to how many files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ArtifactCounts {
    /// New in the folder.
    pub added: u64,
    /// There with other content, and replaced.
    pub replaced: u64,
    /// There with the same content.
    pub unchanged: u64,
}

impl ArtifactInstall {
    /// Compares the artifacts of a snapshot with those of a folder, which need not exist. A file
    /// that is there with other content is refused (`artifact.refused`) unless it may be replaced.
    pub fn plan(snapshot: &Path, to: &Path, replace: bool) -> Result<Self, BundleError> {
        let mut files = Vec::new();
        for (path, _) in find_artifacts(snapshot)?.files {
            let new = hash_file(&snapshot.join(&path), |_| ())?;
            let place = to.join(&path);
            let fate = match place.symlink_metadata() {
                Err(_) => Fate::Added,
                Ok(held) if held.is_file() && hash_file(&place, |_| ())? == new => Fate::Unchanged,
                Ok(held) if held.is_file() && replace => Fate::Replaced,
                Ok(_) => {
                    let what = "is there with other content".to_owned();
                    return Err(BundleError::Artifact { path: place, what });
                }
            };
            files.push((path, new, fate));
        }
        Ok(Self { from: snapshot.to_owned(), to: to.to_owned(), files })
    }

    /// Copies what is missing or to be replaced, each file under its name only when it is whole.
    pub fn run(&self, work: &Work<'_>) -> Result<ArtifactCounts, BundleError> {
        let changed = self.files.iter().filter(|(_, _, fate)| *fate != Fate::Unchanged);
        let total = changed.clone().map(|(_, sum, _)| sum.bytes).sum();
        let job = work.progress.job("install artifacts", "bytes", Some(total));
        for (path, sum, _) in changed {
            self.install(path, sum, |bytes| job.add(bytes))?;
        }
        let mut counts = ArtifactCounts::default();
        for (_, _, fate) in &self.files {
            *match fate {
                Fate::Added => &mut counts.added,
                Fate::Replaced => &mut counts.replaced,
                Fate::Unchanged => &mut counts.unchanged,
            } += 1;
        }
        Ok(counts)
    }

    fn install(&self, path: &str, sum: &FileSum, done: impl FnMut(u64)) -> Result<(), BundleError> {
        let (from, to) = (self.from.join(path), self.to.join(path));
        let folder = to.parent().unwrap_or(&self.to);
        fs::create_dir_all(folder).map_err(|error| BundleError::io("make", folder, error))?;
        let mut name = to.clone().into_os_string();
        name.push(".carnet-partial");
        let partial = PathBuf::from(name);
        // What an earlier attempt left there is not whole.
        let _ = fs::remove_file(&partial);
        let copied = copy_file(&from, &partial, done)?;
        if copied != *sum {
            let _ = fs::remove_file(&partial);
            let what = "changed while it was copied".to_owned();
            return Err(BundleError::Artifact { path: from, what });
        }
        fs::rename(&partial, &to).map_err(|error| BundleError::io("rename", &partial, error))?;
        sync_dir(folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let place = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = place.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        place
    }

    #[test]
    fn other_content_is_refused_before_anything_is_written() {
        let snapshot = folder(&[("bpmn/a.bpmn", "new"), ("logs/b", "x"), ("manifest.json", "{}")]);
        let target = folder(&[("logs/b", "y")]);
        let refused = ArtifactInstall::plan(snapshot.path(), target.path(), false).unwrap_err();
        assert_eq!(refused.code(), carnet_model::Code::ARTIFACT);
        assert!(!target.path().join("bpmn").exists());
        let plan = ArtifactInstall::plan(snapshot.path(), target.path(), true).unwrap();
        let counts = plan.run(&Work::quiet(1)).unwrap();
        assert_eq!(counts, ArtifactCounts { added: 1, replaced: 1, unchanged: 0 });
        assert_eq!(fs::read_to_string(target.path().join("logs/b")).unwrap(), "x");
        assert!(!target.path().join("manifest.json").exists());
        let again = ArtifactInstall::plan(snapshot.path(), target.path(), false).unwrap();
        assert_eq!(again.run(&Work::quiet(1)).unwrap().unchanged, 2);
    }

    #[test]
    fn a_file_that_changed_since_the_plan_is_not_installed() {
        let snapshot = folder(&[("bpmn/a.bpmn", "one")]);
        let target = folder(&[]);
        let plan = ArtifactInstall::plan(snapshot.path(), target.path(), false).unwrap();
        fs::write(snapshot.path().join("bpmn/a.bpmn"), "two").unwrap();
        assert!(plan.run(&Work::quiet(1)).is_err());
        assert_eq!(fs::read_dir(target.path().join("bpmn")).unwrap().count(), 0);
    }
}
