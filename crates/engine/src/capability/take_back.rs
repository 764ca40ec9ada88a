//! `run.take_back`: a step of this run that is taken back by its own undo.

use carnet_ledger::Object;
use carnet_model::Code;
use carnet_model::capability::{self as model, Repeat, descriptor};
use carnet_model::plan::PlannedUndo;

use super::{Act, Capability, Probed};
use crate::error::StepError;
use crate::run::take_back;
use crate::step::Done;
use carnet_process::{StepState, StepStatus};

pub(super) struct TakeBack;

/// The step, as far as there is something to take back of it. One that failed is taken back for what
/// it may have done, as everywhere.
fn standing(act: &Act<'_>) -> Result<Option<(String, StepState)>, StepError> {
    let model::TakeBack { step } = act.inputs()?;
    let run = act.cx.recorder.run();
    let Some(held) = run.as_ref().and_then(|run| run.step(&step)) else {
        let what = format!("the run has no step {step}");
        return Err(StepError::new(Code::PLAN_VALUE, what).remedy("name a step as PHASE/NODE"));
    };
    let stands = match held.status {
        StepStatus::NotStarted
        | StepStatus::Withheld
        | StepStatus::Undone
        | StepStatus::LeftStanding => false,
        StepStatus::Scheduled
        | StepStatus::Applied
        | StepStatus::Unknown
        | StepStatus::Undoing
        | StepStatus::UndoFailed => true,
        StepStatus::NotApplied => held.activations > 0,
    };
    Ok(stands.then(|| (step, held.clone())))
}

impl Capability for TakeBack {
    fn prepare(&self, act: &Act<'_>) -> Result<Object, StepError> {
        let stands = standing(act)?.is_some();
        Ok(Object::from([("stands".to_owned(), stands.into())]))
    }

    fn act(&self, act: &Act<'_>, _: &Object) -> Result<Done, StepError> {
        let Some((step, held)) = standing(act)? else {
            return Ok(Done::default().fact("taken_back", false));
        };
        act.pass("take_back/begun")?;
        let left_behind = take_back(act.cx, &step, &held.inputs, false)?;
        let left_behind: Vec<_> = left_behind.into_iter().map(Into::into).collect();
        Ok(Done::default().fact("taken_back", true).fact("left_behind", left_behind))
    }

    /// A capability's own undo may be repeated. Another one that the plan names is repeated as far as
    /// it may be.
    fn probe(&self, act: &Act<'_>, _: &Object) -> Result<Probed, StepError> {
        let model::TakeBack { step } = act.inputs()?;
        let found = act.cx.plan.node(&step).and_then(|(_, node)| node.step());
        let Some(PlannedUndo::By { capability, with }) = found.map(|step| &step.undo) else {
            return Ok(Probed::NotApplied);
        };
        let repeat = descriptor(capability).map_or(Repeat::Manual, |it| model::repeat(it, with));
        Ok(match repeat {
            Repeat::Again => Probed::NotApplied,
            Repeat::Probe | Repeat::Manual => Probed::Unknown(format!(
                "the undo of {step} was cut off, and only a person can see what it did"
            )),
        })
    }

    /// What was taken back is not done again by itself.
    fn undo(&self, _: &Act<'_>, _: &Object) -> Result<Vec<String>, StepError> {
        Ok(Vec::new())
    }
}
