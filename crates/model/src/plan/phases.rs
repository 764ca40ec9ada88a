//! What a plan says that writes its phases out itself, after defaults.

use serde::Serialize;
use serde_json::Value;

use super::compiled::{OnFailure, Part};
use super::document::Document;
use super::programme::{EvidenceFile, GateLevel, PhaseId, Posture, Programme};
use super::written::{Duration, Label, Moment, NodeName};
use crate::gate::Definition;

/// The most nodes that a plan may have.
pub const NODES_MAX: usize = 20_000;

/// The phases of a plan, and its prescribed way back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Phases {
    /// What holds for all phases of a programme; `None` if it is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub programme: Option<Box<Programme>>,
    /// What is done, in order.
    pub phases: Vec<WrittenPhase>,
    /// The prescribed way back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback: Option<WayBack>,
}

/// A prescribed way back: phases in an order of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WayBack {
    /// What is done, in order.
    pub phases: Vec<WrittenPhase>,
}

/// A phase as the plan has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WrittenPhase {
    /// Its name.
    pub name: NodeName,
    /// What it does, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub does: Option<Label>,
    /// What a failure in it leads to; by default it depends on where the point of no return is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<OnFailure>,
    /// Its canonical ids, in a programme.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub phase_id: Vec<PhaseId>,
    /// What its failure means, in a programme.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub posture: Option<Posture>,
    /// The files that must exist before it is done, in a programme.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<EvidenceFile>,
    /// What is known of it, where it is not elaborated yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate_level: Option<GateLevel>,
    /// Gates before the steps.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entry: Vec<WrittenNode>,
    /// What is done.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<WrittenNode>,
    /// Gates behind the steps: the definition of done.
    pub exit: Vec<WrittenNode>,
}

/// A node as the plan has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WrittenNode {
    /// Its name, unique in the phase.
    pub name: NodeName,
    /// What it does, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub does: Option<Label>,
    /// The nodes that it waits for, `NODE` or `CHOICE:BRANCH`; the one before it if nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Vec<String>>,
    /// What it is.
    pub kind: WrittenKind,
}

/// What a node is, as the plan has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WrittenKind {
    /// An action.
    Step(WrittenStep),
    /// A check.
    Gate(Definition),
    /// One way out of several.
    Choice {
        /// The ways, in the order in which they are asked.
        branches: Vec<WrittenBranch>,
        /// The way if none is open.
        otherwise: NodeName,
    },
    /// A length of time.
    Wait(Duration),
    /// A moment.
    WaitUntil(Moment),
    /// A word from outside.
    Message(Label),
    /// An approval by this name.
    Approval(NodeName),
    /// The point of no automatic return.
    Commit,
}

/// An action as the plan has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WrittenStep {
    /// The capability that does it.
    pub capability: String,
    /// What it is given.
    pub with: Value,
    /// What takes it back, where the plan says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undo: Option<WrittenUndo>,
    /// The freeze that it begins or ends.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub freeze: Option<Freeze>,
}

/// What holds writers, or anything else, still for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Freeze {
    /// From this step on.
    Freeze(NodeName),
    /// Up to this step.
    Unfreeze(NodeName),
}

/// What takes a step back, as the plan has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum WrittenUndo {
    /// A capability.
    By {
        /// Which.
        capability: String,
        /// What it is given.
        with: Value,
    },
    /// Nothing can.
    Refused {
        /// Why not.
        refused: Label,
        /// The approval without which the step is not done.
        approval: NodeName,
    },
}

/// One way on from a choice, as the plan has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WrittenBranch {
    /// Its name.
    pub name: NodeName,
    /// The gate that opens it.
    pub when: Definition,
}

impl Phases {
    /// All phases with the part that they belong to, the way back last.
    pub fn all(&self) -> impl Iterator<Item = (Part, &WrittenPhase)> {
        let back = self.rollback.iter().flat_map(|back| &back.phases);
        let forward = self.phases.iter().map(|phase| (Part::Forward, phase));
        forward.chain(back.map(|phase| (Part::Rollback, phase)))
    }
}

impl WrittenPhase {
    /// Its nodes in order, each with the section and the place in it where it stands.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (&'static str, usize, &WrittenNode)> {
        let sections = [("entry", &self.entry), ("steps", &self.steps), ("exit", &self.exit)];
        sections.into_iter().flat_map(|(section, nodes)| {
            nodes.iter().enumerate().map(move |(place, node)| (section, place, node))
        })
    }
}

/// The phases of a plan, each with the keys that lead to it; none of a plan with another process.
pub(super) fn placed(document: &Document) -> Vec<(Vec<String>, &WrittenPhase)> {
    let Some(phases) = document.phases() else { return Vec::new() };
    let keys = |list: &[&str], number: usize| {
        let mut keys: Vec<String> = list.iter().map(|key| (*key).to_owned()).collect();
        keys.push(number.to_string());
        keys
    };
    let forward = phases.phases.iter().enumerate();
    let forward = forward.map(|(number, phase)| (keys(&["phases"], number), phase));
    let back = phases.rollback.iter().flat_map(|back| back.phases.iter().enumerate());
    let back = back.map(|(number, phase)| (keys(&["rollback", "phases"], number), phase));
    forward.chain(back).collect()
}
