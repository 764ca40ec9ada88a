//! What a bundle needs of the environment that takes it in.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DiskFormat, Runtime, StatefulAsset};
use crate::portability::{BundleManifest, ContentType, Scenario};
use crate::workload::{self, DefinitionForm, MachineFile, StatefulKind, Workload};

/// The language of the policies that bundles carry.
const REGO: &str = "rego.v1";

/// What a bundle needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Needs {
    /// Its version.
    pub bundle_version: String,
    /// What it moves.
    pub scenario: Scenario,
    /// The types of its contents.
    pub content_types: BTreeSet<ContentType>,
    /// The profile of its evidence.
    pub evidence_profile: String,
    /// How its events are hashed.
    pub hash_profile: String,
    /// The language of its rules; absent if it carries none.
    pub policy_language: Option<String>,
    /// The encryption schemes of its contents.
    pub encryption: BTreeSet<String>,
    /// Whose law applies to it.
    pub jurisdiction: String,
    /// How confidential it is.
    pub classification: String,
    /// The disk of its virtual machine.
    pub disk: Option<DiskNeed>,
    /// What must run it.
    pub runtime: Option<Runtime>,
    /// What of the source is stateful, and not in the bundle as data.
    pub stateful: Vec<StatefulPart>,
}

/// The disk of a virtual machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskNeed {
    /// Its format.
    pub format: DiskFormat,
    /// The size that the machine sees, in bytes.
    pub virtual_bytes: u64,
    /// Whether the machine has a TPM.
    pub tpm: bool,
}

/// A stateful asset that the workload or the data rest on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct StatefulPart {
    /// Of what kind.
    pub asset: StatefulAsset,
    /// Which: the name of the volume, the database, the path.
    pub name: String,
}

/// What a manifest does not say, and the contents do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parts {
    /// From `machine/machine.json`.
    pub disk: Option<DiskNeed>,
    /// From the workload definition and the plan.
    pub stateful: Vec<StatefulPart>,
}

impl Parts {
    /// What the definition of a workload and `machine/machine.json` say, where there are any. Why not
    /// is told in words.
    pub fn read(
        definition: Option<(DefinitionForm, &str)>,
        machine: Option<&[u8]>,
    ) -> Result<Self, String> {
        let stateful = match definition {
            None => Vec::new(),
            Some((form, text)) => {
                let found = Workload::read(form, text).map_err(|findings| {
                    let first = findings.first().map_or_else(String::new, |it| it.message.clone());
                    format!("{}: {first}", form.path())
                })?;
                found.stateful_parts().iter().map(StatefulPart::of).collect()
            }
        };
        let machine = machine.map(MachineFile::read).transpose();
        let machine = machine.map_err(|error| error.to_string())?;
        let disk = machine.map(|machine| DiskNeed {
            format: match machine.disk_format {
                workload::DiskFormat::Qcow2 => DiskFormat::Qcow2,
                workload::DiskFormat::Raw => DiskFormat::Raw,
            },
            virtual_bytes: machine.disk_virtual_size,
            tpm: machine.tpm,
        });
        Ok(Self { disk, stateful })
    }
}

impl StatefulPart {
    fn of(part: &workload::StatefulPart) -> Self {
        let asset = match part.kind {
            StatefulKind::VolumeClaim => StatefulAsset::VolumeClaim,
        };
        Self { asset, name: part.name.clone() }
    }
}

impl Needs {
    /// What this bundle needs.
    pub fn of(manifest: &BundleManifest, parts: &Parts) -> Self {
        let contents = &manifest.contents;
        let rules =
            |path: &str| path.starts_with("policy/") && path.strip_suffix(".rego").is_some();
        let encryption = contents.iter().filter_map(|it| it.encryption.as_ref());
        Self {
            bundle_version: manifest.version.clone(),
            scenario: manifest.scenario,
            content_types: contents.iter().map(|it| it.kind).collect(),
            evidence_profile: manifest.evidence_profile_id.clone(),
            hash_profile: manifest.hash_profile_id.clone(),
            policy_language: contents.iter().any(|it| rules(&it.path)).then(|| REGO.to_owned()),
            encryption: encryption.map(|it| it.scheme.clone()).collect(),
            jurisdiction: manifest.governance_metadata.jurisdiction.clone(),
            classification: manifest.governance_metadata.classification.clone(),
            disk: parts.disk,
            runtime: match manifest.scenario {
                Scenario::Container => Some(Runtime::Podman),
                Scenario::Vm => Some(Runtime::Qemu),
                Scenario::DataOnly | Scenario::EvidenceOnly => None,
            },
            stateful: parts.stateful.clone(),
        }
    }
}
