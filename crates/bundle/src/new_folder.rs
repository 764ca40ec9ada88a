//! Folders that are whole or not there.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, RenameFlags};

use crate::error::BundleError;
use crate::files::{list_tree, parent_of, sync_dir};

/// A folder that has its name only when it is whole and durable. Until then it is a sibling whose
/// name ends in `.partial`: locked while this process writes it, and removed if it is dropped.
pub struct NewFolder {
    path: PathBuf,
    whole: PathBuf,
    published: bool,
    _lock: File,
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        if !self.published {
            // What cannot be removed now is removed by the next one who wants this name.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

impl NewFolder {
    /// Makes an empty folder beside `whole`; what a process that was cut off left there is removed.
    pub fn make(whole: &Path) -> Result<Self, BundleError> {
        let mut name = whole.as_os_str().to_owned();
        name.push(".partial");
        let path = PathBuf::from(name);
        if let Ok(left) = File::open(&path) {
            lock(&left, &path)?;
            fs::remove_dir_all(&path).map_err(|error| BundleError::io("remove", &path, error))?;
        }
        fs::create_dir(&path).map_err(|error| {
            if error.kind() == std::io::ErrorKind::AlreadyExists {
                BundleError::Busy { path: path.clone() }
            } else {
                BundleError::io("make", &path, error)
            }
        })?;
        let dir = File::open(&path).map_err(|error| BundleError::io("open", &path, error))?;
        lock(&dir, &path)?;
        Ok(Self { path, whole: whole.to_owned(), published: false, _lock: dir })
    }

    /// Where it is now.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes its entries durable and gives it its name, unless somebody else has it. The files in it
    /// must be durable already.
    pub fn publish(mut self) -> Result<(), BundleError> {
        for dir in list_tree(&self.path)?.dirs.iter().rev() {
            sync_dir(&self.path.join(dir))?;
        }
        rename_new(&self.path, &self.whole)?;
        self.published = true;
        sync_dir(parent_of(&self.whole))
    }
}

pub(crate) fn lock(dir: &File, path: &Path) -> Result<(), BundleError> {
    rustix::fs::flock(dir, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| BundleError::Busy { path: path.to_owned() })
}

/// Renames without replacing.
pub(crate) fn rename_new(from: &Path, to: &Path) -> Result<(), BundleError> {
    use rustix::io::Errno;
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => Err(BundleError::Exists { path: to.to_owned() }),
        // Some file systems cannot promise it: then a check before the rename must do.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) if to.symlink_metadata().is_err() => {
            fs::rename(from, to).map_err(|error| BundleError::io("rename", from, error))
        }
        Err(error) => Err(BundleError::io("rename", from, error.into())),
    }
}
