//! `sqlite:FILE`: the embedded store. Ordinary tables, one per collection, that any SQLite reads.
//! Reading order: `connect` opens files, `schema` says what the tables look like, `rows` is one
//! record, `view` reads, `load` writes (`room` is kept for taking it back), `search` finds.

mod connect;
mod failure;
mod load;
mod room;
mod rows;
mod schema;
mod search;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use carnet_connect::{
    Capabilities, Hit, ID_BYTES_MAX, IdRange, Load, LoadRequest, Query, ReadConsistency, Records,
    RecordsBuilder, StoreError, StoreSnapshot, VectorRepository, WriteCapability, shorten,
};
use carnet_model::{Code, CollectionName, Metric};
use rusqlite::{Connection, Transaction, TransactionBehavior};

pub(crate) use connect::Place;
pub(crate) use failure::failed;
use failure::{is_busy, is_full};
use load::SqliteLoad;
use schema::Table;
use view::SqliteView;

/// How long to wait for another process that holds the file's lock.
const WAIT: Duration = Duration::from_secs(5);

/// A SQLite file with collections, each in a table of its own.
///
/// Its contracts are in the table `carnet_collections`. A load is staged in the table
/// `NAME__carnet_TOKEN`, its finished ranges in `carnet_loads`.
#[derive(Debug)]
pub struct SqliteStore {
    place: Place,
    label: String,
    capabilities: Capabilities,
    dropped: BTreeSet<String>,
    /// SQLite has one writer per file: threads queue here instead of meeting its lock.
    writer: Mutex<Option<Connection>>,
    /// Where searches split a collection. Any borders hold every record; old ones are only uneven.
    borders: Mutex<BTreeMap<CollectionName, Vec<IdRange>>>,
}

impl SqliteStore {
    /// A store at this path. Nothing is opened yet, and a file that is not there is made by the
    /// first load.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self {
            label: format!("sqlite:{}", path.display()),
            place: Place { path, wait: WAIT },
            capabilities: Capabilities {
                write: WriteCapability::Ranges,
                read: ReadConsistency::Snapshot,
                metrics: vec![Metric::L2, Metric::Cosine, Metric::InnerProduct],
                unit_length_only: Vec::new(),
                indexes: vec!["flat"],
                dimensions_max: 65_535,
                indexed_dimensions_max: Vec::new(),
                id_bytes_max: ID_BYTES_MAX,
                nul_in_text: true,
                non_finite: true,
                collections: true,
            },
            dropped: BTreeSet::new(),
            writer: Mutex::default(),
            borders: Mutex::default(),
        }
    }

    /// Leaves these columns of tables that others made behind.
    #[must_use]
    pub fn drop_columns(mut self, columns: impl IntoIterator<Item = String>) -> Self {
        self.dropped.extend(columns);
        self
    }

    /// Waits this long for another process that holds the file's lock, instead of 5 seconds.
    #[must_use]
    pub fn wait_at_most(mut self, wait: Duration) -> Self {
        self.place.wait = wait;
        self
    }

    /// Runs one piece of writing. A connection that failed is not used again.
    fn write<T>(
        &self,
        dimensions: u32,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = match writer.take() {
            Some(connection) => connection,
            None => self.place.writer(dimensions)?,
        };
        let done = work(&connection)?;
        *writer = Some(connection);
        Ok(done)
    }

    /// Writes to a collection that exists, in one transaction.
    fn change<T>(
        &self,
        name: &CollectionName,
        work: impl FnOnce(&Connection, &Table) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if !self.place.exists()? {
            return Err(schema::no_collection(name, &self.place.shown()));
        }
        let cannot = |source| failed(format!("cannot write to {name}"), source);
        self.write(0, |connection| {
            let transaction =
                Transaction::new_unchecked(connection, TransactionBehavior::Immediate)
                    .map_err(cannot)?;
            let shown = self.place.shown();
            let (table, _) = schema::table(&transaction, name, &self.dropped, &shown)?;
            let done = work(&transaction, &table)?;
            transaction.commit().map_err(cannot)?;
            Ok(done)
        })
    }

    /// Brings what the log holds into the file, and empties the log. Readers in the way put it off
    /// until the next writer; nothing is waited for.
    fn settle(&self) -> Result<(), StoreError> {
        self.write(0, |connection| {
            let settle = || -> rusqlite::Result<()> {
                connection.busy_timeout(Duration::ZERO)?;
                let settled =
                    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
                connection.busy_timeout(self.place.wait)?;
                settled.or_else(|source| if is_busy(&source) { Ok(()) } else { Err(source) })
            };
            settle()
                .map_err(|source| failed(format!("cannot settle {}", self.place.shown()), source))
        })
    }

    /// The same after something was taken away. It is gone from the log on: on a full disk the
    /// rest waits for the next writer. A file that holds no table any more gives back its room,
    /// for which the log needs a page or two.
    fn settle_what_was_taken(&self) -> Result<(), StoreError> {
        let emptied = self.write(0, |connection| {
            let empty = || -> rusqlite::Result<()> {
                connection.busy_timeout(Duration::ZERO)?;
                let tables: i64 =
                    connection
                        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
                let emptied = if tables == 0 { connection.execute_batch("VACUUM") } else { Ok(()) };
                connection.busy_timeout(self.place.wait)?;
                emptied.or_else(|source| if is_busy(&source) { Ok(()) } else { Err(source) })
            };
            empty()
                .map_err(|source| failed(format!("cannot settle {}", self.place.shown()), source))
        });
        let settled = emptied.and_then(|()| self.settle());
        settled.or_else(|error| if is_full(&error) { Ok(()) } else { Err(error) })
    }

    fn borders(
        &self,
        view: &SqliteView<'_>,
        name: &CollectionName,
    ) -> Result<Vec<IdRange>, StoreError> {
        let mut known = self.borders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(name) {
            return Ok(known.clone());
        }
        let parts = search::parts(view, name, workers())?;
        known.insert(name.clone(), parts.clone());
        Ok(parts)
    }
}

