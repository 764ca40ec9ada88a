//! The plan: the document, its reader, its check, and what it is compiled to.

mod approvals;
mod around;
mod check;
mod compile;
mod compiled;
mod diff;
mod document;
mod files;
mod flow;
mod inline;
mod knowledge;
mod knowledge_v1;
mod phases;
mod portability;
mod programme;
mod shape;
mod written;

mod decode;
mod keys;
mod nearest;
mod one_step;
mod open;
mod place;
mod reader;
mod schema;
mod tree;

pub use approvals::{AMENDMENT, Approval, Exception, NotBy};
pub use around::Around;
pub use carnet_document::yaml::BYTES_MAX;
pub use carnet_document::{Diagnostic, Masked, Severity, Span, mask};
pub use compile::Plan;
pub use compiled::{
    After, ApprovalRule, Assurance, Begins, Branch, Closed, Node, NodeKind, OnFailure, Part, Phase,
    PlannedGate, PlannedStep, PlannedUndo, Timer,
};
pub use diff::{Change, Changes, NodeChange, PhaseChange, RuleChange};
pub use document::{Document, Evidence, EvidenceProfile, Format, Governance, HashProfile, Work};
pub use knowledge::{
    Cutover, Decommission, Import, ImportMode, Knowledge, Layout, Process, Quiesce, Source,
    SourceKnowledge, Stated, Switch, Target, TargetKnowledge, Transfer, Validate,
};
pub use knowledge_v1::{PhaseName, SCHEMA_VERSIONS, StepName};
pub use open::Rejected;
pub use phases::{
    Freeze, NODES_MAX, Phases, WayBack, WrittenBranch, WrittenKind, WrittenNode, WrittenPhase,
    WrittenStep, WrittenUndo,
};
pub use portability::{
    CROSSING_PHASES, Carriage, Container, ContainerHost, Crossing, Data, Destination, Encrypt,
    EvidencePart, Health, Machine, MachineHost, Origin, PolicyFolder, Portability, Program, Side,
    SupplyChain, SwitchOver, Variable,
};
pub use programme::{
    ACTIVATE, CONFIRM, EvidenceFile, GateLevel, Handed, ImagePin, PHASE_IDS, PhaseId, Pinned,
    Posture, Programme, Retry, RunPins, Scope, handed,
};
pub use schema::{schema, schema_text};
pub use written::{
    ColumnName, Duration, Label, MigrationName, Moment, NodeName, NotWritten, Period, PlanDigest,
    VariableName, WrittenPath, WrittenStore,
};
