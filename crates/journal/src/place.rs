//! Where a log is: in a state directory, or in a PostgreSQL database.

use std::path::{Path, PathBuf};

use crate::database::Database;
use crate::error::JournalError;
use crate::lock::Lock;
use crate::log_store::LogStore;
use crate::objects::Objects;
#[cfg(feature = "postgres")]
use crate::postgres::{ObjectTable, PostgresLog, Server};

/// Where a log is.
#[derive(Debug, Clone)]
pub enum LogPlace {
    /// A state directory: `evidence.sqlite` in it, and the objects beside.
    Dir(PathBuf),
    /// A schema of a PostgreSQL database.
    #[cfg(feature = "postgres")]
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
pub(crate) struct Held {
    pub(crate) database: Box<dyn LogStore>,
    /// What keeps other processes out of a state directory. A database keeps them out itself.
    pub(crate) lock: Option<Lock>,
}

impl LogPlace {
    /// As people read it.
    pub fn shown(&self) -> PathBuf {
        match self {
            Self::Dir(dir) => dir.clone(),
            #[cfg(feature = "postgres")]
            Self::Postgres(log) => log.shown().into(),
        }
    }

    /// The local folder: of a log in a database, what else a run needs is still there.
    pub(crate) fn folder(&self) -> &Path {
        match self {
            Self::Dir(dir) => dir,
            #[cfg(feature = "postgres")]
            Self::Postgres(log) => log.folder(),
        }
    }

    /// Opens the log for writing. Refused while another process holds it.
    pub(crate) fn hold(&self) -> Result<Held, JournalError> {
        match self {
            Self::Dir(dir) => {
                let lock = Some(Lock::take(dir)?);
                Ok(Held { database: Box::new(Database::open(dir)?), lock })
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(log) => Ok(Held { database: Box::new(Server::hold(log)?), lock: None }),
        }
    }

    /// Opens the log for reading; `None` where there is none.
    pub(crate) fn read(&self) -> Result<Option<Box<dyn LogStore>>, JournalError> {
        match self {
            Self::Dir(dir) => Ok(Database::open_read_only(dir)?.map(|it| Box::new(it) as _)),
            #[cfg(feature = "postgres")]
            Self::Postgres(log) => Ok(Some(Box::new(Server::open(log)?))),
        }
    }

    /// What its events point to.
    pub(crate) fn objects(&self) -> Result<Objects, JournalError> {
        match self {
            Self::Dir(dir) => Ok(Objects::new(dir)),
            #[cfg(feature = "postgres")]
            Self::Postgres(log) => Ok(Objects::Table(Box::new(ObjectTable::open(log)?))),
        }
    }
}
