//! `carnet evidence`: a file for each subcommand.

mod receipt;
mod show;
mod source;
mod told;
mod verify;

use std::path::{Path, PathBuf};

use carnet_engine::{EvidenceError, LogReader};
use carnet_model::{Code, Exit};
use clap::{Args, Subcommand};

use super::Setting;
use crate::failure::Failure;
use crate::plan_file::PlanFile;

/// Show, export and check the evidence of runs.
#[derive(Debug, Args)]
pub(crate) struct Evidence {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Show(show::Show),
    Receipt(receipt::Receipt),
    Verify(verify::Verify),
}

impl Evidence {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        match &self.what {
            What::Show(command) => command.run(setting),
            What::Receipt(command) => command.run(setting),
            What::Verify(command) => command.run(setting),
        }
    }
}

/// Finds the log that is meant: the one of a plan file, of a state directory, or the only one.
fn find(setting: &Setting<'_>, named: Option<&Path>) -> Result<PathBuf, Failure> {
    match named {
        Some(path) if path.is_dir() => Ok(path.to_owned()),
        Some(path) => Ok(setting.state_of(&PlanFile::open(path)?.plan)),
        None => only(setting),
    }
}

/// The one state directory with a log under the folder of all.
fn only(setting: &Setting<'_>) -> Result<PathBuf, Failure> {
    let state = &setting.global.state;
    let mut found = Vec::new();
    for folder in super::status::state_folders(state)? {
        if LogReader::open(&folder).is_ok_and(|log| log.is_some()) {
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

/// The log of a state directory, for reading.
fn open(state: &Path) -> Result<LogReader, Failure> {
    let log = LogReader::open(state).map_err(|error| failure(&EvidenceError::from(error)))?;
    log.filter(|log| log.size() > 0).ok_or_else(|| none(state))
}

fn failure(error: &EvidenceError) -> Failure {
    let failure = Failure::from_error(error, error.code());
    match error.remedy() {
        Some(remedy) => failure.remedy(remedy),
        None => failure,
    }
}
