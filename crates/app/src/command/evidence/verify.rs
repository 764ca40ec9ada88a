//! `carnet evidence verify`.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use carnet_bundle::{ArchiveLimits, Package};
use carnet_ledger::audit::{
    AuditError, AuditRequest, CheckId, CheckVerdict, Overall, Report, Row, audit_bundle,
    audit_receipt,
};
use carnet_ledger::detached::{Believed, MANIFEST_NAMESPACE};
use carnet_ledger::trust::{LogKey, TrustFile};
use carnet_ledger::witness_policy::WitnessPolicy;
use carnet_ledger::{Checkpoint, EvidenceProfile, Note, VerifyingKey};
use carnet_model::{Code, Exit};
use clap::Args;
use serde::Serialize;

use crate::amount;
use crate::command::Setting;
use crate::detached;
use crate::failure::Failure;
use crate::sheet::Sheet;

/// No file of trust, no checkpoint and no receipt is larger.
const SMALL_BYTES_MAX: u64 = 4 << 20;
/// The width of the longest check and of the longest verdict.
const CHECK_WIDTH: usize = 20;
const VERDICT_WIDTH: usize = 14;

/// Check a bundle of evidence or a receipt, with nothing else at hand but a public key.
///
/// Each check has its row. The status is 0 only if all that the profile demands was checked and
/// holds; 3 if a check fails, 7 if a document cannot be read, 8 if something is missing for a check:
/// a signature, a key, a part of the log. Needs no state folder and no network.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// A bundle (its folder, or a .tar or .zip file), or a .tlog-proof file.
    #[arg(value_name = "DIR|FILE")]
    path: PathBuf,
    /// Believe the log key in this file (.vkey).
    #[arg(long, value_name = "FILE", conflicts_with = "trust")]
    key: Option<PathBuf>,
    /// Believe the keys in this trust file: those of logs, and those of people who signed the manifest.
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// Take OpenPGP public keys from this file (gpg --export).
    #[arg(long, value_name = "FILE", requires = "trust")]
    openpgp_key: Option<PathBuf>,
    /// A checkpoint that was kept from before: the log must go on from there.
    #[arg(long, value_name = "CHECKPOINT")]
    since: Option<PathBuf>,
    /// Demand at least this evidence profile, whatever the bundle declares.
    #[arg(long, value_name = "PROFILE", value_parser = profile)]
    profile: Option<EvidenceProfile>,
    /// Demand the cosignatures that this policy asks for (c2sp.org/tlog-policy).
    #[arg(long, value_name = "POLICY")]
    witnesses: Option<PathBuf>,
    /// The checkpoint of the bundle or receipt with cosignatures that were added later: they count.
    #[arg(long, value_name = "CHECKPOINT", requires = "witnesses")]
    checkpoint: Option<PathBuf>,
    /// The event of a receipt [default: the receipt's name with .event.json added].
    #[arg(long, value_name = "FILE")]
    event: Option<PathBuf>,
}

#[derive(Serialize)]
struct View {
    path: String,
    verdict: Overall,
    #[serde(flatten)]
    report: Report,
}

