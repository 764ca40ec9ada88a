//! The FAISS store: the conformance suite, a real knowledge base, crashes, damage, bad input.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use carnet_connect::conformance::{self, sample_contract, sample_records};
use carnet_connect::{
    Filter, IdRange, LoadMode, LoadRequest, NoProgress, Query, RecordRef, RecordStream, Records,
    StoreError, VectorRepository, batches,
};
use carnet_connectors::FaissStore;
use carnet_model::{CollectionContract, CollectionName, IndexSpec, Metric, Normalisation};

use crate::python::python;

/// What an error and its causes say, with its code.
pub(crate) fn told(error: &StoreError) -> String {
    let mut text = format!("{}: {error}", error.code());
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

pub(crate) fn standard() -> CollectionName {
    CollectionName::standard()
}

/// Every record of the standard collection in order of id, read by range; reading by shard must
/// give the same.
pub(crate) fn content(store: &FaissStore) -> Result<Vec<String>, StoreError> {
    let view = store.snapshot()?;
    let all = |mut stream: Box<dyn RecordStream + '_>| {
        let mut records = Vec::new();
        while let Some(batch) = stream.next()? {
            records.extend(batch.iter().map(|record| shown(&record)));
        }
        Ok::<_, StoreError>(records)
    };
    let by_range = all(view.scan(&standard(), &IdRange::all())?)?;
    let mut by_shard = Vec::new();
    for shard in view.shards(&standard(), 3)? {
        by_shard.extend(all(view.scan_shard(&standard(), &shard)?)?);
    }
    let mut sorted = by_range.clone();
    sorted.sort();
    by_shard.sort();
    assert!(sorted == by_shard, "ranges and shards differ");
    Ok(by_range)
}

fn shown(record: &RecordRef<'_>) -> String {
    let bits: Vec<u32> = record.vector.iter().map(|value| value.to_bits()).collect();
    format!("{:?} {bits:?}", RecordRef { vector: &[], ..*record })
}

fn request(contract: CollectionContract, mode: LoadMode) -> LoadRequest {
    LoadRequest { contract, mode, token: "one".to_owned() }
}

pub(crate) fn load(
    store: &FaissStore,
    contract: CollectionContract,
    records: &Records,
) -> Result<(), StoreError> {
    let load = store.begin_load(&request(contract, LoadMode::Replace))?;
    load.load_range(&IdRange::all(), &mut batches(vec![records.clone()]))?;
    load.commit(&NoProgress)
}

fn contract(store: &FaissStore) -> CollectionContract {
    sample_contract(&standard(), store.capabilities())
}

/// A store with the sample in it.
fn sample(dir: &Path, count: usize) -> FaissStore {
    let store = FaissStore::new(dir);
    load(&store, contract(&store), &sample_records(count).unwrap()).unwrap();
    store
}

fn quickstart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/quickstart/knowledge")
}

/// The files in a directory, by path.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let bytes = fs::read(&path).unwrap();
            found.insert(path, bytes);
        }
    }
    found
}

#[test]
fn the_conformance_suite_passes() {
    let dir = tempfile::tempdir().unwrap();
    let mut count = 0;
    let mut fresh = || -> Result<Box<dyn VectorRepository>, StoreError> {
        count += 1;
        Ok(Box::new(FaissStore::new(dir.path().join(count.to_string()))))
    };
    let checks = conformance::run(&mut fresh).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(checks >= 18);
}

