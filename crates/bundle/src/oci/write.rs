//! The first half of making a bundle: its contents become blobs, and their root is known.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;

use carnet_ledger::Digest;
use carnet_model::portability::{BundleContent, Encryption, check_paths, content_root};
use serde::{Deserialize, Serialize};

use super::blobs::BlobStore;
use super::encryption::{Recipients, SCHEME};
use super::item::BundleItem;
use super::limits::BundleLimits;
use super::read::Bundle;
use super::tally::Tally;
use crate::error::BundleError;
use crate::files::FileSum;
use crate::work::Work;

/// What was encrypted so far, while the bundle has no manifest: encrypting twice gives two
/// ciphertexts, and a bundle that is continued should be the one that was begun.
const ENCRYPTED_FILE: &str = ".carnet-encrypted";

/// A bundle whose contents lie in their places, and that has no manifest yet.
pub struct Laid {
    pub(super) store: BlobStore,
    pub(super) contents: Vec<BundleContent>,
    pub(super) tally: Tally,
    content_root: Digest,
}

impl Laid {
    /// The root over the contents that count: known before any evidence is written, so that the
    /// evidence can name it.
    pub fn content_root(&self) -> Digest {
        self.content_root
    }

    /// The contents, in byte order of path.
    pub fn contents(&self) -> &[BundleContent] {
        &self.contents
    }

    /// What was written, and what was there already.
    pub fn tally(&self) -> Tally {
        self.tally
    }
}

/// Makes blobs of the contents in a folder that is new, or that an earlier try has left. Blobs that
/// are there with the right digest are not written again. `seal` makes a bundle of it.
///
/// Of a bundle that is whole already nothing is changed: other contents are refused.
pub fn lay_out(
    folder: &Path,
    items: Vec<BundleItem>,
    recipients: Option<&Recipients>,
    work: &Work<'_>,
) -> Result<Laid, BundleError> {
    let store = BlobStore::open(folder)?;
    let known = Known::read(&store)?;
    let (contents, tally) = place(&store, &known, items, recipients, work)?;
    let content_root = content_root(&contents);
    Ok(Laid { store, contents, tally, content_root })
}

/// Makes blobs of items; the contents are in byte order of path.
pub(super) fn place(
    store: &BlobStore,
    known: &Known,
    items: Vec<BundleItem>,
    recipients: Option<&Recipients>,
    work: &Work<'_>,
) -> Result<(Vec<BundleContent>, Tally), BundleError> {
    let sized = |item: BundleItem| {
        let size = item.source.size();
        let size = size.map_err(|error| BundleError::io("read", item.source.place(), error))?;
        Ok((size, item))
    };
    let mut sized = items.into_iter().map(sized).collect::<Result<Vec<_>, BundleError>>()?;
    // The largest first, so that no thread is left alone with it at the end.
    sized.sort_by(|one, other| (other.0, &one.1.path).cmp(&(one.0, &other.1.path)));
    let total = sized.iter().map(|(size, _)| size).sum();
    let job = work.progress.job("write blobs", "bytes", Some(total));
    let placer = Placer { store, known, recipients };
    let done =
        work.each(sized, |_, (size, item)| placer.place(size, &item, |bytes| job.add(bytes)))?;
    let mut blobs = BTreeMap::new();
    let mut contents = Vec::with_capacity(done.len());
    for (content, written) in done {
        let (digest, size) = content.blob();
        *blobs.entry((digest.to_owned(), size)).or_insert(false) |= written;
        contents.push(content);
    }
    let mut tally = Tally::default();
    for ((_, size), written) in blobs {
        tally.note(size, written);
    }
    contents.sort_by(|one, other| one.path.cmp(&other.path));
    check_paths(&contents).map_err(|error| BundleError::Request { what: error.to_string() })?;
    Ok((contents, tally))
}

/// What one item needs on its way into a blob.
struct Placer<'a> {
    store: &'a BlobStore,
    known: &'a Known,
    recipients: Option<&'a Recipients>,
}

