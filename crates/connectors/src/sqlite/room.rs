//! Room on the disk that a load keeps until it ends: also to take something away from a SQLite file
//! a few pages must be written, and a load that found no room left none.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use carnet_connect::StoreError;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::connect::{Place, page_size};

/// Pages that are enough to drop a table of many gigabytes and to empty the file afterwards.
const PAGES: u64 = 16;

/// A file of zeros beside the database, `FILE-carnet-room-TOKEN`.
#[derive(Debug)]
pub(super) struct Room {
    path: PathBuf,
    bytes: u64,
}

impl Room {
    /// The room of the load of this token. Nothing is made yet.
    pub(super) fn of(place: &Place, token: &str, dimensions: u32) -> Self {
        let mut path = place.path.as_os_str().to_owned();
        path.push(format!("-carnet-room-{token}"));
        Self { path: path.into(), bytes: PAGES * u64::from(page_size(dimensions)) }
    }

    /// Keeps the room, if it is not kept already.
    pub(super) fn keep(&self) -> Result<(), StoreError> {
        if fs::metadata(&self.path).is_ok_and(|held| held.len() >= self.bytes) {
            return Ok(());
        }
        self.reserve().map_err(|source| {
            let _ = fs::remove_file(&self.path);
            let what = format!("cannot keep room to take a load back: {}", self.path.display());
            StoreError::io(what, source)
        })
    }

    fn reserve(&self) -> std::io::Result<()> {
        let mut file = File::create(&self.path)?;
        match fallocate(&file, FallocateFlags::empty(), 0, self.bytes) {
            // Not every file system can promise room.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                let page = vec![0; 1 << 16];
                for _ in 0..self.bytes.div_ceil(page.len() as u64) {
                    file.write_all(&page)?;
                }
                file.sync_all()
            }
            reserved => Ok(reserved?),
        }
    }

    /// Gives the room back.
    pub(super) fn give_back(&self) -> Result<(), StoreError> {
        match fs::remove_file(&self.path) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                Err(StoreError::io(format!("cannot remove {}", self.path.display()), source))
            }
            _ => Ok(()),
        }
    }
}