/// A real knowledge base through our reader and writer: faiss-cpu finds the same vectors, pyarrow
/// the same rows, and a second trip gives the same bytes.
#[test]
fn a_real_knowledge_base_comes_back_and_others_read_it() {
    let dir = tempfile::tempdir().unwrap();
    let source = FaissStore::new(quickstart());
    let view = source.snapshot().unwrap();
    let description = view.describe(&standard()).unwrap();
    assert_eq!(description.contract.dimensions, 384);
    assert!(description.records > 0 && description.index.is_none());
    let copy = |to: &str, ranges: usize| {
        let target = FaissStore::new(dir.path().join(to));
        let request = request(description.contract.clone(), LoadMode::Replace);
        let load = target.begin_load(&request).unwrap();
        for range in view.ranges(&standard(), ranges).unwrap() {
            let mut stream = view.scan(&standard(), &range).unwrap();
            load.load_range(&range, stream.as_mut()).unwrap();
        }
        load.commit(&NoProgress).unwrap();
        assert!(content(&target).unwrap() == content(&source).unwrap());
    };
    copy("a", 1);
    copy("b", 7);
    let relative = |name: &str| -> BTreeMap<PathBuf, Vec<u8>> {
        let root = dir.path().join(name);
        let strip = |path: PathBuf| path.strip_prefix(&root).unwrap().to_owned();
        files(&root).into_iter().map(|(path, bytes)| (strip(path), bytes)).collect()
    };
    assert!(relative("a") == relative("b"), "the bytes depend on the ranges");
    assert_eq!(relative("a").len(), 3, "{:?}", relative("a").keys());
    std::os::unix::fs::symlink(quickstart(), dir.path().join("source")).unwrap();
    let printed = python(
        dir.path(),
        r"
import json, faiss, numpy as np, pyarrow.parquet as pq
def read(where):
    index = faiss.read_index(where + '/index.faiss')
    vectors = index.reconstruct_n(0, index.ntotal)
    table = pq.read_table(where + '/metadata.parquet')
    rows = {row['id']: row for row in table.to_pylist()}
    return {i: vectors[n].tobytes() for n, i in enumerate(table['id'].to_pylist())}, rows, index
ours, our_rows, index = read('a')
theirs, their_rows, their_index = read('source')
assert type(index) == type(their_index) and ours == theirs
for key, row in our_rows.items():
    other = their_rows[key]
    assert json.loads(row.pop('metadata')) == json.loads(other.pop('metadata')), key
    assert row == other, (row, other)
print(len(ours))
",
    );
    assert_eq!(printed.trim(), description.records.to_string());
}

/// Exact search agrees with the exact search of faiss-cpu.
#[test]
fn search_finds_what_faiss_finds() {
    let dir = tempfile::tempdir().unwrap();
    let printed = python(
        dir.path(),
        &format!(
            r"
import faiss, pyarrow.parquet as pq
source = '{}'
index = faiss.read_index(source + '/index.faiss')
ids = pq.read_table(source + '/metadata.parquet')['id'].to_pylist()
for row in range(0, index.ntotal, index.ntotal // 20):
    _, found = index.search(index.reconstruct(row).reshape(1, -1), 5)
    print(row, *[ids[label] for label in found[0]], sep='\t')
",
            quickstart().display()
        ),
    );
    let store = FaissStore::new(quickstart());
    let view = store.snapshot().unwrap();
    let mut queries = 0;
    for line in printed.lines() {
        let mut words = line.split('\t');
        let row: u64 = words.next().unwrap().parse().unwrap();
        let wanted: Vec<&str> = words.collect();
        let shard = carnet_connect::Shard::Span(row, row + 1);
        let record = view.scan_shard(&standard(), &shard).unwrap().next().unwrap().unwrap();
        let query = record.get(0).unwrap().vector;
        let filter = Filter::none();
        let query = Query { vector: query, k: 5, filter: &filter, exact: true };
        let found = store.query(&standard(), &query).unwrap();
        let found: Vec<&str> = found.iter().map(|hit| hit.id.as_str()).collect();
        assert_eq!(found, wanted, "query {row}");
        queries += 1;
    }
    assert!(queries >= 20);
}

#[test]
fn an_id_map_is_written_where_it_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let store = FaissStore::new(dir.path().join("asked"));
    let mut asked = contract(&store);
    asked.index =
        Some(IndexSpec { kind: "flat".into(), parameters: [("id_map".into(), 1)].into() });
    load(&store, asked, &sample_records(50).unwrap()).unwrap();
    let flat = sample(&dir.path().join("flat"), 50);
    assert!(content(&store).unwrap() == content(&flat).unwrap());
    let index = store.snapshot().unwrap().describe(&standard()).unwrap().index.unwrap();
    assert_eq!(index.parameters["id_map"], 1);
    python(
        dir.path(),
        r"
import faiss, numpy as np
index = faiss.read_index('asked/index.faiss')
assert type(index) == faiss.IndexIDMap2, type(index)
assert faiss.vector_to_array(index.id_map).tolist() == list(range(50))
flat = faiss.read_index('flat/index.faiss')
assert np.array_equal(index.reconstruct(7).view('u4'), flat.reconstruct(7).view('u4'))
",
    );
}

