//! Adding and overwriting records in a table that exists, in place: each call is one transaction.
//!
//! Records are copied into a temporary table and merged from there. A table of ours that holds
//! nothing in the range takes them directly. What the table has no place for is refused (`loss`).

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};

use carnet_connect::{IdRange, Load, LoadRequest, Progress, RecordStream, StoreError, shorten};
use carnet_model::{Code, CollectionContract, TableLayout};
use postgres::{Client, Transaction};

use crate::open::OpenOptions;

use super::connect::{Connector, begin_writing};
use super::contracts;
use super::decode::Decoder;
use super::encode::{Rules, copy_in};
use super::error::failed;
use super::index::{self, Build};
use super::replace::{Writers, analyse, create_table, current_schema};
use super::scan::{FREELY, IN_ORDER, Pool, one, stream};
use super::snapshot::{contract_of, range_query};
use super::sql::{derived_name, ident, in_range, literal};
use super::table::{Access, Column, Table, missing, rows};

const INCOMING: &str = "pg_temp.carnet_incoming";

const MAKE_INCOMING: &str = "CREATE TEMP TABLE carnet_incoming (id text COLLATE \"C\", \
    embedding vector, metadata jsonb, version bigint, source_hash text, created_ts timestamptz, \
    updated_ts timestamptz) ON COMMIT DROP";

/// A table that records are merged into.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) table: Table,
    pub(super) dimensions: u32,
    /// `node_id` of LlamaIndex has no unique index: rows of the same id are deleted first.
    delete_first: bool,
}

impl Target {
    /// Refused: a table whose id column has no unique index (`table.no_key`), or a view.
    pub(super) fn new(
        table: Table,
        dimensions: u32,
        layout: &TableLayout,
    ) -> Result<Self, StoreError> {
        let place = table.place();
        if !matches!(table.kind, 'r' | 'p') {
            return Err(StoreError::new(Code::STORE_READ_ONLY, format!("{place} is a view"))
                .remedy("name the table that it reads"));
        }
        let delete_first = !table.unique && *layout == TableLayout::LlamaIndex;
        if !table.unique && !delete_first {
            return Err(table.no_key());
        }
        Ok(Self { table, dimensions, delete_first })
    }

    /// Merges a stream; gives how many records.
    pub(super) fn merge(
        &self,
        transaction: &mut Transaction<'_>,
        range: &IdRange,
        records: &mut dyn RecordStream,
    ) -> Result<u64, StoreError> {
        let place = self.table.place();
        let half = self.table.parts.vector.type_name == "halfvec";
        let rules = Rules { place: &place, dimensions: self.dimensions, half, range };
        let cannot = |error| failed(format!("cannot write {place}"), error);
        if self.table.is_ours() && self.is_empty(transaction, range).map_err(cannot)? {
            return copy_in(transaction, &self.table.sql(), rules, records);
        }
        transaction.batch_execute(MAKE_INCOMING).map_err(cannot)?;
        let count = copy_in(transaction, INCOMING, rules, records)?;
        self.refuse_losses(transaction)?;
        if self.delete_first {
            let sql = format!(
                "DELETE FROM {} t USING {INCOMING} i WHERE {} = i.id",
                self.table.sql(),
                self.table.id_text()
            );
            transaction.execute_typed(&sql, &[]).map_err(cannot)?;
        }
        let written = transaction.execute_typed(&self.insert(), &[]).map_err(cannot)?;
        // Once per call: a second call in the same transaction starts anew.
        transaction.batch_execute(&format!("DROP TABLE {INCOMING}")).map_err(cannot)?;
        if written == count {
            return Ok(count);
        }
        Err(StoreError::new(
            Code::IMPORT_CONFLICT,
            format!(
                "{place} took {written} of {count} records: others belong to another collection"
            ),
        )
        .remedy("give the records ids that no other collection of this table has"))
    }

    fn is_empty(
        &self,
        transaction: &mut Transaction<'_>,
        range: &IdRange,
    ) -> Result<bool, postgres::Error> {
        let table = &self.table;
        let sql = format!(
            "SELECT FROM {} t WHERE {} LIMIT 1",
            table.sql(),
            in_range(&table.id_text(), range)
        );
        Ok(transaction.query_typed(&sql, &[])?.is_empty())
    }

    /// The columns that records fill by name, beside the parts.
    fn writable(&self) -> impl Iterator<Item = &Column> {
        self.table.carried.iter().filter(|column| !column.generated)
    }

