//! What several files must say to agree with each other.

mod certified;
mod closure;
mod counts;
mod kept;
mod placement;
mod places;
#[cfg(test)]
mod tests;

pub use certified::{CertifiedRun, Drill, DrilledRun, certify, has_image};
pub use closure::refer;

use carnet_ledger::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::form::Form;
use crate::own::{CAUGHT_UP_LAG_MAX, Says, own_sums};
use crate::read::Document;
use crate::tally::Tally;
use crate::wrong::Wrong;

/// A check over several files.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Check {
    /// READY and the start of the run have the scenario and the configuration that `run` pins.
    Pins,
    /// The summary of receipts says what the receipts say, and quarantine too.
    Receipts,
    /// Nothing is ambiguous, and nothing is in flight.
    Unresolved,
    /// Sent, received, admitted, decided, archived: each place says what the next one does.
    Flow,
    /// Each admitted event lies in the range of the run, and consumers have taken that range.
    Offsets,
    /// Decisions, outcomes, audit, cases and labels are those of the report.
    Decisions,
    /// Each anchor lies in the range of its partition, and each range has one.
    Anchors,
    /// The archive has what the run wrote to each partition.
    Archive,
    /// Each service and each job ran where it may, from the image that `run` pins.
    Placement,
    /// What was read again are the events that were admitted.
    Replay,
    /// Each reference of `run_completed` resolves, is as it was, and passes.
    Closure,
}

impl Check {
    /// All checks.
    pub const ALL: &'static [Self] = &[
        Self::Pins,
        Self::Receipts,
        Self::Unresolved,
        Self::Flow,
        Self::Offsets,
        Self::Decisions,
        Self::Anchors,
        Self::Archive,
        Self::Placement,
        Self::Replay,
        Self::Closure,
    ];

    /// The name in plans.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pins => "pins",
            Self::Receipts => "receipts",
            Self::Unresolved => "unresolved",
            Self::Flow => "flow",
            Self::Offsets => "offsets",
            Self::Decisions => "decisions",
            Self::Anchors => "anchors",
            Self::Archive => "archive",
            Self::Placement => "placement",
            Self::Replay => "replay",
            Self::Closure => "closure",
        }
    }

    /// The files without which it says nothing.
    pub const fn needs(self) -> &'static [Form] {
        match self {
            Self::Pins => &[Form::Run, Form::ReadyPublishReceipt],
            Self::Receipts => &[Form::ReceiptSummary, Form::IngestionReceipt],
            Self::Unresolved => &[Form::ReceiptSummary],
            Self::Flow => {
                &[Form::WspSummary, Form::ReceiptSummary, Form::RunReport, Form::Reconciliation]
            }
            Self::Offsets => &[Form::KafkaOffsetsSnapshot, Form::ReceiptSummary, Form::CaughtUp],
            Self::Decisions => {
                &[Form::DecisionSummary, Form::ActionSummary, Form::AuditSummary, Form::RunReport]
            }
            Self::Anchors => {
                &[Form::ReplayAnchors, Form::KafkaOffsetsSnapshot, Form::OffsetsSnapshot]
            }
            Self::Archive => &[Form::ArchiveProgress, Form::KafkaOffsetsSnapshot],
            Self::Placement => &[Form::Run, Form::DaemonsReady, Form::IgReady, Form::TaskRun],
            Self::Replay => &[Form::SemanticDigest, Form::ReceiptSummary, Form::Replay],
            Self::Closure => &[
                Form::RunCompleted,
                Form::RunReport,
                Form::Reconciliation,
                Form::ReplayAnchors,
                Form::EnvironmentConformance,
                Form::AnomalySummary,
                Form::GovernanceEvent,
            ],
        }
    }
}

/// The files that are compared. Each form stands once.
#[derive(Default)]
pub struct Evidence<'a> {
    files: Vec<File<'a>>,
}

/// One file, with its path and the digest of its bytes.
#[derive(Clone, Copy)]
struct File<'a> {
    path: &'a str,
    sha256: Digest,
    form: Form,
    said: Said<'a>,
}

#[derive(Clone, Copy)]
enum Said<'a> {
    Document(&'a Document),
    Lines(&'a Tally),
}

/// What agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreed {
    /// How many things were compared.
    pub compared: u64,
}

