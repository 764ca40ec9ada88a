//! `metadata.sqlite`: one table `metadata`, read once from front to back.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use carnet_connect::{RecordRef, StoreError, check_id, shorten};
use carnet_model::Code;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row};

use super::columns::{FAISS_ID, is_field};
use super::json;
use super::spool::{PartWriter, Spool};
use crate::faiss::mapped::unchanged;
use crate::faiss::once::Once;
use crate::faiss::place::{Identity, cannot};

/// An open SQLite table.
#[derive(Debug)]
pub(super) struct SqliteTable {
    path: PathBuf,
    /// The database and its write-ahead log, as they were when the table was opened.
    identities: Vec<(PathBuf, Option<Identity>)>,
    len: usize,
    columns: Vec<String>,
    carried: Vec<String>,
    has_faiss_ids: bool,
    /// Whether rows have a number of their own that fixes their order.
    ordered: bool,
    faiss_ids: Once<Vec<i64>>,
}

impl SqliteTable {
    pub(super) fn open(path: &Path, drop: &[String]) -> Result<Self, StoreError> {
        let identities = [path.to_owned(), beside(path, "-wal")]
            .into_iter()
            .map(|path| {
                let identity = Identity::at(&path);
                let identity =
                    identity.map_err(|error| StoreError::io(cannot("look at", &path), error))?;
                Ok((path, identity))
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        let connection = connect(path)?;
        let failed = |error| bad(path, error);
        let kind: Option<String> = connection
            .query_row("SELECT type FROM sqlite_schema WHERE name = 'metadata'", [], |row| {
                row.get(0)
            })
            .map(Some)
            .or_else(|error| {
                let none = matches!(error, rusqlite::Error::QueryReturnedNoRows);
                if none { Ok(None) } else { Err(failed(error)) }
            })?;
        if kind.as_deref() != Some("table") {
            return Err(column(path, "there is no table named metadata".to_owned()));
        }
        let mut columns: Vec<String> = connection
            .prepare("SELECT * FROM metadata LIMIT 0")
            .map(|statement| statement.column_names().map(str::to_owned).collect())
            .map_err(failed)?;
        if !columns.iter().any(|name| name == "id") {
            return Err(column(path, format!("no column id among {}", columns.join(", "))));
        }
        let len: i64 = connection
            .query_row("SELECT count(*) FROM metadata", [], |row| row.get(0))
            .map_err(failed)?;
        let ordered = connection.prepare("SELECT _rowid_ FROM metadata LIMIT 0").is_ok();
        let has_faiss_ids = columns.iter().any(|name| name == FAISS_ID);
        columns.retain(|name| is_field(name) || !drop.contains(name));
        let carried = columns.iter().filter(|name| !is_field(name)).cloned().collect();
        if !ordered && !has_faiss_ids {
            let what = format!("the table metadata has no order and no column {FAISS_ID}");
            return Err(column(path, what));
        }
        Ok(Self {
            path: path.to_owned(),
            identities,
            len: usize::try_from(len).unwrap_or(0),
            columns,
            carried,
            has_faiss_ids,
            ordered,
            faiss_ids: Once::default(),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn carried_columns(&self) -> &[String] {
        &self.carried
    }

    pub(super) fn has_faiss_ids(&self) -> bool {
        self.has_faiss_ids
    }

    pub(super) fn ensure_unchanged(&self) -> Result<(), StoreError> {
        self.identities.iter().try_for_each(|(path, identity)| unchanged(path, *identity))
    }

    /// The column of FAISS ids, in the order of the spool.
    pub(super) fn faiss_ids(&self) -> Result<Vec<i64>, StoreError> {
        let held = self.faiss_ids.get_or_try(|| {
            let mut all = Vec::with_capacity(self.len.min(1 << 20));
            self.each_row(&[FAISS_ID.to_owned()], &mut |row, number| {
                let ValueRef::Integer(id) = value(row, 0, &self.path)? else {
                    let what = format!("row {number} of the metadata has no usable {FAISS_ID}");
                    return Err(StoreError::new(Code::FAISS_ROWS, what));
                };
                all.push(id);
                Ok(())
            })?;
            Ok(all)
        })?;
        Ok(Arc::unwrap_or_clone(held))
    }

    /// The whole table.
    pub(super) fn spool(&self) -> Result<Spool, StoreError> {
        let mut part = PartWriter::new(0, self.len.min(1 << 20))?;
        self.each_row(&self.columns, &mut |row, number| self.spool_row(row, number, &mut part))?;
        self.ensure_unchanged()?;
        Spool::of(part)
    }

    fn each_row(
        &self,
        columns: &[String],
        take: &mut dyn FnMut(&Row<'_>, usize) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let failed = |error| bad(&self.path, error);
        let connection = connect(&self.path)?;
        let names: Vec<_> =
            columns.iter().map(|name| format!("\"{}\"", name.replace('"', "\"\""))).collect();
        let order = if self.ordered { "_rowid_" } else { FAISS_ID };
        let query = format!("SELECT {} FROM metadata ORDER BY {order}", names.join(", "));
        let mut statement = connection.prepare(&query).map_err(failed)?;
        let mut rows = statement.query([]).map_err(failed)?;
        let mut number = 0;
        while let Some(row) = rows.next().map_err(failed)? {
            take(row, number)?;
            number += 1;
        }
        if number == self.len {
            Ok(())
        } else {
            self.ensure_unchanged().and(Err(self.short(number)))
        }
    }

    fn short(&self, found: usize) -> StoreError {
        StoreError::new(Code::STORE_MALFORMED, cannot("read", &self.path))
            .because(format!("{} rows announced, {found} found", self.len))
    }

    fn spool_row(
        &self,
        row: &Row<'_>,
        number: usize,
        part: &mut PartWriter,
    ) -> Result<(), StoreError> {
        let mut id = String::new();
        let mut metadata = "{}";
        let mut hash = None;
        let mut numbers = [None; 3];
        let mut extras = Vec::new();
        for (at, name) in self.columns.iter().enumerate() {
            let value = value(row, at, &self.path)?;
            let wrong = || wrong_value(name, number, value);
            match (name.as_str(), value) {
                ("id", ValueRef::Text(_)) => text(value, name, number)?.clone_into(&mut id),
                ("id", ValueRef::Integer(value)) => id = value.to_string(),
                ("metadata", ValueRef::Text(_)) => metadata = text(value, name, number)?,
                ("source_hash", ValueRef::Text(_)) => hash = Some(text(value, name, number)?),
                ("version", ValueRef::Integer(value)) => numbers[0] = Some(value),
                ("created_ts", ValueRef::Integer(value)) => numbers[1] = Some(value),
                ("updated_ts", ValueRef::Integer(value)) => numbers[2] = Some(value),
                ("id", _) => {
                    let what = format!("row {number} of the metadata has no id");
                    return Err(StoreError::new(Code::RECORD_ID, what));
                }
                (name, ValueRef::Null) if is_field(name) => {}
                (name, _) if is_field(name) => return Err(wrong()),
                (name, value) => extras.push((json::quoted(name), extra(value, name, number)?)),
            }
        }
        check_id(&id)?;
        let mut metadata = json::canonical(metadata, &id, number)?.into_owned();
        if !extras.is_empty() {
            metadata = json::with_columns(&metadata, &extras, &id, number)?;
        }
        let [version, created_ts, updated_ts] = numbers;
        part.push(&RecordRef {
            id: &id,
            vector: &[],
            metadata: &metadata,
            version,
            source_hash: hash,
            created_ts,
            updated_ts,
        })
    }
}

/// A value without a field of its own, as JSON.
fn extra(value: ValueRef<'_>, name: &str, number: usize) -> Result<String, StoreError> {
    match value {
        ValueRef::Null => Ok("null".to_owned()),
        ValueRef::Integer(value) => Ok(value.to_string()),
        ValueRef::Real(real) if real.is_finite() => Ok(format!("{real:e}")),
        ValueRef::Text(_) => Ok(json::quoted(text(value, name, number)?)),
        ValueRef::Real(_) | ValueRef::Blob(_) => Err(wrong_value(name, number, value)),
    }
}

fn text<'v>(value: ValueRef<'v>, name: &str, number: usize) -> Result<&'v str, StoreError> {
    value.as_str().map_err(|error| wrong_value(name, number, value).because(error))
}

fn wrong_value(name: &str, number: usize, value: ValueRef<'_>) -> StoreError {
    let kind = value.data_type();
    let name = shorten(name);
    let what = format!("row {number} of the metadata holds {kind} in the column {name}");
    StoreError::new(Code::TABLE_COLUMN, what).remedy("convert the column, or name it under `drop`")
}

fn value<'r>(row: &'r Row<'_>, at: usize, path: &Path) -> Result<ValueRef<'r>, StoreError> {
    row.get_ref(at).map_err(|error| bad(path, error))
}

/// Opens the database for reading only. Without a log of unfinished writes it is opened as a file
/// that does not change: no lock and no log is then made beside it. Change is noticed otherwise.
fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let quiet = !beside(path, "-wal").exists() && !beside(path, "-journal").exists();
    let opened = if quiet {
        let mut uri = String::from("file:");
        for byte in path.as_os_str().as_encoded_bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                    uri.push(char::from(*byte));
                }
                other => {
                    let _ = write!(uri, "%{other:02X}");
                }
            }
        }
        uri.push_str("?immutable=1");
        Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI)
    } else {
        Connection::open_with_flags(path, flags)
    };
    opened.map_err(|error| bad(path, error))
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn column(path: &Path, what: String) -> StoreError {
    StoreError::new(Code::TABLE_COLUMN, cannot("use", path)).because(what)
}

fn bad(path: &Path, error: rusqlite::Error) -> StoreError {
    StoreError::new(Code::STORE_MALFORMED, cannot("read", path)).because(error)
}
