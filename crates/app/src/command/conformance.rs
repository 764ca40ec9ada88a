//! `carnet conformance`.

mod bundle;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use carnet_bundle::{ArchiveLimits, Bundle, BundleLimits, Package};
use carnet_ledger::audit::{AuditRequest, CheckVerdict, Report, audit_bundle};
use carnet_ledger::trust::{LogKey, TrustFile};
use carnet_ledger::{Digest, EventType, EvidenceProfile, Family, VerifyingKey, families_missing};
use carnet_model::portability::conformance::{Checked, Conformance, Material, MaterialKind, Trace};
use carnet_model::portability::supply::SupplyDemand;
use carnet_model::portability::{Shown, Standing};
use carnet_model::{Code, Exit};
use clap::Args;
use serde_json::Value;

use super::Setting;
use super::evidence::Source;
use crate::failure::Failure;
use crate::sheet::Sheet;

/// Say how each invariant of the portability contract stands: satisfied, violated, not applicable.
///
/// There are no scores. What nothing shows is violated. The status is 3 if an invariant is violated.
#[derive(Debug, Args)]
pub(crate) struct ShowConformance {
    /// A plan file, the folder of a run, an export of evidence, or a bundle (folders, or .tar or
    /// .zip files).
    #[arg(value_name = "PLAN|DIR|EXPORT|BUNDLE")]
    path: PathBuf,
    /// Believe the log key in this file (.vkey), when an export or a bundle is looked at.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Believe the keys of builders in this trust file, when a bundle is looked at.
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// Take statements on the making of content that nobody signed.
    #[arg(long)]
    unsigned: bool,
}

impl ShowConformance {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let keys: Vec<LogKey> = self.key.as_deref().map(key).transpose()?.into_iter().collect();
        let material = if is_bundle(&self.path) {
            let demand = SupplyDemand { signed: !self.unsigned };
            let trust = self.trust.as_deref().map(trust_file).transpose()?;
            bundle::material(setting, &self.path, &keys, trust, demand)?
        } else {
            self.material(setting, &keys)?
        };
        let report = Conformance::of(&material);
        setting.screen.show(&report, text)?;
        failure(&report, &self.path).map_or(Ok(Exit::Done), Err)
    }

    /// A log, or an export of evidence.
    fn material(&self, setting: &Setting<'_>, keys: &[LogKey]) -> Result<Material, Failure> {
        let source = Source::open(setting, Some(&self.path))?;
        let mut seen = Seen::default();
        source.each(0..u64::MAX, |bytes| {
            // An object that cannot be read shows nothing; the check of pointers says why.
            seen.add(bytes, &|digest| source.object(digest).ok().flatten())
        })?;
        let (kind, checks, profile) = match &source {
            Source::Log { log, .. } => {
                (MaterialKind::State, verified(log), Some(log.made().evidence_profile))
            }
            Source::Bundle(_) => {
                let report = self.audited(setting, keys)?;
                let profile = report.subject.evidence_profile.as_deref();
                let profile = profile.and_then(EvidenceProfile::parse);
                (MaterialKind::Export, checks_of(&report), profile)
            }
        };
        let place = self.path.display().to_string();
        Ok(seen.material(kind, place, checks, profile))
    }

    fn audited(&self, setting: &Setting<'_>, keys: &[LogKey]) -> Result<Report, Failure> {
        let request = AuditRequest {
            replayer: crate::policies::replayer(),
            keys,
            since: None,
            profile: None,
            witnesses: None,
            cosigned: None,
            people: None,
            workers: setting.global.workers(),
        };
        let package = Package::open(&self.path, &ArchiveLimits::default())?;
        audit_bundle(&package, &request).map_err(|error| {
            Failure::from_error(&error, Code::EVIDENCE_MALFORMED)
                .place(self.path.display().to_string())
        })
    }
}

/// Whether it is a bundle, and not an export of evidence: a layout of OCI, as a folder or a tar.
fn is_bundle(path: &Path) -> bool {
    if path.is_dir() {
        return path.join("oci-layout").is_file();
    }
    let tar = path.extension().is_some_and(|end| end == "tar");
    tar && Bundle::open(path, &BundleLimits::default()).is_ok()
}

fn trust_file(path: &Path) -> Result<TrustFile, Failure> {
    let bytes = std::fs::read(path)
        .map_err(|error| Failure::io(format!("cannot read {}", path.display()), error))?;
    TrustFile::parse(&bytes).map_err(|error| {
        Failure::from_error(&error, Code::TRUST_MALFORMED).place(path.display().to_string())
    })
}

fn key(path: &Path) -> Result<LogKey, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::io(format!("cannot read {}", path.display()), error))?;
    let key: VerifyingKey = text.trim_end().parse().map_err(|error| {
        Failure::from_error(&error, Code::USAGE)
            .while_doing(format!("{} is not the public key of a log", path.display()))
            .remedy("give the .vkey file that stands beside the log's key")
    })?;
    Ok(LogKey::from(key))
}

