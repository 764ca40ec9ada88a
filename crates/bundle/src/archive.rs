//! A snapshot as one file for transport: tar or zip, the same bytes for the same snapshot.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::checksums::is_relative;
use crate::error::BundleError;
use crate::files::{list_tree, parent_of, sync_dir};
use crate::new_folder::rename_new;

/// The kind of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArchiveKind {
    /// A tar file, not compressed: what is large in a snapshot is compressed already.
    Tar,
    /// A zip file whose entries are stored.
    Zip,
}

impl ArchiveKind {
    /// The ending of its file name.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Tar => "tar",
            Self::Zip => "zip",
        }
    }
}

/// What is taken out of an archive at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchiveLimits {
    /// Files and directories.
    pub entries: u64,
    /// Bytes of all files together. Nothing in an archive of ours is compressed, so that in no case
    /// more comes out than the archive's own size.
    pub bytes: u64,
}

impl Default for ArchiveLimits {
    fn default() -> Self {
        Self { entries: 1_000_000, bytes: 1 << 44 }
    }
}

const BUFFER_BYTES: usize = 256 << 10;
const PATH_BYTES_MAX: usize = 4_096;

pub(crate) fn refused(archive: &Path, what: impl Into<String>) -> BundleError {
    BundleError::Archive { path: archive.to_owned(), what: what.into() }
}

pub(crate) fn too_much(archive: &Path, what: &str) -> BundleError {
    BundleError::ArchiveLimit { path: archive.to_owned(), what: what.to_owned() }
}

pub(crate) const TOO_MANY_BYTES: &str =
    "gives out more bytes than it has, or than the limit allows";

/// Packs a directory into a new file. Entries are sorted, and times, owners and modes are fixed: the
/// same directory gives the same bytes. The file has its name only when it is whole.
pub fn pack(dir: &Path, kind: ArchiveKind, out: &Path) -> Result<(), BundleError> {
    let folder = dir.file_name().and_then(|name| name.to_str());
    let folder = folder.ok_or_else(|| BundleError::Request {
        what: format!("{} has no name that an archive can hold", dir.display()),
    })?;
    if out.symlink_metadata().is_ok() {
        return Err(BundleError::Exists { path: out.to_owned() });
    }
    let files = list_tree(dir)?.files;
    write_archive(out, |file| match kind {
        ArchiveKind::Tar => pack_tar(dir, folder, &files, file),
        ArchiveKind::Zip => pack_zip(dir, folder, &files, file),
    })
}

/// Writes a new file beside its place, and gives it its name when it is whole and durable.
pub(crate) fn write_archive(
    out: &Path,
    write: impl FnOnce(BufWriter<File>) -> io::Result<BufWriter<File>>,
) -> Result<(), BundleError> {
    let writing = |error| BundleError::io("write", out, error);
    let parent = parent_of(out);
    let place = tempfile::Builder::new()
        .prefix(".carnet-")
        .suffix(".partial")
        .tempfile_in(parent)
        .map_err(writing)?;
    let file = place.as_file().try_clone().map_err(writing)?;
    let file = write(BufWriter::with_capacity(BUFFER_BYTES, file));
    let file = file.and_then(|file| file.into_inner().map_err(io::IntoInnerError::into_error));
    file.and_then(|file| file.sync_all()).map_err(writing)?;
    place.persist_noclobber(out).map_err(|failed| {
        if failed.error.kind() == io::ErrorKind::AlreadyExists {
            BundleError::Exists { path: out.to_owned() }
        } else {
            writing(failed.error)
        }
    })?;
    sync_dir(parent)
}

/// The header of a plain file whose time, owner and mode are fixed.
pub(crate) fn plain_entry(bytes: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(bytes);
    header
}

fn pack_tar<W: Write>(dir: &Path, folder: &str, files: &[(String, u64)], out: W) -> io::Result<W> {
    let mut tar = tar::Builder::new(out);
    for (path, bytes) in files {
        let mut header = plain_entry(*bytes);
        let mut file = exactly(File::open(dir.join(path))?, *bytes);
        tar.append_data(&mut header, format!("{folder}/{path}"), &mut file)?;
        file.whole(path)?;
    }
    tar.into_inner()
}

fn pack_zip<W: Write + Seek>(
    dir: &Path,
    folder: &str,
    files: &[(String, u64)],
    out: W,
) -> io::Result<W> {
    let mut zip = ZipWriter::new(out);
    for (path, bytes) in files {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .last_modified_time(zip::DateTime::default())
            .unix_permissions(0o644)
            .large_file(*bytes >= u64::from(u32::MAX));
        zip.start_file(format!("{folder}/{path}"), options)?;
        let mut file = exactly(File::open(dir.join(path))?, *bytes);
        io::copy(&mut file, &mut zip)?;
        file.whole(path)?;
    }
    Ok(zip.finish()?)
}

/// A file of which exactly this many bytes are read: one that grows or shrinks meanwhile is an
/// error, not a broken archive.
struct Exactly {
    file: io::Take<File>,
}

