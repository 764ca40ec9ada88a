//! `carnet snapshot`: a file for each subcommand.

mod diff;
mod export;
mod import;
mod labelled;
mod verify;

use std::path::Path;

use carnet_bundle::{ArchiveLimits, SnapshotPlace};
use carnet_model::Exit;
use clap::{Args, Subcommand};

use self::labelled::Labelled;
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
    Import(import::Import),
    Verify(verify::Verify),
    Diff(diff::Diff),
}

impl Snapshot {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        match &self.what {
            What::Export(command) => command.run(setting),
            What::Import(command) => command.run(setting),
            What::Verify(command) => command.run(setting),
            What::Diff(command) => command.run(setting),
        }
    }
}

/// The folder of a snapshot; an archive is unpacked beside itself for as long as this lives.
fn place(path: &Path) -> Result<SnapshotPlace, Failure> {
    Ok(SnapshotPlace::open(path, &ArchiveLimits::default())?)
}
