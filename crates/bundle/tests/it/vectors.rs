//! The test vectors, and the second implementation in Python.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use carnet_bundle::{Work, digest_collection, record_digest};
use carnet_connect::{RecordRef, Records};
use carnet_ledger::Digest;
use carnet_model::canonical_metadata;
use serde::Deserialize;

use crate::content::{contract, fill, name, plain_rows, store_of};
use crate::export::export;

#[derive(Deserialize)]
struct Vectors {
    records: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    record: Given,
    canonical: String,
    bytes: String,
    digest: Digest,
}

#[derive(Deserialize)]
struct Given {
    id: String,
    vector_bits: Vec<String>,
    metadata: String,
    version: Option<String>,
    source_hash: Option<String>,
    created_ts: Option<String>,
    updated_ts: Option<String>,
}

impl Given {
    fn with_record<T>(&self, use_it: impl FnOnce(&RecordRef<'_>) -> T) -> T {
        let element = |hex: &String| f32::from_bits(u32::from_str_radix(hex, 16).unwrap());
        let vector: Vec<f32> = self.vector_bits.iter().map(element).collect();
        let number = |text: &Option<String>| text.as_ref().map(|text| text.parse().unwrap());
        use_it(&RecordRef {
            id: &self.id,
            vector: &vector,
            metadata: &canonical_metadata(&self.metadata).unwrap(),
            version: number(&self.version),
            source_hash: self.source_hash.as_deref(),
            created_ts: number(&self.created_ts),
            updated_ts: number(&self.updated_ts),
        })
    }
}

#[derive(Deserialize)]
struct Roots {
    roots: Vec<RootCase>,
    refused_metadata: Vec<String>,
}

#[derive(Deserialize)]
struct RootCase {
    ids: Vec<String>,
    root: Digest,
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn load<T: serde::de::DeserializeOwned>(file: &str) -> T {
    let path = workspace().join("fixtures/vectors/digest").join(file);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn unhex(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

#[test]
fn every_record_has_the_digest_of_its_vector() {
    let vectors: Vectors = load("records.json");
    assert!(vectors.records.len() > 20);
    for case in vectors.records {
        assert_eq!(Digest::of(&unhex(&case.bytes)), case.digest, "{}", case.name);
        case.record.with_record(|record| {
            assert_eq!(record.metadata, case.canonical, "{}", case.name);
            assert_eq!(record_digest(record), case.digest, "{}", case.name);
        });
    }
}

#[test]
fn every_root_is_that_of_its_vector() {
    let vectors: Vectors = load("records.json");
    let roots: Roots = load("roots.json");
    // Collections have one length of vector; roots are over digests of any.
    let digests: BTreeMap<_, _> =
        vectors.records.iter().map(|case| (case.record.id.as_str(), case.digest)).collect();
    for case in &roots.roots {
        let ids: std::collections::BTreeSet<&str> = case.ids.iter().map(String::as_str).collect();
        let leaf = |id: &&str| carnet_ledger::leaf_hash(digests[id].as_bytes());
        assert_eq!(carnet_ledger::root_of(ids.iter().map(leaf)), case.root, "{} ids", ids.len());
    }
    for refused in roots.refused_metadata {
        assert!(canonical_metadata(&refused).is_err(), "{refused}");
    }
    // Through a store: those records that have two dimensions.
    let two: Vec<_> = vectors.records.iter().filter(|c| c.record.vector_bits.len() == 2).collect();
    let mut builder = carnet_connect::RecordsBuilder::new(2);
    for case in &two {
        case.record.with_record(|record| builder.push(record)).unwrap();
    }
    let store = carnet_connect::MemoryStore::default();
    let contract = carnet_model::CollectionContract { dimensions: 2, ..contract("embeddings") };
    let records: Records = builder.finish().unwrap();
    fill(&store, &contract, records);
    let view = carnet_connect::VectorRepository::snapshot(&store).unwrap();
    let digest = digest_collection(view.as_ref(), &name("embeddings"), &Work::quiet(2)).unwrap();
    let ids: BTreeMap<_, _> = two.iter().map(|c| (c.record.id.as_str(), c.digest)).collect();
    let leaves = ids.values().map(|digest| carnet_ledger::leaf_hash(digest.as_bytes()));
    assert_eq!(digest.root, carnet_ledger::root_of(leaves));
    assert_eq!(digest.records, two.len() as u64);
}

/// What `scripts/digest.py` prints.
#[expect(clippy::disallowed_methods, reason = "the test command tells where Python is")]
fn python(args: &[&Path]) -> serde_json::Value {
    let program = std::env::var("CARNET_TEST_PYTHON")
        .expect("CARNET_TEST_PYTHON is not set: run ./test, which installs pyarrow and faiss-cpu");
    let output = Command::new(program)
        .arg("-B")
        .arg(workspace().join("scripts/digest.py"))
        .args(args)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn python_reproduces_the_vectors() {
    let answer = python(&[Path::new("--vectors"), &workspace().join("fixtures/vectors/digest")]);
    assert_eq!(answer["wrong"], 0);
    assert!(answer["vectors"].as_u64().unwrap() > 30);
}

#[test]
fn python_reads_our_parquet_and_finds_the_same_root() {
    let mut rows = plain_rows(9_000);
    let strange = rows.get_mut("id-000007").unwrap();
    strange.bits = vec![0x8000_0000, 0xffc0_beef, 0x0000_0001];
    strange.metadata = r#"{"big":9007199254740993,"é":[1e-7,null]}"#.to_owned();
    strange.version = Some(i64::MIN);
    strange.updated_ts = Some(-1);
    let dir = tempfile::tempdir().unwrap();
    let exported = export(&store_of(&rows), dir.path(), 2);
    let answer = python(&[&exported.path.join("embeddings.parquet")]);
    assert_eq!(answer["root"], exported.collections[0].root.to_string());
    assert_eq!(answer["records"], 9_000);
    assert_eq!(answer["dimensions"], 3);
}

#[test]
fn python_finds_the_same_root_in_the_real_data() {
    let knowledge = workspace().join("../shared/data/knowledge");
    if !knowledge.exists() {
        eprintln!("SKIPPED: {} is not there", knowledge.display());
        return;
    }
    let store = carnet_connect::MemoryStore::default();
    let contract = carnet_model::CollectionContract { dimensions: 384, ..contract("embeddings") };
    fill(&store, &contract, real_records(&knowledge));
    let view = carnet_connect::VectorRepository::snapshot(&store).unwrap();
    let digest = digest_collection(view.as_ref(), &name("embeddings"), &Work::quiet(2)).unwrap();
    let answer = python(&[&knowledge]);
    assert_eq!(answer["root"], digest.root.to_string());
    assert_eq!((&answer["records"], &answer["dimensions"]), (&4_000.into(), &384.into()));
}

/// The real knowledge base: a flat index, whose vectors are the last bytes of the file, and the
/// metadata row by row.
fn real_records(knowledge: &Path) -> Records {
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Int64Type, TimestampMicrosecondType};
    let file = std::fs::File::open(knowledge.join("metadata.parquet")).unwrap();
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file);
    let batches: Vec<_> = reader.unwrap().build().unwrap().map(Result::unwrap).collect();
    let rows: usize = batches.iter().map(arrow_array::RecordBatch::num_rows).sum();
    let index = std::fs::read(knowledge.join("index.faiss")).unwrap();
    let mut vectors = index[index.len() - rows * 384 * 4..].chunks_exact(384 * 4);
    let mut records = BTreeMap::new();
    for batch in &batches {
        let text = |name: &str| batch.column_by_name(name).unwrap().as_string::<i32>();
        let time = |name: &str| {
            batch.column_by_name(name).unwrap().as_primitive::<TimestampMicrosecondType>()
        };
        let version = batch.column_by_name("version").unwrap().as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            let bytes = vectors.next().unwrap().chunks_exact(4);
            let vector: Vec<f32> =
                bytes.map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
            let metadata = canonical_metadata(text("metadata").value(row)).unwrap().into_owned();
            let fields = (
                version.iter().nth(row).flatten(),
                text("source_hash").iter().nth(row).flatten(),
                time("created_ts").iter().nth(row).flatten(),
                time("updated_ts").iter().nth(row).flatten(),
            );
            records.insert(text("id").value(row), (vector, metadata, fields));
        }
    }
    let mut builder = carnet_connect::RecordsBuilder::new(384);
    for (id, (vector, metadata, fields)) in &records {
        let (version, source_hash, created_ts, updated_ts) = *fields;
        let record =
            RecordRef { id, vector, metadata, version, source_hash, created_ts, updated_ts };
        builder.push(&record).unwrap();
    }
    builder.finish().unwrap()
}
