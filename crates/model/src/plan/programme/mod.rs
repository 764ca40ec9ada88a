//! Programmes: phases that are begun and confirmed by an act of their own, each with a posture and an
//! evidence contract, under one authority that is pinned.
//!
//! Reading order: what a plan says for all its phases (`section`), what each of them says beside its
//! nodes (`phase`), what is wrong with it (`check`, `legacy`).

mod check;
mod legacy;
mod phase;
mod section;
#[cfg(test)]
mod tests;

pub(super) use check::check;
pub use legacy::{Handed, handed};
pub use phase::{EvidenceFile, GateLevel, PHASE_IDS, PhaseId, Posture, Retry};
pub use section::{ImagePin, Pinned, Programme, RunPins, Scope};

/// The node with which a phase of a programme begins: a message, that the phase is set active.
pub const ACTIVATE: &str = "activate";
/// The node with which it ends: a message, that somebody confirmed that it is done.
pub const CONFIRM: &str = "confirm";
