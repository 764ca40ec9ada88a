//! What can go wrong around a run. What stops a run from within is not an error but a stop, which
//! the run records and reports.

use std::error::Error;
use std::path::{Path, PathBuf};

use carnet_bundle::BundleError;
use carnet_connect::StoreError;
use carnet_journal::{JournalError, io_code};
use carnet_model::{Code, Exit};

use crate::evidence::EvidenceError;
use crate::run::recorder::Note;
use carnet_process::refusal_class;
use carnet_process::{Ending, FactError, Illegal, Refused, Stop};

/// A failure that the run could not record, or a command that is refused.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The journal does not work: nothing may be done without it.
    #[error("the evidence cannot be kept")]
    Journal(#[from] JournalError),
    /// The log holds an event that is not a fact of a run.
    #[error("the evidence log cannot be understood")]
    Fact(#[from] FactError),
    /// The log holds a fact that cannot follow on those before it.
    #[error("the evidence log contradicts itself")]
    Illegal(#[from] Illegal),
    /// The command is refused.
    #[error("the command is refused")]
    Refused(#[from] Refused),
    /// There is no run in this state directory.
    #[error("there is no run in {}", .0.display())]
    NoRun(PathBuf),
    /// Work outside of a run failed.
    #[error(transparent)]
    Work(#[from] StepError),
}

impl EngineError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Journal(error) => error.code(),
            Self::Fact(_) | Self::Illegal(_) => Code::EVIDENCE_DAMAGED,
            Self::Refused(refused) => match refused {
                Refused::PlanChanged { .. }
                | Refused::DoneUnderAnother { .. }
                | Refused::AmendsBegun { .. }
                | Refused::OtherLog { .. } => Code::PLAN_CHANGED,
                Refused::NotApproved { .. } => Code::APPROVAL_INVALID,
                Refused::Unapproved { .. } => Code::APPROVAL_MISSING,
                Refused::NotNow { .. } => Code::RUN_NOT_NOW,
                Refused::Unready { .. } => Code::PROGRAMME_UNREADY,
                Refused::Drifted { .. } => Code::PROGRAMME_DRIFT,
                Refused::NotDue { .. } => Code::RUN_NOT_DUE,
                Refused::NoRun => Code::RUN_NOT_FOUND,
                Refused::Done | Refused::NothingToRollBack => Code::RUN_NOT_REVERSIBLE,
                Refused::Unsettled => Code::RUN_UNKNOWN,
                Refused::Illegal(_) => Code::BUG,
            },
            Self::NoRun(_) => Code::RUN_NOT_FOUND,
            Self::Work(error) => error.code,
        }
    }

    /// What to do about it, where it is known.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Journal(error) => error.remedy(),
            Self::Work(error) => error.remedy.clone(),
            Self::Refused(Refused::PlanChanged { .. }) => Some(
                "restore the plan and run it, or take the run back with `carnet rollback`; \
                 then run the changed plan"
                    .to_owned(),
            ),
            Self::Refused(Refused::OtherLog { .. }) => Some(
                "put `evidence` in the plan back as it was, or give the plan a state directory of \
                 its own with --state"
                    .to_owned(),
            ),
            Self::Refused(Refused::DoneUnderAnother { .. }) => Some(
                "its evidence stays as it is: give the changed plan another name under \
                 `migration`, or another folder with --state; to take the run back, restore its \
                 plan"
                    .to_owned(),
            ),
            Self::Refused(Refused::Unsettled) => {
                Some("run the plan once more: it looks whether the step happened".to_owned())
            }
            Self::Refused(Refused::AmendsBegun { .. }) => Some(
                "leave every phase that has begun as it is, and put what is to change into the \
                 phases behind it"
                    .to_owned(),
            ),
            Self::Refused(Refused::NotApproved { .. }) => {
                Some("look at the plan and its gates as they are now, and approve again".to_owned())
            }
            Self::Refused(Refused::Unapproved { subject }) => {
                Some(format!("have it approved: `carnet approve PLAN {subject}`"))
            }
            Self::Refused(Refused::NotNow { .. }) => {
                Some("`carnet status PLAN` shows where the run stands".to_owned())
            }
            Self::Refused(Refused::Unready { .. }) => {
                Some("see to what is missing, then give the command again".to_owned())
            }
            Self::Refused(Refused::Drifted { remedy, .. }) => Some(remedy.clone()),
            Self::Refused(Refused::NotDue { .. }) => {
                Some("run the plan again when it is due".to_owned())
            }
            Self::Refused(
                Refused::Done | Refused::NoRun | Refused::NothingToRollBack | Refused::Illegal(_),
            )
            | Self::Fact(_)
            | Self::Illegal(_)
            | Self::NoRun(_) => None,
        }
    }
}

