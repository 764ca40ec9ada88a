//! The phases of `knowledge/v1`. It is compiled to the same nodes as a plan that writes its phases
//! out itself.
//!
//! Nodes run in the order of the table; the gates of a phase are asked after its steps. Undo runs in
//! the reverse order of what was done.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::compiled::{
    After, ApprovalRule, Begins, Closed, Node, NodeKind, OnFailure, Part, Phase, PlannedGate,
    PlannedStep, PlannedUndo,
};
use super::inline;
use super::knowledge::{self, Knowledge};
use super::written::WrittenPath;
use crate::gate::{self, Definition, Rule};

/// The schema versions of snapshots that this process reads.
pub const SCHEMA_VERSIONS: [u32; 1] = [1];

/// The nine phases, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseName {
    /// Look at both sides.
    Prepare,
    /// Hold the source still.
    Quiesce,
    /// Write the snapshot.
    Export,
    /// Bring it to the target side.
    Transfer,
    /// Check what arrived.
    Verify,
    /// Load it.
    Import,
    /// Compare both sides.
    Validate,
    /// Point readers at the target.
    Cutover,
    /// Keep the snapshot.
    Decommission,
}

impl PhaseName {
    /// All phases, in their order.
    pub const ALL: [Self; 9] = [
        Self::Prepare,
        Self::Quiesce,
        Self::Export,
        Self::Transfer,
        Self::Verify,
        Self::Import,
        Self::Validate,
        Self::Cutover,
        Self::Decommission,
    ];

    /// The word in plans, reports and events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Quiesce => "quiesce",
            Self::Export => "export",
            Self::Transfer => "transfer",
            Self::Verify => "verify",
            Self::Import => "import",
            Self::Validate => "validate",
            Self::Cutover => "cutover",
            Self::Decommission => "decommission",
        }
    }

    /// What the phase does, in one line.
    pub const fn does(self) -> &'static str {
        match self {
            Self::Prepare => "look at both sides: versions, contracts, what the target can hold",
            Self::Quiesce => "hold the source still",
            Self::Export => "write a snapshot of the source",
            Self::Transfer => "bring the snapshot to the target side",
            Self::Verify => "check every file that arrived",
            Self::Import => "load the snapshot into the target",
            Self::Validate => "read the target back and compare it with the source",
            Self::Cutover => "point readers at the target",
            Self::Decommission => "keep the snapshot",
        }
    }
}

impl fmt::Display for PhaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the capabilities of this process are called, before the name of the step.
const CAPABILITY: &str = "knowledge.";

/// The steps that a phase can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepName {
    /// Open the source and describe its collections. Reads only.
    DescribeSource,
    /// Open the target, describe what it holds and can hold. Reads only.
    DescribeTarget,
    /// Make the file that asks writers to pause.
    RaiseFlag,
    /// Open one consistent view of the source. Reads only.
    PinSource,
    /// Write the snapshot, with its artifacts.
    ExportSnapshot,
    /// Copy the snapshot to the target side.
    PlaceSnapshot,
    /// Hash every file of the snapshot that arrived. Reads only.
    RehashSnapshot,
    /// Load the records, and build the index.
    LoadRecords,
    /// Copy the artifacts out of the snapshot.
    PlaceArtifacts,
    /// Read the target back. Reads only.
    ReadBack,
    /// Set the variable in the environment file.
    Switch,
    /// Remove the file that asks writers to pause.
    LowerFlag,
    /// Keep the snapshot, read-only.
    ArchiveSnapshot,
}

