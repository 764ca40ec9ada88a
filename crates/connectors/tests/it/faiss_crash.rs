//! A load that is killed at any moment: what was there stays, or the crash is seen; the same load
//! then continues to its end.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use carnet_connect::conformance::{sample_contract, sample_records};
use carnet_connect::{
    IdRange, LoadMode, LoadRequest, NoProgress, Records, VectorRepository, batches,
};
use carnet_connectors::FaissStore;

use crate::faiss_store::{content, load, standard, told};

const PLACE: &str = "CARNET_TEST_CHILD_PLACE";
const RECORDS: usize = 3_000;

fn request(store: &FaissStore) -> LoadRequest {
    LoadRequest {
        contract: sample_contract(&standard(), store.capabilities()),
        mode: LoadMode::Replace,
        token: "killed".to_owned(),
    }
}

/// Loads all records in ten ranges, but those that are there already.
fn load_all(store: &FaissStore, records: &Records) {
    let borders = (1..10).filter_map(|n| records.get(n * RECORDS / 10));
    let ranges = IdRange::split_at(borders.map(|record| record.id.to_owned()));
    let load = store.begin_load(&request(store)).unwrap();
    for range in &ranges {
        if load.read_back(range).unwrap().is_none() {
            let inside = records.iter().filter(|record| range.contains(record.id));
            let part = Records::collect(8, inside).unwrap();
            load.load_range(range, &mut batches(vec![part])).unwrap();
        }
    }
    load.commit(&NoProgress).unwrap();
}

/// Not a test of its own: what the test below starts and kills.
#[test]
#[ignore = "it is started by a_killed_load_loses_nothing"]
#[expect(clippy::disallowed_methods, reason = "the test that starts this one tells the place")]
fn child() {
    let store = FaissStore::new(std::env::var(PLACE).unwrap());
    load_all(&store, &sample_records(RECORDS).unwrap());
}

fn start(place: &Path) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "faiss_crash::child"])
        .env(PLACE, place)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn a_killed_load_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let old = sample_records(100).unwrap();
    let new = sample_records(RECORDS).unwrap();
    let finished = dir.path().join("finished");
    let begun = std::time::Instant::now();
    assert!(start(&finished).wait().unwrap().success());
    let whole = begun.elapsed();
    let wanted = content(&FaissStore::new(&finished)).unwrap();
    let (mut untouched, mut staged, mut seen, mut done) = (0, 0, 0, 0);
    for kill in 0..40 {
        let place = dir.path().join(format!("killed-{kill}"));
        let store = FaissStore::new(&place);
        load(&store, request(&store).contract, &old).unwrap();
        let mut child = start(&place);
        std::thread::sleep(whole * kill / 40 + Duration::from_millis(1));
        child.kill().unwrap();
        child.wait().unwrap();
        match content(&store) {
            Ok(records) if records.len() == 100 => {
                let parts = place.join(".carnet-load-killed").exists();
                *if parts { &mut staged } else { &mut untouched } += 1;
            }
            Ok(records) => {
                assert!(records == wanted, "neither the old nor the new content");
                done += 1;
            }
            Err(error) => {
                assert_eq!(error.code().name(), "store.half_loaded", "{}", told(&error));
                seen += 1;
            }
        }
        // Continued when nothing was exchanged yet, completed when it was; a finished load that is
        // run again ends in the same state.
        load_all(&store, &new);
        assert!(content(&store).unwrap() == wanted);
        let left = std::fs::read_dir(&place).unwrap().count();
        assert_eq!(left, 3, "files are left behind");
        std::fs::remove_dir_all(&place).unwrap();
    }
    eprintln!(
        "killed before: {untouched}, while loading: {staged}, in the exchange: {seen}, after: {done}"
    );
    assert!(staged >= 3);
}