/// What events say, whatever they are read from.
#[derive(Default)]
struct Seen {
    trace: Trace,
    families: BTreeSet<Family>,
}

impl Seen {
    fn add(
        &mut self,
        bytes: &[u8],
        object: &dyn Fn(Digest) -> Option<Vec<u8>>,
    ) -> Result<(), Failure> {
        let event: Value = serde_json::from_slice(bytes).map_err(|error| {
            Failure::from_error(&error, Code::EVIDENCE_MALFORMED)
                .while_doing("cannot read an event")
        })?;
        let kind = event.get("event_type").and_then(Value::as_str);
        self.families.extend(kind.and_then(EventType::parse).and_then(EventType::family));
        self.trace.add(&event, object);
        Ok(())
    }

    fn material(
        mut self,
        kind: MaterialKind,
        place: String,
        checks: BTreeMap<String, Checked>,
        profile: Option<EvidenceProfile>,
    ) -> Material {
        // An export adds the evidence of itself: a log is judged by what an export of it would hold.
        self.families.extend(EventType::EvidenceExport.family());
        let profile = profile.unwrap_or(EvidenceProfile::Baseline);
        let missing = families_missing(profile, &self.families).into_iter();
        Material {
            kind,
            place,
            trace: self.trace,
            checks,
            families_missing: missing.map(|family| family.name().to_owned()).collect(),
            bundle: None,
        }
    }
}

/// The checks of a log: its chain and its tree are computed again.
fn verified(log: &carnet_engine::LogReader) -> BTreeMap<String, Checked> {
    let again = log.verify::<carnet_engine::JournalError>(&mut |_| Ok(()));
    let (holds, found) = match again {
        Ok(end) => (Some(true), format!("{} events computed again", end.events)),
        Err(error) => (Some(false), error.to_string()),
    };
    let names = ["events.hash", "chain.links", "tree.root"];
    names.map(|name| (name.to_owned(), Checked { holds, found: found.clone() })).into()
}

fn checks_of(report: &Report) -> BTreeMap<String, Checked> {
    let checked = report.checks.iter().filter_map(|row| {
        let holds = match row.verdict {
            CheckVerdict::Pass => Some(true),
            CheckVerdict::Fail => Some(false),
            CheckVerdict::NotChecked => None,
            CheckVerdict::NotApplicable => return None,
        };
        Some((row.id.name().to_owned(), Checked { holds, found: row.reason.clone() }))
    });
    checked.collect()
}

fn failure(report: &Conformance, path: &Path) -> Option<Failure> {
    let first = report.violated().next()?;
    let count = report.violated().count();
    let (why, remedy) = match &first.standing {
        Standing::Violated { why, remedy } => (why.clone(), remedy.clone()),
        Standing::Satisfied { .. } | Standing::NotApplicable { .. } => return None,
    };
    let what = match count {
        1 => "an invariant is violated".to_owned(),
        count => format!("{count} invariants are violated"),
    };
    let failure = Failure::new(Code::CONFORMANCE_VIOLATED, what).place(path.display().to_string());
    let failure = failure.because(format!("{}: {why}", first.invariant));
    Some(failure.changed("nothing was changed").remedy(remedy))
}

/// The width of an invariant and of the longest word.
const WIDTH: usize = 26;

fn text(report: &Conformance) -> String {
    let mut sheet = Sheet::default();
    sheet.line(format_args!("{}: {}, {} events", report.place, report.kind.name(), report.events));
    sheet.gap();
    for line in &report.invariants {
        let word = match &line.standing {
            Standing::Violated { .. } => "VIOLATED",
            Standing::Satisfied { .. } | Standing::NotApplicable { .. } => line.standing.name(),
        };
        let told = match &line.standing {
            Standing::Satisfied { shown_by } => {
                let shown: Vec<_> = shown_by.iter().map(shown).collect();
                format!("{}: {}", line.invariant.demands(), shown.join("; "))
            }
            Standing::Violated { why, remedy } => format!("{why}; {remedy}"),
            Standing::NotApplicable { reason } => reason.clone(),
        };
        sheet.field(format!("{:<10}{word}", line.invariant.name()), WIDTH, &told);
    }
    sheet.text()
}

fn shown(by: &Shown) -> String {
    match by {
        Shown::Event { sequence, event_type } => format!("event {sequence} {event_type}"),
        Shown::Object { what, sha256 } => {
            let hex = sha256.to_string();
            format!("{what} {}…", hex.get(..16).unwrap_or(&hex))
        }
        Shown::Check { name, found } => format!("{name}: {found}"),
    }
}
