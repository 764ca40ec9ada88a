//! Evidence for others: a range of a log as a bundle that is checked without the log, and receipts
//! for single events.
//!
//! Reading order: `export_evidence` below, the pass over the events (`events`), proofs, objects,
//! documents. The byte form is that of docs/formats.md, section "Evidence bundle".

mod documents;
mod error;
mod events;
mod folder;
mod objects;
mod own;
mod proofs;
mod receipt;
mod record;
mod survey;
mod write;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use carnet_bundle::{ArchiveKind, ManifestSigner, NewFolder, pack};
use carnet_connect::Progress;
use carnet_ledger::{Digest, Event, EventTime, Family, SigningKey, families_missing};

pub use error::EvidenceError;
pub(crate) use own::own_log;
pub use receipt::Receipt;

use crate::run::Engine;
use carnet_journal::{Journal, JournalError, LogProfile, LogReader};
use record::Intent;
use survey::Survey;
use write::{Bundle, write_bundle};

/// What of a log is exported, and how.
pub struct EvidenceRequest<'a> {
    /// Where the bundle goes.
    pub out: &'a Path,
    /// The kind of archive; `None` for a folder.
    pub archive: Option<ArchiveKind>,
    /// The first event.
    pub from: u64,
    /// The last event; `None` for all, up to the event of the export itself.
    pub to: Option<u64>,
    /// The log's key. Without one the bundle is unsigned.
    pub signer: Option<Arc<SigningKey>>,
    /// Who else signs the manifest: files beside it.
    pub signers: &'a [&'a dyn ManifestSigner],
    /// Whether to add the tree and the events as tiles.
    pub tiles: bool,
    /// Whether to export also what lacks families that the profile demands.
    pub incomplete: bool,
    /// When the manifest says that it was made; now if nothing is said.
    pub created: Option<EventTime>,
    /// Where the work reports.
    pub progress: &'a dyn Progress,
}

/// What was exported.
#[derive(Debug, Clone)]
pub struct ExportedEvidence {
    /// Where the bundle is.
    pub path: PathBuf,
    /// Its id.
    pub export_id: String,
    /// The log.
    pub chain_id: String,
    /// The first event.
    pub from: u64,
    /// The last event.
    pub to: u64,
    /// How many of them were refusals.
    pub refusals: u64,
    /// The objects that they point to.
    pub objects: u64,
    /// The size of all files together.
    pub bytes: u64,
    /// The hash of the last event.
    pub last_event_hash: Digest,
    /// How many events the log has.
    pub tree_size: u64,
    /// The root over all of them.
    pub root: Digest,
    /// The key that signed; `None` in an unsigned bundle.
    pub key_id: Option<String>,
    /// How many events the last export's checkpoint covered, where the bundle proves that they are
    /// the beginning of this log.
    pub previous: Option<u64>,
    /// Families that the profile demands and the events lack.
    pub missing: Vec<Family>,
}

impl Engine {
    /// Writes events of the log as a bundle. The log gets an event that says so first, and a signed
    /// checkpoint, so that the bundle of a whole log ends with its own export. Refused while a run
    /// works.
    ///
    /// The bundle has its name only when it is whole. The same log, range, export id and time give
    /// the same bytes.
    pub fn export_evidence(
        &self,
        request: &EvidenceRequest<'_>,
    ) -> Result<ExportedEvidence, EvidenceError> {
        self.reader()?;
        must_be_free(request)?;
        let (journal, survey) = self.survey(request)?;
        let reader = self.reader()?;
        let before = last_event(&reader)?;
        // The next event is that of the export.
        let next = reader.size();
        let export = Intent {
            id: self.ids.next_id(),
            from: request.from,
            to: request.to.unwrap_or(next),
            kind: request.archive.map_or("directory", ArchiveKind::extension),
            actor: &self.actor,
            content_root: None,
        };
        check(request, &export, next)?;
        let profile = before.evidence_profile;
        let missing = families_missing(profile, &survey.families(export.to == next));
        if !missing.is_empty() && !request.incomplete {
            let error = EvidenceError::Profile { profile: profile.name(), missing };
            journal.append(vec![export.refused(&journal, &before, &error)?])?;
            return Err(error);
        }
        let previous = reader.last_exported()?.map(|(_, note)| note);
        let folder = NewFolder::make(request.out)?;
        journal.append(vec![export.accepted(&journal, &before)?])?;
        let checkpoint = journal.checkpoint()?;
        let bundle = Bundle {
            reader: &self.reader()?,
            export: &export,
            survey: &survey,
            tenant: &before.draft.tenant_id,
            created: request.created.unwrap_or_else(|| self.clock.now()),
            signer: request.signer.as_deref(),
            signers: request.signers,
            checkpoint: checkpoint.as_ref(),
            previous: previous.as_ref(),
            tiles: request.tiles,
            missing: &missing,
            progress: request.progress,
            faults: &self.faults,
        };
        let placed = place(request, &bundle, folder);
        match (&placed, &checkpoint) {
            (Ok(exported), Some(note)) => journal.note_export(exported.tree_size, note)?,
            (Ok(_), None) => {}
            (Err(_), _) if self.faults.crashed() => {}
            // What is reported is why; that this could not be recorded too would hide it.
            (Err(error), _) => {
                let failure = export.failed(&journal, &before, error);
                let _ = failure.and_then(|failure| journal.append(vec![failure]));
            }
        }
        placed
    }

