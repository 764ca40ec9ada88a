//! Stores that others made: every index kind with its metadata, other column types, SQLite, and
//! what is wrong with some of them.

use std::fs;
use std::path::Path;

use carnet_connect::{IdRange, Records, StoreError, VectorRepository};
use carnet_connectors::FaissStore;
use proptest::prelude::*;

use crate::faiss_store::{content, load, standard, told};
use crate::python::python;

/// What each script begins with: `store(name, columns, index)` makes a store with five records.
const PRELUDE: &str = r"
import os, sqlite3, datetime, decimal
import faiss, numpy as np, pyarrow as pa, pyarrow.parquet as pq
n, d = 5, 4
x = np.arange(n * d, dtype='f4').reshape(n, d)
ids = ['r%d' % i for i in range(n)]
def flat(vectors=x):
    index = faiss.IndexFlatL2(d)
    index.add(vectors)
    return index
def store(name, columns, index=None, **options):
    os.makedirs(name)
    faiss.write_index(index or flat(), name + '/index.faiss')
    table = columns if isinstance(columns, pa.Table) else pa.table({'id': ids, **columns})
    pq.write_table(table, name + '/metadata.parquet', **options)
def sqlite(name, create, rows, index=None):
    os.makedirs(name)
    faiss.write_index(index or flat(), name + '/index.faiss')
    with sqlite3.connect(name + '/metadata.sqlite') as db:
        db.execute(create)
        for row in rows:
            db.execute('INSERT INTO metadata VALUES (%s)' % ','.join('?' * len(row)), row)
    db.close()
";

fn make(dir: &Path, script: &str) {
    python(dir, &format!("{PRELUDE}\n{script}"));
}

fn records(store: &FaissStore) -> Result<Vec<Records>, StoreError> {
    let view = store.snapshot()?;
    let mut stream = view.scan(&standard(), &IdRange::all())?;
    let mut all = Vec::new();
    while let Some(batch) = stream.next()? {
        all.push(batch);
    }
    Ok(all)
}

/// The metadata of each record by id.
fn metadata(store: &FaissStore) -> Vec<(String, String)> {
    let batches = records(store).unwrap_or_else(|error| panic!("{}", told(&error)));
    let all = batches.iter().flat_map(Records::iter);
    all.map(|record| (record.id.to_owned(), record.metadata.to_owned())).collect()
}

/// Rows in no order, an index of each kind: each id must keep its own vector.
#[test]
fn every_kind_of_index_is_paired_with_its_rows() {
    let dir = tempfile::tempdir().unwrap();
    make(
        dir.path(),
        r"
n, d = 400, 8
x = np.random.RandomState(5).randn(n, d).astype('f4')
order = np.random.RandomState(6).permutation(n)
def trained(text):
    index = faiss.index_factory(d, text)
    index.train(x)
    return index
def write(name, index, ids=None):
    columns = {'id': ['r%04d' % i for i in order]}
    # The vector of record i is x[i]; labels are positions, or ids that say nothing by themselves.
    if ids is None:
        index.add(x[order])
    else:
        index.add_with_ids(x, ids)
        columns['faiss_id'] = ids[order]
    store(name, pa.table(columns), index, row_group_size=90)
    size = index.ntotal
    x.astype('<f4').tofile(name + '/exact.f32')
own = np.random.RandomState(7).permutation(n) * 11 + 3
write('flat', faiss.IndexFlatL2(d))
write('ivf', trained('IVF7,Flat'))
write('hnsw', faiss.IndexHNSWFlat(d, 8))
write('idmap', faiss.IndexIDMap(faiss.IndexFlatL2(d)), own)
write('idmap2', faiss.IndexIDMap2(faiss.IndexFlatL2(d)), own)
write('ivf_own', trained('IVF7,Flat'), own)
write('idmap_ivf', faiss.IndexIDMap(trained('IVF7,Flat')), own)
write('idmap_hnsw', faiss.IndexIDMap(faiss.IndexHNSWFlat(d, 8)), own)
x = x.astype('f2').astype('f4')
write('fp16', trained('SQfp16'))
plain = faiss.IndexIVFScalarQuantizer(
    faiss.IndexFlatL2(d), d, 7, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_L2, False)
plain.train(x)
write('ivf_fp16', plain)
",
    );
    let mut kinds = 0;
    for entry in fs::read_dir(dir.path()).unwrap() {
        let place = entry.unwrap().path();
        let exact = fs::read(place.join("exact.f32")).unwrap();
        let store = FaissStore::new(&place);
        content(&store).unwrap_or_else(|error| panic!("{}: {}", place.display(), told(&error)));
        let batches = records(&store).unwrap();
        let mut seen = 0;
        for (number, record) in batches.iter().flat_map(Records::iter).enumerate() {
            assert_eq!(record.id, format!("r{number:04}"));
            let bytes: Vec<u8> = record.vector.iter().flat_map(|v| v.to_le_bytes()).collect();
            assert!(bytes == exact[number * 32..][..32], "{}: {}", place.display(), record.id);
            seen += 1;
        }
        assert_eq!(seen, 400);
        let fetched = store.fetch(&standard(), &["r0399", "r0007", "none"]).unwrap();
        let ids: Vec<_> = fetched.iter().map(|record| record.id).collect();
        assert_eq!(ids, ["r0007", "r0399"]);
        kinds += 1;
    }
    assert_eq!(kinds, 10);
}

