//! `postgres://…`: the store.

use carnet_connect::{
    Capabilities, Hit, IdRange, Load, LoadMode, LoadRequest, Query, ReadConsistency, Records,
    StoreError, StoreSnapshot, VectorRepository, WriteCapability, batches,
};
use carnet_model::{Code, CollectionContract, CollectionName, Metric, PostgresUrl, StoreUrl};
use postgres::Client;

use crate::open::OpenOptions;

use super::connect::{Connector, begin_reading, begin_writing};
use super::contracts;
use super::decode::{Decoder, wire_failed};
use super::error::failed;
use super::index::{self, INDEXED_DIMENSIONS_MAX};
use super::replace::ReplaceLoad;
use super::scan::FREELY;
use super::snapshot::{Snapshot, check_name, contract_of};
use super::sql::{ident, literal};
use super::table::{Table, check_extension, missing};
use super::upsert::{Target, UpsertLoad};
use super::wire::RowReader;

/// The longest id that always fits into a B-tree key: 2,704 bytes less the headers. A longer one
/// may fit if it compresses well, which nobody can rely on.
const ID_BYTES_MAX: usize = 2_692;

/// A PostgreSQL database with pgvector. Connections are made when they are needed.
pub struct PostgresStore {
    connector: Connector,
    tables: Vec<CollectionName>,
    options: OpenOptions,
    label: String,
    capabilities: Capabilities,
}

impl PostgresStore {
    /// Takes a URL and its options. Nothing is connected yet.
    pub fn open(url: &PostgresUrl, options: OpenOptions) -> Result<Self, StoreError> {
        Ok(Self {
            connector: Connector::new(url, options.password.as_ref())?,
            tables: url.tables.clone(),
            label: StoreUrl::Postgres(url.clone()).to_string(),
            options,
            capabilities: Capabilities {
                write: WriteCapability::Ranges,
                read: ReadConsistency::Snapshot,
                metrics: vec![Metric::L2, Metric::InnerProduct, Metric::Cosine],
                unit_length_only: Vec::new(),
                indexes: vec!["flat", "hnsw", "ivf_flat"],
                dimensions_max: 16_000,
                indexed_dimensions_max: vec![
                    ("hnsw", INDEXED_DIMENSIONS_MAX),
                    ("ivf_flat", INDEXED_DIMENSIONS_MAX),
                ],
                id_bytes_max: ID_BYTES_MAX,
                nul_in_text: false,
                non_finite: false,
                collections: true,
            },
        })
    }

    /// A connection that reads one moment, with a collection's table and contract.
    fn reading(
        &self,
        name: &CollectionName,
    ) -> Result<(Client, Table, CollectionContract), StoreError> {
        let mut client = self.connector.connect()?;
        begin_reading(&mut client, None)?;
        let stored = contracts::read(&mut client)?;
        let table = Table::find(&mut client, name, &self.options)?.ok_or_else(|| missing(name))?;
        table.check_key(&self.options.layout)?;
        let contract = contract_of(&mut client, name, &table, stored.get(name))?;
        Ok((client, table, contract))
    }
}

/// A list of texts as an array.
fn text_array(ids: &[&str]) -> String {
    let quoted: Vec<_> = ids
        .iter()
        // No text that a table can hold has U+0000, and a statement cannot either.
        .filter(|id| !id.contains('\0'))
        .map(|id| format!("\"{}\"", id.replace('\\', "\\\\").replace('"', "\\\"")))
        .collect();
    format!("{}::text[]", literal(&format!("{{{}}}", quoted.join(","))))
}

