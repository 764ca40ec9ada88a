//! `sql.change`.

use carnet_document::InputError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::password::{no_password, password_in};
use super::{ApprovalMode, Descriptor, Fencing, Repeat, Safety, UndoKind, UndoReach, checked};
use crate::store_url::StoreUrl;

pub(super) const NAME: &str = "sql.change";

/// Statements that change a database, in one transaction. The database remembers the change by the
/// key of the step, so that it is made once; taken back by other statements, it is forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlChange {
    /// The database: `postgres://USER@HOST:PORT/DB`, or `sqlite:FILE` from the folder of the plan.
    #[schemars(
        regex(pattern = r"^(postgres(ql)?://.|sqlite:.)[^\u0000-\u001f]*$"),
        length(max = 4096)
    )]
    pub database: String,
    /// The statements, in order. None may begin or end a transaction.
    #[schemars(length(min = 1, max = 1000))]
    pub statements: Vec<SqlText>,
    /// How many seconds all of it may take.
    #[serde(default = "a_minute")]
    #[schemars(range(min = 1, max = 86_400))]
    pub time_limit_s: u32,
}

/// One statement, with what it is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlText {
    /// One statement; `$1`, `$2` … stand for the parameters.
    #[schemars(length(min = 1, max = 1_000_000))]
    pub sql: String,
    /// Text, whole numbers, true, false or null. They are recorded.
    #[serde(default)]
    #[schemars(length(max = 1000), extend("items" = {"anyOf": [{"type": "string"}, {"type": "integer"},
        {"type": "boolean"}, {"const": null}]}))]
    pub parameters: Vec<Value>,
}

const fn a_minute() -> u32 {
    60
}

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    name: NAME,
    does: "change a database by statements in one transaction",
    safety: Safety::Mutating,
    repeat: Repeat::Probe,
    undo: UndoKind::ByPlan,
    undo_reach: UndoReach::BeforeCommit,
    fencing: Fencing::Transactional,
    approval: ApprovalMode::None,
    gates: &[],
    inputs: super::schema_of::<SqlChange>,
    check: |with| checked::<SqlChange>(with, check),
};

/// What a statement may not begin with: the transaction is not its own.
const NOT_OURS: [&str; 10] = [
    "begin",
    "start",
    "commit",
    "end",
    "rollback",
    "abort",
    "savepoint",
    "release",
    "prepare",
    "vacuum",
];

fn check(change: &SqlChange, errors: &mut Vec<InputError>) {
    if !no_password("/database", &change.database, errors) {
        match StoreUrl::parse(&change.database) {
            Ok(StoreUrl::Postgres(url)) if url.has_password() => {
                errors.push(password_in("/database"));
            }
            Ok(StoreUrl::Postgres(_) | StoreUrl::Sqlite(_)) => {}
            Ok(StoreUrl::Faiss(_) | StoreUrl::Snapshot(_)) | Err(_) => {
                errors.push(InputError::new(
                    "/database",
                    "is not the URL of an SQL database",
                    "write postgres://USER@HOST:PORT/DB or sqlite:FILE",
                ));
            }
        }
    }
    for (number, statement) in change.statements.iter().enumerate() {
        let pointer = format!("/statements/{number}/sql");
        let word: String =
            statement.sql.trim_start().chars().take_while(char::is_ascii_alphabetic).collect();
        if NOT_OURS.contains(&word.to_ascii_lowercase().as_str()) {
            let what = format!("must not be {}", word.to_ascii_uppercase());
            errors.push(InputError::new(
                pointer.clone(),
                what,
                "all statements of a step are one transaction, which is ended for them",
            ));
        }
        if statement.sql.contains('\0') {
            errors.push(InputError::new(pointer, "must not hold U+0000", "take it out"));
        }
    }
}
