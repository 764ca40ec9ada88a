//! The log of the run that is under way, as it goes into a bundle: up to the event that says that it
//! does.

use std::path::Path;

use carnet_bundle::NewFolder;
use carnet_ledger::{Digest, EventId, families_missing};

use super::error::EvidenceError;
use super::record::Intent;
use super::survey::Survey;
use super::write::{Bundle, write_bundle};
use super::{ExportedEvidence, last_event};
use crate::step::Context;
use carnet_journal::LogReader;

/// Writes all events of the log into a new folder. The last of them is that of this export; it names
/// the root over the content that the evidence goes along with.
pub(crate) fn own_log(
    cx: &Context<'_>,
    key: &str,
    content_root: Digest,
    out: &Path,
) -> Result<ExportedEvidence, EvidenceError> {
    let read = || {
        let reader = LogReader::open(cx.log)?.filter(|reader| reader.size() > 0);
        reader.ok_or_else(|| EvidenceError::NoLog(cx.log.shown()))
    };
    // Nobody else appends meanwhile: the journal is held.
    cx.recorder.with_journal(|journal| {
        let reader = read()?;
        let (before, next) = (last_event(&reader)?, reader.size());
        let mut survey = Survey::new(0, None);
        reader.verify(&mut |event| {
            survey.see(event);
            Ok::<_, EvidenceError>(())
        })?;
        let export = Intent {
            id: id_of(key, next),
            from: 0,
            to: next,
            kind: "bundle",
            actor: cx.recorder.actor(),
            content_root: Some(content_root),
        };
        let profile = before.evidence_profile;
        let missing = families_missing(profile, &survey.families(true));
        if !missing.is_empty() {
            let error = EvidenceError::Profile { profile: profile.name(), missing };
            journal.append(vec![export.refused(journal, &before, &error)?])?;
            return Err(error);
        }
        let folder = NewFolder::make(out)?;
        journal.append(vec![export.accepted(journal, &before)?])?;
        let checkpoint = journal.checkpoint()?;
        let bundle = Bundle {
            reader: &read()?,
            export: &export,
            survey: &survey,
            tenant: &before.draft.tenant_id,
            created: cx.clock.now(),
            signer: cx.signer,
            signers: &[],
            checkpoint: checkpoint.as_ref(),
            previous: None,
            tiles: false,
            missing: &[],
            progress: cx.work.progress,
            faults: cx.faults,
        };
        let exported = write_bundle(&bundle, folder.path())?;
        folder.publish()?;
        Ok(ExportedEvidence { path: out.to_owned(), ..exported })
    })
}

/// An id that follows from what is exported: a UUID of version 8.
fn id_of(key: &str, next: u64) -> EventId {
    let digest = Digest::of(format!("{key} {next}").as_bytes());
    let mut id = [0; 16];
    id.iter_mut().zip(digest.as_bytes()).for_each(|(to, from)| *to = *from);
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut id;
    *version = (*version & 0x0f) | 0x80;
    *variant = (*variant & 0x3f) | 0x80;
    EventId(id)
}
