//! The events of one state directory, in SQLite: rows in, rows out. What they mean is for others.

use std::path::{Path, PathBuf};
use std::time::Duration;

use carnet_ledger::{Chain, Digest, EvidenceProfile, leaf_hash};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior};

use crate::error::JournalError;
use crate::log_store::{Addition, LogMade, LogStore, Page, Signed, Which, hashes, integer};
use crate::tree::{Tile, Tree};

const FILE: &str = "evidence.sqlite";

/// The format that is written: see docs/formats.md.
const FORMAT: &str = "carnet-evidence-2";
/// The format before it: no tree, and a second column with the hash of each event.
const FORMAT_1: &str = "carnet-evidence-1";

const META: &str = "
    create table if not exists meta (key text primary key, value text not null) strict;
";

const EVENTS: &str = "
    create table events (sequence integer primary key, bytes blob not null) strict;
";

const TREE: &str = "
    create table tiles (
        level integer not null,
        idx integer not null,
        hashes blob not null,
        primary key (level, idx)
    ) strict;
    create table checkpoints (
        size integer primary key,
        note text not null,
        exported integer not null default 0
    ) strict;
";

/// The database of events.
#[derive(Debug)]
pub(crate) struct Database {
    path: PathBuf,
    connection: Connection,
    /// Whether it has the tables of the tree.
    has_tree: bool,
}

impl Database {
    /// Opens for writing; makes the file where there is none.
    pub(crate) fn open(dir: &Path) -> Result<Self, JournalError> {
        let path = dir.join(FILE);
        let opened = Connection::open(&path).and_then(|connection| {
            connection.busy_timeout(Duration::from_secs(5))?;
            connection.pragma_update(None, "journal_mode", "wal")?;
            connection.pragma_update(None, "synchronous", "full")?;
            Ok(connection)
        });
        let connection = opened.map_err(failed("open", &path))?;
        Ok(Self { path, connection, has_tree: false })
    }

