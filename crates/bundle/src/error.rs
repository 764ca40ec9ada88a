//! What can go wrong with snapshots, imports, comparisons and archives.

use std::path::{Path, PathBuf};

use carnet_connect::{Loss, StoreError};
use carnet_model::policy::PolicyError;
use carnet_model::{Code, CollectionName};

use crate::oci::BundleFault;

/// A failure of this crate. `Display` says only its own layer; the cause is in `source()`.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A snapshot that is not in the form of the specification.
    #[error("{}: {what}", path.display())]
    Malformed {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A snapshot of a schema version or layout that this build does not read.
    #[error("{}: written as {found}; this build reads {known}", path.display())]
    Version {
        /// The manifest.
        path: PathBuf,
        /// What it says.
        found: String,
        /// What is read.
        known: String,
    },
    /// The place is taken.
    #[error("{} exists", path.display())]
    Exists {
        /// The place.
        path: PathBuf,
    },
    /// Another process writes there.
    #[error("another process writes {}", path.display())]
    Busy {
        /// The place.
        path: PathBuf,
    },
    /// An artifact that is not a plain file, or whose name cannot travel.
    #[error("artifact {}: {what}", path.display())]
    Artifact {
        /// The artifact.
        path: PathBuf,
        /// Why it is refused.
        what: String,
    },
    /// An archive that is refused.
    #[error("{}: {what}", path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// Why it is refused.
        what: String,
    },
    /// An archive that exceeds a limit.
    #[error("{}: {what}", path.display())]
    ArchiveLimit {
        /// The archive.
        path: PathBuf,
        /// What it exceeds.
        what: String,
    },
    /// A bundle that is refused.
    #[error("{}: {fault}", path.display())]
    Bundle {
        /// The bundle.
        path: PathBuf,
        /// Why it is refused.
        fault: BundleFault,
    },
    /// A registry refused, or did not answer as one does.
    #[error("{place} {what}")]
    Registry {
        /// Its scheme and host.
        place: String,
        /// What it did.
        what: String,
        /// Why, if that is known.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The place for a bundle is taken by something else.
    #[error("{} holds something else", path.display())]
    BundleExists {
        /// The place.
        path: PathBuf,
    },
    /// The files of a policy that cannot be used.
    #[error("the policy in {} cannot be used", path.display())]
    Policy {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: PolicyError,
    },
    /// The target cannot hold all of the content.
    #[error("collection {collection}: {}", first_of(losses))]
    Loss {
        /// The collection.
        collection: CollectionName,
        /// What would be lost, at least one.
        losses: Vec<Loss>,
    },
    /// The same ids are on both sides with other content.
    #[error(
        "collection {collection}: record {first:?} is in the target with other content; \
         records in conflict: {count}"
    )]
    Conflict {
        /// The collection.
        collection: CollectionName,
        /// The first id in conflict.
        first: String,
        /// How many ids are in conflict.
        count: u64,
    },
    /// The collection in the target is of another kind.
    #[error("collection {collection}: {what}")]
    Contract {
        /// The collection.
        collection: CollectionName,
        /// What differs, with both values.
        what: String,
    },
    /// What was read back is not what was expected.
    #[error("collection {collection}: {what}")]
    Differs {
        /// The collection.
        collection: CollectionName,
        /// What differs, with both values.
        what: String,
    },
    /// An import failed, and not all that it wrote could be taken back.
    #[error("collection {collection}: the import stopped; still in the target: {}", left.join(", "))]
    LeftBehind {
        /// The collection.
        collection: CollectionName,
        /// What is still in the target.
        left: Vec<String>,
        /// Why the import stopped.
        source: Box<BundleError>,
    },
    /// What the caller asks for makes no sense.
    #[error("{what}")]
    Request {
        /// Why.
        what: String,
    },
}

fn first_of(losses: &[Loss]) -> String {
    losses.first().map(|loss| format!("the target cannot hold {}", loss.what)).unwrap_or_default()
}

impl BundleError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Store(error) => error.code(),
            Self::Malformed { .. } | Self::Archive { .. } | Self::ArchiveLimit { .. } => {
                Code::SNAPSHOT_MALFORMED
            }
            Self::Bundle { fault, .. } => fault.code(),
            Self::BundleExists { .. } => Code::BUNDLE_EXISTS,
            Self::Registry { .. } => Code::BUNDLE_REGISTRY,
            Self::Version { .. } => Code::SNAPSHOT_VERSION,
            Self::Exists { .. } => Code::SNAPSHOT_EXISTS,
            Self::Busy { .. } => Code::STORE_BUSY,
            Self::Artifact { .. } => Code::ARTIFACT,
            Self::Policy { source, .. } => source.code(),
            Self::Loss { .. } => Code::LOSS,
            Self::Conflict { .. } => Code::IMPORT_CONFLICT,
            Self::Contract { .. } => Code::CONTRACT_DIFFERS,
            Self::Differs { .. } => Code::CONTENT_DIFFERS,
            Self::LeftBehind { source, .. } => source.code(),
            Self::Request { .. } => Code::USAGE,
        }
    }

    /// What to do about it, where it is known.
    pub fn remedy_text(&self) -> Option<&str> {
        match self {
            Self::Store(error) => error.remedy_text(),
            Self::Malformed { .. } => Some("make the snapshot again from its source"),
            Self::Version { .. } => Some("read it with the version of carnet that wrote it"),
            Self::Bundle { fault, .. } => Some(fault.remedy()),
            Self::Registry { .. } => {
                Some("check that a registry of containers runs there, and that it lets you in")
            }
            Self::Exists { .. } | Self::BundleExists { .. } => {
                Some("choose another place, or remove what is there")
            }
            Self::Busy { .. } => Some("wait until the other process has ended"),
            Self::Artifact { .. } => {
                Some("replace it by a plain file with a UTF-8 name, or move it elsewhere")
            }
            Self::Archive { .. } | Self::ArchiveLimit { .. } => {
                Some("make the archive again from its snapshot")
            }
            Self::Policy { source, .. } => Some(source.remedy()),
            Self::Loss { losses, .. } => losses.first().map(|loss| loss.remedy.as_str()),
            Self::Conflict { .. } => Some(
                "compare both sides with `carnet diff`, then raise the version of the record that \
                 is right, or import with mode replace",
            ),
            Self::Contract { .. } => Some("import into another collection, or with mode replace"),
            Self::Differs { .. } => Some("compare both sides with `carnet diff`"),
            Self::LeftBehind { source, .. } => source.remedy_text(),
            Self::Request { .. } => None,
        }
    }

    pub(crate) fn malformed(path: &Path, what: impl Into<String>) -> Self {
        Self::Malformed { path: path.to_owned(), what: what.into() }
    }

    pub(crate) fn io(doing: &str, path: &Path, source: std::io::Error) -> Self {
        StoreError::io(format!("cannot {doing} {}", path.display()), source).into()
    }
}
