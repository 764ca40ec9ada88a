//! PostgreSQL.

use std::error::Error;
use std::time::Duration;

use carnet_connect::{SqlChange, SqlRows, SqlSession, SqlStatement, SqlValue, StoreError};
use carnet_model::{Code, PostgresUrl, Secret};
use postgres::fallible_iterator::FallibleIterator;
use postgres::types::private::BytesMut;
use postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};
use postgres::{Client, SimpleQueryMessage, Transaction};

use super::{ANSWER_BYTES_MAX, ended_itself, fenced, too_slow};
use crate::postgres::{Connector, failed, settings};

/// An open connection.
pub(super) struct Session {
    client: Client,
    place: String,
}

/// A parameter in the text form of whatever type the statement wants.
#[derive(Debug)]
struct Parameter<'a>(&'a SqlValue);

impl ToSql for Parameter<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self.0 {
            SqlValue::Null => return Ok(IsNull::Yes),
            SqlValue::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
            SqlValue::Integer(value) => out.extend_from_slice(value.to_string().as_bytes()),
            SqlValue::Text(text) => out.extend_from_slice(text.as_bytes()),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

fn parameters(statement: &SqlStatement) -> Vec<Parameter<'_>> {
    statement.parameters.iter().map(Parameter).collect()
}

fn borrowed<'a>(parameters: &'a [Parameter<'a>]) -> Vec<&'a (dyn ToSql + Sync)> {
    parameters.iter().map(|parameter| parameter as &(dyn ToSql + Sync)).collect()
}

impl Session {
    pub(super) fn open(url: &PostgresUrl, password: Option<&Secret>) -> Result<Self, StoreError> {
        if !url.tables.is_empty() {
            let what = "the URL of a database for SQL names tables";
            return Err(StoreError::new(Code::STORE_URL, what).remedy("take `table=` out of it"));
        }
        let connector = Connector::new(url, password)?;
        Ok(Self { client: connector.connect()?, place: connector.place().to_owned() })
    }

    /// Begins a transaction with limits of its own.
    fn begin(&mut self, read_only: bool, limit: Duration) -> Result<Transaction<'_>, StoreError> {
        let cannot = |error| failed(format!("cannot begin to work in {}", self.place), error);
        let builder = self.client.build_transaction().read_only(read_only);
        let mut transaction = builder.start().map_err(cannot)?;
        let limit = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX).max(1);
        let text = format!(
            "{} SET LOCAL statement_timeout = {limit}; SET LOCAL lock_timeout = {limit};",
            settings()
        );
        transaction.batch_execute(&text).map_err(cannot)?;
        Ok(transaction)
    }
}

/// A failure of a statement.
fn refused(what: String, error: postgres::Error) -> StoreError {
    // 57014: the limit on its time; 55P03: on waiting for a lock.
    match error.code().map(postgres::error::SqlState::code) {
        Some("57014") => too_slow(&what).because(error),
        Some(_) | None => failed(what, error),
    }
}

/// Makes the two tables where they are missing. Two that do so at once wait for one another.
fn tables(transaction: &mut Transaction<'_>, place: &str) -> Result<(), StoreError> {
    let cannot = |error| refused(format!("cannot make the tables of Carnet in {place}"), error);
    let look = "SELECT to_regclass('carnet_fence') IS NOT NULL \
                AND to_regclass('carnet_changes') IS NOT NULL";
    let there: bool = transaction.query_one(look, &[]).map_err(cannot)?.get(0);
    if there {
        return Ok(());
    }
    let make = "SELECT pg_advisory_xact_lock(7161925520143683442);
        CREATE TABLE IF NOT EXISTS carnet_fence (
            name text PRIMARY KEY, generation bigint NOT NULL);
        CREATE TABLE IF NOT EXISTS carnet_changes (
            key text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(),
            generation bigint NOT NULL);";
    transaction.batch_execute(make).map_err(cannot)
}

