//! How the phases of a plan are written, for the JSON Schema alone: what a node is stands in which
//! key it has.

#![expect(dead_code, reason = "only their schemas are used")]

use schemars::JsonSchema;
use serde_json::{Map, Value};

use super::compiled::OnFailure;
use super::programme::{EvidenceFile, PhaseId, Posture};
use super::written::{Duration, Label, Moment, NodeName};

/// What a plan says that writes its phases out itself.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct PlanShape {
    /// What holds for all phases of a programme, whose phases are begun and confirmed by an act of
    /// their own. `carnet schema programme` prints its keys.
    programme: Option<Map<String, Value>>,
    /// What is done, in order.
    #[schemars(length(min = 1))]
    phases: Vec<AnyPhaseShape>,
    /// A prescribed way back, with an order of its own.
    rollback: Option<RollbackShape>,
}

/// A prescribed way back.
#[derive(JsonSchema)]
#[schemars(rename = "Rollback", deny_unknown_fields)]
struct RollbackShape {
    /// What is done, in order.
    #[schemars(length(min = 1))]
    phases: Vec<PhaseShape>,
}

/// A phase, or what is known of one that is not elaborated yet.
#[derive(JsonSchema)]
#[schemars(rename = "AnyPhase", untagged)]
enum AnyPhaseShape {
    Whole(PhaseShape),
    GateLevel(GateLevelShape),
}

/// A phase of a programme that is not elaborated yet. It begins after an approved amendment wrote it
/// out.
#[derive(JsonSchema)]
#[schemars(rename = "GateLevel", deny_unknown_fields)]
struct GateLevelShape {
    /// Its name, unique in the plan.
    name: NodeName,
    /// What it is for, for people.
    does: Label,
    /// Its canonical id, or all of those that it covers.
    phase_id: PhaseIdsShape,
    /// True.
    #[schemars(extend("const" = true))]
    gate_level: bool,
    /// The files that must exist before it is done.
    #[schemars(default, length(min = 1))]
    evidence: Vec<EvidenceFile>,
    /// What must hold before it begins, in words.
    #[schemars(length(min = 1))]
    entry: Vec<Label>,
    /// What must hold when it is done, in words.
    #[schemars(length(min = 1))]
    exit: Vec<Label>,
}

