//! The files of a directory, a tar or a zip, read where they are: nothing is unpacked.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use carnet_ledger::audit::Material;
use zip::{CompressionMethod, ZipArchive};

use crate::archive::{ArchiveLimits, Paths, TOO_MANY_BYTES, refused, too_much};
use crate::error::BundleError;
use crate::files::list_tree;

/// A package of files: a directory, or an archive of one.
///
/// Refused are links and special files, paths that leave the package, paths that stand twice or
/// differ only in case, zip entries that are compressed or encrypted, and whatever claims more bytes
/// than the archive has: so a few bytes never become many.
pub struct Package {
    entries: Vec<(String, u64)>,
    place: Place,
}

enum Place {
    Directory(PathBuf),
    Archive {
        file: File,
        /// Where each entry begins in the file, and its size.
        windows: BTreeMap<String, (u64, u64)>,
    },
}

impl Package {
    /// Finds the entries of a package. If all entries of an archive are in one folder, their names
    /// are those inside it.
    pub fn open(path: &Path, limits: &ArchiveLimits) -> Result<Self, BundleError> {
        let reading = |error| BundleError::io("read", path, error);
        if path.metadata().map_err(reading)?.is_dir() {
            let entries = list_tree(path)?.files;
            return Ok(Self { entries, place: Place::Directory(path.to_owned()) });
        }
        let mut file = File::open(path).map_err(reading)?;
        let size = file.metadata().map_err(reading)?.len();
        let mut magic = [0; 4];
        let read = file.read(&mut magic).map_err(reading)?;
        file.seek(SeekFrom::Start(0)).map_err(reading)?;
        let mut index = Index {
            archive: path,
            paths: Paths::new(path, limits.entries),
            bytes: limits.bytes.min(size),
            size,
            windows: BTreeMap::new(),
        };
        let reader = BufReader::new(file.try_clone().map_err(reading)?);
        if magic.get(..read) == Some(b"PK\x03\x04") {
            index.zip(reader)?;
        } else {
            index.tar(reader)?;
            index.tar_end(&file)?;
        }
        let windows = inside(index.windows);
        if windows.is_empty() {
            return Err(refused(path, "holds no files"));
        }
        let entries = windows.iter().map(|(name, (_, bytes))| (name.clone(), *bytes)).collect();
        Ok(Self { entries, place: Place::Archive { file, windows } })
    }
}

/// The names inside the one folder that all are in, if there is one.
fn inside(windows: BTreeMap<String, (u64, u64)>) -> BTreeMap<String, (u64, u64)> {
    let folder = windows.keys().next().and_then(|name| name.split_once('/'));
    let Some((folder, _)) = folder.map(|(folder, rest)| (folder.to_owned(), rest)) else {
        return windows;
    };
    let within =
        |name: &str| Some(name.strip_prefix(folder.as_str())?.strip_prefix('/')?.to_owned());
    if windows.keys().any(|name| within(name).is_none()) {
        return windows;
    }
    windows.into_iter().filter_map(|(name, window)| Some((within(&name)?, window))).collect()
}

impl Material for Package {
    fn entries(&self) -> &[(String, u64)] {
        &self.entries
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send + '_>> {
        if !self.has(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        match &self.place {
            Place::Directory(root) => Ok(Box::new(File::open(root.join(name))?)),
            Place::Archive { file, windows } => {
                let (at, left) = windows.get(name).copied().ok_or(io::ErrorKind::NotFound)?;
                Ok(Box::new(Window { file, at, left }))
            }
        }
    }
}

/// A stretch of a file. Several can be read at once.
struct Window<'a> {
    file: &'a File,
    at: u64,
    left: u64,
}

impl Read for Window<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read_at(buffer.get_mut(..most).unwrap_or_default(), self.at)?;
        if read == 0 && most > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}

/// Finds where the entries of an archive are.
struct Index<'a> {
    archive: &'a Path,
    paths: Paths<'a>,
    /// How many more bytes may come.
    bytes: u64,
    /// The size of the archive.
    size: u64,
    windows: BTreeMap<String, (u64, u64)>,
}

