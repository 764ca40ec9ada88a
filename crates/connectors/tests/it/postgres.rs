//! PostgreSQL 16 and 18 with pgvector: the conformance suite, and what it cannot know.

use std::sync::atomic::{AtomicU32, Ordering};

use carnet_connect::{VectorRepository, conformance};
use carnet_connectors::{OpenOptions, open};
use carnet_model::StoreUrl;
use postgres::{Client, NoTls};

/// Both servers: one sorts text by language, the other by bytes.
pub(crate) const SERVERS: [&str; 2] = ["CARNET_TEST_PG16", "CARNET_TEST_PG18"];

/// A database of its own with pgvector, dropped at the end.
pub(crate) struct Database {
    admin: String,
    name: String,
    pub(crate) url: String,
}

impl Database {
    #[expect(clippy::disallowed_methods, reason = "the test command tells where the servers are")]
    pub(crate) fn new(server: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let admin = std::env::var(server).unwrap_or_else(|_| {
            panic!("{server} is not set: run ./test, which starts the servers")
        });
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("carnet_{}_{n}", std::process::id());
        let mut client = Client::connect(&admin, NoTls).expect("the test server answers");
        client.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
        let url = format!("{}/{name}", admin.rsplit_once('/').unwrap().0);
        let database = Self { admin, name, url };
        database.run("CREATE EXTENSION vector");
        database
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.url, NoTls).unwrap()
    }

    pub(crate) fn run(&self, sql: &str) {
        self.client().batch_execute(sql).unwrap();
    }

    /// A store with these tables in its URL.
    pub(crate) fn store(&self, tables: &str, options: &OpenOptions) -> Box<dyn VectorRepository> {
        let table = if tables.is_empty() { String::new() } else { format!("?table={tables}") };
        open(&StoreUrl::parse(&format!("{}{table}", self.url)).unwrap(), options).unwrap()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Ok(mut client) = Client::connect(&self.admin, NoTls) {
            let _ = client.batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", self.name));
        }
    }
}

#[test]
fn both_servers_conform() {
    for server in SERVERS {
        let mut databases = Vec::new();
        let checks = conformance::run(&mut || {
            let database = Database::new(server);
            let store = database.store("", &OpenOptions::default());
            databases.push(database);
            Ok(store)
        })
        .unwrap_or_else(|failure| panic!("{server}: {failure}"));
        assert!(checks >= 18, "{checks} checks");
    }
}
