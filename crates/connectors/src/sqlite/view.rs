//! One consistent view of a file: several connections at one moment, and scans that share them.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use carnet_connect::{
    Description, IdRange, RecordStream, Records, RecordsBuilder, StoreError, StoreSnapshot, shorten,
};
use carnet_model::{Code, CollectionContract, CollectionName};
use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::SqliteStore;
use super::connect::{Moment, Stamp};
use super::failure::failed;
use super::rows::{id_of, push_row};
use super::schema::{self, Table};

/// Batches are cut at this many records or bytes.
const BATCH_RECORDS: usize = 2_048;
const BATCH_BYTES: usize = 4 << 20;
/// A walk keeps at most this many ids to draw borders from.
const SAMPLES_MAX: usize = 8_192;

/// Connections that are lent for one piece of work at a time. A scan gives its connection back
/// between two batches, so that any number of scans can be open at once.
#[derive(Debug)]
struct Pool {
    idle: Mutex<Vec<Connection>>,
    returned: Condvar,
}

/// A lent connection; it goes back when this is dropped.
struct Lent<'p> {
    pool: &'p Pool,
    connection: Option<Connection>,
}

impl Pool {
    fn lend(&self) -> Lent<'_> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match idle.pop() {
                None => {
                    idle = self.returned.wait(idle).unwrap_or_else(PoisonError::into_inner);
                }
                connection => return Lent { pool: self, connection },
            }
        }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut idle = self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.extend(self.connection.take());
        self.pool.returned.notify_one();
    }
}

/// What one walk over a collection's ids tells.
#[derive(Debug)]
struct Walk {
    records: u64,
    /// Every n-th id, ascending.
    samples: Vec<String>,
}

/// One consistent view.
#[derive(Debug)]
pub(super) struct SqliteView<'s> {
    store: &'s SqliteStore,
    /// Absent when there is no file yet.
    pool: Option<Pool>,
    stamp: Option<Stamp>,
    tables: Mutex<BTreeMap<CollectionName, Arc<(Table, CollectionContract)>>>,
    walks: Mutex<BTreeMap<CollectionName, Arc<Walk>>>,
}

impl<'s> SqliteView<'s> {
    pub(super) fn open(store: &'s SqliteStore, connections: usize) -> Result<Self, StoreError> {
        let moment = store.place.moment(connections.max(1))?;
        let (pool, stamp) = match moment {
            None => (None, None),
            Some(Moment { connections, stamp }) => {
                let pool = Pool { idle: Mutex::new(connections), returned: Condvar::new() };
                (Some(pool), stamp)
            }
        };
        Ok(Self { store, pool, stamp, tables: Mutex::default(), walks: Mutex::default() })
    }

