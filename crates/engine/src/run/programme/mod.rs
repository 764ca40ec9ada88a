//! Programmes: what must hold before a run of one goes on, and the acts of people that carry it from
//! phase to phase.

mod acts;
mod drift;
mod pins;

pub use acts::{Advanced, NextAct, NoteRow, PhaseRow, ProgrammeReport, kept_notes};

use carnet_model::plan::{ACTIVATE, CONFIRM, NodeKind, Plan, Retry};

use super::RunRequest;
use super::recorder::{Note, Recorder};
use crate::error::EngineError;
use crate::step::Context;
use carnet_journal::Clock;
use carnet_process::{Direction, Missing, NodeState, Refused, RunState, Status};

/// What must hold before a run of a programme begins or goes on: no pinned file has changed, what
/// failed may be repeated, and what the run is pinned to is written where everybody finds it. Gives
/// what is reported of it.
pub(super) fn before_run(
    request: &RunRequest<'_>,
    recorder: &Recorder,
    clock: &dyn Clock,
) -> Result<Vec<Note>, EngineError> {
    let Some(programme) = request.plan.programme() else { return Ok(Vec::new()) };
    drift::before_run(request.plan, recorder, clock)?;
    if let Some(run) = recorder.run() {
        may_repeat(request.plan, &run)?;
    }
    Ok(vec![pins::write(request, programme, clock)?])
}

/// Before a step begins the pinned files are looked at again: what went before may have outlived them,
/// or changed them. Whether one has changed; the run then waits.
pub(super) fn drifts(cx: &Context<'_>) -> Result<bool, EngineError> {
    if cx.dry_run || cx.plan.programme().is_none() {
        return Ok(false);
    }
    drift::before_step(cx)
}

/// Whether a message is one by which people carry a programme from phase to phase.
pub(super) fn is_an_act(plan: &Plan, message: &str) -> bool {
    let node = message.rsplit('/').next().unwrap_or_default();
    plan.programme().is_some() && (node == ACTIVATE || node == CONFIRM)
}

/// What failed in a phase without retries is repeated only after a person said so.
fn may_repeat(plan: &Plan, run: &RunState) -> Result<(), EngineError> {
    if run.status != Status::Waiting(Direction::Forward) || run.plan != plan.digest() {
        return Ok(());
    }
    let Some(phase) = run.phase() else { return Ok(()) };
    let posture = plan.written_phase(phase).and_then(|phase| phase.posture.as_ref());
    let Some(posture) = posture.filter(|posture| posture.retry == Retry::None) else {
        return Ok(());
    };
    let failed = run.incidents.iter().filter(|stop| has_failed(plan, run, &stop.subject));
    let missing: Vec<_> = failed
        .map(|stop| {
            let what = format!(
                "{} failed, and the phase has no retries ({}): {}",
                stop.subject, posture.says, stop.reason
            );
            Missing::new(what, format!("`carnet incident retry PLAN {}`", stop.subject))
        })
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Refused::Unready { phase: phase.to_owned(), act: "repeated", missing }.into())
}

/// Whether an incident is a failure of a step or a gate, and not something that people still have to do.
fn has_failed(plan: &Plan, run: &RunState, subject: &str) -> bool {
    let waits = match plan.node(subject).map(|(_, node)| &node.kind) {
        Some(NodeKind::Gate(gate)) => gate.closed == carnet_model::plan::Closed::Wait,
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
