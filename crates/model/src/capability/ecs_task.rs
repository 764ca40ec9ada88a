//! `ecs.task`: a task of ECS that is run once, as a job.

use std::collections::BTreeMap;

use carnet_document::InputError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{ApprovalMode, Descriptor, Fencing, Repeat, Safety, UndoKind, UndoReach, checked};
use crate::gate::services::LaunchType;

/// The most characters that ECS takes of what is said otherwise than in a definition.
const OVERRIDES_MAX: usize = 8_192;

/// A task of ECS that ends by itself. It is done when every container that is essential has ended
/// with status 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EcsTask {
    /// The URL of the service; Amazon's own if nothing is said.
    #[schemars(regex(pattern = r"^https?://[^/?#@\s]+$"))]
    pub endpoint: Option<String>,
    /// The region.
    #[schemars(regex(pattern = r"^[a-z0-9-]{1,64}$"))]
    pub region: String,
    /// The cluster.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-]{1,255}$"))]
    pub cluster: String,
    /// What it is made from, as FAMILY:REVISION.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-]{1,255}:[1-9][0-9]{0,9}$"))]
    pub task_definition: String,
    /// What it runs on.
    #[serde(default)]
    pub launch_type: LaunchType,
    /// The network that it is put into; `FARGATE` needs one.
    pub network: Option<EcsNetwork>,
    /// By container, what is said otherwise than in the definition.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"pattern": "^[A-Za-z0-9_-]{1,255}$"}))]
    pub overrides: BTreeMap<String, EcsOverride>,
    /// The digest of the image that every essential container must have run.
    #[schemars(regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub image: Option<String>,
    /// How many seconds it may take. Then its outcome is not known; it is not stopped.
    #[serde(default = "an_hour")]
    #[schemars(range(min = 1, max = 86_400))]
    pub limit_s: u32,
}

/// A network of tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EcsNetwork {
    /// Subnets of one network, of which the task gets one.
    #[schemars(length(min = 1, max = 16), inner(regex(pattern = r"^subnet-[0-9a-f]{1,32}$")))]
    pub subnets: Vec<String>,
    /// Who may speak with it; that of the network if nothing is said.
    #[serde(default)]
    #[schemars(length(max = 5), inner(regex(pattern = r"^sg-[0-9a-f]{1,32}$")))]
    pub security_groups: Vec<String>,
    /// Whether it gets a public address.
    #[serde(default)]
    pub assign_public_ip: bool,
}

/// What a container is told otherwise than in its definition. ECS shows it to everybody who may look
/// at the task: a secret comes from the definition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EcsOverride {
    /// Its command; that of the definition if nothing is said.
    #[schemars(length(min = 1, max = 1000))]
    pub command: Option<Vec<String>>,
    /// Variables beside those of the definition.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"pattern": "^[A-Za-z_][A-Za-z0-9_]{0,254}$"}))]
    pub environment: BTreeMap<String, String>,
}

const fn an_hour() -> u32 {
    3_600
}

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    name: "ecs.task",
    does: "run a task of ECS once, to its end",
    safety: Safety::Mutating,
    repeat: Repeat::Probe,
    undo: UndoKind::ByPlan,
    undo_reach: UndoReach::BeforeCommit,
    fencing: Fencing::None,
    approval: ApprovalMode::None,
    gates: &[],
    inputs: super::schema_of::<EcsTask>,
    check: |with| checked::<EcsTask>(with, check),
};

/// What is said otherwise, in the form in which ECS is told it, and counts it.
fn sent(overrides: &BTreeMap<String, EcsOverride>) -> Value {
    let one = |(name, said): (&String, &EcsOverride)| {
        let pair = |(name, value): (&String, &String)| json!({"name": name, "value": value});
        let environment: Vec<Value> = said.environment.iter().map(pair).collect();
        match &said.command {
            Some(command) => json!({"name": name, "command": command, "environment": environment}),
            None => json!({"name": name, "environment": environment}),
        }
    };
    json!({"containerOverrides": overrides.iter().map(one).collect::<Vec<Value>>()})
}

fn check(task: &EcsTask, errors: &mut Vec<InputError>) {
    match (task.launch_type, &task.network) {
        (LaunchType::Fargate, None) => {
            let remedy = "name subnets and security groups";
            errors.push(InputError::new("/network", "FARGATE needs a network", remedy));
        }
        (LaunchType::External, Some(_)) => {
            let what = "machines from elsewhere have their own network";
            errors.push(InputError::new("/network", what, "take it out"));
        }
        (LaunchType::Fargate, Some(_)) | (LaunchType::Ec2, _) | (LaunchType::External, None) => {}
    }
    let length = sent(&task.overrides).to_string().chars().count();
    if length > OVERRIDES_MAX {
        let what = format!("ECS takes {OVERRIDES_MAX} characters of this, and here are {length}");
        errors.push(InputError::new("/overrides", what, "put it into a file that the task reads"));
    }
}
