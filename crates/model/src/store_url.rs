//! Where a store is, with its secret kept apart from everything that is shown.

use std::fmt;
use std::path::PathBuf;

use carnet_document::Code;

use crate::name::CollectionName;

/// A parsed store URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// `faiss:DIR`: `index.faiss` with `metadata.parquet` or `metadata.sqlite`.
    Faiss(PathBuf),
    /// `sqlite:FILE`.
    Sqlite(PathBuf),
    /// `postgres://…[?table=NAME[,NAME…]]`.
    Postgres(PostgresUrl),
    /// `snapshot:DIR`: an exported snapshot; read-only.
    Snapshot(PathBuf),
}

/// A PostgreSQL connection URL with our own parameters taken out.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    connection: Secret,
    shown: String,
    /// The tables that hold collections. Empty: all that `carnet_collections` lists.
    pub tables: Vec<CollectionName>,
}

/// Text that is never shown: `Debug` and `Display` print `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for the one call that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Why a store URL is not understood. Never holds the URL itself: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreUrlError {
    /// No known scheme.
    #[error("unknown store kind {0:?}")]
    Kind(String),
    /// No scheme at all.
    #[error("no store kind before the colon")]
    NoKind,
    /// Nothing after the scheme.
    #[error("{0} needs a path")]
    NoPath(&'static str),
    /// A table name that cannot be used.
    #[error("bad table name in the store URL")]
    Table(#[source] crate::name::BadName),
}

impl StoreUrlError {
    /// The stable code.
    pub fn code(&self) -> Code {
        Code::STORE_URL
    }

    /// What to do.
    pub fn remedy(&self) -> &'static str {
        "write faiss:DIR, sqlite:FILE, snapshot:DIR or postgres://USER@HOST:PORT/DB?table=NAME"
    }
}

impl StoreUrl {
    /// Parses `faiss:DIR`, `sqlite:FILE`, `snapshot:DIR`, `postgres://…?table=…`.
    pub fn parse(text: &str) -> Result<Self, StoreUrlError> {
        let (scheme, rest) = text.split_once(':').ok_or(StoreUrlError::NoKind)?;
        let path = |kind| {
            if rest.is_empty() { Err(StoreUrlError::NoPath(kind)) } else { Ok(PathBuf::from(rest)) }
        };
        match scheme {
            "faiss" => Ok(Self::Faiss(path("faiss")?)),
            "sqlite" => Ok(Self::Sqlite(path("sqlite")?)),
            "snapshot" => Ok(Self::Snapshot(path("snapshot")?)),
            "postgres" | "postgresql" => Ok(Self::Postgres(PostgresUrl::parse(text)?)),
            // The scheme may be the start of a pasted secret: only a short word is repeated.
            other if other.len() <= 16 && other.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                Err(StoreUrlError::Kind(other.to_owned()))
            }
            _ => Err(StoreUrlError::NoKind),
        }
    }

    /// The kind, as manifests and reports name it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Faiss(_) => "faiss",
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "pgvector",
            Self::Snapshot(_) => "snapshot",
        }
    }
}

impl fmt::Display for StoreUrl {
    /// The URL without its password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Faiss(path) => write!(f, "faiss:{}", path.display()),
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Snapshot(path) => write!(f, "snapshot:{}", path.display()),
            Self::Postgres(url) => f.write_str(&url.shown),
        }
    }
}

