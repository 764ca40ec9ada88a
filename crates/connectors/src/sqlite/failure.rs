//! What SQLite's own errors mean to people.

use carnet_connect::StoreError;
use carnet_model::Code;
use rusqlite::{ErrorCode, ffi};

/// Wraps an error of SQLite with what was being done, and tells apart the cases that a person can
/// do something about.
pub(crate) fn failed(what: impl Into<String>, source: rusqlite::Error) -> StoreError {
    let what = what.into();
    let (code, remedy) = match source.sqlite_error() {
        Some(error) => meaning(*error),
        None => (Code::STORE_FAILED, None),
    };
    let error = StoreError::new(code, what).because(source);
    match remedy {
        Some(remedy) => error.remedy(remedy),
        None => error,
    }
}

fn meaning(error: ffi::Error) -> (Code, Option<&'static str>) {
    const FULL: (Code, Option<&str>) =
        (Code::DISK_FULL, Some("free some space and start again; nothing of this range was kept"));
    const DAMAGED: (Code, Option<&str>) = (
        Code::STORE_MALFORMED,
        Some("restore the file from a backup; `sqlite3 FILE .recover` may save a part of it"),
    );
    match error.extended_code {
        ffi::SQLITE_IOERR_SHORT_READ | ffi::SQLITE_IOERR_CORRUPTFS => return DAMAGED,
        ffi::SQLITE_IOERR_SHMSIZE => return FULL,
        _ => {}
    }
    #[expect(clippy::wildcard_enum_match_arm, reason = "ErrorCode is non-exhaustive")]
    match error.code {
        ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked
        | ErrorCode::FileLockingProtocolFailed => {
            (Code::STORE_BUSY, Some("another process works on this file: wait for it, or end it"))
        }
        ErrorCode::DiskFull => FULL,
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied => {
            (Code::STORE_READ_ONLY, Some("choose a file and a directory that can be written"))
        }
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => DAMAGED,
        ErrorCode::TooBig => (Code::METADATA_LIMIT, Some("shorten the longest metadata")),
        ErrorCode::SystemIoFailure | ErrorCode::CannotOpen => (Code::IO, None),
        _ => (Code::STORE_FAILED, None),
    }
}

/// Whether another connection is in the way.
pub(super) fn is_busy(source: &rusqlite::Error) -> bool {
    matches!(source.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Whether there was no room.
pub(super) fn is_full(error: &StoreError) -> bool {
    error.code() == Code::DISK_FULL
}

/// Whether the statement broke a key or another rule of the table.
pub(super) fn is_constraint(source: &rusqlite::Error) -> bool {
    source.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_code() {
        for (raw, code) in [
            (ffi::SQLITE_BUSY, Code::STORE_BUSY),
            (ffi::SQLITE_LOCKED, Code::STORE_BUSY),
            (ffi::SQLITE_FULL, Code::DISK_FULL),
            (ffi::SQLITE_READONLY, Code::STORE_READ_ONLY),
            (ffi::SQLITE_CORRUPT, Code::STORE_MALFORMED),
            (ffi::SQLITE_NOTADB, Code::STORE_MALFORMED),
            (ffi::SQLITE_IOERR_SHORT_READ, Code::STORE_MALFORMED),
            (ffi::SQLITE_IOERR_FSYNC, Code::IO),
            (ffi::SQLITE_ERROR, Code::STORE_FAILED),
        ] {
            let source = rusqlite::Error::SqliteFailure(ffi::Error::new(raw), None);
            assert_eq!(failed("x", source).code(), code, "{raw}");
        }
        assert_eq!(failed("x", rusqlite::Error::InvalidQuery).code(), Code::STORE_FAILED);
    }
}