/// How many connections a view has: enough for all cores.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 16)
}

fn other_dimensions(name: &CollectionName, dimensions: usize) -> StoreError {
    StoreError::new(
        Code::RECORD_VECTOR,
        format!("collection {name} does not have {dimensions} dimensions"),
    )
}

impl VectorRepository for SqliteStore {
    fn label(&self) -> &str {
        &self.label
    }

    fn kind(&self) -> &'static str {
        "sqlite"
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn snapshot(&self) -> Result<Box<dyn StoreSnapshot + '_>, StoreError> {
        Ok(Box::new(SqliteView::open(self, workers())?))
    }

    fn upsert(&self, name: &CollectionName, records: &Records) -> Result<(), StoreError> {
        self.change(name, |connection, table| {
            if records.dimensions() != table.dimensions as usize {
                return Err(other_dimensions(name, records.dimensions()));
            }
            table.check_complete()?;
            let mut statement = load::insertion(connection, &table.name, true)?;
            let mut scratch = Vec::new();
            for record in records.iter() {
                rows::write_row(&mut statement, &record, &mut scratch).map_err(|source| {
                    failed(format!("cannot write record {:?}", shorten(record.id)), source)
                })?;
            }
            Ok(())
        })
    }

    fn query(&self, name: &CollectionName, query: &Query<'_>) -> Result<Vec<Hit>, StoreError> {
        let view = SqliteView::open(self, workers())?;
        let borders = self.borders(&view, name)?;
        search::nearest(&view, name, query, &borders)
    }

    fn fetch(&self, name: &CollectionName, ids: &[&str]) -> Result<Records, StoreError> {
        let view = SqliteView::open(self, 1)?;
        let held = view.table(name)?;
        let table = &held.0;
        let mut wanted = ids.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        let sql =
            format!("SELECT {} FROM \"{name}\" WHERE id COLLATE BINARY = ?1", table.selection());
        let cannot = |source| failed(format!("cannot fetch from {name}"), source);
        let fetched = view.with(|connection| {
            let mut builder = RecordsBuilder::new(table.dimensions);
            let mut scratch = Vec::new();
            let mut statement = connection.prepare_cached(&sql).map_err(cannot)?;
            for id in wanted {
                let mut rows = statement.query([id]).map_err(cannot)?;
                while let Some(row) = rows.next().map_err(cannot)? {
                    rows::push_row(table, row, &mut builder, &mut scratch)?;
                }
            }
            builder.finish()
        })?;
        fetched.ok_or_else(|| schema::no_collection(name, &self.place.shown()))
    }

    fn delete(&self, name: &CollectionName, ids: &[&str]) -> Result<u64, StoreError> {
        let cannot = |source| failed(format!("cannot delete from {name}"), source);
        self.change(name, |connection, table| {
            let sql = format!("DELETE FROM \"{}\" WHERE id COLLATE BINARY = ?1", table.name);
            let mut statement = connection.prepare_cached(&sql).map_err(cannot)?;
            let mut deleted = 0;
            for id in ids {
                deleted += statement.execute([id]).map_err(cannot)? as u64;
            }
            Ok(deleted)
        })
    }

    fn begin_load(&self, request: &LoadRequest) -> Result<Box<dyn Load + '_>, StoreError> {
        Ok(Box::new(SqliteLoad::begin(self, request)?))
    }

    fn drop_collection(&self, name: &CollectionName) -> Result<bool, StoreError> {
        if !self.place.exists()? {
            return Ok(false);
        }
        let cannot = |source| failed(format!("cannot drop {name}"), source);
        let existed = self.write(0, |connection| {
            let transaction =
                Transaction::new_unchecked(connection, TransactionBehavior::Immediate)
                    .map_err(cannot)?;
            schema::check_name(Some(&transaction), name)?;
            let existed = schema::has_table(&transaction, name.as_str())?;
            let declared = schema::registered(&transaction, name)?.is_some();
            if existed {
                transaction.execute_batch(&format!("DROP TABLE \"{name}\"")).map_err(cannot)?;
            }
            if declared {
                transaction
                    .execute("DELETE FROM carnet_collections WHERE name = ?1", [name.as_str()])
                    .map_err(cannot)?;
            }
            schema::drop_empty_own_tables(&transaction)?;
            transaction.commit().map_err(cannot)?;
            Ok(existed || declared)
        })?;
        self.settle_what_was_taken()?;
        Ok(existed)
    }
}
