//! One side of a crossing, run by the engine as a plan of its own.

use std::path::Path;

use carnet_engine::{Engine, EngineError, Report, RunRequest, status};
use carnet_model::Code;
use carnet_model::plan::Side;

use crate::command::Setting;
use crate::command::run::{Way, engine_report};
use crate::failure::Failure;
use crate::plan_file::PlanFile;

/// Runs the part of the plan that belongs to one side. Its state directory is the first that is not
/// done.
pub(super) fn run(
    setting: &Setting<'_>,
    path: &Path,
    side: &Side,
    dry_run: bool,
    work: impl FnOnce(&Engine, &RunRequest<'_>) -> Result<Report, EngineError>,
) -> Result<Report, Failure> {
    let mut file = PlanFile::open(path)?;
    let whole = file.plan;
    for number in 1_u32.. {
        let Some(plan) = whole.of_side(side.clone(), number) else {
            let what = "nothing crosses in this plan: its process is not portability/v1";
            return Err(Failure::new(Code::USAGE, what)
                .changed("nothing was changed")
                .remedy("name a plan with `process: portability/v1`"));
        };
        let state = setting.state_of(&plan);
        if !status(&state).is_ok_and(|report| report.status == "done") {
            file.plan = plan;
            let way = if dry_run { Way::DryRun } else { Way::Run };
            return engine_report(setting, &file, way, work);
        }
    }
    Err(Failure::new(Code::USAGE, "this was done too often").remedy("name another --state"))
}
