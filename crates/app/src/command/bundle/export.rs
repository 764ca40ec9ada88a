//! `carnet bundle export`.

use std::path::{Path, PathBuf};

use carnet_bundle::{BundleLimits, pack_bundle};
use carnet_engine::{Engine, Report};
use carnet_model::plan::Side;
use carnet_model::{Code, Exit};
use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::side;
use crate::command::Setting;
use crate::failure::Failure;
use crate::sheet::Sheet;
use crate::view::run::RunView;

/// Make the bundle of a plan of portability/v1, and nothing more.
///
/// The plan is run up to the bundle, with its own log: the policy must let it leave. The bundle is a
/// folder in the layout of OCI, or one tar if the name ends in .tar. Each export has a state directory
/// of its own below --state; one that was cut off is gone on with by the same command.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The plan file.
    plan: PathBuf,
    /// Where the bundle goes: a folder, or FILE.tar.
    #[arg(long, value_name = "DIR|FILE.tar")]
    out: PathBuf,
    /// Show what would happen, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

/// What came of it.
#[derive(Serialize)]
struct View {
    #[serde(flatten)]
    run: RunView,
    /// The bundle, where it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    bundle: Option<Made>,
}

#[derive(Serialize)]
struct Made {
    path: PathBuf,
    manifest_digest: String,
    content_root: String,
}

impl Export {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let out = absolute(&self.out)?;
        let tar = out.extension().is_some_and(|ending| ending == "tar");
        if tar && out.symlink_metadata().is_ok() {
            return Err(Failure::new(Code::BUNDLE_EXISTS, format!("{} exists", out.display()))
                .changed("nothing was changed")
                .remedy("name another place: a bundle is never written over"));
        }
        let folder = if tar { out.with_extension("layout") } else { out.clone() };
        let side = Side::Export { bundle: folder.display().to_string() };
        let report = side::run(setting, &self.plan, &side, self.dry_run, Engine::run)?;
        let bundle = made(&report, &out);
        if let (true, Some(_)) = (tar, &bundle) {
            pack_bundle(&folder, &out, &BundleLimits::default())?;
            std::fs::remove_dir_all(&folder).map_err(|error| {
                Failure::io(format!("cannot remove {}", folder.display()), error)
            })?;
        }
        let run = RunView::new(report, &self.plan);
        let view = View { run, bundle };
        setting.screen.show(&view, text)?;
        view.run.outcome()
    }
}

/// A path that means the same wherever it is read.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path)
        .map_err(|error| Failure::io(format!("cannot use the path {}", path.display()), error))
}

/// The bundle, as the receipt of its export tells of it.
fn made(report: &Report, out: &Path) -> Option<Made> {
    let receipt = report.receipts.iter().find(|receipt| receipt.capability == "bundle.export")?;
    let said = |key: &str| receipt.facts.get(key).and_then(Value::as_str).map(str::to_owned);
    let (manifest_digest, content_root) = (said("manifest_digest")?, said("content_root")?);
    let whole = report.status == "done";
    whole.then(|| Made { path: out.to_owned(), manifest_digest, content_root })
}

fn text(view: &View) -> String {
    let mut sheet = Sheet::default();
    if let Some(bundle) = &view.bundle {
        sheet.field("bundle", 12, &bundle.path.display().to_string());
        sheet.field("id", 12, &bundle.manifest_digest);
        sheet.field("content root", 12, &bundle.content_root);
        sheet.gap();
    }
    format!("{}{}", sheet.text(), view.run.text())
}
