//! `bundle.export`, `bundle.transfer`, `bundle.verify`, `bundle.import`.

use std::collections::BTreeSet;

use carnet_document::InputError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{ApprovalMode, Descriptor, Fencing, Repeat, Safety, UndoKind, UndoReach, checked};
use crate::plan::Machine;
use crate::portability::{BundleGovernance, ContentType, Scenario};

/// A bundle that is made. The log of the run that makes it travels inside, up to the intent to do so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BundleExport {
    /// The bundle: a folder that is made, in the layout of OCI.
    #[schemars(length(min = 1, max = 4096))]
    pub bundle: String,
    /// What crosses.
    pub scenario: Scenario,
    /// The name of the workload; only with `container` and `vm`.
    #[schemars(regex(pattern = r"^[a-z0-9][a-z0-9_.-]{0,62}$"))]
    pub workload_id: Option<String>,
    /// The environment that it leaves.
    #[schemars(length(min = 1, max = 200))]
    pub source_provider: String,
    /// What goes in: files, and folders with all files in them.
    #[serde(default)]
    pub contents: Vec<Packed>,
    /// The image of a container: `oci:DIR`, `docker-archive:FILE` or
    /// `docker://HOST/NAME@sha256:DIGEST`.
    #[schemars(regex(pattern = r"^(oci|docker-archive|docker):.+$"), length(max = 4096))]
    pub image: Option<String>,
    /// A virtual machine that is off.
    pub machine: Option<Machine>,
    /// What governs the content.
    pub governance: Governed,
    /// The folder of a policy snapshot, as `policy.snapshot` writes it.
    #[schemars(length(min = 1, max = 4096))]
    pub policy: String,
    /// The file with the authorities of the source, in the form of SSH allowed signers.
    #[schemars(length(min = 1, max = 4096))]
    pub authorities: Option<String>,
    /// What the content depends on: the document `dependency-manifest.json`.
    pub dependencies: Map<String, Value>,
    /// For whom sensitive contents are encrypted: `age1…`, or public keys of SSH.
    #[serde(default)]
    pub recipients: Vec<String>,
}

/// What goes into a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Packed {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: ContentType,
    /// Its path in the bundle; of a folder, where its files lie.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
    /// The file or folder, from the folder of the plan.
    #[schemars(length(min = 1, max = 4096))]
    pub from: String,
}

/// What governs the content: stated, or in the file that came with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Governed {
    /// In a file: its bytes are kept as they are.
    File(GovernanceFile),
    /// Stated.
    Stated(BundleGovernance),
}

/// A file with governance metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GovernanceFile {
    /// The file.
    #[schemars(length(min = 1, max = 4096))]
    pub file: String,
}

/// A bundle that is brought to the other side, blob by blob: what is there already is not sent again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BundleTransfer {
    /// The bundle.
    #[schemars(length(min = 1, max = 4096))]
    pub from: String,
    /// Its new place: a folder.
    #[schemars(length(min = 1, max = 4096))]
    pub to: String,
}

/// A bundle that is compared with what it says about itself, and with what was placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BundleVerify {
    /// The bundle: a folder or a tar.
    #[schemars(length(min = 1, max = 4096))]
    pub bundle: String,
    /// What must cross in it; anything if nothing is said.
    pub scenario: Option<Scenario>,
    /// The public keys (`.vkey`) of logs whose evidence is believed.
    #[serde(default)]
    pub keys: Vec<String>,
    /// The file with the key that opens what is encrypted.
    #[schemars(length(min = 1, max = 4096))]
    pub identity: Option<String>,
    /// The folder into which its contents were placed: they are read again, and must have the same
    /// root.
    #[schemars(length(min = 1, max = 4096))]
    pub placed: Option<String>,
}

/// The contents of a bundle that are placed, or its papers alone: what a decision about it is made of.
/// They are checked on the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BundleImport {
    /// The bundle: a folder or a tar.
    #[schemars(length(min = 1, max = 4096))]
    pub bundle: String,
    /// The folder into which its contents are placed. It must not be there, or be empty.
    #[schemars(length(min = 1, max = 4096))]
    pub place: String,
    /// The file with the key that opens what is encrypted.
    #[schemars(length(min = 1, max = 4096))]
    pub identity: Option<String>,
    /// Whether only its papers are placed: manifest, governance, dependencies, claims, policy,
    /// authority.
    #[serde(default)]
    pub papers: bool,
}

