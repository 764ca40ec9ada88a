//! The core by tables and by seeded worlds: no files, no stores.

use carnet_ledger::{
    Chain, Digest, Event, EventDraft, EventId, EventTime, EvidenceProfile, HashProfile, Object,
    RefusalClass,
};
use proptest::prelude::*;
use std::sync::Arc;

use super::*;

fn now() -> EventTime {
    EventTime::from_unix_millis(1_800_000_000_000).unwrap()
}

type Named = (String, NodeKind);

fn step(name: &str, undo: Undo) -> Named {
    (name.into(), NodeKind::Step { repeat: Repeat::Again, undo })
}

fn gate(name: &str) -> Named {
    (name.into(), NodeKind::Gate { closed: Closed::Refuse })
}

fn phase(name: &str, nodes: Vec<Named>) -> Phase {
    let nodes = nodes.into_iter().enumerate();
    Phase {
        name: name.into(),
        part: Part::Forward,
        on_failure: OnFailure::Undo,
        begins: Begins::InTurn,
        nodes: nodes.map(|(index, (name, kind))| Node::in_sequence(index, name, kind)).collect(),
    }
}

fn process() -> Process {
    let commit = ("commit".to_owned(), NodeKind::Commit);
    Process {
        name: "test/v1".into(),
        phases: vec![
            phase("look", vec![step("open", Undo::Nothing), gate("fits")]),
            phase("move", vec![step("write", Undo::Always), step("copy", Undo::BeforeCommit)]),
            phase("check", vec![gate("equal")]),
            phase("switch", vec![step("point", Undo::Always), commit]),
            phase("close", vec![step("archive", Undo::BeforeCommit)]),
        ],
    }
}

fn plan() -> Digest {
    Digest::of(b"plan")
}

fn start() -> Command {
    start_of("r1", plan(), false, false)
}

fn start_of(run: &str, plan: Digest, dry_run: bool, again: bool) -> Command {
    Command::Run(start_with(run, plan, dry_run, again, process()))
}

fn start_with(run: &str, plan: Digest, dry_run: bool, again: bool, process: Process) -> Start {
    let process = Arc::new(process);
    Start {
        run: run.into(),
        plan,
        document: plan,
        amends: None,
        dry_run,
        initiator: None,
        trust: None,
        process,
        again,
    }
}

fn take_back() -> Command {
    Command::Rollback { plan: plan() }
}

fn stop(subject: &str) -> Stop {
    Stop::precondition("gate.closed", subject, "because".into(), "do this".into())
}

fn approval(subject: &str, approver: &str) -> Approval {
    Approval {
        subject: subject.into(),
        approver: approver.into(),
        key: Some("SHA256:abc".into()),
        plan: plan(),
        gate_table: Digest::of(b"table"),
        at: now(),
        expires: later(60),
        statement: Digest::of(b"statement"),
    }
}

fn later(seconds: i64) -> EventTime {
    EventTime::from_unix_millis(now().unix_millis() + seconds * 1000).unwrap()
}

fn verdict(opens: bool) -> GateVerdict {
    GateVerdict {
        verdict: if opens { "pass" } else { "fail" }.into(),
        opens,
        reason: "seen".into(),
        refused: 3,
        damaged: 3,
        remedy: String::new(),
        observation: Some(Digest::of(b"seen")),
        exception: None,
    }
}

/// A world that answers by name: what it answers does not depend on when it is asked.
#[derive(Debug, Clone)]
struct World {
    failing: Vec<String>,
    unknown: Vec<String>,
    undo_fails: Vec<String>,
    branch: String,
}

impl World {
    fn answer(&self, next: Next) -> Option<Command> {
        let is = |list: &[String], name: &String| list.contains(name);
        Some(match next {
            Next::Enter(phase) => Command::Enter(phase),
            Next::Leave(phase) => Command::Leave(phase),
            Next::Judge(gate) => Command::Judge {
                verdict: verdict(!is(&self.failing, &gate)),
                stop: stop(&gate),
                gate,
            },
            Next::Begin(step) => Command::Begin { step, inputs: Object::new() },
            Next::Settle(step) => {
                let (result, why) = if is(&self.unknown, &step) {
                    (StepResult::Unknown, Some((Ending::Failed, stop(&step))))
                } else if is(&self.failing, &step) {
                    (StepResult::NotApplied, Some((Ending::Failed, stop(&step))))
                } else {
                    (StepResult::Applied, None)
                };
                Command::Settle { step, result, facts: Object::new(), why }
            }
            Next::Undo(step) => Command::SettleUndo {
                result: if is(&self.undo_fails, &step) { Err(stop(&step)) } else { Ok(vec![]) },
                step,
            },
            Next::End(ending) => Command::End(ending),
            Next::Commit(node) => Command::Commit(node),
            Next::Choose(choice) => {
                Command::Choose { branch: self.branch.clone(), choice, reason: "seen".into() }
            }
            Next::Set(timer) => Command::SetTimer(timer),
            Next::Await { timer, .. } => Command::EndTimer(timer),
            Next::Hear(message) => Command::Send { message, reason: "go".into() },
            Next::Wait | Next::Nothing => return None,
        })
    }
}

