//! The tables of a store: what ours look like, and what is asked of tables that others made.

use std::collections::BTreeSet;

use carnet_connect::StoreError;
use carnet_model::{Code, CollectionContract, CollectionName};
use rusqlite::{Connection, OptionalExtension as _};

use super::failure::failed;

/// The columns of a record, in the order of every statement here.
pub(super) const COLUMNS: [&str; 7] =
    ["id", "vector", "metadata", "version", "source_hash", "created_ts", "updated_ts"];
/// Those without which a table holds no records.
const NEEDED: [&str; 3] = ["id", "vector", "metadata"];

/// The table of contracts, one row per collection.
const COLLECTIONS: &str = "carnet_collections";
/// The table of finished ranges of loads that are not committed yet.
const LOADS: &str = "carnet_loads";
/// Stands between a collection's name and a load's token in the name of a staging table.
const STAGED: &str = "__carnet_";

/// A table that holds records.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) dimensions: u32,
    /// For each of `COLUMNS`, whether the table has it.
    has: [bool; 7],
    /// Whether rows and ids stand in two trees, which a damaged file may hold at odds.
    pub(super) two_trees: bool,
}

impl Table {
    /// A table that we made.
    pub(super) fn ours(name: String, dimensions: u32) -> Self {
        Self { name, dimensions, has: [true; 7], two_trees: false }
    }

    /// What a statement selects to get a record; an absent column is NULL.
    pub(super) fn selection(&self) -> String {
        let column = |(name, has): (&str, bool)| if has { name.to_owned() } else { "NULL".into() };
        COLUMNS.into_iter().zip(self.has).map(column).collect::<Vec<_>>().join(", ")
    }

    /// Refuses a table that cannot take all of a record.
    pub(super) fn check_complete(&self) -> Result<(), StoreError> {
        let missing: Vec<_> = COLUMNS
            .into_iter()
            .zip(self.has)
            .filter_map(|(name, has)| (!has).then_some(name))
            .collect();
        if missing.is_empty() { Ok(()) } else { Err(no_columns(&self.name, &missing)) }
    }
}

fn no_columns(table: &str, missing: &[&str]) -> StoreError {
    StoreError::new(
        Code::TABLE_COLUMN,
        format!("table {table} has no column {}", missing.join(", ")),
    )
    .remedy(format!("a collection is a table with the columns {}", COLUMNS.join(", ")))
}

/// A collection that is not there.
pub(super) fn no_collection(name: &CollectionName, shown: &str) -> StoreError {
    StoreError::new(Code::STORE_NOT_FOUND, format!("there is no collection {name} in {shown}"))
}

/// The staging table of a load.
pub(super) fn staging_name(name: &CollectionName, token: &str) -> String {
    format!("{name}{STAGED}{token}")
}

/// Refuses names that this store cannot tell apart from its own or from each other. SQLite does
/// not tell small letters from capitals in names of tables.
pub(super) fn check_name(
    connection: Option<&Connection>,
    name: &CollectionName,
) -> Result<(), StoreError> {
    let lower = name.as_str().to_ascii_lowercase();
    let taken = lower.starts_with("sqlite_") || lower.contains(STAGED) || is_internal(&lower);
    if taken {
        return Err(StoreError::new(
            Code::STORE_UNSUPPORTED,
            format!("the name {name} is kept for SQLite's or Carnet's own tables"),
        )
        .remedy("give the collection another name"));
    }
    let Some(connection) = connection else { return Ok(()) };
    let sql = "SELECT name FROM sqlite_schema \
               WHERE name = ?1 COLLATE NOCASE AND (name <> ?1 OR type <> 'table') LIMIT 1";
    let other: Option<String> = connection
        .query_row(sql, [name.as_str()], |row| row.get(0))
        .optional()
        .map_err(|source| failed("cannot read the list of tables", source))?;
    match other {
        None => Ok(()),
        Some(other) => Err(StoreError::new(
            Code::STORE_UNSUPPORTED,
            format!("the name {name} is taken by {other}"),
        )
        .remedy("give the collection another name, or choose another file")),
    }
}

fn is_internal(name: &str) -> bool {
    name == COLLECTIONS || name == LOADS
}

/// Whether a table of this name is there, letter by letter.
pub(super) fn has_table(connection: &Connection, name: &str) -> Result<bool, StoreError> {
    connection
        .prepare_cached("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1")
        .and_then(|mut statement| statement.exists([name]))
        .map_err(|source| failed("cannot read the list of tables", source))
}

