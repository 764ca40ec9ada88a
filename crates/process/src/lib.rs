//! The pure core: what a run is, what follows next, what a command means, and what an event
//! changes. No I/O, no clock; it never sees what acts on the world.

#![forbid(unsafe_code)]

mod apply;
mod decide;
mod definition;
mod definition_json;
mod event;
mod event_read;
mod fact;
mod legal;
mod next;
mod programme;
mod refusal;
mod standing;
mod state;

pub use apply::apply;
pub use decide::{AMENDMENT, Command, Refused, Start, decide};
pub use definition::{
    After, Begins, Closed, Due, Node, NodeKind, OnFailure, Part, Phase, Place, Process, Repeat,
    Undo,
};
pub use definition_json::NotAProcess;
pub use event::{Written, cut, write_fact};
pub use event_read::{FactError, read_fact};
pub use fact::{Approval, ByHand, Fact, NoteKind, StepResult, Stop};
pub use legal::{Illegal, check, check_part};
pub use next::{Next, next, ready};
pub use programme::{Act, Missing, PhaseStanding, Transition, standings_of, transition};
pub use refusal::{gate_class, gate_code, refusal_class};
pub use state::{
    Block, Confirmed, Direction, Ending, GateState, GateStatus, GateVerdict, NodeState, PartState,
    PartStatus, PhaseState, PhaseStatus, RunState, State, Status, StepState, StepStatus,
    TimerState,
};

#[cfg(test)]
mod graph_tests;
#[cfg(test)]
mod programme_tests;
#[cfg(test)]
mod tests;
