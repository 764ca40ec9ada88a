//! Files mapped into memory: read in place, held by the page cache and not by us.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use carnet_connect::StoreError;
use carnet_model::Code;
use memmap2::Mmap;

use super::place::{Identity, cannot};

/// A mapped file, with what it looked like when it was opened.
#[derive(Debug)]
pub(super) struct Mapped {
    map: Mmap,
    path: PathBuf,
    identity: Identity,
}

impl Mapped {
    /// Opens and maps a file.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |error| StoreError::io(cannot("open", path), error);
        let file = File::open(path).map_err(failed)?;
        let identity = Identity::of_file(&file).map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(failed(io::Error::from(io::ErrorKind::InvalidInput)));
        }
        let map = map(&file).map_err(failed)?;
        Ok(Self { map, path: path.to_owned(), identity })
    }

    /// Refuses to go on if another file, or a changed one, is at the path now.
    pub(super) fn ensure_unchanged(&self) -> Result<(), StoreError> {
        unchanged(&self.path, Some(self.identity))
    }
}

/// Refuses to go on if what is at a path is not what was there.
pub(super) fn unchanged(path: &Path, was: Option<Identity>) -> Result<(), StoreError> {
    let now = Identity::at(path).map_err(|error| StoreError::io(cannot("look at", path), error))?;
    if now == was {
        return Ok(());
    }
    Err(StoreError::new(
        Code::STORE_CHANGED,
        format!("{} changed while it was read", path.display()),
    )
    .remedy("stop what writes to it, and begin again"))
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// Maps a whole file for reading.
#[expect(unsafe_code, reason = "memory mapping has no safe form; see SAFETY")]
pub(super) fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: the map is only read, as bytes: no value of it is invalid, whatever another process
    // writes there. A file that is cut shorter while it is mapped ends this process by SIGBUS;
    // nothing is then written from it, and a run continues after it. Our own writers never cut or
    // overwrite a store's file: they put a new one in its place.
    unsafe { Mmap::map(file) }
}
