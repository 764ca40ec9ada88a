//! `carnet snapshot diff`.

use std::path::PathBuf;

use carnet_bundle::SnapshotStore;
use carnet_connect::VectorRepository;
use carnet_model::Exit;
use clap::Args;

use super::place;
use crate::command::Setting;
use crate::command::diff::{Shown, compare};
use crate::failure::Failure;
use crate::stores::Declared;

/// Compare two snapshots record by record.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The first snapshot: its folder, or a tar or zip file.
    #[arg(value_name = "A")]
    a: PathBuf,
    /// The second snapshot.
    #[arg(value_name = "B")]
    b: PathBuf,
    #[command(flatten)]
    shown: Shown,
}

impl Diff {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let (place_a, place_b) = (place(&self.a)?, place(&self.b)?);
        let a = SnapshotStore::open(place_a.dir())?;
        let b = SnapshotStore::open(place_b.dir())?;
        let (name_a, name_b) = (self.a.display().to_string(), self.b.display().to_string());
        let sides: [(&str, &dyn VectorRepository); 2] = [(&name_a, &a), (&name_b, &b)];
        compare(setting, sides, &Declared::default(), &self.shown)
    }
}
