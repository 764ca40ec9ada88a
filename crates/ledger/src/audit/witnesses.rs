//! Who else saw the checkpoint.

use std::borrow::Cow;

use super::AuditRequest;
use super::report::Reason;
use super::rows::{Answer, counted};
use crate::checkpoint::Checkpoint;
use crate::cosignature::CosignatureAnswer;
use crate::note::{Note, SignatureAnswer};
use crate::witness_policy::{Quorum, WitnessPolicy};

/// A checkpoint with all the cosignatures that are known of it, and whom the auditor asks for.
pub(super) struct Witnesses<'a> {
    policy: Option<&'a WitnessPolicy>,
    note: Result<Cow<'a, Note>, Answer>,
}

impl<'a> Witnesses<'a> {
    /// Of the checkpoint in the material, with the signatures that the auditor brings along.
    pub(super) fn new(
        request: &AuditRequest<'a>,
        held: Option<(&'a Note, &'a Checkpoint)>,
    ) -> Self {
        let note = match (held, request.cosigned) {
            (None, _) => {
                let text = "there is no checkpoint that witnesses could have cosigned".to_owned();
                Err(Answer::NotChecked(Reason::Unsigned, text))
            }
            (Some((note, _)), None) => Ok(Cow::Borrowed(note)),
            (Some(held), Some((note, checkpoint))) => with_more(held, (note, checkpoint)),
        };
        Self { policy: request.witnesses, note }
    }

    /// Whether enough of them cosigned.
    pub(super) fn answer(&self) -> Answer {
        let Some(policy) = self.policy else {
            return Answer::NotApplicable("no witnesses were asked for (--witnesses)".to_owned());
        };
        match &self.note {
            Ok(note) => judged(&policy.judge(note)),
            Err(answer) => answer.clone(),
        }
    }

    /// When the last of enough witnesses saw the checkpoint, in seconds since 1970.
    pub(super) fn seen(&self) -> Option<u64> {
        let judged = self.policy?.judge(self.note.as_ref().ok()?);
        if judged.met { times(&judged).max() } else { None }
    }
}

/// The signatures of both, if they are under one text.
fn with_more<'a>(
    (held, checkpoint): (&Note, &Checkpoint),
    (brought, other): (&Note, &Checkpoint),
) -> Result<Cow<'a, Note>, Answer> {
    if other.origin != checkpoint.origin {
        let text = format!("the cosigned checkpoint is of another log: {}", other.origin);
        return Err(Answer::Fail(Reason::OtherLog, text));
    }
    let (size, seen) = (checkpoint.size, other.size);
    if seen == size && other.root != checkpoint.root {
        let text = format!("two roots for a log of {size} events: it was forked");
        return Err(Answer::Fail(Reason::Forked, text));
    }
    if brought.text != held.text {
        let text = if seen == size {
            "the cosigned checkpoint has other lines than the one that is checked".to_owned()
        } else {
            format!("what was cosigned has {seen} events, and the checkpoint {size}")
        };
        return Err(Answer::NotChecked(Reason::QuorumMissing, text));
    }
    let mut both = held.clone();
    for signature in &brought.signatures {
        if !both.signatures.contains(signature) {
            both.signatures.push(signature.clone());
        }
    }
    Ok(Cow::Owned(both))
}

fn judged(quorum: &Quorum) -> Answer {
    let bad = |answer| answer == Some(CosignatureAnswer::Bad);
    if let Some(bad) = quorum.witnesses.iter().find(|one| bad(one.answer)) {
        let text =
            format!("the checkpoint names the witness {}, which did not sign it", bad.key_id);
        return Answer::Fail(Reason::SignatureBad, text);
    }
    if quorum.log == Some(SignatureAnswer::Bad) {
        let text = "the checkpoint names a log of the policy, which did not sign it".to_owned();
        return Answer::Fail(Reason::SignatureBad, text);
    }
    let seen = counted(times(quorum).count() as u64, "witness", "witnesses");
    if quorum.met {
        Answer::Pass(format!("{seen} cosigned, which is what the policy asks for"))
    } else {
        let text = format!("{seen} cosigned, which is not what the policy asks for");
        Answer::NotChecked(Reason::QuorumMissing, text)
    }
}

fn times(quorum: &Quorum) -> impl Iterator<Item = u64> {
    quorum.witnesses.iter().filter_map(|one| match one.answer {
        Some(CosignatureAnswer::Good { time }) => Some(time),
        Some(CosignatureAnswer::Absent | CosignatureAnswer::Bad) | None => None,
    })
}
