//! The second half: evidence and manifest, and with them a bundle.

use carnet_ledger::Digest;
use carnet_model::portability::{
    AUTHORITY_PATH, BUNDLE_VERSION, BundleContent, BundleGovernance, BundleManifest, EvidenceRange,
    MANIFEST_PATH, POLICY_PATH, Producer, Scenario, check_paths,
};

use super::blobs::BlobStore;
use super::image::{
    BUNDLE_MANIFEST_TYPE, EMPTY_CONFIG, ENCRYPTED_TYPE, Layer, image_text, index_text,
};
use super::item::BundleItem;
use super::read::Bundle;
use super::tally::Tally;
use super::write::{Known, Laid, place};
use crate::BundleLimits;
use crate::error::BundleError;
use crate::signature::{ManifestSigner, signature_file};
use crate::work::Work;

/// No bundle has more layers: registries take no larger image manifest.
const LAYERS_MAX: usize = 12_000;

/// What a manifest says beside what its contents say themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleMembers {
    /// When it is made (RFC 3339, UTC).
    pub created: String,
    /// The environment that it leaves.
    pub source_provider: String,
    /// Whose it is.
    pub tenant_id: String,
    /// What it moves.
    pub scenario: Scenario,
    /// The workload, where there is one.
    pub workload_id: Option<String>,
    /// The profile of the evidence.
    pub evidence_profile_id: String,
    /// Its version.
    pub profile_version: String,
    /// How events are hashed.
    pub hash_profile_id: String,
    /// Who makes it.
    pub producer_identity: Producer,
    /// The part of the log that is inside.
    pub scope: EvidenceRange,
    /// What governs the content: the same as in the content `governance.json`.
    pub governance_metadata: BundleGovernance,
}

/// A bundle that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The digest of the OCI manifest: the id of the bundle.
    pub manifest_digest: Digest,
    /// What it says about itself.
    pub manifest: BundleManifest,
    /// What was written, and what was there already, evidence included.
    pub tally: Tally,
}

/// Adds the evidence, which may not count for the `content_root`, and the manifest; signs that, if
/// there is a signer. The same contents, evidence and members give the same bytes.
pub fn seal(
    laid: Laid,
    evidence: Vec<BundleItem>,
    members: BundleMembers,
    signer: Option<&dyn ManifestSigner>,
    work: &Work<'_>,
) -> Result<Sealed, BundleError> {
    if let Some(late) = evidence.iter().find(|item| item.kind.is_content()) {
        let what = format!("{} counts for the content root, so it cannot be added now", late.path);
        return Err(BundleError::Request { what });
    }
    let Laid { store, mut contents, mut tally, .. } = laid;
    let known = Known::read(&store)?;
    let (more, added) = place(&store, &known, evidence, None, work)?;
    contents.extend(more);
    contents.sort_by(|one, other| one.path.cmp(&other.path));
    let wrong = |error: carnet_model::portability::ManifestError| BundleError::Request {
        what: error.to_string(),
    };
    check_paths(&contents).map_err(wrong)?;
    let manifest = manifest(members, contents);
    manifest.check().map_err(wrong)?;
    let mut writer = Writer { store: &store, layers: Vec::new(), tally: Tally::default() };
    let text = manifest.canonical();
    writer.document(MANIFEST_PATH, BUNDLE_MANIFEST_TYPE, text.as_bytes())?;
    if let Some(signer) = signer {
        let signature = signer.sign(text.as_bytes())?;
        writer.document(&signature_file(signer.form()), "application/octet-stream", &signature)?;
    }
    for content in &manifest.contents {
        writer.layers.push(layer_of(content)?);
    }
    let manifest_digest = writer.finish()?;
    tally += added;
    tally += writer.tally;
    known.forget()?;
    Ok(Sealed { manifest_digest, manifest, tally })
}

fn manifest(members: BundleMembers, contents: Vec<BundleContent>) -> BundleManifest {
    let id = |path: &str| {
        let found = contents.iter().find(|content| content.path == path);
        found.map(|content| content.integrity_hash.clone()).unwrap_or_default()
    };
    BundleManifest {
        version: BUNDLE_VERSION.to_owned(),
        created: members.created,
        source_provider: members.source_provider,
        tenant_id: members.tenant_id,
        scenario: members.scenario,
        workload_id: members.workload_id,
        evidence_profile_id: members.evidence_profile_id,
        profile_version: members.profile_version,
        hash_profile_id: members.hash_profile_id,
        producer_identity: members.producer_identity,
        scope: members.scope,
        content_root: carnet_model::portability::content_root(&contents),
        governance_metadata: members.governance_metadata,
        policy_snapshot_id: id(POLICY_PATH),
        authority_snapshot_id: id(AUTHORITY_PATH),
        contents,
    }
}

/// The layer that holds a content.
pub(super) fn layer_of(content: &BundleContent) -> Result<Layer, BundleError> {
    let (digest, size) = content.blob();
    let digest = digest.strip_prefix("sha256:").and_then(|hex| hex.parse().ok());
    let digest = digest.ok_or_else(|| BundleError::Request {
        what: format!("the digest of {} is no SHA-256", content.path),
    })?;
    let media_type = match &content.encryption {
        Some(_) => ENCRYPTED_TYPE.to_owned(),
        None => content.media_type.clone(),
    };
    Ok(Layer { title: content.path.clone(), media_type, digest, size })
}

struct Writer<'a> {
    store: &'a BlobStore,
    layers: Vec<Layer>,
    tally: Tally,
}

impl Writer<'_> {
    fn blob(&mut self, bytes: &[u8]) -> Result<Digest, BundleError> {
        let digest = Digest::of(bytes);
        let stored =
            self.store.take_exactly((digest, bytes.len() as u64), &mut { bytes }, |_| ())?;
        self.tally.note(stored.size, stored.written);
        Ok(digest)
    }

    fn document(&mut self, title: &str, media_type: &str, bytes: &[u8]) -> Result<(), BundleError> {
        let digest = self.blob(bytes)?;
        let (title, media_type) = (title.to_owned(), media_type.to_owned());
        self.layers.push(Layer { title, media_type, digest, size: bytes.len() as u64 });
        Ok(())
    }

    /// The digest of the image manifest.
    fn finish(&mut self) -> Result<Digest, BundleError> {
        let root = self.store.root();
        if self.layers.len() > LAYERS_MAX {
            let what = format!("a bundle has at most {LAYERS_MAX} contents");
            return Err(BundleError::Request { what });
        }
        let image = image_text(&self.layers);
        let config = self.blob(EMPTY_CONFIG)?;
        let digest = self.blob(image.as_bytes())?;
        if self.store.is_whole() {
            // All blobs are there, so that only the index can name another bundle.
            let there = Bundle::open(root, &BundleLimits::default())?;
            if there.manifest_digest() != digest {
                return Err(BundleError::BundleExists { path: root.to_owned() });
            }
            return Ok(digest);
        }
        let index = index_text(digest, image.len() as u64);
        let mut named: Vec<String> =
            self.layers.iter().map(|layer| layer.digest.to_string()).collect();
        named.extend([config.to_string(), digest.to_string()]);
        named.sort();
        self.store
            .finish(&index, &|name| named.binary_search_by(|one| one.as_str().cmp(name)).is_ok())?;
        Ok(digest)
    }
}
