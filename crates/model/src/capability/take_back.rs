//! `run.take_back`: what a prescribed way back is made of.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ApprovalMode, Descriptor, Fencing, Repeat, Safety, UndoKind, checked};

pub(super) const NAME: &str = "run.take_back";

/// A step of this run that is taken back by its own undo, as far as it got; nothing is done for one
/// that was never begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TakeBack {
    /// The step: PHASE/NODE.
    #[schemars(regex(pattern = r"^[a-z0-9][a-z0-9_-]{0,62}/[a-z0-9][a-z0-9_.-]{0,62}$"))]
    pub step: String,
}

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    name: NAME,
    does: "take a step of this run back by its own undo",
    safety: Safety::Mutating,
    repeat: Repeat::Probe,
    undo: UndoKind::Own,
    fencing: Fencing::None,
    approval: ApprovalMode::None,
    gates: &[],
    inputs: super::schema_of::<TakeBack>,
    check: |with| checked::<TakeBack>(with, |_, _| {}),
};
