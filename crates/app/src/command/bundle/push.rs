//! `carnet bundle push`.

use std::path::PathBuf;

use carnet_bundle::{RegistryPlace, push_bundle};
use carnet_model::Exit;
use clap::Args;

use super::{Limits, TransferView};
use crate::command::Setting;
use crate::failure::Failure;

/// Send a bundle to a registry of containers, by digest. Repeated, it sends what is missing.
#[derive(Debug, Args)]
pub(super) struct Push {
    /// The bundle: its folder or its tar.
    #[arg(value_name = "DIR|FILE")]
    path: PathBuf,
    /// The repository: <https://HOST>[:PORT]/NAME, or http:// on this machine.
    #[arg(value_name = "URL")]
    to: RegistryPlace,
    #[command(flatten)]
    limits: Limits,
}

impl Push {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let progress = setting.progress();
        let work = setting.work(progress.as_ref());
        let done = push_bundle(&self.path, &self.to, &self.limits.limits(), &work)?;
        drop(progress);
        let to = self.to.with(done.manifest_digest).to_string();
        let view = TransferView::new(&done, self.path.display().to_string(), to);
        setting.screen.show(&view, TransferView::text)?;
        Ok(Exit::Done)
    }
}
