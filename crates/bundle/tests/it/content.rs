//! Records for the tests: arbitrary ones, and stores that hold them.

use std::collections::BTreeMap;

use carnet_connect::{
    IdRange, LoadMode, LoadRequest, MemoryStore, NoProgress, RecordRef, Records, RecordsBuilder,
    VectorRepository, batches,
};
use carnet_model::{CollectionContract, CollectionName, Metric};
use proptest::prelude::*;

pub(crate) const DIMENSIONS: u32 = 3;

/// A record that owns its parts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Owned {
    pub(crate) bits: Vec<u32>,
    pub(crate) metadata: String,
    pub(crate) version: Option<i64>,
    pub(crate) source_hash: Option<String>,
    pub(crate) created_ts: Option<i64>,
    pub(crate) updated_ts: Option<i64>,
}

pub(crate) type Rows = BTreeMap<String, Owned>;

pub(crate) fn name(name: &str) -> CollectionName {
    CollectionName::new(name).unwrap()
}

pub(crate) fn contract(collection: &str) -> CollectionContract {
    CollectionContract {
        metric: Some(Metric::L2),
        ..CollectionContract::unknown(name(collection), DIMENSIONS)
    }
}

pub(crate) fn with_record<T>(id: &str, row: &Owned, f: impl FnOnce(&RecordRef<'_>) -> T) -> T {
    let vector: Vec<f32> = row.bits.iter().map(|bits| f32::from_bits(*bits)).collect();
    f(&RecordRef {
        id,
        vector: &vector,
        metadata: &row.metadata,
        version: row.version,
        source_hash: row.source_hash.as_deref(),
        created_ts: row.created_ts,
        updated_ts: row.updated_ts,
    })
}

pub(crate) fn records(rows: &Rows) -> Records {
    let mut builder = RecordsBuilder::new(DIMENSIONS);
    for (id, row) in rows {
        with_record(id, row, |record| builder.push(record)).unwrap();
    }
    builder.finish().unwrap()
}

/// Any record: any bits, any metadata shape that is canonical.
pub(crate) fn any_row() -> impl Strategy<Value = Owned> {
    let number = prop_oneof![Just(None), any::<i64>().prop_map(Some)];
    (
        prop::collection::vec(any::<u32>(), DIMENSIONS as usize),
        prop_oneof![
            Just("{}".to_owned()),
            "[a-zé ]{0,20}".prop_map(|text| format!(r#"{{"t":"{text}"}}"#)),
            any::<u64>().prop_map(|n| format!(r#"{{"l":[{n},["x",null]]}}"#)),
        ],
        number.clone(),
        prop::option::of("[0-9a-f]{0,8}"),
        number.clone(),
        number,
    )
        .prop_map(|(bits, metadata, version, source_hash, created_ts, updated_ts)| Owned {
            bits,
            metadata,
            version,
            source_hash,
            created_ts,
            updated_ts,
        })
}

pub(crate) fn any_rows(most: usize) -> impl Strategy<Value = Rows> {
    prop::collection::btree_map("[a-cé\u{0}\u{1F600}\n]{1,6}", any_row(), 0..most)
}

fn number(n: u32) -> f32 {
    f32::from(u16::try_from(n % 65_536).unwrap())
}

/// A row whose parts all follow from a number.
pub(crate) fn plain_row(n: u32) -> Owned {
    Owned {
        bits: (0..DIMENSIONS).map(|d| (number(n) + number(d) / 7.0).to_bits()).collect(),
        metadata: format!(r#"{{"n":{n}}}"#),
        version: Some(1),
        source_hash: (!n.is_multiple_of(3)).then(|| format!("{n:08x}")),
        created_ts: Some(i64::from(n)),
        updated_ts: None,
    }
}

pub(crate) fn plain_rows(count: u32) -> Rows {
    (0..count).map(|n| (format!("id-{n:06}"), plain_row(n))).collect()
}

/// Replaces the content of a collection.
pub(crate) fn fill(store: &dyn VectorRepository, contract: &CollectionContract, records: Records) {
    let request = LoadRequest {
        contract: contract.clone(),
        mode: LoadMode::Replace,
        token: "fill".to_owned(),
    };
    let load = store.begin_load(&request).unwrap();
    load.load_range(&IdRange::all(), &mut batches(vec![records])).unwrap();
    load.commit(&NoProgress).unwrap();
}

pub(crate) fn store_of(rows: &Rows) -> MemoryStore {
    let store = MemoryStore::default();
    fill(&store, &contract("embeddings"), records(rows));
    store
}

/// Everything that a store holds of a collection.
pub(crate) fn rows_of(store: &dyn VectorRepository, collection: &str) -> Rows {
    let view = store.snapshot().unwrap();
    let mut stream = view.scan(&name(collection), &IdRange::all()).unwrap();
    let mut rows = Rows::new();
    while let Some(batch) = stream.next().unwrap() {
        for record in batch.iter() {
            let row = Owned {
                bits: record.vector.iter().map(|element| element.to_bits()).collect(),
                metadata: record.metadata.to_owned(),
                version: record.version,
                source_hash: record.source_hash.map(str::to_owned),
                created_ts: record.created_ts,
                updated_ts: record.updated_ts,
            };
            assert!(rows.insert(record.id.to_owned(), row).is_none());
        }
    }
    rows
}
