//! `carnet_collections`: the contracts of the collections beside them in the same schema.

use std::collections::BTreeMap;

use carnet_connect::StoreError;
use carnet_model::{Code, CollectionContract, CollectionName};
use postgres::{Client, Transaction};

use super::error::failed;
use super::sql::{ident, literal};
use super::table::{rows, text};

/// The table's name: no collection can have it.
pub(super) const CONTRACTS: &str = "carnet_collections";

/// What is stored of one collection.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) contract: CollectionContract,
    /// The load that was committed last.
    pub(super) load: String,
}

/// Everything that is stored; nothing where the table does not exist.
pub(super) fn read(client: &mut Client) -> Result<BTreeMap<CollectionName, Stored>, StoreError> {
    let cannot = |error| failed(format!("cannot read {CONTRACTS}"), error);
    let there = rows(client, &format!("SELECT to_regclass('{CONTRACTS}')")).map_err(cannot)?;
    if there.first().is_none_or(|row| text(row, 0).is_empty()) {
        return Ok(BTreeMap::new());
    }
    let sql = format!("SELECT name, contract::text, load FROM {CONTRACTS}");
    let mut stored = BTreeMap::new();
    for row in rows(client, &sql).map_err(cannot)? {
        let name = text(&row, 0);
        let malformed = |error: Box<dyn std::error::Error + Send + Sync>| {
            let what = format!("the contract of {name:?} in {CONTRACTS} is not understood");
            StoreError::new(Code::STORE_MALFORMED, what)
                .because(error)
                .remedy("correct that row, or load the collection again")
        };
        let mut contract: CollectionContract =
            serde_json::from_str(text(&row, 1)).map_err(|error| malformed(error.into()))?;
        contract.name = CollectionName::new(name).map_err(|error| malformed(error.into()))?;
        let load = text(&row, 2).to_owned();
        stored.insert(contract.name.clone(), Stored { contract, load });
    }
    Ok(stored)
}

/// Stores a contract, in the schema where the collection's table is.
pub(super) fn write(
    transaction: &mut Transaction<'_>,
    schema: &str,
    contract: &CollectionContract,
    load: &str,
) -> Result<(), StoreError> {
    let what = format!("cannot write the contract of {}", contract.name);
    let json = serde_json::to_string(contract)
        .map_err(|error| StoreError::new(Code::BUG, what.clone()).because(error))?;
    let place = format!("{}.{CONTRACTS}", ident(schema));
    // Two first loads at once would both make the table, and one of them would fail.
    let sql = format!(
        "SELECT pg_advisory_xact_lock(hashtext('{CONTRACTS}')); \
         SET LOCAL client_min_messages = warning; \
         CREATE TABLE IF NOT EXISTS {place} (name text COLLATE \"C\" PRIMARY KEY, \
           contract jsonb NOT NULL, load text NOT NULL, written timestamptz NOT NULL DEFAULT now()); \
         INSERT INTO {place} (name, contract, load) VALUES ({name}, {json}::jsonb, {load}) \
         ON CONFLICT (name) DO UPDATE \
           SET contract = EXCLUDED.contract, load = EXCLUDED.load, written = now();",
        name = literal(contract.name.as_str()),
        json = literal(&json),
        load = literal(load),
    );
    transaction.batch_execute(&sql).map_err(|error| failed(what, error))
}

/// Removes a contract, where there is one.
pub(super) fn remove(
    transaction: &mut Transaction<'_>,
    name: &CollectionName,
) -> Result<bool, StoreError> {
    let cannot = |error| failed(format!("cannot remove the contract of {name}"), error);
    let there = transaction
        .simple_query(&format!("SELECT FROM pg_class WHERE oid = to_regclass('{CONTRACTS}')"))
        .map_err(cannot)?;
    if !there.iter().any(|message| matches!(message, postgres::SimpleQueryMessage::Row(_))) {
        return Ok(false);
    }
    let sql = format!("DELETE FROM {CONTRACTS} WHERE name = {}", literal(name.as_str()));
    let deleted = transaction.execute_typed(&sql, &[]).map_err(cannot)?;
    Ok(deleted > 0)
}
