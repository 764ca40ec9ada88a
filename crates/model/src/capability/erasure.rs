//! `erasure.survey`, `erasure.record`.

use std::collections::BTreeSet;

use carnet_document::InputError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ApprovalMode, Descriptor, Fencing, Repeat, Safety, UndoKind, UndoReach, checked};

/// What is to be erased is looked at, while it is still there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ErasureSurvey {
    /// What is to be erased.
    #[schemars(length(min = 1, max = 1_000))]
    pub items: Vec<ErasureItem>,
}

/// Something that is to be erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct ErasureItem {
    /// What it is, for people.
    #[schemars(length(min = 1, max = 1_024))]
    pub what: String,
    /// The file or folder, from the folder of the plan.
    #[schemars(length(min = 1, max = 4096))]
    pub path: String,
}

/// What was to be erased is looked at again, and must be gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ErasureRecord {
    /// The step that looked before, such as `retain/survey`.
    #[schemars(regex(pattern = r"^[a-z0-9][a-z0-9_-]{0,62}/[a-z0-9][a-z0-9_-]{0,62}$"))]
    pub surveyed: String,
    /// Who erased it.
    #[schemars(length(min = 1, max = 256))]
    pub erased_by: String,
}

pub(super) const SURVEY: Descriptor = Descriptor {
    name: "erasure.survey",
    does: "look at what is to be erased, and keep the digest of each file",
    safety: Safety::ReadOnly,
    repeat: Repeat::Again,
    undo: UndoKind::Nothing,
    undo_reach: UndoReach::Nowhere,
    fencing: Fencing::None,
    approval: ApprovalMode::None,
    gates: &[],
    inputs: super::schema_of::<ErasureSurvey>,
    check: |with| checked::<ErasureSurvey>(with, check),
};

pub(super) const RECORD: Descriptor = Descriptor {
    name: "erasure.record",
    does: "see that what was surveyed is gone, and write the receipt of its erasure",
    safety: Safety::ReadOnly,
    repeat: Repeat::Again,
    undo: UndoKind::Nothing,
    undo_reach: UndoReach::Nowhere,
    fencing: Fencing::None,
    approval: ApprovalMode::None,
    gates: &[],
    inputs: super::schema_of::<ErasureRecord>,
    check: |with| checked::<ErasureRecord>(with, |_, _| {}),
};

fn check(survey: &ErasureSurvey, errors: &mut Vec<InputError>) {
    let mut seen = BTreeSet::new();
    for (at, item) in survey.items.iter().enumerate() {
        if !seen.insert(&item.path) {
            let pointer = format!("/items/{at}/path");
            errors.push(InputError::new(pointer, "stands twice", "name each path once"));
        }
    }
}
