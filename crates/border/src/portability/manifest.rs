//! The manifest of a bundle (`manifest.json`): that of Core10-10 with what WS6 asks for, read with
//! every wrong key told.

use std::collections::BTreeSet;

use carnet_document::canonical_json;
use carnet_ledger::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ContentType, Scenario};

/// The version of the manifest that is written and read.
pub const BUNDLE_VERSION: &str = "carnet-bundle-1";
/// The size that a manifest has at most: about 40,000 contents.
pub const MANIFEST_BYTES_MAX: usize = 16 << 20;
/// The length that a path in a bundle has at most, in bytes.
const PATH_BYTES_MAX: usize = 1024;

/// What a bundle says about itself. Its bytes are the RFC 8785 form of this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleManifest {
    /// [`BUNDLE_VERSION`].
    pub version: String,
    /// When it was made (RFC 3339, UTC).
    pub created: String,
    /// The environment that it leaves.
    pub source_provider: String,
    /// Whose it is.
    pub tenant_id: String,
    /// What it moves.
    pub scenario: Scenario,
    /// The workload; there is one in the scenarios `container` and `vm`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload_id: Option<String>,
    /// The profile of the evidence inside.
    pub evidence_profile_id: String,
    /// The version of that profile.
    pub profile_version: String,
    /// How its events are hashed.
    pub hash_profile_id: String,
    /// Who made it.
    pub producer_identity: Producer,
    /// The part of the source's log that is inside.
    pub scope: EvidenceRange,
    /// Everything inside, in byte order of path.
    pub contents: Vec<BundleContent>,
    /// RFC 6962 root over the contents that count (`docs/formats.md`).
    pub content_root: Digest,
    /// What governs the content.
    pub governance_metadata: BundleGovernance,
    /// The policy snapshot: `sha256:<hex>`, the digest of a content of that type.
    pub policy_snapshot_id: String,
    /// The authority snapshot: `sha256:<hex>`, the digest of a content of that type.
    pub authority_snapshot_id: String,
}

/// Who made a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Producer {
    /// The organisation that answers for it.
    pub issuer_id: String,
    /// The program.
    pub producer_id: String,
}

/// A range of events, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceRange {
    /// The first event.
    pub from_sequence: u64,
    /// The last event: the intent to export, which names the `content_root`.
    pub to_sequence: u64,
}

/// One item of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleContent {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: ContentType,
    /// Its path in the bundle: relative, with `/`, no `.` or `..`.
    pub path: String,
    /// Its media type.
    pub media_type: String,
    /// The digest of its bytes as they were before any encryption: `sha256:<hex>`.
    pub integrity_hash: String,
    /// How many bytes these are.
    pub size: u64,
    /// How it is encrypted, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
}

/// How an item is encrypted: the blob of the bundle is the ciphertext.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Encryption {
    /// `age-v1`.
    pub scheme: String,
    /// The digest of the ciphertext: `sha256:<hex>`.
    pub ciphertext_hash: String,
    /// How many bytes it has.
    pub ciphertext_size: u64,
    /// For whom: `age1…` or SSH public keys.
    pub recipients: Vec<String>,
}

/// What governs the content of a bundle. It is the same after every export and import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BundleGovernance {
    /// Whose law applies, such as `DE`.
    pub jurisdiction: String,
    /// How confidential it is, such as `internal`.
    pub classification: String,
    /// How long it is kept: an ISO 8601 duration, or an RFC 3339 time.
    pub retention: String,
    /// Where evidence about it is found: `eosc://evidence/sha256:<hex>`.
    pub evidence_pointers: Vec<String>,
}

impl BundleGovernance {
    /// The bytes of `governance.json`.
    pub fn canonical(&self) -> String {
        canonical_json(self)
    }
}

/// Why a manifest is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It is not JSON of this form.
    #[error("the manifest is not in the form of {BUNDLE_VERSION}: {0}")]
    Form(String),
    /// Another version.
    #[error(
        "the manifest is of version {found}, {}; this build reads {BUNDLE_VERSION}",
        age_of(found)
    )]
    Version {
        /// What it says.
        found: String,
    },
    /// A type of content that is not known.
    #[error("the manifest has a content of the unknown type {found}")]
    ContentType {
        /// What it says.
        found: String,
    },
    /// A path that could leave the folder, or that stands for two things.
    #[error("the manifest has the path {path:?}: {why}")]
    Path {
        /// The path.
        path: String,
        /// Why it is refused.
        why: &'static str,
    },
    /// Members that contradict one another.
    #[error("the manifest contradicts itself: {0}")]
    Contradiction(String),
}

fn age_of(version: &str) -> &'static str {
    let number = version.strip_prefix("carnet-bundle-").and_then(|it| it.parse::<u32>().ok());
    match number {
        Some(0) => "which is too old",
        Some(_) => "which is too new",
        None => "which is not known",
    }
}

impl BundleContent {
    /// The digest of the blob that holds it, and its size: those of the ciphertext if there is one.
    pub fn blob(&self) -> (&str, u64) {
        match &self.encryption {
            Some(encryption) => (&encryption.ciphertext_hash, encryption.ciphertext_size),
            None => (&self.integrity_hash, self.size),
        }
    }
}