fn exactly(file: File, bytes: u64) -> Exactly {
    Exactly { file: file.take(bytes) }
}

impl Exactly {
    fn whole(&mut self, path: &str) -> io::Result<()> {
        let left = self.file.limit();
        let more = self.file.get_mut().read(&mut [0])?;
        if left == 0 && more == 0 {
            return Ok(());
        }
        Err(io::Error::other(format!("{path} changed while it was packed")))
    }
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

/// Takes the snapshot out of an archive, into a folder of its name under `dest`; gives the folder.
///
/// Refused, with nothing left behind: links and special files, paths that leave the folder, paths
/// that stand twice or differ only in case, more than one folder, and whatever exceeds the limits.
pub fn unpack(archive: &Path, dest: &Path, limits: &ArchiveLimits) -> Result<PathBuf, BundleError> {
    let reading = |error| BundleError::io("read", archive, error);
    let mut file = File::open(archive).map_err(reading)?;
    let size = file.metadata().map_err(reading)?.len();
    let mut magic = [0; 4];
    let n = file.read(&mut magic).map_err(reading)?;
    file.seek(SeekFrom::Start(0)).map_err(reading)?;
    let staging = tempfile::Builder::new()
        .prefix(".carnet-")
        .suffix(".partial")
        .tempdir_in(dest)
        .map_err(|error| BundleError::io("make a directory in", dest, error))?;
    let limits = ArchiveLimits { bytes: limits.bytes.min(size), ..*limits };
    let mut sink = Sink::new(archive, staging.path(), limits);
    let file = BufReader::with_capacity(BUFFER_BYTES, file);
    if magic.get(..n) == Some(b"PK\x03\x04") {
        unpack_zip(&mut sink, file)?;
    } else {
        unpack_tar(&mut sink, file)?;
    }
    let folder = sink.folder.ok_or_else(|| refused(archive, "holds no snapshot"))?;
    let whole = dest.join(&folder);
    let from = staging.path().join(&folder);
    for dir in list_tree(&from)?.dirs.iter().rev() {
        sync_dir(&from.join(dir))?;
    }
    rename_new(&from, &whole)?;
    sync_dir(dest)?;
    Ok(whole)
}

/// The paths of an archive, each checked before it is believed.
pub(crate) struct Paths<'a> {
    archive: &'a Path,
    /// How many more entries may come.
    entries: u64,
    /// Files and directories so far, in lower case.
    files: BTreeSet<String>,
    dirs: BTreeSet<String>,
}

impl<'a> Paths<'a> {
    pub(crate) fn new(archive: &'a Path, entries: u64) -> Self {
        Self { archive, entries, files: BTreeSet::new(), dirs: BTreeSet::new() }
    }

    /// Gives the path, without the slash at the end of a directory.
    pub(crate) fn check<'p>(
        &mut self,
        path: &'p [u8],
        is_dir: bool,
    ) -> Result<&'p str, BundleError> {
        let wrong = |what: &str| wrong_entry(self.archive, path, what);
        let text = std::str::from_utf8(path).map_err(|_| wrong("has a name that is not UTF-8"))?;
        let text = if is_dir { text.strip_suffix('/').unwrap_or(text) } else { text };
        if !is_relative(text) || text.len() > PATH_BYTES_MAX || text.contains('\0') {
            return Err(wrong("has a path that leads elsewhere"));
        }
        let lower = text.to_lowercase();
        let mut parents = lower.match_indices('/').map(|(at, _)| lower.get(..at));
        if parents.any(|parent| parent.is_some_and(|parent| self.files.contains(parent))) {
            return Err(wrong("is inside a file"));
        }
        let twice = if is_dir {
            self.files.contains(&lower)
        } else {
            self.dirs.contains(&lower) || !self.files.insert(lower.clone())
        };
        if twice {
            return Err(wrong("stands twice, or differs from another one only in case"));
        }
        let parents = lower.match_indices('/').filter_map(|(at, _)| lower.get(..at));
        self.dirs.extend(parents.map(str::to_owned));
        if is_dir {
            self.dirs.insert(lower.clone());
        }
        let taken = self.entries.checked_sub(1);
        self.entries = taken.ok_or_else(|| too_much(self.archive, "holds too many entries"))?;
        Ok(text)
    }
}

fn wrong_entry(archive: &Path, path: &[u8], what: &str) -> BundleError {
    let shown: String = String::from_utf8_lossy(path).chars().take(120).collect();
    refused(archive, format!("entry {shown:?} {what}"))
}

/// Takes entries one by one and refuses what must not be written.
struct Sink<'a> {
    archive: &'a Path,
    dest: &'a Path,
    /// How many more bytes may come.
    bytes: u64,
    folder: Option<String>,
    paths: Paths<'a>,
}

impl<'a> Sink<'a> {
    fn new(archive: &'a Path, dest: &'a Path, limits: ArchiveLimits) -> Self {
        let paths = Paths::new(archive, limits.entries);
        Self { archive, dest, bytes: limits.bytes, folder: None, paths }
    }

    fn refused(&self, what: impl Into<String>) -> BundleError {
        refused(self.archive, what)
    }

