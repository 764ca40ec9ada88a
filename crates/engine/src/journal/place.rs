//! Where a log is: in a state directory, or in a PostgreSQL database.

use std::path::{Path, PathBuf};

use super::database::Database;
use super::error::JournalError;
use super::lock::Lock;
use super::log_store::LogStore;
use super::objects::Objects;
#[cfg(feature = "postgres-log")]
use super::postgres::{ObjectTable, PostgresLog, Server};

/// Where a log is.
#[derive(Debug, Clone)]
pub enum LogPlace {
    /// A state directory: `evidence.sqlite` in it, and the objects beside.
    Dir(PathBuf),
    /// A schema of a PostgreSQL database.
    #[cfg(feature = "postgres-log")]
    Postgres(PostgresLog),
}

impl From<&Path> for LogPlace {
    fn from(dir: &Path) -> Self {
        Self::Dir(dir.to_owned())
    }
}

impl From<&PathBuf> for LogPlace {
    fn from(dir: &PathBuf) -> Self {
        Self::Dir(dir.clone())
    }
}

impl From<&LogPlace> for LogPlace {
    fn from(place: &LogPlace) -> Self {
        place.clone()
    }
}

/// A log that is open for one writer.
pub(super) struct Held {
    pub(super) database: Box<dyn LogStore>,
    /// What keeps other processes out of a state directory. A database keeps them out itself.
    pub(super) lock: Option<Lock>,
}

impl LogPlace {
    /// As people read it.
    pub fn shown(&self) -> PathBuf {
        match self {
            Self::Dir(dir) => dir.clone(),
            #[cfg(feature = "postgres-log")]
            Self::Postgres(log) => log.shown().into(),
        }
    }

    /// The local folder: of a log in a database, what else a run needs is still there.
    pub(super) fn folder(&self) -> &Path {
        match self {
            Self::Dir(dir) => dir,
            #[cfg(feature = "postgres-log")]
            Self::Postgres(log) => log.folder(),
        }
    }

    /// Opens the log for writing. Refused while another process holds it.
    pub(super) fn hold(&self) -> Result<Held, JournalError> {
        match self {
            Self::Dir(dir) => {
                let lock = Some(Lock::take(dir)?);
                Ok(Held { database: Box::new(Database::open(dir)?), lock })
            }
            #[cfg(feature = "postgres-log")]
            Self::Postgres(log) => Ok(Held { database: Box::new(Server::hold(log)?), lock: None }),
        }
    }

    /// Opens the log for reading; `None` where there is none.
    pub(super) fn read(&self) -> Result<Option<Box<dyn LogStore>>, JournalError> {
        match self {
            Self::Dir(dir) => Ok(Database::open_read_only(dir)?.map(|it| Box::new(it) as _)),
            #[cfg(feature = "postgres-log")]
            Self::Postgres(log) => Ok(Some(Box::new(Server::open(log)?))),
        }
    }

    /// What its events point to.
    pub(super) fn objects(&self) -> Result<Objects, JournalError> {
        match self {
            Self::Dir(dir) => Ok(Objects::new(dir)),
            #[cfg(feature = "postgres-log")]
            Self::Postgres(log) => Ok(Objects::Table(Box::new(ObjectTable::open(log)?))),
        }
    }
}