/// Runs until nothing is left to do, recording each fact.
fn drive(state: &mut State, world: &World, facts: &mut Vec<Fact>) {
    for _ in 0..200 {
        let Some(run) = &state.run else { return };
        let next = next(run);
        if let Next::Undo(step) = &next
            && run.step(step).is_some_and(|held| held.status != StepStatus::Undoing)
        {
            commit(state, Command::BeginUndo(step.clone()), facts);
            continue;
        }
        let Some(command) = world.answer(next) else { return };
        commit(state, command, facts);
    }
    panic!("the run does not end");
}

fn commit(state: &mut State, command: Command, facts: &mut Vec<Fact>) {
    for fact in decide(state, command, now()).unwrap() {
        apply(state, &fact, now()).unwrap();
        facts.push(fact);
    }
}

fn fold(facts: &[Fact]) -> State {
    let mut state = State::default();
    for fact in facts {
        apply(&mut state, fact, now()).unwrap();
    }
    state
}

fn run_in(world: &World) -> (State, Vec<Fact>) {
    let (mut state, mut facts) = (State::default(), Vec::new());
    commit(&mut state, start(), &mut facts);
    drive(&mut state, world, &mut facts);
    (state, facts)
}

fn world(failing: &[&str], unknown: &[&str], undo_fails: &[&str]) -> World {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    World {
        failing: owned(failing),
        unknown: owned(unknown),
        undo_fails: owned(undo_fails),
        branch: String::new(),
    }
}

fn undone(facts: &[Fact]) -> Vec<&str> {
    let mut names = Vec::new();
    for fact in facts {
        if let Fact::UndoOutcome { step, done: true, .. } = fact {
            names.push(step.as_str());
        }
    }
    names
}

#[test]
fn how_runs_end_and_what_is_undone() {
    use Direction as D;
    let cases: &[(World, Status, &[&str])] = &[
        (world(&[], &[], &[]), Status::Ended(Ending::Done), &[]),
        (world(&["fits"], &[], &[]), Status::Ended(Ending::Refused), &[]),
        (world(&["open"], &[], &[]), Status::Ended(Ending::Failed), &[]),
        (world(&["write"], &[], &[]), Status::Ended(Ending::Failed), &["write"]),
        (world(&["copy"], &[], &[]), Status::Ended(Ending::Failed), &["copy", "write"]),
        (world(&["equal"], &[], &[]), Status::Ended(Ending::Refused), &["copy", "write"]),
        (world(&["point"], &[], &[]), Status::Ended(Ending::Failed), &["point", "copy", "write"]),
        // Behind the point of no return nothing is taken back by itself.
        (world(&["archive"], &[], &[]), Status::Waiting(D::Forward), &[]),
        (world(&[], &["point"], &[]), Status::Waiting(D::Forward), &[]),
        (world(&["equal"], &[], &["write"]), Status::Waiting(D::Undo(Ending::Refused)), &["copy"]),
    ];
    for (world, status, undo) in cases {
        let (state, facts) = run_in(world);
        assert_eq!(state.run.as_ref().unwrap().status, *status, "{world:?}");
        assert_eq!(undone(&facts), *undo, "{world:?}");
    }
}

