//! What the events of a log say, folded one by one: a log may be long.

use std::collections::{BTreeMap, BTreeSet};

use carnet_ledger::{Digest, EventType};
use serde_json::Value;

use crate::portability::dependencies::DependencyManifest;
use crate::portability::invariant::Shown;
use crate::portability::terms::Terms;

/// An event that shows something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) sequence: u64,
    pub(super) event_type: String,
    pub(super) outcome: String,
    pub(super) at_ms: i64,
    pub(super) resource: String,
    pub(super) pointer: Option<Digest>,
    pub(super) event: Value,
}

impl Mark {
    pub(super) fn shown(&self) -> Shown {
        Shown::Event { sequence: self.sequence, event_type: self.event_type.clone() }
    }

    pub(super) fn is_accepted(&self) -> bool {
        self.outcome == "accepted"
    }

    /// A member beside the envelope, or of the context.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        let beside = self.event.get(key).and_then(Value::as_str);
        beside.or_else(|| self.event.pointer(&format!("/context/{key}")).and_then(Value::as_str))
    }
}

/// What the events of a log say.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    /// How many events there are.
    pub events: u64,
    /// Of each type, the last event (for starts: of the last run).
    last: BTreeMap<&'static str, Mark>,
    /// Cutovers and phases that were entered, and validations, of the last run, in order.
    pub(super) order: Vec<Mark>,
    /// Steps of the last run that have begun and not ended, with the event that began them.
    pub(super) open: BTreeMap<String, u64>,
    /// How many steps have begun, with the first that ended.
    pub(super) begun: u64,
    pub(super) ended: Option<Mark>,
    /// What was approved.
    pub(super) approved: BTreeSet<String>,
    /// The dependencies that the events publish, by the digest of the document.
    pub(super) published: Option<(Mark, Result<DependencyManifest, String>)>,
    /// Whether a gap was found, or a place in the log is missing.
    pub(super) gap_at: Option<u64>,
    /// The terms of the plan of the last run.
    pub(super) terms: Option<Terms>,
    /// The declared way out.
    pub(super) exit: Option<Value>,
    /// Whether a workload is spoken of.
    pub(super) workload: bool,
}

/// The types of which the last event is kept.
const KEPT: &[EventType] = &[
    EventType::ProcessStart,
    EventType::ProcessEnd,
    EventType::ExitPathDeclare,
    EventType::ExitValidationRun,
    EventType::DependencyGraphPublish,
    EventType::InteropProfileDeclare,
    EventType::MigrationExport,
    EventType::MigrationImport,
    EventType::MigrationValidate,
    EventType::MigrationCutover,
    EventType::MigrationRollback,
    EventType::MigrationRefusal,
    EventType::ChainReconciliation,
    EventType::EvidenceReconcile,
    EventType::PolicyEvaluate,
    EventType::AuthorityCheck,
];

impl Trace {
    /// Takes in the next event. `object` reads the objects that events point to.
    pub fn add(&mut self, event: &Value, object: &dyn Fn(Digest) -> Option<Vec<u8>>) {
        let text = |key: &str| event.get(key).and_then(Value::as_str).unwrap_or_default();
        let sequence = event.get("sequence").and_then(Value::as_u64).unwrap_or(u64::MAX);
        if sequence != self.events && self.gap_at.is_none() {
            self.gap_at = Some(self.events);
        }
        self.events += 1;
        let Some(event_type) = EventType::parse(text("event_type")) else { return };
        let at_ms = text("occurred_at").parse::<carnet_ledger::EventTime>();
        let mark = Mark {
            sequence,
            event_type: event_type.name().to_owned(),
            outcome: text("outcome").to_owned(),
            at_ms: at_ms.map_or(0, carnet_ledger::EventTime::unix_millis),
            resource: text("resource_id").to_owned(),
            pointer: digest_at_end(text("evidence_pointer")),
            event: event.clone(),
        };
        self.workload |= event.get("workload_id").is_some();
        self.take(event_type, &mark, object);
        if KEPT.contains(&event_type) {
            self.last.insert(event_type.name(), mark);
        }
    }

    fn take(
        &mut self,
        event_type: EventType,
        mark: &Mark,
        object: &dyn Fn(Digest) -> Option<Vec<u8>>,
    ) {
        let read = |digest: Option<Digest>| digest.and_then(object);
        let json = |digest| serde_json::from_slice::<Value>(&read(digest)?).ok();
        #[expect(clippy::wildcard_enum_match_arm, reason = "most types say nothing here")]
        match event_type {
            EventType::ProcessStart => {
                let document = mark.text("document").and_then(|it| it.parse().ok());
                let plan = json(document.or(mark.pointer));
                let terms = plan.as_ref().and_then(|plan| plan.get("terms"));
                self.begin(terms.and_then(|terms| Terms::read_value(terms).ok()));
            }
            EventType::ExitPathDeclare => self.exit = json(mark.pointer),
            EventType::DependencyGraphPublish => {
                let graph = mark.text("graph_ref").and_then(digest_at_end).or(mark.pointer);
                let found = read(graph).ok_or_else(|| "its object is not there".to_owned());
                let manifest = found.and_then(|bytes| {
                    DependencyManifest::read(&bytes).map_err(|errors| {
                        errors.first().map_or_else(String::new, ToString::to_string)
                    })
                });
                self.published = Some((mark.clone(), manifest));
            }
            EventType::ProcessIntent if mark.text("idempotency_key").is_some() => {
                self.begun += 1;
                self.open.insert(mark.resource.clone(), mark.sequence);
            }
            EventType::ProcessOutcome
                if mark.text("result").is_some()
                    && self.open.remove(&mark.resource).is_some()
                    && self.ended.is_none() =>
            {
                self.ended = Some(mark.clone());
            }
            EventType::ApprovalGranted => {
                self.approved.insert(mark.resource.clone());
            }
            EventType::ApprovalDenied | EventType::ApprovalExpired => {
                self.approved.remove(&mark.resource);
            }
            EventType::WorkloadAdmit | EventType::WorkloadRefuse => self.workload = true,
            EventType::MigrationCutover
            | EventType::MigrationValidate
            | EventType::MigrationRollback
            | EventType::ProcessPhase => self.order.push(mark.clone()),
            _ => {}
        }
    }

    /// A run begins: what belongs to the one before is no longer looked at.
    fn begin(&mut self, terms: Option<Terms>) {
        self.terms = terms;
        self.order.clear();
        self.open.clear();
        self.begun = 0;
        self.ended = None;
        self.approved.clear();
        self.published = None;
        self.exit = None;
        for of_a_run in KEPT.iter().filter(|it| {
            !matches!(it, EventType::ChainReconciliation | EventType::EvidenceReconcile)
        }) {
            self.last.remove(of_a_run.name());
        }
    }

    /// The last event of a type in the last run.
    pub(super) fn last(&self, event_type: EventType) -> Option<&Mark> {
        self.last.get(event_type.name())
    }
}

/// The digest at the end of `sha256:<hex>` or `eosc://…/sha256:<hex>`.
fn digest_at_end(text: &str) -> Option<Digest> {
    let (_, hex) = text.rsplit_once("sha256:")?;
    hex.parse().ok()
}
