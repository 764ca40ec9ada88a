//! What is reported when rules were asked, or when it was compared who has authority: at the very
//! decision, with all that is needed to reach it again.

use carnet_ledger::{EventBody, Refusal, RefusalClass};
use carnet_model::Code;
use carnet_model::gate::{Evaluation, Facts, Observation, Verdict};
use carnet_model::policy::{EVALUATION_ACTION, KeyStanding, NamedKey};
use serde_json::json;

use super::judge::reason;
use super::recorder::Note;
use crate::error::StepError;
use crate::step::{Context, number};
use carnet_process::{Stop, cut};

/// The stop of a gate that rules have closed: on their ground, not on that of gates. `None` if
/// something else is why it is closed.
pub(super) fn closed(node: &str, evaluation: &Evaluation, seen: &Observation) -> Option<Stop> {
    let stale = evaluation.judgement.verdict == Verdict::Stale;
    if evaluation.opens() || evaluation.is_broken() || stale {
        return None;
    }
    let (class, code) = if let Facts::Policy(facts) = &seen.facts {
        let answer = facts.answer.as_ref()?;
        (answer.refusal()?.class, answer.code())
    } else if let Facts::Authority(facts) = &seen.facts {
        facts.keys.iter().find(|key| is_stranger(key))?;
        (RefusalClass::AuthorityMissingOrInvalid, Code::AUTHORITY_UNKNOWN)
    } else {
        return None;
    };
    Some(Stop {
        class,
        code: code.name().to_owned(),
        subject: node.to_owned(),
        reason: reason(evaluation),
        remedy: evaluation.judgement.remedy.clone().unwrap_or_default(),
    })
}

fn is_stranger(key: &NamedKey) -> bool {
    key.standing != KeyStanding::Known
}

/// What rules have decided, whatever the gate makes of it.
pub(super) fn decided(
    cx: &Context<'_>,
    gate: &str,
    seen: Option<&Observation>,
    reason: &str,
) -> Result<Vec<Note>, StepError> {
    let note = match seen.map(|seen| &seen.facts) {
        Some(Facts::Policy(facts)) => {
            let (Some(answer), Some(evaluation)) = (&facts.answer, facts.evaluation) else {
                return Ok(Vec::new());
            };
            let note = match answer.refusal() {
                None => Note::done(EventBody::PolicyEvaluate, EVALUATION_ACTION),
                Some(reason) => {
                    let refusal = Refusal {
                        class: reason.class,
                        code: reason.code,
                        subject: reason.subject,
                        reason: Some(cut(&format!("{}; {}", reason.message, reason.remedy))),
                    };
                    Note::refused(EventBody::PolicyRefusal, EVALUATION_ACTION, refusal)
                }
            };
            note.about(gate)
                .pointing(evaluation)
                .with("snapshot", answer.snapshot.into())
                .with("input", answer.input.into())
                .with("result", answer.decision.verdict.name().into())
                .with("rules", number(answer.rules))
        }
        Some(Facts::Authority(facts)) if !facts.keys.is_empty() => {
            let keys = json!({ "authority": facts.snapshot, "keys": facts.keys });
            let pointer = cx.recorder.put_json(&keys)?;
            let note = match facts.keys.iter().find(|key| is_stranger(key)) {
                None => Note::done(EventBody::AuthorityCheck, "check_authority").about(gate),
                Some(stranger) => {
                    let refusal = Refusal {
                        class: RefusalClass::AuthorityMissingOrInvalid,
                        code: Code::AUTHORITY_UNKNOWN.name().to_owned(),
                        subject: stranger.principal.clone(),
                        reason: Some(cut(reason)),
                    };
                    Note::refused(EventBody::AuthorityRefusal, "check_authority", refusal)
                        .about(stranger.principal.clone())
                }
            };
            note.pointing(pointer).with("keys", number(facts.keys.len() as u64))
        }
        Some(_) | None => return Ok(Vec::new()),
    };
    Ok(vec![note])
}
