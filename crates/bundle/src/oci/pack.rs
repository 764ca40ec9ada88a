//! A bundle as one file: a tar whose bytes depend on the bundle alone.

use std::io::{self, Read, Write};
use std::path::Path;

use super::image::{INDEX_FILE, LAYOUT_FILE, blob_path, index_text, layout_text};
use super::limits::BundleLimits;
use super::read::{Bundle, Summed};
use crate::archive::{plain_entry, write_archive};
use crate::error::BundleError;
use crate::oci::fault::BundleFault;

/// Packs a bundle into a new tar, which other tools of OCI take as `oci-archive`. Entries are sorted,
/// times, owners and modes are fixed, and only what the bundle names is in it. Every blob is hashed
/// on the way.
pub fn pack_bundle(from: &Path, out: &Path, limits: &BundleLimits) -> Result<Bundle, BundleError> {
    let bundle = Bundle::open(from, limits)?;
    let layout = bundle.layout();
    let index = index_text(layout.manifest_digest, layout.image_text.len() as u64);
    let text = layout_text();
    let mut blobs = layout.blobs();
    blobs.sort();
    write_archive(out, |file| {
        let mut tar = tar::Builder::new(file);
        for (digest, size, title) in &blobs {
            let source = layout.open_blob(digest, *size, title).map_err(io::Error::other)?;
            let mut source = Summed::new(source.take(*size));
            entry(&mut tar, &blob_path(digest), *size, &mut source)?;
            let sum = source.drain()?;
            if (sum.sha256, sum.bytes) != (*digest, *size) {
                let what = format!("{title}: the blob {digest} has other bytes");
                return Err(io::Error::other(BundleFault::Damaged(what)));
            }
        }
        entry(&mut tar, INDEX_FILE, index.len() as u64, &mut index.as_bytes())?;
        entry(&mut tar, LAYOUT_FILE, text.len() as u64, &mut text.as_bytes())?;
        tar.into_inner()
    })
    .map_err(|error| damaged(error, from))?;
    Ok(bundle)
}

fn entry<W: Write>(
    tar: &mut tar::Builder<W>,
    path: &str,
    size: u64,
    source: &mut dyn Read,
) -> io::Result<()> {
    let mut header = plain_entry(size);
    tar.append_data(&mut header, path, source)
}

/// A fault of the bundle that came up while its archive was written.
fn damaged(error: BundleError, from: &Path) -> BundleError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(one) = cause {
        let inner = one.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(fault) = inner.and_then(|inner| inner.downcast_ref::<BundleFault>()) {
            return fault.clone().at(from);
        }
        cause = one.source();
    }
    error
}