impl<'a> Evidence<'a> {
    /// Adds a file that is one object.
    pub fn add(&mut self, path: &'a str, sha256: Digest, document: &'a Document) {
        let (form, said) = (document.form(), Said::Document(document));
        self.files.push(File { path, sha256, form, said });
    }

    /// Adds a file of lines.
    pub fn add_lines(&mut self, path: &'a str, sha256: Digest, form: Form, tally: &'a Tally) {
        self.files.push(File { path, sha256, form, said: Said::Lines(tally) });
    }

    fn at(&self, path: &str) -> Option<File<'a>> {
        self.files.iter().copied().find(|file| file.path == path)
    }

    /// The file of a form, if there is one.
    fn given(&self, form: Form) -> Option<Says<'a>> {
        self.files.iter().find_map(|file| match file.said {
            Said::Document(document) if file.form == form => Some(Says::of(document)),
            Said::Document(_) | Said::Lines(_) => None,
        })
    }

    fn needed(&self, form: Form) -> Result<Says<'a>, Wrong> {
        self.given(form).ok_or_else(|| Wrong::empty(format!("there is no {form} to compare with")))
    }

    fn lines(&self, form: Form) -> Option<&'a Tally> {
        self.files.iter().find_map(|file| match file.said {
            Said::Lines(tally) if file.form == form => Some(tally),
            Said::Document(_) | Said::Lines(_) => None,
        })
    }

    /// Each form once, each file in agreement with itself, and no line of a file wrong.
    fn each(&self, lag_max: i64) -> Result<u64, Wrong> {
        let mut compared = 0_u64;
        for (spot, file) in self.files.iter().enumerate() {
            let before = self.files.get(..spot).unwrap_or_default();
            if before.iter().any(|other| other.form == file.form) {
                return Err(Wrong::differs(format!("{} is there twice", file.form)));
            }
            compared = compared.saturating_add(match file.said {
                Said::Document(document) => own_sums(document, lag_max)?,
                Said::Lines(tally) => whole(file, tally)?,
            });
        }
        Ok(compared)
    }
}

fn whole(file: &File<'_>, tally: &Tally) -> Result<u64, Wrong> {
    let form = file.form;
    if let Some(fault) = &tally.fault {
        return Err(Wrong::differs(format!("line {} of {form} {}", fault.line, fault.what)));
    }
    // Nothing may be in quarantine.
    if tally.lines == 0 && form != Form::QuarantineRecord {
        return Err(Wrong::empty(format!("{form} has no lines")));
    }
    Ok(tally.lines)
}

/// What who asks lets pass.
#[derive(Debug, Clone, Copy)]
pub struct Bounds<'a> {
    /// How far a consumer may be behind, in records, and has caught up.
    pub lag_max: i64,
    /// Where something may run: what the names of its tasks begin with.
    pub compute: &'a [String],
}

impl Default for Bounds<'_> {
    fn default() -> Self {
        Self { lag_max: CAUGHT_UP_LAG_MAX, compute: &[] }
    }
}

/// Whether files agree: each with itself, and all with each other, by each of the checks.
pub fn agree(
    checks: &[Check],
    evidence: &Evidence<'_>,
    bounds: Bounds<'_>,
) -> Result<Agreed, Wrong> {
    if checks.is_empty() || evidence.files.is_empty() {
        return Err(Wrong::empty("nothing was compared"));
    }
    let mut compared = evidence.each(bounds.lag_max)?;
    for check in checks {
        for form in check.needs() {
            if !evidence.files.iter().any(|file| file.form == *form) {
                let check = check.name();
                return Err(Wrong::empty(format!("{check}: there is no {form} to compare with")));
            }
        }
        let more = match check {
            Check::Pins => places::pins(evidence),
            Check::Receipts => counts::receipts(evidence),
            Check::Unresolved => counts::unresolved(evidence),
            Check::Flow => counts::flow(evidence),
            Check::Offsets => places::offsets(evidence, bounds.lag_max),
            Check::Decisions => counts::decisions(evidence),
            Check::Anchors => places::anchors(evidence),
            Check::Archive => kept::archived(evidence),
            Check::Placement => placement::placed(evidence, bounds.compute),
            Check::Replay => kept::replayed(evidence),
            Check::Closure => closure::closed(evidence),
        };
        let named =
            |wrong: Wrong| Wrong { what: format!("{}: {}", check.name(), wrong.what), ..wrong };
        compared = compared.saturating_add(more.map_err(named)?);
    }
    Ok(Agreed { compared })
}