#[test]
fn faiss_ids_travel_and_come_back_as_an_id_map() {
    let dir = tempfile::tempdir().unwrap();
    python(
        dir.path(),
        r#"
import os, faiss, numpy as np, pyarrow as pa, pyarrow.parquet as pq
x = np.random.RandomState(1).randn(60, 8).astype('f4')
ids = np.arange(60)[::-1] * 7 - 100
index = faiss.index_factory(8, 'IDMap2,Flat')
index.add_with_ids(x, ids)
os.mkdir('source')
faiss.write_index(index, 'source/index.faiss')
order = np.random.RandomState(2).permutation(60)
table = pa.table({'id': [f'r{n:02}' for n in order], 'metadata': ['{"n": %d}' % n for n in order],
                  'faiss_id': ids[order]})
pq.write_table(table, 'source/metadata.parquet')
"#,
    );
    let source = FaissStore::new(dir.path().join("source"));
    let wanted = content(&source).unwrap();
    assert!(wanted[3].contains(r#"{\"_columns\":{\"faiss_id\":292},\"n\":3}"#), "{}", wanted[3]);
    let view = source.snapshot().unwrap();
    let description = view.describe(&standard()).unwrap();
    assert_eq!(description.carried_columns, ["faiss_id"]);
    let target = FaissStore::new(dir.path().join("target"));
    let request = request(description.contract, LoadMode::Replace);
    let load = target.begin_load(&request).unwrap();
    let mut stream = view.scan(&standard(), &IdRange::all()).unwrap();
    load.load_range(&IdRange::all(), stream.as_mut()).unwrap();
    load.commit(&NoProgress).unwrap();
    assert!(content(&target).unwrap() == wanted);
    python(
        dir.path(),
        r"
import faiss, numpy as np, pyarrow.parquet as pq
ours, theirs = [faiss.read_index(w + '/index.faiss') for w in ['target', 'source']]
assert type(ours) == faiss.IndexIDMap2
rows = pq.read_table('target/metadata.parquet').to_pylist()
assert [row['faiss_id'] for row in rows] == faiss.vector_to_array(ours.id_map).tolist()
for row in rows:
    label = row['faiss_id']
    assert np.array_equal(ours.reconstruct(label), theirs.reconstruct(label))
    assert (59 - int(row['id'][1:])) * 7 - 100 == label
",
    );
    // Without the column in the metadata the pairing stays, and the ids are left behind.
    let dropped = FaissStore::new(dir.path().join("source")).drop_columns(["faiss_id".to_owned()]);
    let kept = content(&dropped).unwrap();
    let strip = |line: &String| line.replace(r#"\"_columns\":{\"faiss_id\":292},"#, "");
    assert_eq!(kept[3], strip(&wanted[3]));
}

#[test]
fn cosine_needs_unit_length() {
    let dir = tempfile::tempdir().unwrap();
    let store = FaissStore::new(dir.path());
    let cosine = CollectionContract { metric: Some(Metric::Cosine), ..contract(&store) };
    let error = store.begin_load(&request(cosine.clone(), LoadMode::Replace)).err().unwrap();
    assert_eq!(error.code().name(), "store.unsupported", "{}", told(&error));
    assert!(error.remedy_text().unwrap().contains("unit_length"));
    let unknown = CollectionContract { metric: None, ..cosine.clone() };
    let error = store.begin_load(&request(unknown, LoadMode::Replace)).err().unwrap();
    assert!(told(&error).contains("not declared"), "{}", told(&error));
    let unit = CollectionContract { normalisation: Some(Normalisation::UnitLength), ..cosine };
    load(&store, unit.clone(), &sample_records(3).unwrap()).unwrap();
    assert_eq!(store.snapshot().unwrap().describe(&standard()).unwrap().contract, unit);
    assert_eq!(&fs::read(dir.path().join("index.faiss")).unwrap()[..4], b"IxFI");
}

#[test]
fn a_contract_that_the_index_contradicts_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = sample(dir.path(), 5);
    let held = contract(&store);
    let wrong = [
        (CollectionContract { dimensions: 9, ..held.clone() }, "9 dimensions, the index 8"),
        (CollectionContract { metric: Some(Metric::InnerProduct), ..held.clone() }, "metric"),
        (CollectionContract { metric: Some(Metric::Cosine), ..held.clone() }, "metric cosine"),
    ];
    for (contract, what) in wrong {
        let json = serde_json::to_vec(&contract).unwrap();
        fs::write(dir.path().join("collection.json"), json).unwrap();
        let error = content(&store).unwrap_err();
        assert_eq!(error.code().name(), "store.malformed");
        assert!(told(&error).contains(what), "{}", told(&error));
    }
    fs::write(dir.path().join("collection.json"), "{\"name\":\"embeddings\",\"extra\":1}").unwrap();
    let error = store.snapshot().map(|_| ()).unwrap_err();
    assert_eq!(error.code().name(), "store.malformed", "{}", told(&error));
    fs::remove_file(dir.path().join("collection.json")).unwrap();
    let told = store.snapshot().unwrap().describe(&standard()).unwrap().contract;
    assert_eq!((told.dimensions, told.metric, told.normalisation), (8, Some(Metric::L2), None));
}

#[test]
fn a_change_while_reading_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    for file in ["index.faiss", "metadata.parquet", "collection.json"] {
        let place = dir.path().join(file);
        let store = sample(&place, 300);
        let view = store.snapshot().unwrap();
        let mut stream = view.scan(&standard(), &IdRange::all()).unwrap();
        let mut bytes = fs::read(place.join(file)).unwrap();
        if file == "collection.json" {
            bytes.push(b'\n');
        }
        fs::write(place.join("other"), &bytes).unwrap();
        fs::rename(place.join("other"), place.join(file)).unwrap();
        let ended = loop {
            match stream.next() {
                Ok(Some(_)) => {}
                other => break other,
            }
        };
        let error = ended.unwrap_err();
        assert_eq!(error.code().name(), "store.changed", "{file}: {}", told(&error));
        // A view that is opened afterwards reads what is there now.
        assert_eq!(content(&store).unwrap().len(), 300);
    }
}

/// Blocks the exchange of files after the first one, as a crash would, and gives the error.
fn cut_off(store: &FaissStore, dir: &Path, records: &Records) -> StoreError {
    let load = store.begin_load(&request(contract(store), LoadMode::Replace)).unwrap();
    load.load_range(&IdRange::all(), &mut batches(vec![records.clone()])).unwrap();
    let block = dir.join(".carnet-load-one/old/metadata.parquet/x");
    fs::create_dir_all(&block).unwrap();
    let error = load.commit(&NoProgress).unwrap_err();
    fs::remove_dir_all(block.parent().unwrap()).unwrap();
    error
}

#[test]
fn a_crash_between_the_files_is_seen_and_completed() {
    let dir = tempfile::tempdir().unwrap();
    let store = sample(dir.path(), 40);
    let new = sample_records(90).unwrap();
    cut_off(&store, dir.path(), &new);
    for store in [&store, &FaissStore::new(dir.path())] {
        let error = content(store).unwrap_err();
        assert_eq!(error.code().name(), "store.half_loaded", "{}", told(&error));
        assert!(told(&error).contains("load one"), "{}", told(&error));
        assert!(store.drop_collection(&standard()).is_err());
        let other =
            LoadRequest { token: "two".into(), ..request(contract(store), LoadMode::Replace) };
        assert_eq!(store.begin_load(&other).err().unwrap().code().name(), "store.half_loaded");
    }
    let load = store.begin_load(&request(contract(&store), LoadMode::Replace)).unwrap();
    load.commit(&NoProgress).unwrap();
    load.commit(&NoProgress).unwrap();
    assert_eq!(content(&store).unwrap().len(), 90);
    assert_eq!(files(dir.path()).len(), 3, "{:?}", files(dir.path()).keys());
}

#[test]
fn a_crash_between_the_files_can_be_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = sample(dir.path(), 40);
    let before = files(dir.path());
    cut_off(&store, dir.path(), &sample_records(90).unwrap());
    assert!(files(dir.path()) != before);
    let load = store.begin_load(&request(contract(&store), LoadMode::Replace)).unwrap();
    assert_eq!(load.abandon().unwrap(), Vec::<String>::new());
    assert!(files(dir.path()) == before, "{:?}", files(dir.path()).keys());
    // And where nothing was before, nothing is left: here a crash after the first of three files.
    let fresh = dir.path().join("fresh");
    let store = sample(&fresh, 9);
    let staging = fresh.join(".carnet-load-one");
    fs::create_dir_all(staging.join("new")).unwrap();
    for name in ["metadata.parquet", "collection.json"] {
        fs::rename(fresh.join(name), staging.join("new").join(name)).unwrap();
    }
    fs::write(fresh.join(".carnet-commit"), r#"{"load":"one"}"#).unwrap();
    let load = store.begin_load(&request(contract(&store), LoadMode::Replace)).unwrap();
    load.abandon().unwrap();
    assert!(files(&fresh).is_empty(), "{:?}", files(&fresh).keys());
}

#[test]
fn half_a_part_is_never_taken_for_a_whole_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = FaissStore::new(dir.path());
    let records = sample_records(20).unwrap();
    let load = store.begin_load(&request(contract(&store), LoadMode::Replace)).unwrap();
    load.load_range(&IdRange::all(), &mut batches(vec![records.clone()])).unwrap();
    let staging = dir.path().join(".carnet-load-one");
    let part = fs::read_dir(&staging)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|ending| ending == "part"))
        .unwrap();
    let whole = fs::read(&part).unwrap();
    // What a crash leaves while a part is written has another name, and is no part.
    fs::write(part.with_extension("new"), &whole[..whole.len() / 2]).unwrap();
    fs::remove_file(&part).unwrap();
    assert!(load.read_back(&IdRange::all()).unwrap().is_none());
    load.commit(&NoProgress).unwrap();
    assert!(store.snapshot().unwrap().collections().unwrap().is_empty());
    // A part that was cut shorter by others is refused, wherever it is cut.
    let load = store.begin_load(&request(contract(&store), LoadMode::Replace)).unwrap();
    for end in (0..whole.len()).step_by(61) {
        fs::write(&part, &whole[..end]).unwrap();
        let error = load.read_back(&IdRange::all()).err().unwrap();
        assert_eq!(error.code().name(), "store.malformed");
    }
    assert!(load.commit(&NoProgress).is_err());
    fs::write(&part, &whole).unwrap();
    load.commit(&NoProgress).unwrap();
    assert_eq!(content(&store).unwrap().len(), 20);
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let store = FaissStore::new("/sys/carnet");
    let error = store.begin_load(&request(contract(&store), LoadMode::Replace)).err().unwrap();
    assert_eq!(error.code().name(), "store.read_only", "{}", told(&error));
    assert!(told(&error).contains("/sys/carnet"), "{}", told(&error));
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let store = FaissStore::new(dir.path().join("file"));
    let error = store.snapshot().map(|_| ()).unwrap_err();
    assert!(told(&error).contains("not a directory"), "{}", told(&error));
    assert!(store.begin_load(&request(contract(&store), LoadMode::Replace)).is_err());
}

