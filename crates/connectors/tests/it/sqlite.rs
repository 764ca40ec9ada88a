//! SQLite files as stores: the conformance suite, and what it cannot know.

use std::path::Path;

use carnet_connect::conformance::{self, sample_records};
use carnet_connect::{
    Filter, IdRange, LoadMode, LoadRequest, Nearest, NoProgress, Query, RecordRef, Records,
    RowCursor, StoreSnapshot, VectorRepository, batches, distance,
};
use carnet_connectors::SqliteStore;
use carnet_model::{Code, CollectionContract, CollectionName, Metric, canonical_metadata};
use proptest::collection::vec;
use proptest::prelude::*;
use rusqlite::Connection;

/// A load request for the standard collection.
pub(crate) fn request(dimensions: u32, metric: Metric, mode: LoadMode) -> LoadRequest {
    let mut contract = CollectionContract::unknown(CollectionName::standard(), dimensions);
    contract.metric = Some(metric);
    LoadRequest { contract, mode, token: "one".to_owned() }
}

/// Loads records into the standard collection of a file.
pub(crate) fn fill(path: &Path, records: &Records, metric: Metric) -> SqliteStore {
    let store = SqliteStore::new(path);
    let dimensions = u32::try_from(records.dimensions()).unwrap();
    let load = store.begin_load(&request(dimensions, metric, LoadMode::Replace)).unwrap();
    load.load_range(&IdRange::all(), &mut batches(vec![records.clone()])).unwrap();
    load.commit(&NoProgress).unwrap();
    drop(load);
    store
}

/// All ids of the standard collection.
pub(crate) fn ids(view: &dyn StoreSnapshot) -> Vec<String> {
    let stream = view.scan(&CollectionName::standard(), &IdRange::all()).unwrap();
    let mut cursor = RowCursor::new(stream).unwrap();
    let mut found = Vec::new();
    while let Some(record) = cursor.current() {
        found.push(record.id.to_owned());
        cursor.advance().unwrap();
    }
    found
}

fn tables(path: &Path) -> Vec<String> {
    let connection = Connection::open(path).unwrap();
    let mut statement = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY 1")
        .unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

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

#[test]
fn a_file_that_others_made_in_rollback_mode_conforms_but_for_waiting_readers() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE other (x)").unwrap();
    let records = sample_records(100).unwrap();
    let store = fill(&path, &records, Metric::L2);
    assert_eq!(ids(store.snapshot().unwrap().as_ref()).len(), 100);
    let mode: String = Connection::open(&path)
        .unwrap()
        .pragma_query_value(None, "journal_mode", |row| row.get(0))
        .unwrap();
    assert_eq!(mode, "delete");
    assert_eq!(tables(&path), ["carnet_collections", "embeddings", "other"]);
}

#[test]
fn nothing_is_left_beside_the_file_and_anyone_reads_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.db");
    drop(fill(&path, &sample_records(10).unwrap(), Metric::Cosine));
    drop(SqliteStore::new(&path).snapshot().unwrap());
    let names: Vec<_> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["x.db"]);
    let plain = Connection::open(&path).unwrap();
    let sql = "SELECT count(*), min(length(vector)), max(json_valid(metadata)) FROM embeddings";
    let seen: (i64, i64, i64) =
        plain.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    assert_eq!(seen, (10, 32, 1));
}

