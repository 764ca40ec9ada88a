//! The root under which the evidence files of a programme lie: a folder, or a place for objects.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use carnet_connect::{Objects, Outside, PutIf};
use carnet_model::Code;

use crate::error::StepError;

/// How many names are listed at most.
const NAMES_MAX: usize = 2_000;

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

/// Written beside and linked into its place: the link fails if the place is taken.
fn write_new(path: &Path, bytes: &[u8]) -> Result<bool, StepError> {
    let failed = |error| StepError::io("write", path, error);
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside = folder.join(name);
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .open(&beside)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    let linked = written.and_then(|()| fs::hard_link(&beside, path));
    let removed = fs::remove_file(&beside);
    match linked {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => return Err(failed(error)),
    }
    removed.and_then(|()| File::open(folder)?.sync_all()).map_err(failed)?;
    Ok(true)
}
