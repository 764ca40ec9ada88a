//! When what failed in a programme is done again: by the level of its phase (L0 to L4 of the programme's
//! reference: as it stands, after a clean-up, under a fresh run id, from a fresh root, on a fresh substrate).

use carnet_ledger::Digest;
use carnet_model::plan::{Closed, NodeKind, Plan, Retry};
use carnet_process::{
    Direction, Ending, Missing, NodeState, Refused, RunState, Status, StepStatus,
};

use super::kept::Kept;
use crate::error::EngineError;

/// What failed is done again only as the posture of its phase allows.
pub(super) fn may_repeat(plan: &Plan, run: &RunState) -> Result<(), EngineError> {
    let forward = Status::Running(Direction::Forward);
    let waits = Status::Waiting(Direction::Forward);
    if (run.status != forward && run.status != waits) || run.plan != plan.digest() {
        return Ok(());
    }
    let Some(phase) = run.phase() else { return Ok(()) };
    let Some(posture) = plan.written_phase(phase).and_then(|phase| phase.posture.as_ref()) else {
        return Ok(());
    };
    // Nor is what a person settled as not done: that would be the same rerun by another name.
    unless_missing(phase, settled_as_not_done(plan, run, phase))?;
    if run.status != waits {
        return Ok(());
    }
    let failed = run.incidents.iter().filter(|stop| match posture.retry {
        Retry::L0 => false,
        Retry::None => has_failed(plan, run, &stop.subject),
        // A gate only looks: nothing has to be reset before it looks again.
        Retry::L1 | Retry::L2 | Retry::L3 | Retry::L4 => is_a_step(plan, run, &stop.subject),
    });
    let missing: Vec<_> = failed
        .flat_map(|stop| {
            let subject = &stop.subject;
            let rule = if posture.retry == Retry::None {
                "the phase has no retries"
            } else {
                "not every retry is allowed"
            };
            let what = format!("{subject} failed, and {rule} ({}): {}", posture.says, stop.reason);
            let more = before_retry(plan, run, subject);
            let by_word = Missing::new(what, format!("`carnet incident retry PLAN {subject}`"));
            if more.is_empty() { vec![by_word] } else { more }
        })
        .collect();
    unless_missing(phase, missing)
}

/// A phase that needs a fresh run on the platform for a retry is not begun anew under the old one
/// either, once something of it was done: taking it back first would be the same retry by another
/// name.
pub(in crate::run) fn may_begin_anew(
    plan: &Plan,
    run: &RunState,
    object: &dyn Fn(Digest) -> Option<Vec<u8>>,
) -> Result<(), EngineError> {
    let Status::Ended(Ending::Failed | Ending::Refused | Ending::RolledBack) = run.status else {
        return Ok(());
    };
    let (kept, now) = (Kept::of(run, object), plan.programme());
    let id = now.map(|it| it.run.platform_run_id.as_str());
    if id.is_none() || kept.platform_run_id() != id {
        return Ok(());
    }
    for phase in &run.process.phases {
        let fresh = [Retry::L2, Retry::L3, Retry::L4]
            .into_iter()
            .find(|level| kept.retry(&phase.name) == Some(level.name()));
        let was_done = |name: &str| {
            run.step(name).is_some_and(|step| {
                !matches!(step.status, StepStatus::NotStarted | StepStatus::Withheld)
            })
        };
        if let Some(fresh) = fresh.and_then(fresh_for)
            && phase.nodes.iter().any(|node| was_done(&node.name))
        {
            let what =
                format!("{} was begun in this run, and taken back: it needs {fresh}", phase.name);
            let missing = vec![Missing::new(what, "run a plan with that")];
            return unless_missing(&phase.name, missing);
        }
    }
    Ok(())
}

/// How far a phase may be repeated.
fn level_of(plan: &Plan, phase: &str) -> Option<Retry> {
    Some(plan.written_phase(phase)?.posture.as_ref()?.retry)
}

/// What a phase of this level needs before it is done again.
const fn fresh_for(level: Retry) -> Option<&'static str> {
    match level {
        Retry::None | Retry::L0 | Retry::L1 => None,
        Retry::L2 => Some("a fresh platform_run_id"),
        Retry::L3 => Some("a fresh platform_run_id, from a fresh root of scenario and oracle"),
        Retry::L4 => Some("a fresh platform_run_id, on a substrate that was made anew"),
    }
}