    /// Checks a path and gives where it goes.
    fn place(&mut self, path: &[u8], is_dir: bool) -> Result<PathBuf, BundleError> {
        let text = self.paths.check(path, is_dir)?;
        let wrong = |what: &str| wrong_entry(self.archive, path, what);
        let (folder, rest) = text.split_once('/').unwrap_or((text, ""));
        if rest.is_empty() && !is_dir {
            return Err(wrong("is not in the snapshot's folder"));
        }
        if self.folder.get_or_insert_with(|| folder.to_owned()) != folder {
            return Err(wrong("is in a second folder"));
        }
        Ok(self.dest.join(text))
    }

    fn dir(&mut self, path: &[u8]) -> Result<(), BundleError> {
        let place = self.place(path, true)?;
        fs::create_dir_all(&place).map_err(|error| BundleError::io("make", &place, error))
    }

    fn file(&mut self, path: &[u8], bytes: u64, content: impl Read) -> Result<(), BundleError> {
        let place = self.place(path, false)?;
        let left = self.bytes.checked_sub(bytes);
        self.bytes = left.ok_or_else(|| too_much(self.archive, TOO_MANY_BYTES))?;
        let parent = parent_of(&place);
        fs::create_dir_all(parent).map_err(|error| BundleError::io("make", parent, error))?;
        let written = File::options().write(true).create_new(true).open(&place).and_then(|file| {
            let mut file = BufWriter::with_capacity(BUFFER_BYTES, file);
            let written = io::copy(&mut content.take(bytes), &mut file)?;
            file.flush()?;
            file.get_ref().sync_all()?;
            Ok(written)
        });
        match written {
            Ok(written) if written == bytes => Ok(()),
            Ok(_) => Err(self.refused("ends early")),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData
                ) =>
            {
                Err(self.refused(format!("is damaged: {error}")))
            }
            Err(error) => Err(BundleError::io("unpack into", &place, error)),
        }
    }
}

fn unpack_tar(sink: &mut Sink<'_>, file: impl Read) -> Result<(), BundleError> {
    let mut tar = tar::Archive::new(file);
    let archive = sink.archive;
    let damaged = |error: io::Error| refused(archive, format!("not a readable tar: {error}"));
    for entry in tar.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let kind = entry.header().entry_type();
        let path = entry.path_bytes().into_owned();
        if kind.is_dir() {
            sink.dir(&path)?;
        } else if kind.is_file() {
            let bytes = entry.size();
            sink.file(&path, bytes, &mut entry)?;
        } else if !kind.is_pax_global_extensions() {
            let path = String::from_utf8_lossy(&path).into_owned();
            return Err(sink.refused(format!("entry {path:?} is neither a file nor a directory")));
        }
    }
    Ok(())
}

fn unpack_zip(sink: &mut Sink<'_>, file: impl Read + Seek) -> Result<(), BundleError> {
    let archive = sink.archive;
    let damaged =
        |error: zip::result::ZipError| refused(archive, format!("not a readable zip: {error}"));
    let mut zip = ZipArchive::new(file).map_err(damaged)?;
    if zip.has_duplicate_names() {
        return Err(sink.refused("holds an entry twice"));
    }
    for n in 0..zip.len() {
        let entry = zip.by_index(n).map_err(damaged)?;
        let path = entry.name_raw().to_vec();
        let name = String::from_utf8_lossy(&path).into_owned();
        // The kind in the upper bits of a Unix mode; none is a plain file.
        let kind = entry.unix_mode().map_or(0, |mode| mode & 0o170_000);
        if entry.is_dir() {
            sink.dir(&path)?;
        } else if entry.is_symlink() || !matches!(kind, 0 | 0o100_000) {
            return Err(sink.refused(format!("entry {name:?} is neither a file nor a directory")));
        } else if entry.compression() != CompressionMethod::Stored {
            return Err(sink.refused(format!(
                "entry {name:?} is compressed; carnet reads zip files whose entries are stored"
            )));
        } else {
            let bytes = entry.size();
            sink.file(&path, bytes, entry)?;
        }
    }
    Ok(())
}

/// A snapshot that is a directory, or one that was taken out of an archive for as long as this
/// value lives.
pub struct SnapshotPlace {
    dir: PathBuf,
    _unpacked: Option<TempDir>,
}

impl SnapshotPlace {
    /// A directory is taken as it is; a file is unpacked into a temporary directory beside it.
    pub fn open(path: &Path, limits: &ArchiveLimits) -> Result<Self, BundleError> {
        if !path.is_file() {
            return Ok(Self { dir: path.to_owned(), _unpacked: None });
        }
        let beside = parent_of(path);
        let place = tempfile::Builder::new()
            .prefix(".carnet-")
            .suffix(".unpacked")
            .tempdir_in(beside)
            .map_err(|error| BundleError::io("make a directory in", beside, error))?;
        let dir = unpack(path, place.path(), limits)?;
        Ok(Self { dir, _unpacked: Some(place) })
    }

    /// The snapshot's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}