#[test]
fn a_view_is_one_moment_for_all_its_workers_while_others_write() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.db");
    let store = fill(&path, &sample_records(50).unwrap(), Metric::L2);
    let all = "UPDATE embeddings SET version = ?1";
    Connection::open(&path).unwrap().execute(all, [0]).unwrap();
    let (running, stop) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        // Dropped at the end of the scope, by a panic too: that ends the writer.
        let _running = running;
        let path = &path;
        scope.spawn(move || {
            let writer = Connection::open(path).unwrap();
            writer.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
            writer.pragma_update(None, "synchronous", "off").unwrap();
            let mut version = 0;
            while stop.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                version += 1;
                writer.execute(all, [version]).unwrap();
            }
        });
        for _ in 0..50 {
            let view = store.snapshot().unwrap();
            let read = || {
                let mut stream = view.scan(&CollectionName::standard(), &IdRange::all()).unwrap();
                let batch = stream.next().unwrap().unwrap();
                batch.iter().map(|record| record.version).collect::<Vec<_>>()
            };
            let seen: Vec<_> = std::thread::scope(|scope| {
                let workers: Vec<_> = (0..4).map(|_| scope.spawn(read)).collect();
                workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
            });
            assert_eq!(seen.len(), 200);
            assert!(seen.iter().all(|version| *version == seen[0]), "{seen:?}");
        }
    });
}

#[test]
fn many_workers_load_disjoint_ranges() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::new(directory.path().join("x.db"));
    let records = sample_records(2_000).unwrap();
    let load = store.begin_load(&request(8, Metric::L2, LoadMode::Replace)).unwrap();
    let borders = (1..16).map(|part| records.get(part * 125).unwrap().id.to_owned());
    let ranges = IdRange::split_at(borders);
    std::thread::scope(|scope| {
        for (part, range) in ranges.iter().enumerate() {
            let (load, records) = (&load, &records);
            scope.spawn(move || {
                let mut stream = batches(vec![
                    records.slice(part * 125, 60).unwrap(),
                    records.slice(part * 125 + 60, 65).unwrap(),
                ]);
                assert_eq!(load.load_range(range, &mut stream).unwrap(), 125);
            });
        }
    });
    load.commit(&NoProgress).unwrap();
    let found = ids(store.snapshot().unwrap().as_ref());
    assert_eq!(found, records.iter().map(|record| record.id.to_owned()).collect::<Vec<_>>());
}

#[test]
fn what_was_committed_is_read_back_by_the_same_token_only() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.db");
    let store = fill(&path, &sample_records(10).unwrap(), Metric::L2);
    let mut asked = request(8, Metric::L2, LoadMode::Replace);
    let again = store.begin_load(&asked).unwrap();
    assert!(again.read_back(&IdRange::all()).unwrap().is_some());
    again.commit(&NoProgress).unwrap();
    assert_eq!(ids(store.snapshot().unwrap().as_ref()).len(), 10);
    asked.token = "two".to_owned();
    assert!(store.begin_load(&asked).unwrap().read_back(&IdRange::all()).unwrap().is_none());
}

#[test]
fn abandoning_leaves_no_table_and_names_what_was_written_in_place() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.db");
    let store = SqliteStore::new(&path);
    let records = sample_records(10).unwrap();
    let load = store.begin_load(&request(8, Metric::L2, LoadMode::Replace)).unwrap();
    load.load_range(&IdRange::all(), &mut batches(vec![records.clone()])).unwrap();
    assert_eq!(load.abandon().unwrap(), Vec::<String>::new());
    assert_eq!(tables(&path), Vec::<String>::new());
    fill(&path, &records, Metric::L2);
    let load = store.begin_load(&request(8, Metric::L2, LoadMode::Upsert)).unwrap();
    load.load_range(&IdRange::all(), &mut batches(vec![records.slice(0, 4).unwrap()])).unwrap();
    let left = load.abandon().unwrap();
    assert_eq!(left.len(), 1);
    assert!(left[0].starts_with("4 records written in place to embeddings"), "{left:?}");
    assert_eq!(tables(&path), ["carnet_collections", "embeddings"]);
}

#[test]
fn an_id_that_comes_twice_is_refused_and_nothing_of_the_range_stays() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::new(directory.path().join("x.db"));
    let records = sample_records(10).unwrap();
    for second in [3, 9] {
        let load = store.begin_load(&request(8, Metric::L2, LoadMode::Replace)).unwrap();
        let mut stream =
            batches(vec![records.slice(0, second + 1).unwrap(), records.slice(second, 1).unwrap()]);
        let error = load.load_range(&IdRange::all(), &mut stream).unwrap_err();
        assert_eq!(error.code(), Code::RECORD_DUPLICATE);
        assert!(load.read_back(&IdRange::all()).unwrap().is_none());
    }
}

