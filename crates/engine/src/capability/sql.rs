//! `sql.change`.

use std::time::Duration;

use carnet_connect::{SqlChange as Change_, SqlFence, SqlSession, SqlStatement, SqlValue};
use carnet_ledger::{Object, Value};
use carnet_model::capability::{SqlChange, SqlText};
use carnet_model::{Code, StoreUrl};

use super::{Act, Capability, Probed, unknown};
use crate::error::StepError;
use crate::step::{Done, number};

pub(super) struct Change;

/// The database with its path made whole, and as people see it.
fn database(act: &Act<'_>, written: &str) -> Result<(String, String), StepError> {
    let url = StoreUrl::parse(written)
        .map_err(|error| StepError::new(error.code(), error.to_string()).remedy(error.remedy()))?;
    Ok(match url {
        StoreUrl::Sqlite(path) => {
            let whole = format!("sqlite:{}", act.cx.folder.join(path).display());
            (whole.clone(), whole)
        }
        StoreUrl::Postgres(_) | StoreUrl::Faiss(_) | StoreUrl::Snapshot(_) => {
            (written.to_owned(), url.to_string())
        }
    })
}

fn open(act: &Act<'_>, change: &SqlChange) -> Result<Box<dyn SqlSession>, StepError> {
    Ok(act.cx.outside.sql(&database(act, &change.database)?.0)?)
}

fn statement(text: &SqlText) -> SqlStatement {
    let value = |value: &serde_json::Value| match value {
        serde_json::Value::Bool(value) => SqlValue::Bool(*value),
        serde_json::Value::Number(number) => {
            number.as_i64().map_or_else(|| SqlValue::Text(number.to_string()), SqlValue::Integer)
        }
        serde_json::Value::String(text) => SqlValue::Text(text.clone()),
        // The schema lets no lists and objects through.
        serde_json::Value::Null | serde_json::Value::Array(_) | serde_json::Value::Object(_) => {
            SqlValue::Null
        }
    };
    SqlStatement { sql: text.sql.clone(), parameters: text.parameters.iter().map(value).collect() }
}

/// The key under which the database remembers the change.
fn remembered<'a>(act: &Act<'a>) -> &'a str {
    act.takes_back.unwrap_or(act.key)
}

fn made(act: &Act<'_>, change: &SqlChange) -> Change_ {
    Change_ {
        key: remembered(act).to_owned(),
        statements: change.statements.iter().map(statement).collect(),
        fence: SqlFence {
            name: act.cx.recorder.log_name(),
            generation: act.generation.unwrap_or_default(),
        },
        limit: Duration::from_secs(change.time_limit_s.into()),
    }
}

/// What became of a change whose answer was lost: the database itself is asked.
fn after_loss(act: &Act<'_>, change: &SqlChange, lost: &StepError) -> Result<(), StepError> {
    let wanted = act.takes_back.is_none();
    match open(act, change).and_then(|mut session| Ok(session.is_changed(remembered(act))?)) {
        Ok(found) if found == wanted => Ok(()),
        // The server may still be at it: only a look after it has ended can tell.
        Ok(_) | Err(_) => Err(unknown(
            format!("the connection was lost in the middle of the change: {}", lost.told()),
            "run the plan again: the database knows whether it was made",
        )),
    }
}

impl Capability for Change {
    fn prepare(&self, act: &Act<'_>) -> Result<Object, StepError> {
        let change: SqlChange = act.inputs()?;
        let look = SqlStatement { sql: "SELECT 1".to_owned(), parameters: Vec::new() };
        open(act, &change)?.query(&look, 1, Duration::from_secs(change.time_limit_s.into()))?;
        let (_, shown) = database(act, &change.database)?;
        Ok(Object::from([
            ("database".to_owned(), shown.into()),
            ("statements".to_owned(), act.cx.recorder.put_json(&change.statements)?.into()),
        ]))
    }

    fn act(&self, act: &Act<'_>, _: &Object) -> Result<Done, StepError> {
        let inputs: SqlChange = act.inputs()?;
        let change = made(act, &inputs);
        let mut session = open(act, &inputs)?;
        act.pass("sql/changing")?;
        let done = if act.takes_back.is_some() {
            let taken = session.take_back(&change);
            taken.map(|taken| Done::default().fact("taken_back", taken))
        } else {
            session.change(&change).map(|rows| match rows {
                Some(rows) => {
                    let rows = rows.into_iter().map(number).collect();
                    Done::default().fact("rows", Value::List(rows))
                }
                None => Done::default().fact("made_before", true),
            })
        };
        let done = match done {
            Ok(done) => done,
            Err(error) if error.code() == Code::STORE_LOST => {
                after_loss(act, &inputs, &error.into())?;
                Done::default().fact("made_before", true)
            }
            Err(error) => return Err(error.into()),
        };
        act.pass("sql/changed")?;
        Ok(done)
    }

    fn probe(&self, act: &Act<'_>, _: &Object) -> Result<Probed, StepError> {
        let change: SqlChange = act.inputs()?;
        let found = open(act, &change)?.is_changed(remembered(act))?;
        Ok(if found == act.takes_back.is_none() {
            Probed::Applied(Done::default().fact("made_before", true))
        } else {
            Probed::NotApplied
        })
    }

    fn undo(&self, _: &Act<'_>, _: &Object) -> Result<Vec<String>, StepError> {
        Ok(Vec::new())
    }
}