impl Placer<'_> {
    /// Gives the content, and whether its blob was written.
    fn place(
        &self,
        size: u64,
        item: &BundleItem,
        done: impl FnMut(u64),
    ) -> Result<(BundleContent, bool), BundleError> {
        let reading = |error| BundleError::io("read", item.source.place(), error);
        let encrypt_for = self.recipients.filter(|_| item.sensitive);
        let content = |plain: FileSum, encryption: Option<Encryption>| BundleContent {
            kind: item.kind,
            path: item.path.clone(),
            media_type: item.media_type.clone(),
            integrity_hash: format!("sha256:{}", plain.sha256),
            size: plain.bytes,
            encryption,
        };
        let Some(recipients) = encrypt_for else {
            // Only if a blob of this size is there can it be this one: otherwise one pass does.
            if self.store.may_have(size) || self.store.is_whole() {
                let hashed = super::read::Summed::new(item.source.open().map_err(reading)?);
                let sum = hashed.drain().map_err(reading)?;
                if self.store.has(sum.sha256, sum.bytes)? {
                    return Ok((content(sum, None), false));
                }
            }
            let mut source = item.source.open().map_err(reading)?;
            let blob = self.store.take(&mut source, done)?;
            let sum = FileSum { bytes: blob.size, sha256: blob.digest };
            return Ok((content(sum, None), true));
        };
        if let Some(found) = self.known.find(item, size, recipients, self.store)? {
            return Ok((content(found.0, Some(found.1)), false));
        }
        let mut source = item.source.open().map_err(reading)?;
        let done = self.store.take_encrypted(recipients, &mut source, done)?;
        let encryption = Encryption {
            scheme: SCHEME.to_owned(),
            ciphertext_hash: format!("sha256:{}", done.blob.digest),
            ciphertext_size: done.blob.size,
            recipients: recipients.words().to_vec(),
        };
        self.known.note(done.plain, &encryption)?;
        Ok((content(done.plain, Some(encryption)), true))
    }
}

/// Ciphertexts that an earlier try has left.
pub(super) struct Known {
    file: PathBuf,
    lines: Vec<KnownLine>,
    writing: Mutex<()>,
}

#[derive(Serialize, Deserialize)]
struct KnownLine {
    plain: Digest,
    size: u64,
    encryption: Encryption,
}

impl Known {
    pub(super) fn read(store: &BlobStore) -> Result<Self, BundleError> {
        let file = store.root().join(ENCRYPTED_FILE);
        let lines = if store.is_whole() {
            let bundle = Bundle::open(store.root(), &BundleLimits::default())
                .map_err(|_| BundleError::BundleExists { path: store.root().to_owned() })?;
            let line = |content: &BundleContent| {
                let plain = content.integrity_hash.strip_prefix("sha256:")?.parse().ok()?;
                let encryption = content.encryption.clone()?;
                Some(KnownLine { plain, size: content.size, encryption })
            };
            bundle.manifest().contents.iter().filter_map(line).collect()
        } else {
            let text = if file.exists() {
                fs::read_to_string(&file).map_err(|error| BundleError::io("read", &file, error))?
            } else {
                String::new()
            };
            // A last line that was cut off is of a blob that is encrypted again.
            text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
        };
        Ok(Self { file, lines, writing: Mutex::new(()) })
    }

    /// The same plain bytes, encrypted for the same recipients, if that blob is there.
    fn find(
        &self,
        item: &BundleItem,
        size: u64,
        recipients: &Recipients,
        store: &BlobStore,
    ) -> Result<Option<(FileSum, Encryption)>, BundleError> {
        let fits = |line: &&KnownLine| {
            line.size == size && line.encryption.recipients == recipients.words()
        };
        if !self.lines.iter().any(|line| fits(&line)) {
            return Ok(None);
        }
        let reading = |error| BundleError::io("read", item.source.place(), error);
        let sum = super::read::Summed::new(item.source.open().map_err(reading)?)
            .drain()
            .map_err(reading)?;
        for line in self.lines.iter().filter(fits).filter(|line| line.plain == sum.sha256) {
            let digest = line.encryption.ciphertext_hash.trim_start_matches("sha256:").parse();
            let Ok(digest) = digest else { continue };
            if store.has(digest, line.encryption.ciphertext_size)? {
                return Ok(Some((sum, line.encryption.clone())));
            }
        }
        Ok(None)
    }

    fn note(&self, plain: FileSum, encryption: &Encryption) -> Result<(), BundleError> {
        let line =
            KnownLine { plain: plain.sha256, size: plain.bytes, encryption: encryption.clone() };
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let write = || {
            let mut text = serde_json::to_string(&line)?;
            text.push('\n');
            let mut file = fs::File::options().create(true).append(true).open(&self.file)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        write().map_err(|error: std::io::Error| BundleError::io("write", &self.file, error))
    }

    /// The manifest says it from now on.
    pub(super) fn forget(&self) -> Result<(), BundleError> {
        if self.file.exists() {
            fs::remove_file(&self.file)
                .map_err(|error| BundleError::io("remove", &self.file, error))?;
        }
        Ok(())
    }
}
