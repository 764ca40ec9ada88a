//! Opens connections: the URL, the password, the settings of every transaction.

use std::path::PathBuf;
use std::time::Duration;

use carnet_connect::StoreError;
use carnet_model::{Code, PostgresUrl, Secret};
use percent_encoding::percent_decode_str;
use postgres::config::Host;
use postgres::{Client, Config, SimpleQueryMessage, Transaction};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::{failed, not_connected};
use super::tls;

/// Said at the start of every transaction, so that the server's own settings, or a pooler between
/// us, cannot change what is read: exact text forms, no rows hidden by row security (the server
/// then refuses instead of leaving rows out), no time limit on a long COPY.
const SETTINGS: &str = "SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO'; \
    SET LOCAL IntervalStyle = 'postgres'; SET LOCAL extra_float_digits = 1; \
    SET LOCAL bytea_output = 'hex'; SET LOCAL row_security = off; \
    SET LOCAL standard_conforming_strings = on; SET LOCAL synchronize_seqscans = off; \
    SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; \
    SET LOCAL lock_timeout = '60s'; SET LOCAL jit = off;";

/// The settings of every transaction.
pub(crate) const fn settings() -> &'static str {
    SETTINGS
}

/// Makes connections to one database.
#[derive(Clone)]
pub(crate) struct Connector {
    config: Config,
    tls: MakeRustlsConnect,
    place: String,
}

impl Connector {
    /// Reads the URL. Nothing is connected yet.
    pub(crate) fn new(url: &PostgresUrl, password: Option<&Secret>) -> Result<Self, StoreError> {
        let (text, mode, root_file) = take_tls(url.connection().reveal());
        // The driver's message names the parameter and never its value.
        let mut config: Config = text.parse().map_err(|error: postgres::Error| {
            let unclear = StoreError::new(Code::STORE_URL, "the store URL is not understood");
            match error.into_source() {
                Some(cause) => unclear.because(cause.to_string()),
                None => unclear,
            }
            .remedy("write postgres://USER@HOST:PORT/DB?table=NAME")
        })?;
        let (ssl_mode, tls) = tls::connector(mode.as_deref(), root_file.as_deref())?;
        config.ssl_mode(ssl_mode);
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            config.host("localhost");
        }
        if config.get_application_name().is_none() {
            config.application_name("carnet");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(Duration::from_secs(10));
        }
        // A peer that vanished is noticed within minutes, also in the middle of a COPY.
        config.keepalives_idle(Duration::from_mins(1));
        config.keepalives_interval(Duration::from_secs(10));
        config.keepalives_retries(6);
        if let (None, Some(password)) = (config.get_password(), password) {
            config.password(password.reveal());
        }
        let place = place(&config);
        Ok(Self { config, tls, place })
    }

    /// The server and the database, for messages.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// The TLS settings, for cancelling a query.
    pub(super) fn tls(&self) -> MakeRustlsConnect {
        self.tls.clone()
    }

    /// Opens a connection.
    pub(crate) fn connect(&self) -> Result<Client, StoreError> {
        self.config
            .connect(self.tls.clone())
            .map_err(|error| not_connected(format!("cannot connect to {}", self.place), error))
    }
}

/// Begins a transaction that reads one moment: the shared one, where a snapshot is named.
pub(super) fn begin_reading(client: &mut Client, snapshot: Option<&str>) -> Result<(), StoreError> {
    let snapshot = snapshot
        .map(|id| format!("SET TRANSACTION SNAPSHOT {};", super::sql::literal(id)))
        .unwrap_or_default();
    let begin = format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {snapshot} {SETTINGS}");
    client.batch_execute(&begin).map_err(|error| {
        if error.code().is_some_and(|state| matches!(state.code(), "22023" | "42704" | "55000")) {
            return StoreError::new(
                Code::STORE_LOST,
                "the connection that keeps the snapshot is gone",
            )
            .because(error)
            .remedy("run the command again");
        }
        failed("cannot begin to read", error)
    })
}

