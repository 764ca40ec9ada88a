//! The audit of a receipt: one event, and the proof that a log holds it.

use super::documents::in_full;
use super::event::{Expected, check_one};
use super::keys::answer;
use super::report::{CheckId, Reason, Report, Row, Subject};
use super::rows::{Answer, rule};
use super::tree::freshness;
use super::witnesses::Witnesses;
use super::{AuditError, AuditRequest};
use crate::catalogue::MemberValue;
use crate::checkpoint::Checkpoint;
use crate::digest::Digest;
use crate::event::EvidenceProfile;
use crate::event_json::MAX_EVENT_BYTES;
use crate::note::NoteSignature;
use crate::stamp::EventTime;
use crate::tlog_proof::TlogProof;
use crate::trust::KeyRing;
use crate::value::{HashProfile, Object, Value};

const RECEIPT: &str = "the receipt";
const EVENT: &str = "the event";

/// Checks a receipt (`c2sp.org/tlog-proof@v1`) and the event that it is for, by its stored bytes.
///
/// A receipt proves that the log holds the event, nothing about the events around it: the rows on
/// them are not in the report.
pub fn audit_receipt(
    receipt: &[u8],
    event: &[u8],
    request: &AuditRequest<'_>,
) -> Result<Report, AuditError> {
    let malformed = |what| AuditError::Malformed { name: RECEIPT, what };
    let proof = TlogProof::parse(receipt).map_err(|error| malformed(in_full(&error)))?;
    let checkpoint =
        Checkpoint::parse(&proof.checkpoint.text).map_err(|error| malformed(in_full(&error)))?;
    let members = match Value::parse(event, MAX_EVENT_BYTES) {
        Ok(Value::Object(members)) => members,
        Ok(_) | Err(_) => Object::new(),
    };
    let rows = Rows { receipt: Digest::of(receipt), event: Digest::of(event) };
    let read = Receipt { proof, checkpoint, event, members, request };
    let (mut checks, time) = read.event_rows();
    checks.extend(read.log_rows(time));
    checks.sort_by_key(|(id, _)| *id);
    let checks = checks.into_iter().map(|(id, answer)| rows.of(id, answer)).collect();
    Ok(Report { subject: read.subject(), checks })
}

/// A receipt that could be read, with its event and what the auditor brings along.
struct Receipt<'a> {
    proof: TlogProof,
    checkpoint: Checkpoint,
    event: &'a [u8],
    /// Empty if the event cannot be read.
    members: Object,
    request: &'a AuditRequest<'a>,
}