/// The names of all collections: those with a contract, and every other table that holds ids and
/// vectors.
pub(super) fn collections(connection: &Connection) -> Result<Vec<CollectionName>, StoreError> {
    let cannot = |source| failed("cannot read the list of collections", source);
    let mut names = BTreeSet::new();
    let tables: Vec<String> = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")
        .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
        .map_err(cannot)?;
    for table in tables {
        if is_internal(&table) || table.contains(STAGED) {
            continue;
        }
        let columns = columns_of(connection, &table)?;
        let holds = |wanted: &str| columns.iter().any(|column| column.name == wanted);
        if !holds("id") || !holds("vector") {
            continue;
        }
        names.insert(CollectionName::new(table.as_str()).map_err(|bad| {
            StoreError::new(Code::STORE_UNSUPPORTED, "a table with ids and vectors cannot be named")
                .because(bad)
                .remedy("rename the table")
        })?);
    }
    if has_table(connection, COLLECTIONS)? {
        let registered: Vec<String> = connection
            .prepare("SELECT name FROM carnet_collections")
            .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
            .map_err(cannot)?;
        for name in registered {
            names.insert(CollectionName::new(name).map_err(|bad| {
                StoreError::new(Code::STORE_MALFORMED, "carnet_collections holds a bad name")
                    .because(bad)
            })?);
        }
    }
    Ok(names.into_iter().collect())
}

/// The declared contract, and the token of the load that wrote the collection.
pub(super) fn registered(
    connection: &Connection,
    name: &CollectionName,
) -> Result<Option<(CollectionContract, Option<String>)>, StoreError> {
    if !has_table(connection, COLLECTIONS)? {
        return Ok(None);
    }
    let row: Option<(String, Option<String>)> = connection
        .query_row(
            "SELECT contract, load FROM carnet_collections WHERE name = ?1",
            [name.as_str()],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()
        .map_err(|source| failed(format!("cannot read the contract of {name}"), source))?;
    let Some((text, token)) = row else { return Ok(None) };
    let contract: CollectionContract = serde_json::from_str(&text).map_err(|source| {
        StoreError::new(Code::STORE_MALFORMED, format!("the contract of {name} is malformed"))
            .because(source)
    })?;
    if contract.name != *name || contract.dimensions == 0 {
        return Err(StoreError::new(
            Code::STORE_MALFORMED,
            format!(
                "the contract of {name} speaks of {} with {} dimensions",
                contract.name, contract.dimensions
            ),
        ));
    }
    Ok(Some((contract, token)))
}

/// The table of a collection with its contract, after checking that it can be read as records.
pub(super) fn table(
    connection: &Connection,
    name: &CollectionName,
    dropped: &BTreeSet<String>,
    shown: &str,
) -> Result<(Table, CollectionContract), StoreError> {
    let declared = registered(connection, name)?.map(|(contract, _)| contract);
    if !has_table(connection, name.as_str())? {
        return Err(match declared {
            None => no_collection(name, shown),
            Some(_) => StoreError::new(
                Code::STORE_MALFORMED,
                format!("{shown} has a contract for {name}, but no such table"),
            ),
        });
    }
    let columns = columns_of(connection, name.as_str())?;
    let has = COLUMNS.map(|wanted| columns.iter().any(|column| column.name == wanted));
    // A table with a contract was whole once: a column that is missing there was lost.
    let needed: &[&str] = if declared.is_some() { &COLUMNS } else { &NEEDED };
    let missing: Vec<&str> = needed
        .iter()
        .copied()
        .filter(|wanted| !columns.iter().any(|column| column.name == *wanted))
        .collect();
    if !missing.is_empty() {
        return Err(no_columns(name.as_str(), &missing));
    }
    let unmapped: Vec<&str> = columns
        .iter()
        .map(|column| column.name.as_str())
        .filter(|column| !COLUMNS.contains(column) && !dropped.contains(*column))
        .collect();
    if !unmapped.is_empty() {
        return Err(StoreError::new(
            Code::TABLE_UNMAPPED,
            format!(
                "table {name} has columns that are no part of a record: {}",
                unmapped.join(", ")
            ),
        )
        .remedy("name them under `drop` to leave them behind, or move them into the metadata"));
    }
    check_key(connection, name)?;
    let two_trees = columns.iter().all(|column| column.name != "id" || !column.clustered);
    let contract = match declared {
        Some(contract) => contract,
        None => CollectionContract::unknown(name.clone(), dimensions_of(connection, name)?),
    };
    let dimensions = contract.dimensions;
    Ok((Table { name: name.to_string(), dimensions, has, two_trees }, contract))
}

#[derive(Debug)]
struct Column {
    name: String,
    /// Part of the primary key of a table without row ids.
    clustered: bool,
}

fn columns_of(connection: &Connection, table: &str) -> Result<Vec<Column>, StoreError> {
    let read = || -> rusqlite::Result<Vec<Column>> {
        let without_rowid: bool = connection
            .prepare_cached("SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?1")?
            .query_row([table], |row| row.get(0))
            .optional()?
            .unwrap_or(false);
        connection
            .prepare_cached("SELECT name, pk FROM pragma_table_xinfo(?1)")?
            .query_map([table], |row| {
                let key: i64 = row.get(1)?;
                Ok(Column { name: row.get(0)?, clustered: without_rowid && key > 0 })
            })?
            .collect()
    };
    read().map_err(|source| failed(format!("cannot read the columns of {table}"), source))
}

/// Ids must be unique by their bytes, and readable in that order without sorting the table.
fn check_key(connection: &Connection, name: &CollectionName) -> Result<(), StoreError> {
    let sql = "SELECT 1 FROM pragma_index_list(?1) AS list
               WHERE list.\"unique\" = 1 AND list.partial = 0
                 AND (SELECT group_concat(name || ' ' || coll || ' ' || \"desc\")
                      FROM pragma_index_xinfo(list.name) WHERE key = 1) = 'id BINARY 0'";
    let keyed = connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.exists([name.as_str()]))
        .map_err(|source| failed(format!("cannot read the keys of {name}"), source))?;
    if keyed {
        return Ok(());
    }
    Err(StoreError::new(
        Code::TABLE_NO_KEY,
        format!("table {name} has no unique key on id in byte order"),
    )
    .remedy(format!("CREATE UNIQUE INDEX {name}_id ON \"{name}\" (id COLLATE BINARY)")))
}

/// The length of the first vector, for a table that declares nothing.
fn dimensions_of(connection: &Connection, name: &CollectionName) -> Result<u32, StoreError> {
    let bytes: Option<u32> = connection
        .query_row(
            &format!("SELECT length(vector) FROM \"{name}\" WHERE typeof(vector) = 'blob' LIMIT 1"),
            [],
            |row| row.get(0),
        )
        .optional()
        .map_err(|source| failed(format!("cannot read {name}"), source))?;
    match bytes {
        Some(bytes) if bytes > 0 && bytes % 4 == 0 => Ok(bytes / 4),
        Some(bytes) => Err(StoreError::new(
            Code::RECORD_VECTOR,
            format!("a vector of {name} has {bytes} bytes, which are no 32-bit floats"),
        )),
        None => Err(StoreError::new(
            Code::STORE_UNSUPPORTED,
            format!("table {name} holds no vectors and declares no dimensions"),
        )
        .remedy("drop the table, or fill it")),
    }
}

/// Makes the table of a collection. Rows stand in the tree of ids: one tree, in byte order of id.
pub(super) fn create_table(connection: &Connection, table: &Table) -> rusqlite::Result<()> {
    let Table { name, dimensions, .. } = table;
    connection.execute_batch(&format!(
        "CREATE TABLE IF NOT EXISTS \"{name}\" (
            id TEXT NOT NULL PRIMARY KEY COLLATE BINARY,
            vector BLOB NOT NULL CHECK (length(vector) = {bytes}),
            metadata TEXT NOT NULL,
            version INTEGER,
            source_hash TEXT,
            created_ts INTEGER,
            updated_ts INTEGER
        ) STRICT, WITHOUT ROWID",
        bytes = u64::from(*dimensions) * 4
    ))
}

