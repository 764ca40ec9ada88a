//! The one function that changes the state of a run, for live events and after a crash alike.

use std::collections::BTreeMap;

use carnet_ledger::{EventTime, Object};

use super::definition::{Node, Undo};
use super::fact::{Fact, StepResult};
use super::state::{
    Direction, Ending, GateState, GateStatus, NodeState, PartState, PartStatus, PhaseState,
    PhaseStatus, RunState, State, Status, StepState, StepStatus,
};

/// A fact that cannot follow on the state: a defect, or a log that somebody else wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Illegal {
    /// There is no run that the fact could belong to.
    #[error("{fact} without a run")]
    NoRun {
        /// The fact.
        fact: &'static str,
    },
    /// The run has no such phase, gate or step.
    #[error("{fact} of {name:?}, which the run does not have")]
    Unknown {
        /// The fact.
        fact: &'static str,
        /// What it names.
        name: String,
    },
    /// The fact does not fit what came before.
    #[error("{fact} of {subject:?} does not follow on {state}")]
    NotNow {
        /// The fact.
        fact: &'static str,
        /// What it is about.
        subject: String,
        /// What came before.
        state: String,
    },
}

/// Applies one fact. After an error the state is as it was.
pub fn apply(state: &mut State, fact: &Fact, at: EventTime) -> Result<(), Illegal> {
    if let Fact::Started { run, plan, dry_run, process } = fact {
        if let Some(held) = &state.run {
            match held.status {
                Status::Ended(_) => {}
                Status::Running(_) | Status::Waiting(_) => {
                    return Err(not_now(fact, run, &held.status));
                }
            }
        }
        state.runs += 1;
        state.run = Some(begin(run, *plan, *dry_run, process, at));
        return Ok(());
    }
    let run = state.run.as_mut().ok_or(Illegal::NoRun { fact: fact.name() })?;
    match fact {
        Fact::Started { .. } => Ok(()),
        Fact::Resumed => resume(run, fact),
        Fact::Entered { phase } => enter(run, fact, phase, at),
        Fact::Left { phase } => leave(run, fact, phase, at),
        Fact::Judged { gate, verdict } => {
            active(run, fact, gate)?;
            let held = gate_mut(run, fact, gate)?;
            let status = if verdict.opens { GateStatus::Open } else { GateStatus::Closed };
            *held = GateState { status, last: Some(verdict.clone()) };
            Ok(())
        }
        Fact::Intent { step, inputs, .. } => intent(run, fact, step, inputs),
        Fact::Part { step, part, status, facts } => {
            record_part(run, fact, step, part, *status, facts)
        }
        Fact::Outcome { step, result, facts, .. } => outcome(run, fact, step, *result, facts),
        Fact::Stopped { ending, stop } => {
            forward(run, fact, &stop.subject)?;
            run.status = Status::Running(Direction::Undo(*ending));
            run.stop = Some(stop.clone());
            Ok(())
        }
        Fact::Incident { stop } => match run.status {
            Status::Running(direction) => {
                run.status = Status::Waiting(direction);
                run.waits_for = Some(stop.clone());
                Ok(())
            }
            Status::Waiting(_) | Status::Ended(_) => Err(not_now(fact, &stop.subject, &run.status)),
        },
        Fact::UndoIntent { step } => undo_intent(run, fact, step),
        Fact::UndoOutcome { step, done, left_behind, .. } => {
            undo_outcome(run, fact, step, *done, left_behind)
        }
        Fact::RollbackStarted => rollback(run, fact),
        Fact::Ended { ending } => end(run, fact, *ending, at),
    }
}

fn begin(
    id: &str,
    plan: carnet_ledger::Digest,
    dry_run: bool,
    process: &super::definition::Process,
    at: EventTime,
) -> RunState {
    let phase = PhaseState { status: PhaseStatus::NotStarted, entered: None, left: None };
    let nodes = process.nodes().map(|(_, node)| match node {
        Node::Gate { .. } => NodeState::Gate(GateState { status: GateStatus::NotRun, last: None }),
        Node::Step { .. } => NodeState::Step(StepState {
            status: StepStatus::NotStarted,
            inputs: Object::new(),
            facts: Object::new(),
            parts: BTreeMap::new(),
        }),
    });
    RunState {
        id: id.to_owned(),
        plan,
        dry_run,
        phases: vec![phase; process.phases.len()],
        nodes: nodes.collect(),
        process: process.clone(),
        status: Status::Running(Direction::Forward),
        undo: Vec::new(),
        committed: false,
        stop: None,
        waits_for: None,
        left_behind: Vec::new(),
        resumes: 0,
        started: at,
        ended: None,
    }
}