impl StepName {
    /// The word in reports and events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DescribeSource => "describe_source",
            Self::DescribeTarget => "describe_target",
            Self::RaiseFlag => "raise_flag",
            Self::PinSource => "pin_source",
            Self::ExportSnapshot => "export_snapshot",
            Self::PlaceSnapshot => "place_snapshot",
            Self::RehashSnapshot => "rehash_snapshot",
            Self::LoadRecords => "load_records",
            Self::PlaceArtifacts => "place_artifacts",
            Self::ReadBack => "read_back",
            Self::Switch => "switch",
            Self::LowerFlag => "lower_flag",
            Self::ArchiveSnapshot => "archive_snapshot",
        }
    }

    /// All steps.
    pub const ALL: [Self; 13] = [
        Self::DescribeSource,
        Self::DescribeTarget,
        Self::RaiseFlag,
        Self::PinSource,
        Self::ExportSnapshot,
        Self::PlaceSnapshot,
        Self::RehashSnapshot,
        Self::LoadRecords,
        Self::PlaceArtifacts,
        Self::ReadBack,
        Self::Switch,
        Self::LowerFlag,
        Self::ArchiveSnapshot,
    ];

    /// The name of the capability that does it.
    pub fn capability(self) -> String {
        format!("{CAPABILITY}{}", self.name())
    }

    /// The step of this capability.
    pub fn of_capability(name: &str) -> Option<Self> {
        let name = name.strip_prefix(CAPABILITY)?;
        Self::ALL.into_iter().find(|step| step.name() == name)
    }

    /// Whether the step changes anything outside the run's own state.
    pub const fn mutates(self) -> bool {
        match self {
            Self::DescribeSource
            | Self::DescribeTarget
            | Self::PinSource
            | Self::RehashSnapshot
            | Self::ReadBack => false,
            Self::RaiseFlag
            | Self::ExportSnapshot
            | Self::PlaceSnapshot
            | Self::LoadRecords
            | Self::PlaceArtifacts
            | Self::Switch
            | Self::LowerFlag
            | Self::ArchiveSnapshot => true,
        }
    }
}

impl fmt::Display for StepName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One step of a phase, with the words for this plan.
struct Step {
    name: StepName,
    does: String,
    undo: Option<String>,
}

/// The phases of the process for this knowledge base, in order.
pub(super) fn phases(knowledge: &Knowledge) -> Vec<Phase> {
    let phase = |name: PhaseName| {
        let (steps, gates) = match name {
            PhaseName::Prepare => (prepare(knowledge), prepare_gates(knowledge)),
            PhaseName::Quiesce => (quiesce(knowledge), Vec::new()),
            PhaseName::Export => (export(knowledge), Vec::new()),
            PhaseName::Transfer => (transfer(knowledge), Vec::new()),
            PhaseName::Verify => (verify(), verify_gates()),
            PhaseName::Import => (import(knowledge), Vec::new()),
            PhaseName::Validate => (validate(knowledge), validate_gates(knowledge)),
            PhaseName::Cutover => (cutover(knowledge), Vec::new()),
            PhaseName::Decommission => (decommission(knowledge), Vec::new()),
        };
        phase_of(name, steps, gates)
    };
    PhaseName::ALL.map(phase).into()
}

/// The same, with a gate at the head of each phase that an approval is named after.
pub(super) fn approved_phases(
    knowledge: &Knowledge,
    approvals: &BTreeMap<String, ApprovalRule>,
) -> Vec<Phase> {
    let mut phases = phases(knowledge);
    for phase in &mut phases {
        let Some(rule) = approvals.get(&phase.name) else { continue };
        let definition = inline::approval_gate(&phase.name, Some(rule));
        let does = format!("approval {}: {}", phase.name, definition.rule.demands());
        let kind = NodeKind::Gate(PlannedGate { definition, closed: Closed::Wait });
        let name = format!("{}/approval", phase.name);
        phase.nodes.insert(0, Node { name, does, undo_does: None, after: Vec::new(), kind });
        in_sequence(&mut phase.nodes);
    }
    phases
}

/// Each node after the one before it.
fn in_sequence(nodes: &mut [Node]) {
    for (place, node) in nodes.iter_mut().enumerate() {
        let before = place.checked_sub(1);
        node.after = before.map(|node| After { node, branch: None }).into_iter().collect();
    }
}

