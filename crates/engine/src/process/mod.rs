//! The pure core: what a run is, what follows next, what a command means, and what an event
//! changes. No I/O, no clock; it never sees what acts on the world.

mod apply;
mod decide;
mod definition;
mod event;
mod fact;
mod next;
mod state;

pub(crate) use apply::check_part;
pub use apply::{Illegal, apply};
pub use decide::{Command, Refused, decide};
pub use definition::{Node, NotAProcess, Phase, Process, Repeat, Undo};
pub(crate) use event::cut;
pub use event::{FactError, Written, read_fact, write_fact};
pub use fact::{Fact, StepResult, Stop};
pub use next::{Next, next};
pub use state::{
    Direction, Ending, GateState, GateStatus, GateVerdict, NodeState, PartState, PartStatus,
    PhaseState, PhaseStatus, RunState, State, Status, StepState, StepStatus,
};

#[cfg(test)]
mod tests;
