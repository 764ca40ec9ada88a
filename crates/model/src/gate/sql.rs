//! A query on a database gives what it must.

use carnet_document::InputError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::damaged::{Copies, spots};
use super::expected::{Expected, Scalar};
use super::finding::{Judgement, counted};
use super::limits::{check_database, check_range, check_text, limit_s};

/// How many rows of an answer are kept.
pub const ROWS_MAX: usize = 1_000;

/// The query and what is demanded of its answer: one of `value`, `table` and `rows`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The database: `sqlite:FILE` or `postgres://USER@HOST:PORT/DATABASE`.
    pub database: String,
    /// One query. It runs in a transaction that can only read.
    pub query: String,
    /// What `$1`, `$2` … stand for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Scalar>,
    /// It must give one row with one value, which must be so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Expected>,
    /// It must give exactly these rows, in this order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<Vec<Vec<Scalar>>>,
    /// It must give exactly so many rows. 0 needs a `control`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000))]
    pub rows: Option<u64>,
    /// A query on the same database that must give rows, to show that there is something to find.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<String>,
    /// How long it may take, in seconds.
    #[serde(default = "limit_s")]
    #[schemars(range(min = 1, max = 3_600))]
    pub limit_s: u64,
}

/// The answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The rows; absent if the query was not asked.
    pub answer: Option<Answer>,
    /// How many rows the control query gave; absent if there is none.
    pub control_rows: Option<u64>,
}

/// The rows that a query gave.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The rows, up to [`ROWS_MAX`].
    pub rows: Vec<Vec<Scalar>>,
    /// Whether there were more.
    pub cut: bool,
}

const REMEDY: &str = "look at the rows by hand, and remove the cause";
const EMPTY: &str = "check that the query looks in the right place";

impl Rule {
    pub(super) fn judge(&self, facts: &Facts) -> Judgement {
        let Some(answer) = &facts.answer else {
            return Judgement::no_data(0, "the query was not asked", EMPTY);
        };
        let needs_control = self.control.is_some() || self.rows == Some(0);
        if needs_control && facts.control_rows.unwrap_or(0) == 0 {
            let reason = "the control query found nothing, so that the query shows nothing";
            return Judgement::no_data(0, reason, EMPTY);
        }
        let sample = answer.rows.len();
        if sample == 0 && self.rows != Some(0) {
            return Judgement::no_data(0, "the query found no rows", EMPTY);
        }
        if answer.cut {
            let reason = format!("the query found more than {sample} rows");
            return Judgement::fail(sample, reason, REMEDY);
        }
        if let Some(wrong) = self.wrong(answer) {
            return Judgement::fail(sample, wrong, REMEDY);
        }
        let found = counted(sample, "row", "rows");
        if sample == 0 {
            let control = facts.control_rows.unwrap_or(0);
            let reason = format!("the query found no rows, and the control {control}, as demanded");
            return Judgement::pass(1, reason);
        }
        Judgement::pass(sample, format!("the query found {found}, as demanded"))
    }

    fn wrong(&self, answer: &Answer) -> Option<String> {
        if let Some(rows) = self.rows {
            let seen = u64::try_from(answer.rows.len()).unwrap_or(u64::MAX);
            return (seen != rows)
                .then(|| format!("the query found {seen} rows, and must find {rows}"));
        }
        if let Some(expected) = &self.value {
            return match answer.rows.as_slice() {
                [row] => match row.as_slice() {
                    [value] => expected.wrong(value).map(|wrong| format!("the value {wrong}")),
                    more => Some(format!("the row has {} values, and must have one", more.len())),
                },
                more => Some(format!("the query found {} rows, and must find one", more.len())),
            };
        }
        let table = self.table.as_deref().unwrap_or_default();
        let pairs = answer.rows.iter().zip(table).enumerate();
        let differs = pairs.into_iter().find(|(_, (seen, must))| seen != must);
        if let Some((index, _)) = differs {
            return Some(format!("row {} is another one than demanded", index + 1));
        }
        let (seen, must) = (answer.rows.len(), table.len());
        (seen != must).then(|| format!("the query found {seen} rows, and must find {must}"))
    }

