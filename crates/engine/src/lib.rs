//! Runs a plan. Reading order: the pure core (the crate `process`), steps and gates, the run.

#![forbid(unsafe_code)]

mod approval;
mod capability;
mod error;
mod evidence;
mod evidence_root;
mod fault;
mod gate;
mod parallel;
mod run;
mod step;
mod succession;

#[cfg(feature = "postgres-log")]
pub use carnet_journal::PostgresLog;
pub use carnet_journal::{
    Clock, IdSource, Journal, JournalError, LogEnd, LogMade, LogPlace, LogProfile, LogReader,
    TreeDamage,
};
pub use carnet_process::{
    AMENDMENT, Act, After, Approval, Begins, Block, ByHand, Closed, Command, Direction, Due,
    Ending, Fact, FactError, GateState, GateStatus, GateVerdict, Illegal, Missing, Next, Node,
    NodeKind, NodeState, NotAProcess, NoteKind, OnFailure, Part, PartState, PartStatus, Phase,
    PhaseStanding, PhaseState, PhaseStatus, Place, Process, Refused, Repeat, RunState, Start,
    State, Status, StepResult, StepState, StepStatus, Stop, TimerState, Transition, Undo, Written,
    apply, check, decide, next, read_fact, ready, refusal_class, standings_of, transition,
    write_fact,
};

pub use approval::{Authority, Consent, GateRow, SKIP, Signature, Statement};
pub use capability::{CapabilityReceipt, ReceiptMode};
pub use error::{EngineError, StepError};
pub use evidence::{EvidenceError, EvidenceRequest, ExportedEvidence, Receipt};
pub use fault::Faults;
pub use gate::{Surroundings, evaluate_outside, supply_chain_of};
pub use run::{
    Advanced, ApprovalReport, Asked, BackReport, CollectionReport, CopyJob, CopyReport,
    DamagedCopy, DriftedFile, Engine, GateReport, NextAct, NoteRow, PeopleRequest, PhaseReport,
    PhaseRow, ProgrammeReport, Report, RunRequest, StopReport, SwitchReport, TimerReport, Why,
    absent, kept_notes, status, why,
};
pub use step::{Role, StoreOpener, StoreRequest};
pub use succession::{HandOverError, HandedOver};
