//! Values that may be secrets.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::input::InputError;

/// A text in the open, or the name of an environment variable that holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Text {
    /// The text itself. It is recorded.
    Plain(String),
    /// Where a secret comes from. Only the name is ever recorded.
    Named(Named),
}

/// The name of an environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// The variable.
    #[schemars(regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]{0,254}$"))]
    pub env: String,
}

/// Refuses a URL with a password in it. Gives whether it was refused.
pub(super) fn no_password(pointer: &str, url: &str, errors: &mut Vec<InputError>) -> bool {
    let place = url.split_once("://").map_or("", |(_, rest)| rest);
    let host = place.split(['/', '?', '#']).next().unwrap_or_default();
    let secret = host.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'));
    if secret {
        errors.push(password_in(pointer));
    }
    secret
}

/// The refusal of a password.
pub(super) fn password_in(pointer: &str) -> InputError {
    let remedy = "take it out: passwords come from the environment";
    InputError::new(pointer, "has a password in it", remedy)
}
