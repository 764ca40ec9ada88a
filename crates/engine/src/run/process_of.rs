//! A plan as a process of the core.

use carnet_model::plan::{self, Plan, StepName};

use crate::process::{Node, Phase, Process, Repeat, Undo};

/// The process that a plan is compiled to.
pub(super) fn process_of(plan: &Plan) -> Process {
    let phases = plan.phases().iter().map(|phase| Phase {
        name: phase.name.clone(),
        commits: phase.commits(),
        nodes: phase.nodes.iter().filter_map(node).collect(),
    });
    Process { name: "knowledge/v1".to_owned(), phases: phases.collect() }
}

/// The node of the core; `None` for what the core knows of a phase otherwise.
fn node(node: &plan::Node) -> Option<Node> {
    let name = node.name.clone();
    if node.gate().is_some() {
        return Some(Node::Gate { name });
    }
    let step = StepName::of_capability(&node.step()?.capability)?;
    Some(Node::Step { name, repeat: repeat(step), undo: undo(step) })
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
