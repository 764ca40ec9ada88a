//! What an environment can import and export, and what it cannot (`claims.json`). The claims of a
//! target are compared with what a bundle needs before anything is sent, and again by the target.

mod compare;
mod needs;
mod of_build;

use std::fmt;

use carnet_document::InputError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ContentType, Scenario, reading};

pub use compare::{Claim, ClaimRefusal, compare};
pub use needs::{DiskNeed, Needs, Parts, StatefulPart};
pub use of_build::{Build, DiskLimit, Environment, OwnLimit};

/// The version of the document.
pub const CLAIMS_VERSION: &str = "carnet-claims-1";
/// The word that stands for any jurisdiction or classification.
pub const ANY: &str = "*";

/// What an environment says about itself. What is not named is not claimed, and is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Carnet capability claims")]
pub struct Claims {
    /// The version of the document: carnet-claims-1.
    #[schemars(schema_with = "version_schema")]
    pub version: String,
    /// The name of the environment.
    #[schemars(length(min = 1, max = 256))]
    pub environment: String,
    /// The scenarios that it can take in.
    pub import: Vec<Scenario>,
    /// The scenarios that it can send out.
    pub export: Vec<Scenario>,
    /// The versions of bundles that it reads.
    pub bundle_versions: Vec<String>,
    /// The types of contents that it knows.
    pub content_types: Vec<ContentType>,
    /// Disks of virtual machines.
    pub disk: DiskClaim,
    /// What runs workloads there.
    pub runtimes: Vec<Runtime>,
    /// The evidence profiles that it reads.
    pub evidence_profiles: Vec<String>,
    /// The ways of hashing events that it checks.
    pub hash_profiles: Vec<String>,
    /// The policies that it can enforce.
    pub policies: Vec<PolicyClaim>,
    /// The encryption schemes that it opens.
    pub encryption: Vec<String>,
    /// The jurisdictions whose content it takes; `*` for any.
    pub jurisdictions: Vec<String>,
    /// The classifications that it takes; `*` for any.
    pub classifications: Vec<String>,
    /// Stateful assets that cannot be moved, each with another way.
    pub limits: Vec<StatefulLimit>,
    /// What this build or machine lacks.
    pub absent: Vec<Absent>,
}

/// What disks of virtual machines it takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct DiskClaim {
    /// Their formats.
    pub formats: Vec<DiskFormat>,
    /// The size that a machine sees, at most, in bytes.
    pub virtual_bytes_max: u64,
    /// Whether a machine with a TPM finds its state again.
    pub tpm: bool,
}

/// The format of a disk image.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum DiskFormat {
    /// QEMU's.
    Qcow2,
    /// The bytes of the disk.
    Raw,
}

impl DiskFormat {
    /// The word in documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Qcow2 => "qcow2",
            Self::Raw => "raw",
        }
    }
}

/// What runs workloads.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Runtime {
    /// Containers, by podman.
    Podman,
    /// Virtual machines, by QEMU.
    Qemu,
}

impl Runtime {
    /// The word in documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Podman => "podman",
            Self::Qemu => "qemu",
        }
    }
}

/// A policy that can be enforced.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct PolicyClaim {
    /// The engine.
    pub engine: String,
    /// The language of its rules, such as rego.v1.
    pub language: String,
}

/// A stateful asset that no bundle carries as it is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum StatefulAsset {
    /// A volume that a cluster or a runtime manages: a claim of Kubernetes, a named volume.
    VolumeClaim,
    /// The files and the internal state of a database that somebody else runs.
    ManagedDatabaseInternals,
    /// A folder of the machine that a workload sees.
    HostPath,
    /// A device of the machine that a workload uses.
    HostDevice,
}

impl StatefulAsset {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::VolumeClaim, Self::ManagedDatabaseInternals, Self::HostPath, Self::HostDevice];

    /// The word in documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::VolumeClaim => "volume_claim",
            Self::ManagedDatabaseInternals => "managed_database_internals",
            Self::HostPath => "host_path",
            Self::HostDevice => "host_device",
        }
    }
}

impl fmt::Display for StatefulAsset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Another way for what cannot be moved as it is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum AlternativePath {
    /// Its files or objects travel as data (`data_only`).
    ObjectExport,
    /// Its records travel as a snapshot (`data_only`).
    SnapshotExport,
    /// Only the evidence about it travels (`evidence_only`).
    EvidenceOnly,
}

impl AlternativePath {
    /// The word in documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ObjectExport => "object_export",
            Self::SnapshotExport => "snapshot_export",
            Self::EvidenceOnly => "evidence_only",
        }
    }

    /// The scenario that takes this way.
    pub const fn scenario(self) -> Scenario {
        match self {
            Self::ObjectExport | Self::SnapshotExport => Scenario::DataOnly,
            Self::EvidenceOnly => Scenario::EvidenceOnly,
        }
    }

    /// What to do, for people.
    pub const fn does(self) -> &'static str {
        match self {
            Self::ObjectExport => "export its files as data, with the scenario data_only",
            Self::SnapshotExport => "export its records as a snapshot, with the scenario data_only",
            Self::EvidenceOnly => "export the evidence about it, with the scenario evidence_only",
        }
    }
}

/// A stateful asset that cannot be moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct StatefulLimit {
    /// Which.
    pub asset: StatefulAsset,
    /// Why not.
    pub why: String,
    /// The other way.
    pub alternative: AlternativePath,
}

/// Something that this build or machine lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Absent {
    /// What.
    pub what: String,
    /// Why: a feature that was left out, a program that is not there.
    pub why: String,
    /// What to do about it.
    pub remedy: String,
}

fn version_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "string", "const": CLAIMS_VERSION })
}

impl Claims {
    /// The JSON Schema of the document.
    pub fn schema() -> Value {
        reading::schema_of::<Self>()
    }

    /// Reads a document: all that is wrong is told.
    pub fn read(bytes: &[u8]) -> Result<Self, Vec<InputError>> {
        reading::read(bytes)
    }

    /// Its bytes in a bundle: the RFC 8785 form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let value = carnet_document::canonical_value(self);
        carnet_ledger::HashProfile::Rfc8785Sha256V1.canonical(&value).into_bytes()
    }
}

#[cfg(test)]
mod tests;