/// The statement of a search.
fn search(table: &Table, metric: Metric, query: &Query<'_>) -> String {
    let values: Vec<_> = query.vector.iter().map(f32::to_string).collect();
    let asked = literal(&format!("[{}]", values.join(",")));
    let vector = &table.parts.vector;
    let column = format!("t.{}", ident(&vector.name));
    let half = vector.type_name == "halfvec";
    // An index on halfvec compares in 16 bits; exact search widens first.
    let distance = match (half, query.exact) {
        (true, true) => format!("{column}::vector {} {asked}::vector", index::operator(metric)),
        (true, false) => format!("{column} {} {asked}::halfvec", index::operator(metric)),
        (false, _) => format!("{column} {} {asked}::vector", index::operator(metric)),
    };
    let mut conditions = vec![table.condition().to_owned()];
    for (key, value) in &query.filter.0 {
        let metadata = match &table.parts.metadata {
            Some(column) => format!("t.{}::jsonb", ident(&column.name)),
            None => "'{}'::jsonb".to_owned(),
        };
        let value = literal(&value.to_string());
        conditions.push(format!("{metadata}->{} = {value}::jsonb", literal(key)));
    }
    let id = table.id_text();
    // An index gives the nearest by distance alone; ties are put in order afterwards.
    let ties = if query.exact { format!(", {id} COLLATE \"C\"") } else { String::new() };
    format!(
        "SELECT q.id, q.distance FROM (SELECT {id} AS id, {distance} AS distance FROM {} t \
         WHERE {} ORDER BY {distance}{ties} LIMIT {}) q ORDER BY q.distance, q.id COLLATE \"C\"",
        table.sql(),
        conditions.join(" AND "),
        query.k
    )
}

impl VectorRepository for PostgresStore {
    fn label(&self) -> &str {
        &self.label
    }

