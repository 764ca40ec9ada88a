//! `run.take_back`: what a prescribed way back is made of.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ApprovalMode, Descriptor, Fencing, Repeat, Safety, UndoKind, UndoReach, checked};

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

/// The step that a use of a capability takes back, as PHASE/NODE; `None` if it is another one.
pub fn taken_back<'w>(name: &str, with: &'w Value) -> Option<&'w str> {
    with.get("step").and_then(Value::as_str).filter(|_| name == NAME)
}

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    name: NAME,
    does: "take a step of this run back by its own undo",
    safety: Safety::Mutating,
    repeat: Repeat::Probe,
    undo: UndoKind::Own,
    undo_reach: UndoReach::Nowhere,
    fencing: Fencing::None,
    approval: ApprovalMode::None,
    gates: &[],
    inputs: super::schema_of::<TakeBack>,
    check: |with| checked::<TakeBack>(with, |_, _| {}),
};
