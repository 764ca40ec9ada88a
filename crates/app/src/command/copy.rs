//! `carnet copy`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use carnet_bundle::ImportMode;
use carnet_connect::VectorRepository;
use carnet_engine::CopyJob;
use carnet_ledger::Digest;
use carnet_model::{Code, CollectionContract, Exit, StoreUrl};
use clap::{Args, ValueEnum};

use super::Setting;
use crate::cli::TypedStore;
use crate::failure::Failure;
use crate::stores::{Declared, Tables, carried_columns, nothing_there, open_any, open_target};
use crate::view::copy::CopyView;

/// Copy a store into another without a plan, read the target back, and compare.
///
/// Tables and declarations describe the first store. A copy that was cut off goes on when the same
/// command is given again.
#[derive(Debug, Args)]
pub(crate) struct Copy {
    /// The store that is read.
    a: TypedStore,
    /// The store that is written.
    b: TypedStore,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    tables: Tables,
    #[command(flatten)]
    declared: Declared,
}

/// How records enter the target.
#[derive(Debug, Args)]
pub(super) struct How {
    /// What happens to records that the target already has.
    #[arg(long, value_enum, default_value_t = ModeWord::Append)]
    mode: ModeWord,
    /// Accept that the target cannot hold this; may be given again.
    #[arg(long, value_name = "NAME")]
    accept_loss: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ModeWord {
    /// They stay; an id with other content on both sides is refused.
    Append,
    /// They go: the target then holds what the source holds.
    Replace,
    /// The higher version wins; equal versions with other content are refused.
    Upsert,
}

impl ModeWord {
    const fn mode(self) -> (ImportMode, &'static str) {
        match self {
            Self::Append => (ImportMode::Append, "append"),
            Self::Replace => (ImportMode::Replace, "replace"),
            Self::Upsert => (ImportMode::Upsert, "upsert"),
        }
    }
}

impl How {
    /// Whether what is there may be replaced.
    pub(super) const fn replaces(&self) -> bool {
        match self.mode {
            ModeWord::Append => false,
            ModeWord::Replace | ModeWord::Upsert => true,
        }
    }
}

impl Copy {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let options = self.tables.options(setting.environment)?;
        let source = open_any(&self.a.url()?, &options)?;
        let (names, contracts, carried) = {
            let view = source.snapshot()?;
            let view = view.as_ref();
            (view.collections()?, self.declared.contracts(view)?, carried_columns(view)?)
        };
        if names.is_empty() {
            return Err(nothing_there(source.label()));
        }
        let to = self.b.url()?;
        let target = open_target(&to, setting.environment, &names)?;
        let target = (target.as_ref(), &to);
        let view = copy(setting, source.as_ref(), target, &contracts, &self.how)?.carrying(carried);
        setting.screen.show(&view, CopyView::text)?;
        view.failure().map_or(Ok(Exit::Done), Err)
    }
}

/// Copies a store into another by the engine, in a state directory of its own.
pub(super) fn copy(
    setting: &Setting<'_>,
    source: &dyn VectorRepository,
    (target, url): (&dyn VectorRepository, &StoreUrl),
    contracts: &[CollectionContract],
    how: &How,
) -> Result<CopyView, Failure> {
    let (from, to) = (source.label(), target.label());
    if from == to {
        return Err(Failure::new(Code::USAGE, format!("{from} is both source and target"))
            .changed("nothing was changed")
            .remedy("give the target a folder, file or table of its own"));
    }
    let (mode, word) = how.mode.mode();
    let engine = setting.engine(state(setting, [from, to, word], contracts))?;
    let progress = setting.progress();
    let job = CopyJob {
        source,
        target,
        target_folder: match url {
            StoreUrl::Faiss(folder) => Some(folder.as_path()),
            StoreUrl::Sqlite(_) | StoreUrl::Postgres(_) | StoreUrl::Snapshot(_) => None,
        },
        contracts,
        collections: None,
        mode,
        indexes: &BTreeMap::new(),
        accept_losses: &how.accept_loss,
        workers: setting.global.workers(),
        progress: progress.as_ref(),
    };
    let copied = engine.copy(&job).map_err(|error| Failure::engine(&error));
    drop(progress);
    Ok(CopyView::new(from, to, word, copied?))
}

/// The state directory of a copy: the same copy finds it again, another one is not in its way.
fn state(setting: &Setting<'_>, words: [&str; 3], contracts: &[CollectionContract]) -> PathBuf {
    let digests: Vec<_> =
        contracts.iter().map(|it| format!("{} {}", it.name, it.digest())).collect();
    let key = format!("{}\n{}", words.join("\n"), digests.join("\n"));
    let key = Digest::of(key.as_bytes()).to_string();
    setting.global.state.join("copies").join(key.get(..16).unwrap_or(&key))
}
