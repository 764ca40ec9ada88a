//! Places that fail: read-only, full, locked by others, and processes that are killed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use carnet_connect::conformance::sample_records;
use carnet_connect::{
    IdRange, Load, LoadMode, NoProgress, RecordStream, Records, StoreError, VectorRepository,
    batches,
};
use carnet_connectors::SqliteStore;
use carnet_model::{Code, CollectionName, Metric};
use rusqlite::Connection;

use crate::sqlite::{fill, ids, request};

/// A small file system of its own, unmounted when this is dropped.
struct Mounted(tempfile::TempDir);

impl Mounted {
    /// `None`, and a line that says so, where mounting is not allowed.
    fn new(options: &str) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(directory.path())
            .output()
            .is_ok_and(|output| output.status.success());
        if !mounted {
            eprintln!("SKIPPED: a file system cannot be mounted here");
            return None;
        }
        Some(Self(directory))
    }

    fn read_only(&self) {
        let remounted =
            Command::new("mount").args(["-o", "remount,ro"]).arg(self.0.path()).output();
        assert!(remounted.unwrap().status.success());
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("x % 1?#.db")
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

fn begin(store: &SqliteStore, mode: LoadMode) -> Result<Box<dyn Load + '_>, StoreError> {
    store.begin_load(&request(8, Metric::L2, mode))
}

#[test]
fn a_read_only_place_is_read_and_refused_as_a_target() {
    let Some(place) = Mounted::new("size=8m") else { return };
    drop(fill(&place.file(), &sample_records(100).unwrap(), Metric::L2));
    place.read_only();
    let store = SqliteStore::new(place.file());
    assert_eq!(ids(store.snapshot().unwrap().as_ref()).len(), 100);
    for mode in [LoadMode::Replace, LoadMode::Upsert] {
        let error = begin(&store, mode).err().unwrap();
        assert_eq!(error.code(), Code::STORE_READ_ONLY, "{error}");
    }
    let new = SqliteStore::new(place.0.path().join("new.db"));
    assert_eq!(begin(&new, LoadMode::Replace).err().unwrap().code(), Code::STORE_READ_ONLY);
    let error = store.delete(&CollectionName::standard(), &["x"]).unwrap_err();
    assert_eq!(error.code(), Code::STORE_READ_ONLY);
}

#[test]
fn a_full_disk_keeps_what_was_there() {
    let Some(place) = Mounted::new("size=3m") else { return };
    let few = sample_records(100).unwrap();
    let store = fill(&place.file(), &few, Metric::L2);
    let load = begin(&store, LoadMode::Replace).unwrap();
    let many = sample_records(60_000).unwrap();
    let error = load.load_range(&IdRange::all(), &mut batches(vec![many])).unwrap_err();
    assert_eq!(error.code(), Code::DISK_FULL, "{error}: {:?}", std::error::Error::source(&error));
    assert!(error.remedy_text().is_some());
    assert_eq!(load.abandon().unwrap(), Vec::<String>::new());
    assert_eq!(ids(store.snapshot().unwrap().as_ref()).len(), 100);
    load.load_range(&IdRange::all(), &mut batches(vec![few.slice(0, 50).unwrap()])).unwrap();
    load.commit(&NoProgress).unwrap();
    assert_eq!(ids(store.snapshot().unwrap().as_ref()).len(), 50);
}

/// Range after range until the disk is full.
fn load_until_full(load: &dyn Load, records: &Records) {
    let borders = (500..records.len()).step_by(500);
    let borders = borders.filter_map(|row| records.get(row)).map(|record| record.id.to_owned());
    for (part, range) in IdRange::split_at(borders).iter().enumerate() {
        let part = records.slice(part * 500, 500).unwrap();
        if let Err(error) = load.load_range(range, &mut batches(vec![part])) {
            assert_eq!(error.code(), Code::DISK_FULL, "{error}");
            return;
        }
    }
    panic!("the disk is too large for this test");
}

#[test]
fn a_load_that_fills_the_disk_is_taken_back_without_room() {
    // The borders of ranges and pages fall elsewhere each time.
    for size in ["1m", "1100k", "1500k", "2m", "3m"] {
        let Some(place) = Mounted::new(&format!("size={size}")) else { return };
        let store = SqliteStore::new(place.file());
        let load = begin(&store, LoadMode::Replace).unwrap();
        let records = sample_records(60_000).unwrap();
        load_until_full(load.as_ref(), &records);
        assert_eq!(load.abandon().unwrap(), Vec::<String>::new(), "{size}");
        assert!(!store.drop_collection(&CollectionName::standard()).unwrap());
        assert!(store.snapshot().unwrap().collections().unwrap().is_empty());
        // What it took is free again.
        let few = records.slice(0, 100).unwrap();
        load.load_range(&IdRange::all(), &mut batches(vec![few])).unwrap();
        load.commit(&NoProgress).unwrap();
        assert_eq!(ids(store.snapshot().unwrap().as_ref()).len(), 100, "{size}");
        let mut beside = std::fs::read_dir(place.0.path()).unwrap();
        let kept = |it: std::io::Result<std::fs::DirEntry>| {
            it.unwrap().file_name().to_string_lossy().contains("carnet-room")
        };
        assert!(!beside.any(kept), "{size}");
    }
}