    /// Looks for what the table has no place for.
    fn refuse_losses(&self, transaction: &mut Transaction<'_>) -> Result<(), StoreError> {
        let parts = &self.table.parts;
        let mut checks: Vec<(String, &str)> = Vec::new();
        for (column, name) in [
            (&parts.version, "version"),
            (&parts.source_hash, "source_hash"),
            (&parts.created_ts, "created_ts"),
            (&parts.updated_ts, "updated_ts"),
        ] {
            if column.is_none() {
                checks.push((format!("{name} IS NOT NULL"), name));
            }
        }
        let left = self.metadata_left();
        if parts.metadata.is_none() {
            checks.push((format!("{left} <> '{{}}'"), "metadata"));
        }
        if !self.table.carried.is_empty() {
            let known: Vec<_> = self.writable().map(|column| literal(&column.name)).collect();
            let others =
                format!("(metadata->'_columns') - ARRAY[{}]::text[] <> '{{}}'", known.join(", "));
            checks.push((others, "metadata of other columns"));
        }
        if parts.id.type_name != "text" && parts.id.type_name != "varchar" {
            let back = format!("id <> id::{}::text", parts.id.type_name);
            checks.push((back, "id of this form"));
        }
        for (check, what) in checks {
            let sql = format!("SELECT id FROM {INCOMING} i WHERE {check} LIMIT 1");
            let found = transaction
                .query_typed(&sql, &[])
                .map_err(|error| failed(format!("cannot write {}", self.table.place()), error))?;
            if let Some(row) = found.first() {
                let id: String = row.try_get(0).unwrap_or_default();
                return Err(StoreError::new(
                    Code::LOSS,
                    format!(
                        "{} has no place for the {what} of record {:?}",
                        self.table.place(),
                        shorten(&id)
                    ),
                )
                .remedy("map a column for it, or choose a table of Carnet's own"));
            }
        }
        Ok(())
    }

    /// The metadata that is not under columns of the table.
    fn metadata_left(&self) -> &'static str {
        if self.table.carried.is_empty() { "i.metadata" } else { "(i.metadata - '_columns')" }
    }

    /// Each column that is written, the id first, with the expression of its value.
    fn values(&self) -> Vec<(&str, String)> {
        let parts = &self.table.parts;
        let mut pairs: Vec<(&str, String)> =
            vec![(&parts.id.name, format!("i.id::{}", parts.id.type_name))];
        pairs.push((&parts.vector.name, format!("i.embedding::{}", parts.vector.type_name)));
        if let Some(column) = &parts.metadata {
            let left = self.metadata_left();
            pairs.push((&column.name, format!("{left}::{}", column.type_name)));
        }
        if let Some(column) = &parts.version {
            pairs.push((&column.name, format!("i.version::{}", column.type_name)));
        }
        if let Some(column) = &parts.source_hash {
            pairs.push((&column.name, "i.source_hash".to_owned()));
        }
        for (column, ours) in [(&parts.created_ts, "created_ts"), (&parts.updated_ts, "updated_ts")]
        {
            let Some(column) = column else { continue };
            let value = if column.type_name == "timestamptz" {
                format!("i.{ours}")
            } else {
                format!("(extract(epoch FROM i.{ours}) * 1000000)::int8")
            };
            pairs.push((&column.name, value));
        }
        for column in self.writable() {
            let value = format!("p.{}", ident(&column.name));
            let value = match &column.default {
                Some(default) => format!("COALESCE({value}, {default})"),
                None => value,
            };
            pairs.push((&column.name, value));
        }
        if let Some((column, value)) = &self.table.only_value {
            pairs.push((column, format!("{}::uuid", literal(value))));
        }
        pairs
    }

    fn insert(&self) -> String {
        let table = &self.table;
        let pairs = self.values();
        let columns: Vec<_> = pairs.iter().map(|(name, _)| ident(name)).collect();
        let values: Vec<_> = pairs.iter().map(|(_, value)| value.as_str()).collect();
        let from = if self.writable().next().is_some() {
            format!(
                "{INCOMING} i CROSS JOIN LATERAL \
                 jsonb_populate_record(NULL::{}, COALESCE(i.metadata->'_columns', '{{}}')) p",
                table.sql()
            )
        } else {
            format!("{INCOMING} i")
        };
        let mut sql = format!(
            "INSERT INTO {} AS t ({}) SELECT {} FROM {from}",
            table.sql(),
            columns.join(", "),
            values.join(", ")
        );
        if !self.delete_first {
            let set: Vec<_> = columns
                .iter()
                .skip(1)
                .map(|column| format!("{column} = EXCLUDED.{column}"))
                .collect();
            let same = table.only_value.as_ref().map(|(column, _)| {
                let column = ident(column);
                format!(" WHERE t.{column} = EXCLUDED.{column}")
            });
            let id = ident(&table.parts.id.name);
            let same = same.unwrap_or_default();
            let set = set.join(", ");
            sql = format!("{sql} ON CONFLICT ({id}) DO UPDATE SET {set}{same}");
        }
        sql
    }
}

/// A load into a table that is written in place.
pub(super) struct UpsertLoad {
    connector: Connector,
    options: OpenOptions,
    contract: CollectionContract,
    token: String,
    target: Mutex<Option<Arc<Target>>>,
    wrote: AtomicBool,
    writers: Writers,
    readers: Arc<Pool>,
}

impl UpsertLoad {
    /// Begins or continues; nothing is written yet.
    pub(super) fn begin(
        connector: &Connector,
        client: &mut Client,
        options: &OpenOptions,
        request: &LoadRequest,
    ) -> Result<Self, StoreError> {
        let load = Self {
            connector: connector.clone(),
            options: options.clone(),
            contract: request.contract.clone(),
            token: request.token.clone(),
            target: Mutex::default(),
            wrote: AtomicBool::new(false),
            writers: Writers::default(),
            readers: Arc::new(Pool::new(connector.clone(), None)),
        };
        let target = load.find(client)?;
        *load.target.lock().unwrap_or_else(PoisonError::into_inner) = target.map(Arc::new);
        Ok(load)
    }

