//! Why evidence is not given out.

use std::path::{Path, PathBuf};

use carnet_bundle::BundleError;
use carnet_ledger::Family;
use carnet_model::Code;

use carnet_journal::{JournalError, io_code};

/// A failure of an export or a receipt. `Display` says only its own layer; the cause is in
/// `source()`.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The log does not work, or does not hold.
    #[error("the evidence log cannot be used")]
    Journal(#[from] JournalError),
    /// The state directory has no log, or one without events.
    #[error("there is no evidence in {}", .0.display())]
    NoLog(PathBuf),
    /// The place for the bundle is taken.
    #[error("{} exists, and is not an empty folder", .0.display())]
    Exists(PathBuf),
    /// Not a range of this log.
    #[error("events {from} to {to} are no range of a log that ends with event {last}")]
    Range {
        /// The first event that was asked for.
        from: u64,
        /// The last one.
        to: u64,
        /// The last event of the log, the export's own included.
        last: u64,
    },
    /// Tiles hold the whole log under a checkpoint, and this bundle does not.
    #[error("tiles are the whole log under a signed checkpoint, and {0}")]
    Tiles(&'static str),
    /// The profile demands events that the range does not have.
    #[error("the events do not hold what the profile {profile} demands: {}", names(missing))]
    Profile {
        /// The name of the profile.
        profile: &'static str,
        /// The families of which there is no event.
        missing: Vec<Family>,
    },
    /// No signed checkpoint covers the event.
    #[error("no signed checkpoint covers event {sequence}")]
    NotCovered {
        /// The event.
        sequence: u64,
        /// How many events the newest checkpoint covers, where there is one.
        covered: Option<u64>,
    },
    /// The parts of the log contradict one another.
    #[error("the evidence log does not hold: {0}")]
    Contradiction(String),
    /// A file of the bundle cannot be written.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The bundle cannot be put in its place.
    #[error(transparent)]
    Place(#[from] BundleError),
}

fn names(families: &[Family]) -> String {
    families.iter().map(|family| family.name()).collect::<Vec<_>>().join(", ")
}

impl EvidenceError {
    /// A failed file operation. Takes the verb.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl Fn(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path: path.clone(), source }
    }

    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Journal(error) => error.code(),
            Self::NoLog(_) => Code::RUN_NOT_FOUND,
            Self::Exists(_) => Code::EVIDENCE_EXISTS,
            Self::Range { .. } | Self::Tiles(_) => Code::USAGE,
            Self::Profile { .. } => Code::EVIDENCE_PROFILE,
            Self::NotCovered { .. } => Code::EVIDENCE_UNSIGNED,
            Self::Contradiction(_) => Code::EVIDENCE_DAMAGED,
            Self::Io { source, .. } => io_code(source),
            Self::Place(error) => error.code(),
        }
    }

    /// What to do about it, where it is known.
    pub fn remedy(&self) -> Option<String> {
        let text = match self {
            Self::Journal(error) => return error.remedy(),
            Self::Place(error) => return error.remedy_text().map(str::to_owned),
            Self::NoLog(_) => "give the folder that the run used: --state DIR",
            Self::Exists(_) => "choose another place: evidence is never written over",
            Self::Range { .. } => "events are numbered from 0; `carnet evidence show` lists them",
            Self::Tiles(_) => "export the whole log, with a key: leave out --from and --to",
            Self::Profile { .. } => {
                "export a range that holds such events, or say --incomplete: the manifest then \
                 names what is missing"
            }
            Self::NotCovered { .. } => {
                "sign the log: name a key in the plan (`evidence.signer`) or with --signer, and \
                 export"
            }
            Self::Contradiction(_) => {
                "keep the state folder as it is, and restore it from a copy; nothing was exported"
            }
            Self::Io { .. } => return None,
        };
        Some(text.to_owned())
    }
}
