//! SQL databases as gates ask them and steps change them: PostgreSQL and SQLite.
//!
//! A change and what tells its repetition are one transaction: the table `carnet_changes` holds the
//! keys of the changes that were made and not taken back, `carnet_fence` the highest generation that
//! wrote, by the name of the log. A writer of a lower generation is refused there, whatever it still
//! believes.

#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

use carnet_connect::{SqlSession, StoreError};
use carnet_model::{Code, Secret, StoreUrl};

/// The most that the rows of one answer may hold together.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Opens a database: `postgres://…`, or `sqlite:FILE` with a file that is there.
pub fn open_sql(url: &str, password: Option<&Secret>) -> Result<Box<dyn SqlSession>, StoreError> {
    let parsed = StoreUrl::parse(url).map_err(|error| {
        let remedy = error.remedy();
        StoreError::new(error.code(), error.to_string()).remedy(remedy)
    })?;
    match parsed {
        #[cfg(feature = "postgres")]
        StoreUrl::Postgres(url) => Ok(Box::new(postgres::Session::open(&url, password)?)),
        #[cfg(feature = "sqlite")]
        StoreUrl::Sqlite(path) => Ok(Box::new(sqlite::Session::open(path)?)),
        #[cfg(not(feature = "postgres"))]
        StoreUrl::Postgres(_) => Err(left_out("postgres")),
        #[cfg(not(feature = "sqlite"))]
        StoreUrl::Sqlite(_) => Err(left_out("sqlite")),
        StoreUrl::Faiss(_) | StoreUrl::Snapshot(_) => {
            let _ = password;
            let what = format!("{parsed} is no SQL database");
            Err(StoreError::new(Code::STORE_URL, what)
                .remedy("write postgres://USER@HOST:PORT/DB or sqlite:FILE"))
        }
    }
}

#[cfg(not(all(feature = "sqlite", feature = "postgres")))]
fn left_out(feature: &str) -> StoreError {
    StoreError::new(Code::FEATURE_MISSING, format!("this build leaves out {feature} databases"))
        .remedy(format!("build Carnet with the feature `{feature}`"))
}

/// The refusal of a writer that another one has followed.
fn fenced(name: &str, generation: u64) -> StoreError {
    let what = format!("a writer of the log {name} newer than generation {generation} was here");
    StoreError::new(Code::RUN_FENCED, what)
        .remedy("let the newer process do the run, or end it and run the plan again")
}

/// The failure of a statement that ended the transaction that it was a part of.
fn ended_itself(number: usize) -> StoreError {
    let what = format!("statement {} ended the transaction: what it changed stays", number + 1);
    StoreError::new(Code::RUN_UNKNOWN, what)
        .remedy("look what was changed, take the COMMIT or ROLLBACK out of it, and settle the step")
}

fn too_slow(what: &str) -> StoreError {
    StoreError::new(Code::STORE_BUSY, format!("{what} took longer than it may"))
        .remedy("see what holds it up, or give it more time (time_limit_s)")
}
