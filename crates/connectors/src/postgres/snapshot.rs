//! One moment of the database, shared by all workers: a coordinator exports its snapshot and keeps
//! it alive; the workers' connections join it. The tables are locked against being replaced before
//! the moment is taken, so that a name always means the table that the moment knows.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use carnet_connect::{Description, IdRange, RecordStream, Shard, StoreError, StoreSnapshot};
use carnet_model::{Code, CollectionContract, CollectionName, TableLayout};
use postgres::Client;

use crate::open::OpenOptions;

use super::addresses::Addresses;
use super::connect::{Connector, begin_reading};
use super::contracts::{self, Stored};
use super::decode::Decoder;
use super::error::{failed, is_undefined};
use super::index;
use super::scan::{FREELY, IN_ORDER, Pool, one, stream};
use super::sql::{ident, in_range, literal};
use super::table::{Access, Table, check_extension, missing, rows, text};

/// A collection as this moment has it.
pub(super) struct Opened {
    pub(super) table: Table,
    pub(super) contract: CollectionContract,
    addresses: Mutex<Option<Arc<Addresses>>>,
}

/// The moment.
pub(super) struct Snapshot {
    options: OpenOptions,
    coordinator: Mutex<Client>,
    pool: Arc<Pool>,
    names: Vec<CollectionName>,
    stored: BTreeMap<CollectionName, Stored>,
    opened: Mutex<BTreeMap<CollectionName, Arc<Opened>>>,
}

/// The names that a store offers: those of its URL that exist, or all that are known.
fn names(
    client: &mut Client,
    tables: &[CollectionName],
    options: &OpenOptions,
    stored: &BTreeMap<CollectionName, Stored>,
) -> Result<BTreeMap<CollectionName, Table>, StoreError> {
    let langchain = options.layout == TableLayout::LangChain;
    let all = tables.is_empty() || tables.iter().any(|name| name.as_str() == LANGCHAIN_TABLE);
    let wanted: Vec<CollectionName> = if langchain && all {
        langchain_names(client)?
    } else if tables.is_empty() {
        stored.keys().cloned().collect()
    } else {
        tables.to_vec()
    };
    let mut found = BTreeMap::new();
    for name in wanted {
        if let Some(table) = Table::find(client, &name, options)? {
            found.insert(name, table);
        }
    }
    Ok(found)
}

const LANGCHAIN_TABLE: &str = "langchain_pg_embedding";

fn langchain_names(client: &mut Client) -> Result<Vec<CollectionName>, StoreError> {
    let sql = "SELECT name FROM langchain_pg_collection ORDER BY name COLLATE \"C\"";
    let rows = rows(client, sql).map_err(|error| failed("cannot list the collections", error))?;
    rows.iter()
        .map(|row| {
            CollectionName::new(text(row, 0)).map_err(|error| {
                StoreError::new(Code::STORE_UNSUPPORTED, "a LangChain collection cannot be named")
                    .because(error)
                    .remedy("rename it in langchain_pg_collection, or name others with ?table=")
            })
        })
        .collect()
}

impl Snapshot {
    /// Takes the moment.
    pub(super) fn open(
        connector: &Connector,
        tables: &[CollectionName],
        options: &OpenOptions,
    ) -> Result<Self, StoreError> {
        let mut client = connector.connect()?;
        // Between finding the tables and locking them, one may be replaced: then look again.
        let mut tries = 0;
        let (id, found, stored) = loop {
            begin_reading(&mut client, None)?;
            let stored = contracts::read(&mut client)?;
            let found = names(&mut client, tables, options, &stored)?;
            client.batch_execute("COMMIT").map_err(|e| failed("cannot look for tables", e))?;
            match lock(&mut client, &found)? {
                Some(id) => {
                    let stored = contracts::read(&mut client)?;
                    let again = names(&mut client, tables, options, &stored)?;
                    let same = |(a, b): (&Table, &Table)| a.oid == b.oid;
                    if again.len() == found.len() && again.values().zip(found.values()).all(same) {
                        break (id, again, stored);
                    }
                }
                None if tries >= 5 => {
                    return Err(StoreError::new(
                        Code::STORE_BUSY,
                        "the tables are being replaced again and again",
                    ));
                }
                None => {}
            }
            tries += 1;
            client.batch_execute("ROLLBACK").map_err(|e| failed("cannot look for tables", e))?;
        };
        let mut opened = BTreeMap::new();
        if found.is_empty() {
            check_extension(&mut client, connector.place())?;
        }
        for (name, table) in &found {
            table.check_key(&options.layout)?;
            let contract = contract_of(&mut client, name, table, stored.get(name))?;
            let addresses = Mutex::default();
            let one = Opened { table: table.clone(), contract, addresses };
            opened.insert(name.clone(), Arc::new(one));
        }
        Ok(Self {
            options: options.clone(),
            pool: Arc::new(Pool::new(connector.clone(), Some(id))),
            coordinator: Mutex::new(client),
            names: found.into_keys().collect(),
            stored,
            opened: Mutex::new(opened),
        })
    }

