//! SQLite.

use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use carnet_connect::{SqlChange, SqlRows, SqlSession, SqlStatement, SqlValue, StoreError};
use carnet_model::Code;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, Statement, ToSql};

use super::{ANSWER_BYTES_MAX, ended_itself, fenced, too_slow};
use crate::sqlite::{Place, failed};

/// A database file. It is opened for each question and each change.
pub(super) struct Session {
    place: Place,
}

impl Session {
    pub(super) fn open(path: PathBuf) -> Result<Self, StoreError> {
        let place = Place { path, wait: Duration::from_secs(30) };
        if !place.exists()? {
            let what = format!("there is no database {}", place.shown());
            return Err(StoreError::new(Code::STORE_NOT_FOUND, what)
                .remedy("correct the path; a database is never made by a question or a change"));
        }
        Ok(Self { place })
    }

    fn reader(&self) -> Result<Connection, StoreError> {
        let missing =
            || StoreError::new(Code::STORE_NOT_FOUND, format!("{} is gone", self.place.shown()));
        self.place.reader()?.ok_or_else(missing)
    }

    fn writer(&self, limit: Duration) -> Result<Connection, StoreError> {
        self.place.check_writable()?;
        let cannot = |error| failed(format!("cannot write {}", self.place.shown()), error);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.place.path, flags).map_err(cannot)?;
        connection.busy_timeout(limit).map_err(cannot)?;
        connection.pragma_update(None, "synchronous", "full").map_err(cannot)?;
        connection.pragma_update(None, "foreign_keys", true).map_err(cannot)?;
        Ok(connection)
    }

    /// One transaction: fence, key, statements. Gives `None` where the key is not as `new` wants it.
    fn transact(&self, change: &SqlChange, new: bool) -> Result<Option<Vec<u64>>, StoreError> {
        let connection = self.writer(change.limit)?;
        within(&connection, change.limit, || {
            let cannot = |error| failed(format!("cannot write {}", self.place.shown()), error);
            connection.execute_batch(BEGIN).map_err(cannot)?;
            let done = steps(&connection, change, new);
            match &done {
                Ok(Some(_)) => connection.execute_batch("COMMIT").map_err(cannot)?,
                // Dropped, the connection takes back what it has not committed; that it does so now
                // is for the lock.
                Ok(None) | Err(_) => drop(connection.execute_batch("ROLLBACK")),
            }
            done
        })
    }
}

const BEGIN: &str = "BEGIN IMMEDIATE;
    CREATE TABLE IF NOT EXISTS carnet_fence (
        name TEXT PRIMARY KEY, generation INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS carnet_changes (
        key TEXT PRIMARY KEY, at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
        generation INTEGER NOT NULL) WITHOUT ROWID;";

fn steps(
    connection: &Connection,
    change: &SqlChange,
    new: bool,
) -> Result<Option<Vec<u64>>, StoreError> {
    let (name, generation) = (&change.fence.name, change.fence.generation);
    let number = i64::try_from(generation).unwrap_or(i64::MAX);
    let cannot = |error| failed("cannot write the tables of Carnet", error);
    let upsert = "INSERT INTO carnet_fence (name, generation) VALUES (?1, ?2)
        ON CONFLICT (name) DO UPDATE SET generation = excluded.generation
        WHERE carnet_fence.generation <= excluded.generation";
    if connection.execute(upsert, (name, number)).map_err(cannot)? == 0 {
        return Err(fenced(name, generation));
    }
    let touched = if new {
        let insert = "INSERT INTO carnet_changes (key, generation) VALUES (?1, ?2)
            ON CONFLICT (key) DO NOTHING";
        connection.execute(insert, (&change.key, number))
    } else {
        connection.execute("DELETE FROM carnet_changes WHERE key = ?1", [&change.key])
    };
    if touched.map_err(cannot)? == 0 {
        return Ok(None);
    }
    let mut rows = Vec::with_capacity(change.statements.len());
    for (number, statement) in change.statements.iter().enumerate() {
        let told = |error| failed(format!("statement {}", number + 1), error);
        rows.push(execute(connection, statement).map_err(told)?);
        if connection.is_autocommit() {
            return Err(ended_itself(number));
        }
    }
    Ok(Some(rows))
}

fn execute(connection: &Connection, statement: &SqlStatement) -> rusqlite::Result<u64> {
    let before = connection.total_changes();
    let mut prepared = connection.prepare(&statement.sql)?;
    bind(&mut prepared, statement)?;
    let mut rows = prepared.raw_query();
    while rows.next()?.is_some() {}
    Ok(connection.total_changes().saturating_sub(before))
}

/// A parameter as SQLite has it.
struct Parameter<'a>(&'a SqlValue);

