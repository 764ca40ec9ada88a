//! `carnet signal`.

use std::path::PathBuf;

use carnet_model::Exit;
use clap::Args;
use serde::Serialize;

use super::Setting;
use super::desk::{Desk, said};
use crate::failure::Failure;

/// Send the word that a node of the plan waits for.
///
/// It may come before the run gets there. Then go on with `carnet run PLAN`.
#[derive(Debug, Args)]
pub(crate) struct Signal {
    /// The plan file.
    plan: PathBuf,
    /// The node that waits, as PHASE/NODE.
    node: String,
    /// What happened, for the evidence.
    #[arg(long, value_parser = said)]
    reason: String,
}

#[derive(Serialize)]
struct View<'a> {
    node: &'a str,
    reason: &'a str,
    by: &'a str,
}

impl Signal {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let desk = Desk::open(setting, &self.plan)?;
        let done = desk.engine.signal(&desk.request()?, &self.node, &self.reason);
        done.map_err(|error| Failure::engine(&error))?;
        let view = View { node: &self.node, reason: &self.reason, by: desk.user };
        let plan = self.plan.display();
        setting.screen.show(&view, |view| {
            format!("{} was told: {}\nnext        carnet run {plan}\n", view.node, view.reason)
        })?;
        Ok(Exit::Done)
    }
}
