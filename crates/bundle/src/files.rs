//! Plain files: written durably with their SHA-256, listed, and hashed.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use carnet_ledger::{Digest, Hasher};
use serde::Serialize;

use crate::error::BundleError;

const BUFFER_BYTES: usize = 256 << 10;

/// Directories inside one another, at most.
const DEPTH_MAX: usize = 32;

/// Size and SHA-256 of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FileSum {
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: Digest,
}

/// A new file whose bytes are hashed as they are written.
pub struct HashedFile {
    file: BufWriter<File>,
    hasher: Hasher,
    bytes: u64,
}

impl HashedFile {
    /// Makes the file; one that exists is an error.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = File::options().write(true).create_new(true).open(path)?;
        let file = BufWriter::with_capacity(BUFFER_BYTES, file);
        Ok(Self { file, hasher: Hasher::new(), bytes: 0 })
    }

    /// Makes it durable and gives its sum.
    pub fn finish(mut self) -> io::Result<FileSum> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        Ok(FileSum { bytes: self.bytes, sha256: self.hasher.finish() })
    }
}

impl Write for HashedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(bytes.get(..written).unwrap_or_default());
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes a whole file durably.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<FileSum, BundleError> {
    let write = || {
        let mut file = HashedFile::create(path)?;
        file.write_all(bytes)?;
        file.finish()
    };
    write().map_err(|error| BundleError::io("write", path, error))
}

/// The folder that holds a path.
pub(crate) fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a directory's entries durable.
pub(crate) fn sync_dir(path: &Path) -> Result<(), BundleError> {
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .map_err(|error| BundleError::io("sync", path, error))
}

/// Hashes a file, reporting bytes as they are read.
pub(crate) fn hash_file(path: &Path, mut read: impl FnMut(u64)) -> Result<FileSum, BundleError> {
    let mut hash = || {
        let mut file = File::open(path)?;
        let mut hasher = Hasher::new();
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut bytes = 0;
        loop {
            let n = file.read(&mut buffer)?;
            if n == 0 {
                return Ok(FileSum { bytes, sha256: hasher.finish() });
            }
            hasher.update(buffer.get(..n).unwrap_or_default());
            bytes += n as u64;
            read(n as u64);
        }
    };
    hash().map_err(|error| BundleError::io("read", path, error))
}

/// Reads a file that must be small.
pub(crate) fn read_small(path: &Path, most: u64) -> Result<Vec<u8>, BundleError> {
    let read = || {
        let mut bytes = Vec::new();
        File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|error| BundleError::io("read", path, error))?;
    if bytes.len() as u64 > most {
        return Err(BundleError::malformed(path, format!("larger than {most} bytes")));
    }
    Ok(bytes)
}

/// What stands in a directory tree.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// Regular files by relative path (parts joined by `/`), with their sizes.
    pub(crate) files: Vec<(String, u64)>,
    /// The directories, the root as an empty path, parents first.
    pub(crate) dirs: Vec<PathBuf>,
}

/// Lists a directory tree. Links, special files and names that are not UTF-8 are refused.
pub(crate) fn list_tree(root: &Path) -> Result<Tree, BundleError> {
    let mut tree = Tree::default();
    let mut waiting = vec![(PathBuf::new(), String::new(), 0)];
    while let Some((dir, prefix, depth)) = waiting.pop() {
        let place = root.join(&dir);
        let refused = |path: &Path, what: &str| BundleError::Artifact {
            path: path.to_owned(),
            what: what.to_owned(),
        };
        if depth > DEPTH_MAX {
            return Err(refused(&place, "too many directories inside one another"));
        }
        let failed = |error| BundleError::io("list", &place, error);
        for entry in fs::read_dir(&place).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = entry.path();
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(|| refused(&path, "the name is not UTF-8"))?;
            let held = entry.metadata().map_err(|error| BundleError::io("read", &path, error))?;
            let relative = format!("{prefix}{name}");
            if held.is_dir() {
                waiting.push((dir.join(name), format!("{relative}/"), depth + 1));
            } else if held.is_file() {
                tree.files.push((relative, held.len()));
            } else {
                return Err(refused(&path, "neither a file nor a directory; links do not travel"));
            }
        }
        tree.dirs.push(dir);
    }
    tree.files.sort_unstable();
    tree.dirs.sort_unstable();
    Ok(tree)
}