/// The phase as nodes in sequence. The point of no return lies behind the first step of the
/// cutover, or is all of it.
fn phase_of(name: PhaseName, steps: Vec<Step>, gates: Vec<Definition>) -> Phase {
    let mut nodes: Vec<Node> = steps.into_iter().map(|step| step.into_node(name)).collect();
    nodes.extend(gates.into_iter().map(|definition| {
        let does = definition.rule.demands();
        let id = definition.gate().id();
        let kind = NodeKind::Gate(PlannedGate { definition, closed: Closed::Refuse });
        node(name, id, does, kind)
    }));
    if name == PhaseName::Cutover {
        let does = "from here on nothing is undone by itself".to_owned();
        let place = nodes.len().min(1);
        nodes.insert(place, node(name, "commit", does, NodeKind::Commit));
    }
    in_sequence(&mut nodes);
    Phase {
        name: name.name().to_owned(),
        does: name.does().to_owned(),
        part: Part::Forward,
        on_failure: OnFailure::Undo,
        begins: Begins::InTurn,
        nodes,
    }
}

fn node(phase: PhaseName, name: &str, does: String, kind: NodeKind) -> Node {
    Node { name: format!("{phase}/{name}"), does, undo_does: None, after: Vec::new(), kind }
}

impl Step {
    fn into_node(self, phase: PhaseName) -> Node {
        let undo = if self.undo.is_some() { PlannedUndo::Own } else { PlannedUndo::Nothing };
        let with = Value::Object(serde_json::Map::new());
        let capability = self.name.capability();
        let kind = NodeKind::Step(PlannedStep { capability, with, undo, freeze: None });
        Node { undo_does: self.undo, ..node(phase, self.name.name(), self.does, kind) }
    }
}

fn reads(name: StepName, does: impl Into<String>) -> Step {
    Step { name, does: does.into(), undo: None }
}

fn changes(name: StepName, does: impl Into<String>, undo: impl Into<String>) -> Step {
    Step { name, does: does.into(), undo: Some(undo.into()) }
}

fn prepare(knowledge: &Knowledge) -> Vec<Step> {
    let (source, target) = (&knowledge.source.knowledge.store, &knowledge.target.knowledge.store);
    vec![
        reads(StepName::DescribeSource, format!("open {source} and describe its collections")),
        reads(
            StepName::DescribeTarget,
            format!("open {target} and describe what it holds and can hold"),
        ),
    ]
}

fn quiesce(knowledge: &Knowledge) -> Vec<Step> {
    let mut steps = Vec::new();
    if let Some(quiesce) = &knowledge.quiesce {
        let flag = &quiesce.flag;
        let does = format!("make {flag}, which asks writers to pause");
        steps.push(changes(StepName::RaiseFlag, does, format!("remove {flag}")));
    }
    steps.push(reads(StepName::PinSource, "open one consistent view of the source"));
    steps
}

fn export(knowledge: &Knowledge) -> Vec<Step> {
    let what = match &knowledge.source.knowledge.artifacts {
        Some(artifacts) if knowledge.target.knowledge.artifacts.is_some() => {
            format!("write a snapshot of the records and of the artifacts in {artifacts}")
        }
        Some(_) | None => "write a snapshot of the records".to_owned(),
    };
    vec![changes(StepName::ExportSnapshot, what, "remove the snapshot")]
}

fn transfer(knowledge: &Knowledge) -> Vec<Step> {
    let place = match &knowledge.transfer {
        Some(transfer) => format!("copy the snapshot to {}", transfer.inbox),
        None => "copy the snapshot to the run's own inbox".to_owned(),
    };
    vec![changes(StepName::PlaceSnapshot, place, "remove the copy")]
}

fn verify() -> Vec<Step> {
    vec![reads(StepName::RehashSnapshot, "hash every file of the snapshot that arrived")]
}

