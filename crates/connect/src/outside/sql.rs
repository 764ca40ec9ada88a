//! SQL databases.

use std::time::Duration;

use crate::error::StoreError;

/// A value in a row, or one that a statement is given. Fractions, times and all other types are
/// text, in the form in which the database writes them.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum SqlValue {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Text.
    Text(String),
}

/// What a query gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlRows {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The rows, up to the limit.
    pub rows: Vec<Vec<SqlValue>>,
    /// Whether there were more.
    pub cut: bool,
}

/// A statement and what it is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlStatement {
    /// One statement. `$1`, `$2` … stand for the parameters.
    pub sql: String,
    /// The parameters.
    pub parameters: Vec<SqlValue>,
}

/// Keeps old writers out: the database remembers the highest generation that wrote under a name,
/// and refuses every lower one, in the same transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlFence {
    /// The name: that of the log.
    pub name: String,
    /// The generation of this writer.
    pub generation: u64,
}

/// A change: all statements in one transaction, at most once for each key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlChange {
    /// What tells a repetition of the same change: stored in the same transaction.
    pub key: String,
    /// The statements, in order.
    pub statements: Vec<SqlStatement>,
    /// Who may write.
    pub fence: SqlFence,
    /// How long it may take.
    pub limit: Duration,
}

/// A database that is open.
pub trait SqlSession: Send {
    /// Asks, in a transaction that can only read.
    fn query(
        &mut self,
        statement: &SqlStatement,
        rows_max: usize,
        limit: Duration,
    ) -> Result<SqlRows, StoreError>;

    /// Makes a change; gives how many rows each statement touched, or `None` if a change with this
    /// key was made before. A writer of an older generation is refused with `run.fenced`.
    fn change(&mut self, change: &SqlChange) -> Result<Option<Vec<u64>>, StoreError>;

    /// Whether a change with this key was made and not taken back.
    fn is_changed(&mut self, key: &str) -> Result<bool, StoreError>;

    /// Takes a change back by other statements, in one transaction with forgetting its key. Does
    /// nothing, and says so, if no such change was made.
    fn take_back(&mut self, change: &SqlChange) -> Result<bool, StoreError>;
}
