//! Databases, and the control of each: a query that finds nothing must be no pass.

use carnet_connect::{SqlRows, SqlSession, SqlStatement, SqlValue};
use carnet_model::gate::{Control, Facts, NO_ROWS, Rule, Scalar, rows, sql};

use super::{Looked, Surroundings, judged, seconds};
use crate::error::StepError;

/// Finds nothing, in every database.
const NOTHING: &str = "select 1 where 1 = 0";

/// Asks a query, its control query, and one that finds nothing.
pub(super) fn sql(around: &Surroundings<'_>, rule: &sql::Rule) -> Result<Looked, StepError> {
    let mut session = around.outside.sql(&around.database(&rule.database))?;
    let limit = seconds(rule.limit_s);
    let statement = statement(&rule.query, &rule.parameters);
    let answer = answer(session.query(&statement, sql::ROWS_MAX, limit)?);
    let control_rows = match &rule.control {
        None => None,
        Some(query) => {
            let found = session.query(&self::statement(query, &[]), sql::ROWS_MAX, limit)?;
            Some(u64::try_from(found.rows.len()).unwrap_or(u64::MAX))
        }
    };
    let nothing = self::answer(session.query(&self::statement(NOTHING, &[]), 1, limit)?);
    let control = nothing_found(&Rule::Sql(rule.clone()), nothing);
    let facts = Facts::Sql(sql::Facts { answer: Some(answer), control_rows });
    Ok(Looked::new(facts).control(control))
}

/// The control: the query that finds nothing, judged as if it were the one of the rule.
fn nothing_found(rule: &Rule, answer: sql::Answer) -> Control {
    let what = "a query that finds nothing";
    if !answer.rows.is_empty() {
        return Control::new(NO_ROWS, format!("{what} found rows"), false);
    }
    let facts = Facts::Sql(sql::Facts { answer: Some(answer), control_rows: None });
    judged(NO_ROWS, what, rule, &facts)
}

/// Counts on both sides, and finds nothing on both.
pub(super) fn rows(around: &Surroundings<'_>, rule: &rows::Rule) -> Result<Looked, StepError> {
    let limit = seconds(rule.limit_s);
    let count = |side: &rows::Side| -> Result<(Option<i64>, bool), StepError> {
        let mut session = around.outside.sql(&around.database(&side.database))?;
        let asked = statement(&side.query, &side.parameters);
        let counted = one_value(session.as_mut(), &asked, limit)?.and_then(|value| whole(&value));
        let nothing = one_value(session.as_mut(), &statement(NOTHING, &[]), limit)?;
        Ok((counted, nothing.is_none()))
    };
    let ((source, at_source), (target, at_target)) = (count(&rule.source)?, count(&rule.target)?);
    let what = "a query that finds nothing";
    let control = if at_source && at_target {
        let facts = Facts::Rows(rows::Facts { source, target: None });
        judged(NO_ROWS, what, &Rule::Rows(rule.clone()), &facts)
    } else {
        Control::new(NO_ROWS, format!("{what} found a value"), false)
    };
    Ok(Looked::new(Facts::Rows(rows::Facts { source, target })).control(control))
}

/// The only value of the only row; `None` if there is no row, or more than that.
pub(super) fn one_value(
    session: &mut dyn SqlSession,
    statement: &SqlStatement,
    limit: std::time::Duration,
) -> Result<Option<Scalar>, StepError> {
    let found = answer(session.query(statement, 2, limit)?);
    match found.rows.as_slice() {
        [row] if !found.cut => match row.as_slice() {
            [value] => Ok(Some(value.clone())),
            _ => Ok(None),
        },
        _ => Ok(None),
    }
}

/// A whole number, which some databases give as text.
fn whole(value: &Scalar) -> Option<i64> {
    match value {
        Scalar::Integer(number) => Some(*number),
        Scalar::Text(text) => text.parse().ok(),
        Scalar::Null | Scalar::Bool(_) => None,
    }
}

pub(super) fn statement(query: &str, parameters: &[Scalar]) -> SqlStatement {
    let parameters = parameters.iter().map(|value| match value {
        Scalar::Null => SqlValue::Null,
        Scalar::Bool(word) => SqlValue::Bool(*word),
        Scalar::Integer(number) => SqlValue::Integer(*number),
        Scalar::Text(text) => SqlValue::Text(text.clone()),
    });
    SqlStatement { sql: query.to_owned(), parameters: parameters.collect() }
}

fn answer(found: SqlRows) -> sql::Answer {
    let scalar = |value| match value {
        SqlValue::Null => Scalar::Null,
        SqlValue::Bool(word) => Scalar::Bool(word),
        SqlValue::Integer(number) => Scalar::Integer(number),
        SqlValue::Text(text) => Scalar::Text(text),
    };
    let rows = found.rows.into_iter().map(|row| row.into_iter().map(scalar).collect());
    sql::Answer { columns: found.columns, rows: rows.collect(), cut: found.cut }
}
