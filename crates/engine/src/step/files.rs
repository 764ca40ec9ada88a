//! Files that are whole or not there, whenever the machine stops.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use carnet_ledger::{Digest, Hasher};

use crate::error::StepError;

/// The bytes of a file; `None` where there is none.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, StepError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StepError::io("read", path, error)),
    }
}

/// Replaces a file as a whole, durably. A file that was there keeps its mode and owner. A link is
/// followed: what it points to is replaced.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), StepError> {
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = folder_of(path);
    make_folder(&folder)?;
    let failed = |error| StepError::io("replace", path, error);
    let (mut file, staged) = stage(path)?;
    file.write_all(bytes).map_err(failed)?;
    match fs::metadata(path) {
        Ok(old) => keep_owner_and_mode(&file, &old).map_err(failed)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mode = fs::Permissions::from_mode(0o644);
            file.set_permissions(mode).map_err(failed)?;
        }
        Err(error) => return Err(failed(error)),
    }
    file.sync_all().map_err(failed)?;
    fs::rename(&staged, path).map_err(failed)?;
    sync(&folder)
}

/// Where a file is written until it is whole: always the same place for one file, so that what a
/// process left there that was killed is replaced by the next attempt.
pub(crate) fn staging(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".carnet-new");
    path.with_file_name(name)
}

fn stage(path: &Path) -> Result<(File, PathBuf), StepError> {
    let staged = staging(path);
    remove(&staged)?;
    // The bytes may be secret: until the file has its own mode, only its owner reads it.
    let file = File::options().write(true).create_new(true).mode(0o600).open(&staged);
    Ok((file.map_err(|error| StepError::io("write", &staged, error))?, staged))
}

fn keep_owner_and_mode(file: &File, old: &fs::Metadata) -> io::Result<()> {
    let new = file.metadata()?;
    if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
        std::os::unix::fs::fchown(file, Some(old.uid()), Some(old.gid()))?;
    }
    file.set_permissions(fs::Permissions::from_mode(old.permissions().mode()))
}

/// Gives a file or folder another name, durably.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), StepError> {
    fs::rename(from, to).map_err(|error| StepError::io("rename", from, error))?;
    sync(&folder_of(from))?;
    sync(&folder_of(to))
}

/// Removes a file durably. Gives whether it was there.
pub(crate) fn remove(path: &Path) -> Result<bool, StepError> {
    match fs::remove_file(path) {
        Ok(()) => sync(&folder_of(path)).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StepError::io("remove", path, error)),
    }
}

/// Removes a folder and all in it, also where it is read-only. Gives whether it was there.
pub(crate) fn remove_folder(path: &Path) -> Result<bool, StepError> {
    if !path.exists() {
        return Ok(false);
    }
    for folder in walk(path)?.folders {
        set_mode(&path.join(folder), 0o755)?;
    }
    fs::remove_dir_all(path).map_err(|error| StepError::io("remove", path, error))?;
    sync(&folder_of(path)).map(|()| true)
}

/// Removes a folder that is whole, or what is unfinished of it. It loses its name first: what is half
/// removed is not taken for whole. `half` is called in between.
pub(crate) fn remove_whole(
    place: &Path,
    half: impl FnOnce() -> Result<(), StepError>,
) -> Result<(), StepError> {
    let partial = partial_of(place);
    if place.exists() {
        remove_folder(&partial)?;
        fs::rename(place, &partial).map_err(|error| StepError::io("rename", place, error))?;
        sync(&folder_of(place))?;
        half()?;
    }
    remove_folder(&partial).map(|_| ())
}

/// Where a folder is until it is whole.
pub(crate) fn partial_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

/// Makes a folder and those above it, durably.
pub(crate) fn make_folder(path: &Path) -> Result<(), StepError> {
    if path.is_dir() {
        return Ok(());
    }
    let above = folder_of(path);
    if above != path {
        make_folder(&above)?;
    }
    match fs::create_dir(path) {
        Ok(()) => sync(&above),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(StepError::io("make", path, error)),
    }
}

/// The folders that would be made with this one: those that are not there, the outermost first.
pub(crate) fn missing_folders(path: &Path) -> Vec<PathBuf> {
    let mut missing = Vec::new();
    let mut folder = path.to_owned();
    while fs::symlink_metadata(&folder).is_err() {
        let above = folder_of(&folder);
        if above == folder {
            break;
        }
        missing.push(std::mem::replace(&mut folder, above));
    }
    missing.reverse();
    missing
}

/// Removes folders that were made, the innermost first. One in which something else lies stays, and
/// so do those above it.
pub(crate) fn remove_made(made: &[PathBuf]) {
    for folder in made.iter().rev() {
        if fs::remove_dir(folder).is_ok() {
            // It is gone; whether its name is gone after a crash is of no consequence.
            let _ = sync(&folder_of(folder));
        }
    }
}

/// The folder that a path lies in.
pub(crate) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        Some(_) | None => PathBuf::from(if path.is_absolute() { "/" } else { "." }),
    }
}

