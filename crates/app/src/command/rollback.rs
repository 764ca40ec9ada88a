//! `carnet rollback`.

use std::path::PathBuf;

use carnet_engine::{BackReport, Engine, status};
use carnet_model::Exit;
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use super::Setting;
use super::run::{Way, with_engine};
use crate::failure::Failure;
use crate::plan_file::PlanFile;
use crate::sheet::Sheet;

/// Take a run back: after the cutover the switch alone, before it everything that was done.
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// The plan file.
    plan: PathBuf,
    /// Only show what would be taken back, in which order, and what would stay. Status 3 if no
    /// rollback is possible now.
    #[arg(long)]
    preview: bool,
}

/// What a rollback would do.
#[derive(Serialize, JsonSchema)]
#[schemars(title = "carnet rollback PLAN --preview --json")]
pub(super) struct Preview {
    /// The migration.
    migration: String,
    /// The run.
    run: String,
    /// Where it stands, as `carnet status` says it.
    status: &'static str,
    /// Whether a rollback is possible now.
    possible: bool,
    /// What it would do, where it is possible.
    #[serde(flatten)]
    back: Option<BackReport>,
    /// What an undo could not take away.
    left_behind: Vec<String>,
    /// What each step's undo does, by the plan.
    #[serde(skip)]
    words: Vec<(String, String)>,
    #[serde(skip)]
    plan: String,
}

impl Rollback {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        if self.preview {
            return self.show(setting);
        }
        with_engine(setting, &self.plan, Way::Rollback, Engine::rollback)
    }

    fn show(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let file = PlanFile::open(&self.plan)?;
        let state = setting.state_of(&file.plan);
        let report = status(setting.log_of(&state)?).map_err(|error| Failure::engine(&error))?;
        let nodes = file.plan.phases().iter().flat_map(|phase| &phase.nodes);
        let words = nodes.filter_map(|node| Some((node.name.clone(), node.undo_does.clone()?)));
        let preview = Preview {
            migration: report.migration,
            run: report.run,
            status: report.status,
            possible: report.back.is_some(),
            back: report.back,
            left_behind: report.left_behind,
            words: words.collect(),
            plan: self.plan.display().to_string(),
        };
        setting.screen.show(&preview, Preview::text)?;
        Ok(if preview.possible { Exit::Done } else { Exit::Refused })
    }
}

impl Preview {
    fn text(&self) -> String {
        let mut sheet = Sheet::default();
        let status = self.status.replace('_', " ");
        let Some(back) = &self.back else {
            sheet.line(format_args!("no rollback of {} is possible: {status}", self.migration));
            return sheet.text();
        };
        sheet.line(format_args!("rollback of {}, which is {status}", self.migration));
        sheet.line("undone, in this order");
        for (number, step) in back.undo.iter().enumerate() {
            let words = self.words.iter().find(|(name, _)| name == step);
            let words = words.map_or("", |(_, words)| words.as_str());
            sheet.field(format!("  {:>2} {step}", number + 1), 34, words);
        }
        if back.undo.is_empty() {
            sheet.line("  nothing");
        }
        for phase in &back.procedure {
            sheet.field("then", 10, &format!("{phase}, a phase of the rollback procedure"));
        }
        for step in &back.stays {
            sheet.field("stays", 10, &format!("{step}: nothing takes it back any more"));
        }
        for left in &self.left_behind {
            sheet.field("left", 10, left);
        }
        sheet.field("next", 10, &format!("carnet rollback {}", self.plan));
        sheet.text()
    }
}
