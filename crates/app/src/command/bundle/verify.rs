//! `carnet bundle verify`.

use std::path::{Path, PathBuf};

use carnet_bundle::{BundleReport, BundleRequest, BundleRow, verify_bundle};
use carnet_ledger::VerifyingKey;
use carnet_ledger::audit::{CheckVerdict, Overall};
use carnet_ledger::detached::{Believed, MANIFEST_NAMESPACE};
use carnet_ledger::trust::LogKey;
use carnet_model::{Code, Exit};
use clap::Args;
use serde::Serialize;

use super::{Limits, Opening, read_small};
use crate::amount;
use crate::command::Setting;
use crate::detached;
use crate::failure::Failure;
use crate::sheet::Sheet;

/// The width of the longest check and of the longest verdict.
const CHECK_WIDTH: usize = 18;
const VERDICT_WIDTH: usize = 14;

/// Check all of a bundle, with nothing else at hand but a public key of the log that it left.
///
/// Each check has its row. The status is 0 only if all was checked and holds; 3 if a check fails, 7 if
/// a document cannot be read, 8 if something is missing for a check: a key, an identity. Needs no
/// state folder and no network. A tar is not unpacked.
#[derive(Debug, Args)]
pub(super) struct Verify {
    /// The bundle: its folder or its tar.
    #[arg(value_name = "DIR|FILE")]
    path: PathBuf,
    /// Believe the log key in this file (.vkey).
    #[arg(long, value_name = "FILE", conflicts_with = "trust")]
    key: Option<PathBuf>,
    /// Believe the keys in this trust file: those of logs, and those of people who signed the manifest.
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    #[command(flatten)]
    opening: Opening,
    #[command(flatten)]
    limits: Limits,
}

#[derive(Serialize)]
struct View {
    path: String,
    verdict: Overall,
    #[serde(flatten)]
    report: BundleReport,
}

impl Verify {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let trust = self.trust.as_deref().map(detached::trust_file).transpose()?;
        let keys = match (&self.key, &trust) {
            (Some(path), _) => vec![log_key(path)?],
            (None, Some(trust)) => trust.log_keys().collect(),
            (None, None) => Vec::new(),
        };
        let people = trust.as_ref().map(|trust| {
            let (now, namespace) = (detached::now()?, MANIFEST_NAMESPACE);
            Ok::<_, Failure>(Believed { trust, openpgp_keys: None, namespace, by: None, now })
        });
        let identities = self.opening.identities()?;
        let request = BundleRequest {
            keys: &keys,
            people: people.transpose()?,
            identities: identities.as_ref(),
            replayer: crate::policies::replayer(),
            limits: self.limits.limits(),
        };
        let progress = setting.progress();
        let report = verify_bundle(&self.path, &request, &setting.work(progress.as_ref()))?;
        drop(progress);
        let path = self.path.display().to_string();
        let view = View { path, verdict: report.overall(), report };
        setting.screen.show(&view, text)?;
        failure(&view).map_or(Ok(Exit::Done), Err)
    }
}

fn log_key(path: &Path) -> Result<LogKey, Failure> {
    let text = String::from_utf8(read_small(path)?).unwrap_or_default();
    let key: VerifyingKey = text.trim_end().parse().map_err(|error| {
        Failure::from_error(&error, Code::USAGE)
            .while_doing(format!("{} is not the public key of a log", path.display()))
            .remedy("give the .vkey file that stands beside the log's key")
    })?;
    Ok(LogKey::from(key))
}

/// Why the bundle is not verified; `None` if it is.
fn failure(view: &View) -> Option<Failure> {
    let (what, remedy) = match view.verdict {
        Overall::Verified => return None,
        Overall::Refused => (
            "the bundle does not hold what it says",
            "do not import it; fetch it again from the sender, and keep this copy",
        ),
        Overall::Malformed => {
            ("a document of the bundle cannot be read", "ask the sender for the bundle again")
        }
        Overall::Incomplete => (
            "not all of the bundle could be checked",
            "bring what is missing: see the rows that are not checked",
        ),
    };
    let row = view.report.first_open()?;
    let code = match view.verdict {
        Overall::Incomplete => Code::BUNDLE_INCOMPLETE,
        Overall::Verified | Overall::Refused | Overall::Malformed => {
            row.code.unwrap_or(Code::BUNDLE_DAMAGED)
        }
    };
    Some(
        Failure::new(code, what)
            .place(&view.path)
            .changed("nothing was changed")
            .because(format!("{}: {}", row.id.name(), row.reason))
            .remedy(remedy),
    )
}

fn text(view: &View) -> String {
    let mut sheet = Sheet::default();
    let report = &view.report;
    sheet.line(&view.path);
    sheet.field("bundle", 12, &format!("sha256:{}", report.manifest_digest));
    if let Some(manifest) = &report.manifest {
        sheet.field("content root", 12, &manifest.content_root.to_string());
    }
    let blobs = amount::counted(report.blobs, "blob", "blobs");
    sheet.field("read", 12, &format!("{blobs}, {}", amount::bytes(report.bytes)));
    sheet.gap();
    for row in &report.checks {
        write_row(&mut sheet, row);
    }
    sheet.gap();
    sheet.line(match view.verdict {
        Overall::Verified => "verified: the bundle is whole, and the evidence inside holds",
        Overall::Refused => "REFUSED: the bundle does not hold what it says",
        Overall::Malformed => "MALFORMED: a document cannot be read in its form",
        Overall::Incomplete => "INCOMPLETE: not all could be checked",
    });
    sheet.text()
}

fn write_row(sheet: &mut Sheet, row: &BundleRow) {
    let verdict = match row.verdict {
        CheckVerdict::Pass => "pass",
        CheckVerdict::Fail => "FAIL",
        CheckVerdict::NotChecked => "not checked",
        CheckVerdict::NotApplicable => "not applicable",
    };
    let label = format!("{:<CHECK_WIDTH$}  {verdict}", row.id.name());
    let reason = match row.code {
        Some(code) => format!("{code}: {}", row.reason),
        None => row.reason.clone(),
    };
    sheet.field(label, CHECK_WIDTH + 2 + VERDICT_WIDTH, &reason);
}
