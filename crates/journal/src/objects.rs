//! What events point to: files named by the digest of their bytes.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use carnet_ledger::Digest;

use crate::error::JournalError;

/// Where the objects of one log are.
#[derive(Debug)]
pub(crate) enum Objects {
    Folder(Folder),
    #[cfg(feature = "postgres")]
    Table(Box<super::postgres::ObjectTable>),
}

impl Objects {
    /// The objects of a state directory.
    pub(crate) fn new(state: &Path) -> Self {
        Self::Folder(Folder::new(state, "objects"))
    }

    /// What an undo needs and nobody else may see, such as the other lines of an environment file.
    /// Evidence names it by its digest and never carries it. Like every object, each file can be
    /// read by its owner alone.
    pub(crate) fn private(state: &Path) -> Self {
        Self::Folder(Folder::new(state, "private"))
    }

    /// Stores bytes durably under their digest. Bytes that are there are left as they are.
    pub(crate) fn put(&self, bytes: &[u8]) -> Result<Digest, JournalError> {
        match self {
            Self::Folder(folder) => folder.put(bytes),
            #[cfg(feature = "postgres")]
            Self::Table(table) => table.put(bytes),
        }
    }

    /// The bytes of an object, checked against its name.
    pub(crate) fn get(&self, digest: Digest) -> Result<Vec<u8>, JournalError> {
        let bytes = match self {
            Self::Folder(folder) => folder.get(digest)?,
            #[cfg(feature = "postgres")]
            Self::Table(table) => table.get(digest)?,
        };
        let bytes = bytes.ok_or(JournalError::ObjectMissing(digest))?;
        if Digest::of(&bytes) == digest {
            Ok(bytes)
        } else {
            Err(JournalError::ObjectDamaged(digest))
        }
    }
}

/// A folder of objects.
#[derive(Debug)]
pub(crate) struct Folder {
    folder: PathBuf,
    /// Held while an object is written.
    writing: Mutex<()>,
}

impl Folder {
    fn new(state: &Path, name: &str) -> Self {
        Self { folder: state.join(name).join("sha256"), writing: Mutex::default() }
    }

    fn path(&self, digest: Digest) -> PathBuf {
        let name = digest.to_string();
        let (first, rest) = name.split_at(2);
        self.folder.join(first).join(rest)
    }

    fn put(&self, bytes: &[u8]) -> Result<Digest, JournalError> {
        let digest = Digest::of(bytes);
        let path = self.path(digest);
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if path.exists() {
            return Ok(digest);
        }
        let failed = |doing| {
            let path = path.clone();
            move |source| JournalError::Io { doing, path, source }
        };
        let folder = path.parent().unwrap_or(&self.folder).to_owned();
        fs::create_dir_all(&folder).map_err(failed("make the folder of"))?;
        // What a writer that was killed left in this place is written over.
        let staged = folder.join(".new");
        match fs::remove_file(&staged) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed("create")(error));
            }
            Ok(()) | Err(_) => {}
        }
        let new = File::options().write(true).create_new(true).mode(0o600).open(&staged);
        let mut file = new.map_err(failed("create"))?;
        file.write_all(bytes).map_err(failed("write"))?;
        file.sync_all().map_err(failed("write"))?;
        fs::rename(&staged, &path).map_err(failed("write"))?;
        // The name must survive a crash as the bytes do, and so must a folder made for it.
        let folders = [Some(folder.as_path()), folder.parent(), self.folder.parent()];
        for folder in folders.into_iter().flatten() {
            File::open(folder).and_then(|f| f.sync_all()).map_err(failed("write"))?;
        }
        Ok(digest)
    }

    fn get(&self, digest: Digest) -> Result<Option<Vec<u8>>, JournalError> {
        let path = self.path(digest);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(JournalError::Io { doing: "read", path, source }),
        }
    }
}
