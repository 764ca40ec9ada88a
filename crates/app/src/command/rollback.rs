//! `carnet rollback`.

use std::path::PathBuf;

use carnet_engine::Engine;
use carnet_model::Exit;
use clap::Args;

use super::Setting;
use super::run::{Way, with_engine};
use crate::failure::Failure;

/// Take a run back: after the cutover the switch alone, before it everything that was done.
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// The plan file.
    plan: PathBuf,
}

impl Rollback {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        with_engine(setting, &self.plan, Way::Rollback, Engine::rollback)
    }
}
