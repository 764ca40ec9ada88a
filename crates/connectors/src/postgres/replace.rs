//! Loading a collection as a whole: into a table of its own, which takes the place of the old one in
//! the transaction that also writes the contract. Until then readers see the old table.
//!
//! The new table is `NAME__carnet_TOKEN`. Beside it `NAME__carnet_TOKEN_ranges` says which ranges
//! are finished; a row there is written in the same transaction as the range's records. Both are
//! found again by their names after a crash. The key exists from the start: records come in its
//! order, ranges can be read back by it, and an id that stands twice is noticed at once.

use std::sync::{Arc, Mutex, PoisonError};

use carnet_connect::{IdRange, Load, LoadRequest, Progress, RecordStream, StoreError};
use carnet_model::{Code, CollectionContract, CollectionName};
use postgres::Client;

use crate::open::OpenOptions;

use super::connect::{Connector, begin_with, begin_writing};
use super::contracts;
use super::decode::Decoder;
use super::encode::{Rules, copy_in};
use super::error::failed;
use super::index::Build;
use super::scan::{IN_ORDER, Pool, one, stream_on};
use super::snapshot::range_query;
use super::sql::{derived_name, ident, in_range, literal};
use super::table::{OUR_COLUMNS, Table, rows, text};

/// Writing connections that are kept for the next range.
#[derive(Default)]
pub(super) struct Writers(Mutex<Vec<Client>>);

impl Writers {
    pub(super) fn take(&self, connector: &Connector) -> Result<Client, StoreError> {
        let idle = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| connector.connect(), Ok)
    }

    pub(super) fn give(&self, client: Client) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(client);
    }
}

/// The statement that makes a table as Carnet makes it.
pub(super) fn create_table(schema: &str, table: &str, name: &str, dimensions: u32) -> String {
    let columns: Vec<String> = OUR_COLUMNS
        .iter()
        .map(|(column, kind)| {
            // A constraint keeps the name that it is made with, so it is made with the final one.
            let not_null = ident(&derived_name(name, &format!("_{column}_not_null")));
            match *column {
                "id" => format!("id text COLLATE \"C\" CONSTRAINT {not_null} NOT NULL"),
                "embedding" => {
                    format!("embedding vector({dimensions}) CONSTRAINT {not_null} NOT NULL")
                }
                "metadata" => format!("metadata jsonb CONSTRAINT {not_null} NOT NULL"),
                _ => format!("{column} {kind}"),
            }
        })
        .collect();
    format!(
        "CREATE TABLE IF NOT EXISTS {}.{} ({}, CONSTRAINT {} PRIMARY KEY (id));",
        ident(schema),
        ident(table),
        columns.join(", "),
        ident(&derived_name(table, "_pkey")),
    )
}

/// Takes statistics of a small sample, enough for the planner until autovacuum takes its own: the
/// usual sample of vectors and JSON costs as much as half of the load.
pub(super) fn analyse(client: &mut Client, table: &str) -> Result<(), postgres::Error> {
    let sql = format!("SET LOCAL default_statistics_target = 10; ANALYZE {table}; COMMIT");
    begin_with(client, &sql).map(|_| ())
}

/// The schema where new tables go.
pub(super) fn current_schema(client: &mut Client) -> Result<String, StoreError> {
    let found = rows(client, "SELECT current_schema()")
        .map_err(|error| failed("cannot find the schema", error))?;
    let schema = found.first().map(|row| text(row, 0).to_owned()).unwrap_or_default();
    if schema.is_empty() {
        return Err(StoreError::new(Code::STORE_NOT_FOUND, "no schema of the search_path exists")
            .remedy("create the schema, or set the search_path of the role"));
    }
    Ok(schema)
}

/// A load that replaces a collection.
pub(super) struct ReplaceLoad {
    connector: Connector,
    contract: CollectionContract,
    token: String,
    schema: String,
    staging: String,
    ranges: String,
    made: Mutex<bool>,
    table: Mutex<Option<Table>>,
    writers: Writers,
    readers: Arc<Pool>,
}

