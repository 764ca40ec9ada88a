//! `carnet snapshot`: a file for each subcommand.

mod export;

use carnet_model::Exit;
use clap::{Args, Subcommand};

use super::Setting;
use crate::failure::Failure;

/// Export, import, verify and compare snapshots.
#[derive(Debug, Args)]
pub(crate) struct Snapshot {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Export(export::Export),
}

impl Snapshot {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        match &self.what {
            What::Export(command) => command.run(setting),
        }
    }
}