    fn coordinator(&self) -> MutexGuard<'_, Client> {
        self.coordinator.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, name: &CollectionName) -> Result<Arc<Opened>, StoreError> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = opened.get(name) {
            return Ok(Arc::clone(held));
        }
        // A table that the URL does not name may still be asked for by name.
        let mut client = self.coordinator();
        let table = Table::find(&mut client, name, &self.options)?.ok_or_else(|| missing(name))?;
        table.check_key(&self.options.layout)?;
        let contract = contract_of(&mut client, name, &table, self.stored.get(name))?;
        let held = Arc::new(Opened { table, contract, addresses: Mutex::default() });
        opened.insert(name.clone(), Arc::clone(&held));
        Ok(held)
    }

    fn addresses(&self, held: &Opened) -> Result<Arc<Addresses>, StoreError> {
        // The first who needs them reads them; the others wait.
        let mut addresses = held.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(addresses) = &*addresses {
            return Ok(Arc::clone(addresses));
        }
        let mut client = self.pool.take()?;
        let read = Arc::new(Addresses::read(&mut client, &held.table)?);
        self.pool.give(client);
        *addresses = Some(Arc::clone(&read));
        Ok(read)
    }
}

/// Locks the tables against being dropped, then takes the moment: a lock taken later could be on
/// another table of the same name, whose rows this moment cannot see. `None`: a table has gone.
fn lock(
    client: &mut Client,
    found: &BTreeMap<CollectionName, Table>,
) -> Result<Option<String>, StoreError> {
    // Materialised views and foreign tables cannot be locked.
    let lockable = found.values().filter(|table| matches!(table.kind, 'r' | 'p' | 'v'));
    let list: Vec<_> = lockable.map(Table::sql).collect();
    begin_reading(client, None)?;
    if !list.is_empty() {
        let sql = format!("LOCK TABLE {} IN ACCESS SHARE MODE", list.join(", "));
        match client.batch_execute(&sql) {
            Ok(()) => {}
            Err(error) if is_undefined(&error) => return Ok(None),
            Err(error) => return Err(failed("cannot read the tables", error)),
        }
    }
    let exported = rows(client, "SELECT pg_export_snapshot()")
        .map_err(|error| failed("cannot share a snapshot of the database", error))?;
    Ok(exported.first().map(|row| text(row, 0).to_owned()))
}

/// The contract that the owner declared, or what the table's own form tells.
pub(super) fn contract_of(
    client: &mut Client,
    name: &CollectionName,
    table: &Table,
    stored: Option<&Stored>,
) -> Result<CollectionContract, StoreError> {
    let declared = u32::try_from(table.parts.vector.modifier).ok().filter(|d| *d > 0);
    let place = table.place();
    if let Some(stored) = stored {
        let contract = CollectionContract { name: name.clone(), ..stored.contract.clone() };
        return match declared {
            Some(dimensions) if dimensions != contract.dimensions => Err(StoreError::new(
                Code::STORE_MALFORMED,
                format!(
                    "{place} has {dimensions} dimensions, its contract {}",
                    contract.dimensions
                ),
            )
            .remedy("correct the contract in carnet_collections")),
            _ => Ok(contract),
        };
    }
    let dimensions = match declared {
        Some(dimensions) => dimensions,
        None => measured(client, table)?,
    };
    let mut contract = CollectionContract::unknown(name.clone(), dimensions);
    contract.metric = index::metric(client, table)?;
    Ok(contract)
}

