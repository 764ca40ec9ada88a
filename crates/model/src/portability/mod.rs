//! What crosses a border: the scenarios, the words for what a bundle contains, and its manifest.

mod content;
mod manifest;
mod scenario;

pub use content::ContentType;
pub use manifest::{
    BUNDLE_VERSION, BundleContent, BundleGovernance, BundleManifest, Encryption, EvidenceRange,
    MANIFEST_BYTES_MAX, ManifestError, Producer,
};
pub use scenario::Scenario;