#[test]
fn a_full_disk_keeps_the_other_collections() {
    for size in ["1400k", "1500k", "1700k", "2m", "3m"] {
        let Some(place) = Mounted::new(&format!("size={size}")) else { return };
        let records = sample_records(60_000).unwrap();
        let store = fill(&place.file(), &records.slice(0, 500).unwrap(), Metric::L2);
        let mut other = request(8, Metric::L2, LoadMode::Replace);
        other.contract.name = CollectionName::new("other").unwrap();
        let load = store.begin_load(&other).unwrap();
        load_until_full(load.as_ref(), &records);
        assert_eq!(load.abandon().unwrap(), Vec::<String>::new(), "{size}");
        let view = store.snapshot().unwrap();
        assert_eq!(view.collections().unwrap(), [CollectionName::standard()], "{size}");
        assert_eq!(ids(view.as_ref()).len(), 500, "{size}");
    }
}

#[test]
fn a_file_that_another_process_locks_is_busy() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.db");
    drop(fill(&path, &sample_records(10).unwrap(), Metric::L2));
    let store = SqliteStore::new(&path).wait_at_most(Duration::from_millis(50));
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = store.delete(&CollectionName::standard(), &["x"]).unwrap_err();
    assert_eq!(error.code(), Code::STORE_BUSY);
    assert!(error.remedy_text().unwrap().contains("another process"));
    assert_eq!(begin(&store, LoadMode::Replace).err().unwrap().code(), Code::STORE_BUSY);
    // Readers do not mind.
    assert_eq!(ids(store.snapshot().unwrap().as_ref()).len(), 10);
    other.execute_batch("ROLLBACK").unwrap();
    store.delete(&CollectionName::standard(), &["x"]).unwrap();
}

/// Gives one batch, says so by making a file, and then waits for ever.
struct Hanging {
    batch: Option<Records>,
    sign: PathBuf,
}

impl RecordStream for Hanging {
    fn next(&mut self) -> Result<Option<Records>, StoreError> {
        if let Some(batch) = self.batch.take() {
            return Ok(Some(batch));
        }
        std::fs::write(&self.sign, "").unwrap();
        loop {
            std::thread::park();
        }
    }
}

fn half(directory: &Path) -> (SqliteStore, Vec<IdRange>, Records) {
    let records = sample_records(4_000).unwrap();
    let border = records.get(2_000).map(|record| record.id.to_owned());
    (SqliteStore::new(directory.join("x.db")), IdRange::split_at(border), records)
}

#[test]
#[ignore = "the process that `a_killed_load_keeps_its_finished_ranges` starts and kills"]
fn a_load_that_hangs() {
    #[expect(clippy::disallowed_methods, reason = "the parent test says where to work")]
    let Ok(directory) = std::env::var("CARNET_TEST_HANG") else { return };
    let (store, ranges, records) = half(Path::new(&directory));
    let load = begin(&store, LoadMode::Replace).unwrap();
    load.load_range(&ranges[0], &mut batches(vec![records.slice(0, 2_000).unwrap()])).unwrap();
    let batch = Some(records.slice(2_000, 1_500).unwrap());
    let sign = Path::new(&directory).join("sign");
    load.load_range(&ranges[1], &mut Hanging { batch, sign }).unwrap();
}

#[test]
fn a_killed_load_keeps_its_finished_ranges() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sqlite_places::a_load_that_hangs", "--ignored"])
        .env("CARNET_TEST_HANG", directory.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let since = Instant::now();
    while !directory.path().join("sign").exists() {
        assert!(since.elapsed() < Duration::from_mins(1), "the load did not start");
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(100));
    child.kill().unwrap();
    child.wait().unwrap();
    let (store, ranges, records) = half(directory.path());
    assert!(store.snapshot().unwrap().collections().unwrap().is_empty());
    let load = begin(&store, LoadMode::Replace).unwrap();
    let mut back = load.read_back(&ranges[0]).unwrap().unwrap();
    let mut count = 0;
    while let Some(batch) = back.next().unwrap() {
        count += batch.len();
    }
    assert_eq!(count, 2_000);
    drop(back);
    assert!(load.read_back(&ranges[1]).unwrap().is_none());
    load.load_range(&ranges[1], &mut batches(vec![records.slice(2_000, 2_000).unwrap()])).unwrap();
    load.commit(&NoProgress).unwrap();
    assert_eq!(ids(store.snapshot().unwrap().as_ref()).len(), 4_000);
}
