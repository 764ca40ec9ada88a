//! What is to be done next. It follows from the state alone, before a crash and after it.

use carnet_ledger::EventTime;

use super::definition::{Begins, NodeKind, Part, Phase, Place};
use super::standing::{Standing, standings};
use super::state::{
    Direction, Ending, GateStatus, NodeState, PhaseState, PhaseStatus, RunState, Status,
    StepStatus, TimerState,
};

/// The next thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Enter the phase.
    Enter(String),
    /// Observe and judge the gate.
    Judge(String),
    /// Take a branch.
    Choose(String),
    /// Set the timer.
    Set(String),
    /// The timer runs: wait until it is due.
    Await {
        /// The timer.
        timer: String,
        /// When it is due.
        due: EventTime,
    },
    /// Nothing but word from outside is missing.
    Hear(String),
    /// Pass the point of no automatic return.
    Commit(String),
    /// Record the intent of the step.
    Begin(String),
    /// The step has an intent and no known outcome: do it, or look whether it happened.
    Settle(String),
    /// Leave the phase.
    Leave(String),
    /// Undo the step.
    Undo(String),
    /// End the run.
    End(Ending),
    /// Nothing: a person must act.
    Wait,
    /// Nothing: the run has ended.
    Nothing,
}

/// All that can be done now, in the order in which one who does one thing at a time would do it.
/// Only work on nodes of parallel branches is more than one.
pub fn ready(run: &RunState) -> Vec<Next> {
    match run.status {
        Status::Ended(_) => vec![Next::Nothing],
        Status::Waiting(_) => vec![Next::Wait],
        Status::Running(Direction::Forward) => through(run, Part::Forward, Ending::Done),
        Status::Running(Direction::Undo(ending)) => back(run, ending),
        Status::Running(Direction::Rollback) => back(run, Ending::RolledBack),
    }
}

/// What is to be done next, one thing at a time.
pub fn next(run: &RunState) -> Next {
    ready(run).into_iter().next().unwrap_or(Next::Wait)
}

/// Undo comes first, newest first; then the procedure, where there is one.
fn back(run: &RunState, ending: Ending) -> Vec<Next> {
    let Some(place) = run.undo.last() else { return through(run, Part::Rollback, ending) };
    let Some(node) = run.process.at(*place) else { return vec![Next::Wait] };
    let name = node.name.clone();
    let unknown = run.at(*place).and_then(NodeState::step).map(|step| step.status);
    // Nobody knows whether there is anything to undo: that is found out first.
    vec![if unknown == Some(StepStatus::Unknown) { Next::Settle(name) } else { Next::Undo(name) }]
}

fn through(run: &RunState, part: Part, ending: Ending) -> Vec<Next> {
    // A procedure takes back what undo does not cover: where there is nothing of it, it has no work.
    if part == Part::Rollback && !run.procedure_is_due() {
        return vec![Next::End(ending)];
    }
    let Some(open) = run.open_phase(part) else { return vec![Next::End(ending)] };
    let (Some(phase), Some(state)) = (run.process.phases.get(open), run.phases.get(open)) else {
        return vec![Next::Wait];
    };
    if run.blocks.contains_key(&phase.name) {
        return vec![Next::Wait];
    }
    if state.status == PhaseStatus::NotStarted {
        return vec![begin(phase, state)];
    }
    let all = standings(phase, state);
    let ready = all.iter().enumerate().filter(|(_, standing)| **standing == Standing::Ready);
    let mut work: Vec<Next> =
        ready.filter_map(|(node, _)| work(run, Place { phase: open, node })).collect();
    if work.is_empty() {
        work.push(Next::Leave(phase.name.clone()));
    }
    // What waits comes last: the rest goes on meanwhile.
    work.sort_by_key(|next| matches!(next, Next::Await { .. } | Next::Hear(_)));
    work
}

/// How a phase begins that has not begun.
fn begin(phase: &Phase, state: &PhaseState) -> Next {
    let enter = Next::Enter(phase.name.clone());
    match (phase.begins, phase.nodes.first()) {
        (Begins::InTurn, _) => enter,
        (Begins::OnWord, _) if state.has_word() => enter,
        (Begins::OnWord | Begins::NotYet, Some(node)) => Next::Hear(node.name.clone()),
        (Begins::OnWord | Begins::NotYet, None) => Next::Wait,
    }
}

/// What a node that can be worked on still needs.
fn work(run: &RunState, place: Place) -> Option<Next> {
    let node = run.process.at(place)?;
    let name = node.name.clone();
    Some(match run.at(place)? {
        NodeState::Gate(gate) => match gate.status {
            GateStatus::Open => return None,
            GateStatus::NotRun | GateStatus::Closed => Next::Judge(name),
        },
        NodeState::Step(step) => match step.status {
            StepStatus::Applied | StepStatus::Withheld => return None,
            StepStatus::NotStarted | StepStatus::NotApplied => Next::Begin(name),
            StepStatus::Scheduled | StepStatus::Unknown => Next::Settle(name),
            // On the way forward nothing has been undone.
            StepStatus::Undoing
            | StepStatus::Undone
            | StepStatus::UndoFailed
            | StepStatus::LeftStanding => Next::Wait,
        },
        NodeState::Choice(_) => Next::Choose(name),
        NodeState::Timer(timer) => match (timer, &node.kind) {
            (TimerState::Set { due }, _) => Next::Await { timer: name, due: *due },
            (TimerState::NotSet | TimerState::Over, NodeKind::Timer(_)) => Next::Set(name),
            (
                TimerState::NotSet | TimerState::Over,
                NodeKind::Gate { .. }
                | NodeKind::Step { .. }
                | NodeKind::Choice { .. }
                | NodeKind::Message
                | NodeKind::Commit,
            ) => return None,
        },
        NodeState::Message(_) => Next::Hear(name),
        NodeState::Commit(_) => Next::Commit(name),
    })
}
