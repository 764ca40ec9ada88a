//! Phases that are begun and confirmed by an act of their own.

use std::sync::Arc;

use carnet_ledger::{Digest, EventTime, Object};

use super::*;

fn now() -> EventTime {
    EventTime::from_unix_millis(1_800_000_000_000).unwrap()
}

fn phase(name: &str, begins: Begins) -> Phase {
    let step = NodeKind::Step { repeat: Repeat::Again, undo: Undo::Always };
    let kinds = match begins {
        Begins::NotYet => vec![("activate", NodeKind::Message)],
        Begins::InTurn | Begins::OnWord => {
            vec![("activate", NodeKind::Message), ("work", step), ("confirm", NodeKind::Message)]
        }
    };
    let nodes = kinds
        .into_iter()
        .enumerate()
        .map(|(at, (node, kind))| Node::in_sequence(at, format!("{name}/{node}"), kind));
    let (part, on_failure) = (Part::Forward, OnFailure::Wait);
    Phase { name: name.into(), part, on_failure, begins, nodes: nodes.collect() }
}

fn process(last: Begins) -> Process {
    let phases = vec![phase("a", Begins::OnWord), phase("b", Begins::OnWord), phase("c", last)];
    Process { name: "programme/v1".into(), phases }
}

fn begun() -> State {
    begun_with(process(Begins::NotYet))
}

fn begun_with(process: Process) -> State {
    let mut state = State::default();
    let start = Start {
        run: "r".into(),
        plan: Digest::of(b"plan"),
        document: Digest::of(b"document"),
        amends: None,
        dry_run: false,
        initiator: None,
        trust: None,
        process: Arc::new(process),
        again: false,
    };
    give(&mut state, Command::Run(start)).unwrap();
    state
}

fn give(state: &mut State, command: Command) -> Result<(), Refused> {
    for fact in decide(state, command, now())? {
        apply(state, &fact, now()).unwrap();
    }
    Ok(())
}

fn say(state: &mut State, message: &str) -> Result<(), Refused> {
    give(state, Command::Send { message: message.into(), reason: "x".into() })
}

fn run(state: &State) -> &RunState {
    state.run.as_ref().unwrap()
}

/// Does what follows until word is missing or a person must act.
fn drive(state: &mut State) {
    loop {
        let command = match next(run(state)) {
            Next::Enter(phase) => Command::Enter(phase),
            Next::Leave(phase) => Command::Leave(phase),
            Next::Begin(step) => Command::Begin { step, inputs: Object::new() },
            Next::Settle(step) => Command::Settle {
                step,
                result: StepResult::Applied,
                facts: Object::new(),
                why: None,
            },
            Next::Commit(node) => Command::Commit(node),
            Next::Hear(_) | Next::Wait | Next::Nothing => return,
            Next::End(ending) => Command::End(ending),
            other @ (Next::Judge(_)
            | Next::Choose(_)
            | Next::Set(_)
            | Next::Await { .. }
            | Next::Undo(_)) => panic!("{other:?}"),
        };
        give(state, command).unwrap();
    }
}

fn shown(state: &State) -> Vec<&'static str> {
    standings_of(run(state)).into_iter().map(|(_, standing)| standing.name()).collect()
}

fn missing(state: &State) -> Vec<String> {
    let found = transition(run(state)).unwrap();
    assert!(found.missing.iter().all(|it| !it.remedy.is_empty()), "{found:?}");
    found.missing.into_iter().map(|it| it.what).collect()
}

fn is_illegal(result: &Result<(), Refused>) -> bool {
    matches!(result, Err(Refused::Illegal(_)))
}

#[test]
fn one_phase_is_active_at_a_time_and_none_before_the_one_before_it_is_done() {
    let mut state = begun();
    drive(&mut state);
    assert_eq!(next(run(&state)), Next::Hear("a/activate".into()));
    assert_eq!(shown(&state), ["NOT_STARTED", "NOT_STARTED", "NOT_STARTED"]);
    assert!(is_illegal(&say(&mut state, "b/activate")), "b before a is done");
    assert!(is_illegal(&give(&mut state, Command::Enter("a".into()))), "entered without word");
    say(&mut state, "a/activate").unwrap();
    assert_eq!(shown(&state), ["ACTIVE", "NOT_STARTED", "NOT_STARTED"]);
    assert!(is_illegal(&say(&mut state, "b/activate")), "two at once");
    assert!(is_illegal(&say(&mut state, "a/confirm")), "confirmed before it is done");
    assert!(missing(&state).iter().any(|it| it == "nothing of it is done"));
    drive(&mut state);
    assert_eq!(missing(&state), ["no note was kept in this phase"]);
    let note =
        |text: &str| Command::Note { kind: NoteKind::Decision, by: "me".into(), text: text.into() };
    give(&mut state, note("done as planned")).unwrap();
    assert!(missing(&state).is_empty());
    say(&mut state, "a/confirm").unwrap();
    assert_eq!(shown(&state), ["ACTIVE", "NOT_STARTED", "NOT_STARTED"]);
    drive(&mut state);
    assert_eq!(shown(&state), ["DONE", "NOT_STARTED", "NOT_STARTED"]);
    assert!(is_illegal(&say(&mut state, "c/activate")), "a phase was skipped");
    say(&mut state, "b/activate").unwrap();
    drive(&mut state);
    say(&mut state, "b/confirm").unwrap();
    drive(&mut state);
    // The last one is not written out.
    assert_eq!(
        (shown(&state)[2], next(run(&state))),
        ("NOT_STARTED", Next::Hear("c/activate".into()))
    );
    assert!(is_illegal(&say(&mut state, "c/activate")), "at gate level");
    assert!(missing(&state)[0].contains("at gate level"));
}

