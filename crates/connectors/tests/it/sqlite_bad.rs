//! SQLite files that are damaged, or that others made otherwise: each named, none read wrongly.

use std::path::Path;

use carnet_connect::conformance::sample_records;
use carnet_connect::{IdRange, LoadMode, StoreError, VectorRepository};
use carnet_connectors::SqliteStore;
use carnet_model::{Code, CollectionName, Metric};
use proptest::prelude::*;
use rusqlite::Connection;

use crate::sqlite::{fill, request};

/// Describes and reads everything; the first error ends it.
fn read_all(store: &SqliteStore) -> Result<usize, StoreError> {
    let view = store.snapshot()?;
    let mut count = 0;
    for name in view.collections()? {
        view.describe(&name)?;
        let mut stream = view.scan(&name, &IdRange::all())?;
        while let Some(batch) = stream.next()? {
            count += batch.len();
        }
    }
    Ok(count)
}

/// What reading a file gives that these statements made.
fn made(sql: &str) -> Result<usize, StoreError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.db");
    Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    read_all(&SqliteStore::new(path))
}

fn refused(sql: &str, code: Code, named: &str) {
    let error = made(sql).expect_err(sql);
    let text = format!("{error} {}", error.remedy_text().unwrap_or_default());
    assert_eq!(error.code(), code, "{sql}: {text}");
    assert!(text.contains(named), "{sql}: {text}");
}

const PLAIN: &str = "CREATE TABLE docs (id TEXT PRIMARY KEY, vector BLOB, metadata TEXT, \
                     version, source_hash, created_ts, updated_ts);";

#[test]
fn a_plain_table_of_others_is_read() {
    let two = "INSERT INTO docs (id, vector, metadata) VALUES \
               ('b', x'0000803f00000040', '{ \"b\": 1.0, \"a\": [] }'), ('a', zeroblob(8), NULL)";
    assert_eq!(made(&format!("{PLAIN} {two}")).unwrap(), 2);
    let few = "CREATE TABLE docs (id TEXT UNIQUE, vector BLOB, metadata TEXT);";
    assert_eq!(made(&format!("{few} {two}")).unwrap(), 2);
    assert_eq!(made("CREATE TABLE notes (id TEXT, body TEXT)").unwrap(), 0);
    assert_eq!(made("").unwrap(), 0);
}

#[test]
fn tables_of_another_shape_are_named() {
    refused(
        "CREATE TABLE docs (id TEXT PRIMARY KEY, vector BLOB)",
        Code::TABLE_COLUMN,
        "docs has no column metadata",
    );
    refused(
        "CREATE TABLE docs (id TEXT, vector BLOB, metadata TEXT)",
        Code::TABLE_NO_KEY,
        "CREATE UNIQUE INDEX docs_id",
    );
    for key in ["id TEXT UNIQUE COLLATE NOCASE", "id TEXT"] {
        refused(
            &format!(
                "CREATE TABLE docs ({key}, vector BLOB, metadata TEXT); \
                 CREATE UNIQUE INDEX part ON docs (id COLLATE BINARY) WHERE id > 'a'; \
                 CREATE UNIQUE INDEX pair ON docs (id COLLATE BINARY, metadata)"
            ),
            Code::TABLE_NO_KEY,
            "byte order",
        );
    }
    refused(
        "CREATE TABLE docs (id TEXT PRIMARY KEY, vector BLOB, metadata TEXT, author TEXT)",
        Code::TABLE_UNMAPPED,
        "author",
    );
    refused(PLAIN, Code::STORE_UNSUPPORTED, "no vectors");
    refused(
        "CREATE TABLE \"my docs\" (id TEXT PRIMARY KEY, vector BLOB, metadata TEXT)",
        Code::STORE_UNSUPPORTED,
        "rename",
    );
    refused(&format!("PRAGMA encoding = 'UTF-16'; {PLAIN}"), Code::STORE_UNSUPPORTED, "UTF-16");
}

