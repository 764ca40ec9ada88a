//! How a broker is spoken to, where not everybody may.

use carnet_document::InputError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::limits::check_text;
use crate::{NamedSecret, Text};

/// TLS: each broker must show a certificate for the name by which it is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Tls {
    /// A PEM file with the roots to trust, relative to the plan's folder; those of the machine if
    /// nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roots: Option<String>,
}

/// A user and a password, by SASL's PLAIN (RFC 4616).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Login {
    /// The user: text, or the name of a secret in the environment.
    pub user: Text,
    /// The name of the secret that is the password.
    pub password: NamedSecret,
}

/// What is wrong with them. PLAIN sends the password as it is, so that only TLS keeps it.
pub(super) fn check_access(tls: Option<&Tls>, login: Option<&Login>) -> Vec<InputError> {
    let mut errors = Vec::new();
    if let Some(roots) = tls.and_then(|tls| tls.roots.as_deref()) {
        errors.extend(check_text("/tls/roots", roots));
    }
    if tls.is_none() && login.is_some() {
        let what = "the password would be sent for everybody to read";
        errors.push(InputError::new("/login", what, "add `tls: {}`, or take the login out"));
    }
    if let Some(Text::Plain(user)) = login.map(|login| &login.user) {
        errors.extend(check_text("/login/user", user));
    }
    errors
}