#[test]
fn what_was_taken_back_is_not_done() {
    let mut state = begun();
    say(&mut state, "a/activate").unwrap();
    drive(&mut state);
    say(&mut state, "a/confirm").unwrap();
    drive(&mut state);
    assert_eq!(shown(&state)[0], "DONE");
    give(&mut state, Command::Rollback { plan: Digest::of(b"plan") }).unwrap();
    while let Next::Undo(step) = next(run(&state)) {
        give(&mut state, Command::BeginUndo(step.clone())).unwrap();
        give(&mut state, Command::SettleUndo { step, result: Ok(Vec::new()) }).unwrap();
    }
    drive(&mut state);
    assert_eq!(run(&state).ending(), Some(Ending::RolledBack));
    assert_eq!(shown(&state), ["NOT_STARTED", "NOT_STARTED", "NOT_STARTED"]);
}

#[test]
fn what_stays_behind_the_point_of_no_return_is_still_done() {
    let mut process = process(Begins::NotYet);
    process.phases[0].nodes[1].kind =
        NodeKind::Step { repeat: Repeat::Again, undo: Undo::BeforeCommit };
    process.phases[1].nodes[1].kind = NodeKind::Commit;
    let mut state = begun_with(process);
    for name in ["a", "b"] {
        say(&mut state, &format!("{name}/activate")).unwrap();
        drive(&mut state);
        say(&mut state, &format!("{name}/confirm")).unwrap();
        drive(&mut state);
    }
    give(&mut state, Command::Rollback { plan: Digest::of(b"plan") }).unwrap();
    drive(&mut state);
    assert_eq!(run(&state).ending(), Some(Ending::RolledBack));
    // What the commit says stands; nothing of the last phase was begun.
    assert_eq!(shown(&state), ["DONE", "DONE", "NOT_STARTED"]);
}

#[test]
fn an_amendment_writes_out_what_was_at_gate_level() {
    let mut state = begun();
    for name in ["a", "b"] {
        say(&mut state, &format!("{name}/activate")).unwrap();
        drive(&mut state);
        say(&mut state, &format!("{name}/confirm")).unwrap();
        drive(&mut state);
    }
    let amended = Fact::Amended {
        plan: Digest::of(b"new"),
        document: Digest::of(b"new"),
        trust: None,
        process: Arc::new(process(Begins::OnWord)),
    };
    apply(&mut state, &amended, now()).unwrap();
    assert_eq!(missing(&state), [""; 0]);
    say(&mut state, "c/activate").unwrap();
    drive(&mut state);
    say(&mut state, "c/confirm").unwrap();
    drive(&mut state);
    assert_eq!(shown(&state), ["DONE", "DONE", "DONE"]);
    assert_eq!(run(&state).ending(), Some(Ending::Done));
}

#[test]
fn a_phase_that_is_held_up_goes_no_further() {
    let mut state = begun();
    let block = |phase: &str| Command::Block {
        phase: phase.into(),
        by: "me".into(),
        reason: "a leak".into(),
    };
    let unblock = |phase: &str| Command::Unblock {
        phase: phase.into(),
        by: "me".into(),
        reason: "fixed".into(),
    };
    assert!(is_illegal(&give(&mut state, unblock("a"))), "nothing holds it up");
    give(&mut state, block("a")).unwrap();
    assert_eq!(shown(&state)[0], "BLOCKED");
    assert!(is_illegal(&give(&mut state, block("a"))), "twice");
    assert!(is_illegal(&say(&mut state, "a/activate")), "held up");
    assert_eq!(missing(&state), ["me holds it up: a leak"]);
    give(&mut state, unblock("a")).unwrap();
    say(&mut state, "a/activate").unwrap();
    give(&mut state, Command::Enter("a".into())).unwrap();
    give(&mut state, block("a")).unwrap();
    assert_eq!((shown(&state)[0], next(run(&state))), ("BLOCKED", Next::Wait));
    let begin = Command::Begin { step: "a/work".into(), inputs: Object::new() };
    assert!(is_illegal(&give(&mut state, begin)), "work in a phase that is held up");
    give(&mut state, unblock("a")).unwrap();
    drive(&mut state);
    say(&mut state, "a/confirm").unwrap();
    drive(&mut state);
    assert!(is_illegal(&give(&mut state, block("a"))), "it is done");
}

#[test]
fn what_waits_for_a_person_blocks_the_active_phase() {
    let mut state = begun();
    say(&mut state, "a/activate").unwrap();
    give(&mut state, Command::Enter("a".into())).unwrap();
    let stop = Stop::precondition("programme.drift", "a", "flow.md".into(), "repin".into());
    give(&mut state, Command::Hold(stop)).unwrap();
    assert_eq!(shown(&state), ["BLOCKED", "NOT_STARTED", "NOT_STARTED"]);
    assert!(missing(&state).iter().any(|it| it.contains("programme.drift")));
}

#[test]
fn a_process_is_read_as_it_was_written_and_one_without_its_messages_is_none() {
    let held = process(Begins::NotYet);
    assert_eq!(Process::read(&held.write()), Ok(held.clone()));
    let mut headless = held;
    headless.phases[0].nodes[0].kind = NodeKind::Commit;
    assert!(headless.flaw().is_some());
    assert!(Process::read(&headless.write()).is_err());
}