    /// Runs one piece of work on a connection. It must not ask for another one meanwhile.
    pub(super) fn with<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let Some(pool) = &self.pool else { return Ok(None) };
        let lent = pool.lend();
        let Some(connection) = &lent.connection else { return Ok(None) };
        let done = work(connection)?;
        if let Some(stamp) = &self.stamp
            && self.store.place.stamp()? != *stamp
        {
            return Err(StoreError::new(
                Code::STORE_CHANGED,
                format!("{} was written while it was read", self.store.place.shown()),
            )
            .remedy("pause the process that writes to it, and start again"));
        }
        Ok(Some(done))
    }

    /// The table of a collection; looked up once.
    pub(super) fn table(
        &self,
        name: &CollectionName,
    ) -> Result<Arc<(Table, CollectionContract)>, StoreError> {
        if let Some(known) = locked(&self.tables).get(name) {
            return Ok(Arc::clone(known));
        }
        let shown = self.store.place.shown();
        let found = self
            .with(|connection| schema::table(connection, name, &self.store.dropped, &shown))?
            .ok_or_else(|| schema::no_collection(name, &shown))?;
        let found = Arc::new(found);
        locked(&self.tables).insert(name.clone(), Arc::clone(&found));
        Ok(found)
    }

    fn walk(&self, name: &CollectionName) -> Result<Arc<Walk>, StoreError> {
        if let Some(known) = locked(&self.walks).get(name) {
            return Ok(Arc::clone(known));
        }
        let held = self.table(name)?;
        let walked = self
            .with(|connection| walk(connection, &held.0))?
            .ok_or_else(|| schema::no_collection(name, &self.store.place.shown()))?;
        let walked = Arc::new(walked);
        locked(&self.walks).insert(name.clone(), Arc::clone(&walked));
        Ok(walked)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts the records and keeps evenly spaced ids.
fn walk(connection: &Connection, table: &Table) -> Result<Walk, StoreError> {
    let name = &table.name;
    let cannot = |source| failed(format!("cannot read the ids of {name}"), source);
    let mut walk = Walk { records: 0, samples: Vec::new() };
    let mut step = 1;
    let sql = format!("SELECT id FROM \"{name}\" ORDER BY id COLLATE BINARY");
    let mut statement = connection.prepare_cached(&sql).map_err(cannot)?;
    let mut rows = statement.query([]).map_err(cannot)?;
    while let Some(row) = rows.next().map_err(cannot)? {
        if walk.records.is_multiple_of(step) {
            let id = id_of(table, row.get_ref(0).map_err(cannot)?)?;
            walk.samples.push(id.to_owned());
        }
        walk.records += 1;
        if walk.samples.len() > SAMPLES_MAX {
            let mut keep = false;
            walk.samples.retain(|_| {
                keep = !keep;
                keep
            });
            step *= 2;
        }
    }
    if table.two_trees {
        let sql = format!("SELECT count(*) FROM \"{name}\" NOT INDEXED");
        let rows: i64 = connection.query_row(&sql, [], |row| row.get(0)).map_err(cannot)?;
        if u64::try_from(rows) != Ok(walk.records) {
            return Err(StoreError::new(
                Code::STORE_MALFORMED,
                format!("table {name} has {rows} rows, its index {}", walk.records),
            )
            .remedy(format!("REINDEX \"{name}\", after a backup")));
        }
    }
    Ok(walk)
}

impl StoreSnapshot for SqliteView<'_> {
    fn collections(&self) -> Result<Vec<CollectionName>, StoreError> {
        Ok(self.with(schema::collections)?.unwrap_or_default())
    }

    fn describe(&self, name: &CollectionName) -> Result<Description, StoreError> {
        let held = self.table(name)?;
        Ok(Description {
            contract: held.1.clone(),
            records: self.walk(name)?.records,
            index: None,
            place: format!("table {name} in {}", self.store.place.shown()),
            carried_columns: Vec::new(),
        })
    }

    fn ranges(&self, name: &CollectionName, parts: usize) -> Result<Vec<IdRange>, StoreError> {
        let walk = self.walk(name)?;
        let (samples, parts) = (walk.samples.len(), parts.max(1));
        let borders = (1..parts).filter_map(|part| walk.samples.get(part * samples / parts));
        Ok(IdRange::split_at(borders.cloned()))
    }

    fn scan(
        &self,
        name: &CollectionName,
        range: &IdRange,
    ) -> Result<Box<dyn RecordStream + '_>, StoreError> {
        let held = self.table(name)?;
        Ok(Box::new(Scan {
            source: Source::View(self),
            pages: Pages::new(held.0.clone(), range.clone()),
        }))
    }
}

/// Where a scan reads.
enum Source<'v> {
    View(&'v SqliteView<'v>),
    Own(Connection),
}

/// The records of a range, batch by batch. Each batch is a statement of its own that begins after
/// the last id of the one before.
struct Scan<'v> {
    source: Source<'v>,
    pages: Pages,
}

