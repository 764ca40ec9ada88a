//! Canonical events per second, and verified events per second, on one core: Carnet beside the two
//! implementations of RFC 8785 that serialise with serde.
//!
//!     cargo bench -p carnet-ledger --bench canonical [-- --json]
//!
//! Each contender gets the same events, as a struct of its own liking, and does the same work.
//! Rounds take turns, so that a slow moment of the machine hits all; medians are compared.

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use carnet_ledger::{
    Chain, CompactRange, Digest, Event, EventDraft, EventId, EventTime, EventType, EvidenceProfile,
    HashProfile, Object, Outcome, Verifier, leaf_hash,
};
use serde::Serialize;
use serde_json::json;

const EVENTS: u32 = 20_000;
const ROUNDS: usize = 5;
/// Carnet is to be at least this many times as fast as the faster of the others.
const GOAL: f64 = 4.0;

type Outcomes<T> = Result<T, Box<dyn Error>>;

/// An event as a user of the other crates would declare it.
#[derive(Serialize)]
struct Plain<'a> {
    action: Option<&'a str>,
    actor: &'a str,
    authority_snapshot_id: String,
    chain_id: &'a str,
    context: serde_json::Value,
    correlation_id: &'a str,
    event_hash: String,
    event_type: &'a str,
    evidence_pointer: String,
    evidence_profile_id: &'a str,
    hash_profile_id: &'a str,
    id: String,
    jurisdiction: Option<&'a str>,
    occurred_at: String,
    outcome: &'a str,
    policy_snapshot_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_hash: Option<String>,
    resource_id: Option<&'a str>,
    sequence: u64,
    tenant_id: &'a str,
}

impl<'a> Plain<'a> {
    fn of(event: &'a Event) -> Outcomes<Self> {
        let draft = &event.draft;
        let context = HashProfile::Rfc8785Sha256V1.canonical(&draft.context.clone().into());
        Ok(Self {
            action: draft.action.as_deref(),
            actor: &draft.actor,
            authority_snapshot_id: format!("sha256:{}", draft.authority_snapshot_id),
            chain_id: &event.chain_id,
            context: serde_json::from_str(&context)?,
            correlation_id: &draft.correlation_id,
            event_hash: event.event_hash.to_string(),
            event_type: draft.event_type.name(),
            evidence_pointer: format!("eosc://evidence/sha256:{}", draft.evidence_pointer),
            evidence_profile_id: event.evidence_profile.name(),
            hash_profile_id: event.hash_profile.name(),
            id: event.id.to_string(),
            jurisdiction: draft.jurisdiction.as_deref(),
            occurred_at: event.occurred_at.to_string(),
            outcome: draft.outcome.name(),
            policy_snapshot_id: format!("sha256:{}", draft.policy_snapshot_id),
            prev_hash: event.prev_hash.map(|hash| hash.to_string()),
            resource_id: draft.resource_id.as_deref(),
            sequence: event.sequence,
            tenant_id: &draft.tenant_id,
        })
    }
}

fn draft(number: u32) -> EventDraft {
    EventDraft {
        event_type: EventType::ProcessOutcome,
        actor: "ops@example.org".into(),
        actor_details: None,
        tenant_id: "lab".into(),
        outcome: Outcome::Accepted,
        evidence_pointer: Digest::of(&number.to_be_bytes()),
        correlation_id: "01934f6e-8a3b-7c00-8000-0123456789ab".into(),
        resource_id: Some("postgres://prod.internal/kb?table=embeddings".into()),
        action: Some("load".into()),
        authority_snapshot_id: Digest::of(b"approvers"),
        policy_snapshot_id: Digest::of(b"rules"),
        jurisdiction: Some("DE".into()),
        classification: None,
        context: [
            ("phase".to_owned(), "import".into()),
            ("range".to_owned(), number.into()),
            ("step".to_owned(), "load.range".into()),
        ]
        .into(),
        fields: Object::new(),
    }
}

struct Log {
    profile: HashProfile,
    events: Vec<Event>,
    stored: Vec<Vec<u8>>,
}

fn log(profile: HashProfile) -> Outcomes<Log> {
    let mut chain = Chain::new("kb-lab-to-prod", profile, EvidenceProfile::Admissible);
    let mut log = Log { profile, events: Vec::new(), stored: Vec::new() };
    for number in 0..EVENTS {
        let id = EventId((0x0193_4f6e_8a3b_7c00_u128 << 64 | u128::from(number)).to_be_bytes());
        let time = EventTime::from_unix_millis(1_800_000_000_000 + i64::from(number))?;
        let sealed = chain.seal(draft(number), id, time)?;
        chain.accept(&sealed.event)?;
        log.events.push(sealed.event);
        log.stored.push(sealed.bytes);
    }
    Ok(log)
}

/// What another implementation has to do to believe a stored event: read it, write it again with
/// and without its hash, and compute both digests.
fn verify_with(
    stored: &[Vec<u8>],
    canonical: impl Fn(&serde_json::Value) -> Outcomes<Vec<u8>>,
) -> Outcomes<Digest> {
    let mut leaves = CompactRange::new(0);
    for bytes in stored {
        let mut event: serde_json::Value = serde_json::from_slice(bytes)?;
        if canonical(&event)? != *bytes {
            return Err("not canonical".into());
        }
        let hash = event.as_object_mut().and_then(|members| members.remove("event_hash"));
        let content = Digest::of(&canonical(&event)?).to_string();
        if hash.as_ref().and_then(serde_json::Value::as_str) != Some(&content) {
            return Err("wrong hash".into());
        }
        leaves.append(leaf_hash(bytes));
    }
    leaves.root().ok_or_else(|| "no events".into())
}

