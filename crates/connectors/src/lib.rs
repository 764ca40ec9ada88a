//! Stores that Carnet reads and writes, a folder and a feature each.
#![deny(unsafe_code)]

#[cfg(feature = "faiss")]
mod faiss;
mod open;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(feature = "faiss")]
pub use faiss::{
    FaissFlatWriter, FaissFormatError, FaissIndex, FaissLayout, FaissMetric, FaissRefused,
    FaissStore,
};
pub use open::{OpenOptions, open};
#[cfg(feature = "postgres")]
pub use postgres::PostgresStore;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;