/// A verdict from before the crash says nothing about the world of now: what only looks is done
/// again in the phase that is active, and, where the point of no return is next, in the phase that
/// led to it.
fn resume(run: &mut RunState, fact: &Fact) -> Result<(), Illegal> {
    match run.status {
        Status::Running(direction) | Status::Waiting(direction) => {
            run.status = Status::Running(direction);
        }
        Status::Ended(_) => return Err(not_now(fact, &run.id, &run.status)),
    }
    run.waits_for = None;
    run.resumes += 1;
    if run.status != Status::Running(Direction::Forward) {
        return Ok(());
    }
    let open = run.phases.iter().position(|phase| phase.status != PhaseStatus::Done);
    let Some(open) = open else { return Ok(()) };
    look_again(run, open);
    let before = open.checked_sub(1).filter(|_| commits_next(run, open));
    if let Some(before) = before {
        look_again(run, before);
        if let Some(phase) = run.phases.get_mut(before) {
            phase.status = PhaseStatus::Active;
            phase.left = None;
        }
        if let Some(phase) = run.phases.get_mut(open) {
            phase.status = PhaseStatus::NotStarted;
        }
    }
    Ok(())
}

/// Whether the phase holds the point of no return and none of its steps has begun.
fn commits_next(run: &RunState, phase: usize) -> bool {
    let commits = run.process.phases.get(phase).is_some_and(|phase| phase.commits);
    let mut nodes = run.process.nodes().zip(&run.nodes).filter(|((owner, _), _)| *owner == phase);
    commits
        && nodes.all(|(_, node)| match node {
            NodeState::Gate(_) => true,
            NodeState::Step(step) => {
                matches!(step.status, StepStatus::NotStarted | StepStatus::NotApplied)
            }
        })
}

fn look_again(run: &mut RunState, phase: usize) {
    let owned: Vec<bool> = run.process.nodes().map(|(owner, _)| owner == phase).collect();
    let reads: Vec<bool> =
        (0..owned.len()).map(|index| run.undo_of(index) == Undo::Nothing).collect();
    for ((node, owned), reads) in run.nodes.iter_mut().zip(owned).zip(reads) {
        match node {
            NodeState::Gate(gate) if owned => gate.status = GateStatus::NotRun,
            NodeState::Step(step) if owned && reads && step.status == StepStatus::Applied => {
                step.status = StepStatus::NotStarted;
            }
            NodeState::Gate(_) | NodeState::Step(_) => {}
        }
    }
}

fn enter(run: &mut RunState, fact: &Fact, phase: &str, at: EventTime) -> Result<(), Illegal> {
    forward(run, fact, phase)?;
    let index = phase_index(run, fact, phase)?;
    let before = run.phases.iter().take(index).all(|phase| phase.status == PhaseStatus::Done);
    let held = run.phases.get_mut(index).filter(|held| held.status == PhaseStatus::NotStarted);
    match held {
        Some(held) if before => {
            *held = PhaseState { status: PhaseStatus::Active, entered: Some(at), left: None };
            Ok(())
        }
        Some(_) | None => Err(not_now(fact, phase, &run.status)),
    }
}

fn leave(run: &mut RunState, fact: &Fact, phase: &str, at: EventTime) -> Result<(), Illegal> {
    forward(run, fact, phase)?;
    let index = phase_index(run, fact, phase)?;
    let all = run.process.nodes().zip(&run.nodes);
    let finished = all.filter(|((owner, _), _)| *owner == index).all(|(_, node)| finished(node));
    let commits = run.process.phases.get(index).is_some_and(|phase| phase.commits);
    let held = run.phases.get_mut(index).filter(|held| held.status == PhaseStatus::Active);
    match held {
        Some(held) if finished => {
            held.status = PhaseStatus::Done;
            held.left = Some(at);
            run.committed |= commits;
            Ok(())
        }
        Some(_) | None => Err(not_now(fact, phase, &run.status)),
    }
}

fn intent(run: &mut RunState, fact: &Fact, step: &str, inputs: &Object) -> Result<(), Illegal> {
    active(run, fact, step)?;
    let (index, held) = step_mut(run, fact, step)?;
    match held.status {
        StepStatus::NotStarted | StepStatus::NotApplied => {
            held.status = StepStatus::Scheduled;
            held.inputs = inputs.clone();
        }
        StepStatus::Scheduled
        | StepStatus::Applied
        | StepStatus::Unknown
        | StepStatus::Withheld
        | StepStatus::Undoing
        | StepStatus::Undone
        | StepStatus::UndoFailed => return Err(not_now(fact, step, &held.status)),
    }
    // The list is in the order of beginning, which is that of completion: steps run one at a time.
    if run.undo_of(index) != Undo::Nothing && !run.undo.contains(&index) {
        run.undo.push(index);
    }
    Ok(())
}

