//! The plan as it is written, after defaults. The JSON Schema is made from these types.

use schemars::JsonSchema;
use serde::Serialize;

use super::knowledge::Knowledge;
use super::written::{Label, MigrationName, Period, WrittenPath};

/// A plan: what is done, under which rules, and what happens then. Its process is a built-in one,
/// `knowledge/v1`, or the phases that it writes out itself.
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
}

impl Document {
    /// The knowledge base that moves, where the plan's process is `knowledge/v1`.
    pub fn knowledge(&self) -> Option<&Knowledge> {
        match &self.work {
            Work::Knowledge(knowledge) => Some(knowledge),
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
