//! The phases of `knowledge/v1`: one table that `carnet plan` prints and the engine executes.
//!
//! Steps run in the order of the table; the gates of a phase are asked after its steps. Undo runs in
//! the reverse order of what was done.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::document::Document;
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Which step.
    pub name: StepName,
    /// What it does, for people.
    pub does: String,
    /// What undoes it, for people; `None` for a step that only reads.
    pub undo: Option<String>,
}

/// One phase of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Phase {
    /// Which phase.
    pub name: PhaseName,
    /// Its steps, in order. May be empty: the plan asks for nothing here.
    pub steps: Vec<Step>,
    /// Its gates, asked after the steps. All must pass before the next phase starts.
    pub gates: Vec<Definition>,
}

/// The phases of a document, in order.
pub(super) fn phases(document: &Document) -> Vec<Phase> {
    let phase = |name: PhaseName| {
        let (steps, gates) = match name {
            PhaseName::Prepare => (prepare(document), prepare_gates(document)),
            PhaseName::Quiesce => (quiesce(document), Vec::new()),
            PhaseName::Export => (export(document), Vec::new()),
            PhaseName::Transfer => (transfer(document), Vec::new()),
            PhaseName::Verify => (verify(), verify_gates()),
            PhaseName::Import => (import(document), Vec::new()),
            PhaseName::Validate => (validate(document), validate_gates(document)),
            PhaseName::Cutover => (cutover(document), Vec::new()),
            PhaseName::Decommission => (decommission(document), Vec::new()),
        };
        Phase { name, steps, gates }
    };
    PhaseName::ALL.map(phase).into()
}

fn reads(name: StepName, does: impl Into<String>) -> Step {
    Step { name, does: does.into(), undo: None }
}

fn changes(name: StepName, does: impl Into<String>, undo: impl Into<String>) -> Step {
    Step { name, does: does.into(), undo: Some(undo.into()) }
}

fn prepare(document: &Document) -> Vec<Step> {
    let (source, target) = (&document.source.knowledge.store, &document.target.knowledge.store);
    vec![
        reads(StepName::DescribeSource, format!("open {source} and describe its collections")),
        reads(
            StepName::DescribeTarget,
            format!("open {target} and describe what it holds and can hold"),
        ),
    ]
}

fn quiesce(document: &Document) -> Vec<Step> {
    let mut steps = Vec::new();
    if let Some(quiesce) = &document.quiesce {
        let flag = &quiesce.flag;
        let does = format!("make {flag}, which asks writers to pause");
        steps.push(changes(StepName::RaiseFlag, does, format!("remove {flag}")));
    }
    steps.push(reads(StepName::PinSource, "open one consistent view of the source"));
    steps
}

fn export(document: &Document) -> Vec<Step> {
    let what = match &document.source.knowledge.artifacts {
        Some(artifacts) if document.target.knowledge.artifacts.is_some() => {
            format!("write a snapshot of the records and of the artifacts in {artifacts}")
        }
        Some(_) | None => "write a snapshot of the records".to_owned(),
    };
    vec![changes(StepName::ExportSnapshot, what, "remove the snapshot")]
}

fn transfer(document: &Document) -> Vec<Step> {
    let place = match &document.transfer {
        Some(transfer) => format!("copy the snapshot to {}", transfer.inbox),
        None => "copy the snapshot to the run's own inbox".to_owned(),
    };
    vec![changes(StepName::PlaceSnapshot, place, "remove the copy")]
}

fn verify() -> Vec<Step> {
    vec![reads(StepName::RehashSnapshot, "hash every file of the snapshot that arrived")]
}

fn import(document: &Document) -> Vec<Step> {
    let target = &document.target.knowledge;
    let index = match &target.index {
        Some(index) if index.kind != "flat" => format!(", then build the index {}", index.kind),
        Some(_) | None => String::new(),
    };
    let mode = document.import.mode.name();
    let load = format!("load the records into {} ({mode}){index}", target.store);
    let undo = "put the target back as it was, or name what cannot be put back";
    let mut steps = vec![changes(StepName::LoadRecords, load, undo)];
    if let Some(artifacts) = artifacts(document) {
        let does = format!("copy the artifacts into {artifacts}");
        let undo = "remove the copied artifacts and put back those that were replaced";
        steps.push(changes(StepName::PlaceArtifacts, does, undo));
    }
    steps
}

fn validate(document: &Document) -> Vec<Step> {
    let target = &document.target.knowledge.store;
    vec![reads(StepName::ReadBack, format!("read every record back from {target}"))]
}

fn cutover(document: &Document) -> Vec<Step> {
    let mut steps = Vec::new();
    if let Some(cutover) = &document.cutover {
        let (file, key) = (&cutover.switch.env_file, &cutover.switch.key);
        let does = format!("set {key} in {file} to {}", cutover.switch.value);
        steps.push(changes(StepName::Switch, does, format!("restore {file}")));
    }
    if let Some(quiesce) = &document.quiesce {
        let flag = &quiesce.flag;
        let does = format!("remove {flag}, so that writers go on");
        steps.push(changes(StepName::LowerFlag, does, format!("make {flag} again")));
    }
    steps
}

fn decommission(document: &Document) -> Vec<Step> {
    let Some(decommission) = &document.decommission else { return Vec::new() };
    let does = format!("keep the snapshot in {}, read-only", decommission.archive);
    vec![changes(StepName::ArchiveSnapshot, does, "remove the archived snapshot")]
}

/// The target's folder for artifacts, if they travel.
fn artifacts(document: &Document) -> Option<&super::written::WrittenPath> {
    let (source, target) = (&document.source.knowledge, &document.target.knowledge);
    source.artifacts.as_ref().and(target.artifacts.as_ref())
}

fn prepare_gates(document: &Document) -> Vec<Definition> {
    let sides = BTreeSet::from([gate::contract::Side::Source]);
    vec![
        Definition::new(Rule::Contract(gate::contract::Rule { sides })),
        Definition::new(Rule::Losses(gate::losses::Rule { waived: document.accept_loss.clone() })),
    ]
}

fn verify_gates() -> Vec<Definition> {
    let supported = SCHEMA_VERSIONS.to_vec();
    vec![
        Definition::new(Rule::SchemaVersion(gate::schema_version::Rule { supported })),
        Definition::new(Rule::Checksums(gate::checksums::Rule {})),
    ]
}

fn validate_gates(document: &Document) -> Vec<Definition> {
    use gate::contract::Side;
    let mode = document.import.mode;
    let sides = BTreeSet::from([Side::Source, Side::Snapshot, Side::Target]);
    let super::document::Validate { queries, k, tolerance } = document.validate;
    let mut rules = vec![
        Rule::Dimensions(gate::dimensions::Rule {}),
        Rule::Contract(gate::contract::Rule { sides }),
        Rule::Count(gate::count::Rule { mode }),
        Rule::ContentRoot(gate::content_root::Rule { mode }),
        Rule::QueryParity(gate::query_parity::Rule { queries, k, tolerance }),
    ];
    if artifacts(document).is_some() {
        rules.push(Rule::ArtifactChecksums(gate::artifact_checksums::Rule {}));
    }
    rules.into_iter().map(Definition::new).collect()
}
