//! Values that may be secrets: what a header says, what a program is given.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A text in the open, or the name of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Text {
    /// The text itself. It is recorded.
    Plain(String),
    /// Where a secret comes from. Only the name is ever recorded.
    Secret(NamedSecret),
}

/// A secret of the environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedSecret {
    /// The environment variable that holds it.
    #[schemars(regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]{0,254}$"))]
    pub secret: String,
    /// What stands before it, such as `Bearer ` with a space at its end.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub before: String,
}
