//! Where events are read from: a log, or the bundle of an export.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use carnet_bundle::{ArchiveLimits, SnapshotPlace};
use carnet_engine::{EvidenceError, LogPlace, LogReader};
use carnet_ledger::Digest;
use carnet_model::Code;
use serde::Deserialize;

use super::{failure, find, open};
use crate::command::Setting;
use crate::failure::Failure;

/// The longest line of a bundle that is read. An event of ours has at most 65,535 bytes; others
/// may write longer ones.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// The largest object that is shown.
const OBJECT_BYTES_MAX: u64 = 64 << 20;

/// Events, and the objects that they point to.
pub(in crate::command) enum Source {
    /// The log of a run.
    Log { place: LogPlace, log: Box<LogReader> },
    /// An export.
    Bundle(SnapshotPlace),
}

impl Source {
    /// What a person named: a plan, a state directory, or an export.
    pub(in crate::command) fn open(
        setting: &Setting<'_>,
        named: Option<&Path>,
    ) -> Result<Self, Failure> {
        if let Some(path) = named
            && is_bundle(path)
        {
            let place = SnapshotPlace::open(path, &ArchiveLimits::default())?;
            return Ok(Self::Bundle(place));
        }
        let place = setting.log_of(&find(setting, named)?.state)?;
        Ok(Self::Log { log: Box::new(open(&place)?), place })
    }

    /// Calls with each event of a range, as it is stored, in order.
    pub(in crate::command) fn each(
        &self,
        range: Range<u64>,
        mut take: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        match self {
            Self::Log { log, .. } => {
                let end = range.end.min(log.size());
                if range.start >= end {
                    return Ok(());
                }
                log.each_event(range.start..end, |_, bytes| take(bytes).map_err(Stopped::Taken))
                    .map_err(Stopped::into_failure)
            }
            Self::Bundle(place) => {
                let path = place.dir().join("events.jsonl");
                each_line(&path, |line| {
                    let within = sequence_of(line).is_none_or(|number| range.contains(&number));
                    if within { take(line) } else { Ok(()) }
                })
            }
        }
    }

    /// The bytes of an object; `None` where it is not there.
    pub(in crate::command) fn object(&self, digest: Digest) -> Result<Option<Vec<u8>>, Failure> {
        match self {
            Self::Log { log, .. } => match log.object(digest) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(carnet_engine::JournalError::ObjectMissing(_)) => Ok(None),
                Err(error) => Err(failure(&EvidenceError::from(error))),
            },
            Self::Bundle(place) => packed(place.dir(), digest),
        }
    }

    /// How many events there are, where that is known without counting.
    pub(in crate::command) fn size(&self) -> Option<u64> {
        match self {
            Self::Log { log, .. } => Some(log.size()),
            Self::Bundle(_) => None,
        }
    }
}

/// Why a pass over a log ended early.
enum Stopped {
    Journal(carnet_engine::JournalError),
    Taken(Failure),
}

impl From<carnet_engine::JournalError> for Stopped {
    fn from(error: carnet_engine::JournalError) -> Self {
        Self::Journal(error)
    }
}

impl Stopped {
    fn into_failure(self) -> Failure {
        match self {
            Self::Journal(error) => failure(&EvidenceError::from(error)),
            Self::Taken(failure) => failure,
        }
    }
}

/// Whether the path is an export, and not a plan or a state directory.
fn is_bundle(path: &Path) -> bool {
    let archive = path.extension().is_some_and(|end| end == "tar" || end == "zip");
    (archive && path.is_file()) || path.join("events.jsonl").is_file()
}

fn sequence_of(event: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Numbered {
        sequence: u64,
    }
    serde_json::from_slice::<Numbered>(event).ok().map(|event| event.sequence)
}

/// Calls with each line of a file, without its end.
fn each_line(
    path: &Path,
    mut take: impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let failed = |error| Failure::io(format!("cannot read {}", path.display()), error);
    let mut file = BufReader::with_capacity(256 << 10, File::open(path).map_err(failed)?);
    let mut line = Vec::new();
    loop {
        line.clear();
        (&mut file).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).map_err(failed)?;
        if line.is_empty() {
            return Ok(());
        }
        if line.len() as u64 == LINE_BYTES_MAX && line.last() != Some(&b'\n') {
            return Err(Failure::new(Code::EVIDENCE_DAMAGED, "a line is longer than 1 MiB")
                .place(path.display().to_string()));
        }
        take(line.strip_suffix(b"\n").unwrap_or(&line))?;
    }
}

/// An object out of the packs of a bundle.
fn packed(dir: &Path, digest: Digest) -> Result<Option<Vec<u8>>, Failure> {
    #[derive(Deserialize)]
    struct Line {
        sha256: String,
        pack: String,
        offset: u64,
        bytes: u64,
    }
    let index = dir.join("artifacts").join("index.jsonl");
    if !index.is_file() {
        return Ok(None);
    }
    let (wanted, mut found) = (digest.to_string(), None);
    each_line(&index, |line| {
        if let Ok(line) = serde_json::from_slice::<Line>(line)
            && line.sha256 == wanted
        {
            found = Some(line);
        }
        Ok(())
    })?;
    let Some(Line { pack, offset, bytes, .. }) = found else { return Ok(None) };
    let damaged = |what: &str| {
        Failure::new(Code::EVIDENCE_DAMAGED, format!("the object {digest} {what}"))
            .place(dir.display().to_string())
    };
    // A name of a pack leads nowhere else.
    let plain = pack.strip_prefix("artifacts/pack-").and_then(|number| number.parse::<u32>().ok());
    let number = plain.ok_or_else(|| damaged("is said to be in a file that is no pack"))?;
    if bytes > OBJECT_BYTES_MAX {
        return Err(damaged("is too large to be shown"));
    }
    let path = dir.join("artifacts").join(format!("pack-{number}"));
    let failed = |error| Failure::io(format!("cannot read {}", path.display()), error);
    let mut file = File::open(&path).map_err(failed)?;
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let mut held = Vec::new();
    file.take(bytes).read_to_end(&mut held).map_err(failed)?;
    if Digest::of(&held) == digest { Ok(Some(held)) } else { Err(damaged("was changed")) }
}