/// Makes the tables that we keep beside the collections, where they are missing.
pub(super) fn create_own_tables(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS carnet_collections (
            name TEXT NOT NULL PRIMARY KEY, contract TEXT NOT NULL, load TEXT
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS carnet_loads (
            staging TEXT NOT NULL, range TEXT NOT NULL, records INTEGER NOT NULL,
            in_place INTEGER NOT NULL, PRIMARY KEY (staging, range)
        ) STRICT, WITHOUT ROWID",
    )
}

/// Removes those that are empty.
pub(super) fn drop_empty_own_tables(connection: &Connection) -> Result<(), StoreError> {
    for own in [COLLECTIONS, LOADS] {
        if has_table(connection, own)? {
            let empty = format!("SELECT NOT EXISTS (SELECT 1 FROM {own})");
            let drop = || -> rusqlite::Result<()> {
                if connection.query_row(&empty, [], |row| row.get(0))? {
                    connection.execute_batch(&format!("DROP TABLE {own}"))?;
                }
                Ok(())
            };
            drop().map_err(|source| failed(format!("cannot remove {own}"), source))?;
        }
    }
    Ok(())
}

/// Declares a contract, written by the load of this token.
pub(super) fn register(
    connection: &Connection,
    contract: &CollectionContract,
    token: &str,
) -> Result<(), StoreError> {
    let text = serde_json::to_string(contract).map_err(|source| {
        StoreError::new(Code::BUG, "cannot write a contract as JSON").because(source)
    })?;
    connection
        .execute(
            "INSERT OR REPLACE INTO carnet_collections (name, contract, load) VALUES (?1, ?2, ?3)",
            [contract.name.as_str(), &text, token],
        )
        .map(|_| ())
        .map_err(|source| failed(format!("cannot declare {}", contract.name), source))
}
