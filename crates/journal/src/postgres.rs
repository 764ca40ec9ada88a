//! The events of one log, in a schema of a PostgreSQL database: rows in, rows out. What they mean is
//! for others.
//!
//! One writer at a time holds an advisory lock for as long as its connection lasts. The connection is
//! never made anew: a writer that lost it has lost the log. What can be lost without a sign, such as
//! a lock behind a pooler, the generation still guards: each transaction of a writer compares it, under
//! a lock on its row.

use std::cell::RefCell;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use carnet_connect::StoreError;
use carnet_ledger::{Chain, Digest, EvidenceProfile};
use postgres::types::ToSql;
use postgres::{Client, GenericClient, Row, Transaction};

use crate::error::JournalError;
use crate::log_store::{Addition, LogMade, LogStore, Page, Signed, Which, hashes, integer};
use crate::tree::Tile;

/// The format that is written: see docs/formats.md.
const FORMAT: &str = "carnet-evidence-2";

/// A page has so many events.
const PAGE_ROWS: i64 = 1000;

/// Connects to the database.
type Connect = dyn Fn() -> Result<Client, StoreError> + Send + Sync;

/// A log in a PostgreSQL database.
#[derive(Clone)]
pub struct PostgresLog {
    schema: String,
    shown: String,
    folder: PathBuf,
    connect: Arc<Connect>,
}

impl PostgresLog {
    /// The log `name` (1 to 50 of `a-z 0-9 _ -`; `None` for others) of the database that `connect`
    /// opens. `place` names the database to people; what a run needs beside its log is in the local
    /// `folder`.
    pub fn new(
        name: &str,
        place: &str,
        folder: PathBuf,
        connect: impl Fn() -> Result<Client, StoreError> + Send + Sync + 'static,
    ) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let good = (1..=50).contains(&name.len())
            && name.bytes().all(|byte| plain(byte) || matches!(byte, b'_' | b'-'));
        good.then(|| Self {
            schema: format!("carnet_log_{name}"),
            shown: format!("{place}?log={name}"),
            folder,
            connect: Arc::new(connect),
        })
    }

    /// As people read it.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn connect(&self) -> Result<Client, JournalError> {
        let mut client = (self.connect)().map_err(JournalError::Connect)?;
        // Whatever the server's own settings are: what is acknowledged is durable, a writer that
        // has nothing to say keeps its connection, and a statement waits for no lock without end.
        // The names of tables are those of the schema.
        let settings = format!(
            "set synchronous_commit = on; set statement_timeout = 0; set idle_session_timeout = 0; \
             set idle_in_transaction_session_timeout = 0; set lock_timeout = '30s'; \
             set client_min_messages = warning; set search_path = {}",
            self.quoted()
        );
        client.batch_execute(&settings).map_err(|source| self.failed("open", source))?;
        Ok(client)
    }

    /// Whether a process holds the log for writing.
    pub(crate) fn is_held(&self) -> Result<bool, JournalError> {
        let sql = "select exists (
                select 1 from pg_locks where locktype = 'advisory' and granted and objsubid = 1
                and database = (select oid from pg_database where datname = current_database())
                and classid::int8 << 32 | objid::int8 = $1
            )";
        let mut client = self.connect()?;
        let row = client.query_one(sql, &[&self.lock_number()]);
        Ok(row.map_err(|source| self.failed("read", source))?.get(0))
    }

    fn quoted(&self) -> String {
        format!("\"{}\"", self.schema)
    }

    /// The number of the advisory lock: of the whole database, so it comes from the schema's name.
    fn lock_number(&self) -> i64 {
        let Digest(bytes) = Digest::of(self.schema.as_bytes());
        bytes.first_chunk().map_or(0, |first| i64::from_be_bytes(*first))
    }

    fn failed(&self, doing: &'static str, source: postgres::Error) -> JournalError {
        JournalError::Server { doing, place: self.shown.clone(), source }
    }
}

impl fmt::Debug for PostgresLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PostgresLog").field(&self.shown).finish()
    }
}

/// A connection to the database of a log.
pub(crate) struct Server {
    log: PostgresLog,
    /// Borrowed for one statement or transaction at a time.
    client: RefCell<Client>,
    /// The server's number of the connection.
    session: i32,
    /// Whether the lock was taken on this connection.
    holds: bool,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.log.fmt(f)
    }
}

impl Drop for Server {
    /// The server takes a moment to notice a closed connection, and gives the lock free only then:
    /// who ends well says so. Only the session that holds the lock can give it free.
    fn drop(&mut self) {
        if self.holds {
            let _ = self
                .client
                .borrow_mut()
                .execute("select pg_advisory_unlock($1)", &[&self.log.lock_number()]);
        }
    }
}

