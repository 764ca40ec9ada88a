//! The blobs of a layout that is written: each beside its place until it is whole.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use carnet_ledger::{Digest, Hasher};

use super::encryption::Recipients;
use super::fault::BundleFault;
use super::image::{BLOBS_FOLDER, INDEX_FILE, LAYOUT_FILE, blob_path, layout_text};
use crate::error::BundleError;
use crate::files::{FileSum, HashedFile, hash_file, sync_dir, write_file};
use crate::new_folder::lock;

/// What the name of a blob begins with until it is whole.
const PARTIAL: &str = ".partial-";
const BUFFER_BYTES: usize = 256 << 10;

/// A blob that is in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) digest: Digest,
    pub(super) size: u64,
    /// Whether it was written now.
    pub(super) written: bool,
}

/// What was read on the way into a blob that is encrypted.
pub(super) struct Enciphered {
    pub(super) plain: FileSum,
    pub(super) blob: Stored,
}

/// The folder of a layout, locked while this process writes it.
pub(super) struct BlobStore {
    root: PathBuf,
    /// The blobs that were there from the start, by size.
    sizes: BTreeMap<u64, u64>,
    /// Whether the layout has its index: then nothing in it is changed any more.
    whole: bool,
    next: AtomicU64,
    _lock: File,
}

