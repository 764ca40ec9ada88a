//! The events of one state directory, in SQLite.

use std::path::{Path, PathBuf};
use std::time::Duration;

use carnet_ledger::{Chain, Digest, EvidenceProfile, HashProfile};
use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior, params};

use super::error::JournalError;

const FORMAT: &str = "carnet-evidence-1";
const FILE: &str = "evidence.sqlite";

const SCHEMA: &str = "
    create table if not exists meta (key text primary key, value text not null) strict;
    create table if not exists events (
        sequence integer primary key,
        bytes blob not null,
        event_hash text not null unique
    ) strict;
";

/// The database of events.
#[derive(Debug)]
pub(super) struct Database {
    path: PathBuf,
    connection: Connection,
}

/// What a log was made with.
pub(super) struct Made {
    pub(super) chain_id: String,
    pub(super) hash_profile: HashProfile,
    pub(super) evidence_profile: EvidenceProfile,
}

impl Database {
    pub(super) fn exists(dir: &Path) -> bool {
        dir.join(FILE).exists()
    }

    /// Opens for writing; makes the database where there is none.
    pub(super) fn open(dir: &Path) -> Result<Self, JournalError> {
        let path = dir.join(FILE);
        let opened = Connection::open(&path).and_then(|connection| {
            connection.busy_timeout(Duration::from_secs(5))?;
            connection.pragma_update(None, "journal_mode", "wal")?;
            connection.pragma_update(None, "synchronous", "full")?;
            connection.execute_batch(SCHEMA)?;
            Ok(connection)
        });
        let connection = opened.map_err(failed("open", &path))?;
        Ok(Self { path, connection })
    }

    /// Opens for reading only, beside a writer or without one.
    pub(super) fn open_read_only(dir: &Path) -> Result<Self, JournalError> {
        let path = dir.join(FILE);
        let opened = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).and_then(
            |connection| {
                connection.busy_timeout(Duration::from_secs(5))?;
                Ok(connection)
            },
        );
        let connection = opened.map_err(failed("open", &path))?;
        Ok(Self { path, connection })
    }

    fn meta(&self, key: &str) -> Result<Option<String>, JournalError> {
        self.connection
            .query_row("select value from meta where key = ?1", [key], |row| row.get(0))
            .optional()
            .map_err(failed("read", &self.path))
    }

    /// What the log was made with; `new` where it is made now.
    pub(super) fn made(&mut self, new: Option<&Chain>) -> Result<Made, JournalError> {
        if let (None, Some(new)) = (self.meta("format")?, new) {
            let rows = [
                ("format", FORMAT),
                ("chain_id", &new.chain_id),
                ("hash_profile", new.hash_profile.name()),
                ("evidence_profile", new.evidence_profile.name()),
                ("generation", "0"),
            ];
            self.in_transaction("make", |transaction| {
                for (key, value) in rows {
                    transaction
                        .execute("insert into meta (key, value) values (?1, ?2)", [key, value])?;
                }
                Ok(())
            })?;
        }
        let format = self.meta("format")?.unwrap_or_default();
        let wrong = |format: String| JournalError::Format {
            path: self.path.clone(),
            format,
            known: FORMAT,
        };
        if format != FORMAT {
            return Err(wrong(format));
        }
        let hash_profile = self.meta("hash_profile")?.unwrap_or_default();
        let evidence_profile = self.meta("evidence_profile")?.unwrap_or_default();
        Ok(Made {
            chain_id: self.meta("chain_id")?.unwrap_or_default(),
            hash_profile: hash_profile.parse().map_err(|_| wrong(hash_profile))?,
            evidence_profile: EvidenceProfile::parse(&evidence_profile)
                .ok_or_else(|| wrong(evidence_profile))?,
        })
    }

    /// Takes the log over: every earlier writer is refused from now on.
    pub(super) fn take_over(&mut self) -> Result<u64, JournalError> {
        let path = self.path.clone();
        let next = self.generation()? + 1;
        self.in_transaction("take over", |transaction| {
            transaction
                .execute("update meta set value = ?1 where key = 'generation'", [next.to_string()])
        })?;
        let now = self.generation()?;
        if now == next { Ok(next) } else { Err(JournalError::Locked { path }) }
    }

    fn generation(&self) -> Result<u64, JournalError> {
        Ok(self.meta("generation")?.and_then(|text| text.parse().ok()).unwrap_or(0))
    }

    /// Calls with the bytes of each event, in order, until one fails.
    pub(super) fn each_event(
        &self,
        mut take: impl FnMut(Vec<u8>) -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        let broken = failed("read", &self.path);
        let mut statement = self
            .connection
            .prepare("select bytes from events order by sequence")
            .map_err(failed("read", &self.path))?;
        let rows = statement.query_map([], |row| row.get(0)).map_err(broken)?;
        for row in rows {
            take(row.map_err(failed("read", &self.path))?)?;
        }
        Ok(())
    }

    /// Stores events in one transaction; a writer that lost its generation is refused.
    pub(super) fn append(
        &mut self,
        generation: u64,
        events: &[(u64, &[u8], Digest)],
    ) -> Result<(), JournalError> {
        let now = self.in_transaction("append to", |transaction| {
            let now: String = transaction.query_row(
                "select value from meta where key = 'generation'",
                [],
                |row| row.get(0),
            )?;
            if now != generation.to_string() {
                return Ok(now);
            }
            let mut insert = transaction.prepare_cached(
                "insert into events (sequence, bytes, event_hash) values (?1, ?2, ?3)",
            )?;
            for (sequence, bytes, hash) in events {
                // Sequences count events: they stay far below 2^63.
                let sequence = i64::try_from(*sequence).unwrap_or(i64::MAX);
                insert.execute(params![sequence, bytes, hash.to_string()])?;
            }
            Ok(now)
        })?;
        let now = now.parse().unwrap_or(0);
        if now == generation { Ok(()) } else { Err(JournalError::Fenced { mine: generation, now }) }
    }

    fn in_transaction<T>(
        &mut self,
        doing: &'static str,
        work: impl FnOnce(&rusqlite::Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, JournalError> {
        let done = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .and_then(|transaction| {
                let answer = work(&transaction)?;
                transaction.commit()?;
                Ok(answer)
            });
        done.map_err(failed(doing, &self.path))
    }
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(rusqlite::Error) -> JournalError {
    let path = path.to_owned();
    move |source| JournalError::Database { doing, path, source }
}