impl Verify {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let trust = self.trust.as_deref().map(trust_file).transpose()?;
        let keys = self.keys(trust.as_ref())?;
        let openpgp_keys = self.openpgp_key.as_deref().map(small).transpose()?;
        let people = |trust| {
            let now = detached::now()?;
            let openpgp_keys = openpgp_keys.as_deref();
            let namespace = MANIFEST_NAMESPACE;
            Ok::<_, Failure>(Believed { trust, openpgp_keys, namespace, by: None, now })
        };
        let people = trust.as_ref().map(people).transpose()?;
        let since = self.since.as_deref().map(checkpoint).transpose()?;
        let witnesses = self.witnesses.as_deref().map(policy).transpose()?;
        let cosigned = self.checkpoint.as_deref().map(checkpoint).transpose()?;
        let request = AuditRequest {
            keys: &keys,
            since: since.as_ref().map(|(_, checkpoint)| checkpoint),
            profile: self.profile,
            witnesses: witnesses.as_ref(),
            cosigned: cosigned.as_ref(),
            people,
            replayer: crate::policies::replayer(),
            workers: setting.global.workers(),
        };
        let report = if self.path.extension() == Some(OsStr::new("tlog-proof")) {
            self.receipt(&request)?
        } else {
            // A path that is not there is no matter of the bundle.
            fs::metadata(&self.path).map_err(|error| missing(&self.path, &error))?;
            let package = Package::open(&self.path, &ArchiveLimits::default())
                .map_err(|error| unreadable(&error))?;
            audit_bundle(&package, &request).map_err(|error| failed(&error, &self.path))?
        };
        let path = self.path.display().to_string();
        let view = View { path, verdict: report.overall(), report };
        setting.screen.show(&view, text)?;
        failure(&view).map_or(Ok(Exit::Done), Err)
    }

    fn receipt(&self, request: &AuditRequest<'_>) -> Result<Report, Failure> {
        let receipt = small(&self.path)?;
        let event = if let Some(event) = &self.event {
            small(event)?
        } else {
            let mut beside = self.path.clone().into_os_string();
            beside.push(".event.json");
            small(Path::new(&beside)).map_err(|failure| {
                failure.remedy("name the file with the event's stored bytes: --event FILE")
            })?
        };
        audit_receipt(&receipt, &event, request).map_err(|error| failed(&error, &self.path))
    }

    fn keys(&self, trust: Option<&TrustFile>) -> Result<Vec<LogKey>, Failure> {
        if let Some(path) = &self.key {
            let text = String::from_utf8(small(path)?).unwrap_or_default();
            let key: VerifyingKey = text.trim_end().parse().map_err(|error| {
                Failure::from_error(&error, Code::USAGE)
                    .while_doing(format!("{} is not the public key of a log", path.display()))
                    .remedy("give the .vkey file that stands beside the log's key")
            })?;
            return Ok(vec![LogKey::from(key)]);
        }
        Ok(trust.map(|trust| trust.log_keys().collect()).unwrap_or_default())
    }
}

fn trust_file(path: &Path) -> Result<TrustFile, Failure> {
    TrustFile::parse(&small(path)?).map_err(|error| {
        Failure::from_error(&error, Code::TRUST_MALFORMED).place(path.display().to_string())
    })
}

fn profile(name: &str) -> Result<EvidenceProfile, String> {
    EvidenceProfile::parse(name).ok_or_else(|| {
        let names: Vec<_> = EvidenceProfile::ALL.iter().map(|one| one.name()).collect();
        format!("profiles are {}", names.join(", "))
    })
}

/// A file that cannot be read.
fn missing(path: &Path, error: &std::io::Error) -> Failure {
    Failure::from_error(error, Code::IO).while_doing(format!("cannot read {}", path.display()))
}