impl BlobStore {
    /// Makes or continues a layout. A folder that holds something else is refused.
    pub(super) fn open(root: &Path) -> Result<Self, BundleError> {
        let making = |error| BundleError::io("make", root, error);
        if !root.join(LAYOUT_FILE).exists() {
            fs::create_dir_all(root).map_err(making)?;
            if fs::read_dir(root).map_err(making)?.next().is_some() {
                return Err(BundleError::BundleExists { path: root.to_owned() });
            }
        }
        let dir = File::open(root).map_err(|error| BundleError::io("open", root, error))?;
        lock(&dir, root)?;
        let blobs = root.join(BLOBS_FOLDER);
        fs::create_dir_all(&blobs).map_err(making)?;
        let whole = root.join(INDEX_FILE).exists();
        if !root.join(LAYOUT_FILE).exists() {
            let text = layout_text();
            write_file(&root.join(LAYOUT_FILE), text.as_bytes())?;
        }
        let mut sizes = BTreeMap::new();
        for entry in fs::read_dir(&blobs).map_err(making)? {
            let entry = entry.map_err(making)?;
            if entry.file_name().to_string_lossy().starts_with(PARTIAL) {
                fs::remove_file(entry.path())
                    .map_err(|error| BundleError::io("remove", &entry.path(), error))?;
            } else {
                *sizes.entry(entry.metadata().map_err(making)?.len()).or_insert(0) += 1;
            }
        }
        Ok(Self { root: root.to_owned(), sizes, whole, next: AtomicU64::new(0), _lock: dir })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Whether a blob of this size was there from the start.
    pub(super) fn may_have(&self, size: u64) -> bool {
        self.sizes.contains_key(&size)
    }

    /// Whether the blob is there, and is what its name says.
    pub(super) fn has(&self, digest: Digest, size: u64) -> Result<bool, BundleError> {
        let path = self.root.join(blob_path(&digest));
        if !self.may_have(size) || path.metadata().map_or(true, |found| found.len() != size) {
            return Ok(false);
        }
        Ok(hash_file(&path, |_| ())?.sha256 == digest)
    }

    /// Takes bytes that are not known yet.
    pub(super) fn take(
        &self,
        source: &mut dyn Read,
        done: impl FnMut(u64),
    ) -> Result<Stored, BundleError> {
        let (path, file) = self.partial()?;
        let taken = fill(&path, file, source, done);
        self.settle(&path, taken)
    }

    /// Takes bytes that must be these.
    pub(super) fn take_exactly(
        &self,
        expected: (Digest, u64),
        source: &mut dyn Read,
        done: impl FnMut(u64),
    ) -> Result<Stored, BundleError> {
        let (digest, size) = expected;
        if self.has(digest, size)? {
            return Ok(Stored { digest, size, written: false });
        }
        let (path, file) = self.partial()?;
        // One byte more than there should be is enough to see that it is too long.
        let taken = fill(&path, file, &mut source.take(size.saturating_add(1)), done);
        let taken = taken.and_then(|sum| {
            if (sum.sha256, sum.bytes) == expected {
                return Ok(sum);
            }
            let what = if sum.bytes == size {
                format!("the blob {digest} has other bytes: their SHA-256 is {}", sum.sha256)
            } else {
                format!("the blob {digest} has another size than the {size} bytes it should have")
            };
            Err(BundleFault::Damaged(what).at(&self.root))
        });
        self.settle(&path, taken)
    }

    /// Takes bytes that are encrypted on the way.
    pub(super) fn take_encrypted(
        &self,
        recipients: &Recipients,
        source: &mut dyn Read,
        mut done: impl FnMut(u64),
    ) -> Result<Enciphered, BundleError> {
        let (path, file) = self.partial()?;
        let encrypt = || {
            let mut out = recipients.encrypt(file)?;
            let (mut hasher, mut bytes) = (Hasher::new(), 0);
            let mut buffer = vec![0; BUFFER_BYTES];
            loop {
                let read = read_some(source, &mut buffer)?;
                if read.is_empty() {
                    break;
                }
                hasher.update(read);
                bytes += read.len() as u64;
                out.write_all(read)?;
                done(read.len() as u64);
            }
            let sum = out.finish()?.finish()?;
            Ok((FileSum { bytes, sha256: hasher.finish() }, sum))
        };
        let encrypted: io::Result<_> = encrypt();
        let (plain, sum) = encrypted.map_or_else(
            |error| (None, Err(not_written(&path, error))),
            |(plain, sum)| (Some(plain), Ok(sum)),
        );
        let blob = self.settle(&path, sum)?;
        let plain = plain.unwrap_or(FileSum { bytes: 0, sha256: Digest::of(&[]) });
        Ok(Enciphered { plain, blob })
    }

    fn partial(&self) -> Result<(PathBuf, HashedFile), BundleError> {
        if self.whole {
            return Err(BundleError::BundleExists { path: self.root.clone() });
        }
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.root.join(BLOBS_FOLDER).join(format!("{PARTIAL}{n}"));
        let file = HashedFile::create(&path).map_err(|error| not_written(&path, error))?;
        Ok((path, file))
    }

    /// Gives a whole blob its name; removes what is none.
    fn settle(
        &self,
        path: &Path,
        taken: Result<FileSum, BundleError>,
    ) -> Result<Stored, BundleError> {
        let settled = taken.and_then(|sum| {
            let place = self.root.join(blob_path(&sum.sha256));
            fs::rename(path, &place).map_err(|error| not_written(&place, error))?;
            Ok(Stored { digest: sum.sha256, size: sum.bytes, written: true })
        });
        if settled.is_err() {
            // What cannot be removed now is removed by the next one who writes here.
            let _ = fs::remove_file(path);
        }
        settled
    }

    /// Removes blobs that nobody names, makes the rest durable, and writes the index last: with it
    /// the layout is whole.
    pub(super) fn finish(
        &self,
        index: &str,
        named: &dyn Fn(&str) -> bool,
    ) -> Result<(), BundleError> {
        if self.whole {
            return Ok(());
        }
        let blobs = self.root.join(BLOBS_FOLDER);
        let failed = |error| BundleError::io("list", &blobs, error);
        for entry in fs::read_dir(&blobs).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if !named(&entry.file_name().to_string_lossy()) {
                fs::remove_file(entry.path())
                    .map_err(|error| BundleError::io("remove", &entry.path(), error))?;
            }
        }
        sync_dir(&blobs)?;
        let beside = self.root.join(format!(".{INDEX_FILE}.partial"));
        if beside.exists() {
            fs::remove_file(&beside).map_err(|error| not_written(&beside, error))?;
        }
        write_file(&beside, index.as_bytes())?;
        let place = self.root.join(INDEX_FILE);
        fs::rename(&beside, &place).map_err(|error| not_written(&place, error))?;
        sync_dir(&self.root)
    }
}

fn fill(
    path: &Path,
    mut file: HashedFile,
    source: &mut dyn Read,
    mut done: impl FnMut(u64),
) -> Result<FileSum, BundleError> {
    let copy = || {
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let read = read_some(source, &mut buffer)?;
            if read.is_empty() {
                return file.finish();
            }
            file.write_all(read)?;
            done(read.len() as u64);
        }
    };
    copy().map_err(|error| not_written(path, error))
}

fn not_written(path: &Path, error: io::Error) -> BundleError {
    BundleError::io("write", path, error)
}

fn read_some<'b>(source: &mut dyn Read, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
    loop {
        match source.read(buffer) {
            Ok(n) => return Ok(buffer.get(..n).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
