//! What a table looks like: which column holds which part of a record, and how it can be read.

use carnet_connect::StoreError;
use carnet_model::{Code, CollectionName, ColumnMap, TableLayout};
use postgres::{Client, SimpleQueryMessage, SimpleQueryRow};

use crate::open::OpenOptions;

use super::carried;
use super::error::failed;
use super::sql::{ident, literal};

/// The columns of the table that Carnet makes, in order, with their types; `vector` gets its
/// length.
pub(super) const OUR_COLUMNS: [(&str, &str); 7] = [
    ("id", "text COLLATE \"C\" PRIMARY KEY"),
    ("embedding", "vector"),
    ("metadata", "jsonb NOT NULL"),
    ("version", "bigint"),
    ("source_hash", "text"),
    ("created_ts", "timestamptz"),
    ("updated_ts", "timestamptz"),
];

/// One column of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    /// The type's own name (`int8`, `vector`); that of the base type for a domain.
    pub(super) type_name: String,
    /// The type as SQL writes it (`bigint`, `real[]`, `vector(3)`), for people.
    pub(super) shown: String,
    /// `pg_type.typtype`.
    pub(super) type_kind: String,
    /// For an array: the name and kind of its elements' type.
    pub(super) element: Option<String>,
    pub(super) element_kind: String,
    /// The length that the type declares; −1 for none.
    pub(super) modifier: i32,
    /// The value comes from an expression or is always generated: it cannot be written.
    pub(super) generated: bool,
    pub(super) default: Option<String>,
}

/// How rows are reached in order of id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// An index gives the ids in byte order.
    Index,
    /// The ids are read once and sorted by us; rows are fetched by their address.
    Addresses,
    /// The server sorts for each range: views, partitioned and foreign tables.
    Sorted,
}

/// Which column holds which part of a record.
#[derive(Debug, Clone, Default)]
pub(super) struct Parts {
    pub(super) id: Column,
    pub(super) vector: Column,
    pub(super) metadata: Option<Column>,
    pub(super) version: Option<Column>,
    pub(super) source_hash: Option<Column>,
    pub(super) created_ts: Option<Column>,
    pub(super) updated_ts: Option<Column>,
}

/// A table that holds a collection.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) oid: u32,
    pub(super) schema: String,
    pub(super) name: String,
    /// `pg_class.relkind`.
    pub(super) kind: char,
    pub(super) parts: Parts,
    /// The columns that travel under `_columns`.
    pub(super) carried: Vec<Column>,
    /// Every column by name, to know what a replacement would lose.
    pub(super) all: Vec<String>,
    /// The condition that picks this collection's rows, where the table holds several.
    pub(super) only: Option<String>,
    /// The column and the value that say so, for rows that are added.
    pub(super) only_value: Option<(String, String)>,
    pub(super) access: Access,
    /// Whether the ids are unique by an index, which upserts need.
    pub(super) unique: bool,
    /// Whether the ids are declared unique, also by a constraint that is checked late.
    pub(super) keyed: bool,
}

/// Runs statements without parameters and gives the rows, all values as text.
pub(super) fn rows(client: &mut Client, sql: &str) -> Result<Vec<SimpleQueryRow>, postgres::Error> {
    let mut rows = Vec::new();
    for message in client.simple_query(sql)? {
        if let SimpleQueryMessage::Row(row) = message {
            rows.push(row);
        }
    }
    Ok(rows)
}

/// A value of such a row; empty for NULL.
pub(super) fn text(row: &SimpleQueryRow, index: usize) -> &str {
    row.try_get(index).ok().flatten().unwrap_or_default()
}

/// A collection that is not there.
pub(super) fn missing(name: &CollectionName) -> StoreError {
    StoreError::new(Code::STORE_NOT_FOUND, format!("there is no collection {name}"))
        .remedy("name its table with ?table= in the store URL, and check the search_path")
}

