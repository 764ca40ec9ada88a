//! The form of each evidence file.

use std::fmt;
use std::sync::LazyLock;

use carnet_document::linear;
use jsonschema::Validator;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How long a file that is one JSON object may be, in bytes.
pub const FILE_BYTES_MAX: usize = 256 * 1024;

/// How long a line of a file of lines may be, in bytes.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// What many forms have in common.
const COMMON: &str = include_str!("forms/common.json");

/// One file of each form.
const EXAMPLES: &str = include_str!("forms/examples.json");

/// Lists the forms once: the variant, its name (and its file in `forms/`), where it lies.
macro_rules! forms {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $path:expr;)*) => {
        /// An evidence file that has a form.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        #[schemars(inline)]
        pub enum Form {
            $($(#[$doc])* $variant,)*
        }

        impl Form {
            /// All forms.
            pub const ALL: &'static [Form] = &[$(Form::$variant),*];

            /// The name in plans.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Where the file lies, relative to the root of the evidence; `None` if the plan must
            /// say it.
            pub const fn path(self) -> Option<&'static str> {
                match self { $(Self::$variant => $path,)* }
            }

            const fn text(self) -> &'static str {
                match self { $(Self::$variant => include_str!(concat!("forms/", $name, ".json")),)* }
            }
        }
    };
}

macro_rules! of_run {
    ($path:literal) => {
        Some(concat!("evidence/runs/{platform_run_id}/", $path))
    };
}