/// A scan on a connection of its own, without a transaction around it: for ranges that a load has
/// finished, and so does not change any more.
pub(super) fn scan_alone(
    connection: Connection,
    table: Table,
    range: &IdRange,
) -> Box<dyn RecordStream> {
    Box::new(Scan { source: Source::Own(connection), pages: Pages::new(table, range.clone()) })
}

impl RecordStream for Scan<'_> {
    fn next(&mut self) -> Result<Option<Records>, StoreError> {
        if self.pages.over {
            return Ok(None);
        }
        let pages = &mut self.pages;
        let batch = match &self.source {
            Source::View(view) => view.with(|connection| pages.next(connection)),
            Source::Own(connection) => pages.next(connection).map(Some),
        };
        if batch.is_err() {
            self.pages.over = true;
        }
        Ok(batch?.flatten())
    }
}

struct Pages {
    table: Table,
    range: IdRange,
    last: Option<String>,
    over: bool,
    scratch: Vec<f32>,
}

impl Pages {
    fn new(table: Table, range: IdRange) -> Self {
        Self { table, range, last: None, over: false, scratch: Vec::new() }
    }

    fn next(&mut self, connection: &Connection) -> Result<Option<Records>, StoreError> {
        let name = &self.table.name;
        let cannot = |source| failed(format!("cannot read the records of {name}"), source);
        let (condition, values) = condition(&self.range, self.last.as_deref());
        let sql = format!(
            "SELECT {} FROM \"{name}\"{condition} ORDER BY id COLLATE BINARY",
            self.table.selection()
        );
        let mut statement = connection.prepare_cached(&sql).map_err(cannot)?;
        let mut rows = statement.query(rusqlite::params_from_iter(values)).map_err(cannot)?;
        let mut builder = RecordsBuilder::new(self.table.dimensions);
        let mut first = true;
        let mut newest: Option<String> = None;
        while builder.len() < BATCH_RECORDS && builder.bytes() < BATCH_BYTES {
            let Some(row) = rows.next().map_err(cannot)? else {
                self.over = true;
                break;
            };
            push_row(&self.table, row, &mut builder, &mut self.scratch)?;
            let ValueRef::Text(id) = row.get_ref(0).map_err(cannot)? else { continue };
            if first && self.last.as_ref().is_some_and(|last| last.as_bytes() >= id) {
                return Err(out_of_order(name, id));
            }
            first = false;
            let id_text = newest.get_or_insert_default();
            if id_text.as_bytes() >= id && !id_text.is_empty() {
                return Err(out_of_order(name, id));
            }
            id_text.clear();
            id_text.push_str(std::str::from_utf8(id).unwrap_or_default());
        }
        self.last = newest.or(self.last.take());
        if builder.is_empty() { Ok(None) } else { builder.finish().map(Some) }
    }
}

fn out_of_order(table: &str, id: &[u8]) -> StoreError {
    StoreError::new(
        Code::STORE_MALFORMED,
        format!("table {table} is not in order at {:?}", shorten(&String::from_utf8_lossy(id))),
    )
    .remedy("restore the file from a backup")
}

/// The WHERE clause of a range, with its values in order. After `last`, if that is given.
pub(super) fn condition<'r>(range: &'r IdRange, last: Option<&'r str>) -> (String, Vec<&'r str>) {
    let mut tests = Vec::new();
    let mut values = Vec::new();
    match (last, range.from.as_deref()) {
        (Some(last), _) => {
            tests.push("id COLLATE BINARY > ?");
            values.push(last);
        }
        (None, Some(from)) => {
            tests.push("id COLLATE BINARY >= ?");
            values.push(from);
        }
        (None, None) => {}
    }
    if let Some(to) = &range.to {
        tests.push("id COLLATE BINARY < ?");
        values.push(to);
    }
    let clause =
        if tests.is_empty() { String::new() } else { format!(" WHERE {}", tests.join(" AND ")) };
    (clause, values)
}
