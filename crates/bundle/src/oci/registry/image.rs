//! The image of a container comes from a registry into a layout.

use std::path::Path;

use carnet_ledger::Digest;
use serde::Deserialize;
use serde_json::json;

use super::RegistryPlace;
use super::client::Client;
use super::travel::Later;
use crate::container_image::{BLOBS_MAX, DEPTH_MAX, Descriptor, INDEX, ImageLimits, MANIFEST};
use crate::error::BundleError;
use crate::oci::blobs::BlobStore;
use crate::oci::fault::BundleFault;
use crate::oci::image::DOCUMENT_BYTES_MAX;

/// An index or a manifest, as far as it names blobs.
#[derive(Deserialize)]
struct Document {
    #[serde(rename = "mediaType")]
    media_type: Option<String>,
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
}

impl Document {
    fn media_type(&self) -> String {
        let plain = if self.manifests.is_some() { INDEX } else { MANIFEST };
        self.media_type.clone().unwrap_or_else(|| plain.to_owned())
    }
}

/// Pulls the image of this digest, with all that it names, into a new layout. Every blob is hashed as
/// it comes in; what it is an image of is for its reader to say.
pub(crate) fn pull_image(
    from: &RegistryPlace,
    digest: Digest,
    to: &Path,
    limits: ImageLimits,
) -> Result<(), BundleError> {
    let store = BlobStore::open(to)?;
    let mut pull = Pull { client: Client::new(from), store: &store, limits, bytes: 0, blobs: 0 };
    let (document, size) = pull.document(digest)?;
    let top = json!({
        "digest": format!("sha256:{digest}"), "mediaType": document.media_type(), "size": size,
    });
    pull.follow(document, 0)?;
    let index = json!({ "manifests": [top], "mediaType": INDEX, "schemaVersion": 2 });
    store.finish(&index.to_string(), &|_| true)
}

struct Pull<'a> {
    client: Client<'a>,
    store: &'a BlobStore,
    limits: ImageLimits,
    bytes: u64,
    blobs: usize,
}

impl Pull<'_> {
    fn refused(&self, fault: BundleFault) -> BundleError {
        fault.at(self.store.root())
    }

    /// What a blob costs is counted before it is asked for.
    fn count(&mut self, size: u64) -> Result<(), BundleError> {
        self.bytes = self.bytes.saturating_add(size);
        self.blobs += 1;
        if self.bytes > self.limits.bytes || self.blobs > BLOBS_MAX {
            let most = self.limits.bytes;
            let what = format!("the image has more than {most} bytes or too many blobs");
            return Err(self.refused(BundleFault::Limit(what)));
        }
        Ok(())
    }

    fn document(&mut self, digest: Digest) -> Result<(Document, u64), BundleError> {
        let text = self.client.get_image_manifest(&digest)?;
        let size = text.len() as u64;
        if size > DOCUMENT_BYTES_MAX {
            let what = format!("the manifest {digest} is too large");
            return Err(self.refused(BundleFault::Limit(what)));
        }
        self.count(size)?;
        self.store.take_exactly((digest, size), &mut text.as_slice(), |_| ())?;
        let document = serde_json::from_slice(&text).map_err(|error| {
            let what = format!("{digest} is no manifest of an image: {error}");
            self.refused(BundleFault::Malformed(what))
        })?;
        Ok((document, size))
    }

    fn follow(&mut self, document: Document, depth: usize) -> Result<(), BundleError> {
        for one in document.manifests.into_iter().flatten() {
            if depth >= DEPTH_MAX {
                let what = "an index names an index that names an index".to_owned();
                return Err(self.refused(BundleFault::Limit(what)));
            }
            let digest = self.digest_of(&one)?;
            let (document, _) = self.document(digest)?;
            self.follow(document, depth + 1)?;
        }
        for blob in document.config.into_iter().chain(document.layers) {
            let digest = self.digest_of(&blob)?;
            self.count(blob.size)?;
            let mut source = Later::new(&self.client, digest);
            self.store.take_exactly((digest, blob.size), &mut source, |_| ())?;
        }
        Ok(())
    }

    fn digest_of(&self, named: &Descriptor) -> Result<Digest, BundleError> {
        named.hex().parse().map_err(|_| {
            let what = format!("{:?} is no SHA-256", named.digest);
            self.refused(BundleFault::Malformed(what))
        })
    }
}
