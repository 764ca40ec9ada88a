//! A bundle comes to another place: blob by blob, so that a broken transfer continues.

use std::path::Path;

use carnet_ledger::Digest;
use serde::Serialize;

use super::blobs::BlobStore;
use super::image::index_text;
use super::limits::BundleLimits;
use super::read::Bundle;
use super::tally::Tally;
use crate::error::BundleError;
use crate::work::Work;

/// What a transfer did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Transferred {
    /// The id of the bundle: the same on both sides.
    pub manifest_digest: Digest,
    /// What was written, and what was there already.
    #[serde(flatten)]
    pub tally: Tally,
}

/// Copies a bundle from a folder or a tar into a folder that is new, or that an earlier try has left.
///
/// Every blob is hashed as it passes; one that is not what it is called stops the transfer. Nothing
/// but what the image manifest names is taken. What is in the target is a bundle only once all of it
/// is there.
pub fn transfer(
    from: &Path,
    to: &Path,
    limits: &BundleLimits,
    work: &Work<'_>,
) -> Result<Transferred, BundleError> {
    let bundle = Bundle::open(from, limits)?;
    let store = BlobStore::open(to)?;
    let layout = bundle.layout();
    let mut blobs = layout.blobs();
    let named = blobs.clone();
    blobs.sort_by_key(|(_, size, _)| std::cmp::Reverse(*size));
    let total = blobs.iter().map(|(_, size, _)| size).sum();
    let job = work.progress.job("transfer", "bytes", Some(total));
    let stored = work.each(blobs, |_, (digest, size, title)| {
        let mut source = layout.open_blob(&digest, size, &title).map_err(|fault| fault.at(from))?;
        store.take_exactly((digest, size), &mut source, |bytes| job.add(bytes))
    })?;
    let mut tally = Tally::default();
    for blob in stored {
        tally.note(blob.size, blob.written);
    }
    let manifest_digest = bundle.manifest_digest();
    finish(&store, manifest_digest, layout.image_text.len() as u64, &named)?;
    Ok(Transferred { manifest_digest, tally })
}

/// Makes a bundle of blobs that are all there.
pub(super) fn finish(
    store: &BlobStore,
    manifest: Digest,
    size: u64,
    named: &[(Digest, u64, String)],
) -> Result<(), BundleError> {
    if store.is_whole() {
        let there = Bundle::open(store.root(), &BundleLimits::default())?;
        if there.manifest_digest() != manifest {
            return Err(BundleError::BundleExists { path: store.root().to_owned() });
        }
        return Ok(());
    }
    let index = index_text(manifest, size);
    store.finish(&index, &|name| {
        name.parse().is_ok_and(|name: Digest| named.iter().any(|(digest, ..)| *digest == name))
    })
}
