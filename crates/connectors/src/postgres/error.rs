//! What the server says, as store errors with stable codes.

use std::io;

use carnet_connect::StoreError;
use carnet_model::Code;
use postgres::error::DbError;

/// What the server answered: its words and its SQLSTATE, on one line.
#[derive(Debug, thiserror::Error)]
#[error("{message} (SQLSTATE {state})")]
struct Answer {
    message: String,
    state: String,
}

impl Answer {
    fn of(error: &DbError) -> Self {
        let mut message = error.message().to_owned();
        for more in [error.detail(), error.hint()].into_iter().flatten() {
            message.push_str("; ");
            message.push_str(more);
        }
        // A detail may quote a whole row.
        if message.len() > 1_000 {
            message = message.chars().take(500).collect();
            message.push('…');
        }
        Self { message: message.replace('\n', " "), state: error.code().code().to_owned() }
    }
}

/// A failure on a connection that was open. `what` is what was being done.
pub(crate) fn failed(what: impl Into<String>, error: postgres::Error) -> StoreError {
    match error.as_db_error() {
        Some(answer) => answered(what, answer),
        None => StoreError::new(Code::STORE_LOST, what)
            .because(error)
            .remedy("the connection was lost; see the server's log, then run the command again"),
    }
}

/// A failure while a connection was being opened.
pub(super) fn not_connected(what: impl Into<String>, error: postgres::Error) -> StoreError {
    if let Some(answer) = error.as_db_error() {
        return answered(what, answer);
    }
    let text = error.to_string();
    // The driver asks for a password itself when the server wants one and none was given.
    if text == "invalid configuration" || text == "authentication error" {
        return StoreError::new(Code::STORE_DENIED, what)
            .because(error)
            .remedy("check the user and the password (PGPASSWORD or the URL)");
    }
    let remedy = if text.contains("TLS") {
        "check sslmode and the server's certificate"
    } else {
        "check host, port and that the server runs"
    };
    StoreError::new(Code::STORE_UNREACHABLE, what).because(error).remedy(remedy)
}

/// A failure within COPY, where the driver's error comes wrapped.
pub(super) fn copy_failed(what: impl Into<String>, error: io::Error) -> StoreError {
    match error.downcast::<postgres::Error>() {
        Ok(error) => failed(what, error),
        Err(error) => StoreError::new(Code::STORE_LOST, what).because(error),
    }
}

/// Whether a failure says that this name does not exist (a table, a schema, a type).
pub(super) fn is_undefined(error: &postgres::Error) -> bool {
    error.code().is_some_and(|state| matches!(state.code(), "42P01" | "3F000"))
}

fn answered(what: impl Into<String>, answer: &DbError) -> StoreError {
    let state = answer.code().code();
    let (code, remedy) = classify(state, answer.message());
    let error = StoreError::new(code, what).because(Answer::of(answer));
    match remedy {
        Some(remedy) => error.remedy(remedy),
        None => error,
    }
}

/// The stable code of a SQLSTATE, and what to do.
fn classify(state: &str, message: &str) -> (Code, Option<&'static str>) {
    let pooler = "connect to the server itself instead of a pooler that changes connections \
                  between statements";
    match state {
        "3D000" => (Code::STORE_NOT_FOUND, Some("create the database, or correct its name")),
        "42P01" | "3F000" => (Code::STORE_NOT_FOUND, None),
        "53100" => (Code::DISK_FULL, Some("free space on the server's disk, then run again")),
        "25006" => (
            Code::STORE_READ_ONLY,
            Some(
                "use the primary server, or a role that may write (default_transaction_read_only)",
            ),
        ),
        "42501" if message.contains("row-level security") => (
            Code::STORE_DENIED,
            Some(
                "use a role that sees all rows (BYPASSRLS or the owner): a filtered copy is no copy",
            ),
        ),
        "42501" => (Code::STORE_DENIED, Some("grant the role what the message names")),
        "42704" if message.contains("\"vector\"") => (
            Code::STORE_UNSUPPORTED,
            Some("run CREATE EXTENSION vector in this database (pgvector 0.7 or later)"),
        ),
        "42P05" | "26000" => (Code::STORE_FAILED, Some(pooler)),
        "53300" => (
            Code::STORE_UNREACHABLE,
            Some("the server has no connection left: use fewer workers, or raise max_connections"),
        ),
        "55P03" | "40P01" | "40001" => {
            (Code::STORE_BUSY, Some("others use the table: run again when they are done"))
        }
        "57P01" | "57P02" | "57P05" => {
            (Code::STORE_LOST, Some("the server ended the connection; run the command again"))
        }
        "57P03" => (Code::STORE_UNREACHABLE, Some("the server is starting or stopping: wait")),
        "23505" => (Code::RECORD_DUPLICATE, Some("give each record an id of its own")),
        "54000" if message.contains("index row") => {
            (Code::RECORD_ID, Some("an id is too long for the table's key: shorten it"))
        }
        "22P05" => (Code::LOSS, Some("PostgreSQL text cannot hold U+0000: remove it")),
        _ if state.starts_with("28") => {
            (Code::STORE_DENIED, Some("check the user and the password (PGPASSWORD or the URL)"))
        }
        _ if state.starts_with("08") => (Code::STORE_LOST, Some("run the command again")),
        _ => (Code::STORE_FAILED, None),
    }
}

/// The text of an error and of all its causes: for tests that look for secrets.
#[cfg(test)]
pub(super) fn whole_text(error: &StoreError) -> String {
    use std::error::Error as _;
    let mut text = format!("{error} {error:?}");
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text} {next} {next:?}");
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_that_a_person_meets_have_codes_of_their_own() {
        for (state, message, code) in [
            ("28P01", "password authentication failed", Code::STORE_DENIED),
            ("28000", "no pg_hba.conf entry", Code::STORE_DENIED),
            ("3D000", "database does not exist", Code::STORE_NOT_FOUND),
            ("53100", "could not extend file", Code::DISK_FULL),
            ("25006", "cannot execute COPY FROM in a read-only transaction", Code::STORE_READ_ONLY),
            ("42704", "type \"vector\" does not exist", Code::STORE_UNSUPPORTED),
            ("57P01", "terminating connection", Code::STORE_LOST),
            ("08006", "connection failure", Code::STORE_LOST),
            ("23505", "duplicate key", Code::RECORD_DUPLICATE),
            ("XX000", "internal error", Code::STORE_FAILED),
        ] {
            assert_eq!(classify(state, message).0, code, "{state}");
        }
    }
}
