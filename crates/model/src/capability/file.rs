//! `file.copy`.

use carnet_document::InputError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ApprovalMode, Descriptor, Fencing, Repeat, Safety, UndoKind, UndoReach, checked};

pub(super) const NAME: &str = "file.copy";

/// A file that is copied as a whole: written beside its place, synced, then renamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileCopy {
    /// The file, from the folder of the plan.
    #[schemars(length(min = 1, max = 4096))]
    pub from: String,
    /// Its new place, from the folder of the plan. Folders that are missing are made.
    #[schemars(length(min = 1, max = 4096))]
    pub to: String,
    /// The SHA-256 that the file must have, in hexadecimal.
    #[schemars(regex(pattern = r"^[0-9a-f]{64}$"))]
    pub sha256: Option<String>,
    /// Whether a file that is at the new place already may be replaced. It is kept for the undo.
    #[serde(default)]
    pub replace: bool,
}

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    name: NAME,
    does: "copy a file as a whole, and check its digest",
    safety: Safety::Mutating,
    repeat: Repeat::Again,
    undo: UndoKind::Own,
    undo_reach: UndoReach::BeforeCommit,
    fencing: Fencing::None,
    approval: ApprovalMode::None,
    gates: &[],
    inputs: super::schema_of::<FileCopy>,
    check: |with| checked::<FileCopy>(with, check),
};

fn check(copy: &FileCopy, errors: &mut Vec<InputError>) {
    if copy.from == copy.to {
        errors.push(InputError::new("/to", "is the file itself", "name another place"));
    }
    if copy.to.ends_with('/') {
        let remedy = "write the name of the file as well";
        errors.push(InputError::new("/to", "is a folder", remedy));
    }
}