/// Fills the file system but for so many bytes.
fn fill(filler: &Path, left: u64) {
    let mut file = fs::File::create(filler).unwrap();
    while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
    let size = file.metadata().unwrap().len();
    file.set_len(size - left).unwrap();
}

/// On a file system of one megabyte: the load fails as a whole, and what was there stays.
#[test]
fn a_full_disk_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "carnet-test"])
        .arg(dir.path())
        .stderr(std::process::Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !mounted {
        eprintln!("SKIPPED: a full disk: this user cannot mount a small file system");
        return;
    }
    let outcome = std::panic::catch_unwind(|| {
        let (place, filler) = (dir.path().join("kb"), dir.path().join("filler"));
        let store = sample(&place, 300);
        let before = files(&place);
        let records = sample_records(600).unwrap();
        let load = store.begin_load(&request(contract(&store), LoadMode::Replace)).unwrap();
        fill(&filler, 8 << 10);
        let error =
            load.load_range(&IdRange::all(), &mut batches(vec![records.clone()])).unwrap_err();
        assert_eq!(error.code().name(), "io.full", "{}", told(&error));
        fs::remove_file(&filler).unwrap();
        load.abandon().unwrap();
        assert!(files(&place) == before);
        // The part fits, the files that are made of it do not.
        let load = store.begin_load(&request(contract(&store), LoadMode::Replace)).unwrap();
        load.load_range(&IdRange::all(), &mut batches(vec![records])).unwrap();
        fill(&filler, 16 << 10);
        let error = load.commit(&NoProgress).unwrap_err();
        assert_eq!(error.code().name(), "io.full", "{}", told(&error));
        assert_eq!(content(&store).unwrap().len(), 300);
        fs::remove_file(&filler).unwrap();
        load.commit(&NoProgress).unwrap();
        assert_eq!(content(&store).unwrap().len(), 600);
    });
    let unmounted = std::process::Command::new("umount").arg(dir.path()).status().unwrap();
    assert!(unmounted.success());
    outcome.unwrap_or_else(|cause| std::panic::resume_unwind(cause));
}

