//! One writer per state directory.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::error::JournalError;

/// The lock on a state directory. The kernel lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock, or says who has it.
    pub(super) fn take(dir: &Path) -> Result<Self, JournalError> {
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
            Ok(()) => Ok(Self { file }),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                Err(JournalError::Locked { path: dir.to_owned() })
            }
            Err(error) => Err(io("lock")(error.into())),
        }
    }

    /// Writes the generation into the file, for people who look who was last.
    pub(super) fn note(&mut self, generation: u64) -> std::io::Result<()> {
        let mut held = String::new();
        self.file.rewind()?;
        self.file.read_to_string(&mut held)?;
        let text = format!("generation {generation}\n");
        if held != text {
            self.file.rewind()?;
            self.file.set_len(0)?;
            self.file.write_all(text.as_bytes())?;
        }
        Ok(())
    }
}

impl Drop for Lock {
    /// Lets go at once. Closing the file alone would wait for every copy of it: a child that another
    /// thread is just starting holds one until it becomes another program.
    fn drop(&mut self) {
        // Where this fails, closing the file lets go.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}