/// Refuses a database without pgvector before anything else fails for want of it.
pub(super) fn check_extension(client: &mut Client, place: &str) -> Result<(), StoreError> {
    let found = rows(client, "SELECT to_regtype('vector')")
        .map_err(|error| failed(format!("cannot look at {place}"), error))?;
    if found.first().is_some_and(|row| !text(row, 0).is_empty()) {
        return Ok(());
    }
    Err(StoreError::new(Code::STORE_UNSUPPORTED, format!("{place} has no type vector"))
        .remedy("run CREATE EXTENSION vector in this database, and check the search_path"))
}

impl Table {
    /// Looks a collection up. `None`: there is no such table.
    pub(super) fn find(
        client: &mut Client,
        name: &CollectionName,
        options: &OpenOptions,
    ) -> Result<Option<Self>, StoreError> {
        let look = |error| failed(format!("cannot look up the collection {name}"), error);
        let found = match &options.layout {
            TableLayout::LangChain => find_langchain(client, name).map_err(look)?,
            TableLayout::LlamaIndex => {
                let own = format!("data_{}", name.as_str().to_lowercase());
                match relation(client, name.as_str()).map_err(look)? {
                    Some(relation) => Some((relation, None)),
                    None => relation(client, &own).map_err(look)?.map(|found| (found, None)),
                }
            }
            TableLayout::Carnet | TableLayout::Columns(_) => {
                relation(client, name.as_str()).map_err(look)?.map(|found| (found, None))
            }
        };
        let Some((relation, collection)) = found else { return Ok(None) };
        let columns = columns(client, relation.oid).map_err(look)?;
        let mut table = relation.into_table(columns, collection, options)?;
        table.find_access(client).map_err(look)?;
        Ok(Some(table))
    }

    /// Refuses a table in which nothing keeps two rows from having one id (`table.no_key`). Views
    /// and foreign tables can declare nothing, and `LlamaIndex` does not: there an id that stands
    /// twice is noticed when it is read.
    pub(super) fn check_key(&self, layout: &TableLayout) -> Result<(), StoreError> {
        let can_declare = matches!(self.kind, 'r' | 'p');
        if self.keyed || !can_declare || *layout == TableLayout::LlamaIndex {
            return Ok(());
        }
        Err(self.no_key())
    }

    /// What is said of a table without a key.
    pub(super) fn no_key(&self) -> StoreError {
        let (place, column) = (self.place(), &self.parts.id.name);
        StoreError::new(
            Code::TABLE_NO_KEY,
            format!("column {column} of {place} has no primary key or unique index"),
        )
        .remedy(format!(
            "declare the ids unique: CREATE UNIQUE INDEX ON {} ({})",
            self.sql(),
            ident(column)
        ))
    }

    /// The table's name in statements.
    pub(super) fn sql(&self) -> String {
        format!("{}.{}", ident(&self.schema), ident(&self.name))
    }

    /// The table for people.
    pub(super) fn place(&self) -> String {
        format!("table {}.{}", self.schema, self.name)
    }

    /// The id as text.
    pub(super) fn id_text(&self) -> String {
        let column = format!("t.{}", ident(&self.parts.id.name));
        if self.parts.id.type_name == "text" { column } else { format!("{column}::text") }
    }

    /// The condition that picks this collection's rows.
    pub(super) fn condition(&self) -> &str {
        self.only.as_deref().unwrap_or("true")
    }

    /// The expressions of a row, in the order of a record's parts, then the carried columns.
    pub(super) fn select_list(&self) -> String {
        let part = |column: &Option<Column>, cast: &str| match column {
            Some(column) => format!("t.{}{cast}", ident(&column.name)),
            None => format!("NULL{}", if cast.is_empty() { "::timestamptz" } else { cast }),
        };
        let time = |column: &Option<Column>| {
            let whole = column.as_ref().is_some_and(|column| column.type_name != "timestamptz");
            part(column, if whole { "::int8" } else { "" })
        };
        let vector = &self.parts.vector;
        let widen = if vector.type_name == "halfvec" { "::vector" } else { "" };
        let mut list = vec![
            self.id_text(),
            format!("t.{}{widen}", ident(&vector.name)),
            part(&self.parts.metadata, "::text"),
            part(&self.parts.version, "::int8"),
            part(&self.parts.source_hash, "::text"),
            time(&self.parts.created_ts),
            time(&self.parts.updated_ts),
        ];
        list.extend(self.carried.iter().filter_map(|column| {
            carried::expression(column, &format!("t.{}", ident(&column.name)))
        }));
        list.join(", ")
    }

