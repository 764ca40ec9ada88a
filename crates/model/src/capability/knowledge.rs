//! `knowledge.*`: the steps of `knowledge/v1`. All that they need stands in the plan itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ApprovalMode, Descriptor, Fencing, Repeat, Safety, UndoKind, UndoReach, checked};
use crate::plan::StepName;

/// No inputs: source, target and all the rest stand in the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Knowledge {}

/// The step of `knowledge/v1` that a capability of this name is.
pub fn step_of(name: &str) -> Option<StepName> {
    let step = name.strip_prefix("knowledge.")?;
    STEPS.into_iter().find(|one| one.name() == step)
}

/// All steps of `knowledge/v1`.
pub(super) const STEPS: [StepName; 13] = [
    StepName::DescribeSource,
    StepName::DescribeTarget,
    StepName::RaiseFlag,
    StepName::PinSource,
    StepName::ExportSnapshot,
    StepName::PlaceSnapshot,
    StepName::RehashSnapshot,
    StepName::LoadRecords,
    StepName::PlaceArtifacts,
    StepName::ReadBack,
    StepName::Switch,
    StepName::LowerFlag,
    StepName::ArchiveSnapshot,
];

const LOOKS: Descriptor = Descriptor {
    name: "",
    does: "",
    safety: Safety::ReadOnly,
    repeat: Repeat::Again,
    undo: UndoKind::Nothing,
    undo_reach: UndoReach::Nowhere,
    fencing: Fencing::None,
    approval: ApprovalMode::None,
    gates: &[],
    inputs: super::schema_of::<Knowledge>,
    check: |with| checked::<Knowledge>(with, |_, _| {}),
};

const CHANGES: Descriptor = Descriptor {
    safety: Safety::Mutating,
    undo: UndoKind::Own,
    undo_reach: UndoReach::BeforeCommit,
    ..LOOKS
};
/// On every way back readers return to the source, and its writers go on.
const ALWAYS_BACK: Descriptor = Descriptor { undo_reach: UndoReach::Always, ..CHANGES };

pub(super) const DESCRIBE_SOURCE: Descriptor = Descriptor {
    name: "knowledge.describe_source",
    does: "open the source of the plan and describe its collections",
    ..LOOKS
};
pub(super) const DESCRIBE_TARGET: Descriptor = Descriptor {
    name: "knowledge.describe_target",
    does: "open the target of the plan and describe what it holds and can hold",
    ..LOOKS
};
pub(super) const RAISE_FLAG: Descriptor = Descriptor {
    name: "knowledge.raise_flag",
    does: "make the file that asks writers to pause",
    ..ALWAYS_BACK
};
pub(super) const PIN_SOURCE: Descriptor = Descriptor {
    name: "knowledge.pin_source",
    does: "open one consistent view of the source",
    ..LOOKS
};
pub(super) const EXPORT_SNAPSHOT: Descriptor = Descriptor {
    name: "knowledge.export_snapshot",
    does: "write a snapshot of the source, with its artifacts",
    ..CHANGES
};
pub(super) const PLACE_SNAPSHOT: Descriptor = Descriptor {
    name: "knowledge.place_snapshot",
    does: "copy the snapshot to the target side",
    ..CHANGES
};
pub(super) const REHASH_SNAPSHOT: Descriptor = Descriptor {
    name: "knowledge.rehash_snapshot",
    does: "hash every file of the snapshot that arrived",
    ..LOOKS
};
pub(super) const LOAD_RECORDS: Descriptor = Descriptor {
    name: "knowledge.load_records",
    does: "load the records into the target, and build its index",
    ..CHANGES
};
pub(super) const PLACE_ARTIFACTS: Descriptor = Descriptor {
    name: "knowledge.place_artifacts",
    does: "copy the artifacts out of the snapshot",
    ..CHANGES
};
pub(super) const READ_BACK: Descriptor = Descriptor {
    name: "knowledge.read_back",
    does: "read every record of the target back",
    ..LOOKS
};
/// It looks first where the switch stands.
pub(super) const SWITCH: Descriptor = Descriptor {
    name: "knowledge.switch",
    does: "set the variable in the environment file that points readers to the target",
    repeat: Repeat::Probe,
    ..ALWAYS_BACK
};
pub(super) const LOWER_FLAG: Descriptor = Descriptor {
    name: "knowledge.lower_flag",
    does: "remove the file that asks writers to pause",
    ..CHANGES
};
pub(super) const ARCHIVE_SNAPSHOT: Descriptor = Descriptor {
    name: "knowledge.archive_snapshot",
    does: "keep the snapshot, read-only",
    ..CHANGES
};
