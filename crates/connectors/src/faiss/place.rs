//! Where the parts of a store are: its collections' directories and the files in them.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use carnet_connect::StoreError;
use carnet_model::{Code, CollectionContract, CollectionName};
use serde::{Deserialize, Serialize};

pub(super) const INDEX: &str = "index.faiss";
pub(super) const PARQUET: &str = "metadata.parquet";
pub(super) const SQLITE: &str = "metadata.sqlite";
pub(super) const CONTRACT: &str = "collection.json";
const COLLECTIONS: &str = "collections";
/// Stands while the files of a collection are exchanged: without it they belong together.
const MARKER: &str = ".carnet-commit";

/// What the marker says: which load is being published, or that the collection is being dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Exchange {
    /// The load of this token.
    Load(String),
    /// The removal of the collection.
    Drop,
}

/// The directory of one collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    dir: PathBuf,
}

impl Place {
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Whether any of a collection's files is here.
    pub(super) fn is_taken(&self) -> bool {
        [INDEX, PARQUET, SQLITE, MARKER].iter().any(|name| self.file(name).exists())
    }

    /// The exchange that was cut off here, if one was.
    pub(super) fn exchange(&self) -> Result<Option<Exchange>, StoreError> {
        let path = self.file(MARKER);
        let Some(text) = read_if_there(&path)? else { return Ok(None) };
        serde_json::from_str(&text).map(Some).map_err(|error| {
            StoreError::new(Code::STORE_MALFORMED, format!("cannot read {}", path.display()))
                .because(error)
        })
    }

    /// Refuses a collection whose files may not belong together.
    pub(super) fn ensure_whole(&self) -> Result<(), StoreError> {
        let what = match self.exchange()? {
            None => return Ok(()),
            Some(Exchange::Load(token)) => format!("load {token}"),
            Some(Exchange::Drop) => "removal".to_owned(),
        };
        Err(StoreError::new(
            Code::STORE_HALF_LOADED,
            format!("a {what} of {} was cut off while files were exchanged", self.dir.display()),
        )
        .remedy("run the command that was cut off again: it completes the exchange"))
    }

    /// Marks the beginning of an exchange, durably.
    pub(super) fn begin_exchange(&self, exchange: &Exchange) -> Result<(), StoreError> {
        let text = serde_json::to_string(exchange)
            .map_err(|error| StoreError::new(Code::BUG, "cannot write a marker").because(error))?;
        write_whole(&self.file(MARKER), text.as_bytes())
    }

    /// Marks the end of an exchange, after everything before it is durable.
    pub(super) fn end_exchange(&self) -> Result<(), StoreError> {
        sync_dir(&self.dir)?;
        remove(&self.file(MARKER))?;
        sync_dir(&self.dir)
    }

    /// The declared contract; `None` without `collection.json`.
    pub(super) fn contract(&self) -> Result<Option<CollectionContract>, StoreError> {
        let path = self.file(CONTRACT);
        let Some(text) = read_if_there(&path)? else { return Ok(None) };
        serde_json::from_str(&text).map(Some).map_err(|error| {
            StoreError::new(Code::STORE_MALFORMED, format!("cannot read {}", path.display()))
                .because(error)
                .remedy("correct the file, or remove it and state the contract in the plan")
        })
    }
}

/// The directory of the whole store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Root(PathBuf);

