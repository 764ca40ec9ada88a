//! Programmes: what must hold before a run of one goes on, and the acts of people that carry it from
//! phase to phase.

mod acts;
mod confirmed;
mod contract;
mod drift;
mod excepted;
mod kept;
mod pins;
mod retry;

pub use acts::{Advanced, NextAct, NoteRow, PhaseRow, ProgrammeReport, kept_notes};
pub(super) use confirmed::recorded as confirmed;
pub use drift::{DriftedFile, absent};
pub(super) use kept::check as keeps;
pub(super) use pins::recorded as pinned;
pub(super) use retry::{may_retry, may_settle_as_done, may_settle_as_not_done};

use carnet_model::plan::{ACTIVATE, CONFIRM, Plan};

use super::RunRequest;
use super::recorder::{Note, Recorder};
use crate::error::EngineError;
use crate::gate::Surroundings;
use crate::step::Context;
use carnet_journal::Clock;

/// What must hold before a run of a programme begins or goes on: no pinned file has changed, and
/// what failed may be repeated.
pub(super) fn before_run(
    request: &RunRequest<'_>,
    recorder: &Recorder,
    clock: &dyn Clock,
) -> Result<(), EngineError> {
    if request.dry_run || request.plan.programme().is_none() {
        return Ok(());
    }
    drift::before_run(request.plan, recorder, clock)?;
    let Some(run) = recorder.run() else { return Ok(()) };
    retry::may_repeat(request.plan, &run)?;
    let (folder, outside) = (request.folder, request.outside);
    confirmed::before_run(request.plan, &run, &Surroundings { folder, outside, clock })
}

/// Whether a run may be begun where one was taken back.
pub(super) fn may_begin(request: &RunRequest<'_>, recorder: &Recorder) -> Result<(), EngineError> {
    match recorder.run().filter(|_| !request.dry_run) {
        Some(run) => {
            retry::may_begin_anew(request.plan, &run, &|digest| recorder.object(digest).ok())
        }
        None => Ok(()),
    }
}

/// What a run that may begin or go on is pinned to, written where everybody finds it; a run that is
/// done only finds it there. Gives what is reported of it.
pub(super) fn pin(
    request: &RunRequest<'_>,
    recorder: &Recorder,
    clock: &dyn Clock,
    done: bool,
) -> Result<Option<Note>, EngineError> {
    let Some(programme) = request.plan.programme().filter(|_| !request.dry_run) else {
        return Ok(None);
    };
    let place = pins::Place::of(request, programme)?;
    let known = recorder.pins(place.path());
    if done && known.is_none() {
        return Ok(None);
    }
    Ok(Some(place.pin(request, programme, known, clock.now())?))
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
