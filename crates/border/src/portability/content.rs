//! The words for what a bundle contains: those of Core10-10, and those that WS6 needs beside them.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What one item of a bundle is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum ContentType {
    // Core10-10.
    /// How a workload is run: a compose file, or manifests of Kubernetes.
    WorkloadDefinition,
    /// A file that a workload reads.
    Config,
    /// Data: a file of a snapshot, or a Parquet file.
    DataSnapshot,
    /// The list of the parts of a component.
    Sbom,
    /// A part of an evidence log.
    EvidenceChainSegment,
    // What WS6 needs beside them; the profile claim says so.
    /// A part of a container image, in the layout of OCI.
    ContainerImage,
    /// The disk of a virtual machine.
    DiskImage,
    /// The variables of its firmware.
    FirmwareVariables,
    /// The state of its TPM.
    VtpmState,
    /// A statement about the machine that its TPM or its host signed.
    Attestation,
    /// Where a component comes from.
    Provenance,
    /// Who used data, for what, and how much.
    UsageReceipt,
    /// Jurisdiction, classification, retention, and where evidence is found.
    GovernanceMetadata,
    /// The rules in force at the source.
    PolicySnapshot,
    /// Who had authority at the source.
    AuthoritySnapshot,
    /// What the content depends on, and what could take its place.
    DependencyManifest,
    /// What the source says it can move, and what not.
    CapabilityClaim,
    /// What a verifier of the evidence is given.
    VerifierInputs,
}

impl ContentType {
    /// All words.
    pub const ALL: [Self; 18] = [
        Self::WorkloadDefinition,
        Self::Config,
        Self::DataSnapshot,
        Self::Sbom,
        Self::EvidenceChainSegment,
        Self::ContainerImage,
        Self::DiskImage,
        Self::FirmwareVariables,
        Self::VtpmState,
        Self::Attestation,
        Self::Provenance,
        Self::UsageReceipt,
        Self::GovernanceMetadata,
        Self::PolicySnapshot,
        Self::AuthoritySnapshot,
        Self::DependencyManifest,
        Self::CapabilityClaim,
        Self::VerifierInputs,
    ];

    /// The word in manifests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WorkloadDefinition => "workload_definition",
            Self::Config => "config",
            Self::DataSnapshot => "data_snapshot",
            Self::Sbom => "sbom",
            Self::EvidenceChainSegment => "evidence_chain_segment",
            Self::ContainerImage => "container_image",
            Self::DiskImage => "disk_image",
            Self::FirmwareVariables => "firmware_variables",
            Self::VtpmState => "vtpm_state",
            Self::Attestation => "attestation",
            Self::Provenance => "provenance",
            Self::UsageReceipt => "usage_receipt",
            Self::GovernanceMetadata => "governance_metadata",
            Self::PolicySnapshot => "policy_snapshot",
            Self::AuthoritySnapshot => "authority_snapshot",
            Self::DependencyManifest => "dependency_manifest",
            Self::CapabilityClaim => "capability_claim",
            Self::VerifierInputs => "verifier_inputs",
        }
    }

    /// Whether it counts for the `content_root`: evidence, and what is made for one export alone,
    /// do not.
    pub const fn is_content(self) -> bool {
        match self {
            Self::EvidenceChainSegment | Self::VerifierInputs | Self::CapabilityClaim => false,
            Self::WorkloadDefinition
            | Self::Config
            | Self::DataSnapshot
            | Self::Sbom
            | Self::ContainerImage
            | Self::DiskImage
            | Self::FirmwareVariables
            | Self::VtpmState
            | Self::Attestation
            | Self::Provenance
            | Self::UsageReceipt
            | Self::GovernanceMetadata
            | Self::PolicySnapshot
            | Self::AuthoritySnapshot
            | Self::DependencyManifest => true,
        }
    }
}

impl ContentType {
    /// Whether it is one of the papers: what a decision about the bundle is made of. They are never
    /// encrypted.
    pub const fn is_paper(self) -> bool {
        match self {
            Self::GovernanceMetadata
            | Self::PolicySnapshot
            | Self::AuthoritySnapshot
            | Self::DependencyManifest
            | Self::CapabilityClaim
            | Self::WorkloadDefinition
            | Self::Sbom
            | Self::Provenance
            | Self::VerifierInputs
            | Self::EvidenceChainSegment => true,
            Self::Config
            | Self::DataSnapshot
            | Self::ContainerImage
            | Self::DiskImage
            | Self::FirmwareVariables
            | Self::VtpmState
            | Self::Attestation
            | Self::UsageReceipt => false,
        }
    }
}

impl fmt::Display for ContentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_word_is_its_own_and_the_one_that_is_written() {
        let words: BTreeSet<_> = ContentType::ALL.iter().map(|it| it.name()).collect();
        assert_eq!(words.len(), ContentType::ALL.len());
        for one in ContentType::ALL {
            assert_eq!(serde_json::to_value(one).unwrap(), one.name());
        }
    }
}
