//! `carnet status`.

mod watch;

pub(super) use watch::Changed;

use std::path::{Path, PathBuf};

use carnet_engine::{EngineError, Report, status};
use carnet_model::Exit;
use clap::Args;

use super::Setting;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::plan_file::PlanFile;
use crate::sheet::Sheet;
use crate::view::run::{RunView, process};

/// Show where a run stands: its phases, gates with their reasons, and what can be done now.
///
/// The evidence is verified on the way; nothing is changed. A run that no process works on any more
/// was cut off. Status 5: it waits for a person.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// The plan file; without one, all runs in the state folder are listed.
    plan: Option<PathBuf>,
    /// Look every second until the run ends or waits: drawn anew on a terminal, a line for each
    /// change elsewhere.
    #[arg(long, requires = "plan")]
    watch: bool,
}

impl Status {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let Some(path) = &self.plan else { return list(setting) };
        let file = PlanFile::open(path)?;
        if self.watch {
            return watch::watch(setting, &file);
        }
        let report = status(setting.log_of(&setting.state_of(&file.plan))?)
            .map_err(|error| Failure::engine(&error))?;
        let terms = file.plan.document().terms.as_ref();
        let now_s = Environment::now().div_euclid(1_000_000);
        let view = RunView::new(report, &file.path).with_terms(terms, now_s);
        setting.screen.show(&view, RunView::text)?;
        Ok(view.standing())
    }
}

/// All runs, a line each.
fn list(setting: &Setting<'_>) -> Result<Exit, Failure> {
    let mut reports = Vec::new();
    for folder in state_folders(&setting.global.state)? {
        match status(setting.log_of(&folder)?) {
            Ok(report) => reports.push(report),
            Err(EngineError::NoRun(_)) => {}
            Err(error) => return Err(Failure::engine(&error).place(folder.display().to_string())),
        }
    }
    if reports.is_empty() {
        let state = setting.global.state.display();
        return Err(Failure::new(
            carnet_model::Code::RUN_NOT_FOUND,
            format!("there are no runs in {state}"),
        )
        .remedy("give the folder that the run used: --state DIR"));
    }
    setting.screen.show(&reports, |reports| lines(reports))?;
    Ok(Exit::Done)
}

/// The state directories of all runs, copies last.
pub(super) fn state_folders(state: &Path) -> Result<Vec<PathBuf>, Failure> {
    let copies = folders(&state.join("copies"))?;
    Ok(folders(state)?.into_iter().chain(copies).collect())
}

fn folders(state: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error| Failure::io(format!("cannot read {}", state.display()), error);
    if !state.exists() {
        return Ok(Vec::new());
    }
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(state).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            folders.push(path);
        }
    }
    folders.sort();
    Ok(folders)
}

fn lines(reports: &[Report]) -> String {
    let mut sheet = Sheet::default();
    sheet.line(format_args!("{:<12}  {:<24}  migration", "status", "started"));
    for report in reports {
        let (name, started) = (&report.migration, &report.started);
        let status = match report.at_work {
            Some(false) => "cut off".to_owned(),
            Some(true) | None => report.status.replace('_', " "),
        };
        let name = format!("{name}{}", process(report));
        sheet.line(format_args!("{status:<12}  {started:<24}  {name}"));
    }
    sheet.text()
}