impl ToSql for Parameter<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            SqlValue::Null => ValueRef::Null,
            SqlValue::Bool(value) => ValueRef::Integer(i64::from(*value)),
            SqlValue::Integer(value) => ValueRef::Integer(*value),
            SqlValue::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

/// Binds `$1`, `$2` … All that are given must be used, and no others.
fn bind(prepared: &mut Statement<'_>, statement: &SqlStatement) -> rusqlite::Result<()> {
    let (wanted, given) = (prepared.parameter_count(), statement.parameters.len());
    if wanted != given {
        return Err(rusqlite::Error::InvalidParameterCount(given, wanted));
    }
    for (number, value) in statement.parameters.iter().enumerate() {
        let name = format!("${}", number + 1);
        let index = prepared.parameter_index(&name)?;
        let index = index.ok_or(rusqlite::Error::InvalidParameterName(name))?;
        prepared.raw_bind_parameter(index, Parameter(value))?;
    }
    Ok(())
}

/// Runs work on a connection, and interrupts it when its time is over.
fn within<T>(
    connection: &Connection,
    limit: Duration,
    work: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let handle = connection.get_interrupt_handle();
    let (ended, end) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if end.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                handle.interrupt();
            }
        });
        let done = work();
        drop(ended);
        done.map_err(
            |error| if is_interrupted(&error) { too_slow(&error.to_string()) } else { error },
        )
    })
}

fn is_interrupted(error: &StoreError) -> bool {
    let cause = std::error::Error::source(error);
    let cause = cause.and_then(|cause| cause.downcast_ref::<rusqlite::Error>());
    cause.and_then(rusqlite::Error::sqlite_error_code) == Some(ErrorCode::OperationInterrupted)
}

/// A value, with fractions and bytes in the form in which the database writes them.
fn read(connection: &Connection, value: ValueRef<'_>) -> rusqlite::Result<SqlValue> {
    Ok(match value {
        ValueRef::Null => SqlValue::Null,
        ValueRef::Integer(number) => SqlValue::Integer(number),
        ValueRef::Text(bytes) => SqlValue::Text(String::from_utf8_lossy(bytes).into_owned()),
        ValueRef::Real(number) => {
            let written =
                connection.query_row("SELECT CAST(?1 AS TEXT)", [number], |row| row.get(0));
            SqlValue::Text(written?)
        }
        ValueRef::Blob(bytes) => {
            SqlValue::Text(connection.query_row("SELECT quote(?1)", [bytes], |row| row.get(0))?)
        }
    })
}

fn rows(
    connection: &Connection,
    statement: &SqlStatement,
    rows_max: usize,
) -> rusqlite::Result<SqlRows> {
    let mut prepared = connection.prepare(&statement.sql)?;
    bind(&mut prepared, statement)?;
    let columns: Vec<String> = prepared.column_names().map(str::to_owned).collect();
    let width = columns.len();
    let mut found = SqlRows { columns, rows: Vec::new(), cut: false };
    let (mut bytes, mut rows) = (0, prepared.raw_query());
    while let Some(row) = rows.next()? {
        if found.rows.len() == rows_max || bytes > ANSWER_BYTES_MAX {
            found.cut = true;
            break;
        }
        let mut values = Vec::with_capacity(width);
        for number in 0..width {
            let value = read(connection, row.get_ref(number)?)?;
            if let SqlValue::Text(text) = &value {
                bytes += text.len();
            }
            values.push(value);
        }
        found.rows.push(values);
    }
    Ok(found)
}

impl SqlSession for Session {
    fn query(
        &mut self,
        statement: &SqlStatement,
        rows_max: usize,
        limit: Duration,
    ) -> Result<SqlRows, StoreError> {
        let connection = self.reader()?;
        within(&connection, limit, || {
            rows(&connection, statement, rows_max).map_err(|error| failed("the query", error))
        })
    }

    fn change(&mut self, change: &SqlChange) -> Result<Option<Vec<u64>>, StoreError> {
        self.transact(change, true)
    }

    fn is_changed(&mut self, key: &str) -> Result<bool, StoreError> {
        let connection = self.reader()?;
        let cannot = |error| failed("cannot read carnet_changes", error);
        let table = "SELECT count(*) FROM sqlite_schema WHERE name = 'carnet_changes'";
        let there: i64 = connection.query_row(table, [], |row| row.get(0)).map_err(cannot)?;
        if there == 0 {
            return Ok(false);
        }
        let look = "SELECT count(*) FROM carnet_changes WHERE key = ?1";
        let found: i64 = connection.query_row(look, [key], |row| row.get(0)).map_err(cannot)?;
        Ok(found > 0)
    }

    fn take_back(&mut self, change: &SqlChange) -> Result<bool, StoreError> {
        Ok(self.transact(change, false)?.is_some())
    }
}
