//! Evidence files of a run, in a folder or in S3: read as they come, and kept only where they are
//! one small object.

use std::io::{self, Write};

use carnet_ledger::Hasher;
use carnet_model::Code;
use carnet_model::gate::{
    Asked, Facts, Found, Said, Seen, certification, run_agreement, run_evidence,
};
use carnet_programme::{FILE_BYTES_MAX, Lines, Run, When, read};

use super::{Looked, Surroundings};
use crate::error::StepError;
use crate::evidence_root::EvidenceRoot;

/// How much is read of one file: more is an error.
const READ_BYTES_MAX: u64 = 1 << 40;

/// Looks at files by themselves.
pub(super) fn evidence(
    around: &Surroundings<'_>,
    rule: &run_evidence::Rule,
) -> Result<Looked, StepError> {
    let facts = look(around, &rule.root, [(&rule.run, &*rule.files)], rule.clock_skew_s)?;
    Ok(Looked::new(Facts::RunEvidence(facts)))
}

/// Looks at files that are compared.
pub(super) fn agreement(
    around: &Surroundings<'_>,
    rule: &run_agreement::Rule,
) -> Result<Looked, StepError> {
    let facts = look(around, &rule.root, [(&rule.run, &*rule.files)], rule.clock_skew_s)?;
    Ok(Looked::new(Facts::RunAgreement(facts)))
}

/// Looks at files of several runs.
pub(super) fn certification(
    around: &Surroundings<'_>,
    rule: &certification::Rule,
) -> Result<Looked, StepError> {
    let parts = rule.parts();
    let parts = parts.iter().map(|(run, files)| (*run, files.as_slice()));
    let facts = look(around, &rule.root, parts, rule.clock_skew_s)?;
    Ok(Looked::new(Facts::Certification(facts)))
}

fn look<'a>(
    around: &Surroundings<'_>,
    root: &str,
    parts: impl IntoIterator<Item = (&'a Run, &'a [Asked])>,
    skew_s: u32,
) -> Result<run_evidence::Facts, StepError> {
    let now_s = around.now_us().div_euclid(1_000_000);
    let when = When { now_us: now_s.saturating_mul(1_000_000), skew_s };
    let root = EvidenceRoot::open(root, around.folder, around.outside)?;
    let mut files = Vec::new();
    for (run, file) in
        parts.into_iter().flat_map(|(run, asked)| asked.iter().map(move |it| (run, it)))
    {
        let refused = |what| StepError::new(Code::STORE_UNSUPPORTED, what);
        let path = file.path(run).map_err(refused)?;
        let mut taker = Taker::new(file, run, when);
        let is_there = root.stream(&path, READ_BYTES_MAX, &mut taker)?;
        let elsewhere = if is_there { None } else { similar(&root, &path, run)? };
        let found = is_there.then(|| taker.done(file));
        files.push(Seen { path, form: file.form, found, elsewhere });
    }
    Ok(run_evidence::Facts { now_s: Some(now_s), files })
}

/// A file whose name has the name of this one in it, among those of the run.
fn similar(root: &EvidenceRoot, path: &str, run: &Run) -> Result<Option<String>, StepError> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let stem = name.split('.').next().unwrap_or(name);
    let is_similar = |other: &String| {
        other != path && other.rsplit('/').next().is_some_and(|it| it.contains(stem))
    };
    let below = match path.split_once(&run.platform_run_id) {
        Some((before, _)) => format!("{before}{}/", run.platform_run_id),
        None => String::new(),
    };
    Ok(root.names(&below)?.into_iter().find(is_similar))
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
        Ok(_) | Err(_) => return Said::Text(String::from_utf8(kept).unwrap_or_default().into()),
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
