//! A run goes on under an amended plan only after the amendment was approved, by the rule and the
//! keys of the plan that it amends: a plan cannot give itself leave.

use std::collections::BTreeSet;

use carnet_model::plan::{ApprovalRule, Assurance};

use super::recorder::Recorder;
use super::{RunRequest, programme};
use crate::approval::{Authority, Initiator, is_signed, refused};
use crate::error::EngineError;
use carnet_journal::Clock;
use carnet_process::{AMENDMENT, Approval, RunState};

/// Refuses an amended plan that nobody approved. Says nothing of a plan that amends no run that is
/// on its way.
pub(super) fn check(
    request: &RunRequest<'_>,
    recorder: &Recorder,
    clock: &dyn Clock,
) -> Result<(), EngineError> {
    let run = recorder.run().filter(|run| run.ending().is_none());
    let Some(run) = run.filter(|run| request.plan.parent() == Some(run.plan)) else {
        return Ok(());
    };
    let get = |digest| recorder.object(digest).ok();
    programme::keeps(request.plan, &run, &get)?;
    let plan = (request.plan, request.folder);
    let Authority { rule, trust, initiator } = Authority::of(&run, plan, AMENDMENT, &get)?;
    let not_approved = |reason: String| EngineError::from(refused(AMENDMENT, reason));
    if let (true, Initiator::Unknown(why)) = (rule.not_initiator, &initiator) {
        let reason = format!("it must not come from who started the run, and {why}");
        return Err(not_approved(reason));
    }
    let mut who = BTreeSet::new();
    for approval in run.approvals.iter().filter(|it| it.subject == AMENDMENT) {
        let counts = approval.plan == request.plan.digest()
            && approval.expires > clock.now()
            && rule.any_of.contains(&approval.approver)
            && !(rule.not_initiator && initiator.is(&approval.approver));
        if counts && is_as_asked(recorder, &run, approval, &rule, trust.as_ref()) {
            who.insert(approval.approver.as_str());
        }
    }
    if who.len() >= rule.count as usize {
        return Ok(());
    }
    let reason = format!("{} of {} have approved it", who.len(), rule.count);
    Err(not_approved(reason))
}

fn is_as_asked(
    recorder: &Recorder,
    run: &RunState,
    approval: &Approval,
    rule: &ApprovalRule,
    trust: Option<&carnet_ledger::trust::TrustFile>,
) -> bool {
    let Ok(stored) = recorder.object(approval.statement) else { return false };
    match is_signed(approval, &run.id, &stored, trust) {
        Ok(signed) => signed || rule.assurance == Assurance::Named,
        Err(_) => false,
    }
}