impl Index<'_> {
    fn refused(&self, what: impl Into<String>) -> BundleError {
        refused(self.archive, what)
    }

    fn dir(&mut self, path: &[u8]) -> Result<(), BundleError> {
        let path = path.strip_prefix(b"./").unwrap_or(path);
        if !matches!(path, b"" | b".") {
            self.paths.check(path, true)?;
        }
        Ok(())
    }

    fn file(&mut self, path: &[u8], at: u64, bytes: u64) -> Result<(), BundleError> {
        // `tar -C DIR .` writes names that begin so.
        let path = path.strip_prefix(b"./").unwrap_or(path);
        let name = self.paths.check(path, false)?.to_owned();
        let left = self.bytes.checked_sub(bytes);
        self.bytes = left.ok_or_else(|| too_much(self.archive, TOO_MANY_BYTES))?;
        if at.checked_add(bytes).is_none_or(|end| end > self.size) {
            return Err(self.refused("ends early"));
        }
        self.windows.insert(name, (at, bytes));
        Ok(())
    }

    fn tar(&mut self, reader: impl Read + Seek) -> Result<(), BundleError> {
        let mut tar = tar::Archive::new(reader);
        let archive = self.archive;
        let damaged = |error: io::Error| refused(archive, format!("not a readable tar: {error}"));
        for entry in tar.entries_with_seek().map_err(damaged)? {
            let entry = entry.map_err(damaged)?;
            let kind = entry.header().entry_type();
            let path = entry.path_bytes().into_owned();
            if kind.is_dir() {
                self.dir(&path)?;
            } else if kind.is_file() {
                self.file(&path, entry.raw_file_position(), entry.size())?;
            } else if !kind.is_pax_global_extensions() {
                let path = String::from_utf8_lossy(&path).into_owned();
                return Err(
                    self.refused(format!("entry {path:?} is neither a file nor a directory"))
                );
            }
        }
        Ok(())
    }

    /// A tar ends in two blocks of zeros; a reader that skips over files would not miss them.
    fn tar_end(&self, file: &File) -> Result<(), BundleError> {
        let mut end = [1; 1024];
        let at = self.size.checked_sub(end.len() as u64);
        let read = at.map_or(Ok(()), |at| file.read_exact_at(&mut end, at));
        read.map_err(|error| BundleError::io("read", self.archive, error))?;
        if end.iter().all(|byte| *byte == 0) { Ok(()) } else { Err(self.refused("ends early")) }
    }

    fn zip(&mut self, reader: impl Read + Seek) -> Result<(), BundleError> {
        let archive = self.archive;
        let damaged =
            |error: zip::result::ZipError| refused(archive, format!("not a readable zip: {error}"));
        let mut zip = ZipArchive::new(reader).map_err(damaged)?;
        if zip.has_duplicate_names() {
            return Err(self.refused("holds an entry twice"));
        }
        for n in 0..zip.len() {
            let entry = zip.by_index_raw(n).map_err(damaged)?;
            let path = entry.name_raw().to_vec();
            let wrong = |what: &str| {
                let name: String = String::from_utf8_lossy(&path).chars().take(120).collect();
                refused(archive, format!("entry {name:?} {what}"))
            };
            // The kind in the upper bits of a Unix mode; none is a plain file.
            let kind = entry.unix_mode().map_or(0, |mode| mode & 0o170_000);
            if entry.is_dir() {
                self.dir(&path)?;
                continue;
            }
            if entry.is_symlink() || !matches!(kind, 0 | 0o100_000) {
                return Err(wrong("is neither a file nor a directory"));
            }
            let stored = entry.compression() == CompressionMethod::Stored
                && entry.size() == entry.compressed_size()
                && !entry.encrypted();
            if !stored {
                return Err(wrong(
                    "is compressed or encrypted; carnet reads zip files whose entries are stored",
                ));
            }
            let at = entry.data_start().ok_or_else(|| wrong("has no place in the archive"))?;
            self.file(&path, at, entry.size())?;
        }
        Ok(())
    }
}