#[test]
fn a_rollback_goes_back_newest_first_and_only_once() {
    let (mut state, mut facts) = run_in(&world(&[], &[], &[]));
    commit(&mut state, take_back(), &mut facts);
    drive(&mut state, &world(&[], &[], &[]), &mut facts);
    assert_eq!(state.run.as_ref().unwrap().status, Status::Ended(Ending::RolledBack));
    assert_eq!(undone(&facts), ["point", "write"]);
    assert_eq!(state.run.as_ref().unwrap().standing(), ["copy", "archive"]);
    assert_eq!(decide(&state, take_back(), now()), Err(Refused::NothingToRollBack));
    assert_eq!(decide(&State::default(), take_back(), now()), Err(Refused::NoRun));
    let (started, now_other) = (plan(), Digest::of(b"another plan"));
    assert_eq!(
        decide(&state, Command::Rollback { plan: now_other }, now()),
        Err(Refused::PlanChanged { started, now: now_other })
    );
    let (unknown, _) = run_in(&world(&[], &["point"], &[]));
    assert_eq!(decide(&unknown, take_back(), now()), Err(Refused::Unsettled));
}

#[test]
fn a_rollback_before_the_point_of_no_return_takes_everything_back() {
    let (_, facts) = run_in(&world(&[], &[], &[]));
    let entered = |fact: &Fact| *fact == Fact::Entered { phase: "switch".into() };
    let mut kept = facts.get(..facts.iter().position(entered).unwrap()).unwrap().to_vec();
    let mut state = fold(&kept);
    commit(&mut state, take_back(), &mut kept);
    drive(&mut state, &world(&[], &[], &[]), &mut kept);
    assert_eq!(state.run.as_ref().unwrap().status, Status::Ended(Ending::RolledBack));
    assert_eq!(undone(&kept), ["copy", "write"]);
}

#[test]
fn what_run_means_depends_on_where_the_last_run_stands() {
    let other = start_of("r2", Digest::of(b"other"), false, false);
    let (done, _) = run_in(&world(&[], &[], &[]));
    assert_eq!(decide(&done, start(), now()), Err(Refused::Done));
    let again = start_of("r2", plan(), false, true);
    assert!(matches!(decide(&done, again, now()).as_deref(), Ok([Fact::Started { .. }])));
    let past = Refused::DoneUnderAnother { done: plan(), now: Digest::of(b"other") };
    assert!(past.to_string().contains("is done"), "{past}");
    assert_eq!(decide(&done, other.clone(), now()), Err(past));
    let changed = Refused::PlanChanged { started: plan(), now: Digest::of(b"other") };
    let (waiting, _) = run_in(&world(&[], &["point"], &[]));
    assert_eq!(decide(&waiting, start(), now()), Ok(vec![Fact::Resumed]));
    assert_eq!(decide(&waiting, other.clone(), now()), Err(changed));
    let (refused, _) = run_in(&world(&["fits"], &[], &[]));
    let facts = decide(&refused, other, now()).unwrap();
    assert!(matches!(facts.as_slice(), [Fact::Started { .. }]));
}

#[test]
fn what_waited_goes_on_when_the_world_is_in_order_again() {
    for (bad, ending) in [
        (world(&[], &["copy"], &[]), Ending::Done),
        (world(&["archive"], &[], &[]), Ending::Done),
        (world(&["equal"], &[], &["copy", "write"]), Ending::Refused),
    ] {
        let (mut state, mut facts) = run_in(&bad);
        assert!(matches!(state.run.as_ref().unwrap().status, Status::Waiting(_)), "{bad:?}");
        commit(&mut state, start(), &mut facts);
        drive(&mut state, &world(&[], &[], &[]), &mut facts);
        assert_eq!(state.run.as_ref().unwrap().status, Status::Ended(ending), "{bad:?}");
        assert_eq!(fold(&facts), state);
    }
}

#[test]
fn a_dry_run_withholds_steps_and_lets_gates_be_not_run() {
    let (mut state, mut facts) = (State::default(), Vec::new());
    let start = start_of("d", plan(), true, false);
    commit(&mut state, start, &mut facts);
    loop {
        let next = next(state.run.as_ref().unwrap());
        let command = if let Next::Begin(step) = next {
            let (result, facts) = (StepResult::Withheld, Object::new());
            Command::Settle { step, result, facts, why: None }
        } else if let Some(command) = world(&[], &[], &[]).answer(next) {
            command
        } else {
            break;
        };
        commit(&mut state, command, &mut facts);
    }
    let run = state.run.as_ref().unwrap();
    assert_eq!(run.status, Status::Ended(Ending::Done));
    assert!(run.undo.is_empty());
    assert!(decide(&state, take_back(), now()).is_err());
    // Outside of a dry run nothing may be withheld.
    let (mut state, mut facts) = (State::default(), Vec::new());
    commit(&mut state, self::start(), &mut facts);
    commit(&mut state, Command::Enter("look".into()), &mut facts);
    let withheld = Command::Settle {
        step: "open".into(),
        result: StepResult::Withheld,
        facts: Object::new(),
        why: None,
    };
    assert!(matches!(decide(&state, withheld, now()), Err(Refused::Illegal(_))));
}