fn verify_ours(log: &Log) -> Outcomes<Digest> {
    let mut verifier = Verifier::new(log.profile);
    for bytes in &log.stored {
        verifier.check(bytes)?;
    }
    Ok(verifier.finish().root)
}

/// A contender: its name, and what it does to all events once.
struct Contender<'a> {
    name: &'static str,
    run: Box<dyn Fn() -> Outcomes<()> + 'a>,
}

fn contender<'a>(name: &'static str, run: impl Fn() -> Outcomes<()> + 'a) -> Contender<'a> {
    Contender { name, run: Box::new(run) }
}

/// Events per second of each, as the median of the rounds.
fn measure(contenders: &[Contender<'_>]) -> Outcomes<Vec<(&'static str, f64)>> {
    let mut seconds = vec![Vec::with_capacity(ROUNDS); contenders.len()];
    for contender in contenders {
        (contender.run)()?;
    }
    for _ in 0..ROUNDS {
        for (contender, seconds) in contenders.iter().zip(&mut seconds) {
            let started = Instant::now();
            (contender.run)()?;
            seconds.push(started.elapsed().as_secs_f64());
        }
    }
    let rates = contenders.iter().zip(seconds).map(|(contender, mut seconds)| {
        seconds.sort_by(f64::total_cmp);
        let median = seconds.get(ROUNDS / 2).copied().unwrap_or(f64::INFINITY);
        (contender.name, f64::from(EVENTS) / median)
    });
    Ok(rates.collect())
}

fn writers<'a>(ours: &'a Log, ecs: &'a Log, plain: &'a [Plain<'a>]) -> Vec<Contender<'a>> {
    let write = |log: &'a Log| {
        move || {
            log.events.iter().for_each(|event| drop(black_box(event.canonical())));
            Ok(())
        }
    };
    vec![
        contender("serde_json_canonicalizer", || {
            plain.iter().try_for_each(|event| {
                black_box(serde_json_canonicalizer::to_vec(event)?);
                Ok(())
            })
        }),
        contender("serde_jcs", || {
            plain.iter().try_for_each(|event| {
                black_box(serde_jcs::to_vec(event)?);
                Ok(())
            })
        }),
        contender("carnet rfc8785-sha256-v1", write(ours)),
        contender("carnet ecs-hash-v1", write(ecs)),
    ]
}

fn verifiers<'a>(ours: &'a Log, ecs: &'a Log) -> Vec<Contender<'a>> {
    let verify = |log: &'a Log| {
        move || {
            black_box(verify_ours(log)?);
            Ok(())
        }
    };
    vec![
        contender("serde_json_canonicalizer", || {
            black_box(verify_with(&ours.stored, |event| {
                Ok(serde_json_canonicalizer::to_vec(event)?)
            })?);
            Ok(())
        }),
        contender("serde_jcs", || {
            black_box(verify_with(&ours.stored, |event| Ok(serde_jcs::to_vec(event)?))?);
            Ok(())
        }),
        contender("carnet rfc8785-sha256-v1", verify(ours)),
        contender("carnet ecs-hash-v1", verify(ecs)),
    ]
}

/// A line of a table.
struct Row {
    name: &'static str,
    /// Events per second.
    rate: f64,
    /// How many times the faster of the others.
    ratio: f64,
}

fn rows(rates: &[(&'static str, f64)]) -> Vec<Row> {
    let others = rates.iter().filter(|(name, _)| !name.starts_with("carnet"));
    let faster = others.map(|(_, rate)| *rate).fold(0.0, f64::max);
    rates.iter().map(|(name, rate)| Row { name, rate: *rate, ratio: rate / faster }).collect()
}

#[expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]
fn print(bytes: usize, tables: &[(&'static str, Vec<Row>)]) {
    if std::env::args().any(|argument| argument == "--json") {
        let tables = tables.iter().map(|(title, rows)| {
            let rows = rows.iter().map(|row| {
                json!({ "name": row.name, "events_per_second": row.rate, "ratio": row.ratio })
            });
            ((*title).to_owned(), rows.collect::<Vec<_>>().into())
        });
        let tables: serde_json::Map<_, _> = tables.collect();
        println!("{}", json!({ "event_bytes": bytes, "goal": GOAL, "tables": tables }));
        return;
    }
    println!("{EVENTS} events of {bytes} bytes, one core, medians of {ROUNDS} rounds");
    for (title, rows) in tables {
        println!("{title}");
        for Row { name, rate, ratio } in rows {
            println!("  {name:<26} {rate:>9.0} events/s  {ratio:>6.2} x the faster other");
        }
    }
    println!("goal: {GOAL} x for canonical bytes");
}

fn main() -> Outcomes<()> {
    let (ours, ecs) = (log(HashProfile::Rfc8785Sha256V1)?, log(HashProfile::EcsHashV1)?);
    let plain: Vec<_> = ours.events.iter().map(Plain::of).collect::<Outcomes<_>>()?;
    // All write the same bytes, or there is nothing to compare.
    for ((plain, stored), event) in plain.iter().zip(&ours.stored).zip(&ours.events) {
        let same = serde_jcs::to_vec(plain)? == *stored
            && serde_json_canonicalizer::to_vec(plain)? == *stored
            && event.canonical().as_bytes() == stored;
        if !same {
            return Err("the contenders write other bytes".into());
        }
    }
    let bytes = ours.stored.iter().map(Vec::len).sum::<usize>() / ours.stored.len();
    let tables = [
        ("canonical bytes of typed events", rows(&measure(&writers(&ours, &ecs, &plain))?)),
        ("stored events verified: form, hash, leaf", rows(&measure(&verifiers(&ours, &ecs))?)),
    ];
    print(bytes, &tables);
    Ok(())
}
