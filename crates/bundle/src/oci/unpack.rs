//! Contents of a bundle become files.

use std::fs;
use std::io;
use std::path::Path;

use carnet_model::portability::BundleContent;
use serde::Serialize;

use super::encryption::Identities;
use super::read::{Bundle, check_sum};
use crate::error::BundleError;
use crate::files::{HashedFile, parent_of};
use crate::new_folder::NewFolder;
use crate::oci::fault::BundleFault;
use crate::work::Work;

/// What was unpacked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Unpacked {
    /// How many files.
    pub files: u64,
    /// How many bytes.
    pub bytes: u64,
}

/// Writes the contents that `wanted` chooses into a new folder, under their paths; `strip` is taken
/// off the front of them. The folder is there only when all of it is, and every content has its
/// digest. Encrypted contents are decrypted; without the identity they are refused.
pub fn unpack_contents(
    bundle: &Bundle,
    wanted: impl Fn(&BundleContent) -> bool,
    strip: &str,
    to: &Path,
    identities: Option<&Identities>,
    work: &Work<'_>,
) -> Result<Unpacked, BundleError> {
    let strip = if strip.is_empty() { String::new() } else { format!("{strip}/") };
    let chosen = bundle.manifest().contents.iter().filter(|content| wanted(content));
    let chosen = chosen.map(|content| {
        let path = content.path.strip_prefix(&strip).ok_or_else(|| BundleError::Request {
            what: format!("{:?} is not under {strip:?}", content.path),
        })?;
        Ok((content, path))
    });
    let mut chosen = chosen.collect::<Result<Vec<_>, BundleError>>()?;
    chosen.sort_by_key(|(content, _)| std::cmp::Reverse(content.size));
    if to.symlink_metadata().is_ok() {
        return Err(BundleError::BundleExists { path: to.to_owned() });
    }
    let folder = NewFolder::make(to)?;
    for (_, path) in &chosen {
        let parent = folder.path().join(path);
        let parent = parent_of(&parent);
        fs::create_dir_all(parent).map_err(|error| BundleError::io("make", parent, error))?;
    }
    let total = chosen.iter().map(|(content, _)| content.size).sum();
    let job = work.progress.job("unpack", "bytes", Some(total));
    let unpacked = Unpacked { files: chosen.len() as u64, bytes: total };
    work.each(chosen, |_, (content, path)| {
        unpack_one(bundle, content, identities, &folder.path().join(path))?;
        job.add(content.size);
        Ok::<_, BundleError>(())
    })?;
    folder.publish()?;
    Ok(unpacked)
}

fn unpack_one(
    bundle: &Bundle,
    content: &BundleContent,
    identities: Option<&Identities>,
    place: &Path,
) -> Result<(), BundleError> {
    let at = |fault: BundleFault| fault.at(bundle.path());
    let source = bundle.open_content(content, identities).map_err(at)?;
    // One byte too many is enough to see that there is more than announced.
    let mut source = io::Read::take(source, content.size.saturating_add(1));
    let writing = |error| BundleError::io("write", place, error);
    let mut file = HashedFile::create(place).map_err(writing)?;
    io::copy(&mut source, &mut file).map_err(writing)?;
    let sum = file.finish().map_err(writing)?;
    check_sum(content, sum).map_err(at)
}
