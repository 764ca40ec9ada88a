//! Where the parts of a bundle lie in it.

/// What the bundle says about itself.
pub const MANIFEST_PATH: &str = "manifest.json";
/// What governs the content.
pub const GOVERNANCE_PATH: &str = "governance.json";
/// What the content depends on.
pub const DEPENDENCIES_PATH: &str = "dependency-manifest.json";
/// What the source says it can move.
pub const CLAIMS_PATH: &str = "claims.json";
/// The policy snapshot, whose digest is the `policy_snapshot_id`.
pub const POLICY_PATH: &str = "policy/snapshot.json";
/// The authority snapshot, whose digest is the `authority_snapshot_id`.
pub const AUTHORITY_PATH: &str = "authority/snapshot.json";
/// The folder with the export of the source's log.
pub const EVIDENCE_FOLDER: &str = "evidence";