impl Server {
    /// Connects for reading, beside a writer or without one.
    pub(crate) fn open(log: &PostgresLog) -> Result<Self, JournalError> {
        let mut client = log.connect()?;
        let row = client.query_one("select pg_backend_pid()", &[]);
        let session = row.map_err(|source| log.failed("open", source))?.get(0);
        Ok(Self { log: log.clone(), client: RefCell::new(client), session, holds: false })
    }

    /// Connects for writing, or says who has the log.
    pub(crate) fn hold(log: &PostgresLog) -> Result<Self, JournalError> {
        let mut server = Self::open(log)?;
        let taken: bool = server
            .one("take", "select pg_try_advisory_lock($1)", &[&log.lock_number()])?
            .is_some_and(|row| row.get(0));
        if taken {
            server.holds = true;
            return Ok(server);
        }
        let place = log.shown.clone();
        Err(JournalError::Locked { place, holder: server.holder()? })
    }

    /// What the holder wrote down of itself.
    fn holder(&self) -> Result<Option<String>, JournalError> {
        if self.is_made()? { self.meta("holder") } else { Ok(None) }
    }

    fn is_made(&self) -> Result<bool, JournalError> {
        let sql = "select exists (select 1 from information_schema.tables \
                   where table_schema = $1 and table_name = 'meta')";
        let found = self.one("read", sql, &[&self.log.schema])?;
        Ok(found.is_some_and(|row| row.get(0)))
    }

    fn meta(&self, key: &str) -> Result<Option<String>, JournalError> {
        let row = self.one("read", "select value from meta where key = $1", &[&key])?;
        Ok(row.map(|row| row.get(0)))
    }

    /// The one row of a query.
    fn one(
        &self,
        doing: &'static str,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, JournalError> {
        let found = self.client.borrow_mut().query_opt(sql, values);
        found.map_err(|source| self.log.failed(doing, source))
    }

    fn in_transaction<T>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, postgres::Error>,
    ) -> Result<T, JournalError> {
        let mut client = self.client.borrow_mut();
        let run = || {
            let mut transaction = client.transaction()?;
            let answer = work(&mut transaction)?;
            transaction.commit()?;
            Ok(answer)
        };
        run().map_err(|source| self.log.failed(doing, source))
    }

    /// What a writer does in one transaction: nothing, if it lost its generation.
    fn as_writer(
        &self,
        mine: u64,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<(), postgres::Error>,
    ) -> Result<(), JournalError> {
        let done = self.in_transaction("append to", |transaction| {
            // Shared: another writer waits with its take-over until these events are in.
            let now = generation(transaction, "for share")?;
            if now == mine {
                work(transaction)?;
            }
            Ok(now)
        });
        match done {
            Ok(now) if now == mine => Ok(()),
            Ok(now) => Err(JournalError::Fenced { mine, now }),
            Err(error) => Err(self.lost(error)),
        }
    }

    /// A writer without its connection does not hold the log any more.
    fn lost(&self, error: JournalError) -> JournalError {
        if !self.client.borrow().is_closed() {
            return error;
        }
        JournalError::LeaseLost {
            place: self.log.shown.clone(),
            why: "the connection that holds it was ended".to_owned(),
        }
    }
}

impl LogStore for Server {
    fn made(&mut self) -> Result<Option<LogMade>, JournalError> {
        if !self.is_made()? {
            return Ok(None);
        }
        let wrong = |format: String| {
            let path = PathBuf::from(&self.log.shown);
            JournalError::Format { path, format, known: FORMAT }
        };
        let meta = |key| self.meta(key).map(Option::unwrap_or_default);
        let format = meta("format")?;
        if format != FORMAT {
            return Err(wrong(if format.is_empty() { "none".to_owned() } else { format }));
        }
        let (hash, evidence) = (meta("hash_profile")?, meta("evidence_profile")?);
        Ok(Some(LogMade {
            chain_id: meta("chain_id")?,
            hash_profile: hash.parse().map_err(|_| wrong(hash))?,
            evidence_profile: EvidenceProfile::parse(&evidence).ok_or_else(|| wrong(evidence))?,
        }))
    }