#[test]
fn a_column_is_left_behind_when_it_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.db");
    let sql = "CREATE TABLE docs (id TEXT PRIMARY KEY, vector BLOB, metadata TEXT, author TEXT); \
               INSERT INTO docs VALUES ('a', zeroblob(4), '{}', 'me')";
    Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    let store = SqliteStore::new(&path).drop_columns(["author".to_owned()]);
    assert_eq!(read_all(&store).unwrap(), 1);
}

#[test]
fn rows_that_are_no_records_are_named() {
    let with = |values: &str| {
        format!(
            "{PLAIN} INSERT INTO docs VALUES ('good', zeroblob(8), '{{}}', 1, '', 1, 1), {values}"
        )
    };
    for (values, code, named) in [
        ("('n', NULL, '{}', 1, '', 1, 1)", Code::RECORD_VECTOR, "\"n\" has no vector"),
        ("('s', zeroblob(4), '{}', 1, '', 1, 1)", Code::RECORD_VECTOR, "\"s\" has a vector of 4"),
        ("('t', '[1, 2]', '{}', 1, '', 1, 1)", Code::RECORD_VECTOR, "vector of record \"t\""),
        ("('', zeroblob(8), '{}', 1, '', 1, 1)", Code::RECORD_ID, "empty id"),
        ("(NULL, zeroblob(8), '{}', 1, '', 1, 1)", Code::RECORD_ID, "no id"),
        ("(x'61', zeroblob(8), '{}', 1, '', 1, 1)", Code::RECORD_ID, "blob"),
        ("(CAST(x'61ff' AS TEXT), zeroblob(8), '{}', 1, '', 1, 1)", Code::RECORD_ID, "UTF-8"),
        ("(printf('%.70000c', 'x'), zeroblob(8), '{}', 1, '', 1, 1)", Code::RECORD_ID, "65535"),
        ("('m', zeroblob(8), '[]', 1, '', 1, 1)", Code::METADATA_SYNTAX, "\"m\""),
        ("('m', zeroblob(8), x'00', 1, '', 1, 1)", Code::METADATA_SYNTAX, "\"m\""),
        (
            "('d', zeroblob(8), '{\"a\":1,\"a\":1}', 1, '', 1, 1)",
            Code::METADATA_DUPLICATE_KEY,
            "\"d\"",
        ),
        (
            "('v', zeroblob(8), '{}', '1', '', 1, 1)",
            Code::STORE_MALFORMED,
            "version of record \"v\"",
        ),
        ("('h', zeroblob(8), '{}', 1, 7, 1, 1)", Code::STORE_MALFORMED, "source_hash"),
        (
            "('c', zeroblob(8), '{}', 1, '', 1.5, 1)",
            Code::RECORD_TIME,
            "created_ts of record \"c\"",
        ),
        ("('u', zeroblob(8), '{}', 1, '', 1, 'now')", Code::RECORD_TIME, "updated_ts"),
    ] {
        refused(&with(values), code, named);
    }
    let keyed = "CREATE TABLE docs (id PRIMARY KEY, vector BLOB, metadata TEXT); \
                 INSERT INTO docs VALUES (7, zeroblob(4), '{}')";
    refused(keyed, Code::RECORD_ID, "integer 7");
}

#[test]
fn an_index_at_odds_with_its_table_is_noticed() {
    refused(
        "CREATE TABLE docs (id TEXT, vector BLOB, metadata TEXT);
         CREATE UNIQUE INDEX k ON docs (id) WHERE id <> 'b';
         INSERT INTO docs VALUES ('a', zeroblob(4), '{}'), ('b', zeroblob(4), '{}');
         PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = 'CREATE UNIQUE INDEX k ON docs (id)' WHERE name = 'k'",
        Code::STORE_MALFORMED,
        "REINDEX",
    );
}

/// A good file, changed by these statements.
fn changed(sql: &str) -> Result<usize, StoreError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.db");
    drop(fill(&path, &sample_records(20).unwrap(), Metric::L2));
    Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    read_all(&SqliteStore::new(path))
}

