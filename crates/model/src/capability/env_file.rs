//! `env.set`: the switch that points clients to one side.

use carnet_document::InputError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ApprovalMode, Descriptor, Fencing, Repeat, Safety, UndoKind, UndoReach, checked};

pub(super) const NAME: &str = "env.set";

/// A variable in an environment file. Everything else in the file stays as it is, and its undo puts
/// the old bytes back exactly, on every way back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnvSet {
    /// The file, from the folder of the plan.
    #[schemars(length(min = 1, max = 4096))]
    pub env_file: String,
    /// The variable.
    #[schemars(regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]{0,254}$"))]
    pub key: String,
    /// What it is set to. It is recorded.
    #[schemars(length(min = 1, max = 4096))]
    pub value: String,
}

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    name: NAME,
    does: "set a variable in an environment file",
    safety: Safety::Mutating,
    repeat: Repeat::Probe,
    undo: UndoKind::Own,
    undo_reach: UndoReach::Always,
    fencing: Fencing::Conditional,
    approval: ApprovalMode::None,
    gates: &[],
    inputs: super::schema_of::<EnvSet>,
    check: |with| checked::<EnvSet>(with, check),
};

fn check(set: &EnvSet, errors: &mut Vec<InputError>) {
    if set.value.chars().any(char::is_control) {
        let remedy = "write what the variable is set to";
        errors.push(InputError::new("/value", "is not one line of text", remedy));
    }
    if set.env_file.ends_with('/') {
        errors.push(InputError::new("/env_file", "is a folder", "write the name of the file"));
    }
    if crate::plan::Masked::of(&set.value).hides() {
        let remedy = "take it out; let the reader of the variable have it from a file of its own";
        errors.push(InputError::new("/value", "has a password in it", remedy));
    }
}
