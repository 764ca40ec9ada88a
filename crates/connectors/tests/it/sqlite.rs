//! SQLite files as stores: the conformance suite, and what it cannot know.

use carnet_connect::conformance;
use carnet_connectors::SqliteStore;

#[test]
fn a_sqlite_file_conforms() {
    let directory = tempfile::tempdir().unwrap();
    let mut count = 0;
    let checks = conformance::run(&mut || {
        count += 1;
        Ok(Box::new(SqliteStore::new(directory.path().join(format!("{count}.db")))))
    })
    .unwrap();
    assert!(checks >= 18, "{checks} checks");
}