/// Whether a part of this step's work may be recorded now.
pub(crate) fn check_part(run: &RunState, step: &str) -> Result<(), Illegal> {
    let fact = "part";
    let held = run.step(step).ok_or_else(|| Illegal::Unknown { fact, name: step.to_owned() })?;
    let going = run.status == Status::Running(Direction::Forward);
    if going && held.status == StepStatus::Scheduled {
        return Ok(());
    }
    let state = format!("{:?}", held.status).to_lowercase();
    Err(Illegal::NotNow { fact, subject: step.to_owned(), state })
}

fn record_part(
    run: &mut RunState,
    fact: &Fact,
    step: &str,
    part: &str,
    status: PartStatus,
    facts: &Object,
) -> Result<(), Illegal> {
    check_part(run, step)?;
    let (_, held) = step_mut(run, fact, step)?;
    let entry = held.parts.entry(part.to_owned());
    let entry = entry.or_insert_with(|| PartState { status, facts: Object::new() });
    entry.status = status;
    entry.facts.extend(facts.clone());
    Ok(())
}

fn outcome(
    run: &mut RunState,
    fact: &Fact,
    step: &str,
    result: StepResult,
    facts: &Object,
) -> Result<(), Illegal> {
    forward(run, fact, step)?;
    let dry_run = run.dry_run;
    let (index, held) = step_mut(run, fact, step)?;
    let status = match (held.status, result) {
        (StepStatus::Scheduled | StepStatus::Unknown, StepResult::Applied) => StepStatus::Applied,
        (StepStatus::Scheduled | StepStatus::Unknown, StepResult::NotApplied) => {
            StepStatus::NotApplied
        }
        (StepStatus::Scheduled | StepStatus::Unknown, StepResult::Unknown) => StepStatus::Unknown,
        (StepStatus::NotStarted, StepResult::Withheld) if dry_run => StepStatus::Withheld,
        (
            StepStatus::NotStarted
            | StepStatus::Scheduled
            | StepStatus::Applied
            | StepStatus::NotApplied
            | StepStatus::Unknown
            | StepStatus::Withheld
            | StepStatus::Undoing
            | StepStatus::Undone
            | StepStatus::UndoFailed,
            StepResult::Applied
            | StepResult::NotApplied
            | StepResult::Unknown
            | StepResult::Withheld,
        ) => return Err(not_now(fact, step, &held.status)),
    };
    held.status = status;
    held.facts = facts.clone();
    let owner = run.process.nodes().nth(index).map(|(phase, _)| phase);
    let commits = owner.and_then(|phase| run.process.phases.get(phase)).is_some_and(|p| p.commits);
    run.committed |= commits && result == StepResult::Applied;
    Ok(())
}

fn undo_intent(run: &mut RunState, fact: &Fact, step: &str) -> Result<(), Illegal> {
    backward(run, fact, step)?;
    let newest = run.undo.last().copied();
    let (index, held) = step_mut(run, fact, step)?;
    match held.status {
        StepStatus::Applied | StepStatus::NotApplied | StepStatus::UndoFailed
            if newest == Some(index) =>
        {
            held.status = StepStatus::Undoing;
            Ok(())
        }
        StepStatus::NotStarted
        | StepStatus::Scheduled
        | StepStatus::Applied
        | StepStatus::NotApplied
        | StepStatus::Unknown
        | StepStatus::Withheld
        | StepStatus::Undoing
        | StepStatus::Undone
        | StepStatus::UndoFailed => Err(not_now(fact, step, &held.status)),
    }
}

fn undo_outcome(
    run: &mut RunState,
    fact: &Fact,
    step: &str,
    done: bool,
    left_behind: &[String],
) -> Result<(), Illegal> {
    backward(run, fact, step)?;
    let (_, held) = step_mut(run, fact, step)?;
    if held.status != StepStatus::Undoing {
        return Err(not_now(fact, step, &held.status));
    }
    held.status = if done { StepStatus::Undone } else { StepStatus::UndoFailed };
    if done {
        run.undo.pop();
        run.left_behind.extend(left_behind.iter().cloned());
    }
    Ok(())
}

/// Behind the point of no return only what is always undone is taken back: the target stays as it
/// is, since it may hold what was written to it since.
///
/// Allowed when the run has ended well, and while it goes forward. A step of which nobody knows
/// whether it happened must be looked at first.
fn rollback(run: &mut RunState, fact: &Fact) -> Result<(), Illegal> {
    let open = run.nodes.iter().any(|node| match node {
        NodeState::Step(step) => {
            matches!(step.status, StepStatus::Scheduled | StepStatus::Unknown)
        }
        NodeState::Gate(_) => false,
    });
    match run.status {
        Status::Ended(Ending::Done)
        | Status::Running(Direction::Forward)
        | Status::Waiting(Direction::Forward)
            if !open && !run.dry_run =>
        {
            if run.committed {
                let undo = std::mem::take(&mut run.undo);
                let always = |index: &usize| run.undo_of(*index) == Undo::Always;
                run.undo = undo.into_iter().filter(always).collect();
            }
            run.status = Status::Running(Direction::Rollback);
            run.waits_for = None;
            run.ended = None;
            Ok(())
        }
        Status::Ended(_) | Status::Running(_) | Status::Waiting(_) => {
            Err(not_now(fact, &run.id, &run.status))
        }
    }
}

