//! `carnet snapshot import`.

use std::path::{Path, PathBuf};

use carnet_bundle::{ArtifactInstall, SnapshotStore, verify_snapshot};
use carnet_connect::StoreSnapshot;
use carnet_model::{Code, Exit};
use clap::Args;

use super::verify::failure;
use super::{Labelled, place};
use crate::cli::TypedStore;
use crate::command::Setting;
use crate::command::copy::{How, copy};
use crate::failure::Failure;
use crate::named::Named;
use crate::stores::open_target;
use crate::view::copy::CopyView;

/// Verify a snapshot, load it into a store, read the store back, and compare.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The snapshot: its folder, or a tar or zip file.
    #[arg(value_name = "DIR|ARCHIVE")]
    snapshot: PathBuf,
    /// The store that is written.
    #[arg(long, value_name = "STORE")]
    to: TypedStore,
    #[command(flatten)]
    how: How,
    /// Install the artifacts in this folder.
    #[arg(long, value_name = "DIR")]
    artifacts: Option<PathBuf>,
}

impl Import {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let to = self.to.url()?;
        let place = place(&self.snapshot)?;
        self.verify(setting, place.dir())?;
        let artifacts = match &self.artifacts {
            Some(to) => Some(self.plan_artifacts(place.dir(), to)?),
            None => None,
        };
        let store = SnapshotStore::open(place.dir())?;
        let target = open_target(&to, setting.environment, &store.collections()?)?;
        let stay: u64 = store.manifest().artifacts.values().sum();
        let label = format!("snapshot:{}", self.snapshot.display());
        let source = Named::store(Box::new(Labelled { label, store }));
        let mut view = copy(setting, source.as_ref(), (target.as_ref(), &to), &[], &self.how)?;
        if let Some(failure) = view.failure() {
            setting.screen.show(&view, CopyView::text)?;
            return Err(failure);
        }
        if let Some(artifacts) = artifacts {
            let progress = setting.progress();
            let installed = artifacts.run(&setting.work(progress.as_ref())).map_err(|error| {
                Failure::from(error)
                    .changed("the records are in the target, proven; not all artifacts are")
            });
            drop(progress);
            view.artifacts = Some(installed?);
        } else if stay > 0 {
            setting
                .screen
                .say("note: the artifacts stay in the snapshot; --artifacts DIR installs them");
        }
        setting.screen.show(&view, CopyView::text)?;
        Ok(Exit::Done)
    }

    fn plan_artifacts(&self, from: &Path, to: &Path) -> Result<ArtifactInstall, Failure> {
        ArtifactInstall::plan(from, to, self.how.replaces()).map_err(|error| {
            let refused = error.code() == Code::ARTIFACT;
            let failure = Failure::from(error).changed("nothing was changed");
            let remedy = "install into another folder, or import with --mode replace";
            if refused { failure.remedy(remedy) } else { failure }
        })
    }

    /// Refuses a snapshot that does not hold what it says.
    fn verify(&self, setting: &Setting<'_>, folder: &Path) -> Result<(), Failure> {
        let progress = setting.progress();
        let verified = verify_snapshot(folder, &setting.work(progress.as_ref()))?;
        drop(progress);
        match failure(&verified) {
            Some(failure) => Err(failure.place(self.snapshot.display().to_string())),
            None => Ok(()),
        }
    }
}
