//! A bundle goes to a registry, or comes from one.

use std::io::{self, Read};
use std::path::Path;

use carnet_ledger::Digest;

use super::RegistryPlace;
use super::client::Client;
use crate::error::BundleError;
use crate::oci::blobs::BlobStore;
use crate::oci::fault::BundleFault;
use crate::oci::image::{DOCUMENT_BYTES_MAX, read_image};
use crate::oci::limits::BundleLimits;
use crate::oci::read::{Bundle, named_blobs};
use crate::oci::tally::Tally;
use crate::oci::transfer::{Transferred, finish};
use crate::work::Work;

/// Pushes a bundle. Blobs that the registry has are not sent again; the manifest goes last, by its
/// digest, so that the bundle is there only once all of it is.
pub fn push_bundle(
    from: &Path,
    to: &RegistryPlace,
    limits: &BundleLimits,
    work: &Work<'_>,
) -> Result<Transferred, BundleError> {
    let bundle = Bundle::open(from, limits)?;
    let layout = bundle.layout();
    let client = Client::new(to);
    let manifest_digest = bundle.manifest_digest();
    let mut blobs = layout.blobs();
    blobs.retain(|(digest, ..)| *digest != manifest_digest);
    let total = blobs.iter().map(|(_, size, _)| size).sum();
    let job = work.progress.job("push", "bytes", Some(total));
    let sent = work.each(blobs, |_, (digest, size, title)| {
        let written = !client.has(&digest, size)?;
        if written {
            let at = |fault: BundleFault| fault.at(from);
            let mut blob = layout.open_blob(&digest, size, &title).map_err(at)?;
            client.put(&digest, size, &mut blob)?;
        }
        job.add(size);
        Ok::<_, BundleError>((size, written))
    })?;
    client.put_manifest(&manifest_digest, &layout.image_text)?;
    let mut tally = Tally::default();
    tally.note(layout.image_text.len() as u64, true);
    for (size, written) in sent {
        tally.note(size, written);
    }
    Ok(Transferred { manifest_digest, tally })
}

/// Pulls the bundle of this digest into a folder that is new, or that an earlier try has left. Blobs
/// that are there are not fetched again; every blob is hashed as it comes in.
pub fn pull_bundle(
    from: &RegistryPlace,
    to: &Path,
    limits: &BundleLimits,
    work: &Work<'_>,
) -> Result<Transferred, BundleError> {
    let digest = from.digest.ok_or_else(|| BundleError::Request {
        what: format!("{from} names no bundle: add @sha256:DIGEST, which the push has printed"),
    })?;
    let client = Client::new(from);
    let text = client.get_manifest(&digest)?;
    let blobs = blobs_of(&text, digest, limits).map_err(|fault| fault.at(to))?;
    let store = BlobStore::open(to)?;
    let total = blobs.iter().map(|(_, size, _)| size).sum();
    let job = work.progress.job("pull", "bytes", Some(total));
    let stored = work.each(blobs.clone(), |_, (blob, size, _)| {
        if blob == digest {
            return store.take_exactly((blob, size), &mut text.as_slice(), |bytes| job.add(bytes));
        }
        let mut source = Later::new(&client, blob);
        store.take_exactly((blob, size), &mut source, |bytes| job.add(bytes))
    })?;
    let mut tally = Tally::default();
    for blob in stored {
        tally.note(blob.size, blob.written);
    }
    finish(&store, digest, text.len() as u64, &blobs)?;
    // What came is a bundle in its form; what it holds is for `verify_bundle` to say.
    Bundle::open(to, limits)?;
    Ok(Transferred { manifest_digest: digest, tally })
}

/// The blobs of an image manifest that a registry has given.
fn blobs_of(
    text: &[u8],
    digest: Digest,
    limits: &BundleLimits,
) -> Result<Vec<(Digest, u64, String)>, BundleFault> {
    if text.len() as u64 > DOCUMENT_BYTES_MAX {
        return Err(BundleFault::Limit("the image manifest is too large".to_owned()));
    }
    let found = Digest::of(text);
    if found != digest {
        let what = format!("the registry gave the manifest {found} for {digest}");
        return Err(BundleFault::Damaged(what));
    }
    let image = read_image(text)?;
    let image = image.ok_or_else(|| {
        BundleFault::Malformed(format!("{digest} is the manifest of something else"))
    })?;
    let mut blobs = named_blobs(digest, text.len() as u64, &image);
    let total = blobs.iter().try_fold(0_u64, |sum, (_, size, _)| sum.checked_add(*size));
    if blobs.len() as u64 > limits.entries || total.is_none_or(|it| it > limits.bytes) {
        let what = format!(
            "it has {} blobs of together {} bytes; the limits are {} and {}",
            blobs.len(),
            total.unwrap_or(u64::MAX),
            limits.entries,
            limits.bytes,
        );
        return Err(BundleFault::Limit(what));
    }
    blobs.sort_by_key(|(_, size, _)| std::cmp::Reverse(*size));
    Ok(blobs)
}

/// A blob that is asked for only when it is read: not if it is there already.
pub(super) struct Later<'a> {
    client: &'a Client<'a>,
    blob: Digest,
    open: Option<Box<dyn Read>>,
}

impl<'a> Later<'a> {
    pub(super) const fn new(client: &'a Client<'a>, blob: Digest) -> Self {
        Self { client, blob, open: None }
    }
}

impl Read for Later<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.open.is_none() {
            let source = self.client.get(&self.blob).map_err(io::Error::other)?;
            self.open = Some(Box::new(source));
        }
        self.open.as_mut().map_or(Ok(0), |source| source.read(buffer))
    }
}
