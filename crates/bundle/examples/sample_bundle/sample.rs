//! A bundle with every part that one must have, around contents of the caller.

use std::path::Path;

use carnet_bundle::{
    BundleError, BundleItem, BundleMembers, Recipients, Sealed, Work, lay_out, seal,
};
use carnet_model::portability::{
    AUTHORITY_PATH, BundleGovernance, CLAIMS_PATH, ContentType, DEPENDENCIES_PATH, EVIDENCE_FOLDER,
    EvidenceRange, POLICY_PATH, Producer, Scenario,
};

use super::evidence;

/// What governs the sample.
pub(crate) fn governance() -> BundleGovernance {
    BundleGovernance {
        jurisdiction: "DE".to_owned(),
        classification: "internal".to_owned(),
        retention: "P365D".to_owned(),
        evidence_pointers: vec![format!("eosc://evidence/sha256:{}", "0".repeat(64))],
    }
}

/// What must be in every bundle beside the data.
pub(crate) fn needed() -> Vec<BundleItem> {
    let json = "application/json";
    let item = |kind, path: &str, text: &str| BundleItem::bytes(kind, path, json, text);
    vec![
        BundleItem::governance(&governance()),
        item(ContentType::PolicySnapshot, POLICY_PATH, r#"{"modules":[]}"#),
        item(ContentType::AuthoritySnapshot, AUTHORITY_PATH, r#"{"approvers":[]}"#),
        item(ContentType::DependencyManifest, DEPENDENCIES_PATH, r#"{"dependencies":[]}"#),
    ]
}

/// What the manifest says.
pub(crate) fn members() -> BundleMembers {
    BundleMembers {
        created: "2026-11-21T10:00:00Z".to_owned(),
        source_provider: "lab".to_owned(),
        tenant_id: evidence::TENANT.to_owned(),
        scenario: Scenario::DataOnly,
        workload_id: None,
        evidence_profile_id: evidence::PROFILE.to_owned(),
        profile_version: "1.0".to_owned(),
        hash_profile_id: evidence::HASH_PROFILE.name().to_owned(),
        producer_identity: Producer {
            issuer_id: "data-platform".to_owned(),
            producer_id: "sample".to_owned(),
        },
        scope: EvidenceRange { from_sequence: 0, to_sequence: evidence::LAST },
        governance_metadata: governance(),
    }
}

/// The evidence that names a content root, as contents.
pub(crate) fn evidence_items(files: evidence::Files) -> Vec<BundleItem> {
    let item = |(name, bytes): (String, Vec<u8>)| {
        let kind = match name.as_str() {
            "verifier-inputs.json" => ContentType::VerifierInputs,
            _ => ContentType::EvidenceChainSegment,
        };
        let path = format!("{EVIDENCE_FOLDER}/{name}");
        BundleItem::bytes(kind, path, "application/octet-stream", bytes)
    };
    let claims = BundleItem::bytes(
        ContentType::CapabilityClaim,
        CLAIMS_PATH,
        "application/json",
        r#"{"imports":[]}"#,
    );
    files.into_iter().map(item).chain([claims]).collect()
}

/// Makes a whole bundle.
pub(crate) fn make(
    folder: &Path,
    data: Vec<BundleItem>,
    recipients: Option<&Recipients>,
    work: &Work<'_>,
) -> Result<Sealed, BundleError> {
    let items = needed().into_iter().chain(data).collect();
    let laid = lay_out(folder, items, recipients, work)?;
    let evidence = evidence_items(evidence::export(laid.content_root()));
    seal(laid, evidence, members(), None, work)
}
