//! From a store URL to a store.

use carnet_connect::{StoreError, VectorRepository};
use carnet_model::{Code, Secret, StoreUrl, TableLayout};

/// What a URL does not say about a store.
#[derive(Debug, Clone, Default)]
pub struct OpenOptions {
    /// How tables that others made map onto records. PostgreSQL only.
    pub layout: TableLayout,
    /// Columns of such tables that are left behind, by name.
    pub drop: Vec<String>,
    /// The password, where it is not part of the URL. PostgreSQL only.
    pub password: Option<Secret>,
}

/// Opens a store for reading and writing. Fails with `store.feature` when this build leaves the
/// kind out. A `snapshot:` is no store that can be written, and is opened by `carnet-bundle`.
pub fn open(
    url: &StoreUrl,
    options: &OpenOptions,
) -> Result<Box<dyn VectorRepository>, StoreError> {
    match url {
        StoreUrl::Sqlite(path) => sqlite(path, options),
        StoreUrl::Faiss(path) => faiss(path, options),
        StoreUrl::Postgres(url) => postgres(url, options),
        StoreUrl::Snapshot(_) => Err(StoreError::new(
            Code::STORE_UNSUPPORTED,
            format!("{url} is an exported snapshot, not a store"),
        )
        .remedy("name a faiss:, sqlite: or postgres: store here")),
    }
}

#[cfg(not(all(feature = "faiss", feature = "sqlite", feature = "postgres")))]
fn left_out(feature: &str) -> StoreError {
    StoreError::new(Code::STORE_FEATURE, format!("this build leaves out {feature} stores"))
        .remedy(format!("build Carnet with the feature `{feature}`"))
}

/// Refuses a table layout for a store that has only our own.
#[cfg(any(feature = "faiss", feature = "sqlite"))]
fn own_layout(kind: &str, options: &OpenOptions) -> Result<(), StoreError> {
    if options.layout == TableLayout::Carnet {
        return Ok(());
    }
    Err(StoreError::new(
        Code::STORE_UNSUPPORTED,
        format!("table layouts are for postgres stores, this is a {kind} store"),
    )
    .remedy("remove the layout; the columns must have the names of our own table"))
}

#[cfg(feature = "faiss")]
fn faiss(
    path: &std::path::Path,
    options: &OpenOptions,
) -> Result<Box<dyn VectorRepository>, StoreError> {
    own_layout("faiss", options)?;
    Ok(Box::new(crate::faiss::FaissStore::new(path).drop_columns(options.drop.iter().cloned())))
}

#[cfg(not(feature = "faiss"))]
fn faiss(
    _path: &std::path::Path,
    _options: &OpenOptions,
) -> Result<Box<dyn VectorRepository>, StoreError> {
    Err(left_out("faiss"))
}

#[cfg(feature = "sqlite")]
fn sqlite(
    path: &std::path::Path,
    options: &OpenOptions,
) -> Result<Box<dyn VectorRepository>, StoreError> {
    own_layout("sqlite", options)?;
    Ok(Box::new(crate::sqlite::SqliteStore::new(path).drop_columns(options.drop.iter().cloned())))
}

#[cfg(not(feature = "sqlite"))]
fn sqlite(
    _path: &std::path::Path,
    _options: &OpenOptions,
) -> Result<Box<dyn VectorRepository>, StoreError> {
    Err(left_out("sqlite"))
}

#[cfg(feature = "postgres")]
fn postgres(
    url: &carnet_model::PostgresUrl,
    options: &OpenOptions,
) -> Result<Box<dyn VectorRepository>, StoreError> {
    Ok(Box::new(crate::postgres::PostgresStore::open(url, options.clone())?))
}

#[cfg(not(feature = "postgres"))]
fn postgres(
    _url: &carnet_model::PostgresUrl,
    _options: &OpenOptions,
) -> Result<Box<dyn VectorRepository>, StoreError> {
    Err(left_out("postgres"))
}
