//! What a plan is compiled to: phases of nodes, with nothing left to decide. The engine executes
//! this, whatever the plan's process is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use crate::gate::approval::Assurance;

use super::phases::Freeze;
use crate::gate::Definition;

/// A phase of a plan: nodes that are done before the next phase starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Phase {
    /// Its name, unique in the plan.
    pub name: String,
    /// What it does, for people.
    pub does: String,
    /// Whether it belongs to the way forward or to the prescribed way back.
    pub part: Part,
    /// What a failure in it leads to.
    pub on_failure: OnFailure,
    /// What lets it begin.
    #[serde(skip_serializing_if = "Begins::is_in_turn")]
    pub begins: Begins,
    /// What it consists of. A node comes after all nodes that it waits for.
    pub nodes: Vec<Node>,
}

/// Which procedure a phase belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The plan itself.
    Forward,
    /// The prescribed way back (`rollback.phases`).
    Rollback,
}

/// What a failure leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum OnFailure {
    /// Everything that was done is undone, newest first.
    #[default]
    Undo,
    /// The run stops as it stands, and a person decides.
    Wait,
}

/// What lets a phase begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Begins {
    /// The end of the phase before it.
    #[default]
    InTurn,
    /// The message that is its first node, which comes after the end of the phase before it.
    OnWord,
    /// Nothing: an amendment must write it out first.
    NotYet,
}

impl Begins {
    /// Whether it is what is said without a word.
    pub fn is_in_turn(&self) -> bool {
        *self == Self::InTurn
    }
}

/// One node of a phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Node {
    /// `phase/node`, unique in the plan.
    pub name: String,
    /// What it does, for people.
    pub does: String,
    /// What undoes it, for people; `None` if there is nothing to undo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undo_does: Option<String>,
    /// What it waits for; empty: the start of the phase. It runs once all of these are settled and
    /// at least one leads to it, and is skipped if none does.
    pub after: Vec<After>,
    /// What it is.
    pub kind: NodeKind,
}

/// A node that another one waits for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct After {
    /// Its place in the phase, counted from 0; always an earlier one.
    pub node: usize,
    /// Of a choice: the branch that leads on. `None`: whatever was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// An action.
    Step(PlannedStep),
    /// A check that must pass.
    Gate(PlannedGate),
    /// The first branch whose gate passes is gone, and no other.
    Choice {
        /// The branches, in the order in which they are asked.
        branches: Vec<Branch>,
        /// The branch if none passes.
        otherwise: String,
    },
    /// It waits for a time.
    Timer(Timer),
    /// It waits for `carnet signal PLAN NODE`.
    Message,
    /// The point of no automatic return: nothing before it is undone any more.
    Commit,
}

/// One way on from a choice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Branch {
    /// Its name, unique in the choice.
    pub name: String,
    /// The gate that opens it.
    pub when: Definition,
}

/// What a timer waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Timer {
    /// A length of time, from the moment it is reached.
    For {
        /// How long.
        seconds: u64,
    },
    /// A moment.
    Until {
        /// Seconds since 1970, UTC.
        unix_seconds: i64,
    },
}

/// An action of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedStep {
    /// The capability that does it.
    pub capability: String,
    /// What the capability is given.
    pub with: Value,
    /// What takes it back.
    pub undo: PlannedUndo,
    /// The freeze that it begins or ends.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub freeze: Option<Freeze>,
}

/// What takes a step back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PlannedUndo {
    /// The capability's own undo.
    Own,
    /// Another capability.
    By {
        /// Which.
        capability: String,
        /// What it is given.
        with: Value,
    },
    /// Nothing: the step only reads.
    Nothing,
    /// Nothing can, and somebody approved of that.
    Refused {
        /// Why not.
        reason: String,
        /// The approval without which the step is not done.
        approval: String,
    },
}

/// A check of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedGate {
    /// What is demanded.
    pub definition: Definition,
    /// What happens if it does not pass.
    pub closed: Closed,
}

/// What a closed gate leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Closed {
    /// A failure of the phase.
    Refuse,
    /// The run waits, and asks again when it goes on.
    Wait,
}

/// Who may approve, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApprovalRule {
    /// The principals who may, as the trust file names them.
    pub any_of: Vec<String>,
    /// How many of them must.
    pub count: u32,
    /// Whether who started the run is left out.
    pub not_initiator: bool,
    /// How long an approval holds, in seconds.
    pub expires_s: u64,
    /// What counts as one.
    pub assurance: Assurance,
}

impl Phase {
    /// Its nodes that are steps, in order.
    pub fn steps(&self) -> impl Iterator<Item = (&Node, &PlannedStep)> {
        self.nodes.iter().filter_map(|node| node.step().map(|step| (node, step)))
    }

    /// Its nodes that are gates, in order.
    pub fn gates(&self) -> impl Iterator<Item = (&Node, &PlannedGate)> {
        self.nodes.iter().filter_map(|node| node.gate().map(|gate| (node, gate)))
    }

    /// Whether the point of no automatic return lies in it.
    pub fn commits(&self) -> bool {
        self.nodes.iter().any(|node| matches!(node.kind, NodeKind::Commit))
    }
}

impl Node {
    /// Its name without that of the phase.
    pub fn short_name(&self) -> &str {
        self.name.split_once('/').map_or(self.name.as_str(), |(_, name)| name)
    }

    /// The step, if it is one.
    pub fn step(&self) -> Option<&PlannedStep> {
        match &self.kind {
            NodeKind::Step(step) => Some(step),
            NodeKind::Gate(_)
            | NodeKind::Choice { .. }
            | NodeKind::Timer(_)
            | NodeKind::Message
            | NodeKind::Commit => None,
        }
    }

    /// The gate, if it is one.
    pub fn gate(&self) -> Option<&PlannedGate> {
        match &self.kind {
            NodeKind::Gate(gate) => Some(gate),
            NodeKind::Step(_)
            | NodeKind::Choice { .. }
            | NodeKind::Timer(_)
            | NodeKind::Message
            | NodeKind::Commit => None,
        }
    }
}

impl PlannedStep {
    /// Whether it changes anything outside the run's own state: what only reads has nothing to
    /// undo.
    pub fn mutates(&self) -> bool {
        self.undo != PlannedUndo::Nothing
    }
}
