//! `terraform.apply` and `terraform.destroy`.

use std::collections::BTreeMap;

use carnet_document::InputError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ApprovalMode, Descriptor, Fencing, Repeat, Safety, UndoKind, UndoReach, checked};
use crate::text::Text;

/// A configuration of Terraform, and how it is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TerraformPlace {
    /// The folder of the configuration, from the folder of the plan. Its state is where its backend
    /// says.
    #[schemars(length(min = 1, max = 4096))]
    pub folder: String,
    /// Its variables: text, or the name of a secret in the environment. Terraform reads lists and
    /// numbers from text too.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("propertyNames" = {"pattern": "^[A-Za-z_][A-Za-z0-9_-]{0,254}$"}))]
    pub variables: BTreeMap<String, Text>,
    /// Variables of the environment that its providers and its backend read, beside PATH and HOME.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("propertyNames" = {"pattern": "^[A-Za-z_][A-Za-z0-9_]{0,254}$"}))]
    pub env: BTreeMap<String, Text>,
    /// The program: a path from the folder of the plan if it holds a `/`, else a name that is looked
    /// for in the system's own folders.
    #[serde(default = "terraform")]
    #[schemars(length(min = 1, max = 4096))]
    pub program: String,
    /// How many seconds each of its commands may take.
    #[serde(default = "half_an_hour")]
    #[schemars(range(min = 1, max = 86_400))]
    pub time_limit_s: u32,
}

fn terraform() -> String {
    "terraform".to_owned()
}

const fn half_an_hour() -> u32 {
    1_800
}

/// A configuration that is applied. Taken back, all of it is destroyed if nothing was there before;
/// else the configuration in `before` is applied again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TerraformApply {
    /// The configuration.
    pub place: TerraformPlace,
    /// The folder of the configuration that was applied before, with the same backend. It must be
    /// said where the state holds something already.
    #[schemars(length(min = 1, max = 4096))]
    pub before: Option<String>,
}

/// A configuration all of which is destroyed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TerraformDestroy {
    /// The configuration.
    pub place: TerraformPlace,
}

pub(super) const APPLY: Descriptor = Descriptor {
    name: "terraform.apply",
    does: "apply a configuration of Terraform",
    safety: Safety::Mutating,
    repeat: Repeat::Probe,
    undo: UndoKind::Own,
    undo_reach: UndoReach::BeforeCommit,
    fencing: Fencing::None,
    approval: ApprovalMode::None,
    gates: &[],
    inputs: super::schema_of::<TerraformApply>,
    check: |with| checked::<TerraformApply>(with, |it, errors| check(&it.place, errors)),
};

pub(super) const DESTROY: Descriptor = Descriptor {
    name: "terraform.destroy",
    does: "destroy all that a configuration of Terraform has made",
    safety: Safety::Mutating,
    repeat: Repeat::Probe,
    undo: UndoKind::ByPlan,
    undo_reach: UndoReach::BeforeCommit,
    fencing: Fencing::None,
    approval: ApprovalMode::None,
    gates: &[],
    inputs: super::schema_of::<TerraformDestroy>,
    check: |with| checked::<TerraformDestroy>(with, |it, errors| check(&it.place, errors)),
};

/// Variables by which Terraform would do another thing than it was told.
const OURS: [&str; 4] = ["TF_CLI_ARGS", "TF_DATA_DIR", "TF_WORKSPACE", "TF_VAR"];

fn check(place: &TerraformPlace, errors: &mut Vec<InputError>) {
    for name in place.env.keys().filter(|name| OURS.iter().any(|ours| name.starts_with(ours))) {
        let pointer = format!("/place/env/{name}");
        let remedy = "take it out; variables of the configuration stand under `variables`";
        errors.push(InputError::new(pointer, "is for Terraform's own command line", remedy));
    }
}