    /// Opens for reading only, beside a writer or without one. `None` where there is no file.
    pub(crate) fn open_read_only(dir: &Path) -> Result<Option<Self>, JournalError> {
        let path = dir.join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        let opened = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY).and_then(
            |connection| {
                connection.busy_timeout(Duration::from_secs(5))?;
                Ok(connection)
            },
        );
        let connection = opened.map_err(failed("open", &path))?;
        Ok(Some(Self { path, connection, has_tree: false }))
    }

    fn meta(&self, key: &str) -> Result<Option<String>, JournalError> {
        self.row("select value from meta where key = ?1", [key], |row| row.get(0))
    }

    /// The one row of a query.
    fn row<T>(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
        read: impl FnOnce(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, JournalError> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_row(parameters, read).optional())
            .map_err(failed("read", &self.path))
    }

    fn in_transaction<T>(
        &mut self,
        doing: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
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

impl LogStore for Database {
    fn made(&mut self) -> Result<Option<LogMade>, JournalError> {
        let wrong = |format: String| {
            let (path, known) = (self.path.clone(), FORMAT);
            JournalError::Format { path, format, known }
        };
        let tables = "select name from sqlite_schema order by name = 'meta' desc limit 1";
        let table: Option<String> = self.row(tables, [], |row| row.get(0))?;
        let format = match table.as_deref() {
            None => return Ok(None),
            Some("meta") => self.meta("format")?,
            Some(_) => None,
        };
        let format = format.unwrap_or_else(|| "none".to_owned());
        if format != FORMAT && format != FORMAT_1 {
            return Err(wrong(format));
        }
        let hash_profile = self.meta("hash_profile")?.unwrap_or_default();
        let evidence_profile = self.meta("evidence_profile")?.unwrap_or_default();
        let made = LogMade {
            chain_id: self.meta("chain_id")?.unwrap_or_default(),
            hash_profile: hash_profile.parse().map_err(|_| wrong(hash_profile))?,
            evidence_profile: EvidenceProfile::parse(&evidence_profile)
                .ok_or_else(|| wrong(evidence_profile))?,
        };
        self.has_tree = format == FORMAT;
        Ok(Some(made))
    }

    fn make(&mut self, new: &Chain) -> Result<LogMade, JournalError> {
        let rows = [
            ("format", FORMAT),
            ("chain_id", &new.chain_id),
            ("hash_profile", new.hash_profile.name()),
            ("evidence_profile", new.evidence_profile.name()),
            ("generation", "0"),
        ];
        self.in_transaction("make", |transaction| {
            transaction.execute_batch(META)?;
            transaction.execute_batch(EVENTS)?;
            transaction.execute_batch(TREE)?;
            for (key, value) in rows {
                let row = "insert into meta (key, value) values (?1, ?2)";
                transaction.execute(row, [key, value])?;
            }
            Ok(())
        })?;
        self.has_tree = true;
        Ok(LogMade {
            chain_id: new.chain_id.clone(),
            hash_profile: new.hash_profile,
            evidence_profile: new.evidence_profile,
        })
    }

    fn migrate(&mut self) -> Result<(), JournalError> {
        if self.has_tree {
            return Ok(());
        }
        self.in_transaction("bring into its new format", |transaction| {
            transaction.execute_batch("alter table events rename to events_1;")?;
            transaction.execute_batch(EVENTS)?;
            transaction.execute_batch(TREE)?;
            let (mut tree, mut full) = (Tree::default(), Vec::new());
            {
                let mut old = transaction
                    .prepare("select sequence, bytes from events_1 order by sequence")?;
                let mut new =
                    transaction.prepare("insert into events (sequence, bytes) values (?1, ?2)")?;
                let mut rows = old.query([])?;
                while let Some(row) = rows.next()? {
                    let bytes = row.get_ref(1)?.as_blob()?;
                    new.execute((row.get::<_, i64>(0)?, bytes))?;
                    tree.append(leaf_hash(bytes), &mut full);
                    add_tiles(transaction, &full)?;
                    full.clear();
                }
            }
            add_tiles(transaction, &tree.open_above().collect::<Vec<_>>())?;
            transaction.execute_batch("drop table events_1;")?;
            transaction.execute("update meta set value = ?1 where key = 'format'", [FORMAT])
        })?;
        self.has_tree = true;
        Ok(())
    }

    fn take_over(&mut self, events: u64, _holder: &str) -> Result<u64, JournalError> {
        let path = self.path.clone();
        let taken = self.in_transaction("take over", |transaction| {
            if count(transaction)? != events {
                // A writer whose lock was taken away appended meanwhile.
                return Ok(None);
            }
            let next = generation(transaction)? + 1;
            let row = "update meta set value = ?1 where key = 'generation'";
            transaction.execute(row, [next.to_string()])?;
            Ok(Some(next))
        })?;
        let place = path.parent().unwrap_or(&path).display().to_string();
        taken.ok_or(JournalError::Locked { place, holder: None })
    }

    fn add(&mut self, mine: u64, addition: &Addition<'_>) -> Result<(), JournalError> {
        let now = self.in_transaction("append to", |transaction| {
            let now = generation(transaction)?;
            if now != mine {
                return Ok(now);
            }
            let mut event = transaction
                .prepare_cached("insert into events (sequence, bytes) values (?1, ?2)")?;
            for (sequence, bytes) in addition.events {
                event.execute((integer(*sequence), bytes))?;
            }
            add_tiles(transaction, addition.tiles)?;
            if let Some((size, note)) = &addition.checkpoint {
                transaction
                    .prepare_cached(
                        "insert into checkpoints (size, note) values (?1, ?2) \
                         on conflict (size) do update set note = excluded.note",
                    )?
                    .execute((integer(*size), note))?;
            }
            Ok(now)
        })?;
        if now == mine { Ok(()) } else { Err(JournalError::Fenced { mine, now }) }
    }

    fn check_lease(&self, mine: u64) -> Result<(), JournalError> {
        let now = generation(&self.connection).map_err(failed("read", &self.path))?;
        if now == mine { Ok(()) } else { Err(JournalError::Fenced { mine, now }) }
    }

    fn note_export(&mut self, mine: u64, size: u64, note: &str) -> Result<(), JournalError> {
        let now = self.in_transaction("append to", |transaction| {
            let now = generation(transaction)?;
            if now == mine {
                let sql = "update checkpoints set exported = 1, note = ?2 where size = ?1";
                transaction.execute(sql, (integer(size), note))?;
            }
            Ok(now)
        })?;
        if now == mine { Ok(()) } else { Err(JournalError::Fenced { mine, now }) }
    }

    fn checkpoint(&self, which: Which) -> Result<Option<Signed>, JournalError> {
        if !self.has_tree {
            return Ok(None);
        }
        let (condition, size) = match which {
            Which::Exactly(size) => ("size = ?1", size),
            Which::From(size) => ("size >= ?1 order by size", size),
            Which::To(size) => ("size <= ?1 order by size desc", size),
            Which::ExportedTo(size) => ("exported <> 0 and size <= ?1 order by size desc", size),
        };
        let sql = format!("select size, note from checkpoints where {condition} limit 1");
        self.row(&sql, [integer(size)], |row| {
            let size: i64 = row.get(0)?;
            Ok(Signed { size: size.unsigned_abs(), text: row.get(1)? })
        })
    }

    fn count(&self) -> Result<u64, JournalError> {
        count(&self.connection).map_err(failed("read", &self.path))
    }

    fn begin_moment(&self) -> Result<(), JournalError> {
        self.connection.execute_batch("begin").map_err(failed("read", &self.path))
    }

    fn end_moment(&self) {
        // Nothing was written: there is nothing that could get lost.
        let _ = self.connection.execute_batch("rollback");
    }

    fn page(&self, (from, to): (i64, i64)) -> Result<Page, JournalError> {
        let read = || {
            let sql = "select sequence, bytes from events \
                       where sequence >= ?1 and sequence < ?2 order by sequence";
            let mut statement = self.connection.prepare_cached(sql)?;
            let mut rows = statement.query([from, to])?;
            let mut page = Page::default();
            while let Some(row) = rows.next()? {
                let sequence = row.get(0)?;
                page.push(sequence, row.get_ref(1)?.as_blob()?);
                if page.is_full() {
                    page.next = sequence.checked_add(1);
                    break;
                }
            }
            Ok(page)
        };
        read().map_err(failed("read", &self.path))
    }

    fn event(&self, sequence: u64) -> Result<Option<Vec<u8>>, JournalError> {
        let sql = "select bytes from events where sequence = ?1";
        self.row(sql, [integer(sequence)], |row| row.get(0))
    }

    fn tile(&self, level: u8, index: u64) -> Result<Option<Vec<Digest>>, JournalError> {
        if !self.has_tree {
            return Ok(None);
        }
        let sql = "select hashes from tiles where level = ?1 and idx = ?2";
        let bytes: Option<Vec<u8>> = self.row(sql, (level, integer(index)), |row| row.get(0))?;
        Ok(bytes.map(|bytes| hashes(&bytes)))
    }

    fn tiles(&self) -> Result<u64, JournalError> {
        if !self.has_tree {
            return Ok(0);
        }
        let tiles: Option<i64> = self.row("select count(*) from tiles", [], |row| row.get(0))?;
        Ok(tiles.map_or(0, i64::unsigned_abs))
    }

    #[cfg(test)]
    fn limit(&self, pages: i64) {
        let got: i64 = self
            .connection
            .pragma_update_and_check(None, "max_page_count", pages, |row| row.get(0))
            .unwrap();
        assert_eq!(got, pages);
    }

    fn has_tree(&self) -> bool {
        self.has_tree
    }
}

fn count(connection: &Connection) -> rusqlite::Result<u64> {
    let last: Option<i64> =
        connection.query_row("select max(sequence) from events", [], |row| row.get(0))?;
    Ok(last.and_then(|last| u64::try_from(last).ok()).map_or(0, |last| last + 1))
}

fn generation(connection: &Connection) -> rusqlite::Result<u64> {
    let sql = "select value from meta where key = 'generation'";
    let text: String = connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    Ok(text.parse().unwrap_or(0))
}

fn add_tiles(connection: &Connection, tiles: &[Tile]) -> rusqlite::Result<()> {
    if tiles.is_empty() {
        return Ok(());
    }
    let sql = "insert into tiles (level, idx, hashes) values (?1, ?2, ?3) \
               on conflict (level, idx) do update set hashes = excluded.hashes";
    let mut insert = connection.prepare_cached(sql)?;
    for tile in tiles {
        insert.execute((tile.level, integer(tile.index), tile.bytes()))?;
    }
    Ok(())
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(rusqlite::Error) -> JournalError {
    let path = path.to_owned();
    move |source| JournalError::Database { doing, path, source }
}