impl Root {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self(dir)
    }

    pub(super) fn dir(&self) -> &Path {
        &self.0
    }

    /// The collections, by name. None if there is no such directory.
    pub(super) fn collections(&self) -> Result<Vec<(CollectionName, Place)>, StoreError> {
        if self.0.exists() && !self.0.is_dir() {
            let what = format!("{} is not a directory", self.0.display());
            return Err(StoreError::new(Code::STORE_NOT_FOUND, what)
                .remedy("name the directory that holds index.faiss"));
        }
        let mut found = Vec::new();
        let top = Place { dir: self.0.clone() };
        if top.is_taken() {
            found.push((Self::top_name(&top)?, top));
        }
        let folder = self.0.join(COLLECTIONS);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => Some(entries),
            Err(error) if absent(&error) => None,
            Err(error) => return Err(StoreError::io(cannot("list", &folder), error)),
        };
        for entry in entries.into_iter().flatten() {
            let entry = entry.map_err(|error| StoreError::io(cannot("list", &folder), error))?;
            // Directories whose names cannot be collections are not ours to judge.
            let Ok(name) = CollectionName::new(entry.file_name().to_string_lossy()) else {
                continue;
            };
            let place = Place { dir: entry.path() };
            if place.is_taken() {
                found.push((name, place));
            }
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        let mut pairs = found.iter().zip(found.iter().skip(1));
        if let Some(((name, first), (_, second))) = pairs.find(|(a, b)| a.0 == b.0) {
            return Err(StoreError::new(
                Code::STORE_MALFORMED,
                format!(
                    "the collection {name} is in {} and in {}",
                    first.dir.display(),
                    second.dir.display()
                ),
            )
            .remedy("give one of them another name in its collection.json and directory"));
        }
        Ok(found)
    }

    /// Where a collection is; `None` if it does not exist.
    pub(super) fn find(&self, name: &CollectionName) -> Result<Option<Place>, StoreError> {
        Ok(self.collections()?.into_iter().find(|(held, _)| held == name).map(|(_, place)| place))
    }

    /// Where a collection is, or would be made: the standard one at the top if that is free, others
    /// in directories of their own.
    pub(super) fn place(&self, name: &CollectionName) -> Result<Place, StoreError> {
        if let Some(place) = self.find(name)? {
            return Ok(place);
        }
        let top = Place { dir: self.0.clone() };
        if *name == CollectionName::standard() && !top.is_taken() {
            return Ok(top);
        }
        Ok(Place { dir: self.0.join(COLLECTIONS).join(name.as_str()) })
    }

    fn top_name(top: &Place) -> Result<CollectionName, StoreError> {
        Ok(top.contract()?.map_or_else(CollectionName::standard, |contract| contract.name))
    }

    /// Removes the directory of a collection that is gone, if nothing else is in it.
    pub(super) fn tidy(&self, place: &Place) {
        if place.dir != self.0 {
            // Both fail if something is left in them, which is then somebody else's.
            let _ = fs::remove_dir(&place.dir);
            let _ = fs::remove_dir(self.0.join(COLLECTIONS));
        }
    }
}

/// What tells one state of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Identity {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }

    /// The identity of an open file.
    pub(super) fn of_file(file: &File) -> io::Result<Self> {
        Ok(Self::of(&file.metadata()?))
    }

    /// The identity of what is at a path now; `None` if nothing is.
    pub(super) fn at(path: &Path) -> io::Result<Option<Self>> {
        match fs::metadata(path) {
            Ok(metadata) => Ok(Some(Self::of(&metadata))),
            Err(error) if absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Whether an error says that there is nothing at a path.
pub(super) fn absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// What could not be done, for an error.
pub(super) fn cannot(action: &str, path: &Path) -> String {
    format!("cannot {action} {}", path.display())
}

fn read_if_there(path: &Path) -> Result<Option<String>, StoreError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if absent(&error) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(StoreError::new(Code::STORE_MALFORMED, cannot("read", path)).because(error))
        }
        Err(error) => Err(StoreError::io(cannot("read", path), error)),
    }
}

/// Writes a small file so that either all of it is there after a crash, or none.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let staged = path.with_extension("new");
    let written = fs::write(&staged, bytes)
        .and_then(|()| File::open(&staged)?.sync_all())
        .and_then(|()| fs::rename(&staged, path));
    if let Err(error) = written {
        let _ = fs::remove_file(&staged);
        return Err(StoreError::io(cannot("write", path), error));
    }
    path.parent().map_or(Ok(()), sync_dir)
}

/// Removes a file; it may be gone already.
pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if !absent(&error) => Err(StoreError::io(cannot("remove", path), error)),
        _ => Ok(()),
    }
}

/// Makes the names in a directory durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(|error| StoreError::io(cannot("sync", dir), error))
}
