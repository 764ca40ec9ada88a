//! `carnet snapshot verify`.

use std::path::PathBuf;

use carnet_bundle::{Check, CheckVerdict, Verification, verify_snapshot};
use carnet_model::{Code, Exit};
use clap::Args;
use serde::Serialize;

use super::place;
use crate::amount;
use crate::command::Setting;
use crate::command::digest::CollectionView;
use crate::detached::{SignatureView, Trusting};
use crate::failure::Failure;
use crate::sheet::Sheet;
use crate::stores::Carried;

/// Check every file and every record of a snapshot against what it says about itself.
///
/// Ends with status 0 only if everything was compared and is equal, and, with --trust, only if a
/// key that is trusted signed the manifest: 3 if a signature is bad, 8 if none is by a known key.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The snapshot: its folder, or a tar or zip file.
    #[arg(value_name = "DIR|ARCHIVE")]
    snapshot: PathBuf,
    #[command(flatten)]
    trusting: Trusting,
}

#[derive(Serialize)]
struct View {
    snapshot: String,
    ok: bool,
    checks: Vec<Check>,
    signatures: Vec<SignatureView>,
    collections: Vec<CollectionView>,
}

impl Verify {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let folder = place(&self.snapshot)?;
        let progress = setting.progress();
        let verified = verify_snapshot(folder.dir(), &setting.work(progress.as_ref()))?;
        drop(progress);
        let signatures = self.trusting.check(folder.dir())?;
        let failure = failure(&verified).or_else(|| self.trusting.failure(&signatures));
        let view = View {
            snapshot: self.snapshot.display().to_string(),
            ok: failure.is_none(),
            checks: verified.checks,
            signatures,
            collections: CollectionView::all(verified.collections, Carried::new()),
        };
        setting.screen.show(&view, text)?;
        failure.map_or(Ok(Exit::Done), Err)
    }
}

/// Why a snapshot cannot be relied on; `None` if it can.
pub(super) fn failure(verified: &Verification) -> Option<Failure> {
    if verified.is_ok() {
        return None;
    }
    let code = verified.code().unwrap_or(Code::SNAPSHOT_DAMAGED);
    let failure = Failure::new(code, "the snapshot does not hold what it says")
        .changed("nothing was changed")
        .remedy("do not import it; fetch it again, or export it again from the source");
    Some(match verified.first_difference() {
        Some(first) => failure.because(first),
        None => failure.because("not everything could be checked"),
    })
}

fn text(view: &View) -> String {
    let mut sheet = Sheet::default();
    sheet.line(format_args!("snapshot {}", view.snapshot));
    for check in &view.checks {
        let verdict = match check.verdict {
            CheckVerdict::Pass => "pass",
            CheckVerdict::Fail => "FAIL",
            CheckVerdict::NotRun => "not run",
        };
        let compared = match check.verdict {
            CheckVerdict::Pass => format!("{} compared", amount::count(check.compared)),
            CheckVerdict::Fail | CheckVerdict::NotRun => String::new(),
        };
        let line = format!("  {:<14} {verdict:<8} {compared}", check.name);
        sheet.line(line.trim_end());
        if let Some(first) = &check.first {
            sheet.field("", 23, first);
        }
    }
    for signature in &view.signatures {
        signature.write(&mut sheet);
    }
    for collection in &view.collections {
        collection.write(&mut sheet);
    }
    if view.ok {
        sheet.line("ok: every file and every record is what the snapshot says");
    }
    sheet.text()
}