    /// Whether this is a table as Carnet makes it: the same columns with the same types.
    pub(super) fn is_ours(&self) -> bool {
        let parts = &self.parts;
        let optional = [
            &parts.metadata,
            &parts.version,
            &parts.source_hash,
            &parts.created_ts,
            &parts.updated_ts,
        ];
        let columns = [Some(&parts.id), Some(&parts.vector)]
            .into_iter()
            .chain(optional.map(Option::as_ref))
            .flatten()
            .map(|column| (column.name.as_str(), column.type_name.as_str()));
        let ours = OUR_COLUMNS.iter().map(|(name, declared)| {
            (
                *name,
                match *declared {
                    "bigint" => "int8",
                    other => other.split(' ').next().unwrap_or_default(),
                },
            )
        });
        self.kind == 'r' && self.all.len() == OUR_COLUMNS.len() && columns.eq(ours)
    }

    fn find_access(&mut self, client: &mut Client) -> Result<(), postgres::Error> {
        let sql = format!(
            "SELECT i.indisunique AND i.indimmediate, i.indisunique, \
                    i.indcollation[0] = 'pg_catalog.\"C\"'::regcollation \
                      AND m.amname = 'btree' AND o.opcname IN ('text_ops', 'varchar_ops') \
             FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam \
             JOIN pg_opclass o ON o.oid = i.indclass[0] \
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] \
             WHERE i.indrelid = {} AND i.indnkeyatts = 1 AND i.indisvalid AND i.indpred IS NULL \
               AND a.attname = {}",
            self.oid,
            literal(&self.parts.id.name)
        );
        let mut ordered = false;
        for row in rows(client, &sql)? {
            self.unique |= text(&row, 0) == "t";
            self.keyed |= text(&row, 1) == "t";
            ordered |= text(&row, 2) == "t";
        }
        let utf8 = rows(client, "SELECT current_setting('server_encoding')")?
            .first()
            .is_some_and(|row| text(row, 0) == "UTF8");
        self.access = match self.kind {
            'r' | 'm' if self.access == Access::Sorted => Access::Sorted,
            'r' | 'm' if ordered && utf8 => Access::Index,
            'r' | 'm' => Access::Addresses,
            _ => Access::Sorted,
        };
        Ok(())
    }
}

/// The column that says which collection of LangChain a row belongs to.
const COLLECTION_ID: &str = "collection_id";

/// A relation of a name, before its columns are known.
struct Relation {
    oid: u32,
    schema: String,
    name: String,
    kind: char,
    has_children: bool,
}

fn relation(client: &mut Client, name: &str) -> Result<Option<Relation>, postgres::Error> {
    let sql = format!(
        "SELECT c.oid, n.nspname, c.relname, c.relkind, \
                EXISTS (SELECT FROM pg_inherits h WHERE h.inhparent = c.oid) \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.oid = to_regclass({})",
        literal(&ident(name))
    );
    Ok(rows(client, &sql)?.first().map(|row| Relation {
        oid: text(row, 0).parse().unwrap_or(0),
        schema: text(row, 1).to_owned(),
        name: text(row, 2).to_owned(),
        kind: text(row, 3).chars().next().unwrap_or('?'),
        has_children: text(row, 4) == "t",
    }))
}

/// A relation, with the uuid of the collection within it where it holds several.
type Found = Option<(Relation, Option<String>)>;