    fn kind(&self) -> &'static str {
        "pgvector"
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn snapshot(&self) -> Result<Box<dyn StoreSnapshot + '_>, StoreError> {
        Ok(Box::new(Snapshot::open(&self.connector, &self.tables, &self.options)?))
    }

    fn upsert(&self, name: &CollectionName, records: &Records) -> Result<(), StoreError> {
        let mut client = self.connector.connect()?;
        let stored = contracts::read(&mut client)?;
        let table = Table::find(&mut client, name, &self.options)?.ok_or_else(|| missing(name))?;
        let contract = contract_of(&mut client, name, &table, stored.get(name))?;
        let target = Target::new(table, contract.dimensions, &self.options.layout)?;
        let mut transaction = begin_writing(&mut client)?;
        target.merge(&mut transaction, &IdRange::all(), &mut batches(vec![records.clone()]))?;
        transaction.commit().map_err(|error| failed(format!("cannot write {name}"), error))
    }

    fn query(&self, name: &CollectionName, query: &Query<'_>) -> Result<Vec<Hit>, StoreError> {
        let (mut client, table, contract) = self.reading(name)?;
        let place = table.place();
        let metric = contract.metric.ok_or_else(|| {
            StoreError::new(Code::STORE_UNSUPPORTED, format!("{name} declares no metric"))
                .remedy("declare it in the plan")
        })?;
        if query.vector.len() != contract.dimensions as usize {
            return Err(StoreError::new(
                Code::RECORD_VECTOR,
                format!(
                    "the query has {} dimensions, {place} has {}",
                    query.vector.len(),
                    contract.dimensions
                ),
            ));
        }
        // Without index scans every record is compared. With an index, enough candidates are looked
        // at to fill the answer, also behind a filter.
        let settings = if query.exact {
            "SET LOCAL enable_indexscan = off; SET LOCAL enable_bitmapscan = off".to_owned()
        } else {
            format!(
                "SET LOCAL hnsw.ef_search = {}; SET LOCAL hnsw.iterative_scan = strict_order; \
                 SET LOCAL ivfflat.iterative_scan = relaxed_order",
                query.k.clamp(40, 1_000)
            )
        };
        let cannot = |error| failed(format!("cannot search {place}"), error);
        client.batch_execute(&settings).map_err(cannot)?;
        let found = client.query_typed(&search(&table, metric, query), &[]).map_err(cannot)?;
        let mut hits = Vec::with_capacity(found.len());
        for row in found {
            let id = row.try_get(0).map_err(cannot)?;
            let distance: f64 = row.try_get(1).map_err(cannot)?;
            // The cosine of a zero vector is no distance; −0 and 0 are one.
            if !distance.is_nan() {
                hits.push(Hit { id, distance: distance + 0.0 });
            }
        }
        Ok(hits)
    }

    fn fetch(&self, name: &CollectionName, ids: &[&str]) -> Result<Records, StoreError> {
        let (mut client, table, contract) = self.reading(name)?;
        let place = table.place();
        let cannot = |error| failed(format!("cannot read {place}"), error);
        let id = table.id_text();
        let copy = format!(
            "COPY (SELECT {} FROM {} t WHERE {} AND {id} = ANY({}) ORDER BY {id} COLLATE \"C\") \
             TO STDOUT (FORMAT binary)",
            table.select_list(),
            table.sql(),
            table.condition(),
            text_array(ids)
        );
        client.batch_execute(FREELY).map_err(cannot)?;
        let mut rows = RowReader::new(client.copy_out(copy.as_str()).map_err(cannot)?);
        let mut decoder = Decoder::new(&table, contract.dimensions, true);
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(|error| wire_failed(&place, error))? {
            found.extend(decoder.push(row)?);
        }
        found.extend(decoder.finish()?);
        Records::collect(contract.dimensions, found.iter().flat_map(Records::iter))
    }

    fn delete(&self, name: &CollectionName, ids: &[&str]) -> Result<u64, StoreError> {
        let mut client = self.connector.connect()?;
        let table = Table::find(&mut client, name, &self.options)?.ok_or_else(|| missing(name))?;
        let cannot = |error| failed(format!("cannot delete from {}", table.place()), error);
        let sql = format!(
            "DELETE FROM {} t WHERE {} AND {} = ANY({})",
            table.sql(),
            table.condition(),
            table.id_text(),
            text_array(ids)
        );
        let mut transaction = begin_writing(&mut client)?;
        let deleted = transaction.execute_typed(&sql, &[]).map_err(cannot)?;
        transaction.commit().map_err(cannot)?;
        Ok(deleted)
    }

    fn begin_load(&self, request: &LoadRequest) -> Result<Box<dyn Load + '_>, StoreError> {
        check_name(&request.contract.name)?;
        index::check(&request.contract)?;
        let fits = (1..=32).contains(&request.token.len())
            && request.token.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if !fits {
            return Err(StoreError::new(Code::BUG, "a load has a bad token"));
        }
        let mut client = self.connector.connect()?;
        check_extension(&mut client, self.connector.place())?;
        Ok(match request.mode {
            LoadMode::Replace => {
                Box::new(ReplaceLoad::begin(&self.connector, &mut client, request)?)
            }
            LoadMode::Upsert => {
                Box::new(UpsertLoad::begin(&self.connector, &mut client, &self.options, request)?)
            }
        })
    }

    fn drop_collection(&self, name: &CollectionName) -> Result<bool, StoreError> {
        let mut client = self.connector.connect()?;
        let table = Table::find(&mut client, name, &self.options)?;
        let what = || format!("cannot drop {name}");
        if table.as_ref().is_some_and(|table| !table.is_ours()) {
            return Err(StoreError::new(
                Code::STORE_UNSUPPORTED,
                format!("the table {name} was not made by Carnet"),
            )
            .remedy("drop it yourself"));
        }
        let mut transaction = begin_writing(&mut client)?;
        if let Some(table) = &table {
            transaction
                .batch_execute(&format!("DROP TABLE {}", table.sql()))
                .map_err(|error| failed(what(), error))?;
        }
        let removed = contracts::remove(&mut transaction, name)?;
        transaction.commit().map_err(|error| failed(what(), error))?;
        Ok(table.is_some() || removed)
    }
}
