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
    /// Columns of the source that no rule covers.
    #[serde(rename = "_columns")]
    Columns,
    /// The artifact files.
    #[serde(rename = "artifacts")]
    Artifacts,
    /// Times of making.
    #[serde(rename = "created_ts")]
    CreatedTs,
    /// The search index: the target searches in another way, or exactly.
    #[serde(rename = "index")]
    Index,
    /// Hashes of what the records were made from.
    #[serde(rename = "source_hash")]
    SourceHash,
    /// Times of the last change.
    #[serde(rename = "updated_ts")]
    UpdatedTs,
    /// Record versions.
    #[serde(rename = "version")]
    Version,
}

impl LossName {
    /// All names, sorted.
    pub const ALL: [Self; 7] = [
        Self::Columns,
        Self::Artifacts,
        Self::CreatedTs,
        Self::Index,
        Self::SourceHash,
        Self::UpdatedTs,
        Self::Version,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_sort_as_their_names() {
        let names = LossName::ALL.map(LossName::name);
        assert!(names.is_sorted());
        assert!(LossName::ALL.is_sorted());
        for name in LossName::ALL {
            assert_eq!(serde_json::to_value(name).unwrap(), name.name());
        }
    }
}