    fn find(&self, client: &mut Client) -> Result<Option<Target>, StoreError> {
        let name = &self.contract.name;
        let Some(table) = Table::find(client, name, &self.options)? else { return Ok(None) };
        // An empty foreign table without declared dimensions takes what comes.
        let declared = u32::try_from(table.parts.vector.modifier).ok().filter(|d| *d > 0);
        let dimensions = match declared {
            Some(dimensions) => dimensions,
            None => contract_of(client, name, &table, None)
                .map_or(self.contract.dimensions, |contract| contract.dimensions),
        };
        if dimensions != self.contract.dimensions {
            return Err(StoreError::new(
                Code::RECORD_VECTOR,
                format!(
                    "{} has {dimensions} dimensions, the records {}",
                    table.place(),
                    self.contract.dimensions
                ),
            ));
        }
        Target::new(table, dimensions, &self.options.layout).map(Some)
    }

    /// The table; ours is made if there is none.
    fn target(&self, client: &mut Client) -> Result<Arc<Target>, StoreError> {
        let mut held = self.target.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(target) = &*held {
            return Ok(Arc::clone(target));
        }
        let name = &self.contract.name;
        let target = match self.find(client)? {
            Some(target) => target,
            None if self.options.layout != TableLayout::Carnet => return Err(missing(name)),
            None => {
                let schema = current_schema(client)?;
                let dimensions = self.contract.dimensions;
                let sql = create_table(&schema, name.as_str(), name.as_str(), dimensions);
                let mut transaction = begin_writing(client)?;
                transaction
                    .batch_execute(&sql)
                    .map_err(|error| failed(format!("cannot make the table {name}"), error))?;
                contracts::write(&mut transaction, &schema, &self.contract, "")?;
                transaction
                    .commit()
                    .map_err(|error| failed(format!("cannot make the table {name}"), error))?;
                self.find(client)?.ok_or_else(|| missing(name))?
            }
        };
        let target = Arc::new(target);
        *held = Some(Arc::clone(&target));
        Ok(target)
    }
}

impl Load for UpsertLoad {
    fn load_range(
        &self,
        range: &IdRange,
        records: &mut dyn RecordStream,
    ) -> Result<u64, StoreError> {
        let mut client = self.writers.take(&self.connector)?;
        let target = self.target(&mut client)?;
        self.wrote.store(true, Ordering::Relaxed);
        let mut transaction = begin_writing(&mut client)?;
        let count = target.merge(&mut transaction, range, records)?;
        transaction.commit().map_err(|error| {
            failed(format!("cannot write the range {range} of {}", target.table.place()), error)
        })?;
        self.writers.give(client);
        Ok(count)
    }

    fn read_back(&self, range: &IdRange) -> Result<Option<Box<dyn RecordStream + '_>>, StoreError> {
        let mut client = self.readers.take()?;
        let target = self.find(&mut client)?;
        self.readers.give(client);
        let Some(Target { table, dimensions, .. }) = target else { return Ok(None) };
        let decoder = Decoder::new(&table, dimensions, true);
        let settings = if table.access == Access::Index { IN_ORDER } else { FREELY };
        let place = table.place();
        Ok(Some(stream(&self.readers, settings, one(range_query(&table, range)), decoder, place)?))
    }

    fn commit(&self, progress: &dyn Progress) -> Result<(), StoreError> {
        let mut client = self.writers.take(&self.connector)?;
        let target = self.target(&mut client)?;
        let table = &target.table;
        let place = table.place();
        let cannot = |error| failed(format!("cannot finish {place}"), error);
        analyse(&mut client, &table.sql()).map_err(cannot)?;
        if table.is_ours() && index::find(&mut client, table)?.is_none() {
            let sql = format!("SELECT count(*) FROM {}", table.sql());
            let counted = rows(&mut client, &sql).map_err(cannot)?;
            let records = counted.first().and_then(|row| super::table::text(row, 0).parse().ok());
            let build = Build {
                contract: &self.contract,
                schema: &table.schema,
                table: &table.name,
                index: &derived_name(&table.name, "_embedding_idx"),
                records: records.unwrap_or(0),
            };
            build.run(&self.connector, &mut client, progress)?;
        }
        let mut transaction = begin_writing(&mut client)?;
        contracts::write(&mut transaction, &table.schema, &self.contract, &self.token)?;
        transaction.commit().map_err(cannot)?;
        self.writers.give(client);
        Ok(())
    }

    fn abandon(&self) -> Result<Vec<String>, StoreError> {
        let name = &self.contract.name;
        let held = self.target.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(target) = &*held else { return Ok(Vec::new()) };
        let who = if self.wrote.load(Ordering::Relaxed) {
            "this load wrote"
        } else {
            "an earlier attempt may have written"
        };
        Ok(vec![format!("the records of {name} that {who} to {} stay", target.table.place())])
    }
}