impl ReplaceLoad {
    /// Begins or continues; nothing is written yet.
    pub(super) fn begin(
        connector: &Connector,
        client: &mut Client,
        request: &LoadRequest,
    ) -> Result<Self, StoreError> {
        let name = &request.contract.name;
        let schema = match Table::find(client, name, &OpenOptions::default()) {
            Ok(None) => current_schema(client)?,
            Ok(Some(table)) if table.is_ours() => table.schema,
            Ok(Some(_)) => return Err(not_ours(name)),
            // Its columns have other names or types.
            Err(error) if matches!(error.code(), Code::TABLE_COLUMN | Code::TABLE_UNMAPPED) => {
                return Err(not_ours(name));
            }
            Err(error) => return Err(error),
        };
        let staging = derived_name(name.as_str(), &format!("__carnet_{}", request.token));
        Ok(Self {
            connector: connector.clone(),
            contract: request.contract.clone(),
            token: request.token.clone(),
            schema,
            ranges: derived_name(name.as_str(), &format!("__carnet_{}_ranges", request.token)),
            staging,
            made: Mutex::new(false),
            table: Mutex::default(),
            writers: Writers::default(),
            readers: Arc::new(Pool::new(connector.clone(), None)),
        })
    }

    fn place(&self, table: &str) -> String {
        format!("{}.{}", ident(&self.schema), ident(table))
    }

    fn shown(&self) -> String {
        format!("table {}.{}", self.schema, self.staging)
    }

