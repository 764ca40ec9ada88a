//! `knowledge.*`: the steps of `knowledge/v1`, whose inputs stand in the plan.

use carnet_ledger::Object;
use carnet_model::plan::StepName;

use super::{Act, Capability, Probed};
use crate::error::StepError;
use crate::step::{self, Done};

/// One step.
pub(super) struct Step(StepName);

pub(super) fn of(step: StepName) -> &'static dyn Capability {
    match step {
        StepName::DescribeSource => &Step(StepName::DescribeSource),
        StepName::DescribeTarget => &Step(StepName::DescribeTarget),
        StepName::RaiseFlag => &Step(StepName::RaiseFlag),
        StepName::PinSource => &Step(StepName::PinSource),
        StepName::ExportSnapshot => &Step(StepName::ExportSnapshot),
        StepName::PlaceSnapshot => &Step(StepName::PlaceSnapshot),
        StepName::RehashSnapshot => &Step(StepName::RehashSnapshot),
        StepName::LoadRecords => &Step(StepName::LoadRecords),
        StepName::PlaceArtifacts => &Step(StepName::PlaceArtifacts),
        StepName::ReadBack => &Step(StepName::ReadBack),
        StepName::Switch => &Step(StepName::Switch),
        StepName::LowerFlag => &Step(StepName::LowerFlag),
        StepName::ArchiveSnapshot => &Step(StepName::ArchiveSnapshot),
    }
}

impl Capability for Step {
    fn prepare(&self, act: &Act<'_>) -> Result<Object, StepError> {
        step::inputs(act.cx, self.0)
    }

    fn act(&self, act: &Act<'_>, inputs: &Object) -> Result<Done, StepError> {
        step::act(act.cx, self.0, inputs)
    }

    /// Every step may be run again, and the switch looks itself where it stands before it does
    /// anything: one that somebody else has changed is refused there as unknown.
    fn probe(&self, _: &Act<'_>, _: &Object) -> Result<Probed, StepError> {
        Ok(Probed::Begun)
    }

    fn undo(&self, act: &Act<'_>, inputs: &Object) -> Result<Vec<String>, StepError> {
        step::undo(act.cx, self.0, inputs)
    }
}