#[test]
fn changes_are_refused_where_they_would_rebuild_another_index() {
    let dir = tempfile::tempdir().unwrap();
    python(
        dir.path(),
        r"
import faiss, numpy as np, pyarrow as pa, pyarrow.parquet as pq
index = faiss.IndexHNSWFlat(8, 4)
index.add(np.random.RandomState(1).randn(10, 8).astype('f4'))
faiss.write_index(index, 'index.faiss')
pq.write_table(pa.table({'id': [str(n) for n in range(10)]}), 'metadata.parquet')
",
    );
    let store = FaissStore::new(dir.path());
    let description = store.snapshot().unwrap().describe(&standard()).unwrap();
    assert_eq!(description.index.unwrap().kind, "hnsw");
    let error = store.delete(&standard(), &["3"]).unwrap_err();
    assert_eq!(error.code().name(), "store.unsupported", "{}", told(&error));
    assert_eq!(content(&store).unwrap().len(), 10);
}

#[test]
fn two_changes_at_once_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let store = sample(dir.path(), 30);
    let held = fs::File::open(dir.path()).unwrap();
    held.lock().unwrap();
    assert_eq!(store.delete(&standard(), &["x"]).unwrap_err().code().name(), "store.busy");
    drop(held);
    assert_eq!(store.delete(&standard(), &["x"]).unwrap(), 0);
}
