//! What a plan refers to in the world. The model looks at nothing itself.

use carnet_ledger::Digest;

/// What is looked up for a plan by whoever opens it.
pub struct Around<'a> {
    /// The time, in seconds since 1970, UTC: exceptions that have expired by then are refused.
    /// `None`: nobody asks, as for a run that is taken back.
    pub now_s: Option<i64>,
    /// The SHA-256 of a file that the plan refers to, by its path as written; why there is none.
    pub file: &'a dyn Fn(&str) -> Result<Digest, String>,
}

impl Around<'_> {
    /// Nothing: a plan that refers to a file is refused.
    pub fn nothing() -> Self {
        Self { now_s: None, file: &|_| Err("no file can be looked at here".to_owned()) }
    }
}