/// Why a step, an undo or an observation did not work.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct StepError {
    /// The stable code.
    pub code: Code,
    /// What failed, on this layer.
    pub what: String,
    /// What to do about it, where it is known.
    pub remedy: Option<String>,
    /// Why.
    #[source]
    pub cause: Option<Box<dyn Error + Send + Sync>>,
    /// What is reported beside it: decisions on the way to it.
    pub(crate) notes: Vec<Note>,
}

impl StepError {
    pub(crate) fn new(code: Code, what: impl Into<String>) -> Self {
        Self { code, what: what.into(), remedy: None, cause: None, notes: Vec::new() }
    }

    pub(crate) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Reports a decision beside it.
    pub(crate) fn note(mut self, note: Note) -> Self {
        self.notes.push(note);
        self
    }

    /// A failed file operation. Takes the verb.
    pub(crate) fn io(doing: &str, path: &Path, error: std::io::Error) -> Self {
        let mut made = Self::new(io_code(&error), format!("cannot {doing} {}", path.display()));
        made.cause = Some(error.into());
        made
    }

    /// All layers in one line, as an event keeps it.
    pub(crate) fn told(&self) -> String {
        match causes(self) {
            Some(causes) => format!("{}: {causes}", self.what),
            None => self.what.clone(),
        }
    }

    /// What it means for the run.
    pub(crate) fn stop(&self, subject: &str) -> (Ending, Stop) {
        let ending = match self.code.exit() {
            Exit::Refused | Exit::Differs | Exit::Malformed | Exit::Usage | Exit::Incomplete => {
                Ending::Refused
            }
            Exit::Done | Exit::Bug | Exit::Waits | Exit::Unreachable => Ending::Failed,
        };
        let stop = Stop {
            class: refusal_class(self.code),
            code: self.code.name().to_owned(),
            subject: subject.to_owned(),
            reason: self.told(),
            remedy: self.remedy.clone().unwrap_or_default(),
        };
        (ending, stop)
    }
}

/// The layers below an error, in one line.
fn causes(error: &dyn Error) -> Option<String> {
    let mut told = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        told.push(error.to_string());
        cause = error.source();
    }
    if told.is_empty() { None } else { Some(told.join(": ")) }
}

impl From<StoreError> for StepError {
    fn from(error: StoreError) -> Self {
        Self::from(BundleError::from(error))
    }
}

impl From<BundleError> for StepError {
    fn from(error: BundleError) -> Self {
        let remedy = error.remedy_text().map(str::to_owned);
        let mut made = Self::new(error.code(), error.to_string());
        made.remedy = remedy;
        made.cause = causes(&error).map(Into::into);
        made
    }
}

impl From<JournalError> for StepError {
    fn from(error: JournalError) -> Self {
        let mut made = Self::new(error.code(), "the evidence cannot be kept");
        made.remedy = error.remedy();
        made.cause = Some(error.into());
        made
    }
}

impl From<EvidenceError> for StepError {
    fn from(error: EvidenceError) -> Self {
        let mut made = Self::new(error.code(), "the evidence of the run cannot be given out");
        made.remedy = error.remedy();
        made.cause = Some(error.into());
        made
    }
}

impl From<EngineError> for StepError {
    fn from(error: EngineError) -> Self {
        let mut made = Self::new(error.code(), error.to_string());
        made.remedy = error.remedy();
        made.cause = Some(error.into());
        made
    }
}
