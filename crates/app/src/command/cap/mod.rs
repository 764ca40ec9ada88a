//! `carnet cap`: a file for each subcommand.

mod list;
mod run;
mod show;

pub(super) use run::View as Used;
pub(super) use show::View as Shown;

use carnet_model::Code;
use carnet_model::Exit;
use carnet_model::capability::{
    ApprovalMode, Descriptor, Fencing, Repeat, Safety, UndoKind, all, descriptor,
};
use clap::{Args, Subcommand};
use schemars::JsonSchema;
use serde::Serialize;

use super::Setting;
use crate::failure::Failure;

/// List, show and use capabilities: the named operations that the steps of a plan use.
#[derive(Debug, Args)]
pub(crate) struct Cap {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    List(list::List),
    Run(run::Run),
    Show(show::Show),
}

impl Cap {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        match &self.what {
            What::List(command) => command.run(setting),
            What::Run(command) => command.run(setting),
            What::Show(command) => command.run(setting),
        }
    }
}

/// What a capability promises.
#[derive(Serialize, JsonSchema)]
pub(super) struct Promises {
    /// Its name.
    name: &'static str,
    /// What it does.
    does: &'static str,
    /// Whether it changes anything outside of the run's own state.
    safety: Safety,
    /// What is done after a crash.
    repeat: Repeat,
    /// How it is taken back.
    undo: UndoKind,
    /// What keeps a writer out that lost the run to another one.
    fencing: Fencing,
    /// Whether a person has to agree each time.
    approval: ApprovalMode,
    /// The kinds of gate that a phase with it must have.
    gates: &'static [&'static str],
}

impl Promises {
    fn of(one: &Descriptor) -> Self {
        Self {
            name: one.name,
            does: one.does,
            safety: one.safety,
            repeat: one.repeat,
            undo: one.undo,
            fencing: one.fencing,
            approval: one.approval,
            gates: one.gates,
        }
    }
}

fn safety(one: Safety) -> &'static str {
    match one {
        Safety::ReadOnly => "read-only",
        Safety::Mutating => "mutating",
    }
}

fn repeat(one: Repeat) -> &'static str {
    match one {
        Repeat::Again => "again",
        Repeat::Probe => "probe",
        Repeat::Manual => "manual",
    }
}

fn undo(one: UndoKind) -> &'static str {
    match one {
        UndoKind::Nothing => "nothing",
        UndoKind::Own => "own",
        UndoKind::ByPlan => "by plan",
    }
}

fn fencing(one: Fencing) -> &'static str {
    match one {
        Fencing::Transactional => "transactional",
        Fencing::Conditional => "conditional",
        Fencing::None => "none",
    }
}

/// The capability of this name, or a failure that names one that is near.
fn named(name: &str) -> Result<&'static Descriptor, Failure> {
    descriptor(name).ok_or_else(|| {
        let part = name.rsplit('.').next().unwrap_or(name);
        let near = all().iter().find(|one| one.name.contains(part) || name.contains(one.name));
        let failure = Failure::new(Code::USAGE, format!("there is no capability {name:?}"));
        match near.filter(|_| !part.is_empty()) {
            Some(near) => {
                failure.remedy(format!("did you mean {}? all: `carnet cap list`", near.name))
            }
            None => failure.remedy("list all: `carnet cap list`"),
        }
    })
}
