//! Loads: a staging table that takes the live one's place, or ranges written in place.

use std::sync::mpsc::{Receiver, sync_channel};

use carnet_connect::{
    IdRange, Load, LoadMode, LoadRequest, Progress, RecordStream, Records, StoreError, shorten,
};
use carnet_model::{Code, CollectionContract};
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior};

use super::SqliteStore;
use super::failure::{failed, is_constraint};
use super::room::Room;
use super::rows::write_row;
use super::schema::{self, COLUMNS, Table};
use super::view::{condition, scan_alone};

/// A load in progress. All that it knows is in the file, so that a crash loses nothing of it.
#[derive(Debug)]
pub(super) struct SqliteLoad<'s> {
    store: &'s SqliteStore,
    request: LoadRequest,
    staging: String,
    room: Room,
}

/// Where a range goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Into {
    Staging,
    /// The live table.
    Place,
}

impl<'s> SqliteLoad<'s> {
    pub(super) fn begin(store: &'s SqliteStore, request: &LoadRequest) -> Result<Self, StoreError> {
        let contract = &request.contract;
        if contract.dimensions == 0 || contract.dimensions > store.capabilities.dimensions_max {
            return Err(StoreError::new(
                Code::RECORD_VECTOR,
                format!("{} cannot have {} dimensions", contract.name, contract.dimensions),
            ));
        }
        let load = Self {
            store,
            request: request.clone(),
            staging: schema::staging_name(&contract.name, &request.token),
            room: Room::of(&store.place, &request.token, contract.dimensions),
        };
        store.place.check_writable()?;
        if !store.place.exists()? {
            schema::check_name(None, &contract.name)?;
            return Ok(load);
        }
        store.write(contract.dimensions, |connection| {
            let transaction = begin(connection)?;
            schema::check_name(Some(&transaction), &contract.name)?;
            if load.target(&transaction)? == Into::Place {
                load.live(&transaction)?;
            }
            Ok(())
        })?;
        Ok(load)
    }

    fn contract(&self) -> &CollectionContract {
        &self.request.contract
    }

    fn staged(&self) -> Table {
        Table::ours(self.staging.clone(), self.contract().dimensions)
    }

    /// The live table, if all of a record fits into it.
    fn live(&self, connection: &Connection) -> Result<Table, StoreError> {
        let name = &self.contract().name;
        let shown = self.store.place.shown();
        let (table, _) = schema::table(connection, name, &self.store.dropped, &shown)?;
        table.check_complete()?;
        if table.dimensions == self.contract().dimensions {
            return Ok(table);
        }
        Err(StoreError::new(
            Code::RECORD_VECTOR,
            format!(
                "collection {name} has {} dimensions, the load {}",
                table.dimensions,
                self.contract().dimensions
            ),
        ))
    }

    fn target(&self, connection: &Connection) -> Result<Into, StoreError> {
        let in_place = self.request.mode == LoadMode::Upsert
            && !schema::has_table(connection, &self.staging)?
            && schema::has_table(connection, self.contract().name.as_str())?;
        Ok(if in_place { Into::Place } else { Into::Staging })
    }

    /// Takes batches and writes them in one transaction. The first batch is there before the
    /// file's one write lock is taken.
    fn write_range(
        &self,
        range: &IdRange,
        batches: &Receiver<Result<Option<Records>, StoreError>>,
    ) -> Result<u64, StoreError> {
        let mut batch = received(batches)?;
        self.store.write(self.contract().dimensions, |connection| {
            self.room.keep()?;
            let transaction = begin(connection)?;
            let target = self.prepare(&transaction, range)?;
            let table = match target {
                Into::Staging => &self.staging,
                Into::Place => self.contract().name.as_str(),
            };
            let mut writer = RangeWriter::new(&transaction, table, target)?;
            while let Some(records) = &batch {
                self.check(range, records)?;
                writer.write(records)?;
                batch = received(batches)?;
            }
            let records = writer.finish();
            self.note(&transaction, range, records, target)?;
            let cannot = |source| failed(format!("cannot write range {range}"), source);
            transaction.commit().map_err(cannot)?;
            Ok(records)
        })
    }

    /// Makes the tables and removes an earlier attempt at this range.
    fn prepare(&self, connection: &Connection, range: &IdRange) -> Result<Into, StoreError> {
        let name = &self.contract().name;
        let cannot = |source| failed(format!("cannot prepare a load of {name}"), source);
        schema::check_name(Some(connection), name)?;
        schema::create_own_tables(connection).map_err(cannot)?;
        let target = self.target(connection)?;
        match target {
            Into::Place => {
                self.live(connection)?;
            }
            Into::Staging => {
                schema::create_table(connection, &self.staged()).map_err(cannot)?;
                let (condition, values) = condition(range, None);
                let sql = format!("DELETE FROM \"{}\"{condition}", self.staging);
                connection.execute(&sql, rusqlite::params_from_iter(values)).map_err(cannot)?;
            }
        }
        Ok(target)
    }

