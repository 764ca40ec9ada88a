//! A plan as a process of the core.

use carnet_ledger::EventTime;
use carnet_model::capability::{self, UndoReach, descriptor};
use carnet_model::plan::{self, Plan, PlannedStep, PlannedUndo, Work};

use crate::error::StepError;
use carnet_process::{
    After, Begins, Closed, Due, Node, NodeKind, OnFailure, Part, Phase, Process, Repeat, Undo,
};

/// The process that a plan is compiled to.
pub(super) fn process_of(plan: &Plan) -> Result<Process, StepError> {
    let phases = plan.phases().iter().map(|phase| {
        Ok(Phase {
            name: phase.name.clone(),
            part: match phase.part {
                plan::Part::Forward => Part::Forward,
                plan::Part::Rollback => Part::Rollback,
            },
            on_failure: match phase.on_failure {
                plan::OnFailure::Undo => OnFailure::Undo,
                plan::OnFailure::Wait => OnFailure::Wait,
            },
            begins: match phase.begins {
                plan::Begins::InTurn => Begins::InTurn,
                plan::Begins::OnWord => Begins::OnWord,
                plan::Begins::NotYet => Begins::NotYet,
            },
            nodes: phase.nodes.iter().map(node).collect::<Result<_, _>>()?,
        })
    });
    let name = match &plan.document().work {
        Work::Knowledge(_) => "knowledge/v1",
        Work::Crossing(_) => "portability/v1",
        Work::Phases(phases) if phases.programme.is_some() => "programme/v1",
        Work::Phases(_) => "phases/v1",
    };
    Ok(Process { name: name.to_owned(), phases: phases.collect::<Result<_, StepError>>()? })
}

fn node(node: &plan::Node) -> Result<Node, StepError> {
    let after = node.after.iter();
    let after = after.map(|after| After { node: after.node, branch: after.branch.clone() });
    let kind = match &node.kind {
        plan::NodeKind::Step(step) => NodeKind::Step { repeat: repeat(step), undo: undo(step) },
        plan::NodeKind::Gate(gate) => NodeKind::Gate {
            closed: match gate.closed {
                plan::Closed::Refuse => Closed::Refuse,
                plan::Closed::Wait => Closed::Wait,
            },
        },
        plan::NodeKind::Choice { branches, otherwise } => NodeKind::Choice {
            branches: branches.iter().map(|branch| branch.name.clone()).collect(),
            otherwise: otherwise.clone(),
        },
        plan::NodeKind::Timer(plan::Timer::For { seconds }) => {
            NodeKind::Timer(Due::After { seconds: *seconds })
        }
        plan::NodeKind::Timer(plan::Timer::Until { unix_seconds }) => {
            let time = EventTime::from_unix_millis(unix_seconds.saturating_mul(1000));
            let time = time.map_err(|_| {
                let what = format!("{} waits for a year that no event can name", node.name);
                StepError::new(carnet_model::Code::PLAN_VALUE, what)
            })?;
            NodeKind::Timer(Due::At { time })
        }
        plan::NodeKind::Message => NodeKind::Message,
        plan::NodeKind::Commit => NodeKind::Commit,
    };
    Ok(Node { name: node.name.clone(), after: after.collect(), kind })
}

/// What is done after a crash. A capability that nobody knows is for a person: the plan reader
/// refuses it before.
fn repeat(step: &PlannedStep) -> Repeat {
    let found = descriptor(&step.capability).map(|found| capability::repeat(found, &step.with));
    match found {
        Some(capability::Repeat::Again) => Repeat::Again,
        Some(capability::Repeat::Probe) => Repeat::Probe,
        Some(capability::Repeat::Manual) | None => Repeat::Manual,
    }
}

fn undo(step: &PlannedStep) -> Undo {
    let reach = descriptor(&step.capability).map(|found| found.undo_reach);
    let always = reach == Some(UndoReach::Always);
    match &step.undo {
        PlannedUndo::Nothing => Undo::Nothing,
        PlannedUndo::Refused { .. } => Undo::Impossible,
        PlannedUndo::Own | PlannedUndo::By { .. } if always => Undo::Always,
        PlannedUndo::Own | PlannedUndo::By { .. } => Undo::BeforeCommit,
    }
}
