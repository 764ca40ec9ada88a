//! A folder that a step makes for what it places: it holds a mark, so that a repetition finds its own
//! and an undo removes nothing of others.

use std::path::{Path, PathBuf};

use carnet_ledger::{Digest, Object, Value};
use carnet_model::Code;

use super::Act;
use crate::error::StepError;
use crate::step::{digest_of, files, making};

/// The file with the mark.
const MARK: &str = ".carnet-placed";

/// What tells whose a thing is, wherever it is written: on a label, in a folder, to an emulator.
pub(super) fn mark(act: &Act<'_>) -> String {
    let mut hex = Digest::of(act.key.as_bytes()).to_string();
    hex.truncate(40);
    hex
}

/// The folder that a step places things in.
pub(super) struct Placed {
    pub(super) path: PathBuf,
    mark: String,
    taken: Code,
}

impl Placed {
    /// `taken` is the code where somebody else's is there.
    pub(super) fn new(act: &Act<'_>, path: &str, taken: Code) -> Self {
        Self { path: whole(act, path), mark: mark(act), taken }
    }

    /// Whether it is there, and whether it is ours: one that is empty may have been made just before
    /// a crash.
    fn look(&self) -> Result<Option<bool>, StepError> {
        match std::fs::symlink_metadata(&self.path) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Ok(Some(false)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StepError::io("look at", &self.path, error)),
        }
        if let Some(mark) = files::read(&self.path.join(MARK))? {
            return Ok(Some(mark == self.mark.as_bytes()));
        }
        let mut inside = std::fs::read_dir(&self.path)
            .map_err(|error| StepError::io("look at", &self.path, error))?;
        Ok(Some(inside.next().is_none()))
    }

    /// Refuses a place that is taken. Records the folders above it that will be made.
    pub(super) fn is_free(&self, inputs: Object) -> Result<Object, StepError> {
        match self.look()? {
            None => Ok(making(inputs, &files::folder_of(&self.path))),
            Some(_) => Err(self.refused()),
        }
    }

    fn refused(&self) -> StepError {
        let what = format!("there is something at {} already", self.path.display());
        StepError::new(self.taken, what).remedy("move it away, or name another place")
    }

    /// Makes the folder, or finds that an earlier attempt did.
    pub(super) fn claim(&self) -> Result<(), StepError> {
        if self.look()? == Some(false) {
            return Err(self.refused());
        }
        files::make_folder(&self.path)?;
        files::replace(&self.path.join(MARK), self.mark.as_bytes())
    }

    /// Whether it is there and ours.
    pub(super) fn is_ours(&self) -> Result<bool, StepError> {
        Ok(self.look()? == Some(true))
    }

    /// Removes it, if it is ours. Gives what stays, in words.
    pub(super) fn remove(&self) -> Result<Vec<String>, StepError> {
        match self.look()? {
            None => Ok(Vec::new()),
            Some(true) => files::remove_folder(&self.path).map(|_| Vec::new()),
            Some(false) => {
                Ok(vec![format!("{} was put there by somebody else", self.path.display())])
            }
        }
    }
}

/// A path of the plan made whole: programs that are run work in folders of their own.
pub(super) fn whole(act: &Act<'_>, path: &str) -> PathBuf {
    let path = act.cx.folder.join(path);
    std::path::absolute(&path).unwrap_or(path)
}

/// A program as the plan names it: a path from its folder, or a name that is looked for.
pub(super) fn program(act: &Act<'_>, name: &str) -> String {
    if name.contains('/') { whole(act, name).display().to_string() } else { name.to_owned() }
}

/// Copies a file, and compares it with the digest that was seen before.
pub(super) fn copy_same(from: &Path, to: &Path, digest: Digest) -> Result<u64, StepError> {
    if files::digest(to)? == Some(digest) {
        return Ok(std::fs::metadata(to).map_or(0, |found| found.len()));
    }
    let (bytes, copied) = files::copy(from, to)?;
    if copied != digest {
        files::remove(to)?;
        let what = format!("{} changed since it was looked at", from.display());
        let remedy = "let nobody write to it, and run the plan again";
        return Err(StepError::new(Code::CONTENT_DIFFERS, what).remedy(remedy));
    }
    Ok(bytes)
}

/// What is recorded of files before they are copied: the digest of each, by path.
pub(super) fn seen(folder: &Path, paths: &[String]) -> Result<Object, StepError> {
    let mut seen = Object::new();
    for path in paths {
        let file = folder.join(path);
        let missing = || StepError::io("read", &file, std::io::ErrorKind::NotFound.into());
        seen.insert(path.clone(), files::digest(&file)?.ok_or_else(missing)?.into());
    }
    Ok(seen)
}

/// Copies the files that were seen, in byte order of path. Gives how many bytes they have.
pub(super) fn copy_seen(from: &Path, to: &Path, seen: &Object) -> Result<u64, StepError> {
    let mut bytes = 0;
    for path in seen.keys() {
        let digest = digest_of(seen, path)
            .ok_or_else(|| StepError::new(Code::BUG, format!("{path} was not looked at")))?;
        bytes += copy_same(&from.join(path), &to.join(path), digest)?;
    }
    Ok(bytes)
}

/// The plain files below a folder with the path to it from `root`; none where there is no folder.
pub(super) fn files_below(root: &Path, folder: &str) -> Result<Vec<String>, StepError> {
    let place = root.join(folder);
    if std::fs::symlink_metadata(&place).is_err() {
        return Ok(Vec::new());
    }
    let below = files::walk(&place)?.files;
    Ok(below.iter().map(|(path, _)| format!("{folder}/{}", path.display())).collect())
}

/// An object within recorded inputs.
pub(super) fn object_of<'a>(inputs: &'a Object, key: &str) -> Result<&'a Object, StepError> {
    match inputs.get(key) {
        Some(Value::Object(object)) => Ok(object),
        Some(_) | None => Err(StepError::new(Code::BUG, format!("{key} was not recorded"))),
    }
}