forms! {
    /// What the run is pinned to.
    Run = "run", of_run!("run.json");
    /// The run has begun.
    RunStarted = "run_started", of_run!("run_started.json");
    /// Each service runs once, for this run.
    DaemonsReady = "daemons_ready", of_run!("operate/daemons_ready.json");
    /// The sorted stream has the rows of the raw one.
    StreamSortReceipt = "stream_sort_receipt", None;
    /// Each stream view was read again, and is what its receipt says.
    CheckerPass = "checker_pass", of_run!("oracle/checker_pass.json");
    /// The ingest gate is healthy and refuses strangers.
    IgReady = "ig_ready", of_run!("ingest/ig_ready.json");
    /// READY was published.
    ReadyPublishReceipt = "ready_publish_receipt", of_run!("sr/ready_publish_receipt.json");
    /// The lease that READY was published under.
    ScenarioLease = "scenario_lease", of_run!("sr/lease.json");
    /// The READY signal itself.
    ReadySignal = "ready_signal", None;
    /// What the source sent.
    WspSummary = "wsp_summary", of_run!("wsp/wsp_summary.json");
    /// What became of each event that was received.
    ReceiptSummary = "receipt_summary", of_run!("ingest/receipt_summary.json");
    /// What was put aside.
    QuarantineSummary = "quarantine_summary", of_run!("ingest/quarantine_summary.json");
    /// The range of the run in each partition.
    KafkaOffsetsSnapshot = "kafka_offsets_snapshot", of_run!("ingest/kafka_offsets_snapshot.json");
    /// How far the consumers are behind.
    CaughtUp = "caught_up", of_run!("rtdl_core/caught_up.json");
    /// What each consumer has taken.
    OffsetsSnapshot = "offsets_snapshot", of_run!("rtdl_core/offsets_snapshot.json");
    /// How far the archive is in each partition.
    ArchiveProgress = "archive_progress", of_run!("rtdl_core/archive_progress.json");
    /// What was decided.
    DecisionSummary = "decision_summary", of_run!("decision_lane/decision_summary.json");
    /// What was done after decisions.
    ActionSummary = "action_summary", of_run!("decision_lane/action_summary.json");
    /// What was written into the audit.
    AuditSummary = "audit_summary", of_run!("decision_lane/audit_summary.json");
    /// The cases.
    CaseSummary = "case_summary", of_run!("case_labels/case_summary.json");
    /// The labels.
    LabelSummary = "label_summary", of_run!("case_labels/label_summary.json");
    /// What was counted in one place beside what was counted in the next.
    Reconciliation = "reconciliation", of_run!("obs/reconciliation.json");
    /// The run in numbers.
    RunReport = "run_report", of_run!("obs/run_report.json");
    /// The environment is as it must be.
    EnvironmentConformance = "environment_conformance", of_run!("obs/environment_conformance.json");
    /// From where the run can be read again.
    ReplayAnchors = "replay_anchors", of_run!("obs/replay_anchors.json");
    /// What was odd.
    AnomalySummary = "anomaly_summary", of_run!("obs/anomaly_summary.json");
    /// The run is closed.
    RunCompleted = "run_completed", of_run!("run_completed.json");
    /// What the run meant: two that mean the same have the same.
    SemanticDigest = "semantic_digest", of_run!("certification/semantic_digest.json");
    /// The admitted events, read again from the broker or from the archive.
    Replay = "replay", None;
    /// What was destroyed is gone.
    TeardownProof = "teardown_proof", of_run!("teardown/teardown_proof.json");
    /// The report of a drill.
    DrillReport = "drill_report", None;
    /// Who came second to write the closure, and lost: the first one.
    WriterConflict = "writer_conflict", of_run!("obs/conflict/1.json");
    /// The receipts of the ingest gate, one a line.
    IngestionReceipt = "ingestion_receipt", of_run!("ingest/receipts.jsonl");
    /// What was put aside, one event a line.
    QuarantineRecord = "quarantine_record", of_run!("ig/quarantine.jsonl");
    /// Governance events, one a line.
    GovernanceEvent = "governance_event", of_run!("obs/governance/events.jsonl");
    /// Where each service and each job ran, one a line.
    TaskRun = "task_run", of_run!("operate/task_runs.jsonl");
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Form {
    /// The form of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|form| form.name() == name)
    }

    /// Whether the file has many lines, each of this form.
    pub const fn is_lines(self) -> bool {
        matches!(
            self,
            Self::IngestionReceipt | Self::QuarantineRecord | Self::GovernanceEvent | Self::TaskRun
        )
    }

    /// Whether the file is one of the run, with its id and a time; else it may be older.
    pub const fn is_of_run(self) -> bool {
        !matches!(self, Self::StreamSortReceipt | Self::ReadySignal | Self::QuarantineRecord)
    }

    /// The member that says when it was written.
    pub const fn time_key(self) -> Option<&'static str> {
        match self {
            Self::DaemonsReady => Some("captured_at_utc"),
            Self::StreamSortReceipt => Some("created_utc"),
            Self::RunReport => Some("generated_at_utc"),
            Self::GovernanceEvent => Some("ts_utc"),
            Self::QuarantineRecord => Some("received_at_utc"),
            // The time of a receipt is that of its event, which a replay brings from long ago.
            Self::IngestionReceipt | Self::ReadySignal => None,
            Self::Run
            | Self::RunStarted
            | Self::CheckerPass
            | Self::IgReady
            | Self::ReadyPublishReceipt
            | Self::ScenarioLease
            | Self::WspSummary
            | Self::ReceiptSummary
            | Self::QuarantineSummary
            | Self::KafkaOffsetsSnapshot
            | Self::CaughtUp
            | Self::OffsetsSnapshot
            | Self::ArchiveProgress
            | Self::DecisionSummary
            | Self::ActionSummary
            | Self::AuditSummary
            | Self::CaseSummary
            | Self::LabelSummary
            | Self::Reconciliation
            | Self::EnvironmentConformance
            | Self::ReplayAnchors
            | Self::AnomalySummary
            | Self::RunCompleted
            | Self::SemanticDigest
            | Self::Replay
            | Self::TeardownProof
            | Self::DrillReport
            | Self::WriterConflict
            | Self::TaskRun => Some("written_at_utc"),
        }
    }

    /// The JSON Schema, whole: with what all forms have in common.
    pub fn schema(self) -> Value {
        let mut schema: Value = serde_json::from_str(self.text()).unwrap_or_default();
        let common: Value = serde_json::from_str(COMMON).unwrap_or_default();
        if !self.is_lines() && !matches!(self, Self::StreamSortReceipt | Self::ReadySignal) {
            let own = schema.get_mut("properties").and_then(Value::as_object_mut);
            let shared = common.get("properties").and_then(Value::as_object);
            if let (Some(own), Some(shared)) = (own, shared) {
                for (key, value) in shared {
                    own.entry(key.clone()).or_insert_with(|| value.clone());
                }
            }
        }
        if let (Some(schema), Some(names)) = (schema.as_object_mut(), common.get("$defs")) {
            schema.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
            schema.insert("title".into(), self.name().into());
            schema.insert("$defs".into(), names.clone());
        }
        schema
    }

    /// A file of this form, as it may be: of a run of 20 admitted events, 3 duplicates and 2 in
    /// quarantine, which adds up. Of a file of lines, one line.
    pub fn example(self) -> Value {
        let mut all: Value = serde_json::from_str(EXAMPLES).unwrap_or_default();
        all.get_mut(self.name()).map(Value::take).unwrap_or_default()
    }

    /// The schema made ready, once. `None` only if a file in `forms/` is no schema, which a test
    /// excludes.
    pub(crate) fn validator(self) -> Option<&'static Validator> {
        static READY: LazyLock<Vec<Option<Validator>>> = LazyLock::new(|| {
            Form::ALL.iter().map(|form| linear().build(&form.schema()).ok()).collect()
        });
        let spot = Self::ALL.iter().position(|form| *form == self)?;
        READY.get(spot)?.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_a_closed_schema_with_a_name_and_a_sentence() {
        for form in Form::ALL {
            assert!(form.validator().is_some(), "{form}");
            let schema = form.schema();
            assert_eq!(schema["additionalProperties"], false, "{form}");
            assert_eq!(schema["type"], "object", "{form}");
            assert!(schema["description"].as_str().is_some_and(|it| it.ends_with('.')), "{form}");
            assert_eq!(Form::named(form.name()), Some(*form));
            assert_eq!(serde_json::to_value(form).unwrap(), form.name());
            let required = schema["required"].as_array().unwrap();
            let is_required = |key: &str| required.iter().any(|it| it == key);
            assert!(!form.is_of_run() || is_required("platform_run_id"), "{form}");
            assert!(form.time_key().is_none_or(is_required), "{form}");
            if let Some(path) = form.path() {
                assert!(crate::Template::parse(path).is_ok(), "{path}");
            }
        }
    }

    #[test]
    fn the_page_has_every_form_and_every_check() {
        let page = include_str!("../../../docs/programme-evidence.md");
        for form in Form::ALL {
            assert!(page.contains(&format!("| `{form}` |")), "{form}");
        }
        for check in crate::Check::ALL {
            assert!(page.contains(&format!("| `{}` |", check.name())), "{}", check.name());
        }
    }

    #[test]
    fn only_objects_that_are_maps_are_open() {
        fn closed(schema: &Value, at: &str) {
            if let Some(members) = schema.as_object() {
                if members.contains_key("properties")
                    && members.contains_key("required")
                    && members.contains_key("type")
                {
                    assert!(members.contains_key("additionalProperties"), "{at}");
                }
                for (key, value) in members {
                    closed(value, &format!("{at}/{key}"));
                }
            }
        }
        for form in Form::ALL {
            closed(&form.schema(), form.name());
        }
    }
}
