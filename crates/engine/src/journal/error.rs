//! What can go wrong with the journal.

use std::path::PathBuf;

use carnet_ledger::{Damage, Digest, EventError, SealError};
use carnet_model::Code;

/// A failure of the journal. After one of `append`, nothing may be done that the event was to
/// precede.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A file of the state directory cannot be used.
    #[error("cannot {doing} {path}", path = path.display())]
    Io {
        /// What was tried, as a verb.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The database of events does not work.
    #[error("cannot {doing} the evidence log in {path}", path = path.display())]
    Database {
        /// What was tried, as a verb.
        doing: &'static str,
        /// The database.
        path: PathBuf,
        /// Why not.
        #[source]
        source: rusqlite::Error,
    },
    /// The database is of a format that this build does not know.
    #[error("the evidence log in {path} has format {format}, and this build writes {known}", path = path.display())]
    Format {
        /// The database.
        path: PathBuf,
        /// What it says.
        format: String,
        /// What this build writes.
        known: &'static str,
    },
    /// Another process holds the state directory.
    #[error("another process works in {path}", path = path.display())]
    Locked {
        /// The state directory.
        path: PathBuf,
    },
    /// Another process has taken the state directory over since it was opened.
    #[error("generation {mine} of the writer was replaced by {now}")]
    Fenced {
        /// The generation of this writer.
        mine: u64,
        /// The generation that may write now.
        now: u64,
    },
    /// The chain does not hold.
    #[error("the evidence log does not hold")]
    Damaged(#[source] Damage),
    /// A stored event is none that Carnet writes.
    #[error("event {sequence} of the evidence log cannot be read")]
    Event {
        /// Which event.
        sequence: u64,
        /// Why not.
        #[source]
        source: EventError,
    },
    /// An event cannot be written.
    #[error("cannot seal an event")]
    Seal(#[from] SealError),
    /// An object that an event points to is not there.
    #[error("the evidence object {0} is missing")]
    ObjectMissing(Digest),
    /// An object whose bytes are not those that its name says.
    #[error("the evidence object {0} was changed")]
    ObjectDamaged(Digest),
}

impl JournalError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Io { source, .. } => io_code(source),
            Self::Database { source, .. } => match source.sqlite_error_code() {
                Some(rusqlite::ErrorCode::DiskFull) => Code::DISK_FULL,
                Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                    Code::EVIDENCE_DAMAGED
                }
                Some(_) | None => Code::IO,
            },
            Self::Locked { .. } | Self::Fenced { .. } => Code::RUN_LOCKED,
            Self::Damaged(_)
            | Self::Event { .. }
            | Self::ObjectMissing(_)
            | Self::ObjectDamaged(_)
            | Self::Format { .. } => Code::EVIDENCE_DAMAGED,
            Self::Seal(_) => Code::BUG,
        }
    }

    /// What to do about it, where it is known.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Locked { .. } | Self::Fenced { .. } => {
                Some("wait until it has ended, then repeat the command".to_owned())
            }
            Self::Damaged(_)
            | Self::Event { .. }
            | Self::ObjectMissing(_)
            | Self::ObjectDamaged(_) => Some(
                "keep the state directory as it is, and restore it from a copy; nothing was changed"
                    .to_owned(),
            ),
            Self::Io { .. } | Self::Database { .. } | Self::Format { .. } | Self::Seal(_) => None,
        }
    }
}

/// The code of a failed file operation.
pub(crate) fn io_code(error: &std::io::Error) -> Code {
    use std::io::ErrorKind;
    if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) {
        Code::DISK_FULL
    } else {
        Code::IO
    }
}