fn find_langchain(client: &mut Client, name: &CollectionName) -> Result<Found, postgres::Error> {
    let Some(table) = relation(client, "langchain_pg_embedding")? else { return Ok(None) };
    let sql =
        format!("SELECT uuid FROM langchain_pg_collection WHERE name = {}", literal(name.as_str()));
    Ok(rows(client, &sql)?.first().map(|row| (table, Some(text(row, 0).to_owned()))))
}

fn columns(client: &mut Client, oid: u32) -> Result<Vec<Column>, postgres::Error> {
    let sql = format!(
        "SELECT a.attname, COALESCE(b.typname, t.typname), COALESCE(b.typtype, t.typtype), \
                CASE WHEN t.typcategory = 'A' THEN e.typname END, e.typtype, a.atttypmod, \
                a.attgenerated <> '' OR a.attidentity = 'a', pg_get_expr(d.adbin, d.adrelid), \
                format_type(a.atttypid, a.atttypmod) \
         FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
         LEFT JOIN pg_type b ON b.oid = t.typbasetype AND t.typtype = 'd' \
         LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A' \
         LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
         WHERE a.attrelid = {oid} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
    );
    Ok(rows(client, &sql)?
        .iter()
        .map(|row| Column {
            name: text(row, 0).to_owned(),
            type_name: text(row, 1).to_owned(),
            type_kind: text(row, 2).to_owned(),
            element: row.try_get(3).ok().flatten().map(str::to_owned),
            element_kind: text(row, 4).to_owned(),
            modifier: text(row, 5).parse().unwrap_or(-1),
            generated: text(row, 6) == "t",
            default: row.try_get(7).ok().flatten().map(str::to_owned),
            shown: text(row, 8).to_owned(),
        })
        .collect())
}

/// The column map of a layout; the columns that may be absent are those that the layout's own
/// programs do not always make.
fn map_of(layout: &TableLayout, columns: &[Column]) -> ColumnMap {
    let has = |name: &str| columns.iter().any(|column| column.name == name);
    let some = |name: &str| has(name).then(|| name.to_owned());
    let plain = |id: &str, metadata: &str| ColumnMap {
        id: id.to_owned(),
        vector: "embedding".to_owned(),
        metadata: some(metadata),
        version: None,
        source_hash: None,
        created_ts: None,
        updated_ts: None,
    };
    match layout {
        TableLayout::Columns(map) => map.clone(),
        // Before 2024 the key was `uuid`.
        TableLayout::LangChain => plain(if has("id") { "id" } else { "uuid" }, "cmetadata"),
        TableLayout::LlamaIndex => plain("node_id", "metadata_"),
        TableLayout::Carnet => ColumnMap {
            version: some("version"),
            source_hash: some("source_hash"),
            created_ts: some("created_ts"),
            updated_ts: some("updated_ts"),
            ..plain("id", "metadata")
        },
    }
}

const ID_TYPES: &[&str] = &["text", "varchar", "int2", "int4", "int8", "uuid"];
const VECTOR_TYPES: &[&str] = &["vector", "halfvec"];
const INTEGER_TYPES: &[&str] = &["int2", "int4", "int8"];
const TIME_TYPES: &[&str] = &["timestamptz", "int8"];

/// The name of a type in SQL, where the type has another one of its own.
fn as_sql_writes(type_name: &str) -> &str {
    match type_name {
        "int2" => "smallint",
        "int4" => "integer",
        "int8" => "bigint",
        other => other,
    }
}