    fn check(&self, range: &IdRange, records: &Records) -> Result<(), StoreError> {
        if records.dimensions() != self.contract().dimensions as usize {
            return Err(super::other_dimensions(&self.contract().name, records.dimensions()));
        }
        match records.iter().find(|record| !range.contains(record.id)) {
            None => Ok(()),
            Some(outside) => Err(StoreError::new(
                Code::BUG,
                format!("record {:?} is outside of the range {range}", shorten(outside.id)),
            )),
        }
    }

    /// Notes that a range is finished, in the transaction that finishes it.
    fn note(
        &self,
        connection: &Connection,
        range: &IdRange,
        records: u64,
        target: Into,
    ) -> Result<(), StoreError> {
        let count = i64::try_from(records).unwrap_or(i64::MAX);
        connection
            .execute(
                "INSERT OR REPLACE INTO carnet_loads (staging, range, records, in_place)
                 VALUES (?1, ?2, ?3, ?4)",
                (&self.staging, range_text(range)?, count, target == Into::Place),
            )
            .map(|_| ())
            .map_err(|source| failed(format!("cannot note range {range}"), source))
    }

    /// Whether a range was noted as finished.
    fn noted(&self, connection: &Connection, range: &IdRange) -> Result<bool, StoreError> {
        if !schema::has_table(connection, "carnet_loads")? {
            return Ok(false);
        }
        let range = range_text(range)?;
        connection
            .prepare_cached("SELECT 1 FROM carnet_loads WHERE staging = ?1 AND range = ?2")
            .and_then(|mut statement| statement.exists((&self.staging, &range)))
            .map_err(|source| failed("cannot read the finished ranges", source))
    }

    fn forget(&self, connection: &Connection) -> Result<(), StoreError> {
        if schema::has_table(connection, "carnet_loads")? {
            connection
                .execute("DELETE FROM carnet_loads WHERE staging = ?1", [&self.staging])
                .map_err(|source| failed("cannot clear the finished ranges", source))?;
        }
        schema::drop_empty_own_tables(connection)
    }

    /// Whether the collection, as it stands, is what this load committed.
    fn committed(&self, connection: &Connection) -> Result<bool, StoreError> {
        let declared = schema::registered(connection, &self.contract().name)?;
        Ok(declared.is_some_and(|(_, token)| token.as_deref() == Some(&self.request.token)))
    }
}

fn range_text(range: &IdRange) -> Result<String, StoreError> {
    serde_json::to_string(range).map_err(|source| {
        StoreError::new(Code::BUG, "cannot write a range as JSON").because(source)
    })
}

fn begin(connection: &Connection) -> Result<Transaction<'_>, StoreError> {
    Transaction::new_unchecked(connection, TransactionBehavior::Immediate)
        .map_err(|source| failed("cannot begin a transaction", source))
}

fn received(
    batches: &Receiver<Result<Option<Records>, StoreError>>,
) -> Result<Option<Records>, StoreError> {
    batches.recv().unwrap_or_else(|_| {
        Err(StoreError::new(Code::BUG, "the reader of a range ended without a word"))
    })
}

/// Writes the records of one range.
struct RangeWriter<'t> {
    statement: rusqlite::CachedStatement<'t>,
    table: &'t str,
    last: Option<String>,
    count: u64,
    scratch: Vec<u8>,
}

impl<'t> RangeWriter<'t> {
    fn new(connection: &'t Connection, table: &'t str, target: Into) -> Result<Self, StoreError> {
        let statement = insertion(connection, table, target == Into::Place)?;
        Ok(Self { statement, table, last: None, count: 0, scratch: Vec::new() })
    }

    fn write(&mut self, records: &Records) -> Result<(), StoreError> {
        for record in records.iter() {
            let duplicate = || {
                StoreError::new(
                    Code::RECORD_DUPLICATE,
                    format!("the id {:?} stands twice", shorten(record.id)),
                )
                .remedy("give each record an id of its own")
            };
            if self.last.as_deref() == Some(record.id) {
                return Err(duplicate());
            }
            write_row(&mut self.statement, &record, &mut self.scratch).map_err(|source| {
                if is_constraint(&source) {
                    return duplicate().because(source);
                }
                let id = shorten(record.id);
                failed(format!("cannot write record {id:?} to {}", self.table), source)
            })?;
            let last = self.last.get_or_insert_default();
            last.clear();
            last.push_str(record.id);
        }
        self.count += records.len() as u64;
        Ok(())
    }

    fn finish(self) -> u64 {
        self.count
    }
}

/// The statement that writes one record.
pub(super) fn insertion<'c>(
    connection: &'c Connection,
    table: &str,
    overwrite: bool,
) -> Result<rusqlite::CachedStatement<'c>, StoreError> {
    let mut sql = format!(
        "INSERT INTO \"{table}\" ({}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        COLUMNS.join(", ")
    );
    if overwrite {
        sql.push_str(
            " ON CONFLICT (id) DO UPDATE SET vector = excluded.vector, \
             metadata = excluded.metadata, version = excluded.version, \
             source_hash = excluded.source_hash, created_ts = excluded.created_ts, \
             updated_ts = excluded.updated_ts",
        );
    }
    connection
        .prepare_cached(&sql)
        .map_err(|source| failed(format!("cannot write to {table}"), source))
}

