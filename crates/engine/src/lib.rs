//! Runs a plan. Reading order: the journal, the pure core (`process`), steps and gates, the run.

#![forbid(unsafe_code)]

mod error;
mod evidence;
mod fault;
mod gate;
mod journal;
mod parallel;
mod process;
mod refusal;
mod run;
mod source;
mod step;
mod succession;

pub use error::{EngineError, StepError};
pub use evidence::{EvidenceError, EvidenceRequest, ExportedEvidence, Receipt};
pub use fault::Faults;
pub use journal::{Journal, JournalError, LogEnd, LogMade, LogProfile, LogReader, TreeDamage};
pub use process::{
    Command, Direction, Ending, Fact, FactError, GateState, GateStatus, GateVerdict, Illegal, Next,
    Node, NodeState, NotAProcess, PartState, PartStatus, Phase, PhaseState, PhaseStatus, Process,
    Refused, Repeat, RunState, State, Status, StepResult, StepState, StepStatus, Stop, Undo,
    Written, apply, decide, next, read_fact, write_fact,
};
pub use refusal::refusal_class;
pub use run::{
    CollectionReport, CopyJob, CopyReport, Engine, GateReport, PhaseReport, Report, RunRequest,
    StopReport, SwitchReport, status,
};
pub use source::{Clock, IdSource};
pub use step::{Role, StoreOpener, StoreRequest};
pub use succession::{HandOverError, HandedOver};