#[test]
fn contracts_and_tables_that_do_not_fit_are_noticed() {
    for (sql, code) in [
        ("DROP TABLE embeddings", Code::STORE_MALFORMED),
        ("UPDATE carnet_collections SET contract = '{'", Code::STORE_MALFORMED),
        ("UPDATE carnet_collections SET name = 'other'", Code::STORE_MALFORMED),
        ("UPDATE carnet_collections SET name = 'a b'", Code::STORE_MALFORMED),
        (
            "UPDATE carnet_collections SET contract = replace(contract, ':8', ':9')",
            Code::RECORD_VECTOR,
        ),
        ("ALTER TABLE embeddings DROP COLUMN version", Code::TABLE_COLUMN),
        ("ALTER TABLE embeddings ADD COLUMN extra TEXT", Code::TABLE_UNMAPPED),
    ] {
        assert_eq!(changed(sql).expect_err(sql).code(), code, "{sql}");
    }
    assert_eq!(changed("VACUUM").unwrap(), 20);
}

#[test]
fn names_that_sqlite_cannot_tell_apart_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.db");
    let store = fill(&path, &sample_records(5).unwrap(), Metric::L2);
    for name in ["Embeddings", "sqlite_x", "carnet_loads", "Carnet_Collections", "a__carnet_b"] {
        let mut asked = request(8, Metric::L2, LoadMode::Replace);
        asked.contract.name = CollectionName::new(name).unwrap();
        let Err(error) = store.begin_load(&asked) else { panic!("{name} was taken") };
        assert_eq!(error.code(), Code::STORE_UNSUPPORTED, "{name}");
    }
}

#[test]
fn what_is_no_database_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.db");
    std::fs::write(
        &path,
        "just a text file, longer than a header of one hundred bytes ".repeat(20),
    )
    .unwrap();
    let store = |path: &Path| SqliteStore::new(path);
    let code = |path: &Path| read_all(&store(path)).unwrap_err().code();
    assert_eq!(code(&path), Code::STORE_MALFORMED);
    assert_eq!(code(directory.path()), Code::STORE_MALFORMED);
    assert_eq!(code(&directory.path().join("no/x.db")), Code::STORE_NOT_FOUND);
    let none = directory.path().join("none.db");
    assert_eq!(read_all(&store(&none)).unwrap(), 0);
    assert!(!none.exists(), "reading made a file");
    let text = store(&path).begin_load(&request(8, Metric::L2, LoadMode::Replace)).err().unwrap();
    assert_eq!(text.code(), Code::STORE_MALFORMED);
}

#[test]
fn a_file_that_was_cut_off_is_malformed_wherever_it_was_cut() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.db");
    drop(fill(&path, &sample_records(2_000).unwrap(), Metric::L2));
    let whole = std::fs::read(&path).unwrap();
    assert!(whole.len() > 4 * 32_768, "{}", whole.len());
    for keep in [50, 512, 32_768, whole.len() / 2, whole.len() - 32_768, whole.len() - 1] {
        std::fs::write(&path, &whole[..keep]).unwrap();
        let error = read_all(&SqliteStore::new(&path)).expect_err(&keep.to_string());
        assert_eq!(error.code(), Code::STORE_MALFORMED, "cut at {keep}: {error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn damaged_bytes_never_break_the_reader(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40)
    ) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.db");
        drop(fill(&path, &sample_records(100).unwrap(), Metric::L2));
        let mut bytes = std::fs::read(&path).unwrap();
        for (at, byte) in damage {
            // Half of the damage goes where the structure is: the heads of the pages.
            let length = bytes.len();
            let at = at.index(length);
            let at = if byte % 2 == 0 { at - at % 32_768 + at % 128 } else { at };
            bytes[at.min(length - 1)] = byte;
        }
        std::fs::write(&path, &bytes).unwrap();
        let store = SqliteStore::new(&path);
        if let Ok(count) = read_all(&store) {
            prop_assert!(count <= 10_000, "{} records", count);
        }
        let _ = store.fetch(&CollectionName::standard(), &["plain-00000"]);
    }
}