fn end(run: &mut RunState, fact: &Fact, ending: Ending, at: EventTime) -> Result<(), Illegal> {
    let all_done = run.phases.iter().all(|phase| phase.status == PhaseStatus::Done);
    let legal = match (run.status, ending) {
        (Status::Running(Direction::Forward), Ending::Done) => all_done,
        (Status::Running(Direction::Undo(planned)), ending) => {
            planned == ending && run.undo.is_empty()
        }
        (Status::Running(Direction::Rollback), Ending::RolledBack) => run.undo.is_empty(),
        (
            Status::Running(Direction::Forward | Direction::Rollback)
            | Status::Waiting(_)
            | Status::Ended(_),
            Ending::Done | Ending::Refused | Ending::Failed | Ending::RolledBack,
        ) => false,
    };
    if !legal {
        return Err(not_now(fact, ending.name(), &run.status));
    }
    run.status = Status::Ended(ending);
    run.ended = Some(at);
    Ok(())
}

fn forward(run: &RunState, fact: &Fact, subject: &str) -> Result<(), Illegal> {
    match run.status {
        Status::Running(Direction::Forward) => Ok(()),
        Status::Running(Direction::Undo(_) | Direction::Rollback)
        | Status::Waiting(_)
        | Status::Ended(_) => Err(not_now(fact, subject, &run.status)),
    }
}

/// Gates are judged and steps begun only in the active phase, and only when all before them is
/// done.
fn active(run: &RunState, fact: &Fact, name: &str) -> Result<(), Illegal> {
    forward(run, fact, name)?;
    let (index, _) = run.node(name).ok_or_else(|| unknown(fact, name))?;
    let owner = run.process.nodes().nth(index).and_then(|(phase, _)| run.phases.get(phase));
    let owner = owner.ok_or_else(|| unknown(fact, name))?;
    let ready = run.nodes.iter().take(index).all(finished);
    match owner.status {
        PhaseStatus::Active if ready => Ok(()),
        PhaseStatus::Active | PhaseStatus::NotStarted | PhaseStatus::Done => {
            Err(not_now(fact, name, &owner.status))
        }
    }
}

fn finished(node: &NodeState) -> bool {
    match node {
        NodeState::Gate(gate) => gate.status == GateStatus::Open,
        NodeState::Step(step) => matches!(step.status, StepStatus::Applied | StepStatus::Withheld),
    }
}

fn backward(run: &RunState, fact: &Fact, subject: &str) -> Result<(), Illegal> {
    match run.status {
        Status::Running(Direction::Undo(_) | Direction::Rollback) => Ok(()),
        Status::Running(Direction::Forward) | Status::Waiting(_) | Status::Ended(_) => {
            Err(not_now(fact, subject, &run.status))
        }
    }
}

fn phase_index(run: &RunState, fact: &Fact, name: &str) -> Result<usize, Illegal> {
    let index = run.process.phases.iter().position(|phase| phase.name == name);
    index.ok_or_else(|| unknown(fact, name))
}

fn step_mut<'r>(
    run: &'r mut RunState,
    fact: &Fact,
    name: &str,
) -> Result<(usize, &'r mut StepState), Illegal> {
    let index = run.node(name).map(|(index, _)| index).ok_or_else(|| unknown(fact, name))?;
    match run.nodes.get_mut(index) {
        Some(NodeState::Step(step)) => Ok((index, step)),
        Some(NodeState::Gate(_)) | None => Err(unknown(fact, name)),
    }
}

fn gate_mut<'r>(
    run: &'r mut RunState,
    fact: &Fact,
    name: &str,
) -> Result<&'r mut GateState, Illegal> {
    let index = run.node(name).map(|(index, _)| index).ok_or_else(|| unknown(fact, name))?;
    match run.nodes.get_mut(index) {
        Some(NodeState::Gate(gate)) => Ok(gate),
        Some(NodeState::Step(_)) | None => Err(unknown(fact, name)),
    }
}

fn unknown(fact: &Fact, name: &str) -> Illegal {
    Illegal::Unknown { fact: fact.name(), name: name.to_owned() }
}

fn not_now(fact: &Fact, subject: &str, state: &impl std::fmt::Debug) -> Illegal {
    Illegal::NotNow {
        fact: fact.name(),
        subject: subject.to_owned(),
        state: format!("{state:?}").to_lowercase(),
    }
}