    pub(super) fn damage(&self, facts: &Facts) -> Vec<(&'static str, Facts)> {
        let mut copies = Copies::of(facts);
        let mut add = |name, damage: &dyn Fn(&mut Answer)| {
            copies.add(name, |facts: &mut Facts| {
                if let Some(answer) = &mut facts.answer {
                    damage(answer);
                }
            });
        };
        let rows = facts.answer.as_ref().map_or(0, |answer| answer.rows.len());
        add("row_added", &|answer| {
            let row = answer.rows.first().cloned();
            answer.rows.push(row.unwrap_or_else(|| vec![Scalar::Integer(1)]));
        });
        add("cut", &|answer| answer.cut = true);
        if rows > 0 {
            add("no_rows", &|answer| answer.rows.clear());
        }
        for spot in spots(rows) {
            add("row_dropped", &|answer| drop(answer.rows.remove(spot)));
            if self.table.is_some() {
                add("value_other", &|answer| {
                    let row = answer.rows.get_mut(spot);
                    if let Some(value) = row.and_then(|row| row.first_mut()) {
                        *value = value.other();
                    }
                });
                add("column_added", &|answer| {
                    if let Some(row) = answer.rows.get_mut(spot) {
                        row.push(Scalar::Null);
                    }
                });
            }
        }
        let value = facts.answer.as_ref().and_then(|answer| answer.rows.first()?.first());
        if let (Some(expected), Some(value)) = (&self.value, value) {
            for (name, value) in expected.damage(value) {
                add(name, &|answer| answer.rows = vec![vec![value.clone()]]);
            }
            add("column_added", &|answer| {
                if let Some(row) = answer.rows.first_mut() {
                    row.push(Scalar::Null);
                }
            });
        }
        if self.control.is_some() {
            copies.add("control_found_nothing", |facts| facts.control_rows = Some(0));
            copies.add("control_not_asked", |facts| facts.control_rows = None);
        }
        copies.add("nothing_seen", |facts| *facts = Facts::default());
        copies.done()
    }

    pub(super) fn check(&self) -> Vec<InputError> {
        let mut errors = check_database("/database", &self.database);
        errors.extend(check_text("/query", &self.query));
        errors.extend(check_range("/limit_s", self.limit_s, 1, 3_600));
        let said = [self.value.is_some(), self.table.is_some(), self.rows.is_some()];
        if said.into_iter().filter(|said| *said).count() != 1 {
            let remedy = "write exactly one of `value`, `table` and `rows`";
            errors.push(InputError::new("", "it must be clear what is demanded", remedy));
        }
        errors.extend(self.value.iter().flat_map(|value| value.check("/value")));
        if self.table.as_ref().is_some_and(Vec::is_empty) {
            let remedy = "write `rows: 0` with a `control` query";
            errors.push(InputError::new("/table", "a table without rows demands nothing", remedy));
        }
        if self.rows == Some(0) && self.control.is_none() {
            let what = "a query that must find nothing needs a control that must find something";
            let remedy = "write under `control` a query that gives rows";
            errors.push(InputError::new("/control", what, remedy));
        }
        let rows_max = u64::try_from(ROWS_MAX).unwrap_or(u64::MAX);
        errors.extend(self.rows.iter().flat_map(|rows| check_range("/rows", *rows, 0, rows_max)));
        errors.extend(self.control.iter().flat_map(|query| check_text("/control", query)));
        errors
    }

    pub(super) fn demands(&self) -> String {
        match (&self.value, &self.table, self.rows) {
            (Some(value), ..) => format!("the query gives one value that {}", value.words()),
            (_, Some(table), _) => {
                format!("the query gives {} as written", counted(table.len(), "row", "rows"))
            }
            (.., rows) => format!("the query gives {} rows", rows.unwrap_or(0)),
        }
    }
}
