//! Files, folders and objects, and the canary of each: a damaged copy on the disk, read and judged
//! in the same way.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use carnet_ledger::Hasher;
use carnet_model::Code;
use carnet_model::gate::{CANARY, CONTENT_BYTES_MAX, Content, Facts, Rule, digest, file, object};
use serde_json::Value;

use super::{Looked, Surroundings, judged};
use crate::error::StepError;
use crate::step::files;

/// Looks at a file.
pub(super) fn file(around: &Surroundings<'_>, rule: &file::Rule) -> Result<Looked, StepError> {
    let keeps_text = rule.schema.is_some();
    let found = found(&around.path(&rule.path), keeps_text)?;
    let text = found.as_ref().and_then(|found| found.content.text.clone());
    let facts = Facts::File(file::Facts { found });
    let canary = Canary::new(rule.schema.as_ref(), rule.sha256.is_some(), text)?;
    let damaged = Facts::File(file::Facts { found: self::found(canary.path(), keeps_text)? });
    let control = judged(CANARY, canary.what, &Rule::File(rule.clone()), &damaged);
    Ok(Looked::new(facts).control(control))
}

/// What is at a path. Links are followed.
fn found(path: &Path, keeps_text: bool) -> Result<Option<file::Found>, StepError> {
    let failed = |error| StepError::io("read", path, error);
    let about = match fs::metadata(path) {
        Ok(about) => about,
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let (kind, content) = if about.is_file() {
        let content = content(File::open(path).map_err(failed)?, keeps_text).map_err(failed)?;
        (file::Kind::File, content)
    } else if about.is_dir() {
        (file::Kind::Folder, Content::of(b""))
    } else {
        (file::Kind::Other, Content::of(b""))
    };
    Ok(Some(file::Found { kind, content }))
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Reads all bytes; keeps them only if they are to be judged and few enough.
fn content(from: impl Read, keeps_text: bool) -> io::Result<Content> {
    let mut taker = Taker::new(keeps_text);
    let mut from = from;
    io::copy(&mut from, &mut taker)?;
    Ok(taker.done())
}

/// Hashes what it is given, and keeps the beginning.
struct Taker {
    hasher: Hasher,
    bytes: u64,
    kept: Option<Vec<u8>>,
}

impl Taker {
    fn new(keeps_text: bool) -> Self {
        Self { hasher: Hasher::new(), bytes: 0, kept: keeps_text.then(Vec::new) }
    }

    fn done(self) -> Content {
        match self.kept {
            Some(kept) => Content::of(&kept),
            None => Content { bytes: self.bytes, sha256: self.hasher.finish(), text: None },
        }
    }
}

impl Write for Taker {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        self.hasher.update(part);
        self.bytes += part.len() as u64;
        let fits = |kept: &Vec<u8>| kept.len() + part.len() <= CONTENT_BYTES_MAX;
        self.kept = self.kept.take().filter(fits).map(|mut kept| {
            kept.extend_from_slice(part);
            kept
        });
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Looks at an object: asks about it, and reads all of it.
pub(super) fn object(around: &Surroundings<'_>, rule: &object::Rule) -> Result<Looked, StepError> {
    let objects = around.outside.objects(&rule.url)?;
    let keeps_text = rule.schema.is_some();
    let found = match objects.head(&rule.key)? {
        None => None,
        Some(head) => {
            let mut taker = Taker::new(keeps_text);
            objects.get(&rule.key, rule.read_bytes_max, &mut taker)?;
            Some(object::Found {
                bytes: head.bytes,
                etag: head.etag,
                service_sha256: head.sha256.map(carnet_ledger::Digest),
                content: taker.done(),
            })
        }
    };
    let text = found.as_ref().and_then(|found| found.content.text.clone());
    let canary = Canary::new(rule.schema.as_ref(), rule.sha256.is_some(), text)?;
    let failed = |error| StepError::io("read", canary.path(), error);
    let file = File::open(canary.path()).map_err(failed)?;
    let content = content(file, keeps_text).map_err(failed)?;
    let damaged = object::Found {
        bytes: content.bytes,
        etag: "canary".to_owned(),
        service_sha256: None,
        content,
    };
    let damaged = Facts::Object(object::Facts { found: Some(damaged) });
    let control = judged(CANARY, canary.what, &Rule::Object(rule.clone()), &damaged);
    Ok(Looked::new(Facts::Object(object::Facts { found })).control(control))
}

/// Looks at the whole content of a file or a folder.
pub(super) fn digest(around: &Surroundings<'_>, rule: &digest::Rule) -> Result<Looked, StepError> {
    let found = tree(&around.path(&rule.path))?;
    let other = rule.same_as.as_ref().map(|path| tree(&around.path(path))).transpose()?.flatten();
    let canary = Canary::new(None, true, None)?;
    let damaged = digest::Facts { found: tree(canary.folder())?, other: other.clone() };
    let what = "a folder with other content";
    let control = judged(CANARY, what, &Rule::Digest(rule.clone()), &Facts::Digest(damaged));
    Ok(Looked::new(Facts::Digest(digest::Facts { found, other })).control(control))
}

/// All files at a path; `None` if nothing is there.
fn tree(path: &Path) -> Result<Option<digest::Tree>, StepError> {
    let about = match fs::metadata(path) {
        Ok(about) => about,
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(StepError::io("read", path, error)),
    };
    let sum = |path: &Path| {
        let gone = || StepError::new(Code::STORE_CHANGED, format!("{} is gone", path.display()));
        files::digest(path)?.ok_or_else(gone)
    };
    if !about.is_dir() {
        let leaf = digest::Leaf { path: String::new(), sha256: sum(path)? };
        return Ok(Some(digest::Tree { folder: false, files: vec![leaf] }));
    }
    let found = files::walk(path)?.files;
    if found.len() > digest::FILES_MAX {
        let what = format!("{} has more than {} files", path.display(), digest::FILES_MAX);
        let remedy = "name a folder within it, or a file with the digests";
        return Err(StepError::new(Code::STORE_UNSUPPORTED, what).remedy(remedy));
    }
    let mut leaves = Vec::with_capacity(found.len());
    for (within, _) in found {
        let Some(name) = within.to_str().filter(|name| !name.contains('\n')) else {
            let what = format!("{} has no plain name", path.join(&within).display());
            return Err(StepError::new(Code::ARTIFACT, what).remedy("rename it"));
        };
        leaves.push(digest::Leaf { path: name.to_owned(), sha256: sum(&path.join(&within))? });
    }
    leaves.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(Some(digest::Tree { folder: true, files: leaves }))
}

/// A damaged copy in a folder of its own, which goes away with it.
struct Canary {
    folder: tempfile::TempDir,
    path: std::path::PathBuf,
    what: &'static str,
}

impl Canary {
    /// Damaged in a way that this rule must refuse.
    fn new(
        schema: Option<&Value>,
        has_digest: bool,
        text: Option<String>,
    ) -> Result<Self, StepError> {
        let (what, bytes) = match text {
            Some(text) if schema.is_some() => ("a copy that is no JSON", format!("{text}{{")),
            Some(_) | None if schema.is_some() => ("a copy that is no JSON", "{".to_owned()),
            Some(_) | None if has_digest => ("a copy with other bytes", "canary".to_owned()),
            Some(_) | None => ("an empty copy", String::new()),
        };
        let failed = |error| StepError::io("write", Path::new("the canary"), error);
        let folder = tempfile::Builder::new().prefix("carnet-canary-").tempdir().map_err(failed)?;
        let path = folder.path().join("canary");
        fs::write(&path, bytes).map_err(failed)?;
        Ok(Self { folder, path, what })
    }

    fn path(&self) -> &Path {
        &self.path
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }
}