    /// Makes the tables of this load, once.
    fn make(&self, client: &mut Client) -> Result<(), StoreError> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if *made {
            return Ok(());
        }
        let name = self.contract.name.as_str();
        let sql = format!(
            "SELECT pg_advisory_xact_lock(hashtext({lock})); \
             SET LOCAL client_min_messages = warning; {staging} \
             CREATE TABLE IF NOT EXISTS {ranges} \
               (range_from text COLLATE \"C\", range_to text COLLATE \"C\", records bigint NOT NULL);",
            lock = literal(&self.staging),
            staging = create_table(&self.schema, &self.staging, name, self.contract.dimensions),
            ranges = self.place(&self.ranges),
        );
        let mut transaction = begin_writing(client)?;
        transaction
            .batch_execute(&sql)
            .and_then(|()| transaction.commit())
            .map_err(|error| failed(format!("cannot make {}", self.shown()), error))?;
        *made = true;
        Ok(())
    }

    fn is_staged(&self, client: &mut Client) -> Result<bool, StoreError> {
        let sql = format!("SELECT to_regclass({})", literal(&self.place(&self.staging)));
        let found = rows(client, &sql)
            .map_err(|error| failed(format!("cannot look for {}", self.shown()), error))?;
        Ok(found.first().is_some_and(|row| !text(row, 0).is_empty()))
    }

    /// Forgets finished ranges that this one touches, and removes what they wrote within it.
    fn begin_range(&self, client: &mut Client, range: &IdRange) -> Result<(), postgres::Error> {
        let mut overlaps = vec!["true".to_owned()];
        if let Some(to) = &range.to {
            overlaps.push(format!("(range_from IS NULL OR range_from < {})", literal(to)));
        }
        if let Some(from) = &range.from {
            overlaps.push(format!("(range_to IS NULL OR range_to > {})", literal(from)));
        }
        let forget =
            format!("DELETE FROM {} WHERE {};", self.place(&self.ranges), overlaps.join(" AND "));
        if begin_with(client, &forget)?.last() == Some(&0) {
            return Ok(());
        }
        let staging = self.place(&self.staging);
        client.batch_execute(&format!("DELETE FROM {staging} WHERE {}", in_range("id", range)))
    }

    fn end_range(
        &self,
        client: &mut Client,
        range: &IdRange,
        records: u64,
    ) -> Result<(), postgres::Error> {
        let border = |id: &Option<String>| id.as_deref().map_or_else(|| "NULL".to_owned(), literal);
        client.batch_execute(&format!(
            "INSERT INTO {} VALUES ({}, {}, {records}); COMMIT",
            self.place(&self.ranges),
            border(&range.from),
            border(&range.to)
        ))
    }

    fn write_range(
        &self,
        client: &mut Client,
        range: &IdRange,
        records: &mut dyn RecordStream,
    ) -> Result<u64, StoreError> {
        let shown = self.shown();
        let cannot = |error| failed(format!("cannot write the range {range} of {shown}"), error);
        let dimensions = self.contract.dimensions;
        let rules = Rules { place: &shown, dimensions, half: false, range };
        self.begin_range(client, range).map_err(cannot)?;
        let count = copy_in(client, &self.place(&self.staging), rules, records)?;
        self.end_range(client, range, count).map_err(cannot)?;
        Ok(count)
    }

    /// Whether exactly this range is finished.
    fn is_finished(&self, client: &mut Client, range: &IdRange) -> Result<bool, StoreError> {
        if !self.is_staged(client)? {
            return Ok(false);
        }
        let same = |column: &str, id: &Option<String>| match id {
            Some(id) => format!("{column} = {}", literal(id)),
            None => format!("{column} IS NULL"),
        };
        let sql = format!(
            "SELECT FROM {} WHERE {} AND {}",
            self.place(&self.ranges),
            same("range_from", &range.from),
            same("range_to", &range.to)
        );
        let found = rows(client, &sql)
            .map_err(|error| failed(format!("cannot read {}", self.shown()), error))?;
        Ok(!found.is_empty())
    }

    /// The table of this load, looked up once.
    fn staged_table(&self, client: &mut Client) -> Result<Option<Table>, StoreError> {
        let mut held = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_none() {
            let name = CollectionName::new(self.staging.as_str())
                .map_err(|error| StoreError::new(Code::BUG, self.shown()).because(error))?;
            *held = Table::find(client, &name, &OpenOptions::default())?;
        }
        Ok(held.clone())
    }

    fn staged_records(&self, client: &mut Client) -> Result<u64, StoreError> {
        let sql = format!("SELECT sum(records)::int8 FROM {}", self.place(&self.ranges));
        let found = rows(client, &sql)
            .map_err(|error| failed(format!("cannot read {}", self.shown()), error))?;
        Ok(found.first().and_then(|row| text(row, 0).parse().ok()).unwrap_or(0))
    }

    fn index_name(&self) -> String {
        derived_name(&self.staging, "_embedding_idx")
    }

    /// The swap: the old table goes, the new one gets its name, the contract is written.
    fn swap(&self, client: &mut Client) -> Result<(), StoreError> {
        let name = &self.contract.name;
        let what = || format!("cannot put {} in the place of {name}", self.shown());
        let old = Table::find(client, name, &OpenOptions::default());
        let (mut sql, mut indexes) = (String::new(), String::new());
        match old {
            Ok(None) => {}
            Ok(Some(table)) if table.is_ours() => {
                let kept = kept(client, &table, &self.place(&self.staging))
                    .map_err(|error| failed(what(), error))?;
                sql = kept.rights + "DROP TABLE " + &table.sql() + ";";
                indexes = kept.indexes;
            }
            Ok(Some(_)) | Err(_) => return Err(not_ours(name)),
        }
        sql.push_str(&["DROP TABLE ", &self.place(&self.ranges), ";"].concat());
        let rename = |kind: &str, from: &str, to: &str| {
            format!("ALTER {kind} IF EXISTS {} RENAME TO {};", self.place(from), ident(to))
        };
        sql.push_str(&rename("TABLE", &self.staging, name.as_str()));
        for (from, ending) in
            [(derived_name(&self.staging, "_pkey"), "_pkey"), (self.index_name(), "_embedding_idx")]
        {
            sql.push_str(&rename("INDEX", &from, &derived_name(name.as_str(), ending)));
        }
        sql.push_str(&indexes);
        let mut transaction = begin_writing(client)?;
        transaction.batch_execute(&sql).map_err(|error| failed(what(), error))?;
        contracts::write(&mut transaction, &self.schema, &self.contract, &self.token)?;
        transaction.commit().map_err(|error| failed(what(), error))
    }
}

fn not_ours(name: &CollectionName) -> StoreError {
    StoreError::new(
        Code::STORE_UNSUPPORTED,
        format!("the table {name} was not made by Carnet, and replacing would drop it"),
    )
    .remedy("append or upsert into it, name another table, or drop it yourself")
}

/// What the table's owner added to a table of ours, as statements.
struct Kept {
    /// Owner and rights, for the new table.
    rights: String,
    /// Indexes beside the key and the search index, for after the swap.
    indexes: String,
}

