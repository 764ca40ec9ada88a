//! `carnet completions`.

use carnet_model::Exit;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Setting;
use crate::cli::Cli;
use crate::failure::Failure;
use crate::screen::Screen;

/// Print completions for a shell.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self, _setting: &Setting<'_>) -> Result<Exit, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "carnet", &mut script);
        Screen::data(&String::from_utf8_lossy(&script))?;
        Ok(Exit::Done)
    }
}
