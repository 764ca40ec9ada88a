//! The files of a bundle while they are written, each with its digest.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use carnet_bundle::{FileSum, HashedFile};
use carnet_ledger::Digest;

use super::error::EvidenceError;

/// The folder of a bundle, and what was written into it.
pub(super) struct Folder {
    root: PathBuf,
    files: BTreeMap<String, FileSum>,
}

/// A file that is being written.
pub(super) struct Begun {
    name: String,
    path: PathBuf,
    file: HashedFile,
}

impl Folder {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), files: BTreeMap::new() }
    }

    /// Begins a file. The name is its path in the bundle.
    pub(super) fn begin(&self, name: &str) -> Result<Begun, EvidenceError> {
        let path = self.place(name)?;
        let file = HashedFile::create(&path).map_err(EvidenceError::io("write", &path))?;
        Ok(Begun { name: name.to_owned(), path, file })
    }

    /// Makes a file durable.
    pub(super) fn end(&mut self, begun: Begun) -> Result<FileSum, EvidenceError> {
        let Begun { name, path, file } = begun;
        let sum = file.finish().map_err(EvidenceError::io("write", &path))?;
        self.files.insert(name, sum);
        Ok(sum)
    }

    /// Writes a whole file durably.
    pub(super) fn put(&mut self, name: &str, bytes: &[u8]) -> Result<FileSum, EvidenceError> {
        let mut begun = self.begin(name)?;
        begun.write(bytes)?;
        self.end(begun)
    }

    /// Writes a whole file that is durable only after `settle`: for very many small ones.
    pub(super) fn put_loose(&mut self, name: &str, bytes: &[u8]) -> Result<(), EvidenceError> {
        let path = self.place(name)?;
        fs::write(&path, bytes).map_err(EvidenceError::io("write", &path))?;
        let sum = FileSum { bytes: bytes.len() as u64, sha256: Digest::of(bytes) };
        self.files.insert(name.to_owned(), sum);
        Ok(())
    }

    /// Makes all files durable at once.
    pub(super) fn settle(&self) -> Result<(), EvidenceError> {
        File::open(&self.root)
            .and_then(|folder| Ok(rustix::fs::syncfs(folder)?))
            .map_err(EvidenceError::io("write", &self.root))
    }

    /// What was written so far, by its path in the bundle.
    pub(super) fn files(&self) -> &BTreeMap<String, FileSum> {
        &self.files
    }

    /// The size of all files together.
    pub(super) fn bytes(&self) -> u64 {
        self.files.values().map(|sum| sum.bytes).sum()
    }

    fn place(&self, name: &str) -> Result<PathBuf, EvidenceError> {
        let path = self.root.join(name);
        let parent = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(parent).map_err(EvidenceError::io("make", parent))?;
        Ok(path)
    }
}

impl Begun {
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), EvidenceError> {
        self.file.write_all(bytes).map_err(EvidenceError::io("write", &self.path))
    }
}
