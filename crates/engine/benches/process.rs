//! The core alone: how many events of a process a second are decided, checked and applied, and how
//! fast they are folded again.
//!
//! `cargo bench -p carnet-engine --bench process -- [STEPS]` runs a process of so many steps (10,000
//! if nothing is said) to its end and takes it back, in memory: in phases of a hundred steps one
//! behind the other, and in one phase of parallel branches.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    clippy::print_stdout,
    reason = "a measurement falls or prints"
)]

use std::sync::Arc;
use std::time::Instant;

use carnet_engine::{
    After, Begins, Command, Ending, Fact, Next, Node, NodeKind, OnFailure, Part, Phase, Process,
    Repeat, Start, State, StepResult, Undo, apply, decide, ready,
};
use carnet_ledger::{Digest, EventTime, Object};

fn now() -> EventTime {
    EventTime::from_unix_millis(1_800_000_000_000).unwrap()
}

fn step(phase: usize, node: usize, after: Vec<After>) -> Node {
    let kind = NodeKind::Step { repeat: Repeat::Again, undo: Undo::BeforeCommit };
    Node { name: format!("p{phase}/s{node}"), after, kind }
}

fn phase(number: usize, nodes: Vec<Node>) -> Phase {
    let name = format!("p{number}");
    Phase { name, part: Part::Forward, on_failure: OnFailure::Undo, begins: Begins::InTurn, nodes }
}

fn in_a_row(steps: usize) -> Process {
    let phases = (0..steps.div_ceil(100)).map(|number| {
        let after = |node: usize| node.checked_sub(1).map(|node| After { node, branch: None });
        let nodes = (0..100).map(|node| step(number, node, after(node).into_iter().collect()));
        phase(number, nodes.collect())
    });
    Process { name: "row".into(), phases: phases.collect() }
}

fn side_by_side(steps: usize) -> Process {
    let nodes = (0..steps).map(|node| step(0, node, Vec::new()));
    Process { name: "side".into(), phases: vec![phase(0, nodes.collect())] }
}

/// What a driver would say about each thing that can be done now.
fn commands(next: Next) -> Vec<Command> {
    match next {
        Next::Enter(phase) => vec![Command::Enter(phase)],
        Next::Leave(phase) => vec![Command::Leave(phase)],
        Next::Begin(step) => {
            let (result, facts) = (StepResult::Applied, Object::new());
            let inputs = Object::new();
            let begin = Command::Begin { step: step.clone(), inputs };
            vec![begin, Command::Settle { step, result, facts, why: None }]
        }
        Next::Undo(step) => {
            let begin = Command::BeginUndo(step.clone());
            vec![begin, Command::SettleUndo { step, result: Ok(Vec::new()) }]
        }
        Next::End(ending) => vec![Command::End(ending)],
        other => panic!("{other:?} is no part of this measurement"),
    }
}

fn say(state: &mut State, command: Command, facts: &mut Vec<Fact>) {
    for fact in decide(state, command, now()).unwrap() {
        apply(state, &fact, now()).unwrap();
        facts.push(fact);
    }
}

fn measure(name: &str, process: Process) {
    let plan = Digest::of(b"plan");
    let begun = Instant::now();
    let written = carnet_ledger::HashProfile::Rfc8785Sha256V1.canonical(&process.write()).len();
    let (mut state, mut facts) = (State::default(), Vec::new());
    let start = Start {
        run: "bench".into(),
        plan,
        document: plan,
        amends: None,
        dry_run: false,
        initiator: None,
        trust: None,
        process: Arc::new(process),
        again: false,
    };
    say(&mut state, Command::Run(start), &mut facts);
    loop {
        let run = state.run.as_ref().unwrap();
        match run.ending() {
            None => {}
            Some(Ending::Done) => {
                say(&mut state, Command::Rollback { plan }, &mut facts);
                continue;
            }
            Some(_) => break,
        }
        for next in ready(state.run.as_ref().unwrap()) {
            for command in commands(next) {
                say(&mut state, command, &mut facts);
            }
        }
    }
    let took = begun.elapsed();
    let begun = Instant::now();
    let mut again = State::default();
    for fact in &facts {
        apply(&mut again, fact, now()).unwrap();
    }
    let folded = begun.elapsed();
    assert_eq!(again, state);
    let rate = |took: std::time::Duration| facts.len() as u128 * 1000 / took.as_millis().max(1);
    println!(
        "{name:<14} {:>8} events {:>10} events/s decided and applied {:>10} events/s folded, \
         definition {written} bytes",
        facts.len(),
        rate(took),
        rate(folded),
    );
}

fn main() {
    let steps = std::env::args().find_map(|word| word.parse().ok()).unwrap_or(10_000);
    measure("in a row", in_a_row(steps));
    measure("side by side", side_by_side(steps));
}