    fn make(&mut self, new: &Chain) -> Result<LogMade, JournalError> {
        let schema = self.log.quoted();
        let tables = format!(
            "create schema if not exists {schema};
            create table meta (key text primary key, value text not null);
            create table events (sequence bigint primary key, bytes bytea not null);
            create table tiles (
                level smallint not null,
                idx bigint not null,
                hashes bytea not null,
                primary key (level, idx)
            );
            create table checkpoints (
                size bigint primary key,
                note text not null,
                exported boolean not null default false
            );
            create table objects (digest bytea primary key, bytes bytea not null);"
        );
        let rows = [
            ("format", FORMAT),
            ("chain_id", &new.chain_id),
            ("hash_profile", new.hash_profile.name()),
            ("evidence_profile", new.evidence_profile.name()),
            ("generation", "0"),
        ];
        self.in_transaction("make", |transaction| {
            transaction.batch_execute(&tables)?;
            for (key, value) in rows {
                transaction.execute("insert into meta values ($1, $2)", &[&key, &value])?;
            }
            Ok(())
        })?;
        Ok(LogMade {
            chain_id: new.chain_id.clone(),
            hash_profile: new.hash_profile,
            evidence_profile: new.evidence_profile,
        })
    }

    fn migrate(&mut self) -> Result<(), JournalError> {
        // There is no other format yet.
        Ok(())
    }

    fn take_over(&mut self, events: u64, holder: &str) -> Result<u64, JournalError> {
        let taken = self.in_transaction("take over", |transaction| {
            let next = generation(transaction, "for update")? + 1;
            if count(transaction)? != events {
                // A writer whose lock was taken away appended meanwhile.
                return Ok(None);
            }
            let holder = format!("generation {next}, {holder}");
            for (key, value) in [("generation", next.to_string()), ("holder", holder)] {
                let sql = "insert into meta values ($1, $2) \
                           on conflict (key) do update set value = excluded.value";
                transaction.execute(sql, &[&key, &value])?;
            }
            Ok(Some(next))
        })?;
        let place = self.log.shown.clone();
        taken.ok_or(JournalError::Locked { place, holder: None })
    }

    fn check_lease(&self, mine: u64) -> Result<(), JournalError> {
        // One number, in two halves, as the server shows it.
        let sql = "select (select value from meta where key = 'generation'), exists (
                select 1 from pg_locks where locktype = 'advisory' and granted and pid = $1
                and objsubid = 1 and classid::int8 << 32 | objid::int8 = $2
            )";
        let number = self.log.lock_number();
        let row = self.one("read", sql, &[&self.session, &number]);
        let Some(row) = row.map_err(|error| self.lost(error))? else { return Ok(()) };
        let now = row.get::<_, Option<String>>(0).and_then(|it| it.parse().ok()).unwrap_or(0);
        if now != mine {
            return Err(JournalError::Fenced { mine, now });
        }
        if row.get(1) {
            return Ok(());
        }
        let (place, why) = (self.log.shown.clone(), "its lock is gone".to_owned());
        Err(JournalError::LeaseLost { place, why })
    }

    fn add(&mut self, mine: u64, addition: &Addition<'_>) -> Result<(), JournalError> {
        let numbers: Vec<i64> =
            addition.events.iter().map(|(number, _)| integer(*number)).collect();
        let bytes: Vec<&[u8]> = addition.events.iter().map(|(_, bytes)| bytes.as_slice()).collect();
        self.as_writer(mine, |transaction| {
            if !numbers.is_empty() {
                let sql = "insert into events select * from unnest($1::bigint[], $2::bytea[])";
                transaction.execute(sql, &[&numbers, &bytes])?;
            }
            add_tiles(transaction, addition.tiles)?;
            if let Some((size, note)) = &addition.checkpoint {
                let sql = "insert into checkpoints (size, note) values ($1, $2) \
                           on conflict (size) do update set note = excluded.note";
                transaction.execute(sql, &[&integer(*size), note])?;
            }
            Ok(())
        })
    }

    fn note_export(&mut self, mine: u64, size: u64, note: &str) -> Result<(), JournalError> {
        self.as_writer(mine, |transaction| {
            let sql = "update checkpoints set exported = true, note = $2 where size = $1";
            transaction.execute(sql, &[&integer(size), &note]).map(|_| ())
        })
    }

    fn checkpoint(&self, which: Which) -> Result<Option<Signed>, JournalError> {
        let (condition, size) = match which {
            Which::Exactly(size) => ("size = $1", size),
            Which::From(size) => ("size >= $1 order by size", size),
            Which::To(size) => ("size <= $1 order by size desc", size),
            Which::ExportedTo(size) => ("exported and size <= $1 order by size desc", size),
        };
        let sql = format!("select size, note from checkpoints where {condition} limit 1");
        let row = self.one("read", &sql, &[&integer(size)])?;
        Ok(row.map(|row| Signed { size: row.get::<_, i64>(0).unsigned_abs(), text: row.get(1) }))
    }

    fn count(&self) -> Result<u64, JournalError> {
        count(&mut *self.client.borrow_mut()).map_err(|source| self.log.failed("read", source))
    }

    fn begin_moment(&self) -> Result<(), JournalError> {
        let sql = "begin isolation level repeatable read read only";
        let done = self.client.borrow_mut().batch_execute(sql);
        done.map_err(|source| self.log.failed("read", source))
    }

    fn end_moment(&self) {
        // Nothing was written: there is nothing that could get lost.
        let _ = self.client.borrow_mut().batch_execute("rollback");
    }

    fn page(&self, (from, to): (i64, i64)) -> Result<Page, JournalError> {
        let sql = "select sequence, bytes from events \
                   where sequence >= $1 and sequence < $2 order by sequence limit $3";
        let rows = self.client.borrow_mut().query(sql, &[&from, &to, &PAGE_ROWS]);
        let rows = rows.map_err(|source| self.log.failed("read", source))?;
        let mut page = Page::default();
        for row in &rows {
            page.push(row.get(0), row.get(1));
        }
        if rows.len() as u64 == PAGE_ROWS.unsigned_abs() {
            page.next = rows.last().and_then(|last| last.get::<_, i64>(0).checked_add(1));
        }
        Ok(page)
    }

    fn event(&self, sequence: u64) -> Result<Option<Vec<u8>>, JournalError> {
        let sql = "select bytes from events where sequence = $1";
        Ok(self.one("read", sql, &[&integer(sequence)])?.map(|row| row.get(0)))
    }

    fn tile(&self, level: u8, index: u64) -> Result<Option<Vec<Digest>>, JournalError> {
        let sql = "select hashes from tiles where level = $1 and idx = $2";
        let row = self.one("read", sql, &[&i16::from(level), &integer(index)])?;
        Ok(row.map(|row| hashes(row.get(0))))
    }

    fn tiles(&self) -> Result<u64, JournalError> {
        let row = self.one("read", "select count(*) from tiles", &[])?;
        Ok(row.map_or(0, |row| row.get::<_, i64>(0).unsigned_abs()))
    }

    fn has_tree(&self) -> bool {
        true
    }
}