/// What stands in the way of doing again what is not done and waits for nobody any more. With L1 the
/// clean-up was told before it was settled.
fn settled_as_not_done(plan: &Plan, run: &RunState, phase: &str) -> Vec<Missing> {
    let below = format!("{phase}/");
    let names = run.process.nodes().map(|(_, node)| node.name.as_str());
    let open = names.filter(|name| name.starts_with(&below)).filter(|name| {
        let step = run.step(name);
        step.is_some_and(|step| step.status == StepStatus::NotApplied)
            && !run.incidents.iter().any(|stop| stop.subject == **name)
    });
    open.flat_map(|name| before_retry(plan, run, name)).collect()
}

/// Whether a person may have something done again that failed.
pub(in crate::run) fn may_retry(
    plan: &Plan,
    run: &RunState,
    subject: &str,
) -> Result<(), EngineError> {
    unless_missing(phase_of(subject), before_retry(plan, run, subject))
}

/// Whether a person may say that a step is not done, after which it is done again: with L1 only once it
/// was told what was cleaned up. With the levels above it may be said, and no run goes on from there.
pub(in crate::run) fn may_settle_as_not_done(
    plan: &Plan,
    run: &RunState,
    step: &str,
) -> Result<(), EngineError> {
    let phase = phase_of(step);
    if level_of(plan, phase) != Some(Retry::L1) {
        return Ok(());
    }
    may_retry(plan, run, step)
}

/// Whether a person may say that a step is done. One that failed, and may not be done again in this
/// run, is not done by hand in it either.
pub(in crate::run) fn may_settle_as_done(
    plan: &Plan,
    run: &RunState,
    step: &str,
) -> Result<(), EngineError> {
    let phase = phase_of(step);
    let failed = run.step(step).is_some_and(|it| it.status == StepStatus::NotApplied);
    if !failed || level_of(plan, phase).and_then(fresh_for).is_none() {
        return Ok(());
    }
    unless_missing(phase, before_retry(plan, run, step))
}

fn unless_missing(phase: &str, missing: Vec<Missing>) -> Result<(), EngineError> {
    if missing.is_empty() {
        return Ok(());
    }
    Err(Refused::Unready { phase: phase.to_owned(), act: "repeated", missing }.into())
}

/// What stands in the way of doing a step again.
fn before_retry(plan: &Plan, run: &RunState, subject: &str) -> Vec<Missing> {
    let phase = phase_of(subject);
    let posture = plan.written_phase(phase).and_then(|phase| phase.posture.as_ref());
    let Some(posture) = posture.filter(|_| is_a_step(plan, run, subject)) else {
        return Vec::new();
    };
    let Some(fresh) = fresh_for(posture.retry) else {
        if posture.retry != Retry::L1 || run.resets.contains(phase) {
            return Vec::new();
        }
        let what = format!(
            "nobody said what was cleaned up since {subject} failed (L1: {})",
            posture.says
        );
        return vec![Missing::new(what, "`carnet note PLAN --kind reset --text …`")];
    };
    let what =
        format!("{subject} is not done again in this run ({}): it needs {fresh}", posture.says);
    vec![Missing::new(
        what,
        "`carnet rollback PLAN`, and a plan with that; or an approved amendment that says why it may be done again here",
    )]
}

/// Whether an incident is about a step, done or not.
fn is_a_step(plan: &Plan, run: &RunState, subject: &str) -> bool {
    has_failed(plan, run, subject)
        && matches!(plan.node(subject).map(|(_, node)| &node.kind), Some(NodeKind::Step(_)))
}

/// Whether an incident is a failure of a step or a gate, and not something that people still have to do.
fn has_failed(plan: &Plan, run: &RunState, subject: &str) -> bool {
    let waits = match plan.node(subject).map(|(_, node)| &node.kind) {
        Some(NodeKind::Gate(gate)) => gate.closed == Closed::Wait,
        Some(
            NodeKind::Step(_)
            | NodeKind::Choice { .. }
            | NodeKind::Timer(_)
            | NodeKind::Message
            | NodeKind::Commit,
        ) => false,
        None => true,
    };
    let state = run.node(subject).and_then(|(place, _)| run.at(place));
    !waits && matches!(state, Some(NodeState::Gate(_) | NodeState::Step(_)))
}

/// The phase of a node that is named as PHASE/NODE.
fn phase_of(node: &str) -> &str {
    node.split('/').next().unwrap_or_default()
}
