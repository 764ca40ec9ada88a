//! `carnet bundle pull`.

use std::path::PathBuf;

use carnet_bundle::{RegistryPlace, pull_bundle};
use carnet_model::Exit;
use clap::Args;

use super::{Limits, TransferView};
use crate::command::Setting;
use crate::failure::Failure;

/// Fetch a bundle from a registry of containers, by digest. Repeated, it fetches what is missing.
///
/// Every blob is hashed as it comes in. Whether to rely on what it holds is for `bundle verify`.
#[derive(Debug, Args)]
pub(super) struct Pull {
    /// The bundle: <https://HOST>[:PORT]/NAME@sha256:DIGEST, or http:// on this machine.
    #[arg(value_name = "URL")]
    from: RegistryPlace,
    /// The folder to write: new, or left by an earlier pull.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    limits: Limits,
}

impl Pull {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let progress = setting.progress();
        let work = setting.work(progress.as_ref());
        let done = pull_bundle(&self.from, &self.out, &self.limits.limits(), &work)?;
        drop(progress);
        let to = self.out.display().to_string();
        let view = TransferView::new(&done, self.from.to_string(), to);
        setting.screen.show(&view, TransferView::text)?;
        Ok(Exit::Done)
    }
}
