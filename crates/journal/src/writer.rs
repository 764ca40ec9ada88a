//! Whether a process is at work on a state directory: who looks must not disturb it.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::error::JournalError;
use crate::place::LogPlace;

/// A process at work, as far as it can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Writer {
    /// Its number; `None` where the system does not say, as for one in another container.
    pub process: Option<u32>,
}

/// Who writes to a log; `None` if nobody does.
pub fn writer(place: &LogPlace) -> Result<Option<Writer>, JournalError> {
    match place {
        LogPlace::Dir(state) => Ok(writer_of(state)),
        // Its process is a matter of the machine that it runs on.
        #[cfg(feature = "postgres")]
        LogPlace::Postgres(log) => Ok(log.is_held()?.then_some(Writer { process: None })),
    }
}

fn writer_of(state: &Path) -> Option<Writer> {
    let lock = File::open(state.join("lock")).ok()?;
    let inode = lock.metadata().ok()?.ino();
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    if let Some(process) = locks.lines().find_map(|line| holder(line, inode)) {
        return Some(Writer { process: u32::try_from(process).ok().filter(|it| *it > 0) });
    }
    // The list does not show everybody. The probe holds the lock for a moment, shared: it is only
    // made where nobody is known to hold it.
    match flock(&lock, FlockOperation::NonBlockingLockShared) {
        Err(rustix::io::Errno::WOULDBLOCK) => Some(Writer { process: None }),
        Ok(()) | Err(_) => None,
    }
}

/// The process in a line of `/proc/locks`, if it holds the file of this inode for writing:
/// `1: FLOCK  ADVISORY  WRITE 4711 fd:01:1835 0 EOF`.
fn holder(line: &str, inode: u64) -> Option<i64> {
    let mut words = line.split_whitespace().skip(1);
    let (kind, _, access) = (words.next()?, words.next()?, words.next()?);
    let (process, file) = (words.next()?, words.next()?);
    let held = file.rsplit(':').next()?.parse() == Ok(inode);
    if kind == "FLOCK" && access == "WRITE" && held { process.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_the_kernel_writes_them() {
        let line = "7: FLOCK  ADVISORY  WRITE 4711 fd:01:1835 0 EOF";
        assert_eq!(holder(line, 1835), Some(4711));
        assert_eq!(holder(line, 835), None);
        assert_eq!(holder("7: FLOCK  ADVISORY  READ 4711 fd:01:1835 0 EOF", 1835), None);
        assert_eq!(holder("7: POSIX  ADVISORY  WRITE 4711 fd:01:1835 0 EOF", 1835), None);
        // One that waits for the lock does not have it.
        assert_eq!(holder("7: -> FLOCK  ADVISORY  WRITE 4712 fd:01:1835 0 EOF", 1835), None);
        assert_eq!(holder("", 1835), None);
    }

    #[test]
    fn a_lock_that_is_held_is_seen_and_one_that_was_dropped_is_not() {
        let state = tempfile::tempdir().unwrap();
        assert_eq!(writer_of(state.path()), None);
        let file = File::create(state.path().join("lock")).unwrap();
        assert_eq!(writer_of(state.path()), None);
        flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
        let found = writer_of(state.path()).unwrap();
        assert!([None, Some(std::process::id())].contains(&found.process), "{found:?}");
        drop(file);
        assert_eq!(writer_of(state.path()), None);
    }
}
