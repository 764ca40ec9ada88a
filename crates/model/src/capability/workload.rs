//! `workload.place`, `workload.start`, `workload.stop`, `workload.remove`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ApprovalMode, Descriptor, Fencing, Repeat, Safety, UndoKind, UndoReach, checked};

/// Which runtime runs containers, and where it keeps them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct RuntimePlace {
    /// The program: a path from the folder of the plan if it holds a `/`, else a name that is
    /// looked for in the system's own folders. It must understand what podman does.
    #[serde(default = "podman")]
    #[schemars(length(min = 1, max = 4096))]
    pub program: String,
    /// The folder with its images and containers, from the folder of the plan; its own if nothing
    /// is said.
    #[schemars(length(min = 1, max = 4096))]
    pub storage: Option<String>,
    /// A `containers.conf`, from the folder of the plan; where it looks itself if nothing is said.
    #[schemars(length(min = 1, max = 4096))]
    pub settings: Option<String>,
}

impl Default for RuntimePlace {
    fn default() -> Self {
        Self { program: podman(), storage: None, settings: None }
    }
}

/// A workload that is made ready from what a bundle holds: its image loaded, its config put in
/// place, its container made. It does not run before it is started, unless the plan says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkloadPlace {
    /// The folder with the files of a bundle: `workload/`, `image/`, `config/`.
    #[schemars(length(min = 1, max = 4096))]
    pub from: String,
    /// The folder that is made for the definition and the config of the workload.
    #[schemars(length(min = 1, max = 4096))]
    pub into: String,
    /// The name of the container; for manifests of Kubernetes, that in their metadata.
    #[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"))]
    pub name: String,
    /// The runtime.
    #[serde(default)]
    pub runtime: RuntimePlace,
    /// Whether it is started at once.
    #[serde(default)]
    pub start: bool,
    /// How many seconds it may take to become healthy where it is started. One without a health
    /// check must run for a second.
    #[serde(default = "a_minute")]
    #[schemars(range(min = 1, max = 3_600))]
    pub healthy_within_s: u32,
}

/// A workload that is there and is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkloadStart {
    /// The name of the container or of the pod.
    #[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"))]
    pub name: String,
    /// Whether it is a pod.
    #[serde(default)]
    pub pod: bool,
    /// The runtime.
    #[serde(default)]
    pub runtime: RuntimePlace,
    /// How many seconds it may take to become healthy. One without a health check must run for a
    /// second.
    #[serde(default = "a_minute")]
    #[schemars(range(min = 1, max = 3_600))]
    pub healthy_within_s: u32,
}

/// A workload that is stopped and stays where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkloadStop {
    /// The name of the container or of the pod.
    #[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"))]
    pub name: String,
    /// Whether it is a pod.
    #[serde(default)]
    pub pod: bool,
    /// The runtime.
    #[serde(default)]
    pub runtime: RuntimePlace,
    /// After how many seconds it is ended by force.
    #[serde(default = "ten_seconds")]
    #[schemars(range(min = 0, max = 3_600))]
    pub within_s: u32,
}

/// A workload that is at rest and is removed, with its image where nothing else uses it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkloadRemove {
    /// The name of the container or of the pod.
    #[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"))]
    pub name: String,
    /// Whether it is a pod.
    #[serde(default)]
    pub pod: bool,
    /// The runtime.
    #[serde(default)]
    pub runtime: RuntimePlace,
    /// The folder of its definition and config, which is removed too.
    #[schemars(length(min = 1, max = 4096))]
    pub folder: Option<String>,
}

fn podman() -> String {
    "podman".to_owned()
}

const fn a_minute() -> u32 {
    60
}

const fn ten_seconds() -> u32 {
    10
}

pub(super) const PLACE: Descriptor = Descriptor {
    name: "workload.place",
    does: "make a container ready from what a bundle holds",
    safety: Safety::Mutating,
    repeat: Repeat::Probe,
    undo: UndoKind::Own,
    undo_reach: UndoReach::BeforeCommit,
    fencing: Fencing::None,
    approval: ApprovalMode::None,
    gates: &[],
    inputs: super::schema_of::<WorkloadPlace>,
    check: |with| checked::<WorkloadPlace>(with, |_, _| {}),
};

pub(super) const START: Descriptor = Descriptor {
    name: "workload.start",
    does: "start a container that is there, and wait until it is healthy",
    safety: Safety::Mutating,
    repeat: Repeat::Probe,
    undo: UndoKind::Own,
    undo_reach: UndoReach::BeforeCommit,
    fencing: Fencing::None,
    approval: ApprovalMode::None,
    gates: &[],
    inputs: super::schema_of::<WorkloadStart>,
    check: |with| checked::<WorkloadStart>(with, |_, _| {}),
};

pub(super) const STOP: Descriptor = Descriptor {
    name: "workload.stop",
    does: "stop a container and leave it where it is",
    safety: Safety::Mutating,
    repeat: Repeat::Probe,
    undo: UndoKind::Own,
    undo_reach: UndoReach::BeforeCommit,
    fencing: Fencing::None,
    approval: ApprovalMode::None,
    gates: &[],
    inputs: super::schema_of::<WorkloadStop>,
    check: |with| checked::<WorkloadStop>(with, |_, _| {}),
};

pub(super) const REMOVE: Descriptor = Descriptor {
    name: "workload.remove",
    does: "remove a container that is at rest, and its image",
    safety: Safety::Mutating,
    repeat: Repeat::Probe,
    undo: UndoKind::ByPlan,
    undo_reach: UndoReach::BeforeCommit,
    fencing: Fencing::None,
    approval: ApprovalMode::None,
    gates: &[],
    inputs: super::schema_of::<WorkloadRemove>,
    check: |with| checked::<WorkloadRemove>(with, |_, _| {}),
};