impl Load for SqliteLoad<'_> {
    fn load_range(
        &self,
        range: &IdRange,
        records: &mut dyn RecordStream,
    ) -> Result<u64, StoreError> {
        // The source is read by a thread of its own, one batch ahead: there is one write lock for
        // the whole file, and nobody should hold it while waiting for a source.
        std::thread::scope(|scope| {
            let (send, batches) = sync_channel(1);
            let reader = scope.spawn(move || {
                loop {
                    let batch = records.next();
                    let last = !matches!(batch, Ok(Some(_)));
                    if send.send(batch).is_err() || last {
                        break;
                    }
                }
            });
            let written = self.write_range(range, &batches);
            drop(batches);
            match reader.join() {
                Ok(()) => written,
                Err(_) => Err(StoreError::new(Code::BUG, "the reader of a range panicked")),
            }
        })
    }

    fn read_back(&self, range: &IdRange) -> Result<Option<Box<dyn RecordStream + '_>>, StoreError> {
        let Some(connection) = self.store.place.reader()? else { return Ok(None) };
        if schema::has_table(&connection, &self.staging)? {
            if !self.noted(&connection, range)? {
                return Ok(None);
            }
            return Ok(Some(scan_alone(connection, self.staged(), range)));
        }
        let there = schema::has_table(&connection, self.contract().name.as_str())?;
        let readable = self.request.mode == LoadMode::Upsert || self.committed(&connection)?;
        if !there || !readable {
            return Ok(None);
        }
        let table = self.live(&connection)?;
        Ok(Some(scan_alone(connection, table, range)))
    }

    fn commit(&self, progress: &dyn Progress) -> Result<(), StoreError> {
        if !self.store.place.exists()? {
            return self.room.give_back();
        }
        let name = &self.contract().name;
        let _job = progress.job(&format!("publish {name}"), "steps", Some(1));
        let cannot = |source| failed(format!("cannot publish {name}"), source);
        self.store.write(self.contract().dimensions, |connection| {
            let transaction = begin(connection)?;
            schema::check_name(Some(&transaction), name)?;
            let staged = schema::has_table(&transaction, &self.staging)?;
            if staged {
                transaction
                    .execute_batch(&format!(
                        "DROP TABLE IF EXISTS \"{name}\"; ALTER TABLE \"{}\" RENAME TO \"{name}\"",
                        self.staging
                    ))
                    .map_err(cannot)?;
            }
            if staged || self.wrote_in_place(&transaction)? {
                schema::create_own_tables(&transaction).map_err(cannot)?;
                schema::register(&transaction, self.contract(), &self.request.token)?;
            }
            self.forget(&transaction)?;
            // Before the commit, not behind it: a load that was cut off right behind its commit is
            // not committed again, and nobody would take the room away.
            self.room.give_back()?;
            transaction.commit().map_err(|source| {
                // It is to be taken back: if room is still there, it is kept for that.
                let _ = self.room.keep();
                cannot(source)
            })
        })?;
        self.store.settle()
    }

    fn abandon(&self) -> Result<Vec<String>, StoreError> {
        self.room.give_back()?;
        if !self.store.place.exists()? {
            return Ok(Vec::new());
        }
        let cannot = |source| failed(format!("cannot remove {}", self.staging), source);
        let left = self.store.write(self.contract().dimensions, |connection| {
            let transaction = begin(connection)?;
            let records = self.in_place_records(&transaction)?;
            transaction
                .execute_batch(&format!("DROP TABLE IF EXISTS \"{}\"", self.staging))
                .map_err(cannot)?;
            self.forget(&transaction)?;
            transaction.commit().map_err(cannot)?;
            Ok(records)
        })?;
        self.store.settle_what_was_taken()?;
        let name = &self.contract().name;
        let shown = self.store.place.shown();
        Ok(left
            .map(|records| format!("{records} records written in place to {name} in {shown}"))
            .into_iter()
            .collect())
    }
}

impl SqliteLoad<'_> {
    /// How many records this load has written in place and not yet committed.
    fn in_place_records(&self, connection: &Connection) -> Result<Option<i64>, StoreError> {
        if !schema::has_table(connection, "carnet_loads")? {
            return Ok(None);
        }
        connection
            .query_row(
                "SELECT sum(records) FROM carnet_loads WHERE staging = ?1 AND in_place",
                [&self.staging],
                |row| row.get(0),
            )
            .optional()
            .map(Option::flatten)
            .map_err(|source| failed("cannot read the finished ranges", source))
    }

    fn wrote_in_place(&self, connection: &Connection) -> Result<bool, StoreError> {
        Ok(self.in_place_records(connection)?.is_some())
    }
}