/// One canonical id, or several in their order.
#[derive(JsonSchema)]
#[schemars(rename = "PhaseIds", untagged)]
enum PhaseIdsShape {
    One(PhaseId),
    Several(#[schemars(length(min = 1))] Vec<PhaseId>),
}

/// A phase: gates, steps, and the gates that say when it is done.
#[derive(JsonSchema)]
#[schemars(rename = "Phase", deny_unknown_fields)]
struct PhaseShape {
    /// Its name, unique in the plan.
    name: NodeName,
    /// What it does, for people.
    does: Option<Label>,
    /// Its canonical id, or all of those that it covers, in a programme: P-1, P0 to P12.
    phase_id: Option<PhaseIdsShape>,
    /// What a failure in it leads to: undo takes back all that was done, wait leaves it to a person.
    on_failure: Option<OnFailure>,
    /// How far it may be repeated, and what is done when it fails, in a programme.
    posture: Option<Posture>,
    /// The files that must exist before it is done, in a programme.
    #[schemars(default, length(min = 1))]
    evidence: Vec<EvidenceFile>,
    /// Gates before the steps.
    #[schemars(default, length(min = 1))]
    entry: Vec<GateShape>,
    /// What is done, one after the other where `after` says nothing else.
    #[schemars(default, length(min = 1))]
    steps: Vec<NodeShape>,
    /// The definition of done: gates behind the steps.
    #[schemars(length(min = 1))]
    exit: Vec<GateShape>,
}

/// A node: what it is stands in the key that it has.
#[derive(JsonSchema)]
#[schemars(rename = "Node", untagged)]
enum NodeShape {
    Step(StepShape),
    Gate(GateShape),
    Choice(ChoiceShape),
    Wait(WaitShape),
    WaitUntil(WaitUntilShape),
    Message(MessageShape),
    Ask(AskShape),
    Commit(CommitShape),
}

/// An action.
#[derive(JsonSchema)]
#[schemars(rename = "Step", deny_unknown_fields)]
struct StepShape {
    /// Its name, unique in the phase.
    name: NodeName,
    /// The capability that does it: `carnet cap list` shows them.
    capability: String,
    /// What the capability is given: `carnet cap show NAME` shows what it takes.
    #[schemars(default)]
    with: Map<String, Value>,
    /// What takes it back, where the capability does not know that itself.
    undo: Option<UndoShape>,
    /// The freeze that begins with it: something is held still, until a step says `unfreeze`.
    freeze: Option<NodeName>,
    /// The freeze that ends with it.
    unfreeze: Option<NodeName>,
    /// What it does, for people.
    does: Option<Label>,
    /// The nodes that it waits for, `NODE` or `CHOICE:BRANCH`; the one before it if nothing is said.
    after: Option<Vec<String>>,
}

/// What takes a step back.
#[derive(JsonSchema)]
#[schemars(rename = "Undo", untagged)]
enum UndoShape {
    By(UndoByShape),
    Refused(UndoRefusedShape),
}

/// Another capability takes it back.
#[derive(JsonSchema)]
#[schemars(rename = "UndoBy", deny_unknown_fields)]
struct UndoByShape {
    /// Which capability.
    capability: String,
    /// What it is given.
    #[schemars(default)]
    with: Map<String, Value>,
}

/// Nothing can take it back.
#[derive(JsonSchema)]
#[schemars(rename = "UndoRefused", deny_unknown_fields)]
struct UndoRefusedShape {
    /// Why not.
    refused: Label,
    /// The approval that is asked for right before the step.
    approval: NodeName,
}

/// A check that must pass.
#[derive(JsonSchema)]
#[schemars(rename = "Gate", deny_unknown_fields)]
struct GateShape {
    /// The kind of gate.
    gate: String,
    /// Its name, unique in the phase; its kind if nothing is said.
    name: Option<NodeName>,
    /// What is looked at, and what is demanded.
    #[schemars(default)]
    with: Map<String, Value>,
    /// How old an observation may be; a quarter of an hour if nothing is said.
    age_max: Option<Duration>,
    /// How many things must have been compared at least.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    sample_min: Option<u32>,
    /// What it demands, for people.
    does: Option<Label>,
    /// The nodes that it waits for, `NODE` or `CHOICE:BRANCH`; the one before it if nothing is said.
    after: Option<Vec<String>>,
}

/// One way out of several: the first branch whose gate passes, else the last one.
#[derive(JsonSchema)]
#[schemars(rename = "Choice", deny_unknown_fields)]
struct ChoiceShape {
    /// Its name, unique in the phase.
    choice: NodeName,
    /// The ways, in the order in which they are asked.
    #[schemars(length(min = 1))]
    branches: Vec<BranchShape>,
    /// The way if none is open.
    otherwise: NodeName,
    /// What is chosen, for people.
    does: Option<Label>,
    /// The nodes that it waits for, `NODE` or `CHOICE:BRANCH`; the one before it if nothing is said.
    after: Option<Vec<String>>,
}

/// One way on from a choice.
#[derive(JsonSchema)]
#[schemars(rename = "Branch", deny_unknown_fields)]
struct BranchShape {
    /// Its name, unique in the choice.
    name: NodeName,
    /// The gate that opens it.
    when: WhenShape,
}

/// A gate that opens a branch.
#[derive(JsonSchema)]
#[schemars(rename = "When", deny_unknown_fields)]
struct WhenShape {
    /// The kind of gate.
    gate: String,
    /// What is looked at, and what is demanded.
    #[schemars(default)]
    with: Map<String, Value>,
    /// How old an observation may be; a quarter of an hour if nothing is said.
    age_max: Option<Duration>,
    /// How many things must have been compared at least.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    sample_min: Option<u32>,
}

/// Waits for a length of time.
#[derive(JsonSchema)]
#[schemars(rename = "Wait", deny_unknown_fields)]
struct WaitShape {
    /// How long: an ISO 8601 duration such as PT10M.
    wait: Duration,
    /// Its name, unique in the phase; `wait` if nothing is said.
    name: Option<NodeName>,
    /// What it is for, for people.
    does: Option<Label>,
    /// The nodes that it waits for, `NODE` or `CHOICE:BRANCH`; the one before it if nothing is said.
    after: Option<Vec<String>>,
}

/// Waits for a moment.
#[derive(JsonSchema)]
#[schemars(rename = "WaitUntil", deny_unknown_fields)]
struct WaitUntilShape {
    /// The moment, with its distance from UTC.
    wait_until: Moment,
    /// Its name, unique in the phase; `wait` if nothing is said.
    name: Option<NodeName>,
    /// What it is for, for people.
    does: Option<Label>,
    /// The nodes that it waits for, `NODE` or `CHOICE:BRANCH`; the one before it if nothing is said.
    after: Option<Vec<String>>,
}

/// Waits for a word from outside: `carnet signal PLAN NODE`.
#[derive(JsonSchema)]
#[schemars(rename = "Message", deny_unknown_fields)]
struct MessageShape {
    /// What must have happened.
    message: Label,
    /// Its name, unique in the phase; the message if nothing is said.
    name: Option<NodeName>,
    /// What it is for, for people.
    does: Option<Label>,
    /// The nodes that it waits for, `NODE` or `CHOICE:BRANCH`; the one before it if nothing is said.
    after: Option<Vec<String>>,
}

/// Waits for an approval.
#[derive(JsonSchema)]
#[schemars(rename = "Ask", deny_unknown_fields)]
struct AskShape {
    /// The approval, by its name under `approvals`.
    approval: NodeName,
    /// Its name, unique in the phase; that of the approval if nothing is said.
    name: Option<NodeName>,
    /// What it is for, for people.
    does: Option<Label>,
    /// The nodes that it waits for, `NODE` or `CHOICE:BRANCH`; the one before it if nothing is said.
    after: Option<Vec<String>>,
}

/// The point of no automatic return: nothing before it is undone any more by itself.
#[derive(JsonSchema)]
#[schemars(rename = "Commit", deny_unknown_fields)]
struct CommitShape {
    /// True.
    #[schemars(extend("const" = true))]
    commit: bool,
    /// Its name, unique in the phase; `commit` if nothing is said.
    name: Option<NodeName>,
    /// What it is for, for people.
    does: Option<Label>,
    /// The nodes that it waits for, `NODE` or `CHOICE:BRANCH`; the one before it if nothing is said.
    after: Option<Vec<String>>,
}
