//! `carnet key`: a file for each subcommand.

mod new;
mod show;
mod succeed;

use carnet_model::Exit;
use clap::{Args, Subcommand};

use super::Setting;
use crate::failure::Failure;

/// Make and show the keys that sign evidence.
#[derive(Debug, Args)]
pub(crate) struct Key {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    New(new::New),
    Show(show::Show),
    Succeed(succeed::Succeed),
}

impl Key {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        match &self.what {
            What::New(command) => command.run(setting),
            What::Show(command) => command.run(setting),
            What::Succeed(command) => command.run(setting),
        }
    }
}
