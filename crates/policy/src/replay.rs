//! Evaluations that are reached again: what an auditor of evidence asks.

use std::fmt;

use carnet_ledger::audit::{PolicyReplayer, PolicySaid, Replayed};
use carnet_model::policy::{
    EVALUATION_KIND, PolicyAnswer, PolicyEvaluation, PolicyQuestion, PolicyVerdict,
};

use crate::engine::PolicyEngine;

/// Evaluates recorded questions again, by this engine.
pub struct Replayer<E>(pub E);

impl<E> fmt::Debug for Replayer<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Replayer")
    }
}

impl<E: PolicyEngine> PolicyReplayer for Replayer<E> {
    fn replay(&self, object: &[u8], said: &PolicySaid) -> Replayed {
        match again(&self.0, object) {
            Ok((recorded, reached)) => compare(&recorded, &reached, said),
            Err(why) => Replayed::Other(why),
        }
    }
}

/// The recorded answer, and the one that the same question has now.
fn again(
    engine: &impl PolicyEngine,
    object: &[u8],
) -> Result<(PolicyAnswer, PolicyAnswer), String> {
    let read: PolicyEvaluation = serde_json::from_slice(object)
        .map_err(|error| format!("the recorded evaluation is not of its form: {error}"))?;
    if read.kind != EVALUATION_KIND {
        return Err(format!("the recorded evaluation is a {:?}", read.kind));
    }
    let policy = read.policy().map_err(|error| format!("the recorded policy: {error}"))?;
    let question = PolicyQuestion { policy: &policy, input: &read.input };
    let reached = engine.decide(&question).map_err(|failure| failure.what)?;
    Ok((read.answer, reached))
}

fn compare(recorded: &PolicyAnswer, reached: &PolicyAnswer, said: &PolicySaid) -> Replayed {
    if recorded.snapshot != reached.snapshot {
        return Replayed::Other("its answer names another policy snapshot".to_owned());
    }
    if recorded.input != reached.input {
        return Replayed::Other("its answer names another input".to_owned());
    }
    if let Some(why) = against_event(recorded, said) {
        return Replayed::Other(why);
    }
    let (was, is) = (recorded.decision.verdict, reached.decision.verdict);
    if was == PolicyVerdict::TimedOut || is == PolicyVerdict::TimedOut {
        // How long something takes is a matter of the machine. What was not allowed then is not
        // allowed by it; what was allowed must be reached again.
        if was == is {
            return Replayed::Same;
        }
        if !recorded.allows() {
            return Replayed::Unknown(format!("recorded {was}, reached {is}: time decides"));
        }
    }
    if recorded.decision != reached.decision {
        let detail = if was == is { " for other reasons" } else { "" };
        return Replayed::Other(format!("recorded {was}, reached {is}{detail}"));
    }
    if (recorded.rules == 0) != (reached.rules == 0) {
        let (was, is) = (recorded.rules, reached.rules);
        return Replayed::Other(format!("recorded {was} rules evaluated, reached {is}"));
    }
    Replayed::Same
}

/// What the event says of the answer that it points to must be what the answer says.
fn against_event(recorded: &PolicyAnswer, said: &PolicySaid) -> Option<String> {
    match (recorded.refusal(), &said.refusal) {
        (None, None) => None,
        (None, Some(_)) => Some("it allows, and its event says that it was refused".to_owned()),
        (Some(_), None) => Some("it does not allow, and its event does not refuse".to_owned()),
        (Some(reason), Some(refusal)) => {
            let same = reason.class == refusal.class
                && reason.code == refusal.code
                && reason.subject == refusal.subject;
            (!same).then(|| "its event names another reason".to_owned())
        }
    }
}

#[cfg(test)]
mod tests;
