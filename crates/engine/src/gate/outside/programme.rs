//! Evidence files of a run, in a folder or in S3: read as they come, and kept only where they are
//! one small object.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use carnet_connect::Objects;
use carnet_ledger::Hasher;
use carnet_model::Code;
use carnet_model::gate::{Asked, Facts, Found, Said, Seen, run_agreement, run_evidence};
use carnet_programme::{FILE_BYTES_MAX, Lines, Run, When, read};

use super::{Looked, Surroundings};
use crate::error::StepError;

/// How much is read of one file: more is an error.
const READ_BYTES_MAX: u64 = 1 << 40;

/// How many names are looked through for one that is similar.
const NAMES_MAX: usize = 2_000;

/// Looks at files by themselves.
pub(super) fn evidence(
    around: &Surroundings<'_>,
    rule: &run_evidence::Rule,
) -> Result<Looked, StepError> {
    let when = when(around, rule.clock_skew_s);
    let files = files(around, &rule.root, &rule.run, &rule.files, when)?;
    let now_s = Some(when.now_us.div_euclid(1_000_000));
    Ok(Looked::new(Facts::RunEvidence(run_evidence::Facts { now_s, files })))
}

/// Looks at files that are compared.
pub(super) fn agreement(
    around: &Surroundings<'_>,
    rule: &run_agreement::Rule,
) -> Result<Looked, StepError> {
    let when = when(around, rule.clock_skew_s);
    let files = files(around, &rule.root, &rule.run, &rule.files, when)?;
    let now_s = Some(when.now_us.div_euclid(1_000_000));
    Ok(Looked::new(Facts::RunAgreement(run_agreement::Facts { now_s, files })))
}

fn when(around: &Surroundings<'_>, skew_s: u32) -> When {
    let seconds = around.now_us().div_euclid(1_000_000);
    When { now_us: seconds.saturating_mul(1_000_000), skew_s }
}

fn files(
    around: &Surroundings<'_>,
    root: &str,
    run: &Run,
    asked: &[Asked],
    when: When,
) -> Result<Vec<Seen>, StepError> {
    let root = Root::open(around, root)?;
    let mut files = Vec::with_capacity(asked.len());
    for file in asked {
        let refused = |what| StepError::new(Code::STORE_UNSUPPORTED, what);
        let path = file.path(run).map_err(refused)?;
        let mut taker = Taker::new(file, run, when);
        let is_there = root.read(&path, &mut taker)?;
        let elsewhere = if is_there { None } else { root.similar(&path, run)? };
        let found = is_there.then(|| taker.done(file));
        files.push(Seen { path, form: file.form, found, elsewhere });
    }
    Ok(files)
}

/// Where evidence lies.
enum Root {
    Folder(PathBuf),
    Objects(Box<dyn Objects>),
}

impl Root {
    fn open(around: &Surroundings<'_>, root: &str) -> Result<Self, StepError> {
        if root.starts_with("s3://") {
            return Ok(Self::Objects(around.outside.objects(root)?));
        }
        Ok(Self::Folder(around.path(root)))
    }

    /// Reads a file; gives whether it is there.
    fn read(&self, path: &str, taker: &mut Taker) -> Result<bool, StepError> {
        match self {
            Self::Folder(folder) => {
                let whole = folder.join(path);
                let failed = |error| StepError::io("read", &whole, error);
                let mut file = match File::open(&whole) {
                    Ok(file) => file,
                    Err(error) if is_missing(&error) => return Ok(false),
                    Err(error) => return Err(failed(error)),
                };
                if !file.metadata().map_err(failed)?.is_file() {
                    return Ok(false);
                }
                io::copy(&mut file, taker).map_err(failed)?;
                Ok(true)
            }
            Self::Objects(objects) => {
                if objects.head(path)?.is_none() {
                    return Ok(false);
                }
                objects.get(path, READ_BYTES_MAX, taker)?;
                Ok(true)
            }
        }
    }

    /// A file whose name has the name of this one in it, among those of the run.
    fn similar(&self, path: &str, run: &Run) -> Result<Option<String>, StepError> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let stem = name.split('.').next().unwrap_or(name);
        let is_similar = |other: &str| {
            other != path && other.rsplit('/').next().is_some_and(|it| it.contains(stem))
        };
        let below = match path.split_once(&run.platform_run_id) {
            Some((before, _)) => format!("{before}{}/", run.platform_run_id),
            None => String::new(),
        };
        match self {
            Self::Folder(folder) => {
                let mut names = Vec::new();
                walk(folder, &below, &mut names);
                names.sort();
                Ok(names.into_iter().find(|other| is_similar(other)))
            }
            Self::Objects(objects) => {
                let page = objects.list(&below, None)?;
                Ok(page.objects.into_iter().map(|(key, _)| key).find(|key| is_similar(key)))
            }
        }
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Names below a folder. What cannot be read is left out: this only helps to find what is missing.
fn walk(folder: &Path, below: &str, names: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(folder.join(below)) else { return };
    for entry in entries.flatten() {
        if names.len() >= NAMES_MAX {
            return;
        }
        let Some(name) = entry.file_name().to_str().map(|name| format!("{below}{name}")) else {
            continue;
        };
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(folder, &format!("{name}/"), names),
            Ok(_) => names.push(name),
            Err(_) => {}
        }
    }
}

/// Takes the bytes of a file.
enum Taker {
    Object { hasher: Hasher, bytes: u64, kept: Vec<u8> },
    Lines(Box<Lines>),
}

impl Taker {
    fn new(asked: &Asked, run: &Run, when: When) -> Self {
        if asked.form.is_lines() {
            return Self::Lines(Box::new(Lines::new(asked.form, run.clone(), when)));
        }
        Self::Object { hasher: Hasher::new(), bytes: 0, kept: Vec::new() }
    }

    fn done(self, asked: &Asked) -> Found {
        match self {
            Self::Lines(lines) => {
                let (bytes, sha256, tally) = lines.finish();
                Found { bytes, sha256, said: Said::Lines(Box::new(tally)) }
            }
            Self::Object { hasher, bytes, kept } => {
                Found { bytes, sha256: hasher.finish(), said: said(asked, kept) }
            }
        }
    }
}

/// The text, or why it cannot be kept as one.
fn said(asked: &Asked, kept: Vec<u8>) -> Said {
    let fault = match read(asked.form, &kept) {
        Err(fault) if kept.len() > FILE_BYTES_MAX || std::str::from_utf8(&kept).is_err() => fault,
        Ok(_) | Err(_) => return Said::Text(String::from_utf8(kept).unwrap_or_default()),
    };
    Said::Refused { name: fault.name().to_owned(), what: fault.to_string() }
}

impl Write for Taker {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        match self {
            Self::Lines(lines) => lines.push(part),
            Self::Object { hasher, bytes, kept } => {
                hasher.update(part);
                *bytes = bytes.saturating_add(part.len() as u64);
                // One byte more than may be read shows that it is too long.
                let room = (FILE_BYTES_MAX + 1).saturating_sub(kept.len());
                kept.extend_from_slice(part.get(..room).unwrap_or(part));
            }
        }
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