#[test]
fn what_was_seen_before_a_crash_is_looked_at_again_before_the_point_of_no_return() {
    let (_, facts) = run_in(&world(&[], &[], &[]));
    let kept = |last: &Fact| {
        let at = facts.iter().position(|fact| fact == last).unwrap();
        let mut state = fold(facts.get(..=at).unwrap());
        apply(&mut state, &Fact::Resumed, now()).unwrap();
        next(state.run.as_ref().unwrap())
    };
    let again = Next::Judge("equal".into());
    assert_eq!(kept(&Fact::Left { phase: "check".into() }), again);
    assert_eq!(kept(&Fact::Entered { phase: "switch".into() }), again);
    // Nobody knows whether the switch has happened: that is settled first.
    let begun =
        facts.iter().find(|fact| matches!(fact, Fact::Intent { step, .. } if step == "point"));
    assert_eq!(kept(begun.unwrap()), Next::Settle("point".into()));
    assert_eq!(kept(&Fact::Left { phase: "move".into() }), Next::Enter("check".into()));
    let opened =
        facts.iter().find(|fact| matches!(fact, Fact::Judged { gate, .. } if gate == "fits"));
    assert_eq!(kept(opened.unwrap()), Next::Begin("open".into()));
}

/// What must be the same however often a run was cut off.
fn essence(state: &State) -> (Status, Vec<PhaseStatus>, Vec<String>) {
    let run = state.run.as_ref().unwrap();
    let nodes = run
        .nodes()
        .map(|(_, _, state)| match state {
            NodeState::Gate(gate) => format!("{:?}", gate.last),
            NodeState::Step(step) => format!("{:?}", step.status),
            other @ (NodeState::Choice(_)
            | NodeState::Timer(_)
            | NodeState::Message(_)
            | NodeState::Commit(_)) => format!("{other:?}"),
        })
        .collect();
    (run.status, run.phases.iter().map(|phase| phase.status).collect(), nodes)
}

fn names() -> impl Strategy<Value = Vec<String>> {
    let all = ["open", "fits", "write", "copy", "equal", "point", "archive"];
    proptest::sample::subsequence(all.to_vec(), 0..3)
        .prop_map(|names| names.into_iter().map(str::to_owned).collect())
}

proptest! {
    #[test]
    fn a_crash_after_any_event_reaches_the_same_end(
        failing in names(), unknown in names(), undo_fails in names(),
    ) {
        let world = World { failing, unknown, undo_fails, branch: String::new() };
        let (whole, facts) = run_in(&world);
        for cut in 1..facts.len() {
            let mut kept = facts.get(..cut).unwrap().to_vec();
            let mut state = fold(&kept);
            if matches!(state.run.as_ref().unwrap().status, Status::Ended(_)) {
                continue;
            }
            commit(&mut state, start(), &mut kept);
            drive(&mut state, &world, &mut kept);
            prop_assert_eq!(essence(&state), essence(&whole), "cut after {}", cut);
            prop_assert_eq!(fold(&kept), state);
        }
    }

    #[test]
    fn facts_in_any_order_are_applied_or_refused_and_never_fall(
        order in proptest::collection::vec(0usize..200, 0..80), failing in names(),
    ) {
        let world = World {
            failing,
            unknown: Vec::new(),
            undo_fails: Vec::new(),
            branch: String::new(),
        };
        let (mut state, mut facts) = run_in(&world);
        let again = world.clone();
        if decide(&state, take_back(), now()).is_ok() {
            commit(&mut state, take_back(), &mut facts);
            drive(&mut state, &again, &mut facts);
        }
        let mut state = State::default();
        for index in order {
            let before = state.clone();
            let fact = facts.get(index % facts.len()).unwrap();
            if apply(&mut state, fact, now()).is_err() {
                prop_assert_eq!(&before, &state, "an error must change nothing");
            }
            let newest_first = state.run.as_ref().is_none_or(|run| run.undo.is_sorted());
            prop_assert!(newest_first);
        }
    }
}