impl PostgresUrl {
    fn parse(text: &str) -> Result<Self, StoreUrlError> {
        let (base, query) = text.split_once('?').unwrap_or((text, ""));
        let mut tables = Vec::new();
        let mut kept = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            if let Some(names) = pair.strip_prefix("table=") {
                for name in names.split(',').filter(|name| !name.is_empty()) {
                    tables.push(CollectionName::new(name).map_err(StoreUrlError::Table)?);
                }
            } else {
                kept.push(pair);
            }
        }
        let join = |pairs: &[&str]| {
            if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
        };
        let connection = Secret(format!("{base}{}", join(&kept)));
        let open: Vec<&str> = kept.iter().copied().filter(|pair| !is_password(pair)).collect();
        let named = tables.iter().map(CollectionName::as_str).collect::<Vec<_>>().join(",");
        let mut shown_pairs = open;
        let table_pair = format!("table={named}");
        if !named.is_empty() {
            shown_pairs.push(&table_pair);
        }
        let shown = format!("{}{}", without_password(base), join(&shown_pairs));
        Ok(Self { connection, shown, tables })
    }

    /// Whether a password stands in the URL.
    pub fn has_password(&self) -> bool {
        let base = self.connection.reveal().split('?').next().unwrap_or_default();
        let query = self.connection.reveal().split_once('?').map_or("", |(_, query)| query);
        without_password(base) != base || query.split('&').any(is_password)
    }

    /// Host, port and database, for comparison: two URLs with the same answer reach the same
    /// tables.
    pub fn database(&self) -> String {
        let base = self.shown.split('?').next().unwrap_or_default();
        let place = base.split_once("://").map_or("", |(_, place)| place);
        let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
        let (host, database) = place.split_once('/').unwrap_or((place, ""));
        let host = host.to_ascii_lowercase();
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        if has_port { format!("{host}/{database}") } else { format!("{host}:5432/{database}") }
    }

    /// The URL for the driver, password included.
    pub fn connection(&self) -> &Secret {
        &self.connection
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// Whether a pair of the query is a password. The driver decodes keys, so this does too.
fn is_password(pair: &str) -> bool {
    let key = pair.split('=').next().unwrap_or_default();
    percent_encoding::percent_decode_str(key)
        .decode_utf8_lossy()
        .to_ascii_lowercase()
        .contains("password")
}

/// Cuts `:password` out of `scheme://user:password@host`. A password may hold `@` and `/` by
/// mistake, so everything between the first colon after the scheme and the last `@` goes.
fn without_password(base: &str) -> String {
    let Some((scheme, rest)) = base.split_once("://") else { return base.to_owned() };
    let Some((login, host)) = rest.rsplit_once('@') else { return base.to_owned() };
    let user = login.split_once(':').map_or(login, |(user, _)| user);
    format!("{scheme}://{user}@{host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_in_the_connection_and_nowhere_else() {
        for text in [
            "postgres://me:s3cr3t@db:5432/kb?table=docs",
            "postgresql://me:s3cr3t@db/kb?password=s3cr3t&sslmode=require",
            "postgres://me:s3@cr3t/s3cr3t@db/kb",
        ] {
            let url = StoreUrl::parse(text).unwrap();
            assert!(!format!("{url} {url:?}").contains("s3"), "{url} {url:?}");
            let StoreUrl::Postgres(url) = url else { panic!("not postgres") };
            assert!(url.connection().reveal().contains("s3"));
            assert!(!url.connection().reveal().contains("table="));
        }
    }

    #[test]
    fn a_database_has_one_spelling_and_passwords_are_noticed() {
        let postgres = |text| {
            let StoreUrl::Postgres(url) = StoreUrl::parse(text).unwrap() else {
                panic!("not postgres")
            };
            url
        };
        let plain = postgres("postgres://db/kb");
        assert_eq!(plain.database(), postgres("postgresql://me:s@DB:5432/kb?table=t").database());
        assert_ne!(plain.database(), postgres("postgres://db:5433/kb").database());
        assert_ne!(plain.database(), postgres("postgres://db/other").database());
        assert!(!plain.has_password());
        assert!(!postgres("postgres://me@db/kb?sslmode=require").has_password());
        assert!(postgres("postgres://me:s@db/kb").has_password());
        assert!(postgres("postgres://db/kb?pass%77ord=s3cr3t").has_password());
        let hidden = postgres("postgres://db/kb?pass%77ord=s3cr3t");
        assert!(!format!("{hidden:?}").contains("s3cr3t"));
    }

    #[test]
    fn tables_are_taken_from_the_query() {
        let url = StoreUrl::parse("postgres://h/kb?table=a,b&sslmode=disable").unwrap();
        assert_eq!(url.to_string(), "postgres://h/kb?sslmode=disable&table=a,b");
        let StoreUrl::Postgres(url) = url else { panic!("not postgres") };
        assert_eq!(url.tables.len(), 2);
    }

    #[test]
    fn other_texts_are_refused_without_repeating_them() {
        for text in ["", "faiss:", "nothing", "redis:x", "s3cr3t/with spaces:x"] {
            let error = StoreUrl::parse(text).unwrap_err();
            assert!(!error.to_string().contains("s3cr3t"), "{error}");
        }
        assert!(StoreUrl::parse("postgres://h/kb?table=a;drop").is_err());
    }
}
