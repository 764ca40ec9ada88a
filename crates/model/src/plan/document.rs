//! The plan as it is written, after defaults. The JSON Schema is made from these types.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::approvals::{Approval, Exception};
use super::knowledge::Knowledge;
use super::phases::Phases;
use super::portability::{Crossing, Portability};
use super::written::{Label, MigrationName, NodeName, Period, PlanDigest, WrittenPath};
use crate::portability::{DependencyManifest, Terms};

/// A plan: what is done, under which rules, and what happens then. Its process is a built-in one,
/// `knowledge/v1` or `portability/v1`, or the phases that it writes out itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(title = "Carnet plan", deny_unknown_fields)]
pub struct Document {
    /// The version of the plan format.
    pub carnet: Format,
    /// The name of the migration: 1 to 63 of a-z 0-9 -. Its state lives in .carnet/NAME/.
    pub migration: MigrationName,
    /// Who answers for it: a team or a person.
    pub owner: Label,
    /// What the organisation says about the data; recorded in manifest and events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub governance: Option<Governance>,
    /// How the run records what happened.
    #[schemars(with = "Option<Evidence>")]
    pub evidence: Evidence,
    /// The file with the keys that are believed: SSH allowed signers, or OpenPGP keys. The digest of
    /// the plan covers its content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust: Option<WrittenPath>,
    /// What is depended on, and what could take its place; published as evidence when a run starts.
    /// `carnet schema dependencies` prints its keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub dependencies: Option<DependencyManifest>,
    /// The dates of a switch between providers: notice, transition, retrieval, erasure.
    /// `carnet schema terms` prints its keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub terms: Option<Terms>,
    /// Who may approve what. In a plan of knowledge/v1 each is named like the phase that waits for
    /// it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(default, with = "BTreeMap<String, Approval>", extend("propertyNames" = {
        "pattern": "^[a-z0-9][a-z0-9_-]{0,62}$",
    }))]
    pub approvals: BTreeMap<NodeName, Approval>,
    /// Gates that may stay closed until a moment, each with an approval.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub exceptions: Vec<Exception>,
    /// The digest of the plan that this one amends: sha256: and 64 hex digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amends: Option<PlanDigest>,
    /// What is done.
    #[serde(flatten)]
    #[schemars(skip)]
    pub work: Work,
}

/// What a plan does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Work {
    /// It moves a knowledge base, by a built-in process.
    Knowledge(Box<Knowledge>),
    /// It moves a workload, data or evidence in a bundle, by a built-in process.
    Crossing(Box<Crossing>),
    /// It does what its phases say.
    Phases(Phases),
}

impl Document {
    /// The knowledge base that moves, where the plan's process is `knowledge/v1`.
    pub fn knowledge(&self) -> Option<&Knowledge> {
        match &self.work {
            Work::Knowledge(knowledge) => Some(knowledge),
            Work::Crossing(_) | Work::Phases(_) => None,
        }
    }

    /// What crosses in a bundle, where the plan's process is `portability/v1`.
    pub fn portability(&self) -> Option<&Portability> {
        match &self.work {
            Work::Crossing(crossing) => Some(&crossing.portability),
            Work::Knowledge(_) | Work::Phases(_) => None,
        }
    }

    /// The phases, where the plan writes them out itself.
    pub fn phases(&self) -> Option<&Phases> {
        match &self.work {
            Work::Knowledge(_) | Work::Crossing(_) => None,
            Work::Phases(phases) => Some(phases),
        }
    }
}

/// The version of the plan format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(inline)]
pub enum Format {
    /// The first.
    #[serde(rename = "v1")]
    V1,
}

/// What the organisation says about the data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Governance {
    /// Whose law applies, such as DE.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jurisdiction: Option<Label>,
    /// How confidential it is, such as internal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classification: Option<Label>,
    /// How long evidence and archive are kept: an ISO 8601 duration such as P365D.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention: Option<Period>,
}

/// How the run records what happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Evidence {
    /// What the evidence must hold: fields of each event, families of events, the chain.
    #[schemars(default)]
    pub profile: EvidenceProfile,
    /// The tenant that stands in each event; the owner if nothing is said.
    #[schemars(with = "Option<Label>")]
    pub tenant: Label,
    /// How events are hashed.
    #[schemars(default)]
    pub hash_profile: HashProfile,
    /// The file of the private key that signs checkpoints and manifests; `carnet key new` makes
    /// one. The public key stands beside it, as FILE.vkey. Without one nothing is signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signer: Option<WrittenPath>,
    /// Whether the first run makes the key, should it be missing. For trying things out: elsewhere
    /// a key is made on purpose.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(default)]
    pub create_signer: bool,
}

/// What the evidence must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[schemars(inline)]
pub enum EvidenceProfile {
    /// The common envelope.
    #[default]
    #[serde(rename = "ecs-evidence-baseline")]
    Baseline,
    /// The envelope, the hash chain, and a declared way out.
    #[serde(rename = "ecs-evidence-admissible")]
    Admissible,
    /// The envelope, the dependencies, and each artifact by its digest.
    #[serde(rename = "ecs-evidence-ncp")]
    Ncp,
}

/// How events are hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[schemars(inline)]
pub enum HashProfile {
    /// Sorted keys, no spaces, non-ASCII escaped.
    #[default]
    #[serde(rename = "ecs-hash-v1")]
    EcsHashV1,
    /// The form of RFC 8785.
    #[serde(rename = "rfc8785-sha256-v1")]
    Rfc8785,
}

impl From<HashProfile> for carnet_ledger::HashProfile {
    fn from(profile: HashProfile) -> Self {
        match profile {
            HashProfile::EcsHashV1 => Self::EcsHashV1,
            HashProfile::Rfc8785 => Self::Rfc8785Sha256V1,
        }
    }
}

impl From<EvidenceProfile> for carnet_ledger::EvidenceProfile {
    fn from(profile: EvidenceProfile) -> Self {
        match profile {
            EvidenceProfile::Baseline => Self::Baseline,
            EvidenceProfile::Admissible => Self::Admissible,
            EvidenceProfile::Ncp => Self::Ncp,
        }
    }
}