/// Refuses an old writer, and makes every older one be refused from now on. The row stays locked
/// until the end of the transaction, so that two writers follow one another.
fn fence(
    transaction: &mut Transaction<'_>,
    change: &SqlChange,
    place: &str,
) -> Result<i64, StoreError> {
    let (name, generation) = (&change.fence.name, change.fence.generation);
    let number = i64::try_from(generation).unwrap_or(i64::MAX);
    let upsert = "INSERT INTO carnet_fence AS f (name, generation) VALUES ($1, $2)
        ON CONFLICT (name) DO UPDATE SET generation = excluded.generation
        WHERE f.generation <= excluded.generation";
    let rows = transaction.execute(upsert, &[name, &number]);
    match rows.map_err(|error| refused(format!("cannot write the fence in {place}"), error))? {
        0 => Err(fenced(name, generation)),
        _ => Ok(number),
    }
}

/// Runs the statements, and makes sure that all are part of this transaction.
fn statements(
    transaction: &mut Transaction<'_>,
    change: &SqlChange,
) -> Result<Vec<u64>, StoreError> {
    let id = |transaction: &mut Transaction<'_>| -> Result<i64, postgres::Error> {
        Ok(transaction.query_one("SELECT pg_catalog.txid_current()", &[])?.get(0))
    };
    let cannot = |error| refused("cannot look at the transaction".to_owned(), error);
    let ours = id(transaction).map_err(cannot)?;
    let mut rows = Vec::with_capacity(change.statements.len());
    for (number, statement) in change.statements.iter().enumerate() {
        let values = parameters(statement);
        let done = transaction.execute(statement.sql.as_str(), &borrowed(&values));
        rows.push(done.map_err(|error| refused(format!("statement {}", number + 1), error))?);
        if id(transaction).map_err(cannot)? != ours {
            return Err(ended_itself(number));
        }
    }
    Ok(rows)
}

impl SqlSession for Session {
    fn query(
        &mut self,
        statement: &SqlStatement,
        rows_max: usize,
        limit: Duration,
    ) -> Result<SqlRows, StoreError> {
        let mut transaction = self.begin(true, limit)?;
        let text = statement.sql.trim().trim_end_matches(';');
        let word: String = text.chars().take_while(char::is_ascii_alphabetic).collect();
        let selects = ["select", "with", "values", "table"];
        let rows = if selects.contains(&word.to_ascii_lowercase().as_str()) {
            select(&mut transaction, text, statement, rows_max)
        } else {
            shown(&mut transaction, text, statement, rows_max)
        };
        let rows = rows.map_err(|error| refused("the query".to_owned(), error))?;
        // Nothing was changed: how it ends is of no consequence.
        let _ = transaction.rollback();
        Ok(rows)
    }

    fn change(&mut self, change: &SqlChange) -> Result<Option<Vec<u64>>, StoreError> {
        let place = self.place.clone();
        let mut transaction = self.begin(false, change.limit)?;
        tables(&mut transaction, &place)?;
        let generation = fence(&mut transaction, change, &place)?;
        let insert = "INSERT INTO carnet_changes (key, generation) VALUES ($1, $2) \
                      ON CONFLICT (key) DO NOTHING";
        let new = transaction.execute(insert, &[&change.key, &generation]);
        let new =
            new.map_err(|error| refused(format!("cannot write the key in {place}"), error))?;
        if new == 0 {
            return Ok(None);
        }
        let rows = statements(&mut transaction, change)?;
        transaction.commit().map_err(|error| refused(format!("the commit in {place}"), error))?;
        Ok(Some(rows))
    }

    fn is_changed(&mut self, key: &str) -> Result<bool, StoreError> {
        let cannot = |error| failed("cannot read carnet_changes".to_owned(), error);
        let look = "SELECT to_regclass('carnet_changes') IS NOT NULL";
        let there: bool = self.client.query_one(look, &[]).map_err(cannot)?.get(0);
        if !there {
            return Ok(false);
        }
        let rows = self.client.query("SELECT 1 FROM carnet_changes WHERE key = $1", &[&key]);
        Ok(!rows.map_err(cannot)?.is_empty())
    }

