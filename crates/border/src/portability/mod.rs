//! What crosses a border: the scenarios, the words for what a bundle contains, and its manifest;
//! what it depends on, what an environment can take, and where content comes from.

pub mod claims;
pub mod conformance;
mod content;
mod dependencies;
mod invariant;
mod manifest;
mod place;
mod reading;
mod root;
mod scenario;
pub mod supply;
mod terms;
mod usage;

pub use content::ContentType;
pub use dependencies::{
    Acceptance, DEPENDENCIES_VERSION, Dependency, DependencyManifest, Facet, NotExportable,
};
pub use invariant::{Assessed, Invariant, Shown, Standing};
pub use manifest::{
    BUNDLE_VERSION, BundleContent, BundleGovernance, BundleManifest, Encryption, EvidenceRange,
    MANIFEST_BYTES_MAX, ManifestError, Producer, check_paths,
};
pub use place::{
    AUTHORITY_PATH, CLAIMS_PATH, DEPENDENCIES_PATH, EVIDENCE_FOLDER, GOVERNANCE_PATH,
    MANIFEST_PATH, POLICY_PATH,
};
pub use reading::DOCUMENT_BYTES_MAX;
pub use root::content_root;
pub use scenario::Scenario;
pub use terms::{TermLeft, TermMoment, TermName, Terms};
pub use usage::{USAGE_BYTES_MAX, USAGE_RECEIPTS_MAX, UsageLine, read_usage};
