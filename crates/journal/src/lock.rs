//! One writer per state directory.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::error::JournalError;

/// The lock on a state directory. The kernel lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Takes the lock, or says who has it.
    pub(crate) fn take(dir: &Path) -> Result<Self, JournalError> {
        let path = dir.join("lock");
        let io = |doing| {
            let path = path.clone();
            move |source| JournalError::Io { doing, path, source }
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io("open"))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { file, path }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(JournalError::Locked {
                place: dir.display().to_string(),
                holder: holder(&path),
            }),
            Err(error) => Err(io("lock")(error.into())),
        }
    }

    /// Whether the lock still keeps others out: the file in its place must be the one that is held.
    pub(crate) fn check(&self) -> Result<(), JournalError> {
        let held = self.file.metadata().map(|it| (it.dev(), it.ino()));
        let there = std::fs::metadata(&self.path).map(|it| (it.dev(), it.ino()));
        if matches!((&held, &there), (Ok(held), Ok(there)) if held == there) {
            return Ok(());
        }
        let place = self.path.parent().unwrap_or(&self.path).display().to_string();
        Err(JournalError::LeaseLost { place, why: "its lock file was removed".to_owned() })
    }

    /// Writes into the file who holds it, and since when: for people who look, and for the message
    /// that tells another process.
    pub(crate) fn note(&mut self, generation: u64, holder: &str) -> std::io::Result<()> {
        let mut held = String::new();
        self.file.rewind()?;
        self.file.read_to_string(&mut held)?;
        let text = format!("generation {generation}, {holder}\n");
        if held != text {
            self.file.rewind()?;
            self.file.set_len(0)?;
            self.file.write_all(text.as_bytes())?;
        }
        Ok(())
    }
}

/// What the holder wrote into the lock; none while it has not yet.
fn holder(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().next()?.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

impl Drop for Lock {
    /// Lets go at once. Closing the file alone would wait for every copy of it: a child that another
    /// thread is just starting holds one until it becomes another program.
    fn drop(&mut self) {
        // Where this fails, closing the file lets go.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}
