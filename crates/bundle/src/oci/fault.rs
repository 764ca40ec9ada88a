//! What can be wrong with a bundle.

use std::path::Path;

use carnet_model::Code;
use carnet_model::portability::ManifestError;

use crate::error::BundleError;

/// This build leaves out what was asked for.
#[cfg(not(all(feature = "age", feature = "registry")))]
pub(super) fn left_out(feature: &str) -> BundleError {
    let what = format!("this build was made without the feature `{feature}`");
    carnet_connect::StoreError::new(Code::FEATURE_MISSING, what).into()
}

/// Why a bundle is refused. Each kind has an answer of its own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleFault {
    /// It is not in the form of a bundle.
    #[error("{0}")]
    Malformed(String),
    /// It is of a version that this build does not read: too old, or too new.
    #[error("{0}")]
    Version(String),
    /// It has a type of content that this build does not know.
    #[error("{0}")]
    ContentType(String),
    /// Some part of it has other bytes than it says.
    #[error("{0}")]
    Damaged(String),
    /// Some part of it is not there.
    #[error("{0}")]
    Missing(String),
    /// It exceeds a limit.
    #[error("{0}")]
    Limit(String),
    /// A content is encrypted, and no identity that was given opens it.
    #[error("{0}")]
    Encrypted(String),
}

impl BundleFault {
    pub(crate) fn at(self, path: &Path) -> BundleError {
        BundleError::Bundle { path: path.to_owned(), fault: self }
    }

    /// The stable code.
    pub const fn code(&self) -> Code {
        match self {
            Self::Malformed(_) => Code::BUNDLE_MALFORMED,
            Self::Version(_) => Code::BUNDLE_VERSION,
            Self::ContentType(_) => Code::BUNDLE_CONTENT_TYPE,
            Self::Damaged(_) | Self::Missing(_) => Code::BUNDLE_DAMAGED,
            Self::Limit(_) => Code::BUNDLE_LIMIT,
            Self::Encrypted(_) => Code::BUNDLE_ENCRYPTED,
        }
    }

    /// What to do about it.
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "ask the sender for a bundle that `carnet bundle export` made",
            Self::Version(_) => "read it with the version of carnet that wrote it",
            Self::ContentType(_) => "use a newer carnet, or ask for a bundle without this content",
            Self::Damaged(_) | Self::Missing(_) => "do not use it; fetch it again from the sender",
            Self::Limit(_) => "ask the sender for a smaller bundle, or raise the limit",
            Self::Encrypted(_) => "give the file with the identity: --identity FILE",
        }
    }
}

impl From<ManifestError> for BundleFault {
    fn from(error: ManifestError) -> Self {
        let text = error.to_string();
        match error {
            ManifestError::Form(_)
            | ManifestError::Path { .. }
            | ManifestError::Contradiction(_) => Self::Malformed(text),
            ManifestError::Version { .. } => Self::Version(text),
            ManifestError::ContentType { .. } => Self::ContentType(text),
        }
    }
}
