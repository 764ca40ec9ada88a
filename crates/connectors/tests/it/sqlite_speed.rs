//! How fast a file is loaded, read and searched: `cargo test --release -- --ignored speed
//! --nocapture`. It measures and asserts nothing but counts.

use std::time::Instant;

use carnet_connect::{
    Filter, IdRange, LoadMode, LoadRequest, NoProgress, Query, RecordRef, RecordStream, Records,
    RecordsBuilder, StoreError, VectorRepository,
};
use carnet_connectors::SqliteStore;
use carnet_model::{CollectionContract, CollectionName, Metric};

const RECORDS: usize = 50_000;
const DIMENSIONS: u32 = 384;
const PARTS: usize = 16;

/// Records made on the fly, ids ascending.
struct Made {
    next: usize,
    end: usize,
}

fn id(n: usize) -> String {
    format!("document-{n:09}")
}

impl RecordStream for Made {
    fn next(&mut self) -> Result<Option<Records>, StoreError> {
        if self.next >= self.end {
            return Ok(None);
        }
        let mut builder = RecordsBuilder::new(DIMENSIONS);
        for n in self.next..self.end.min(self.next + 2_048) {
            let vector: Vec<f32> = (0..DIMENSIONS as usize)
                .map(|d| f32::from(u16::try_from((n * 31 + d * 17) % 1_009).unwrap()) / 1_009.0)
                .collect();
            let metadata = format!(
                r#"{{"lang":"en","n":{n},"tags":["a","b"],"title":"{}"}}"#,
                "x".repeat(160)
            );
            builder.push(&RecordRef {
                id: &id(n),
                vector: &vector,
                metadata: &metadata,
                version: Some(1),
                source_hash: None,
                created_ts: Some(1_700_000_000_000_000),
                updated_ts: None,
            })?;
        }
        self.next += builder.len();
        builder.finish().map(Some)
    }
}

fn timed<T>(what: &str, bytes: u32, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let done = work();
    let seconds = start.elapsed().as_secs_f64();
    let rate = f64::from(bytes) / 1e6 / seconds;
    println!(
        "{what}: {seconds:.3} s, {:.0} records/s, {rate:.0} MB/s",
        f64::from(u32::try_from(RECORDS).unwrap()) / seconds
    );
    done
}

fn load(store: &SqliteStore, name: &CollectionName, workers: usize) {
    let mut contract = CollectionContract::unknown(name.clone(), DIMENSIONS);
    contract.metric = Some(Metric::L2);
    let request = LoadRequest { contract, mode: LoadMode::Replace, token: "speed".to_owned() };
    let load = store.begin_load(&request).unwrap();
    let step = RECORDS / PARTS;
    let ranges = IdRange::split_at((1..PARTS).map(|part| id(part * step)));
    std::thread::scope(|scope| {
        for worker in 0..workers {
            let (load, ranges) = (&load, &ranges);
            scope.spawn(move || {
                for part in (worker..PARTS).step_by(workers) {
                    let mut made = Made { next: part * step, end: (part + 1) * step };
                    load.load_range(&ranges[part], &mut made).unwrap();
                }
            });
        }
    });
    load.commit(&NoProgress).unwrap();
}

fn read(store: &SqliteStore, name: &CollectionName, workers: usize) {
    let view = store.snapshot().unwrap();
    let ranges = view.ranges(name, workers).unwrap();
    let count: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = ranges
            .iter()
            .map(|range| {
                scope.spawn(|| {
                    let mut stream = view.scan(name, range).unwrap();
                    let mut count = 0;
                    while let Some(batch) = stream.next().unwrap() {
                        count += batch.len();
                    }
                    count
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert_eq!(count, RECORDS);
}

#[test]
#[ignore = "a measurement"]
fn speed() {
    let directory = tempfile::tempdir_in(".").unwrap();
    let name = CollectionName::standard();
    let bytes = u32::try_from(RECORDS).unwrap() * (DIMENSIONS * 4 + 256);
    for workers in [1, 2] {
        let path = directory.path().join(format!("{workers}.db"));
        let store = SqliteStore::new(&path);
        timed(&format!("make the records, {workers} workers"), bytes, || {
            std::thread::scope(|scope| {
                for worker in 0..workers {
                    scope.spawn(move || {
                        let part = RECORDS / workers;
                        let mut made = Made { next: worker * part, end: (worker + 1) * part };
                        while made.next().unwrap().is_some() {}
                    });
                }
            });
        });
        timed(&format!("make and load, {workers} workers"), bytes, || load(&store, &name, workers));
        timed(&format!("scan in order, {workers} workers"), bytes, || read(&store, &name, workers));
        timed("describe and borders", bytes, || {
            store.snapshot().unwrap().ranges(&name, 8).unwrap()
        });
        println!("file: {} bytes", std::fs::metadata(&path).unwrap().len());
    }
    let store = SqliteStore::new(directory.path().join("2.db"));
    let vector = vec![0.5; DIMENSIONS as usize];
    let query = Query { vector: &vector, k: 10, filter: &Filter::none(), exact: true };
    for _ in 0..3 {
        timed("query", bytes, || store.query(&name, &query).unwrap());
    }
    timed("open a view", bytes, || drop(store.snapshot().unwrap()));
}
