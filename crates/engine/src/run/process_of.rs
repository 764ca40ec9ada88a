//! A plan as a process of the core.

use carnet_model::plan::{PhaseName, Plan, StepName};

use crate::process::{Node, Phase, Process, Repeat, Undo};

/// The name of a node: steps and gates of different phases may share theirs.
pub(crate) fn node_name(phase: PhaseName, name: &str) -> String {
    format!("{phase}/{name}")
}

/// The process that a plan is compiled to.
pub(super) fn process_of(plan: &Plan) -> Process {
    let phases = plan.phases().iter().map(|phase| {
        let steps = phase.steps.iter().map(|step| Node::Step {
            name: node_name(phase.name, step.name.name()),
            repeat: repeat(step.name),
            undo: undo(step.name),
        });
        let gates = phase
            .gates
            .iter()
            .map(|gate| Node::Gate { name: node_name(phase.name, gate.gate().id()) });
        Phase {
            name: phase.name.name().to_owned(),
            commits: phase.name == PhaseName::Cutover,
            nodes: steps.chain(gates).collect(),
        }
    });
    Process { name: "knowledge/v1".to_owned(), phases: phases.collect() }
}

/// Every step but the switch may be run again; the switch first looks where it stands.
fn repeat(step: StepName) -> Repeat {
    match step {
        StepName::Switch => Repeat::Probe,
        StepName::DescribeSource
        | StepName::DescribeTarget
        | StepName::RaiseFlag
        | StepName::PinSource
        | StepName::ExportSnapshot
        | StepName::PlaceSnapshot
        | StepName::RehashSnapshot
        | StepName::LoadRecords
        | StepName::PlaceArtifacts
        | StepName::ReadBack
        | StepName::LowerFlag
        | StepName::ArchiveSnapshot => Repeat::Again,
    }
}

fn undo(step: StepName) -> Undo {
    match step {
        StepName::DescribeSource
        | StepName::DescribeTarget
        | StepName::PinSource
        | StepName::RehashSnapshot
        | StepName::ReadBack => Undo::Nothing,
        // On every way back readers return to the source, and its writers go on.
        StepName::Switch | StepName::RaiseFlag => Undo::Always,
        StepName::ExportSnapshot
        | StepName::PlaceSnapshot
        | StepName::LoadRecords
        | StepName::PlaceArtifacts
        | StepName::LowerFlag
        | StepName::ArchiveSnapshot => Undo::BeforeCommit,
    }
}