/// Begins a transaction that writes, with more statements in the same round trip, on a connection
/// that its owner drops after any failure. Gives the number of rows that each statement changed.
pub(super) fn begin_with(client: &mut Client, more: &str) -> Result<Vec<u64>, postgres::Error> {
    let messages = client.simple_query(&format!("BEGIN; {SETTINGS} {more}"))?;
    let count = |message: &SimpleQueryMessage| {
        if let SimpleQueryMessage::CommandComplete(rows) = message { Some(*rows) } else { None }
    };
    Ok(messages.iter().filter_map(count).collect())
}

/// Begins a transaction that writes; it is undone unless it is committed.
pub(super) fn begin_writing(client: &mut Client) -> Result<Transaction<'_>, StoreError> {
    let mut transaction =
        client.transaction().map_err(|error| failed("cannot begin to write", error))?;
    transaction.batch_execute(SETTINGS).map_err(|error| failed("cannot begin to write", error))?;
    Ok(transaction)
}

/// Takes out the parameters on TLS, which the driver does not know in full.
fn take_tls(url: &str) -> (String, Option<String>, Option<PathBuf>) {
    let Some((base, query)) = url.split_once('?') else { return (url.to_owned(), None, None) };
    let decoded = |value: &str| percent_decode_str(value).decode_utf8_lossy().into_owned();
    let (mut mode, mut root, mut kept) = (None, None, Vec::new());
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("sslmode", value)) => mode = Some(decoded(value)),
            Some(("sslrootcert", value)) => root = Some(PathBuf::from(decoded(value))),
            _ => kept.push(pair),
        }
    }
    (format!("{base}?{}", kept.join("&")), mode, root)
}

fn place(config: &Config) -> String {
    let host = match (config.get_hosts().first(), config.get_hostaddrs().first()) {
        (Some(Host::Tcp(host)), _) => host.clone(),
        (Some(Host::Unix(path)), _) => path.display().to_string(),
        (None, Some(address)) => address.to_string(),
        (None, None) => "localhost".to_owned(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let database = config.get_dbname().or(config.get_user()).unwrap_or("the default database");
    format!("{host}:{port}/{database}")
}

#[cfg(test)]
mod tests {
    use super::super::error::whole_text;
    use super::*;
    use carnet_model::StoreUrl;

    fn connector(text: &str) -> Result<Connector, StoreError> {
        let StoreUrl::Postgres(url) = StoreUrl::parse(text).unwrap() else { panic!("{text}") };
        Connector::new(&url, Some(&Secret::new("s3cr3t")))
    }

    #[test]
    fn tls_parameters_are_ours_and_the_rest_is_the_drivers() {
        let (url, mode, root) =
            take_tls("postgres://h/d?sslmode=verify-full&port=1&sslrootcert=/a%20b.pem");
        assert_eq!(url, "postgres://h/d?port=1");
        assert_eq!(mode.as_deref(), Some("verify-full"));
        assert_eq!(root, Some(PathBuf::from("/a b.pem")));
        assert!(connector("postgres://h/d?sslmode=prefer&application_name=x").is_ok());
    }

    #[test]
    fn a_bad_url_never_shows_its_password() {
        for text in [
            "postgres://me:s3cr3t@h:s3cr3t/d",
            "postgres://me:s3cr3t@h/d?nonsense=s3cr3t",
            "postgres://me:s3cr3t@h/d?connect_timeout=s3cr3t",
            "postgres://me:s3cr3t@h/d?sslmode=s3cr3t",
            "postgres://me:s3cr3t",
        ] {
            if let Err(error) = connector(text) {
                assert!(!whole_text(&error).contains("s3cr3t"), "{}", whole_text(&error));
                assert_eq!(error.code(), Code::STORE_URL);
            }
        }
    }

    #[test]
    fn a_server_that_is_not_there_is_unreachable() {
        // Port 1 of loopback: nothing listens there.
        let connector = connector("postgres://me:s3cr3t@127.0.0.1:1/d").unwrap();
        let Err(error) = connector.connect() else { panic!("connected") };
        assert_eq!(error.code(), Code::STORE_UNREACHABLE);
        assert!(!whole_text(&error).contains("s3cr3t"));
        assert_eq!(connector.place(), "127.0.0.1:1/d");
    }
}
