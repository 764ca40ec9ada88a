//! `ecs.service`: what a service of ECS runs, and how often.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ApprovalMode, Descriptor, Fencing, Repeat, Safety, UndoKind, UndoReach, checked};

/// A service of ECS, and what it is to run. It must be there. Its undo puts back what it was set to
/// before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EcsService {
    /// The URL of the service; Amazon's own if nothing is said.
    #[schemars(regex(pattern = r"^https?://[^/?#@\s]+$"))]
    pub endpoint: Option<String>,
    /// The region.
    #[schemars(regex(pattern = r"^[a-z0-9-]{1,64}$"))]
    pub region: String,
    /// The cluster.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-]{1,255}$"))]
    pub cluster: String,
    /// Its name there.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-]{1,255}$"))]
    pub service: String,
    /// What its tasks are made from, as FAMILY:REVISION; as before if nothing is said.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-]{1,255}:[1-9][0-9]{0,9}$"))]
    pub task_definition: Option<String>,
    /// How many of its tasks are to run.
    #[schemars(range(min = 0, max = 10))]
    pub desired_count: u32,
    /// What is waited for: `steady`, until the tasks run and no other deployment is left, or `accepted`,
    /// for servers that run no container.
    #[serde(default)]
    pub wait: EcsWait,
    /// How many seconds that may take.
    #[serde(default = "ten_minutes")]
    #[schemars(range(min = 1, max = 86_400))]
    pub limit_s: u32,
}

/// What is waited for after a service was set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EcsWait {
    /// Its tasks run, and the newest deployment is the only one.
    #[default]
    Steady,
    /// The cluster has taken it down.
    Accepted,
}

const fn ten_minutes() -> u32 {
    600
}

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    name: "ecs.service",
    does: "set what a service of ECS runs, and how often",
    safety: Safety::Mutating,
    repeat: Repeat::Probe,
    undo: UndoKind::Own,
    undo_reach: UndoReach::BeforeCommit,
    fencing: Fencing::None,
    approval: ApprovalMode::None,
    gates: &[],
    inputs: super::schema_of::<EcsService>,
    check: |with| checked::<EcsService>(with, |_, _| {}),
};
