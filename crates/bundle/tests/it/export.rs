//! Export, and reading a snapshot back as a store.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use carnet_bundle::{
    ExportRequest, Exported, SnapshotStore, SnapshotTime, Work, digest_collection, export_snapshot,
};
use carnet_connect::{Filter, IdRange, MemoryStore, Query, VectorRepository};
use carnet_model::{Code, CollectionContract};
use proptest::prelude::*;

use crate::content::{any_rows, contract, fill, name, plain_rows, records, rows_of, store_of};

pub(crate) fn request(parent: &Path) -> ExportRequest<'_> {
    ExportRequest {
        parent,
        created: SnapshotTime::from_unix_seconds(1_755_012_600).unwrap(),
        source_env: "test",
        artifacts: None,
        collections: None,
        governance: BTreeMap::new(),
        metadata_apart: false,
        index: None,
        signers: &[],
    }
}

pub(crate) fn export(store: &dyn VectorRepository, parent: &Path, workers: usize) -> Exported {
    export_snapshot(store, &request(parent), &Work::quiet(workers)).unwrap()
}

/// All files under a directory with their bytes.
pub(crate) fn bytes_of(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut waiting = vec![dir.to_owned()];
    while let Some(place) = waiting.pop() {
        for entry in fs::read_dir(&place).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let relative = path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
                files.insert(relative, fs::read(&path).unwrap());
            }
        }
    }
    files
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn a_snapshot_holds_exactly_what_the_store_held(rows in any_rows(40), workers in 1usize..4) {
        let store = store_of(&rows);
        let dir = tempfile::tempdir().unwrap();
        let exported = export(&store, dir.path(), workers);
        let snapshot = SnapshotStore::open(&exported.path).unwrap();
        prop_assert_eq!(rows_of(&snapshot, "embeddings"), rows);
        let work = Work::quiet(workers);
        let view = store.snapshot().unwrap();
        let digest = digest_collection(view.as_ref(), &name("embeddings"), &work).unwrap();
        prop_assert_eq!(&exported.collections, &vec![digest.clone()]);
        let view = snapshot.snapshot().unwrap();
        let again = digest_collection(view.as_ref(), &name("embeddings"), &work).unwrap();
        prop_assert_eq!(again, digest);
    }
}

#[test]
fn bytes_do_not_depend_on_workers_or_batches() {
    let store = store_of(&plain_rows(20_000));
    let mut seen = Vec::new();
    for workers in [1, 2, 5] {
        let dir = tempfile::tempdir().unwrap();
        seen.push(bytes_of(&export(&store, dir.path(), workers).path));
    }
    // A snapshot gives its records in other batches than the store in memory.
    let dir = tempfile::tempdir().unwrap();
    let first = export(&store, dir.path(), 2);
    let snapshot = SnapshotStore::open(&first.path).unwrap();
    let second = tempfile::tempdir().unwrap();
    let again = bytes_of(&export(&snapshot, second.path(), 3).path);
    assert_eq!(again["embeddings.parquet"], seen[0]["embeddings.parquet"]);
    assert_eq!(again["digests.parquet"], seen[0]["digests.parquet"]);
    assert!(seen.iter().all(|files| *files == seen[0]));
    assert_eq!(snapshot.manifest().record_count, 20_000);
}

#[test]
fn ranges_and_shards_of_a_snapshot_hold_each_record_once() {
    let rows = plain_rows(20_000);
    let store = store_of(&rows);
    let dir = tempfile::tempdir().unwrap();
    let snapshot = SnapshotStore::open(&export(&store, dir.path(), 2).path).unwrap();
    let view = snapshot.snapshot().unwrap();
    let collection = name("embeddings");
    for parts in [1, 2, 3, 100] {
        let mut ids = Vec::new();
        for range in view.ranges(&collection, parts).unwrap() {
            let mut stream = view.scan(&collection, &range).unwrap();
            while let Some(batch) = stream.next().unwrap() {
                ids.extend(batch.iter().map(|record| record.id.to_owned()));
            }
        }
        assert!(ids.iter().eq(rows.keys()), "{parts} ranges");
        let mut ids = Vec::new();
        for shard in view.shards(&collection, parts).unwrap() {
            let mut stream = view.scan_shard(&collection, &shard).unwrap();
            while let Some(batch) = stream.next().unwrap() {
                ids.extend(batch.iter().map(|record| record.id.to_owned()));
            }
        }
        assert!(ids.iter().eq(rows.keys()), "{parts} shards");
    }
    let range = IdRange { from: Some("id-008190".into()), to: Some("id-008195".into()) };
    let mut stream = view.scan(&collection, &range).unwrap();
    let mut seen = 0;
    while let Some(batch) = stream.next().unwrap() {
        seen += batch.len();
    }
    assert_eq!(seen, 5);
}

