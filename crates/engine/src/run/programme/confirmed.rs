//! The evidence that phases were confirmed with: its digests are on record with the act, and it stays
//! what it was for as long as the run goes on. A file of lines may grow.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use carnet_ledger::{Event, EventBody, EventType, Hasher, Value};
use carnet_model::plan::{Plan, Programme, WrittenPhase};
use carnet_process::{Confirmed, Missing, Refused, RunState};

use super::super::recorder::Note;
use crate::error::{EngineError, StepError};
use crate::evidence_root::EvidenceRoot;
use crate::gate::Surroundings;
use crate::step::{integer_of, number};

const CONFIRMED: &str = "confirm_evidence";

/// The most of a file that is read: more than any store holds.
const READ_BYTES_MAX: u64 = 1 << 40;

/// Takes the digest of what comes first, and sees whether more comes.
struct Beginning {
    hasher: Hasher,
    left: u64,
    taken: u64,
    more: bool,
}

impl Beginning {
    fn of(bytes: u64) -> Self {
        Self { hasher: Hasher::new(), left: bytes, taken: 0, more: false }
    }
}

impl Write for Beginning {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        if let Some(first) = bytes.get(..wanted) {
            self.hasher.update(first);
        }
        self.left -= wanted as u64;
        self.taken += wanted as u64;
        self.more |= wanted < bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What is on record of the contract of a phase that is confirmed now. What is not there is missing,
/// and said elsewhere.
pub(super) fn notes(
    programme: &Programme,
    phase: &WrittenPhase,
    around: &Surroundings<'_>,
) -> Result<Vec<Note>, StepError> {
    let root = EvidenceRoot::open(&programme.evidence_root, around.folder, around.outside)?;
    let mut paths = BTreeSet::new();
    for file in &phase.evidence {
        let ids = phase.phase_id.iter().map(|id| id.as_str());
        paths.extend(ids.filter_map(|id| programme.evidence_path(file.path.as_str(), id)));
    }
    let mut notes = Vec::with_capacity(paths.len());
    for path in paths {
        let mut all = Beginning::of(READ_BYTES_MAX);
        if root.stream(&path, READ_BYTES_MAX, &mut all)? {
            let note = Note::done(EventBody::StorageRead, CONFIRMED).about(path);
            let digest = all.hasher.finish();
            notes.push(note.with("sha256", digest.into()).with("bytes", number(all.taken)));
        }
    }
    Ok(notes)
}

/// The file that an event puts on record, where it is one of these.
pub(in crate::run) fn recorded(event: &Event) -> Option<(String, Confirmed)> {
    let about = &event.draft;
    if about.event_type != EventType::StorageRead || about.action.as_deref() != Some(CONFIRMED) {
        return None;
    }
    let Some(Value::Text(digest)) = about.context.get("sha256") else { return None };
    let bytes = u64::try_from(integer_of(&about.context, "bytes")?).ok()?;
    Some((about.resource_id.clone()?, Confirmed { digest: digest.parse().ok()?, bytes }))
}

/// Whether it is a file of lines, behind which more may be written.
fn may_grow(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|it| it == "jsonl")
}

/// What is no longer as it was confirmed.
pub(super) fn changed(
    programme: &Programme,
    run: &RunState,
    around: &Surroundings<'_>,
) -> Result<Vec<Missing>, StepError> {
    if run.confirmed.is_empty() || run.ending().is_some() {
        return Ok(Vec::new());
    }
    let root = EvidenceRoot::open(&programme.evidence_root, around.folder, around.outside)?;
    let mut found = Vec::new();
    for (path, was) in &run.confirmed {
        let mut now = Beginning::of(was.bytes);
        let what = if !root.stream(path, READ_BYTES_MAX, &mut now)? {
            format!("the evidence {path}, with which a phase was confirmed, is gone")
        } else if now.hasher.finish() != was.digest || (now.more && !may_grow(path)) {
            format!("the evidence {path} was overwritten since a phase was confirmed with it")
        } else {
            continue;
        };
        found
            .push(Missing::new(what, format!("put back the file with the SHA-256 {}", was.digest)));
    }
    Ok(found)
}

/// Stops a run whose evidence is no longer what its phases were confirmed with.
pub(super) fn before_run(
    plan: &Plan,
    run: &RunState,
    around: &Surroundings<'_>,
) -> Result<(), EngineError> {
    let Some(programme) = plan.programme() else { return Ok(()) };
    let missing = changed(programme, run, around)?;
    if missing.is_empty() {
        return Ok(());
    }
    let phase = run.phase().unwrap_or_default().to_owned();
    Err(Refused::Unready { phase, act: "gone on with", missing }.into())
}