/// The dimensions of a column that declares none, by looking at every vector.
fn measured(client: &mut Client, table: &Table) -> Result<u32, StoreError> {
    let place = table.place();
    let vector = format!("t.{}", ident(&table.parts.vector.name));
    let measure = if table.parts.vector.type_name == "halfvec" { "::vector" } else { "" };
    let sql = format!(
        "SELECT min(vector_dims({vector}{measure})), max(vector_dims({vector}{measure})) \
         FROM {} t WHERE {}",
        table.sql(),
        table.condition()
    );
    let rows = rows(client, &sql).map_err(|e| failed(format!("cannot measure {place}"), e))?;
    let number = |index| rows.first().and_then(|row| text(row, index).parse().ok());
    match (number(0), number(1)) {
        (Some(least), Some(most)) if least == most => Ok(least),
        (Some(least), Some(most)) => Err(StoreError::new(
            Code::RECORD_VECTOR,
            format!("{place} holds vectors of {least} and of {most} dimensions"),
        )
        .remedy("move them as separate collections")),
        _ => Err(StoreError::new(
            Code::STORE_UNSUPPORTED,
            format!("{place} declares no dimensions and holds no vector"),
        )
        .remedy("declare them: ALTER TABLE … ALTER COLUMN … TYPE vector(N)")),
    }
}

/// The statement that gives the records of a range of a table in order.
pub(super) fn range_query(table: &Table, range: &IdRange) -> String {
    let id = table.id_text();
    format!(
        "SELECT {} FROM {} t WHERE {} AND {} ORDER BY {id} COLLATE \"C\"",
        table.select_list(),
        table.sql(),
        table.condition(),
        in_range(&id, range)
    )
}

impl StoreSnapshot for Snapshot {
    fn collections(&self) -> Result<Vec<CollectionName>, StoreError> {
        Ok(self.names.clone())
    }

    fn describe(&self, name: &CollectionName) -> Result<Description, StoreError> {
        let held = self.get(name)?;
        let table = &held.table;
        let mut client = self.coordinator();
        let sql = format!("SELECT count(*) FROM {} t WHERE {}", table.sql(), table.condition());
        let place = table.place();
        let counted =
            rows(&mut client, &sql).map_err(|e| failed(format!("cannot count {place}"), e))?;
        let records = counted.first().and_then(|row| text(row, 0).parse().ok());
        Ok(Description {
            contract: held.contract.clone(),
            records: records.ok_or_else(|| {
                StoreError::new(Code::STORE_FAILED, format!("no count of {place}"))
            })?,
            index: index::find(&mut client, table)?,
            place,
            carried_columns: table.carried.iter().map(|column| column.name.clone()).collect(),
        })
    }

    fn ranges(&self, name: &CollectionName, parts: usize) -> Result<Vec<IdRange>, StoreError> {
        let held = self.get(name)?;
        match held.table.access {
            Access::Index => sampled(&mut self.coordinator(), &held.table, parts),
            Access::Addresses => Ok(self.addresses(&held)?.ranges(parts)),
            // Each range would be a pass over the whole view.
            Access::Sorted => Ok(vec![IdRange::all()]),
        }
    }