    /// The log as it is now.
    fn reader(&self) -> Result<LogReader, EvidenceError> {
        let reader = LogReader::open(&self.log)?.filter(|reader| reader.size() > 0);
        reader.ok_or_else(|| EvidenceError::NoLog(self.log.shown()))
    }

    /// Opens the log for writing, and looks at each event on the way.
    fn survey(&self, request: &EvidenceRequest<'_>) -> Result<(Journal, Survey), EvidenceError> {
        let mut survey = Survey::new(request.from, request.to);
        let journal = Journal::open::<EvidenceError>(
            &self.log,
            LogProfile::default(),
            request.signer.clone(),
            Arc::clone(&self.clock),
            Arc::clone(&self.ids),
            &mut |event| {
                survey.see(event);
                Ok(())
            },
        )?;
        Ok((journal, survey))
    }
}

/// The last event of a log that has events.
fn last_event(reader: &LogReader) -> Result<Event, JournalError> {
    let sequence = reader.size().saturating_sub(1);
    Event::parse(&reader.event(sequence)?)
        .map_err(|source| JournalError::Event { sequence, source })
}

/// Refuses what cannot be exported, before the log is touched.
fn check(
    request: &EvidenceRequest<'_>,
    export: &Intent<'_>,
    last: u64,
) -> Result<(), EvidenceError> {
    let (from, to) = (export.from, export.to);
    if from > to || to > last {
        return Err(EvidenceError::Range { from, to, last });
    }
    if request.tiles && (from > 0 || to < last) {
        return Err(EvidenceError::Tiles("only a part of the log is asked for"));
    }
    if request.tiles && request.signer.is_none() {
        return Err(EvidenceError::Tiles("there is no key to sign one"));
    }
    Ok(())
}

/// Makes sure that the bundle will have a place: an empty folder is a free one.
fn must_be_free(request: &EvidenceRequest<'_>) -> Result<(), EvidenceError> {
    let out = request.out;
    let taken = match fs::symlink_metadata(out) {
        Err(_) => false,
        Ok(held) if held.is_dir() && request.archive.is_none() => {
            fs::read_dir(out).map_err(EvidenceError::io("read", out))?.next().is_some()
        }
        Ok(_) => true,
    };
    if taken {
        return Err(EvidenceError::Exists(out.to_owned()));
    }
    match out.parent() {
        Some(parent) => fs::create_dir_all(parent).map_err(EvidenceError::io("make", parent)),
        None => Ok(()),
    }
}

/// Writes the bundle beside its place, and puts it there.
fn place(
    request: &EvidenceRequest<'_>,
    bundle: &Bundle<'_>,
    folder: NewFolder,
) -> Result<ExportedEvidence, EvidenceError> {
    let out = request.out;
    let exported = match request.archive {
        None => {
            let exported = write_bundle(bundle, folder.path())?;
            // A name is only given where nothing is, and an empty folder may be there.
            match fs::remove_dir(out) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(EvidenceError::io("replace", out)(error));
                }
                Ok(()) | Err(_) => {}
            }
            folder.publish()?;
            exported
        }
        Some(kind) => {
            let inner = folder.path().join(format!("carnet-evidence-{}", bundle.export.id));
            fs::create_dir(&inner).map_err(EvidenceError::io("make", &inner))?;
            let exported = write_bundle(bundle, &inner)?;
            pack(&inner, kind, out)?;
            exported
        }
    };
    Ok(ExportedEvidence { path: out.to_owned(), ..exported })
}