pub(super) const EXPORT: Descriptor = Descriptor {
    name: "bundle.export",
    does: "make a bundle with its policy, authorities and evidence",
    safety: Safety::Mutating,
    repeat: Repeat::Again,
    undo: UndoKind::Own,
    undo_reach: UndoReach::BeforeCommit,
    fencing: Fencing::None,
    approval: ApprovalMode::None,
    gates: &[],
    inputs: super::schema_of::<BundleExport>,
    check: |with| checked::<BundleExport>(with, check_export),
};

pub(super) const TRANSFER: Descriptor = Descriptor {
    name: "bundle.transfer",
    does: "bring a bundle to another place, blob by blob",
    inputs: super::schema_of::<BundleTransfer>,
    check: |with| checked::<BundleTransfer>(with, check_transfer),
    ..EXPORT
};

pub(super) const VERIFY: Descriptor = Descriptor {
    name: "bundle.verify",
    does: "compare a bundle with what it says about itself, and with what was placed",
    safety: Safety::ReadOnly,
    undo: UndoKind::Nothing,
    undo_reach: UndoReach::Nowhere,
    inputs: super::schema_of::<BundleVerify>,
    check: |with| checked::<BundleVerify>(with, |_, _| {}),
    ..EXPORT
};

pub(super) const IMPORT: Descriptor = Descriptor {
    name: "bundle.import",
    does: "place the contents of a bundle",
    inputs: super::schema_of::<BundleImport>,
    check: |with| checked::<BundleImport>(with, check_import),
    ..EXPORT
};

fn check_export(export: &BundleExport, errors: &mut Vec<InputError>) {
    match (export.scenario.has_workload(), &export.workload_id) {
        (true, None) => {
            let what = format!("is missing, and the scenario is {}", export.scenario);
            errors.push(InputError::new("/workload_id", what, "name the workload"));
        }
        (false, Some(_)) => {
            let what = format!("is there, and nothing runs in the scenario {}", export.scenario);
            errors.push(InputError::new("/workload_id", what, "take it out"));
        }
        (true, Some(_)) | (false, None) => {}
    }
    let mut seen = BTreeSet::new();
    for (place, packed) in export.contents.iter().enumerate() {
        if !seen.insert(packed.path.to_lowercase()) {
            let pointer = format!("/contents/{place}/path");
            let what = "another content has this path, or differs only in case";
            errors.push(InputError::new(pointer, what, "give each a path of its own"));
        }
        if made_by_export(packed.kind) {
            let pointer = format!("/contents/{place}/type");
            let what = format!("{} is made by the export itself", packed.kind);
            errors.push(InputError::new(pointer, what, "take it out"));
        }
    }
}

/// What an export makes itself, of its other inputs.
const fn made_by_export(kind: ContentType) -> bool {
    match kind {
        ContentType::GovernanceMetadata
        | ContentType::PolicySnapshot
        | ContentType::AuthoritySnapshot
        | ContentType::DependencyManifest => true,
        ContentType::WorkloadDefinition
        | ContentType::Config
        | ContentType::DataSnapshot
        | ContentType::Sbom
        | ContentType::EvidenceChainSegment
        | ContentType::ContainerImage
        | ContentType::DiskImage
        | ContentType::FirmwareVariables
        | ContentType::VtpmState
        | ContentType::Attestation
        | ContentType::Provenance
        | ContentType::UsageReceipt
        | ContentType::CapabilityClaim
        | ContentType::VerifierInputs => false,
    }
}

fn check_transfer(transfer: &BundleTransfer, errors: &mut Vec<InputError>) {
    if transfer.from == transfer.to {
        errors.push(InputError::new("/to", "is the bundle itself", "name another place"));
    }
}

fn check_import(import: &BundleImport, errors: &mut Vec<InputError>) {
    if import.bundle == import.place {
        errors.push(InputError::new("/place", "is the bundle itself", "name another folder"));
    }
}