impl Relation {
    fn into_table(
        self,
        columns: Vec<Column>,
        collection: Option<String>,
        options: &OpenOptions,
    ) -> Result<Table, StoreError> {
        let place = format!("table {}.{}", self.schema, self.name);
        if !matches!(self.kind, 'r' | 'p' | 'v' | 'm' | 'f') {
            return Err(StoreError::new(
                Code::STORE_UNSUPPORTED,
                format!("{}.{} is not a table or a view", self.schema, self.name),
            ));
        }
        let map = map_of(&options.layout, &columns);
        let pick =
            |name: &str, part: &str, types: &[&str]| pick(&columns, &place, name, part, types);
        let maybe = |name: &Option<String>, part: &str, types: &[&str]| {
            name.as_deref().map(|name| pick(name, part, types)).transpose()
        };
        let parts = Parts {
            id: pick(&map.id, "id", ID_TYPES)?,
            vector: pick(&map.vector, "vector", VECTOR_TYPES)?,
            metadata: maybe(&map.metadata, "metadata", &["jsonb", "json"])?,
            version: maybe(&map.version, "version", INTEGER_TYPES)?,
            source_hash: maybe(&map.source_hash, "source_hash", &["text", "varchar"])?,
            created_ts: maybe(&map.created_ts, "created_ts", TIME_TYPES)?,
            updated_ts: maybe(&map.updated_ts, "updated_ts", TIME_TYPES)?,
        };
        let carried = carried_columns(&columns, &parts, collection.is_some(), options, &place)?;
        Ok(Table {
            oid: self.oid,
            schema: self.schema,
            name: self.name,
            kind: self.kind,
            all: columns.into_iter().map(|column| column.name).collect(),
            carried,
            parts,
            only: collection
                .as_deref()
                .map(|uuid| format!("t.{} = {}::uuid", ident(COLLECTION_ID), literal(uuid))),
            only_value: collection.map(|uuid| (COLLECTION_ID.to_owned(), uuid)),
            access: if self.has_children { Access::Sorted } else { Access::Addresses },
            unique: false,
            keyed: false,
        })
    }
}

fn carried_columns(
    columns: &[Column],
    parts: &Parts,
    several: bool,
    options: &OpenOptions,
    place: &str,
) -> Result<Vec<Column>, StoreError> {
    let mapped = [&parts.metadata, &parts.version, &parts.source_hash, &parts.created_ts]
        .into_iter()
        .chain([&parts.updated_ts])
        .flatten()
        .chain([&parts.id, &parts.vector]);
    let mapped: Vec<&str> = mapped.map(|column| column.name.as_str()).collect();
    let mut carried = Vec::new();
    for column in columns {
        let name = column.name.as_str();
        // Which collection a row belongs to is told by the collection itself.
        if mapped.contains(&name) || (several && name == COLLECTION_ID) {
            continue;
        }
        if options.drop.iter().any(|dropped| dropped == name) {
            continue;
        }
        if carried::expression(column, "x").is_none() {
            return Err(StoreError::new(
                Code::TABLE_UNMAPPED,
                format!(
                    "column {name} of {place} has the type {}, which cannot be carried",
                    column.shown
                ),
            )
            .remedy(format!("name {name} under `drop` to leave it behind")));
        }
        carried.push(column.clone());
    }
    Ok(carried)
}

fn pick(
    columns: &[Column],
    place: &str,
    name: &str,
    part: &str,
    types: &[&str],
) -> Result<Column, StoreError> {
    let Some(column) = columns.iter().find(|column| column.name == name) else {
        return Err(StoreError::new(
            Code::TABLE_COLUMN,
            format!("{place} has no column {name} for the {part}"),
        )
        .remedy("name the columns in the plan, or choose the layout of the program that made it"));
    };
    if types.contains(&column.type_name.as_str()) && column.element.is_none() {
        return Ok(column.clone());
    }
    let types: Vec<_> = types.iter().copied().map(as_sql_writes).collect();
    let what = format!(
        "column {name} of {place} has the type {}; the {part} needs {}",
        column.shown,
        types.join(", ")
    );
    let unsupported = part == "vector" && matches!(column.type_name.as_str(), "sparsevec" | "bit");
    Err(if unsupported {
        StoreError::new(Code::STORE_UNSUPPORTED, what)
            .remedy("sparse and bit vectors are not moved; choose a vector or halfvec column")
    } else {
        StoreError::new(Code::TABLE_COLUMN, what).remedy("name another column in the plan")
    })
}