#[test]
fn a_snapshot_answers_queries_and_refuses_changes() {
    let store = store_of(&plain_rows(9_000));
    let dir = tempfile::tempdir().unwrap();
    let snapshot = SnapshotStore::open(&export(&store, dir.path(), 2).path).unwrap();
    let collection = name("embeddings");
    let filter = Filter::none();
    let query = Query { vector: &[40.0, 41.0, 42.0], k: 7, filter: &filter, exact: true };
    assert_eq!(
        snapshot.query(&collection, &query).unwrap(),
        store.query(&collection, &query).unwrap()
    );
    let ids = ["id-000001", "no such", "id-008999", "id-000001"];
    let fetched = snapshot.fetch(&collection, &ids).unwrap();
    assert_eq!(fetched.batch(), store.fetch(&collection, &ids).unwrap().batch());
    let refusals = [
        snapshot.upsert(&collection, &fetched).unwrap_err(),
        snapshot.delete(&collection, &ids).unwrap_err(),
        snapshot.drop_collection(&collection).unwrap_err(),
    ];
    assert!(refusals.iter().all(|error| error.code() == Code::STORE_READ_ONLY));
    assert_eq!(snapshot.query(&name("other"), &query).unwrap_err().code(), Code::STORE_NOT_FOUND);
}

#[test]
fn several_collections_and_artifacts_travel_together() {
    let store = MemoryStore::default();
    for collection in ["alpha", "beta"] {
        fill(&store, &contract(collection), records(&plain_rows(10)));
    }
    let wide = CollectionContract { dimensions: 5, ..contract("wide") };
    fill(&store, &wide, carnet_connect::Records::collect(5, []).unwrap());
    let dir = tempfile::tempdir().unwrap();
    let artifacts = dir.path().join("knowledge");
    for (path, text) in [
        ("bpmn/a_v1.bpmn", "<a/>"),
        ("prompts/résumé.yaml", "x: 1"),
        ("prompts/deep/er.yaml", ""),
        ("index.faiss", "not an artifact"),
    ] {
        let path = artifacts.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let exported = export_snapshot(
        &store,
        &ExportRequest {
            artifacts: Some(&artifacts),
            governance: [("jurisdiction".to_owned(), "DE".to_owned())].into(),
            metadata_apart: true,
            ..request(dir.path())
        },
        &Work::quiet(2),
    )
    .unwrap();
    let files = bytes_of(&exported.path);
    let names: Vec<_> = files.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "bpmn/a_v1.bpmn",
            "checksums.sha256",
            "collections/beta/digests.parquet",
            "collections/beta/embeddings.parquet",
            "collections/beta/metadata.parquet",
            "collections/wide/digests.parquet",
            "collections/wide/embeddings.parquet",
            "collections/wide/metadata.parquet",
            "digests.parquet",
            "embeddings.parquet",
            "manifest.json",
            "metadata.parquet",
            "prompts/deep/er.yaml",
            "prompts/résumé.yaml",
        ]
    );
    assert_eq!(files["bpmn/a_v1.bpmn"], b"<a/>");
    assert_eq!(exported.left_behind, ["index.faiss"]);
    let manifest = &exported.manifest;
    assert_eq!((manifest.bpmn_count, manifest.prompt_count), (1, 2));
    assert_eq!((manifest.record_count, manifest.dimensions), (20, 3));
    assert_eq!(exported.bytes, files.values().map(|bytes| bytes.len() as u64).sum::<u64>());
    let snapshot = SnapshotStore::open(&exported.path).unwrap();
    assert_eq!(rows_of(&snapshot, "beta"), plain_rows(10));
    let sums = std::process::Command::new("sha256sum")
        .args(["--check", "--strict", "--quiet", "checksums.sha256"])
        .current_dir(&exported.path)
        .output()
        .unwrap();
    assert!(sums.status.success(), "{sums:?}");
}

#[test]
fn a_taken_place_a_leftover_and_a_link_are_told_apart() {
    let store = store_of(&plain_rows(3));
    let dir = tempfile::tempdir().unwrap();
    let partial = dir.path().join("knowledge_snapshot_20250812_153000.partial");
    fs::create_dir(&partial).unwrap();
    fs::write(partial.join("embeddings.parquet"), "cut off").unwrap();
    let exported = export(&store, dir.path(), 1);
    assert!(!partial.exists());
    let again = export_snapshot(&store, &request(dir.path()), &Work::quiet(1)).unwrap_err();
    assert_eq!(again.code(), Code::SNAPSHOT_EXISTS);
    fs::remove_dir_all(&exported.path).unwrap();

    let artifacts = dir.path().join("artifacts");
    fs::create_dir_all(artifacts.join("logs")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", artifacts.join("logs/x")).unwrap();
    let request = ExportRequest { artifacts: Some(&artifacts), ..request(dir.path()) };
    let refused = export_snapshot(&store, &request, &Work::quiet(1)).unwrap_err();
    assert_eq!(refused.code(), Code::ARTIFACT);
    assert!(!partial.exists() && !exported.path.exists());
}
