//! `carnet evidence`: a file for each subcommand.

mod export;
mod project;
mod receipt;
mod show;
mod source;
mod told;
mod verify;

use std::path::{Path, PathBuf};

use carnet_engine::{EvidenceError, LogPlace, LogReader};
use carnet_model::{Code, Exit};
use clap::{Args, Subcommand};

use super::Setting;
use crate::failure::Failure;
use crate::plan_file::PlanFile;

pub(super) use source::Source;
pub(super) use told::Told;

/// Show, export and check the evidence of runs.
#[derive(Debug, Args)]
pub(crate) struct Evidence {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Show(show::Show),
    Export(export::Export),
    Receipt(receipt::Receipt),
    Project(project::Project),
    Verify(verify::Verify),
}

impl Evidence {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        match &self.what {
            What::Show(command) => command.run(setting),
            What::Export(command) => command.run(setting),
            What::Receipt(command) => command.run(setting),
            What::Project(command) => command.run(setting),
            What::Verify(command) => command.run(setting),
        }
    }
}

/// A state directory with a log, and the plan that led there, if one was named.
struct Place {
    state: PathBuf,
    plan: Option<PlanFile>,
}

/// Finds the log that is meant: the one of a plan file, of a state directory, or the only one.
fn find(setting: &Setting<'_>, named: Option<&Path>) -> Result<Place, Failure> {
    match named {
        Some(path) if path.is_dir() => Ok(Place { state: path.to_owned(), plan: None }),
        Some(path) => {
            let plan = PlanFile::open(path)?;
            Ok(Place { state: setting.state_of(&plan.plan), plan: Some(plan) })
        }
        None => Ok(Place { state: only(setting)?, plan: None }),
    }
}

/// The one state directory with a log under the folder of all.
fn only(setting: &Setting<'_>) -> Result<PathBuf, Failure> {
    let state = &setting.global.state;
    let mut found = Vec::new();
    for folder in super::status::state_folders(state)? {
        if LogReader::open(setting.log_of(&folder)?).is_ok_and(|log| log.is_some()) {
            found.push(folder);
        }
    }
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(none(state)),
        [first, ..] => {
            let (count, state) = (found.len(), state.display());
            Err(Failure::new(Code::USAGE, format!("there are {count} logs in {state}"))
                .remedy(format!("name the plan, or the log's folder, such as {}", first.display())))
        }
    }
}

/// There is no log.
fn none(state: &Path) -> Failure {
    Failure::new(Code::RUN_NOT_FOUND, format!("there is no evidence in {}", state.display()))
        .remedy("give the folder that the run used: --state DIR")
}

/// A log, for reading.
fn open(place: &LogPlace) -> Result<LogReader, Failure> {
    let log = LogReader::open(place).map_err(|error| failure(&EvidenceError::from(error)))?;
    log.filter(|log| log.size() > 0).ok_or_else(|| none(&place.shown()))
}

fn failure(error: &EvidenceError) -> Failure {
    let failure = Failure::from_error(error, error.code());
    match error.remedy() {
        Some(remedy) => failure.remedy(remedy),
        None => failure,
    }
}