fn import(knowledge: &Knowledge) -> Vec<Step> {
    let target = &knowledge.target.knowledge;
    let index = match &target.index {
        Some(index) if index.kind != "flat" => format!(", then build the index {}", index.kind),
        Some(_) | None => String::new(),
    };
    let mode = knowledge.import.mode.name();
    let load = format!("load the records into {} ({mode}){index}", target.store);
    let undo = "put the target back as it was, or name what cannot be put back";
    let mut steps = vec![changes(StepName::LoadRecords, load, undo)];
    if let Some(artifacts) = artifacts(knowledge) {
        let does = format!("copy the artifacts into {artifacts}");
        let undo = "remove the copied artifacts and put back those that were replaced";
        steps.push(changes(StepName::PlaceArtifacts, does, undo));
    }
    steps
}

fn validate(knowledge: &Knowledge) -> Vec<Step> {
    let target = &knowledge.target.knowledge.store;
    vec![reads(StepName::ReadBack, format!("read every record back from {target}"))]
}

fn cutover(knowledge: &Knowledge) -> Vec<Step> {
    let mut steps = Vec::new();
    if let Some(cutover) = &knowledge.cutover {
        let (file, key) = (&cutover.switch.env_file, &cutover.switch.key);
        let does = format!("set {key} in {file} to {}", cutover.switch.value);
        steps.push(changes(StepName::Switch, does, format!("restore {file}")));
    }
    if let Some(quiesce) = &knowledge.quiesce {
        let flag = &quiesce.flag;
        let does = format!("remove {flag}, so that writers go on");
        steps.push(changes(StepName::LowerFlag, does, format!("make {flag} again")));
    }
    steps
}

fn decommission(knowledge: &Knowledge) -> Vec<Step> {
    let Some(decommission) = &knowledge.decommission else { return Vec::new() };
    let does = format!("keep the snapshot in {}, read-only", decommission.archive);
    vec![changes(StepName::ArchiveSnapshot, does, "remove the archived snapshot")]
}

/// The target's folder for artifacts, if they travel.
fn artifacts(knowledge: &Knowledge) -> Option<&WrittenPath> {
    let (source, target) = (&knowledge.source.knowledge, &knowledge.target.knowledge);
    source.artifacts.as_ref().and(target.artifacts.as_ref())
}

fn prepare_gates(knowledge: &Knowledge) -> Vec<Definition> {
    let sides = BTreeSet::from([gate::contract::Side::Source]);
    vec![
        Definition::new(Rule::Contract(gate::contract::Rule { sides })),
        Definition::new(Rule::Losses(gate::losses::Rule { waived: knowledge.accept_loss.clone() })),
    ]
}

fn verify_gates() -> Vec<Definition> {
    let supported = SCHEMA_VERSIONS.to_vec();
    vec![
        Definition::new(Rule::SchemaVersion(gate::schema_version::Rule { supported })),
        Definition::new(Rule::Checksums(gate::checksums::Rule {})),
    ]
}

fn validate_gates(knowledge: &Knowledge) -> Vec<Definition> {
    use gate::contract::Side;
    let mode = knowledge.import.mode;
    let sides = BTreeSet::from([Side::Source, Side::Snapshot, Side::Target]);
    let knowledge::Validate { queries, k, tolerance } = knowledge.validate;
    let mut rules = vec![
        Rule::Dimensions(gate::dimensions::Rule {}),
        Rule::Contract(gate::contract::Rule { sides }),
        Rule::Count(gate::count::Rule { mode }),
        Rule::ContentRoot(gate::content_root::Rule { mode }),
        Rule::QueryParity(gate::query_parity::Rule { queries, k, tolerance }),
    ];
    if artifacts(knowledge).is_some() {
        rules.push(Rule::ArtifactChecksums(gate::artifact_checksums::Rule {}));
    }
    rules.into_iter().map(Definition::new).collect()
}
