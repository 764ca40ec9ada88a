//! The `carnet` command: wiring, and words for people. It decides nothing.
//!
//! Reading order: the command line (`cli`), the commands (a file each under `command`), what a
//! person sees (`screen`, `failure`, `progress`, `view`), what is read from outside
//! (`environment`), the pages of `carnet explain` (`pages`).

#![forbid(unsafe_code)]

mod aim;
mod amount;
mod cli;
mod command;
mod defect;
mod detached;
mod environment;
mod failure;
mod faiss_index;
mod findings;
mod named;
mod outside;
mod pages;
mod plan_file;
mod policies;
mod progress;
mod screen;
mod sheet;
mod signer;
mod stores;
mod view;
mod world;

use std::process::ExitCode;

use carnet_model::Exit;
use clap::Parser;

use crate::cli::Cli;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::screen::Screen;

fn main() -> ExitCode {
    if let Some(served) = policies::serve() {
        return served;
    }
    let environment = Environment::read();
    let exit = match Cli::try_parse() {
        Ok(cli) => {
            let screen = Screen::new(cli.global.json, &environment);
            let done = defect::guard(|| command::run(&cli, &environment, &screen));
            done.unwrap_or_else(|failure| screen.fail(&failure))
        }
        Err(error) => parse_failed(&error, &environment),
    };
    ExitCode::from(exit as u8)
}

/// What clap could not read, and the two things that it answers itself: help and version.
fn parse_failed(error: &clap::Error, environment: &Environment) -> Exit {
    let json = std::env::args_os().any(|argument| argument == "--json");
    let screen = Screen::new(json, environment);
    if !error.use_stderr() {
        let shown = Screen::data(&error.render().to_string());
        return shown.map_or_else(|failure| screen.fail(&failure), |()| Exit::Done);
    }
    screen.fail(&Failure::usage(error))
}