    fn scan(
        &self,
        name: &CollectionName,
        range: &IdRange,
    ) -> Result<Box<dyn RecordStream + '_>, StoreError> {
        let held = self.get(name)?;
        let table = &held.table;
        let decoder = Decoder::new(table, held.contract.dimensions, true);
        let (settings, statements) = match table.access {
            Access::Index => (IN_ORDER, one(range_query(table, range))),
            Access::Sorted => (FREELY, one(range_query(table, range))),
            Access::Addresses => (IN_ORDER, self.addresses(&held)?.statements(range, table)),
        };
        stream(&self.pool, settings, statements, decoder, table.place())
    }

    fn shards(&self, name: &CollectionName, parts: usize) -> Result<Vec<Shard>, StoreError> {
        let held = self.get(name)?;
        if held.table.access == Access::Sorted {
            return Ok(self.ranges(name, parts)?.into_iter().map(Shard::Range).collect());
        }
        let blocks = blocks(&mut self.coordinator(), &held.table)?;
        let parts = u64::try_from(parts).unwrap_or(1).clamp(1, blocks.max(1));
        let border = |part: u64| if part == parts { u64::MAX } else { blocks * part / parts };
        Ok((0..parts).map(|part| Shard::Span(border(part), border(part + 1))).collect())
    }

    fn scan_shard(
        &self,
        name: &CollectionName,
        shard: &Shard,
    ) -> Result<Box<dyn RecordStream + '_>, StoreError> {
        let (from, to) = match shard {
            Shard::Range(range) => return self.scan(name, range),
            Shard::Span(from, to) => (*from, *to),
        };
        let held = self.get(name)?;
        let table = &held.table;
        let until = if to > u64::from(u32::MAX) {
            String::new()
        } else {
            format!("AND t.ctid < '({to},0)'::tid")
        };
        let sql = format!(
            "SELECT {} FROM {} t WHERE {} AND t.ctid >= '({from},0)'::tid {until}",
            table.select_list(),
            table.sql(),
            table.condition()
        );
        let decoder = Decoder::new(table, held.contract.dimensions, false);
        stream(&self.pool, FREELY, one(sql), decoder, table.place())
    }
}

fn blocks(client: &mut Client, table: &Table) -> Result<u64, StoreError> {
    let sql =
        format!("SELECT pg_relation_size({}) / current_setting('block_size')::int8", table.oid);
    let rows =
        rows(client, &sql).map_err(|e| failed(format!("cannot measure {}", table.place()), e))?;
    Ok(rows.first().and_then(|row| text(row, 0).parse().ok()).unwrap_or(0))
}

/// Which blocks are sampled to find the borders of so many ranges: all where nearly all would be.
fn sample(blocks: u64, parts: u64) -> String {
    /// A sample of so many blocks holds several thousand ids.
    const BLOCKS: u64 = 1_000;
    let wanted = BLOCKS.max(parts.saturating_mul(32));
    if blocks <= wanted {
        return String::new();
    }
    // Per cent as an exact fraction of thousandths.
    let thousandths = u128::from(wanted) * 100_000 / u128::from(blocks);
    format!(
        "TABLESAMPLE SYSTEM ({}.{:03}) REPEATABLE (1)",
        thousandths / 1_000,
        thousandths % 1_000
    )
}

/// Ranges of about equal size, by the ids of a sample of blocks, or by all ids of a small table.
fn sampled(client: &mut Client, table: &Table, parts: usize) -> Result<Vec<IdRange>, StoreError> {
    if parts <= 1 {
        return Ok(vec![IdRange::all()]);
    }
    let sample = sample(blocks(client, table)?, parts as u64);
    let sql = format!(
        "SELECT {} FROM {} t {sample} WHERE {}",
        table.id_text(),
        table.sql(),
        table.condition()
    );
    let rows =
        rows(client, &sql).map_err(|e| failed(format!("cannot sample {}", table.place()), e))?;
    let mut ids: Vec<&str> = rows.iter().map(|row| text(row, 0)).collect();
    ids.sort_unstable();
    let step = ids.len().div_ceil(parts).max(1);
    Ok(IdRange::split_at(ids.into_iter().step_by(step).skip(1).map(str::to_owned)))
}

/// Refuses names that stand for other things.
pub(super) fn check_name(name: &CollectionName) -> Result<(), StoreError> {
    let taken = [contracts::CONTRACTS, "langchain_pg_collection"];
    if taken.contains(&name.as_str()) {
        let what = format!("a collection cannot have the name {}", literal(name.as_str()));
        return Err(StoreError::new(Code::STORE_UNSUPPORTED, what).remedy("use another table name"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::sample;

    #[test]
    fn a_sample_is_never_more_than_all() {
        assert_eq!(sample(1_000, 8), "");
        assert_eq!(sample(1_001, 8), "TABLESAMPLE SYSTEM (99.900) REPEATABLE (1)");
        // More ranges ask for more blocks than there are.
        assert_eq!(sample(1_001, 32), "");
        assert_eq!(sample(2_048, 64), "");
        assert_eq!(sample(4_096, 64), "TABLESAMPLE SYSTEM (50.000) REPEATABLE (1)");
        assert_eq!(sample(u64::MAX, 4_096), "TABLESAMPLE SYSTEM (0.000) REPEATABLE (1)");
    }
}