#[test]
fn other_column_types_are_understood() {
    let dir = tempfile::tempdir().unwrap();
    make(
        dir.path(),
        r#"
text = ['{"a": %d}' % i for i in range(n)]
moment = [datetime.datetime(2025, 8, 12, 15, 30, i, 123000) for i in range(n)]
store('large', pa.table({
    'id': pa.array(ids, pa.large_string()), 'metadata': pa.array(text, pa.large_string()),
    'version': pa.array(range(n), pa.uint8()), 'source_hash': pa.array(ids).dictionary_encode(),
    'created_ts': pa.array(moment, pa.timestamp('ms')),
    'updated_ts': pa.array(moment, pa.timestamp('ns', tz='Europe/Berlin'))}))
store('struct', {'metadata': [{'a': i, 'l': [1, None], 's': {'é': 0.5}} for i in range(n)]})
store('none', {'metadata': [None, '{}', None, None, None]})
store('int_ids', pa.table({'id': pa.array([10, 9, 8, 7, 6], pa.int32())}))
store('extras', {
    'metadata': text, 'title': ['t"%d' % i for i in range(n)], 'score': [0.1, None, 2.0, 1e300, -0.0],
    'big': pa.array([2**63 + 5] * n, pa.uint64()), 'tags': [['x', 'y']] * n,
    'price': pa.array([decimal.Decimal('1.50')] * n), 'day': [datetime.date(2024, 2, 29)] * n,
    'seen': pa.array(moment, pa.timestamp('us', tz='UTC')), 'flag': [True] * n,
    'single': pa.array([0.1] * n, pa.float32()), 'half': pa.array([np.float16(0.5)] * n),
    'map': pa.array([[('k', 1)]] * n, pa.map_(pa.string(), pa.int64()))})
"#,
    );
    let open = |name: &str| FaissStore::new(dir.path().join(name));
    let batches = records(&open("large")).unwrap();
    let record = batches[0].get(3).unwrap();
    assert_eq!((record.id, record.metadata, record.version), ("r3", r#"{"a":3}"#, Some(3)));
    assert_eq!(record.source_hash, Some("r3"));
    assert_eq!(record.created_ts, Some(1_755_012_603_123_000));
    assert_eq!(record.updated_ts, Some(1_755_012_603_123_000));
    let wanted = r#"{"a":2,"l":[1,null],"s":{"é":0.5}}"#;
    assert_eq!(metadata(&open("struct"))[2], ("r2".into(), wanted.into()));
    assert!(metadata(&open("none")).iter().all(|(_, text)| text == "{}"));
    let ids: Vec<_> = metadata(&open("int_ids")).into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, ["10", "6", "7", "8", "9"]);
    let extras = metadata(&open("extras"));
    assert_eq!(
        extras[0].1,
        concat!(
            r#"{"_columns":{"big":9223372036854775813,"day":"2024-02-29","flag":true,"half":0.5,"#,
            r#""map":{"k":1},"price":1.5,"score":0.1,"seen":"2025-08-12T15:30:00.123000Z","#,
            r#""single":0.10000000149011612,"tags":["x","y"],"title":"t\"0"},"a":0}"#,
        )
    );
    assert!(extras[1].1.contains(r#""score":null"#) && extras[4].1.contains(r#""score":0,"#));
    let view = open("extras");
    let carried = view.snapshot().unwrap().describe(&standard()).unwrap().carried_columns;
    assert_eq!(carried.len(), 11);
    let dropped = open("extras").drop_columns(carried);
    assert_eq!(metadata(&dropped)[0].1, r#"{"a":0}"#);
}

#[test]
fn an_empty_store_is_a_store() {
    let dir = tempfile::tempdir().unwrap();
    make(
        dir.path(),
        "store('s', pa.table({'id': pa.array([], pa.string())}), faiss.IndexFlatIP(d))",
    );
    let store = FaissStore::new(dir.path().join("s"));
    assert!(content(&store).unwrap().is_empty());
    let contract = store.snapshot().unwrap().describe(&standard()).unwrap().contract;
    let target = FaissStore::new(dir.path().join("t"));
    let none = Records::collect(4, []).unwrap();
    load(&target, contract, &none).unwrap();
    assert!(content(&target).unwrap().is_empty());
    let index = |name: &str| fs::read(dir.path().join(name).join("index.faiss")).unwrap();
    assert!(index("s") == index("t"));
}

/// Each case: what makes it, the code, and words that the message must have.
const REFUSED: [(&str, &str, &str); 27] = [
    ("store('s', {}, compression='gzip')", "store.unsupported", "is compressed with GZIP"),
    ("store('s', {}); os.remove('s/index.faiss')", "store.not_found", "no index.faiss"),
    ("store('s', {}); os.remove('s/metadata.parquet')", "store.not_found", "neither metadata"),
    ("store('s', {'raw': [b'x'] * n})", "table.column", "the column raw is of type Binary"),
    ("store('s', {'at': pa.array([1] * n, pa.time64('us'))})", "table.column", "the column at"),
    ("store('s', pa.table({'key': ids}))", "table.column", "no column id among key"),
    ("store('s', pa.table({'id': [0.5] * n}))", "table.column", "the column id is of type Float64"),
    ("store('s', {'version': ['1'] * n})", "table.column", "the column version is of type Utf8"),
    ("store('s', {'created_ts': ['now'] * n})", "table.column", "created_ts is of type Utf8"),
    (
        "store('s', {'created_ts': pa.array([1500] * n, pa.timestamp('ns'))})",
        "record.time",
        "created_ts of record \"r0\" is a time finer than microseconds",
    ),
    (
        "store('s', {'version': pa.array([2**63] * n, pa.uint64())})",
        "store.malformed",
        "the version of record \"r0\" is too large",
    ),
    ("store('s', pa.table({'id': ['a', 'b', None, 'd', 'e']}))", "record.id", "row 2"),
    ("store('s', pa.table({'id': ['a', 'b', '', 'd', 'e']}))", "record.id", "row 2"),
    ("store('s', pa.table({'id': ['a', 'x' * 70000, 'c', 'd', 'e']}))", "record.id", "70000 bytes"),
    (
        "store('s', pa.table({'id': ['a', 'b', 'c', 'b', 'e']}))",
        "record.duplicate",
        "the id \"b\" stands in rows 1 and 3",
    ),
    ("store('s', pa.table({'id': ids[:4]}))", "faiss.rows", "5 vectors, but 4 rows"),
    ("store('s', pa.table({'id': ids + ['z']}))", "faiss.rows", "5 vectors, but 6 rows"),
    ("store('s', {'metadata': ['{}', '{}', '[1]', '{}', '{}']})", "metadata.syntax", "row 2"),
    ("store('s', {'metadata': ['{\"a\":1,\"a\":2}'] * n})", "metadata.duplicate_key", "\"r0\""),
    ("store('s', {'metadata': ['{\"a\":0.10000000000000000001}'] * n})", "metadata.number", "r0"),
    ("store('s', {'x': [float('nan')] * n})", "table.unmapped", "a number that is not finite"),
    (
        "store('s', {'metadata': ['{\"_columns\":{\"t\":1}}'] * n, 't': [1, 2, 1, 1, 1]})",
        "store.unsupported",
        "the metadata of record \"r1\" differ",
    ),
    (
        "i = faiss.IndexIDMap(faiss.IndexFlatL2(d)); i.add_with_ids(x, np.arange(n) + 100)\n\
         store('s', {}, i)",
        "faiss.rows",
        "the index has ids of its own, none of them 0",
    ),
    (
        "i = faiss.IndexIDMap(faiss.IndexFlatL2(d)); i.add_with_ids(x, np.array([1, 2, 2, 3, 4]))\n\
         store('s', {'faiss_id': [1, 2, 2, 3, 4]}, i)",
        "faiss.rows",
        "the id 2 stands twice in the index",
    ),
    (
        "i = faiss.IndexIDMap(faiss.IndexFlatL2(d)); i.add_with_ids(x, np.arange(n) + 5)\n\
         store('s', {'faiss_id': [5, 6, 7, 8, 8]}, i)",
        "faiss.rows",
        "row 4 has the same faiss_id as an earlier one",
    ),
    (
        "i = faiss.IndexIDMap(faiss.IndexFlatL2(d)); i.add_with_ids(x, np.arange(n) + 5)\n\
         store('s', {'faiss_id': [5, 6, 7, 8, 99]}, i)",
        "faiss.rows",
        "row 4 has the faiss_id 99, which no vector",
    ),
    (
        "i = faiss.index_factory(d, 'PQ2x4'); i.train(np.random.rand(200, d).astype('f4')); i.add(x)\n\
         store('s', {}, i)",
        "faiss.kind",
        "a PQ index (IxPq) no longer holds the vectors",
    ),
];

#[test]
fn what_cannot_be_read_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let cases: Vec<String> = REFUSED
        .iter()
        .enumerate()
        .map(|(number, (script, ..))| {
            let named = script.replace("store('s'", &format!("store('s{number}'"));
            named.replace("remove('s/", &format!("remove('s{number}/"))
        })
        .collect();
    make(dir.path(), &cases.join("\n"));
    for (number, (script, code, words)) in REFUSED.iter().enumerate() {
        let store = FaissStore::new(dir.path().join(format!("s{number}")));
        let Err(error) = content(&store) else { panic!("{script} was read") };
        assert_eq!(error.code().name(), *code, "{script}: {}", told(&error));
        assert!(told(&error).contains(words), "{script}: {}", told(&error));
    }
}

#[test]
fn awkward_ids_and_long_text_are_carried() {
    let dir = tempfile::tempdir().unwrap();
    make(
        dir.path(),
        r#"
store('s', pa.table({'id': ['x' * 10240, 'line\nbreak', 'tab\t"quoted"', 'null\0byte', '日本'],
                     'metadata': ['{"t":"%s"}' % ('y' * 100000)] * n}))
"#,
    );
    let store = FaissStore::new(dir.path().join("s"));
    content(&store).unwrap();
    let seen = metadata(&store);
    let ids: Vec<_> = seen.iter().map(|(id, _)| id.len()).collect();
    assert_eq!(ids, [10, 9, 12, 10_240, 6]);
    assert!(seen.iter().all(|(_, text)| text.len() == 100_008));
    assert_eq!(store.fetch(&standard(), &["line\nbreak"]).unwrap().len(), 1);
}

#[test]
fn metadata_in_sqlite_is_read() {
    let dir = tempfile::tempdir().unwrap();
    make(
        dir.path(),
        r#"
fields = 'id TEXT, metadata TEXT, version INTEGER, source_hash TEXT, created_ts INTEGER, updated_ts INTEGER'
rows = [(ids[4 - i], '{"n": %d}' % i, i, 'h', 1, None) for i in range(n)]
sqlite('plain', f'CREATE TABLE metadata ({fields})', rows)
sqlite('gaps', f'CREATE TABLE metadata ({fields}, num INTEGER PRIMARY KEY)',
       [row + (50 - 10 * i,) for i, row in enumerate(rows)])
own = np.arange(n) * 3 + 1
index = faiss.IndexIDMap2(faiss.IndexFlatL2(d))
index.add_with_ids(x, own)
sqlite('keyed', 'CREATE TABLE metadata (faiss_id INTEGER PRIMARY KEY, id INTEGER, extra, real REAL) WITHOUT ROWID',
       [(int(own[i]), 100 + i, 'text', 0.5) for i in range(n)], index)
sqlite('unordered', f'CREATE TABLE metadata (id TEXT PRIMARY KEY) WITHOUT ROWID', [(i,) for i in ids])
sqlite('blob', 'CREATE TABLE metadata (id, raw)', [(i, b'x') for i in ids])
sqlite('view', 'CREATE TABLE other (id)', [])
sqlite('number', f'CREATE TABLE metadata (id, version)', [(i, 'one') for i in ids])
sqlite('fewer', f'CREATE TABLE metadata (id)', [(i,) for i in ids[:3]])
os.makedirs('wal dir?#%')
faiss.write_index(flat(), 'wal dir?#%/index.faiss')
db = sqlite3.connect('wal dir?#%/metadata.sqlite')
db.execute('PRAGMA journal_mode=wal')
db.execute('CREATE TABLE metadata (id)')
db.executemany('INSERT INTO metadata VALUES (?)', [(i,) for i in ids])
db.commit()
# The process ends without a checkpoint: the rows are in the log.
os._exit(0)
"#,
    );
    let open = |name: &str| FaissStore::new(dir.path().join(name));
    let first = |name: &str| {
        let store = open(name);
        content(&store).unwrap_or_else(|error| panic!("{name}: {}", told(&error)));
        let batches = records(&store).unwrap();
        let record = batches[0].get(0).unwrap();
        (record.id.to_owned(), record.vector[0], record.metadata.to_owned(), record.version)
    };
    assert_eq!(first("plain"), ("r0".into(), 16.0, r#"{"n":4}"#.into(), Some(4)));
    let gaps = r#"{"_columns":{"num":10},"n":4}"#;
    assert_eq!(first("gaps"), ("r0".into(), 0.0, gaps.into(), Some(4)));
    let keyed = r#"{"_columns":{"extra":"text","faiss_id":1,"real":0.5}}"#;
    assert_eq!(first("keyed"), ("100".into(), 0.0, keyed.into(), None));
    assert_eq!(first("wal dir?#%").0, "r0");
    for (name, code, words) in [
        ("unordered", "table.column", "no order and no column faiss_id"),
        ("blob", "table.column", "row 0 of the metadata holds Blob in the column raw"),
        ("view", "table.column", "no table named metadata"),
        ("number", "table.column", "holds Text in the column version"),
        ("fewer", "faiss.rows", "5 vectors, but 3 rows"),
    ] {
        let error = content(&open(name)).unwrap_err();
        assert_eq!(error.code().name(), code, "{}", told(&error));
        assert!(told(&error).contains(words), "{}", told(&error));
    }
    let both = dir.path().join("plain/metadata.parquet");
    fs::write(both, "").unwrap();
    assert!(told(&content(&open("plain")).unwrap_err()).contains("both metadata.parquet and"));
}

/// The files of a small store with metadata of either form.
fn seeds(dir: &Path) {
    make(
        dir,
        r#"
text = ['{"a": %d, "t": "%s"}' % (i, 'text ' * 5) for i in range(n)]
store('parquet', {'metadata': text, 'tags': [['x', 'y']] * n, 'version': list(range(n))})
store('snappy', {'metadata': text, 's': [{'a': 1}] * n}, compression='snappy', data_page_version='2.0')
sqlite('sqlite', 'CREATE TABLE metadata (id TEXT, metadata TEXT)', [(ids[i], text[i]) for i in range(n)])
"#,
    );
}

fn damage(place: &Path, file: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(place.join(file)).unwrap();
    change(&mut bytes);
    fs::write(place.join(file), bytes).unwrap();
    let store = FaissStore::new(place);
    // Whatever the damage: other content or an error, but no panic and no hang.
    if let Err(error) = content(&store) {
        assert_ne!(error.code().name(), "bug", "{}", told(&error));
    }
    let _ = store.fetch(&standard(), &["r3"]);
}

/// Every bit of every byte of the metadata files, one at a time, and each truncation.
#[test]
fn damaged_metadata_is_an_error_or_other_content() {
    let dir = tempfile::tempdir().unwrap();
    seeds(dir.path());
    for (name, file) in [
        ("parquet", "metadata.parquet"),
        ("snappy", "metadata.parquet"),
        ("sqlite", "metadata.sqlite"),
    ] {
        let place = dir.path().join(name);
        let whole = fs::read(place.join(file)).unwrap();
        let step = if name == "sqlite" { 31 } else { 1 };
        for at in (0..whole.len()).step_by(step) {
            let bit = u8::try_from(at % 8).unwrap();
            damage(&place, file, |bytes| bytes[at] ^= 1 << bit);
            fs::write(place.join(file), &whole).unwrap();
        }
        for end in (0..whole.len()).step_by(step * 7) {
            damage(&place, file, |bytes| bytes.truncate(end));
            fs::write(place.join(file), &whole).unwrap();
        }
        assert_eq!(content(&FaissStore::new(&place)).unwrap().len(), 5);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..Default::default() })]

    #[test]
    fn damaged_stores_do_not_panic(seed in any::<u64>()) {
        let dir = tempfile::tempdir().unwrap();
        seeds(dir.path());
        let mut state = seed | 1;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 16).unwrap_or(0)
        };
        let place = dir.path().join("parquet");
        let whole = fs::read(place.join("metadata.parquet")).unwrap();
        for _ in 0..60 {
            damage(&place, "metadata.parquet", |bytes| {
                for _ in 0..=random() % 6 {
                    let at = random() % bytes.len();
                    bytes[at] = u8::try_from(random() % 256).unwrap();
                }
            });
            fs::write(place.join("metadata.parquet"), &whole).unwrap();
        }
    }
}