impl Receipt<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        match MemberValue::of(self.members.get(name)?) {
            Some(MemberValue::Text(text)) => Some(text),
            Some(_) | None => None,
        }
    }

    fn sequence(&self) -> Option<u64> {
        match MemberValue::of(self.members.get("sequence")?) {
            Some(MemberValue::Integer(number)) => u64::try_from(number).ok(),
            Some(_) | None => None,
        }
    }

    /// The event by itself, by the profile that it names: nothing else does. Also when it happened.
    fn event_rows(&self) -> (Vec<(CheckId, Answer)>, Option<EventTime>) {
        let profile_name = self.text("evidence_profile_id");
        let hash_profile: Option<HashProfile> =
            self.text("hash_profile_id").and_then(|name| name.parse().ok());
        let expected = Expected {
            own: true,
            profile_name,
            profile: profile_name.and_then(EvidenceProfile::parse),
            hash_profile,
            chain_id: self.text("chain_id"),
        };
        let (mut findings, time) = check_one(&expected, self.event);
        let declared = match (expected.profile, hash_profile, self.request.profile) {
            (Some(profile), Some(_), Some(asked)) if profile != asked => Answer::Fail(
                Reason::ProfileDowngrade,
                format!("{asked} was asked for, and the event was made under {profile}"),
            ),
            (Some(profile), Some(hash), _) => Answer::Pass(format!("{profile} under {hash}")),
            (None, _, _) | (_, None, _) => Answer::NotChecked(
                Reason::ProfileUnknown,
                "the event names no profile that is known here".to_owned(),
            ),
        };
        let mut answers = vec![(CheckId::ProfileDeclared, declared)];
        let well = [
            (CheckId::EventsForm, "in its canonical form"),
            (CheckId::EventsHash, "the hash is that of its content"),
            (CheckId::ProfileFields, "has all of them"),
            (CheckId::Refusals, "nothing is missing"),
        ];
        for (id, well) in well {
            let answer = match (findings.take(id), hash_profile) {
                (Some(finding), _) => Answer::Fail(finding.reason, finding.text),
                (None, Some(_)) => Answer::Pass(well.to_owned()),
                (None, None) => Answer::NotChecked(
                    Reason::ProfileUnknown,
                    "the event names no hash profile that is known here".to_owned(),
                ),
            };
            answers.push((id, answer));
        }
        (answers, time)
    }

    /// The log that holds it.
    fn log_rows(&self, time: Option<EventTime>) -> Vec<(CheckId, Answer)> {
        let seen = Witnesses::new(self.request, Some((&self.proof.checkpoint, &self.checkpoint)));
        vec![
            (CheckId::TreeRoot, self.inclusion()),
            (CheckId::CheckpointSignature, self.signature(time)),
            (CheckId::CheckpointWitnesses, seen.answer()),
            (CheckId::HistorySince, since(self.request.since, &self.checkpoint)),
            (CheckId::Freshness, freshness(None, seen.seen(), self.checkpoint.size.checked_sub(1))),
        ]
    }

    fn inclusion(&self) -> Answer {
        let index = self.proof.index;
        if self.sequence().is_some_and(|sequence| sequence != index) {
            let text = format!("the receipt is for event {index}, and this is another");
            return Answer::Fail(Reason::ProofBroken, text);
        }
        match self.proof.verify(self.event) {
            Ok(said) => {
                Answer::Pass(format!("the log of {} events holds event {index}", said.size))
            }
            Err(error) => Answer::Fail(Reason::ProofBroken, in_full(&error)),
        }
    }

    fn signature(&self, time: Option<EventTime>) -> Answer {
        let origin = &self.checkpoint.origin;
        if self.text("chain_id").map(Checkpoint::origin_of).as_ref() != Some(origin) {
            let text = format!("the checkpoint is of another log than the event: {origin}");
            return Answer::Fail(Reason::OtherLog, text);
        }
        let ring = KeyRing::new(self.request.keys.iter().cloned());
        let note = &self.proof.checkpoint;
        let judged = ring.judge_note(note, self.checkpoint.size, time);
        let signers: Vec<_> = note.signatures.iter().map(NoteSignature::key_id).collect();
        answer("the checkpoint", &judged, &signers, &ring)
    }

    fn subject(&self) -> Subject {
        Subject {
            own: true,
            chain_id: self.text("chain_id").map(str::to_owned),
            evidence_profile: self.text("evidence_profile_id").map(str::to_owned),
            from_sequence: self.sequence(),
            to_sequence: self.sequence(),
            events: 1,
            refusals: u64::from(self.text("outcome") == Some("refused")),
            last_event_hash: self.text("event_hash").and_then(|hash| hash.parse().ok()),
            tree_size: Some(self.checkpoint.size),
            tree_root: Some(self.checkpoint.root),
        }
    }
}

fn since(since: Option<&Checkpoint>, checkpoint: &Checkpoint) -> Answer {
    let Some(since) = since else {
        return Answer::NotApplicable("no checkpoint from before was given (--since)".to_owned());
    };
    if since.origin != checkpoint.origin {
        let text = format!("your checkpoint is of another log: {}", since.origin);
        return Answer::Fail(Reason::OtherLog, text);
    }
    if since.size == checkpoint.size {
        return if since.root == checkpoint.root {
            Answer::Pass("your checkpoint is the one of the receipt".to_owned())
        } else {
            let text = format!("two roots for a log of {} events: it was forked", since.size);
            Answer::Fail(Reason::Forked, text)
        };
    }
    let text = "a receipt has no proof that relates its checkpoint to yours".to_owned();
    Answer::NotChecked(Reason::ProofMissing, text)
}

/// The digests of what a receipt's rows look at.
struct Rows {
    receipt: Digest,
    event: Digest,
}

impl Rows {
    fn of(&self, id: CheckId, answer: Answer) -> Row {
        let by_event = [
            CheckId::ProfileDeclared,
            CheckId::EventsForm,
            CheckId::EventsHash,
            CheckId::ProfileFields,
            CheckId::Refusals,
        ];
        let of_event = by_event.contains(&id);
        let (input, digest) = if of_event { (EVENT, self.event) } else { (RECEIPT, self.receipt) };
        let rule = if id == CheckId::TreeRoot {
            "the proof leads from the event to the root of the log's tree"
        } else {
            rule(id)
        };
        answer.row(id, input, Some(digest), rule)
    }
}
