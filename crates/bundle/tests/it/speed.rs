//! How fast digest, export, verify, diff and copy are. Not part of the tests:
//! `cargo test --release -p carnet-bundle --test it -- --ignored speed --nocapture`.

use std::time::Instant;

use carnet_bundle::{
    CopyRequest, ImportMode, NoJournal, SnapshotStore, Work, copy, diff, digest_collection,
    export_view, verify_snapshot,
};
use carnet_connect::{
    Description, IdRange, MemoryStore, RecordRef, RecordStream, Records, RecordsBuilder, Shard,
    StoreError, StoreSnapshot, VectorRepository, batches,
};
use carnet_ledger::Digest;
use carnet_model::{CollectionContract, CollectionName};

use crate::content::{contract, name};
use crate::export::request;

const DIMENSIONS: u32 = 384;
const BATCH: usize = 2_048;

/// Batches that are in memory already: a store that costs nothing to read.
struct Ready(Vec<Records>);

impl Ready {
    fn new(count: u32) -> Self {
        let mut state = 1u32;
        let mut made = Vec::new();
        let mut builder = RecordsBuilder::new(DIMENSIONS);
        for n in 0..count {
            let vector: Vec<f32> = (0..DIMENSIONS)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    f32::from(u16::try_from(state >> 16).unwrap()) / 655_360.0 - 0.05
                })
                .collect();
            let id = format!("doc:{:08}", n);
            let hash = Digest::of(id.as_bytes()).to_string();
            let metadata = format!(
                r#"{{"applicable_to":["debian"],"doc_id":{},"domain":"libs","name":"{id}","score":0.{},"summary":"{hash} and some words about what it is for","text":"words about the thing {n}"}}"#,
                9_007_199_254_740_993u64 + u64::from(n),
                n % 1_000 + 1
            )
            .replace("0.10,", "0.1,")
            .replace("0,\"summary", "1,\"summary");
            builder
                .push(&RecordRef {
                    id: &id,
                    vector: &vector,
                    metadata: &metadata,
                    version: Some(1),
                    source_hash: Some(&hash),
                    created_ts: Some(1_755_012_600_000_000 + i64::from(n)),
                    updated_ts: Some(1_755_012_600_000_000),
                })
                .unwrap();
            if builder.len() == BATCH {
                made.push(builder.finish().unwrap());
            }
        }
        made.push(builder.finish().unwrap());
        Self(made)
    }

    fn bytes(&self) -> u64 {
        let records = self.0.iter().flat_map(|batch| batch.iter());
        records.map(|r| (r.id.len() + r.vector.len() * 4 + r.metadata.len() + 113) as u64).sum()
    }

    fn first_of(&self, batch: usize) -> String {
        self.0[batch].get(0).unwrap().id.to_owned()
    }
}

impl StoreSnapshot for Ready {
    fn collections(&self) -> Result<Vec<CollectionName>, StoreError> {
        Ok(vec![name("embeddings")])
    }

    fn describe(&self, _: &CollectionName) -> Result<Description, StoreError> {
        Ok(Description {
            contract: CollectionContract { dimensions: DIMENSIONS, ..contract("embeddings") },
            records: self.0.iter().map(|batch| batch.len() as u64).sum(),
            index: None,
            place: String::new(),
            carried_columns: Vec::new(),
        })
    }

    fn ranges(&self, _: &CollectionName, parts: usize) -> Result<Vec<IdRange>, StoreError> {
        let step = self.0.len().div_ceil(parts).max(1);
        Ok(IdRange::split_at(
            (0..self.0.len()).step_by(step).skip(1).map(|batch| self.first_of(batch)),
        ))
    }

    fn scan(
        &self,
        _: &CollectionName,
        range: &IdRange,
    ) -> Result<Box<dyn RecordStream + '_>, StoreError> {
        let inside = |batch: &&Records| range.contains(batch.get(0).unwrap().id);
        Ok(Box::new(batches(self.0.iter().filter(inside).cloned().collect())))
    }

    fn shards(&self, collection: &CollectionName, parts: usize) -> Result<Vec<Shard>, StoreError> {
        Ok(self.ranges(collection, parts)?.into_iter().map(Shard::Range).collect())
    }
}

fn timed<T>(what: &str, bytes: u64, mut run: impl FnMut() -> T) -> f64 {
    let mut times: Vec<f64> = (0..5)
        .map(|_| {
            let start = Instant::now();
            drop(run());
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let rate = f64::from(u32::try_from(bytes >> 10).unwrap()) / 1_024.0 / times[2];
    eprintln!("{what:<44} {:>8.1} ms {rate:>8.0} MiB/s", times[2] * 1_000.0);
    times[2]
}

#[test]
#[ignore = "measures; wants a release build and a quiet machine"]
fn speed() {
    let ready = Ready::new(50_000);
    let bytes = ready.bytes();
    let collection = name("embeddings");
    let plain = vec![7u8; usize::try_from(bytes).unwrap()];
    for workers in [1, 2] {
        let work = Work::quiet(workers);
        eprintln!("-- {workers} workers, {} MiB of records", bytes >> 20);
        timed("SHA-256 of as many bytes, all threads", bytes, || {
            let parts = plain.chunks(plain.len().div_ceil(workers)).collect::<Vec<_>>();
            std::thread::scope(|scope| {
                for part in parts {
                    scope.spawn(|| Digest::of(part));
                }
            });
        });
        timed("digest of batches in memory", bytes, || {
            digest_collection(&ready, &collection, &work).unwrap()
        });
        let dir = tempfile::tempdir().unwrap();
        timed("export of batches in memory", bytes, || {
            let place = tempfile::tempdir_in(dir.path()).unwrap();
            export_view(&ready, "memory", &request(place.path()), &work).unwrap();
        });
        let path = export_view(&ready, "memory", &request(dir.path()), &work).unwrap().path;
        let file = std::fs::read(path.join("embeddings.parquet")).unwrap();
        timed("SHA-256 of embeddings.parquet, one thread", file.len() as u64, || Digest::of(&file));
        timed("verify", file.len() as u64, || verify_snapshot(&path, &work).unwrap());
        let store = SnapshotStore::open(&path).unwrap();
        timed("scan of a snapshot", bytes, || {
            let shards = store.shards(&collection, workers * 8).unwrap();
            std::thread::scope(|scope| {
                for part in shards.chunks(shards.len().div_ceil(workers)) {
                    let (store, collection) = (&store, &collection);
                    scope.spawn(move || {
                        for shard in part {
                            let mut stream = store.scan_shard(collection, shard).unwrap();
                            while stream.next().unwrap().is_some() {}
                        }
                    });
                }
            });
        });
        timed("digest of a snapshot", bytes, || {
            digest_collection(&store, &collection, &work).unwrap()
        });
        timed("diff of a snapshot with itself", bytes, || {
            assert!(diff(&store, &store, 1, &work).unwrap().is_equal());
        });
        timed("copy of a snapshot into memory, verified", bytes, || {
            let target = MemoryStore::default();
            let request = CopyRequest {
                mode: ImportMode::Append,
                token: "speed",
                collections: None,
                contracts: &[],
                indexes: &std::collections::BTreeMap::new(),
                accept_losses: &[],
            };
            let source: &dyn VectorRepository = &store;
            copy(source, &target, &request, None, |_| Ok(()), &NoJournal, &work).unwrap();
        });
    }
}
