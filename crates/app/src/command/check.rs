//! `carnet check`.

use std::path::PathBuf;

use carnet_ledger::Digest;
use carnet_model::Exit;
use clap::Args;
use serde::Serialize;

use super::Setting;
use crate::failure::Failure;
use crate::findings::FindingView;
use crate::plan_file::PlanFile;

/// Read a plan and say what is wrong with it; nothing else is touched.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The plan file.
    plan: PathBuf,
}

#[derive(Serialize)]
struct Checked<'f> {
    migration: String,
    plan_digest: Digest,
    warnings: Vec<FindingView<'f>>,
}

impl Check {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let file = PlanFile::open_now(&self.plan)?;
        let checked = Checked {
            migration: file.plan.document().migration.to_string(),
            plan_digest: file.plan.digest(),
            warnings: file.warnings.views(),
        };
        setting.warn(&file.warnings);
        setting.screen.show(&checked, |checked| {
            format!("ok: plan {}, digest {}\n", checked.migration, checked.plan_digest)
        })?;
        Ok(Exit::Done)
    }
}