fn canonical(value: &serde_json::Value) -> String {
    canonical_metadata(&value.to_string()).unwrap().into_owned()
}

fn metadata() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        "\\PC*".prop_map(Into::into),
        "[\0\n\"\\\\a]{0,4}".prop_map(Into::into),
    ];
    let value = leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Into::into),
            proptest::collection::hash_map("\\PC{0,4}", inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    });
    proptest::collection::hash_map("\\PC{0,4}", value, 0..4)
        .prop_map(|map| canonical(&serde_json::Value::Object(map.into_iter().collect())))
}

type Row = (Vec<u32>, String, Option<i64>, Option<String>, Option<i64>, Option<i64>);

fn row() -> impl Strategy<Value = Row> {
    (
        vec(any::<u32>(), 3),
        metadata(),
        any::<Option<i64>>(),
        any::<Option<String>>(),
        any::<Option<i64>>(),
        any::<Option<i64>>(),
    )
}

fn collect(rows: &std::collections::BTreeMap<String, Row>) -> Records {
    let vectors: Vec<Vec<f32>> =
        rows.values().map(|row| row.0.iter().map(|bits| f32::from_bits(*bits)).collect()).collect();
    let records = rows.iter().zip(&vectors).map(|((id, row), vector)| RecordRef {
        id,
        vector,
        metadata: &row.1,
        version: row.2,
        source_hash: row.3.as_deref(),
        created_ts: row.4,
        updated_ts: row.5,
    });
    Records::collect(3, records).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_record_comes_back_as_it_was(
        rows in proptest::collection::btree_map("(?s).{1,8}|[\0a]{1,3}", row(), 1..20)
    ) {
        let directory = tempfile::tempdir().unwrap();
        let records = collect(&rows);
        let store = fill(&directory.path().join("x.db"), &records, Metric::L2);
        let view = store.snapshot().unwrap();
        let mut stream = view.scan(&CollectionName::standard(), &IdRange::all()).unwrap();
        let seen = stream.next().unwrap().unwrap();
        prop_assert_eq!(seen.len(), records.len());
        for (a, b) in seen.iter().zip(records.iter()) {
            let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(a.vector), bits(b.vector));
            prop_assert_eq!((a.id, a.metadata, a.version), (b.id, b.metadata, b.version));
            prop_assert_eq!(
                (a.source_hash, a.created_ts, a.updated_ts),
                (b.source_hash, b.created_ts, b.updated_ts)
            );
        }
    }

    #[test]
    fn search_finds_exactly_what_the_definition_says(
        vectors in vec(vec(prop_oneof![
            4 => -1.0f32..1.0,
            1 => Just(0.0),
            1 => Just(1e30),
            1 => Just(1e-12),
            1 => Just(f32::NAN),
        ], 4), 1..40),
        wanted in vec(-1.0f32..1.0, 4),
        k in 1usize..6,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let names: Vec<String> = (0..vectors.len()).map(|n| format!("{n:03}")).collect();
        let records = Records::collect(4, names.iter().zip(&vectors).map(|(id, vector)| RecordRef {
            id, vector, metadata: "{}", version: None, source_hash: None,
            created_ts: None, updated_ts: None,
        })).unwrap();
        for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
            let store = fill(&directory.path().join(metric.name()), &records, metric);
            let mut nearest = Nearest::new(k);
            for (id, vector) in names.iter().zip(&vectors) {
                nearest.offer(id, distance(metric, &wanted, vector));
            }
            let mut query = Query { vector: &wanted, k, filter: &Filter::none(), exact: true };
            let seen = store.query(&CollectionName::standard(), &query).unwrap();
            query.exact = false;
            store.query(&CollectionName::standard(), &query).unwrap();
            prop_assert_eq!(seen, nearest.into_hits(), "{}", metric);
        }
    }
}
