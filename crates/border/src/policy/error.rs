//! Why a policy snapshot, an input or an authority snapshot cannot be used.

use carnet_document::Code;

/// What is wrong with the files of a policy, before any engine has seen them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A file is not of its form.
    #[error("{file} is not of its form: {what}")]
    Form {
        /// The file.
        file: String,
        /// What is wrong with it.
        what: String,
    },
    /// A file is missing.
    #[error("{file} is missing")]
    Missing {
        /// The file.
        file: String,
    },
    /// A file is there that the snapshot does not name.
    #[error("{file} is not a file of the snapshot")]
    Added {
        /// The file.
        file: String,
    },
    /// A file has other bytes than the snapshot says.
    #[error("{file} has other bytes than its digest says")]
    Damaged {
        /// The file.
        file: String,
    },
    /// Something is larger than the limits allow.
    #[error("{what} has {found}, and {max} are the most")]
    Limit {
        /// What it is.
        what: String,
        /// How large it is.
        found: u64,
        /// How large it may be.
        max: u64,
    },
    /// A version that this build does not read.
    #[error("{file} is of version {found:?}, which this build does not read")]
    Version {
        /// The file.
        file: &'static str,
        /// What it says.
        found: String,
    },
    /// The self-tests could not turn red, or contradict themselves.
    #[error("the self-tests show nothing: {0}")]
    SelfTests(String),
}

impl PolicyError {
    pub(super) fn form(file: &str, what: impl Into<String>) -> Self {
        Self::Form { file: file.to_owned(), what: what.into() }
    }

    /// The stable code.
    pub const fn code(&self) -> Code {
        match self {
            Self::Form { .. } | Self::Missing { .. } | Self::Version { .. } => {
                Code::POLICY_MALFORMED
            }
            Self::Added { .. } | Self::Damaged { .. } => Code::POLICY_DAMAGED,
            Self::Limit { .. } => Code::POLICY_LIMIT,
            Self::SelfTests(_) => Code::POLICY_SELF_TEST,
        }
    }

    /// What to do about it.
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Form { .. } => "put the file right; docs/policy.md shows its form",
            Self::Missing { .. } => "add the file, or name the folder that has it",
            Self::Version { .. } => "have the snapshot made by the version of Carnet that reads it",
            Self::Added { .. } | Self::Damaged { .. } => {
                "fetch the snapshot again from where it was made"
            }
            Self::Limit { .. } => "make it smaller, or split it",
            Self::SelfTests(_) => {
                "write a test that must be allowed and one that must not, each with its own name"
            }
        }
    }
}