fn seal(fact: &Fact) -> Event {
    let written = write_fact(fact);
    let draft = EventDraft {
        event_type: written.body.event_type(),
        actor: "test".into(),
        actor_details: None,
        tenant_id: "test".into(),
        outcome: written.outcome,
        evidence_pointer: written.pointer.unwrap_or_else(plan),
        correlation_id: "r1".into(),
        resource_id: written.resource_id,
        action: Some(written.action.into()),
        authority_snapshot_id: plan(),
        policy_snapshot_id: plan(),
        jurisdiction: None,
        classification: None,
        context: written.context,
        fields: written.body.fields(),
    };
    let chain = Chain::new("test", HashProfile::default(), EvidenceProfile::Baseline);
    let sealed = chain.seal(draft, EventId([7; 16]), now()).unwrap();
    Event::parse(&sealed.bytes).unwrap()
}

/// The fact that an event says, with the objects that were stored with it.
fn read_back(fact: &Fact) -> Result<Option<Fact>, FactError> {
    let objects = write_fact(fact).objects;
    let get = |digest| objects.iter().find(|bytes| Digest::of(bytes) == digest).cloned();
    read_fact(&seal(fact), &get)
}

fn nothing(_: Digest) -> Option<Vec<u8>> {
    None
}

#[test]
fn every_fact_survives_its_event() {
    let (_, mut facts) = run_in(&world(&["equal"], &[], &["write"]));
    let object = Object::from([("count".to_owned(), 3u32.into())]);
    facts.extend([
        Fact::Resumed,
        Fact::RollbackStarted,
        Fact::Part {
            step: "write".into(),
            part: "embeddings/3".into(),
            status: PartStatus::Done,
            facts: object,
        },
        Fact::UndoOutcome {
            step: "write".into(),
            done: true,
            left_behind: vec!["records in place".into()],
            reason: String::new(),
        },
        Fact::Amended {
            plan: Digest::of(b"next"),
            document: plan(),
            trust: Some(Digest::of(b"keys")),
            process: Arc::new(process()),
        },
        Fact::Chosen { choice: "way".into(), branch: "left".into(), reason: "seen".into() },
        Fact::TimerSet { timer: "soak".into(), due: now() },
        Fact::TimerOver { timer: "soak".into() },
        Fact::Received { message: "go".into(), reason: "the owner says so".into() },
        Fact::Committed { node: "commit".into() },
        Fact::Approved(approval("go", "ops")),
        Fact::Approved(Approval { key: None, ..approval("go", "dev") }),
        Fact::Withdrawn {
            subject: "go".into(),
            approver: "ops".into(),
            plan: plan(),
            gate_table: Digest::of(b"table"),
            reason: "a mistake".into(),
        },
        Fact::Retried { subject: "write".into() },
        Fact::Judged {
            gate: "equal".into(),
            verdict: GateVerdict { exception: Some("split-dns".into()), ..verdict(true) },
        },
        Fact::Stopped {
            ending: Ending::Failed,
            stop: Stop { class: RefusalClass::DependencyUnavailableFailClosed, ..stop("write") },
        },
    ]);
    for by_hand in ByHand::ALL {
        let (step, by, reason) = ("write".into(), "ops".into(), "seen".into());
        facts.push(Fact::Settled { step, by_hand, by, reason });
    }
    for fact in facts {
        assert_eq!(read_back(&fact).unwrap().as_ref(), Some(&fact));
    }
}

#[test]
fn an_event_that_lacks_a_part_of_its_fact_is_refused() {
    let fact = Fact::Judged { gate: "equal".into(), verdict: verdict(true) };
    let whole = seal(&fact);
    for member in ["verdict", "opens", "reason", "damaged_copies", "remedy"] {
        let mut event = whole.clone();
        event.draft.context.remove(member);
        assert_eq!(read_fact(&event, &nothing).unwrap_err().member, member);
    }
    let mut other = whole;
    other.draft.context.remove("fact");
    assert_eq!(read_fact(&other, &nothing), Ok(None));
}

#[test]
fn a_process_that_is_not_the_one_of_its_digest_is_refused() {
    let (_, facts) = run_in(&world(&[], &[], &[]));
    let started = seal(&facts[0]);
    let other = |_: Digest| Some(b"{}".to_vec());
    assert_eq!(read_fact(&started, &nothing).unwrap_err().member, "process");
    assert_eq!(read_fact(&started, &other).unwrap_err().member, "process");
}