    fn take_back(&mut self, change: &SqlChange) -> Result<bool, StoreError> {
        let place = self.place.clone();
        let mut transaction = self.begin(false, change.limit)?;
        tables(&mut transaction, &place)?;
        fence(&mut transaction, change, &place)?;
        let gone = transaction.execute("DELETE FROM carnet_changes WHERE key = $1", &[&change.key]);
        let gone =
            gone.map_err(|error| refused(format!("cannot take the key in {place}"), error))?;
        if gone == 0 {
            return Ok(false);
        }
        statements(&mut transaction, change)?;
        transaction.commit().map_err(|error| refused(format!("the commit in {place}"), error))?;
        Ok(true)
    }
}

/// Runs a query with every column as text, which the server itself writes, one row more than asked
/// for at most.
fn select(
    transaction: &mut Transaction<'_>,
    text: &str,
    statement: &SqlStatement,
    rows_max: usize,
) -> Result<SqlRows, postgres::Error> {
    let prepared = transaction.prepare(text)?;
    let columns: Vec<String> = prepared.columns().iter().map(|it| it.name().to_owned()).collect();
    let types: Vec<Type> = prepared.columns().iter().map(|it| it.type_().clone()).collect();
    let names: Vec<String> = (0..columns.len()).map(|number| format!("c{number}")).collect();
    let casts: Vec<String> = names.iter().map(|name| format!("q.{name}::text")).collect();
    let limit = rows_max.saturating_add(1);
    // A comment at the end of the text must not hide the bracket.
    let wrapped = format!(
        "SELECT {} FROM ({text}\n) AS q({}) LIMIT {limit}",
        casts.join(", "),
        names.join(", ")
    );
    let values = parameters(statement);
    let mut found = SqlRows { columns, rows: Vec::new(), cut: false };
    let mut bytes = 0;
    let mut rows = transaction.query_raw(wrapped.as_str(), borrowed(&values))?;
    while let Some(row) = rows.next()? {
        if found.rows.len() == rows_max || bytes > ANSWER_BYTES_MAX {
            found.cut = true;
            break;
        }
        let value = |(number, kind): (usize, &Type)| {
            let text: Option<String> = row.get(number);
            bytes += text.as_ref().map_or(0, String::len);
            read(text, kind)
        };
        found.rows.push(types.iter().enumerate().map(value).collect());
    }
    Ok(found)
}

fn read(text: Option<String>, kind: &Type) -> SqlValue {
    let Some(text) = text else { return SqlValue::Null };
    if *kind == Type::BOOL {
        return SqlValue::Bool(text == "true");
    }
    if [Type::INT2, Type::INT4, Type::INT8].contains(kind)
        && let Ok(number) = text.parse()
    {
        return SqlValue::Integer(number);
    }
    SqlValue::Text(text)
}

/// What is no query but answers with rows, such as `SHOW`. It takes no parameters.
fn shown(
    transaction: &mut Transaction<'_>,
    text: &str,
    statement: &SqlStatement,
    rows_max: usize,
) -> Result<SqlRows, postgres::Error> {
    if !statement.parameters.is_empty() {
        // The server says what is wrong with it.
        let values = parameters(statement);
        transaction.execute(text, &borrowed(&values))?;
    }
    let mut found = SqlRows { columns: Vec::new(), rows: Vec::new(), cut: false };
    let mut bytes = 0;
    for message in transaction.simple_query(text)? {
        let SimpleQueryMessage::Row(row) = message else { continue };
        if found.rows.len() == rows_max || bytes > ANSWER_BYTES_MAX {
            found.cut = true;
            break;
        }
        found.columns = row.columns().iter().map(|column| column.name().to_owned()).collect();
        let value = |number| row.get(number).map_or(SqlValue::Null, |it| SqlValue::Text(it.into()));
        let values: Vec<SqlValue> = (0..row.len()).map(value).collect();
        bytes += (0..row.len()).filter_map(|number| row.get(number)).map(str::len).sum::<usize>();
        found.rows.push(values);
    }
    Ok(found)
}
