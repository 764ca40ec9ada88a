//! The root of a programme's evidence: a folder, or a place for objects.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use carnet_connect::{Objects, Outside, PutIf};
use carnet_model::Code;

use crate::error::StepError;

/// Where evidence files are.
pub(super) enum Root {
    Folder(PathBuf),
    Objects(Box<dyn Objects>),
}

impl Root {
    pub(super) fn open(
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
    pub(super) fn bytes(&self, path: &str) -> Result<Option<u64>, StepError> {
        match self {
            Self::Objects(objects) => Ok(objects.head(path)?.map(|head| head.bytes)),
            Self::Folder(root) => {
                let path = root.join(path);
                match fs::metadata(&path) {
                    Ok(about) if about.is_file() => Ok(Some(about.len())),
                    Ok(_) => Ok(None),
                    Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                    Err(error) => Err(StepError::io("look at", &path, error)),
                }
            }
        }
    }

    /// What is in a file; `None` if there is none.
    pub(super) fn read(&self, path: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, StepError> {
        let mut bytes = Vec::new();
        match self {
            Self::Objects(objects) => {
                if objects.head(path)?.is_none() {
                    return Ok(None);
                }
                objects.get(path, bytes_max, &mut bytes)?;
            }
            Self::Folder(root) => {
                let path = root.join(path);
                let read =
                    File::open(&path).and_then(|file| file.take(bytes_max).read_to_end(&mut bytes));
                match read {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                    Err(error) => return Err(StepError::io("read", &path, error)),
                }
            }
        }
        Ok(Some(bytes))
    }

    /// Writes a file that is not there yet; whether it was written. It is whole and durable, or absent.
    pub(super) fn write_once(&self, path: &str, bytes: &[u8]) -> Result<bool, StepError> {
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
