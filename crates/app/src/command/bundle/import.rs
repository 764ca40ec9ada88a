//! `carnet bundle import`.

use std::path::PathBuf;

use carnet_engine::Engine;
use carnet_model::Exit;
use carnet_model::plan::Side;
use clap::Args;

use super::export::absolute;
use super::side;
use crate::command::Setting;
use crate::failure::Failure;
use crate::view::run::RunView;

/// Let a bundle in that has arrived: check it, ask the policy, place its contents, validate them.
///
/// This is the target's part of a plan of portability/v1, and needs nothing of the source but the
/// bundle. Whatever is refused is refused before anything is placed, and stands in the log with its
/// class, code, subject and remedy. Each import has a state directory of its own below --state.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The bundle: a folder, or a tar.
    bundle: PathBuf,
    /// The plan file of the target.
    #[arg(long, value_name = "PLAN")]
    plan: PathBuf,
    /// Decrypt with the identity in this file (age-keygen).
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// Show what would happen, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

impl Import {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let identity = match &self.identity {
            Some(file) => Some(absolute(file)?.display().to_string()),
            None => None,
        };
        let bundle = absolute(&self.bundle)?.display().to_string();
        let side = Side::Import { bundle, identity };
        let report = side::run(setting, &self.plan, &side, self.dry_run, Engine::run)?;
        let view = RunView::new(report, &self.plan);
        setting.screen.show(&view, RunView::text)?;
        view.outcome()
    }
}
