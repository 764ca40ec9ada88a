//! What a file must say to agree with itself. Nothing is believed that can be computed again.

mod kept;
mod lane;
mod numbers;
mod offsets;
mod place;

pub(crate) use kept::MULTISET;
pub(crate) use numbers::Says;
pub(crate) use offsets::{Row, rows};

use crate::form::Form;
use crate::read::Document;
use crate::wrong::Wrong;

/// How far a consumer may be behind and has still caught up, when nothing is said.
pub const CAUGHT_UP_LAG_MAX: i64 = 10;

/// Whether a file agrees with itself, and is over something. `lag_max` is how far a consumer may
/// be behind. Gives how many things were compared.
pub fn own_sums(document: &Document, lag_max: i64) -> Result<u64, Wrong> {
    let says = Says::of(document);
    match document.form() {
        Form::Run => place::run(says),
        Form::DaemonsReady => place::daemons(says),
        Form::StreamSortReceipt => lane::sorted(says),
        Form::CheckerPass => lane::checked(says),
        Form::IgReady => place::ig_ready(says),
        Form::ReadyPublishReceipt => place::published(says),
        Form::ScenarioLease => place::leased(says),
        Form::WspSummary => lane::sent(says),
        Form::ReceiptSummary => lane::receipts(says),
        Form::QuarantineSummary => lane::quarantine(says),
        Form::KafkaOffsetsSnapshot | Form::OffsetsSnapshot => offsets::snapshot(says),
        Form::CaughtUp => offsets::caught_up(says, lag_max),
        Form::ArchiveProgress => kept::archived(says),
        Form::DecisionSummary => lane::counted(says, "decision"),
        Form::ActionSummary => lane::counted(says, "outcome"),
        Form::AuditSummary => lane::counted(says, "audit_append"),
        Form::CaseSummary => lane::kinds(says, "case"),
        Form::LabelSummary => lane::kinds(says, "label"),
        Form::Reconciliation => lane::reconciled(says),
        Form::RunReport => lane::report(says),
        Form::EnvironmentConformance => place::conforms(says),
        Form::ReplayAnchors => offsets::anchors(says),
        Form::AnomalySummary => lane::anomalies(says),
        Form::SemanticDigest => kept::meant(says),
        Form::Replay => kept::replayed(says),
        Form::TeardownProof => place::torn_down(says),
        Form::DrillReport => place::drilled(says),
        Form::WriterConflict => place::refused(says),
        // Of these a form is all that there is to say; what they refer to is another's affair.
        Form::RunStarted
        | Form::ReadySignal
        | Form::RunCompleted
        | Form::IngestionReceipt
        | Form::QuarantineRecord
        | Form::TaskRun
        | Form::GovernanceEvent => Ok(1),
    }
}

#[cfg(test)]
mod tests;
