//! The plan: the document, its reader, its check, and what it is compiled to.

mod check;
mod compile;
mod diagnostic;
mod document;
mod written;

mod decode;
mod keys;
mod mask;
mod nearest;
mod open;
mod phase;
mod place;
mod reader;
mod schema;
mod tree;
mod yaml;

pub use compile::Plan;
pub use diagnostic::{Diagnostic, Severity, Span};
pub use document::{
    Cutover, Decommission, Document, Evidence, EvidenceProfile, Format, Governance, HashProfile,
    Import, ImportMode, Layout, Process, Quiesce, Source, SourceKnowledge, Stated, Switch, Target,
    TargetKnowledge, Transfer, Validate,
};
pub use mask::{Masked, mask};
pub use open::Rejected;
pub use phase::{Phase, PhaseName, SCHEMA_VERSIONS, Step, StepName};
pub(crate) use schema::NoNull;
pub use schema::{schema, schema_text};
pub use written::{
    ColumnName, Label, MigrationName, NotWritten, Period, VariableName, WrittenPath, WrittenStore,
};