impl BundleManifest {
    /// Reads a manifest and checks all that can be seen in it alone.
    pub fn read(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(ManifestError::Form(format!("it has {} bytes", bytes.len())));
        }
        // The version and the types are looked at first, so that what a newer build wrote is told
        // from what is damaged.
        let form = |error: serde_json::Error| ManifestError::Form(error.to_string());
        let seen: Seen = serde_json::from_slice(bytes).map_err(form)?;
        if seen.version != BUNDLE_VERSION {
            return Err(ManifestError::Version { found: seen.version });
        }
        let known =
            |it: &&SeenContent| !ContentType::ALL.iter().any(|known| known.name() == it.kind);
        if let Some(unknown) = seen.contents.iter().find(known) {
            return Err(ManifestError::ContentType { found: unknown.kind.clone() });
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(form)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// What of it is refused whatever the blobs hold.
    pub fn check(&self) -> Result<(), ManifestError> {
        check_paths(&self.contents)?;
        self.check_members()
    }

    fn check_members(&self) -> Result<(), ManifestError> {
        let contradiction = |what: String| Err(ManifestError::Contradiction(what));
        if self.scenario.has_workload() != self.workload_id.is_some() {
            return contradiction(format!(
                "the scenario {} {} a workload_id",
                self.scenario,
                if self.scenario.has_workload() { "needs" } else { "has no" },
            ));
        }
        if self.scope.from_sequence > self.scope.to_sequence {
            return contradiction("its scope ends before it begins".to_owned());
        }
        for (id, kind) in [
            (&self.policy_snapshot_id, ContentType::PolicySnapshot),
            (&self.authority_snapshot_id, ContentType::AuthoritySnapshot),
        ] {
            let named = |it: &BundleContent| it.kind == kind && it.integrity_hash == id.as_str();
            if !self.contents.iter().any(named) {
                return contradiction(format!("no content of type {kind} has the digest {id}"));
            }
        }
        for kind in [ContentType::DependencyManifest, ContentType::GovernanceMetadata] {
            if self.of_type(kind).count() != 1 {
                return contradiction(format!("it needs exactly one content of type {kind}"));
            }
        }
        Ok(())
    }

    /// The bytes of `manifest.json`.
    pub fn canonical(&self) -> String {
        canonical_json(self)
    }

    /// The content at a path.
    pub fn content(&self, path: &str) -> Option<&BundleContent> {
        let found = self.contents.binary_search_by(|content| content.path.as_str().cmp(path)).ok();
        self.contents.get(found?)
    }

    /// The contents of one type, in order of path.
    pub fn of_type(&self, kind: ContentType) -> impl Iterator<Item = &BundleContent> {
        self.contents.iter().filter(move |content| content.kind == kind)
    }
}

/// What is refused of the paths of contents: those that could leave the folder, that stand for two
/// things, or that are not in byte order.
pub fn check_paths(contents: &[BundleContent]) -> Result<(), ManifestError> {
    let mut before: Option<&str> = None;
    let mut folded = BTreeSet::new();
    for content in contents {
        let path = content.path.as_str();
        let refused = |why| Err(ManifestError::Path { path: path.to_owned(), why });
        if let Some(why) = not_a_path(path) {
            return refused(why);
        }
        if before.is_some_and(|before| before == path) {
            return refused("it stands twice");
        }
        if before.is_some_and(|before| before > path) {
            return refused("it is out of order");
        }
        if !folded.insert(path.to_lowercase()) {
            return refused("another path differs from it only in case");
        }
        before = Some(path);
    }
    let parents = |path: &str| {
        let path = path.to_lowercase();
        path.match_indices('/').filter_map(|(at, _)| path.get(..at).map(str::to_owned)).collect()
    };
    for content in contents {
        let parents: Vec<String> = parents(&content.path);
        if parents.iter().any(|parent| folded.contains(parent)) {
            let path = content.path.clone();
            return Err(ManifestError::Path { path, why: "it is inside another content" });
        }
    }
    Ok(())
}

/// Why something cannot be a path in a bundle, whose files may be unpacked anywhere.
fn not_a_path(path: &str) -> Option<&'static str> {
    if path.is_empty() || path.len() > PATH_BYTES_MAX {
        return Some("it is empty or too long");
    }
    if path.starts_with('/') {
        return Some("it is absolute");
    }
    if path.contains(['\\', ':']) || path.chars().any(char::is_control) {
        return Some("it has a character that is not taken");
    }
    let bad = |part: &str| part.is_empty() || part == "." || part == "..";
    path.split('/').any(bad).then_some("it has an empty part, `.` or `..`")
}

/// What is looked at before the rest is read.
#[derive(Deserialize)]
struct Seen {
    version: String,
    #[serde(default)]
    contents: Vec<SeenContent>,
}

#[derive(Deserialize)]
struct SeenContent {
    #[serde(rename = "type")]
    kind: String,
}

#[cfg(test)]
mod tests;
