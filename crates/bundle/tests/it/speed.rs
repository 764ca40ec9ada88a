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

/// Adds record `n` of a content that follows from the numbers alone.
fn push(builder: &mut RecordsBuilder, n: u32) {
    let mut state = n;
    let vector: Vec<f32> = (0..DIMENSIONS)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f32::from(u16::try_from(state >> 16).unwrap()) / 655_360.0 - 0.05
        })
        .collect();
    let id = format!("doc:{n:08}");
    let hash = Digest::of(id.as_bytes()).to_string();
    let metadata = format!(
        r#"{{"applicable_to":["debian"],"doc_id":{},"domain":"libs","name":"{id}","summary":"{hash} and some words about what it is for","text":"words about the thing {n}"}}"#,
        9_007_199_254_740_993u64 + u64::from(n),
    );
    let record = RecordRef {
        id: &id,
        vector: &vector,
        metadata: &metadata,
        version: Some(1),
        source_hash: Some(&hash),
        created_ts: Some(1_755_012_600_000_000 + i64::from(n)),
        updated_ts: Some(1_755_012_600_000_000),
    };
    builder.push(&record).unwrap();
}

impl Ready {
    fn new(count: u32) -> Self {
        let mut made = Vec::new();
        let mut builder = RecordsBuilder::new(DIMENSIONS);
        for n in 0..count {
            push(&mut builder, n);
            if builder.len() == BATCH {
                made.push(builder.finish().unwrap());
            }
        }
        made.push(builder.finish().unwrap());
        Self(made)
    }

    fn bytes(&self) -> u64 {
        let records = self.0.iter().flat_map(Records::iter);
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

/// Seconds of processor time that this process has used: the figure that a busy machine leaves
/// alone.
fn processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = |n: usize| fields[n].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / 100.0
}

/// The median of five runs, and the processor time of one on average.
fn timed<T>(what: &str, bytes: u64, mut run: impl FnMut() -> T) {
    let before = processor();
    let mut times: Vec<f64> = (0..5)
        .map(|_| {
            let start = Instant::now();
            drop(run());
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let used = (processor() - before) / 5.0;
    let rate = f64::from(u32::try_from(bytes >> 10).unwrap()) / 1_024.0 / used;
    eprintln!(
        "{what:<44} {:>8.1} ms {:>8.1} ms of processor, {rate:>6.0} MiB/s",
        times[2] * 1_000.0,
        used * 1_000.0
    );
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

/// A store whose records are made when they are read: it holds nothing.
struct Made(u32);

impl Made {
    fn number(id: &str) -> u32 {
        id.trim_start_matches("doc:").parse().unwrap()
    }
}

struct Making {
    next: u32,
    end: u32,
}

impl RecordStream for Making {
    fn next(&mut self) -> Result<Option<Records>, StoreError> {
        let mut builder = RecordsBuilder::new(DIMENSIONS);
        while self.next < self.end && builder.len() < BATCH {
            push(&mut builder, self.next);
            self.next += 1;
        }
        if builder.is_empty() { Ok(None) } else { builder.finish().map(Some) }
    }
}

impl StoreSnapshot for Made {
    fn collections(&self) -> Result<Vec<CollectionName>, StoreError> {
        Ok(vec![name("embeddings")])
    }

    fn describe(&self, _: &CollectionName) -> Result<Description, StoreError> {
        Ok(Description {
            contract: CollectionContract { dimensions: DIMENSIONS, ..contract("embeddings") },
            records: u64::from(self.0),
            index: None,
            place: String::new(),
            carried_columns: Vec::new(),
        })
    }

    fn ranges(&self, _: &CollectionName, parts: usize) -> Result<Vec<IdRange>, StoreError> {
        let step = (self.0 as usize).div_ceil(parts).max(1);
        Ok(IdRange::split_at((0..self.0).step_by(step).skip(1).map(|n| format!("doc:{n:08}"))))
    }

    fn scan(
        &self,
        _: &CollectionName,
        range: &IdRange,
    ) -> Result<Box<dyn RecordStream + '_>, StoreError> {
        Ok(Box::new(Making {
            next: range.from.as_deref().map_or(0, Self::number),
            end: range.to.as_deref().map_or(self.0, Self::number),
        }))
    }
}

/// Mebibytes of a line of `/proc/self/status`.
fn status(line: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let found = text.lines().find_map(|held| held.strip_prefix(line)).unwrap();
    found.split_whitespace().next().unwrap().parse::<u64>().unwrap() >> 10
}

/// Run each by itself: the peak is that of the process.
fn peak(what: &str, run: impl FnOnce()) {
    let before = status("VmRSS:");
    run();
    eprintln!("{what}: peak {} MiB, of which {before} before", status("VmHWM:"));
}

#[test]
#[ignore = "measures: one million records"]
fn memory_of_digest() {
    let work = Work::quiet(2);
    peak("digest of 1,000,000 records", || {
        digest_collection(&Made(1_000_000), &name("embeddings"), &work).unwrap();
    });
}

#[test]
#[ignore = "measures: one million records"]
fn memory_of_export() {
    let dir = tempfile::tempdir().unwrap();
    let work = Work::quiet(2);
    peak("export of 1,000,000 records", || {
        export_view(&Made(1_000_000), "memory", &request(dir.path()), &work).unwrap();
    });
}

#[test]
#[ignore = "measures: one million records"]
fn memory_of_verify() {
    let dir = tempfile::tempdir().unwrap();
    let work = Work::quiet(2);
    let path = export_view(&Made(200_000), "memory", &request(dir.path()), &work).unwrap().path;
    peak("verify of 200,000 records, after their export", || {
        assert!(verify_snapshot(&path, &work).unwrap().is_ok());
    });
}
