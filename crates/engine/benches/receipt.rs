//! How long a receipt takes, and how large it is; with `--export`, how long an export takes.
//!
//! ```text
//! cargo bench -p carnet-engine --bench receipt -- [--events N] [--export] [--state DIR]
//! ```
//!
//! The log has 50,000 events of about 680 bytes if nothing is said. `--state` keeps it, and takes it
//! up again. Nothing here fails for being slow.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot be made ends")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use carnet_connect::NoProgress;
use carnet_engine::{
    Clock, Engine, EvidenceRequest, IdSource, Journal, JournalError, LogProfile, LogReader, Receipt,
};
use carnet_ledger::{
    Digest, Event, EventDraft, EventId, EventTime, EventType, Object, Outcome, SigningKey,
};

/// Events that are appended at once.
const BATCH: u64 = 10_000;
/// Receipts that are made.
const RECEIPTS: u64 = 2_000;

struct Options {
    events: u64,
    export: bool,
    state: Option<PathBuf>,
}

fn options() -> Options {
    let mut options = Options { events: 50_000, export: false, state: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--events" => options.events = words.next().unwrap().parse().unwrap(),
            "--export" => options.export = true,
            "--state" => options.state = Some(words.next().unwrap().into()),
            // What cargo adds.
            _ => {}
        }
    }
    options
}

/// A clock that counts, and ids that do.
#[derive(Default)]
struct Ticks(AtomicU64);

impl Clock for Ticks {
    fn now(&self) -> EventTime {
        let tick = i64::try_from(self.0.fetch_add(1, Ordering::Relaxed)).unwrap();
        EventTime::from_unix_millis(1_800_000_000_000 + tick).unwrap()
    }

    fn elapsed_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl IdSource for Ticks {
    fn next_id(&self) -> EventId {
        EventId(u128::from(self.0.fetch_add(1, Ordering::Relaxed)).to_be_bytes())
    }
}

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").unwrap();
}

fn main() {
    let options = options();
    let folder = tempfile::tempdir().unwrap();
    let state = options.state.clone().unwrap_or_else(|| folder.path().join("state"));
    let key = SigningKey::generate("bench".parse().unwrap(), &[7; 32]).unwrap();
    let key = Arc::new(key);
    fill(&state, options.events, &key);
    receipts(&state);
    if options.export {
        for out in ["bundle", "bundle.tar"] {
            export(&state, &folder.path().join(out), &key);
        }
    }
}

/// Appends events until there are so many.
fn fill(state: &Path, events: u64, key: &Arc<SigningKey>) {
    let began = Instant::now();
    let (clock, ids) = (Arc::new(Ticks::default()), Arc::new(Ticks::default()));
    let mut nothing = |_: &Event| Ok::<_, JournalError>(());
    let signer = Some(Arc::clone(key));
    let journal =
        Journal::open(state, LogProfile::default(), signer, clock, ids, &mut nothing).unwrap();
    let pointers = ["plan", "policy", "authority"].map(|it| journal.put(it.as_bytes()).unwrap());
    let mut next = journal.events();
    while next < events {
        let end = events.min(next + BATCH);
        journal.append((next..end).map(|number| draft(number, pointers)).collect()).unwrap();
        next = end;
    }
    journal.checkpoint().unwrap();
    let log = LogReader::open(state).unwrap().unwrap();
    let bytes = log.event(log.size() / 2).unwrap().len();
    let size = log.size();
    say(&format!(
        "log of {size} events, {bytes} bytes in the middle one, ready in {:?}",
        began.elapsed()
    ));
}

fn draft(number: u64, [plan, policy, authority]: [Digest; 3]) -> EventDraft {
    let event_type = match number {
        1 => EventType::AuthorityCheck,
        2 => EventType::PolicyEvaluate,
        _ => EventType::ProcessIntent,
    };
    EventDraft {
        event_type,
        actor: "bench".into(),
        actor_details: None,
        tenant_id: "bench".into(),
        outcome: Outcome::Accepted,
        evidence_pointer: plan,
        correlation_id: "9f2c9a52-6a3f-4f6e-9f3e-0d5d6c1b7a10".into(),
        resource_id: Some(format!("import/load_records/{number}")),
        action: Some("part".into()),
        authority_snapshot_id: authority,
        policy_snapshot_id: policy,
        jurisdiction: None,
        classification: None,
        context: Object::new(),
        fields: Object::new(),
    }
}

fn receipts(state: &Path) {
    let log = LogReader::open(state).unwrap().unwrap();
    let (mut made, mut checked, mut largest) = (Vec::new(), Vec::new(), 0);
    for number in 0..RECEIPTS {
        // Spread over the log without a pattern that tiles could profit from.
        let sequence = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % (log.size() - 1);
        let began = Instant::now();
        let receipt = Receipt::of(&log, sequence).unwrap();
        let text = receipt.proof.to_string();
        made.push(began.elapsed());
        largest = largest.max(text.len());
        let began = Instant::now();
        receipt.proof.verify(&receipt.event).unwrap();
        checked.push(began.elapsed());
    }
    let show = |what: &str, times: &mut Vec<Duration>| {
        times.sort_unstable();
        let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default();
        let (middle, late, last) = (at(50), at(99), times.last().copied().unwrap_or_default());
        say(&format!("{what}: median {middle:?}, p99 {late:?}, worst {last:?}"));
    };
    show("a receipt is made in", &mut made);
    show("its proof is checked in", &mut checked);
    say(&format!("the largest receipt has {largest} bytes"));
}

fn export(state: &Path, out: &Path, key: &Arc<SigningKey>) {
    let began = Instant::now();
    let (clock, ids) = (Arc::new(Ticks::default()), Arc::new(Ticks::default()));
    ids.0.store(1 << 40, Ordering::Relaxed);
    let archive = out.extension().map(|_| carnet_bundle::ArchiveKind::Tar);
    let request = EvidenceRequest {
        out,
        archive,
        from: 0,
        to: None,
        signer: Some(Arc::clone(key)),
        signers: &[],
        tiles: false,
        incomplete: false,
        created: None,
        progress: &NoProgress,
    };
    let exported = Engine::new(state, clock, ids, "bench").export_evidence(&request).unwrap();
    let (events, bytes) = (exported.to + 1, exported.bytes);
    let kind = archive.map_or("folder", carnet_bundle::ArchiveKind::extension);
    let peak = peak_memory();
    say(&format!(
        "exported {events} events, {bytes} bytes, as a {kind} in {:?}; {peak}",
        began.elapsed()
    ));
}

/// The most memory that this process ever held, as Linux says.
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    format!("peak memory {}", line.unwrap_or("unknown").trim())
}
