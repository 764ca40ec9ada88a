//! The places in which a log is kept: what holds in one holds in each.

use std::sync::atomic::{AtomicU32, Ordering};

use carnet_connect::StoreError;
use carnet_engine::{LogPlace, PostgresLog};
use carnet_model::Code;
use postgres::{Client, NoTls};
use tempfile::TempDir;

/// A place for one log, with nothing in it yet. It is gone when this is dropped.
pub(crate) struct Kept {
    place: LogPlace,
    folder: TempDir,
    server: Option<Server>,
}

struct Server {
    url: String,
    schema: String,
}

/// Does the same with a log in a state directory, and one in each server.
pub(crate) fn on_each(check: impl Fn(&Kept)) {
    check(&Kept::dir());
    for server in ["CARNET_TEST_PG16", "CARNET_TEST_PG18"] {
        check(&Kept::server(server));
    }
}

impl Kept {
    pub(crate) fn dir() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { place: LogPlace::from(folder.path()), folder, server: None }
    }

    #[expect(clippy::disallowed_methods, reason = "./test says where the servers are")]
    pub(crate) fn server(setting: &str) -> Self {
        static LOGS: AtomicU32 = AtomicU32::new(0);
        let missing = |_| format!("{setting} is not set: run ./test");
        let url = std::env::var(setting).map_err(missing).unwrap();
        let name = format!("test-{}-{}", std::process::id(), LOGS.fetch_add(1, Ordering::Relaxed));
        let folder = tempfile::tempdir().unwrap();
        let to = url.clone();
        let connect = move || {
            Client::connect(&to, NoTls)
                .map_err(|error| StoreError::new(Code::STORE_UNREACHABLE, error.to_string()))
        };
        let log = PostgresLog::new(&name, "postgres://test", folder.path().to_owned(), connect);
        let server = Server { url, schema: format!("carnet_log_{name}") };
        Self { place: LogPlace::Postgres(log.unwrap()), folder, server: Some(server) }
    }

    pub(crate) fn place(&self) -> &LogPlace {
        &self.place
    }

    /// A writer holds the log and does not know that it can lose it: what holds it is taken away.
    pub(crate) fn steal(&self) {
        match &self.server {
            None => std::fs::remove_file(self.folder.path().join("lock")).unwrap(),
            Some(server) => server.release(),
        }
    }

    /// Changes the database by hand.
    pub(crate) fn edit(&self, sql: &str) {
        match &self.server {
            None => super::journal::edit(self.folder.path(), sql),
            Some(server) => server.client().batch_execute(sql).unwrap(),
        }
    }
}

impl Server {
    fn client(&self) -> Client {
        let mut client = Client::connect(&self.url, NoTls).unwrap();
        client.batch_execute(&format!("set search_path = \"{}\"", self.schema)).unwrap();
        client
    }

    /// Ends the connection that holds the log.
    fn release(&self) {
        let sql = "select count(pg_terminate_backend(l.pid, 5000)) from pg_locks l
            join pg_stat_activity a using (pid)
            where l.locktype = 'advisory' and l.granted
            and l.classid::int8 << 32 | l.objid::int8 = $1";
        let carnet_ledger::Digest(bytes) = carnet_ledger::Digest::of(self.schema.as_bytes());
        let number = i64::from_be_bytes(*bytes.first_chunk().unwrap());
        let ended: i64 = self.client().query_one(sql, &[&number]).unwrap().get(0);
        assert_eq!(ended, 1);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let sql = format!("drop schema if exists \"{}\" cascade", self.schema);
        // A test that fell may still hold the log: the schema then stays.
        drop(Client::connect(&self.url, NoTls).and_then(|mut client| client.batch_execute(&sql)));
    }
}
