//! The commands, a file each.

mod approve;
mod bundle;
mod cap;
mod check;
mod claims;
mod completions;
mod conformance;
mod copy;
mod desk;
mod diff;
mod digest;
mod evidence;
mod explain;
mod gate;
mod history;
mod incident;
mod init;
mod key;
mod log_place;
mod note;
mod phase;
mod plan;
mod policy;
mod query;
mod repin;
mod rollback;
mod run;
mod schema;
mod signal;
mod snapshot;
mod status;
mod why;

use std::path::{Path, PathBuf};

use carnet_bundle::Work;
use carnet_connect::Progress;
use carnet_engine::{LogPlace, LogReader};
use carnet_model::Exit;
use carnet_model::plan::Plan;
use clap::Subcommand;

use crate::cli::{Cli, Global};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::findings::Findings;
use crate::progress::progress;
use crate::screen::Screen;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Check(check::Check),
    Plan(plan::Plan),
    Run(run::Run),
    Status(status::Status),
    History(history::History),
    Why(why::Why),
    Approve(approve::Approve),
    Signal(signal::Signal),
    Incident(incident::Incident),
    Phase(phase::Phase),
    Note(note::Note),
    Repin(repin::Repin),
    Rollback(rollback::Rollback),
    Evidence(evidence::Evidence),
    Claims(claims::ShowClaims),
    Conformance(conformance::ShowConformance),
    Copy(copy::Copy),
    Snapshot(snapshot::Snapshot),
    Bundle(bundle::Bundle),
    Diff(diff::Diff),
    Digest(digest::DigestStore),
    Query(query::Query),
    Gate(gate::GateCommand),
    Policy(policy::Policy),
    Schema(schema::Schema),
    Init(init::Init),
    Cap(cap::Cap),
    Key(key::Key),
    Explain(explain::Explain),
    Completions(completions::Completions),
}

/// What every command gets.
pub(crate) struct Setting<'a> {
    pub(crate) global: &'a Global,
    pub(crate) environment: &'a Environment,
    pub(crate) screen: &'a Screen,
}

impl Setting<'_> {
    /// How progress is shown.
    fn progress(&self) -> Box<dyn Progress> {
        progress(self.screen)
    }

    /// As many workers as were asked for.
    fn work<'p>(&self, progress: &'p dyn Progress) -> Work<'p> {
        Work { workers: self.global.workers(), progress }
    }

    /// The state directory of a plan.
    pub(crate) fn state_of(&self, plan: &Plan) -> PathBuf {
        self.global.state.join(plan.document().migration.as_str())
    }

    /// Where the log of this state directory is: in it, or in the database that was named.
    fn log_of(&self, state: &Path) -> Result<LogPlace, Failure> {
        match &self.global.log {
            None => Ok(LogPlace::from(state)),
            Some(log) => log_place::in_database(log, state, self.environment),
        }
    }

    /// Whether the run of this state directory has begun a log. A folder is enough: what is in it may
    /// be damaged.
    fn has_log(&self, state: &Path) -> Result<bool, Failure> {
        if self.global.log.is_none() {
            return Ok(state.exists());
        }
        let log = LogReader::open(self.log_of(state)?);
        Ok(log.map_err(|error| Failure::engine(&error.into()))?.is_some())
    }

    /// Shows the warnings of a plan.
    fn warn(&self, warnings: &Findings) {
        if !warnings.is_empty() {
            self.screen.say_styled(warnings.text(self.screen.talk.colour).trim_end());
        }
    }
}

/// Runs one command. Everything was done and is equal if it gives `Exit::Done`.
pub(crate) fn run(cli: &Cli, environment: &Environment, screen: &Screen) -> Result<Exit, Failure> {
    let setting = Setting { global: &cli.global, environment, screen };
    match &cli.command {
        Command::Check(command) => command.run(&setting),
        Command::Plan(command) => command.run(&setting),
        Command::Run(command) => command.run(&setting),
        Command::Status(command) => command.run(&setting),
        Command::History(command) => command.run(&setting),
        Command::Why(command) => command.run(&setting),
        Command::Approve(command) => command.run(&setting),
        Command::Signal(command) => command.run(&setting),
        Command::Incident(command) => command.run(&setting),
        Command::Phase(command) => command.run(&setting),
        Command::Note(command) => command.run(&setting),
        Command::Repin(command) => command.run(&setting),
        Command::Rollback(command) => command.run(&setting),
        Command::Evidence(command) => command.run(&setting),
        Command::Claims(command) => command.run(&setting),
        Command::Conformance(command) => command.run(&setting),
        Command::Copy(command) => command.run(&setting),
        Command::Snapshot(command) => command.run(&setting),
        Command::Bundle(command) => command.run(&setting),
        Command::Diff(command) => command.run(&setting),
        Command::Digest(command) => command.run(&setting),
        Command::Query(command) => command.run(&setting),
        Command::Gate(command) => command.run(&setting),
        Command::Policy(command) => command.run(&setting),
        Command::Schema(command) => command.run(&setting),
        Command::Init(command) => command.run(&setting),
        Command::Cap(command) => command.run(&setting),
        Command::Key(command) => command.run(&setting),
        Command::Explain(command) => command.run(&setting),
        Command::Completions(command) => command.run(&setting),
    }
}
