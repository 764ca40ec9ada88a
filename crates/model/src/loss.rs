//! What a move can lose, by name.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One kind of thing that a target may be unable to hold. A plan can waive it under `accept_loss`;
/// what has no name here can never be waived.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[schemars(inline)]
pub enum LossName {
    /// The search index: the target searches in another way, or exactly.
    #[serde(rename = "index")]
    Index,
    /// Columns of the source that no rule covers.
    #[serde(rename = "_columns")]
    Columns,
    /// Record versions.
    #[serde(rename = "version")]
    Version,
    /// Hashes of what the records were made from.
    #[serde(rename = "source_hash")]
    SourceHash,
    /// Times of making.
    #[serde(rename = "created_ts")]
    CreatedTs,
    /// Times of the last change.
    #[serde(rename = "updated_ts")]
    UpdatedTs,
    /// The artifact files.
    #[serde(rename = "artifacts")]
    Artifacts,
}

impl LossName {
    /// All names, in the order of the documentation.
    pub const ALL: [Self; 7] = [
        Self::Index,
        Self::Columns,
        Self::Version,
        Self::SourceHash,
        Self::CreatedTs,
        Self::UpdatedTs,
        Self::Artifacts,
    ];

    /// The name in plans, reports and gates.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Columns => "_columns",
            Self::Version => "version",
            Self::SourceHash => "source_hash",
            Self::CreatedTs => "created_ts",
            Self::UpdatedTs => "updated_ts",
            Self::Artifacts => "artifacts",
        }
    }
}

impl fmt::Display for LossName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
