//! The root under which the evidence files of a programme lie: a folder, or a place for objects.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use carnet_connect::{Objects, Outside, PutIf};
use carnet_model::Code;

use crate::error::StepError;

/// How many names are listed at most.
const NAMES_MAX: usize = 2_000;

/// How the name of a file ends that is not in its place yet.
const LEFT: &str = ".new";

/// Where evidence files are.
pub(crate) enum EvidenceRoot {
    Folder(PathBuf),
    Objects(Box<dyn Objects>),
}

impl EvidenceRoot {
    pub(crate) fn open(
        written: &str,
        folder: &Path,
        outside: &dyn Outside,
    ) -> Result<Self, StepError> {
        if written.starts_with("s3://") {
            return Ok(Self::Objects(outside.objects(written)?));
        }
        Ok(Self::Folder(folder.join(written)))
    }

    /// How many bytes a file has; `None` if there is none.
    pub(crate) fn bytes(&self, path: &str) -> Result<Option<u64>, StepError> {
        match self {
            Self::Objects(objects) => Ok(objects.head(path)?.map(|head| head.bytes)),
            Self::Folder(root) => {
                let path = root.join(path);
                match fs::metadata(&path) {
                    Ok(about) if about.is_file() => Ok(Some(about.len())),
                    Ok(_) => Ok(None),
                    Err(error) if is_missing(&error) => Ok(None),
                    Err(error) => Err(StepError::io("look at", &path, error)),
                }
            }
        }
    }

    /// What is in a file, of at most so many bytes; `None` if there is none.
    pub(crate) fn read(&self, path: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, StepError> {
        let mut bytes = Vec::new();
        Ok(self.stream(path, bytes_max, &mut bytes)?.then_some(bytes))
    }

    /// Hands on what is in a file, of at most so many bytes; whether there is one.
    pub(crate) fn stream(
        &self,
        path: &str,
        bytes_max: u64,
        to: &mut dyn Write,
    ) -> Result<bool, StepError> {
        if self.bytes(path)?.is_none() {
            return Ok(false);
        }
        match self {
            Self::Objects(objects) => drop(objects.get(path, bytes_max, to)?),
            Self::Folder(root) => {
                let path = root.join(path);
                let copied =
                    File::open(&path).and_then(|file| io::copy(&mut file.take(bytes_max), to));
                copied.map_err(|error| StepError::io("read", &path, error))?;
            }
        }
        Ok(true)
    }

    /// Names of files under a prefix that ends with `/` or is empty, some thousands at most.
    pub(crate) fn names(&self, below: &str) -> Result<Vec<String>, StepError> {
        match self {
            Self::Folder(folder) => {
                let mut names = Vec::new();
                walk(folder, below, &mut names);
                names.sort();
                Ok(names)
            }
            Self::Objects(objects) => {
                let page = objects.list(below, None)?;
                Ok(page.objects.into_iter().map(|(key, _)| key).collect())
            }
        }
    }

    /// Writes a file that is not there yet; whether it was written. It is whole and durable, or absent.
    pub(crate) fn write_once(&self, path: &str, bytes: &[u8]) -> Result<bool, StepError> {
        match self {
            Self::Objects(objects) => match objects.put(path, bytes, &PutIf::Absent) {
                Ok(_) => Ok(true),
                Err(error) if error.code() == Code::OBJECT_CHANGED => Ok(false),
                Err(error) => Err(error.into()),
            },
            Self::Folder(root) => write_new(&root.join(path), bytes),
        }
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Names below a folder. What cannot be read is left out: this only helps to find what is missing.
fn walk(folder: &Path, below: &str, names: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(folder.join(below)) else { return };
    for entry in entries.flatten() {
        if names.len() >= NAMES_MAX {
            return;
        }
        let Some(name) = entry.file_name().to_str().map(|name| format!("{below}{name}")) else {
            continue;
        };
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(folder, &format!("{name}/"), names),
            Ok(_) => names.push(name),
            Err(_) => {}
        }
    }
}

/// Written beside, under a name that nobody else has, and moved into its place: the move fails if the
/// place is taken.
fn write_new(path: &Path, bytes: &[u8]) -> Result<bool, StepError> {
    let failed = |error| StepError::io("write", path, error);
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed)?;
    let mut begins = path.file_name().unwrap_or_default().to_owned();
    begins.push(".");
    let mut beside = tempfile::Builder::new()
        .prefix(&begins)
        .suffix(LEFT)
        .permissions(Permissions::from_mode(0o644))
        .tempfile_in(folder)
        .map_err(failed)?;
    beside.write_all(bytes).and_then(|()| beside.as_file().sync_all()).map_err(failed)?;
    let written = match beside.persist_noclobber(path) {
        Ok(_) => true,
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => false,
        Err(error) => return Err(failed(error.error)),
    };
    forget_left(folder, &begins, path);
    // Whoever wrote it: it is durable before it is believed.
    File::open(path).and_then(|file| file.sync_all()).map_err(failed)?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    Ok(written)
}

/// Takes away the other names that a crash has left to a file, where links are how it got into its
/// place. What is no name of this very file may be another's, which is still at work: it stays.
fn forget_left(folder: &Path, begins: &OsStr, path: &Path) {
    let (Ok(place), Ok(entries)) = (fs::symlink_metadata(path), fs::read_dir(folder)) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let (name, begins) = (name.as_encoded_bytes(), begins.as_encoded_bytes());
        if !name.starts_with(begins) || !name.ends_with(LEFT.as_bytes()) {
            continue;
        }
        let about = entry.metadata();
        if about.is_ok_and(|it| it.ino() == place.ino() && it.dev() == place.dev()) {
            // It does no harm if it stays.
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names = Vec::new();
        walk(folder, "", &mut names);
        names.sort();
        names
    }

    #[test]
    fn what_a_crash_has_left_is_never_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.json");
        assert!(write_new(&path, b"one").unwrap());
        // A second name of the file, as a process of this very number would have left it; and the
        // half of one that another process is writing.
        let left = format!("run.json.{}.new", std::process::id());
        fs::hard_link(&path, folder.path().join(&left)).unwrap();
        fs::write(folder.path().join("run.json.x.new"), b"hal").unwrap();
        assert!(!write_new(&path, b"another").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(names(folder.path()), ["run.json", "run.json.x.new"]);
        let plain = fs::metadata(folder.path().join("run.json.x.new")).unwrap().mode();
        assert_eq!(fs::metadata(&path).unwrap().mode(), plain & !0o022, "who may read it");
    }
}