fn generation(client: &mut impl GenericClient, lock: &str) -> Result<u64, postgres::Error> {
    let sql = format!("select value from meta where key = 'generation' {lock}");
    let row = client.query_opt(&sql, &[])?;
    Ok(row.and_then(|row| row.get::<_, String>(0).parse().ok()).unwrap_or(0))
}

fn count(client: &mut impl GenericClient) -> Result<u64, postgres::Error> {
    let last: Option<i64> = client.query_one("select max(sequence) from events", &[])?.get(0);
    Ok(last.and_then(|last| u64::try_from(last).ok()).map_or(0, |last| last + 1))
}

fn add_tiles(client: &mut impl GenericClient, tiles: &[Tile]) -> Result<(), postgres::Error> {
    if tiles.is_empty() {
        return Ok(());
    }
    let levels: Vec<i16> = tiles.iter().map(|tile| tile.level.into()).collect();
    let indexes: Vec<i64> = tiles.iter().map(|tile| integer(tile.index)).collect();
    let bytes: Vec<Vec<u8>> = tiles.iter().map(Tile::bytes).collect();
    let sql = "insert into tiles select * from unnest($1::smallint[], $2::bigint[], $3::bytea[]) \
               on conflict (level, idx) do update set hashes = excluded.hashes";
    client.execute(sql, &[&levels, &indexes, &bytes]).map(|_| ())
}

/// What the events of a log point to, in its schema. It has a connection of its own, so that an object
/// does not wait for events.
pub(crate) struct ObjectTable {
    log: PostgresLog,
    client: Mutex<Client>,
}

impl fmt::Debug for ObjectTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.log.fmt(f)
    }
}

impl ObjectTable {
    pub(crate) fn open(log: &PostgresLog) -> Result<Self, JournalError> {
        Ok(Self { log: log.clone(), client: Mutex::new(log.connect()?) })
    }

    /// Stores bytes durably under their digest. Bytes that are there are left as they are.
    pub(crate) fn put(&self, bytes: &[u8]) -> Result<Digest, JournalError> {
        let digest = Digest::of(bytes);
        let sql = "insert into objects values ($1, $2) on conflict (digest) do nothing";
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let put = client.execute(sql, &[&digest.0.as_slice(), &bytes]);
        put.map_err(|source| self.log.failed("write to", source))?;
        Ok(digest)
    }

    pub(crate) fn get(&self, digest: Digest) -> Result<Option<Vec<u8>>, JournalError> {
        let sql = "select bytes from objects where digest = $1";
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let row = client.query_opt(sql, &[&digest.0.as_slice()]);
        let row = row.map_err(|source| self.log.failed("read", source))?;
        Ok(row.map(|row| row.get(0)))
    }
}
