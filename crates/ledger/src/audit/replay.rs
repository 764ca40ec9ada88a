//! Decisions of policies, reached again: by whom, the auditor brings along.

use std::collections::BTreeSet;
use std::fmt;

use super::report::Reason;
use super::rows::{Answer, Context, counted};
use super::{AuditError, objects};
use crate::digest::Digest;
use crate::event::Refusal;

/// The `action` of an event whose object is an evaluation that can be repeated.
pub const EVALUATE: &str = "evaluate_policy";

/// Evaluates again what a policy decided.
pub trait PolicyReplayer: fmt::Debug + Sync {
    /// Evaluates the question that this object records, and compares the answer with the recorded
    /// one and with what the event says of it.
    fn replay(&self, object: &[u8], said: &PolicySaid) -> Replayed;
}

/// What an event says of the evaluation that it points to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySaid {
    /// The refusal; `None` if it was allowed.
    pub refusal: Option<Refusal>,
}

/// What came of evaluating again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replayed {
    /// The same decision.
    Same,
    /// Another one, or the record contradicts itself: why, in words.
    Other(String),
    /// Nobody can tell: why, in words.
    Unknown(String),
}

/// An event that points to an evaluation.
#[derive(Debug)]
pub(super) struct Evaluation {
    pub(super) sequence: u64,
    pub(super) pointer: Digest,
    pub(super) said: PolicySaid,
}

/// Reads the recorded evaluations, and has each reached again.
pub(super) fn replay(context: &Context<'_>) -> Result<Answer, AuditError> {
    let evaluations = &context.streamed.evaluations;
    if evaluations.is_empty() {
        return Ok(Answer::NotApplicable("no event records what a policy decided".to_owned()));
    }
    let decisions = counted(evaluations.len() as u64, "decision", "decisions");
    let Some(replayer) = context.request.replayer else {
        let text = format!("{decisions} of policies; this build cannot evaluate them again");
        return Ok(Answer::NotChecked(Reason::CannotCheck, text));
    };
    let wanted: BTreeSet<Digest> = evaluations.iter().map(|it| it.pointer).collect();
    let (mut same, mut wrong, mut unknown) = (0u64, Vec::new(), Vec::new());
    objects::each_of(context.material, context.expected.own, &wanted, &mut |digest, bytes| {
        for it in evaluations.iter().filter(|it| it.pointer == digest) {
            match replayer.replay(bytes, &it.said) {
                Replayed::Same => same += 1,
                Replayed::Other(why) => wrong.push((it.sequence, why)),
                Replayed::Unknown(why) => unknown.push((it.sequence, why)),
            }
        }
    })?;
    wrong.sort();
    unknown.sort();
    if let Some((sequence, why)) = wrong.first() {
        let text = format!("event {sequence}: policy result not reproducible: {why}");
        return Ok(Answer::Fail(Reason::PolicyDiffers, text));
    }
    let seen = same + unknown.len() as u64;
    if seen < evaluations.len() as u64 {
        let text = format!("{seen} of {decisions} could be read");
        return Ok(Answer::NotChecked(Reason::Unread, text));
    }
    Ok(match unknown.first() {
        None => Answer::Pass(format!("{decisions} of policies reached again")),
        Some((sequence, why)) if same > 0 => {
            let text = format!("{same} of {decisions} reached again; event {sequence}: {why}");
            Answer::PassBut(Reason::CannotCheck, text)
        }
        Some((sequence, why)) => {
            Answer::NotChecked(Reason::CannotCheck, format!("event {sequence}: {why}"))
        }
    })
}
