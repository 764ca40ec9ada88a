//! `carnet snapshot diff`.

use std::path::{Path, PathBuf};

use carnet_bundle::{SnapshotPlace, SnapshotStore};
use carnet_connect::VectorRepository;
use carnet_model::Exit;
use clap::Args;

use super::{Labelled, place};
use crate::command::Setting;
use crate::command::diff::{Shown, compare};
use crate::failure::Failure;
use crate::named::Named;
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
        let a = open(&self.a, &place_a)?;
        let b = open(&self.b, &place_b)?;
        let sides = [(a.label(), a.as_ref()), (b.label(), b.as_ref())];
        compare(setting, sides, &Declared::default(), &self.shown)
    }
}

/// A snapshot under the name that the person gave it.
fn open(path: &Path, place: &SnapshotPlace) -> Result<Box<dyn VectorRepository>, Failure> {
    let label = path.display().to_string();
    let store = SnapshotStore::open(place.dir())
        .map_err(|error| Failure::from(error).while_doing(format!("cannot open {label}")))?;
    Ok(Named::store(Box::new(Labelled { label, store })))
}
