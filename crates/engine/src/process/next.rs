//! What is to be done next. It follows from the state alone, before a crash and after it.

use super::definition::Node;
use super::state::{
    Direction, Ending, GateStatus, NodeState, PhaseStatus, RunState, Status, StepStatus,
};

/// The next thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Enter the phase.
    Enter(String),
    /// Observe and judge the gate.
    Judge(String),
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

/// What is to be done next.
pub fn next(run: &RunState) -> Next {
    match run.status {
        Status::Ended(_) => Next::Nothing,
        Status::Waiting(_) => Next::Wait,
        Status::Running(Direction::Forward) => forward(run),
        Status::Running(Direction::Undo(ending)) => back(run, ending),
        Status::Running(Direction::Rollback) => back(run, Ending::RolledBack),
    }
}

fn back(run: &RunState, ending: Ending) -> Next {
    run.next_undo().map_or(Next::End(ending), |step| Next::Undo(step.to_owned()))
}

fn forward(run: &RunState) -> Next {
    let open = run.phases.iter().position(|phase| phase.status != PhaseStatus::Done);
    let Some(open) = open else { return Next::End(Ending::Done) };
    let Some(phase) = run.process.phases.get(open) else { return Next::End(Ending::Done) };
    if run.phases.get(open).is_some_and(|held| held.status == PhaseStatus::NotStarted) {
        return Next::Enter(phase.name.clone());
    }
    let mut nodes = run.process.nodes().zip(&run.nodes).filter(|((owner, _), _)| *owner == open);
    nodes
        .find_map(|((_, node), state)| work(node, state))
        .unwrap_or_else(|| Next::Leave(phase.name.clone()))
}

/// What a node still needs; `None` if it is done.
fn work(node: &Node, state: &NodeState) -> Option<Next> {
    let name = node.name().to_owned();
    match state {
        NodeState::Gate(gate) => match gate.status {
            GateStatus::Open => None,
            GateStatus::NotRun | GateStatus::Closed => Some(Next::Judge(name)),
        },
        NodeState::Step(step) => match step.status {
            StepStatus::Applied | StepStatus::Withheld => None,
            StepStatus::NotStarted | StepStatus::NotApplied => Some(Next::Begin(name)),
            StepStatus::Scheduled | StepStatus::Unknown => Some(Next::Settle(name)),
            // Going forward, nothing has been undone.
            StepStatus::Undoing | StepStatus::Undone | StepStatus::UndoFailed => Some(Next::Wait),
        },
    }
}
