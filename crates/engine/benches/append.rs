//! Durable appends: how many a second, and how long one waits for its acknowledgement.
//!
//! `cargo bench -p carnet-engine --bench append -- [SECONDS] [THREADS…]` appends single events from
//! so many threads at once, each waiting for its event to be durable before it makes the next one.
//! An event has little more than its envelope; its size is in the column `bytes`. Checkpoints are
//! signed on the way. The log is verified afterwards.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement falls or prints")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use carnet_engine::{Clock, IdSource, Journal, JournalError, LogProfile, LogReader};
use carnet_ledger::{
    Digest, EventDraft, EventId, EventTime, EventType, Object, Outcome, SigningKey,
};

struct World {
    start: Instant,
    ids: AtomicU64,
}

impl Clock for World {
    fn now(&self) -> EventTime {
        let millis = i64::try_from(self.elapsed_ms()).unwrap();
        EventTime::from_unix_millis(1_800_000_000_000 + millis).unwrap()
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap()
    }
}

impl IdSource for World {
    fn next_id(&self) -> EventId {
        EventId(u128::from(self.ids.fetch_add(1, Ordering::Relaxed)).to_be_bytes())
    }
}

/// What a step records of a range of records that it has written.
fn draft(number: u64) -> EventDraft {
    let digest = Digest::of(&number.to_be_bytes());
    EventDraft {
        event_type: EventType::ProcessOutcome,
        actor: "operator".into(),
        actor_details: None,
        tenant_id: "example".into(),
        outcome: Outcome::Accepted,
        evidence_pointer: digest,
        correlation_id: "0197f0a2-7c1e-7000-8000-000000000001".into(),
        resource_id: None,
        action: Some("part".into()),
        authority_snapshot_id: digest,
        policy_snapshot_id: digest,
        jurisdiction: None,
        classification: None,
        context: Object::from([("number".to_owned(), u32::try_from(number).unwrap().into())]),
        fields: Object::new(),
    }
}

/// How long each append of one thread took, until the time is over.
fn append_until(journal: &Journal, thread: u64, end: Instant) -> Vec<Duration> {
    let mut waits = Vec::new();
    while Instant::now() < end {
        let draft = draft(thread * 1_000_000 + waits.len() as u64);
        let begun = Instant::now();
        journal.append(vec![draft]).unwrap();
        waits.push(begun.elapsed());
    }
    waits
}

/// What one wait for this disk costs: 4 KiB appended to a file and synced.
fn sync_cost(dir: &Path) -> Duration {
    use std::io::Write as _;
    let mut file = std::fs::File::create(dir.join("sync")).unwrap();
    let mut costs: Vec<_> = (0..200)
        .map(|_| {
            let begun = Instant::now();
            file.write_all(&[1; 4096]).unwrap();
            file.sync_data().unwrap();
            begun.elapsed()
        })
        .collect();
    costs.sort();
    *costs.get(100).unwrap()
}

fn measure(threads: u64, seconds: u64) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let world = Arc::new(World { start: Instant::now(), ids: AtomicU64::new(0) });
    let profile = LogProfile::default();
    let key = Arc::new(SigningKey::generate("bench".parse().unwrap(), &[7; 32]).unwrap());
    let seen = &mut |_: &_| Ok(());
    let journal =
        Journal::open::<JournalError>(dir.path(), profile, Some(key), world.clone(), world, seen)
            .unwrap();
    let begun = Instant::now();
    let end = begun + Duration::from_secs(seconds);
    let mut waits: Vec<Duration> = std::thread::scope(|scope| {
        let journal = &journal;
        let all: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || append_until(journal, thread, end)))
            .collect();
        all.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let took = begun.elapsed();
    waits.sort();
    drop(journal);
    let log = LogReader::open(dir.path()).unwrap().unwrap();
    let begun = Instant::now();
    let verified = log.verify(&mut |_| Ok::<_, JournalError>(())).unwrap();
    assert_eq!(verified.events, waits.len() as u64);
    let reopened = begun.elapsed();
    let bytes = log.event(verified.events / 2).unwrap().len();
    let at =
        |percent: usize| waits.get((waits.len() * percent / 100).min(waits.len() - 1)).unwrap();
    let rate = u128::from(verified.events) * 1000 / took.as_millis();
    println!(
        "{threads:>7} {rate:>9} {:>9.1} {:>9.1} {:>9.1} {:>9} {bytes:>7} {:>9.1} {:>9.1}",
        at(50).as_secs_f64() * 1e3,
        at(99).as_secs_f64() * 1e3,
        waits.last().unwrap().as_secs_f64() * 1e3,
        verified.events,
        reopened.as_secs_f64(),
        sync_cost(dir.path()).as_secs_f64() * 1e3,
    );
}

fn main() {
    let numbers: Vec<u64> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    let (seconds, threads) = numbers.split_first().unwrap_or((&10, &[]));
    let threads = if threads.is_empty() { &[1, 64, 512, 1024] } else { threads };
    println!(
        "{:>7} {:>9} {:>9} {:>9} {:>9} {:>9} {:>7} {:>9} {:>9}",
        "threads",
        "events/s",
        "p50 ms",
        "p99 ms",
        "max ms",
        "events",
        "bytes",
        "verify s",
        "sync ms"
    );
    for threads in threads {
        measure(*threads, *seconds);
    }
}
