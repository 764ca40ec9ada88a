//! `carnet run`.

use std::path::PathBuf;
use std::sync::Arc;

use carnet_connect::{StoreError, VectorRepository};
use carnet_connectors::OpenOptions;
use carnet_engine::{Engine, Report, Role, RunRequest, StoreOpener, StoreRequest};
use carnet_model::plan::ColumnName;
use carnet_model::{CollectionName, Exit, Secret, StoreUrl, TableLayout};
use clap::Args;

use super::Setting;
use crate::aim::aim;
use crate::failure::Failure;
use crate::outside::{RandomIds, SystemClock};
use crate::plan_file::PlanFile;
use crate::signer::signer_of_run;
use crate::stores::open_for_engine;
use crate::view::run::RunView;
use crate::world::World;

/// Run a plan, or go on with a run that was cut off.
///
/// The run stops at the first gate that does not pass, and undoes what it did. A run that is done
/// stays done: running it again changes nothing.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The plan file.
    plan: PathBuf,
    /// Show what would happen: look at both stores, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

impl Run {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let way = if self.dry_run { Way::DryRun } else { Way::Run };
        with_engine(setting, &self.plan, way, Engine::run)
    }
}

/// What the engine is to do with a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Run,
    DryRun,
    Rollback,
}

/// Opens the plan, lets the engine work, and shows the report.
pub(super) fn with_engine(
    setting: &Setting<'_>,
    path: &std::path::Path,
    way: Way,
    work: impl FnOnce(&Engine, &RunRequest<'_>) -> Result<Report, carnet_engine::EngineError>,
) -> Result<Exit, Failure> {
    let file =
        if way == Way::Run { PlanFile::open_of_run(setting, path)? } else { PlanFile::open(path)? };
    let report = engine_report(setting, &file, way, work)?;
    let view = RunView::new(report, &file.path);
    setting.screen.show(&view, RunView::text)?;
    view.outcome()
}

/// Lets the engine work on a plan that is open, and gives what came of it.
pub(super) fn engine_report(
    setting: &Setting<'_>,
    file: &PlanFile,
    way: Way,
    work: impl FnOnce(&Engine, &RunRequest<'_>) -> Result<Report, carnet_engine::EngineError>,
) -> Result<Report, Failure> {
    setting.warn(&file.warnings);
    let state = setting.state_of(&file.plan);
    let dry_run = way == Way::DryRun;
    // A new key cannot go on with a log that another one began.
    let may_make = way != Way::Rollback && !setting.has_log(&state)?;
    let signer = signer_of_run(setting.screen, file, may_make, dry_run)?;
    let engine = setting.engine(state)?;
    let password = setting.environment.postgres_password.clone();
    let stores = Stores { file, password };
    let progress = setting.progress();
    let request = RunRequest {
        plan: &file.plan,
        folder: file.folder(),
        stores: &stores,
        outside: &World,
        patience: std::time::Duration::from_mins(1),
        workers: setting.global.workers(),
        progress: progress.as_ref(),
        dry_run,
        snapshot_time: setting.environment.fixed_snapshot_time()?,
        signer,
    };
    let report = work(&engine, &request).map_err(|error| Failure::engine(&error));
    drop(progress);
    report
}

impl Setting<'_> {
    /// An engine on this state directory.
    pub(crate) fn engine(&self, state: PathBuf) -> Result<Engine, Failure> {
        let (clock, ids) = (Arc::new(SystemClock::new()?), Arc::new(RandomIds::new()?));
        let actor = self.environment.user.as_deref().unwrap_or("unknown");
        let log = self.log_of(&state)?;
        let engine = Engine::new(state, clock, ids, actor)
            .with_log(log)
            .with_replayer(crate::policies::replayer());
        Ok(self.with_faults(engine))
    }

    /// Faults on purpose, for the tests that kill the process at a known moment.
    #[cfg(feature = "faults")]
    fn with_faults(&self, engine: Engine) -> Engine {
        let faults = self.environment.faults.as_deref().and_then(carnet_engine::Faults::parse);
        engine.with_faults(faults.unwrap_or_default())
    }

    #[cfg(not(feature = "faults"))]
    #[expect(clippy::unused_self, reason = "the same call as with the feature")]
    fn with_faults(&self, engine: Engine) -> Engine {
        engine
    }
}

/// Opens the stores of a plan.
struct Stores<'a> {
    file: &'a PlanFile,
    password: Option<Secret>,
}

impl Stores<'_> {
    fn options(&self, layout: TableLayout, drop: &[ColumnName]) -> OpenOptions {
        let drop = drop.iter().map(ColumnName::to_string).collect();
        OpenOptions { layout, drop, password: self.password.clone() }
    }

    /// The collections that move: the target is aimed at them.
    fn collections(&self) -> Result<Vec<CollectionName>, StoreError> {
        let Some(knowledge) = self.file.plan.knowledge() else { return Ok(Vec::new()) };
        let knowledge = &knowledge.source.knowledge;
        if let Some(stated) = &knowledge.collections {
            return Ok(stated.keys().cloned().collect());
        }
        let drop: Vec<_> = knowledge.drop.iter().cloned().collect();
        let options = self.options(knowledge.table_layout(), &drop);
        let source = open_for_engine(&knowledge.store.within(self.file.folder()), &options)?;
        let view = source.snapshot()?;
        view.collections()
    }
}

impl StoreOpener for Stores<'_> {
    fn open(&self, request: &StoreRequest) -> Result<Box<dyn VectorRepository>, StoreError> {
        let options = self.options(request.layout.clone(), &request.drop);
        let store = open_for_engine(&request.url, &options)?;
        match (request.role, &request.url) {
            (Role::Target, StoreUrl::Postgres(url)) if !url.tables.is_empty() => {
                aim(store, &request.url, &self.collections()?)
            }
            (Role::Source | Role::Target, _) => Ok(store),
        }
    }
}
