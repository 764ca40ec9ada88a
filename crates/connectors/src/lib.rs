//! Stores that Carnet reads and writes, and what gates look at beside them: a folder and a feature
//! each.
#![deny(unsafe_code)]

#[cfg(feature = "aws")]
mod aws;
#[cfg(feature = "faiss")]
mod faiss;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "kafka")]
mod kafka;
mod open;
#[cfg(feature = "podman")]
mod podman;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "podman", feature = "qemu"))]
mod program;
#[cfg(feature = "qemu")]
mod qemu;
#[cfg(any(feature = "http", feature = "kafka"))]
mod roots;
#[cfg(feature = "s3")]
mod s3;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(feature = "aws")]
pub use aws::open_aws;
#[cfg(feature = "faiss")]
pub use faiss::{
    FaissFlatWriter, FaissFormatError, FaissIndex, FaissLayout, FaissMetric, FaissRefused,
    FaissStore,
};
#[cfg(feature = "http")]
pub use http::{certificate, connect, http};
#[cfg(feature = "kafka")]
pub use kafka::open_broker;
pub use open::{OpenOptions, open};
#[cfg(feature = "podman")]
pub use podman::open_containers;
#[cfg(feature = "postgres")]
pub use postgres::{PostgresStore, connect_postgres};
#[cfg(feature = "qemu")]
pub use qemu::open_machines;
#[cfg(feature = "s3")]
pub use s3::{S3Keys, open_objects};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use sql::open_sql;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;