/// Reads a file that must be small.
fn small(path: &Path) -> Result<Vec<u8>, Failure> {
    let read = || {
        let mut bytes = Vec::new();
        fs::File::open(path)?.take(SMALL_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|error| missing(path, &error))?;
    if bytes.len() as u64 > SMALL_BYTES_MAX {
        let text = format!("{} is larger than {SMALL_BYTES_MAX} bytes", path.display());
        return Err(Failure::new(Code::EVIDENCE_MALFORMED, text));
    }
    Ok(bytes)
}

/// A checkpoint that the auditor brings along, with what is signed under it.
fn checkpoint(path: &Path) -> Result<(Note, Checkpoint), Failure> {
    let bytes = small(path)?;
    let malformed = |error: &(dyn std::error::Error + 'static)| {
        Failure::from_error(error, Code::EVIDENCE_MALFORMED)
            .while_doing(format!("{} is not a checkpoint", path.display()))
    };
    let note = Note::parse(&bytes).map_err(|error| malformed(&error))?;
    let checkpoint = Checkpoint::parse(&note.text).map_err(|error| malformed(&error))?;
    Ok((note, checkpoint))
}

fn policy(path: &Path) -> Result<WitnessPolicy, Failure> {
    WitnessPolicy::parse(&small(path)?).map_err(|error| {
        Failure::from_error(&error, Code::TRUST_MALFORMED).place(path.display().to_string())
    })
}

/// A package whose entries cannot be trusted to be files.
fn unreadable(error: &carnet_bundle::BundleError) -> Failure {
    let code = match error.code() {
        Code::SNAPSHOT_MALFORMED | Code::ARTIFACT => Code::EVIDENCE_MALFORMED,
        other => other,
    };
    Failure::from_error(error, code).remedy("fetch the bundle again from where it was made")
}

fn failed(error: &AuditError, path: &Path) -> Failure {
    let code = match error {
        AuditError::Read { .. } => Code::IO,
        AuditError::NotABundle | AuditError::Malformed { .. } => Code::EVIDENCE_MALFORMED,
    };
    let failure = Failure::from_error(error, code).place(path.display().to_string());
    match error {
        AuditError::NotABundle => failure.remedy(
            "name the folder or archive that `carnet evidence export` made, or a .tlog-proof file",
        ),
        AuditError::Read { .. } | AuditError::Malformed { .. } => failure,
    }
}

/// Why the material is not verified; `None` if it is.
fn failure(view: &View) -> Option<Failure> {
    let (code, what, remedy) = match view.verdict {
        Overall::Verified => return None,
        Overall::Refused => (
            Code::EVIDENCE_REFUSED,
            "the evidence does not hold",
            "do not rely on it; ask for it anew, and keep this copy",
        ),
        Overall::Malformed => (
            Code::EVIDENCE_MALFORMED,
            "a document of the evidence cannot be read",
            "fetch the bundle again from where it was made",
        ),
        Overall::Incomplete => (
            Code::EVIDENCE_INCOMPLETE,
            "not all that the profile demands could be checked",
            "bring what is missing: see the rows that are not checked",
        ),
    };
    let wanted = match view.verdict {
        Overall::Incomplete => CheckVerdict::NotChecked,
        Overall::Verified | Overall::Refused | Overall::Malformed => CheckVerdict::Fail,
    };
    let telling = |row: &&Row| row.verdict == wanted && row.id != CheckId::Freshness;
    let first = view.report.checks.iter().find(telling);
    let failure = Failure::new(code, what).place(&view.path).changed("nothing was changed");
    Some(
        match first {
            Some(row) => failure.because(format!("{}: {}", row.id.name(), row.reason)),
            None => failure,
        }
        .remedy(remedy),
    )
}

fn text(view: &View) -> String {
    let mut sheet = Sheet::default();
    let report = &view.report;
    sheet.line(&view.path);
    let subject = &report.subject;
    let range = match (subject.from_sequence, subject.to_sequence) {
        (Some(from), Some(to)) => format!("{} to {}", amount::count(from), amount::count(to)),
        (Some(_) | None, _) => "none".to_owned(),
    };
    let chain_id = subject.chain_id.as_deref().unwrap_or("without a name");
    sheet.field("log", 8, chain_id);
    let refusals = amount::counted(subject.refusals, "refusal", "refusals");
    sheet.field("events", 8, &format!("{range}; {refusals}"));
    if let Some(profile) = &subject.evidence_profile {
        sheet.field("profile", 8, profile);
    }
    sheet.gap();
    for row in &report.checks {
        let verdict = match row.verdict {
            CheckVerdict::Pass => "pass",
            CheckVerdict::Fail => "FAIL",
            CheckVerdict::NotChecked => "not checked",
            CheckVerdict::NotApplicable => "not applicable",
        };
        let label = format!("{:<CHECK_WIDTH$}  {verdict}", row.id.name());
        let reason = match row.reason_word {
            Some(word) => format!("{}: {}", word.name(), row.reason),
            None => row.reason.clone(),
        };
        sheet.field(label, CHECK_WIDTH + 2 + VERDICT_WIDTH, &reason);
    }
    sheet.gap();
    sheet.line(summary(view));
    sheet.text()
}

/// What an auditor may conclude, in a sentence.
fn summary(view: &View) -> String {
    let report = &view.report;
    let open = report
        .row(CheckId::Freshness)
        .filter(|row| row.verdict == CheckVerdict::NotChecked)
        .map(|row| format!("; {}", row.reason))
        .unwrap_or_default();
    match view.verdict {
        Overall::Verified => format!("verified: all that was demanded holds{open}"),
        Overall::Refused => "REFUSED: the evidence does not hold".to_owned(),
        Overall::Malformed => "MALFORMED: a document cannot be read in its form".to_owned(),
        Overall::Incomplete => "INCOMPLETE: not all could be checked".to_owned(),
    }
}
