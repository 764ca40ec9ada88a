//! The log of a run in a PostgreSQL database.

use std::path::Path;

use carnet_engine::LogPlace;
use carnet_model::Code;

use crate::cli::TypedStore;
use crate::environment::Environment;
use crate::failure::Failure;

/// The log of this state directory in a database. It has the name of the directory, which is that of
/// the migration, if the URL gives it none.
#[cfg(feature = "postgres")]
pub(super) fn in_database(
    typed: &TypedStore,
    state: &Path,
    environment: &Environment,
) -> Result<LogPlace, Failure> {
    let (url, name) = typed.log()?;
    let carnet_model::StoreUrl::Postgres(url) = url else { return Err(other_kind()) };
    let name = match name {
        Some(name) => name,
        None => state.file_name().unwrap_or_default().to_string_lossy().into_owned(),
    };
    let shown = carnet_model::StoreUrl::Postgres(url.clone()).to_string();
    let password = environment.postgres_password.clone();
    let connect = move || carnet_connectors::connect_postgres(&url, password.as_ref());
    carnet_engine::PostgresLog::new(&name, &shown, state.to_owned(), connect)
        .map(LogPlace::Postgres)
        .ok_or_else(|| {
            Failure::new(Code::USAGE, format!("{name:?} is no name of a log"))
                .remedy("use 1 to 50 of a-z, 0-9, _ and - in `?log=NAME`")
        })
}

#[cfg(not(feature = "postgres"))]
pub(super) fn in_database(
    typed: &TypedStore,
    _state: &Path,
    _environment: &Environment,
) -> Result<LogPlace, Failure> {
    typed.log()?;
    Err(Failure::new(Code::STORE_FEATURE, "this build leaves out logs in PostgreSQL")
        .remedy("build Carnet with the feature `postgres`"))
}

#[cfg(feature = "postgres")]
fn other_kind() -> Failure {
    Failure::new(Code::USAGE, "a log can be kept in a PostgreSQL database only")
        .remedy("write --log postgres://USER@HOST:PORT/DB, or leave it out for a log in a folder")
}
