//! What can go wrong with the journal.

use std::path::PathBuf;
use std::sync::Arc;

use carnet_ledger::{CheckpointError, Damage, Digest, EventError, SealError};
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
    /// The server of a log does not do what it should.
    #[cfg(feature = "postgres")]
    #[error("cannot {doing} the evidence log in {place}")]
    Server {
        /// What was tried, as a verb.
        doing: &'static str,
        /// The database and the log.
        place: String,
        /// Why not.
        #[source]
        source: postgres::Error,
    },
    /// The database of a log cannot be connected to.
    #[cfg(feature = "postgres")]
    #[error("cannot open the evidence log")]
    Connect(#[source] carnet_connect::StoreError),
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
    /// Another process holds the log.
    #[error("another process works in {place}{}", .holder.as_deref().map(|it| format!(": {it}")).unwrap_or_default())]
    Locked {
        /// The state directory, or what stands for it.
        place: String,
        /// Who, and since when, as far as it is known.
        holder: Option<String>,
    },
    /// Another process has taken the log over since it was opened.
    #[error(
        "another process has taken this run over: generation {mine} of its writer was replaced by {now}"
    )]
    Fenced {
        /// The generation of this writer.
        mine: u64,
        /// The generation that may write now.
        now: u64,
    },
    /// What keeps others out of the log is gone, so that another process may take it over.
    #[error("this process does not hold {place} any more: {why}")]
    LeaseLost {
        /// The state directory, or what stands for it.
        place: String,
        /// How that is known.
        why: String,
    },
    /// The chain does not hold.
    #[error("the evidence log does not hold")]
    Damaged(#[source] Damage),
    /// The chain holds, and what is stored beside it says something else.
    #[error("the evidence log does not hold")]
    Tree(#[source] TreeDamage),
    /// An event that must be there is not.
    #[error("event {0} of the evidence log is missing")]
    EventMissing(u64),
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
    /// A checkpoint cannot be signed.
    #[error("cannot sign a checkpoint of the evidence log")]
    Sign(#[source] CheckpointError),
    /// The thread that looks after checkpoints cannot be started.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
    /// The log has handed over to another key than the one that is to sign it.
    #[error("the key {key} was retired by event {sequence} of the evidence log")]
    Retired {
        /// `<name>+<8 hex digits>`.
        key: String,
        /// The event `key.succeeded`.
        sequence: u64,
    },
    /// The events that were stored together with this one, or those before it, could not be.
    #[error(transparent)]
    Together(Arc<JournalError>),
    /// An object that an event points to is not there.
    #[error("the evidence object {0} is missing")]
    ObjectMissing(Digest),
    /// An object whose bytes are not those that its name says.
    #[error("the evidence object {0} was changed")]
    ObjectDamaged(Digest),
}

/// How a log contradicts the tree that is stored beside its events.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeDamage {
    /// Events were cut off the end.
    #[error(
        "the log was cut off behind its first {events} events: its tree or a checkpoint covers more"
    )]
    Truncated {
        /// How many are left.
        events: u64,
    },
    /// The events that a checkpoint covers are others now.
    #[error(
        "the first {size} events are not those of their checkpoint: the log was replaced or forked"
    )]
    Forked {
        /// The size of the checkpoint.
        size: u64,
    },
    /// A checkpoint is none of this log, or not signed by the key that it names.
    #[error("what is stored as the checkpoint of {size} events is none of this log")]
    Checkpoint {
        /// The size under which it is stored.
        size: u64,
    },
    /// The hashes of a tile are not those of the events.
    #[error("the stored hashes {index} of level {level} are not those of the events")]
    Tile {
        /// The level of the tile.
        level: u8,
        /// Its place in the level.
        index: u64,
    },
}

impl JournalError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Io { source, .. } | Self::Thread(source) => io_code(source),
            Self::Database { source, .. } => database_code(source),
            #[cfg(feature = "postgres")]
            Self::Server { source, .. } => server_code(source),
            #[cfg(feature = "postgres")]
            Self::Connect(error) => error.code(),
            Self::Together(error) => error.code(),
            Self::Locked { .. } => Code::RUN_LOCKED,
            Self::Fenced { .. } | Self::LeaseLost { .. } => Code::RUN_FENCED,
            Self::Damaged(_)
            | Self::Tree(_)
            | Self::EventMissing(_)
            | Self::Event { .. }
            | Self::ObjectMissing(_)
            | Self::ObjectDamaged(_)
            | Self::Format { .. } => Code::EVIDENCE_DAMAGED,
            Self::Seal(_) | Self::Sign(_) => Code::BUG,
            Self::Retired { .. } => Code::KEY_RETIRED,
        }
    }

    /// What to do about it, where it is known.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Locked { .. } => {
                Some("wait until it has ended, then repeat the command".to_owned())
            }
            Self::Fenced { .. } | Self::LeaseLost { .. } => Some(
                "look with `carnet status` who works on the run; when nobody does, repeat the \
                 command: it looks first whether what was under way happened"
                    .to_owned(),
            ),
            Self::Together(error) => error.remedy(),
            Self::Damaged(_)
            | Self::Tree(_)
            | Self::EventMissing(_)
            | Self::Event { .. }
            | Self::ObjectMissing(_)
            | Self::ObjectDamaged(_) => Some(
                "keep the state directory as it is, and restore it from a copy; nothing was changed"
                    .to_owned(),
            ),
            Self::Retired { .. } => {
                Some("sign with the key that follows it: the plan's `evidence.signer`".to_owned())
            }
            Self::Io { .. }
            | Self::Database { .. }
            | Self::Format { .. }
            | Self::Sign(_)
            | Self::Thread(_)
            | Self::Seal(_) => None,
            #[cfg(feature = "postgres")]
            Self::Server { .. } => None,
            #[cfg(feature = "postgres")]
            Self::Connect(error) => error.remedy_text().map(str::to_owned),
        }
    }
}

fn database_code(error: &rusqlite::Error) -> Code {
    use rusqlite::ErrorCode;
    match error.sqlite_error() {
        // SQLite says so where the file by which readers and writer agree cannot grow.
        Some(error) if error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE => {
            Code::DISK_FULL
        }
        Some(error) if error.code == ErrorCode::DiskFull => Code::DISK_FULL,
        Some(error)
            if matches!(error.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) =>
        {
            Code::EVIDENCE_DAMAGED
        }
        Some(_) | None => Code::IO,
    }
}

#[cfg(feature = "postgres")]
fn server_code(error: &postgres::Error) -> Code {
    use postgres::error::SqlState;
    match error.code() {
        _ if error.is_closed() => Code::STORE_LOST,
        Some(state) if *state == SqlState::DISK_FULL => Code::DISK_FULL,
        Some(state) if *state == SqlState::INSUFFICIENT_PRIVILEGE => Code::STORE_DENIED,
        Some(_) => Code::STORE_FAILED,
        None => Code::STORE_LOST,
    }
}

/// The code of a failed file operation.
pub fn io_code(error: &std::io::Error) -> Code {
    use std::io::ErrorKind;
    if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) {
        Code::DISK_FULL
    } else {
        Code::IO
    }
}
