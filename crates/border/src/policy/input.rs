//! What a policy decides about when something is to be let in: the shape of `input`
//! (docs/policy.md).

use carnet_document::canonical_value;
use carnet_ledger::{Digest, Value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::authority::AuthoritySnapshot;
use crate::portability::{BundleGovernance, BundleManifest, Scenario};

/// The whole input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdmissionInput {
    /// What is to be let in.
    pub bundle: AdmissionBundle,
    /// The environment that it is to be let into.
    pub target: AdmissionTarget,
    /// Who had authority where it comes from.
    pub authority: AuthoritySnapshot,
    /// When it is decided (RFC 3339, UTC): policies have no clock of their own.
    pub now: String,
}

/// What is to be let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdmissionBundle {
    /// What it moves.
    pub scenario: Scenario,
    /// The workload; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_id: Option<String>,
    /// What governs it.
    pub governance: BundleGovernance,
    /// The dependency manifest, as it is in the bundle.
    pub dependencies: Value,
    /// The environment that it left.
    pub source_provider: String,
    /// The root over its content.
    pub content_root: Digest,
    /// What it contains: the types of content, sorted, each once.
    pub content_types: Vec<String>,
}

/// The environment that decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct AdmissionTarget {
    /// Its name.
    pub name: String,
    /// Whose law applies there, such as `DE`.
    pub jurisdiction: String,
    /// The classifications that it may hold.
    pub classifications: Vec<String>,
    /// Labels of where it is, such as `eu-central` or `rack-7`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub placement: Vec<String>,
}

impl AdmissionBundle {
    /// What is said about a bundle by its manifest and its dependency manifest.
    pub fn of(manifest: &BundleManifest, dependencies: Value) -> Self {
        let mut types: Vec<String> =
            manifest.contents.iter().map(|content| content.kind.name().to_owned()).collect();
        types.sort();
        types.dedup();
        Self {
            scenario: manifest.scenario,
            workload_id: manifest.workload_id.clone(),
            governance: manifest.governance_metadata.clone(),
            dependencies,
            source_provider: manifest.source_provider.clone(),
            content_root: manifest.content_root,
            content_types: types,
        }
    }
}

impl AdmissionInput {
    /// The input as a policy is shown it.
    pub fn value(&self) -> Value {
        canonical_value(self)
    }
}