fn kept(client: &mut Client, old: &Table, new: &str) -> Result<Kept, postgres::Error> {
    let oid = old.oid;
    let owner = format!(
        "SELECT format('ALTER TABLE %s OWNER TO %I;', {place}, pg_get_userbyid(relowner)) \
         FROM pg_class WHERE oid = {oid} AND pg_get_userbyid(relowner) <> current_user",
        place = literal(new)
    );
    let rights = format!(
        "SELECT format('GRANT %s ON %s TO %s%s;', a.privilege_type, {place}, \
                CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END, \
                CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) \
         FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = {oid} AND a.grantee <> c.relowner",
        place = literal(new)
    );
    let indexes = format!(
        "SELECT pg_get_indexdef(i.indexrelid) || ';' FROM pg_index i \
         JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam \
         WHERE i.indrelid = {oid} AND i.indisvalid AND m.amname NOT IN ('hnsw', 'ivfflat') \
           AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid) \
         ORDER BY c.relname COLLATE \"C\""
    );
    let mut run = |sql: &str| -> Result<String, postgres::Error> {
        Ok(rows(client, sql)?.iter().map(|row| text(row, 0)).collect())
    };
    Ok(Kept { rights: run(&owner)? + &run(&rights)?, indexes: run(&indexes)? })
}

impl Load for ReplaceLoad {
    fn load_range(
        &self,
        range: &IdRange,
        records: &mut dyn RecordStream,
    ) -> Result<u64, StoreError> {
        let mut client = self.writers.take(&self.connector)?;
        self.make(&mut client)?;
        // After a failure the connection is dropped, which undoes whatever it had begun.
        let count = self.write_range(&mut client, range, records)?;
        self.writers.give(client);
        Ok(count)
    }

    fn read_back(&self, range: &IdRange) -> Result<Option<Box<dyn RecordStream + '_>>, StoreError> {
        let mut client = self.readers.take()?;
        let table = if self.is_finished(&mut client, range)? {
            self.staged_table(&mut client)?
        } else {
            None
        };
        let Some(table) = table else {
            self.readers.give(client);
            return Ok(None);
        };
        let decoder = Decoder::new(&table, self.contract.dimensions, true);
        let query = one(range_query(&table, range));
        let place = self.shown();
        stream_on(client, &self.readers, IN_ORDER, query, decoder, place).map(Some)
    }

    fn commit(&self, progress: &dyn Progress) -> Result<(), StoreError> {
        let mut client = self.writers.take(&self.connector)?;
        if !self.is_staged(&mut client)? {
            let stored = contracts::read(&mut client)?;
            let committed =
                stored.get(&self.contract.name).is_some_and(|stored| stored.load == self.token);
            if committed {
                return Ok(());
            }
            return Err(StoreError::new(
                Code::STORE_NOT_FOUND,
                format!("there is nothing to commit: {} does not exist", self.shown()),
            )
            .remedy("load the ranges again"));
        }
        analyse(&mut client, &self.place(&self.staging))
            .map_err(|error| failed(format!("cannot analyse {}", self.shown()), error))?;
        let build = Build {
            contract: &self.contract,
            schema: &self.schema,
            table: &self.staging,
            index: &self.index_name(),
            records: self.staged_records(&mut client)?,
        };
        build.run(&self.connector, &mut client, progress)?;
        self.swap(&mut client)?;
        self.writers.give(client);
        Ok(())
    }

    fn abandon(&self) -> Result<Vec<String>, StoreError> {
        let mut client = self.writers.take(&self.connector)?;
        // Both tables are made, and go, in one transaction. A server that can only be read has none.
        if !self.is_staged(&mut client)? {
            self.writers.give(client);
            return Ok(Vec::new());
        }
        let sql = format!(
            "DROP TABLE IF EXISTS {}, {}",
            self.place(&self.staging),
            self.place(&self.ranges)
        );
        let mut transaction = begin_writing(&mut client)?;
        transaction
            .batch_execute("SET LOCAL client_min_messages = warning")
            .and_then(|()| transaction.batch_execute(&sql))
            .and_then(|()| transaction.commit())
            .map_err(|error| failed(format!("cannot remove {}", self.shown()), error))?;
        *self.made.lock().unwrap_or_else(PoisonError::into_inner) = false;
        *self.table.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.writers.give(client);
        Ok(Vec::new())
    }
}
