//! The FAISS index file format: read for the kinds that still hold the vectors, written as Flat
//! and as `IndexIDMap2` over Flat, byte for byte as FAISS itself writes them.
//!
//! The format has no version and no checksum: it is the fields of the C++ classes in order, each
//! class announced by four letters. Nothing in a file is believed before it is compared with the
//! file's size, so that no input makes the reader fail in any other way than with a [`FormatError`].

mod cursor;
mod graph;
mod index;
mod kind;
mod lists;
mod write;

pub(super) use index::MAX_DIMENSIONS;
pub use index::{Index, Metric};
pub use kind::Refused;
pub use write::{FlatWriter, Layout};

use carnet_model::Code;

/// Why a file is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// The file ends early, or a count, size or tag in it cannot be true.
    #[error("byte {at}: {what}")]
    Malformed {
        /// Where in the file, in bytes from its start.
        at: u64,
        /// What is wrong there.
        what: String,
    },
    /// An index of a kind that Carnet does not read.
    #[error("{0}")]
    Kind(Refused),
}

impl FormatError {
    /// The stable code.
    pub const fn code(&self) -> Code {
        match self {
            Self::Malformed { .. } => Code::FAISS_MALFORMED,
            Self::Kind(_) => Code::FAISS_KIND,
        }
    }

    /// What to do.
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => {
                "take the file from a copy that is whole: FAISS files have no checksum, so it cannot be repaired"
            }
            Self::Kind(refused) => refused.remedy(),
        }
    }
}
