//! Recovery: how long it takes to open a log, and what of the work it is.
//!
//! `cargo bench -p carnet-engine --bench recovery -- [EVENTS]` first counts how many facts of a run a
//! second are decided, made durable one by one and applied. Then it makes a log of so many events,
//! 1,000,000 if nothing is said: runs of 1,000 steps each, with all that is recorded of them. At the
//! end it opens the log as recovery does, with every check, and adds up the state; beside it stands
//! the same without the facts, and the memory that the process took at most.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement falls or prints")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use carnet_engine::{
    Begins, Clock, Command, Ending, Fact, IdSource, Journal, JournalError, LogProfile, LogReader,
    Node, NodeKind, OnFailure, Part, Phase, Process, Repeat, Start, State, StepResult, Undo, apply,
    decide, read_fact, write_fact,
};
use carnet_ledger::{
    ActorDetails, ActorKind, Digest, Event, EventDraft, EventId, EventTime, Object, SigningKey,
};

struct World {
    start: Instant,
    ids: AtomicU64,
}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self { start: Instant::now(), ids: AtomicU64::new(0) })
    }
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

const PHASES: usize = 10;
const STEPS: usize = 100;

fn process() -> Process {
    let step = |phase: usize, step: usize| Node {
        name: format!("phase-{phase}/step-{step}"),
        after: Vec::new(),
        kind: NodeKind::Step { repeat: Repeat::Again, undo: Undo::Always },
    };
    let phase = |phase: usize| Phase {
        name: format!("phase-{phase}"),
        part: Part::Forward,
        on_failure: OnFailure::Undo,
        begins: Begins::InTurn,
        nodes: (0..STEPS).map(|number| step(phase, number)).collect(),
    };
    Process { name: "bench".to_owned(), phases: (0..PHASES).map(phase).collect() }
}

/// Every command of a run that goes well, in order.
fn commands(process: &Arc<Process>) -> Vec<Command> {
    let start = Start {
        run: "0197f0a2-7c1e-7000-8000-000000000001".to_owned(),
        plan: Digest::of(b"plan"),
        document: Digest::of(b"plan"),
        amends: None,
        dry_run: false,
        initiator: None,
        trust: None,
        process: Arc::clone(process),
        again: true,
    };
    let mut all = vec![Command::Run(start)];
    for phase in &process.phases {
        all.push(Command::Enter(phase.name.clone()));
        for node in &phase.nodes {
            let step = node.name.clone();
            let inputs = Object::from([("path".to_owned(), "/srv/data/part".into())]);
            all.push(Command::Begin { step: step.clone(), inputs });
            let facts = Object::from([("bytes".to_owned(), 4096u32.into())]);
            all.push(Command::Settle { step, result: StepResult::Applied, facts, why: None });
        }
        all.push(Command::Leave(phase.name.clone()));
    }
    all.push(Command::End(Ending::Done));
    all
}

/// The event of a fact, in an envelope like that of a run.
fn draft(journal: &Journal, fact: &Fact) -> EventDraft {
    let written = write_fact(fact);
    for object in &written.objects {
        journal.put(object).unwrap();
    }
    let digest = Digest::of(b"plan");
    EventDraft {
        event_type: written.body.event_type(),
        actor: "operator".to_owned(),
        actor_details: Some(ActorDetails {
            id: "operator".to_owned(),
            kind: ActorKind::Service,
            org_id: None,
            credential_ref: None,
            jurisdiction: None,
        }),
        tenant_id: "example".to_owned(),
        outcome: written.outcome,
        evidence_pointer: written.pointer.unwrap_or(digest),
        correlation_id: "0197f0a2-7c1e-7000-8000-000000000001".to_owned(),
        resource_id: written.resource_id,
        action: Some(written.action.to_owned()),
        authority_snapshot_id: digest,
        policy_snapshot_id: digest,
        jurisdiction: None,
        classification: None,
        context: written.context,
        fields: written.body.fields(),
    }
}

fn open(dir: &Path, fold: &mut dyn FnMut(&Event) -> Result<(), JournalError>) -> Journal {
    let key = SigningKey::generate("bench".parse().unwrap(), &[7; 32]).unwrap();
    let world = World::new();
    let (profile, signer) = (LogProfile::default(), Some(Arc::new(key)));
    Journal::open::<JournalError>(dir, profile, signer, world.clone(), world, fold).unwrap()
}

/// Facts of runs, decided and applied, and made durable so many at a time, until the log has so many
/// events or the time is over. Gives how many there are, and how long it took.
fn record(dir: &Path, events: u64, at_once: usize, most: Duration) -> (u64, Duration) {
    let journal = open(dir, &mut |_| Ok(()));
    let (process, world) = (Arc::new(process()), World::new());
    let (mut state, mut drafts) = (State::default(), Vec::new());
    let begun = Instant::now();
    let mut made = 0;
    for command in std::iter::repeat_with(|| commands(&process)).flatten() {
        let now = world.now();
        for fact in decide(&state, command, now).unwrap() {
            drafts.push(draft(&journal, &fact));
            made += 1;
            if drafts.len() >= at_once || made == events {
                journal.append(std::mem::take(&mut drafts)).unwrap();
            }
            apply(&mut state, &fact, now).unwrap();
        }
        if made >= events || begun.elapsed() > most {
            break;
        }
    }
    (made, begun.elapsed())
}

/// The most memory that the process took since it was last forgotten, in MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

fn forget_peak() {
    // Where the kernel does not let it, the figure holds the making of the log too.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

fn main() {
    let wanted = std::env::args().find_map(|word| word.parse().ok());
    let events: u64 = wanted.unwrap_or(1_000_000);
    let folder = || tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();

    let dir = folder();
    let (made, took) = record(dir.path(), u64::MAX, 1, Duration::from_secs(5));
    println!("facts decided, durable one by one, applied: {:.0}/s", rate(made, took));

    let dir = folder();
    let (made, took) = record(dir.path(), events, 500, Duration::MAX);
    println!("the same, durable 500 at a time:            {:.0}/s", rate(made, took));

    let objects = LogReader::open(dir.path()).unwrap().unwrap();
    for facts in [false, true] {
        forget_peak();
        let (mut state, mut seen) = (State::default(), 0);
        let begun = Instant::now();
        let journal = open(dir.path(), &mut |event| {
            seen += 1;
            if facts {
                let fact = read_fact(event, &|digest| objects.object(digest).ok()).unwrap();
                apply(&mut state, &fact.unwrap(), event.occurred_at).unwrap();
            }
            Ok(())
        });
        let took = begun.elapsed();
        assert_eq!((journal.events(), seen), (made, made));
        assert_eq!(state.run.is_some(), facts);
        let what = if facts { "opened, with the state" } else { "opened, checked alone" };
        println!(
            "{what:<22} {made} events: {:.2} s, {:.0}/s, at most {} MiB",
            took.as_secs_f64(),
            rate(made, took),
            peak()
        );
    }
}

fn rate(events: u64, took: Duration) -> f64 {
    f64::from(u32::try_from(events).unwrap()) / took.as_secs_f64()
}