/// Makes the names in a folder durable.
pub(crate) fn sync(folder: &Path) -> Result<(), StepError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| StepError::io("write", folder, error))
}

/// The SHA-256 of a file; `None` where there is none.
pub(crate) fn digest(path: &Path) -> Result<Option<Digest>, StepError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StepError::io("read", path, error)),
    };
    let mut hasher = Hasher::new();
    io::copy(&mut file, &mut hasher).map_err(|error| StepError::io("read", path, error))?;
    Ok(Some(hasher.finish()))
}

/// Copies a file as a whole, durably, and gives its size and digest.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(u64, Digest), StepError> {
    let folder = folder_of(to);
    make_folder(&folder)?;
    let failed = |error| StepError::io("copy to", to, error);
    let mut source = File::open(from).map_err(|error| StepError::io("read", from, error))?;
    let (mut file, staged) = stage(to)?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 1 << 17];
    let mut bytes = 0;
    loop {
        let count = source.read(&mut buffer).map_err(|error| StepError::io("read", from, error))?;
        let Some(part) = buffer.get(..count).filter(|part| !part.is_empty()) else { break };
        hasher.update(part);
        file.write_all(part).map_err(failed)?;
        bytes += count as u64;
    }
    file.set_permissions(fs::Permissions::from_mode(0o644)).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    fs::rename(&staged, to).map_err(failed)?;
    Ok((bytes, hasher.finish()))
}

/// Sets the mode of a file or folder.
pub(crate) fn set_mode(path: &Path, mode: u32) -> Result<(), StepError> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(|error| StepError::io("set the mode of", path, error))
}

/// What stands in a folder: relative paths.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// Regular files with their sizes, sorted.
    pub(crate) files: Vec<(PathBuf, u64)>,
    /// Folders, the folder itself as an empty path, those above first.
    pub(crate) folders: Vec<PathBuf>,
}

/// Whether two folders hold the same files with the same bytes.
pub(crate) fn same_tree(one: &Path, other: &Path) -> Result<bool, StepError> {
    let (left, right) = (walk(one)?.files, walk(other)?.files);
    if left != right {
        return Ok(false);
    }
    for (path, _) in left {
        if digest(&one.join(&path))? != digest(&other.join(&path))? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Lists a folder. Links and special files are refused: they would not be what was read.
pub(crate) fn walk(root: &Path) -> Result<Tree, StepError> {
    let mut tree = Tree::default();
    let mut waiting = vec![PathBuf::new()];
    while let Some(folder) = waiting.pop() {
        let place = root.join(&folder);
        let failed = |error| StepError::io("read", &place, error);
        for entry in fs::read_dir(&place).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = folder.join(entry.file_name());
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() {
                waiting.push(path);
            } else if kind.is_file() {
                tree.files.push((path, entry.metadata().map_err(failed)?.len()));
            } else {
                let what = format!("{} is not a plain file", root.join(path).display());
                return Err(StepError::new(carnet_model::Code::ARTIFACT, what));
            }
        }
        tree.folders.push(folder);
    }
    tree.files.sort();
    tree.folders.sort();
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_attempt_left_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/das.env");
        make_folder(&folder_of(&path)).unwrap();
        fs::write(staging(&path), "half").unwrap();
        replace(&path, b"whole").unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"whole");
        let (staged, _) = stage(&path).unwrap();
        assert_eq!(staged.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(staging(&path), "half").unwrap();
        copy(&path, &path.with_file_name("other")).unwrap();
        copy(&path.with_file_name("other"), &path).unwrap();
        let left: Vec<_> = walk(folder.path()).unwrap().files;
        assert_eq!(left.len(), 2, "{left:?}");
    }

    #[test]
    fn a_file_that_is_replaced_keeps_its_mode_and_its_link() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&real, "old").unwrap();
        set_mode(&real, 0o640).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        replace(&link, b"new").unwrap();
        assert_eq!(fs::read(&real).unwrap(), b"new");
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn folders_that_were_made_go_and_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let (there, inner) = (folder.path().join("a"), folder.path().join("a/b/c"));
        make_folder(&there).unwrap();
        let made = missing_folders(&inner);
        assert_eq!(made, [there.join("b"), there.join("b/c")]);
        assert!(missing_folders(&there).is_empty());
        make_folder(&inner).unwrap();
        fs::write(there.join("b/other"), "x").unwrap();
        remove_made(&made);
        assert!(!inner.exists() && there.join("b/other").exists());
        fs::remove_file(there.join("b/other")).unwrap();
        remove_made(&made);
        assert!(!there.join("b").exists() && there.is_dir());
    }

    #[test]
    fn folders_are_removed_even_if_they_are_read_only() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        make_folder(&inner).unwrap();
        fs::write(inner.join("f"), "x").unwrap();
        set_mode(&inner, 0o555).unwrap();
        assert!(remove_folder(&folder.path().join("a")).unwrap());
        assert!(!remove_folder(&folder.path().join("a")).unwrap());
    }
}
