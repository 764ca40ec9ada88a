//! `parameter.put`: a secret, or a setting, in a store of parameters.

use carnet_document::InputError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ApprovalMode, Descriptor, Fencing, Repeat, Safety, UndoKind, UndoReach, checked};
use crate::text::Text;

/// A parameter of SSM. Its undo takes it away, or puts back the version that was there before, on
/// every way back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParameterPut {
    /// The URL of the service; Amazon's own if nothing is said.
    #[schemars(regex(pattern = r"^https?://[^/?#@\s]+$"))]
    pub endpoint: Option<String>,
    /// The region.
    #[schemars(regex(pattern = r"^[a-z0-9-]{1,64}$"))]
    pub region: String,
    /// Its name, such as `/carnet/dev_min/DB_PASSWORD`.
    #[schemars(regex(pattern = r"^(/[A-Za-z0-9._-]+)+$"), length(max = 1011))]
    pub name: String,
    /// Its value: text, or the name of a secret in the environment.
    pub value: Text,
    /// `SecureString`, which the service encrypts, or `String`.
    #[serde(default)]
    pub kind: ParameterKind,
    /// Whether one that is there may be replaced.
    #[serde(default)]
    pub replace: bool,
}

/// The kind of a parameter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ParameterKind {
    /// The service encrypts it.
    #[default]
    SecureString,
    /// In the open.
    String,
}

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    name: "parameter.put",
    does: "put a parameter into SSM",
    safety: Safety::Mutating,
    repeat: Repeat::Probe,
    undo: UndoKind::Own,
    undo_reach: UndoReach::BeforeCommit,
    fencing: Fencing::None,
    approval: ApprovalMode::None,
    gates: &[],
    inputs: super::schema_of::<ParameterPut>,
    check: |with| checked::<ParameterPut>(with, check),
};

fn check(put: &ParameterPut, errors: &mut Vec<InputError>) {
    match (&put.value, put.kind) {
        (Text::Plain(_), ParameterKind::SecureString) => {
            let remedy = "write {secret: NAME}, or `kind: String` if everybody may see it";
            errors.push(InputError::new("/value", "a secret stands in the plan", remedy));
        }
        (Text::Secret(_), ParameterKind::String) => {
            let remedy = "leave `kind` out: the service then encrypts it";
            errors.push(InputError::new("/kind", "a secret would lie in the open", remedy));
        }
        (Text::Plain(text), ParameterKind::String) if text.is_empty() => {
            errors.push(InputError::new("/value", "is empty", "write what it is to be"));
        }
        (Text::Plain(_), ParameterKind::String)
        | (Text::Secret(_), ParameterKind::SecureString) => {}
    }
}
