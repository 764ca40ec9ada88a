//! `postgres://…?table=NAME[,NAME]`: tables of pgvector, made by Carnet or by others.
//!
//! Reading order: `connect` and `tls` open connections, `table` finds out what a table looks like,
//! `snapshot` shares one moment among workers, `scan`, `wire` and `decode` stream records out of
//! binary COPY, `addresses` orders tables that no index orders, `encode` writes records into COPY,
//! `replace` and `upsert` are the two ways of loading, `index` builds search indexes.

mod addresses;
mod carried;
mod connect;
mod contracts;
mod decode;
mod encode;
mod error;
mod index;
mod replace;
mod scan;
mod snapshot;
mod sql;
mod store;
mod table;
mod tls;
mod upsert;
mod wire;

pub(crate) use connect::{Connector, settings};
pub(crate) use error::failed;
pub use store::PostgresStore;

/// Opens a plain connection, for what is no store of records: the log of a run.
pub fn connect_postgres(
    url: &carnet_model::PostgresUrl,
    password: Option<&carnet_model::Secret>,
) -> Result<postgres::Client, carnet_connect::StoreError> {
    Connector::new(url, password)?.connect()
}
