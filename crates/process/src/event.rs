//! Facts as events, and back. The envelope's other members (actor, tenant, snapshots of policy and
//! authority) are the recorder's.

use carnet_ledger::{
    self as ledger, Digest, EventBody, HashProfile, Integer, Object, Outcome, Refusal,
    RefusalClass, Value,
};
use carnet_model::Code;

use crate::refusal::{gate_class, gate_code};

use super::definition::Process;
use super::fact::{Approval, Fact, StepResult, Stop};
use super::state::{Ending, GateVerdict, PartStatus};

/// The longest text that an event repeats, in bytes: longer ones are cut.
const TEXT_BYTES_MAX: usize = 4_000;

/// What a fact says in its event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The type, with the members that it has beside the envelope.
    pub body: EventBody,
    /// How it ended.
    pub outcome: Outcome,
    /// What it was done to: a phase, gate or step.
    pub resource_id: Option<String>,
    /// What was done.
    pub action: &'static str,
    /// The object with its details, where it has one of its own.
    pub pointer: Option<Digest>,
    /// All that the fact consists of, but for what stands in the objects.
    pub context: Object,
    /// Objects that the context names by their digests: they must be stored first.
    pub objects: Vec<Vec<u8>>,
}

/// Writes a fact.
pub fn write_fact(fact: &Fact) -> Written {
    let (body, outcome, action, resource) = envelope(fact);
    let mut out = Writer { context: Object::new(), pointer: None, objects: Vec::new() };
    out.text("fact", action);
    match fact {
        Fact::Started { plan, document, dry_run, initiator, trust, process, .. } => {
            out.put("plan", (*plan).into());
            out.put("document", (*document).into());
            out.put("dry_run", (*dry_run).into());
            out.maybe_text("initiator", initiator.as_deref());
            out.maybe("trust", *trust);
            out.process(process);
        }
        Fact::Amended { plan, document, trust, process } => {
            out.put("plan", (*plan).into());
            out.put("document", (*document).into());
            out.maybe("trust", *trust);
            out.pointer = Some(*document);
            out.process(process);
        }
        Fact::Resumed
        | Fact::RollbackStarted
        | Fact::Entered { .. }
        | Fact::Left { .. }
        | Fact::TimerOver { .. }
        | Fact::Committed { .. }
        | Fact::Retried { .. }
        | Fact::UndoIntent { .. } => {}
        Fact::Chosen { branch, reason, .. } => out.both("branch", branch, reason),
        Fact::TimerSet { due, .. } => out.put("due", due.to_string().into()),
        Fact::Received { reason, .. } => out.text("reason", reason),
        Fact::Blocked { by, reason, .. } | Fact::Unblocked { by, reason, .. } => {
            out.both("by", by, reason);
        }
        Fact::Noted { kind, by, text, .. } => out.noted(kind.name(), by, text),
        Fact::Approved(approval) => out.approval(approval),
        Fact::Withdrawn { approver, reason, .. } => out.both("approver", approver, reason),
        Fact::Settled { by_hand, by, reason, .. } => out.settled(by_hand.name(), by, reason),
        Fact::Judged { verdict, .. } => out.verdict(verdict),
        Fact::Intent { key, inputs, .. } => {
            out.text("idempotency_key", key);
            out.put("inputs", inputs.clone().into());
        }
        Fact::Part { part, status, facts, .. } => {
            out.text("part", part);
            out.text("status", status.name());
            out.put("facts", facts.clone().into());
        }
        Fact::Outcome { result, facts, reason, .. } => {
            out.text("result", result.name());
            out.pointer = receipt_of(facts);
            out.put("facts", facts.clone().into());
            out.text("reason", reason);
        }
        Fact::Stopped { ending, stop } => {
            out.text("ending", ending.name());
            out.stop(stop);
        }
        Fact::Incident { stop } => out.stop(stop),
        Fact::UndoOutcome { done, left_behind, reason, .. } => {
            out.put("done", (*done).into());
            out.texts("left_behind", left_behind);
            out.text("reason", reason);
        }
        Fact::Ended { ending } => out.text("ending", ending.name()),
    }
    let Writer { context, pointer, objects } = out;
    Written { body, outcome, resource_id: resource, action, pointer, context, objects }
}

type Envelope = (EventBody, Outcome, &'static str, Option<String>);

fn envelope(fact: &Fact) -> Envelope {
    let done = |good: bool| if good { Outcome::Accepted } else { Outcome::Failed };
    let accepted = |body, action, resource: Option<&String>| {
        (body, Outcome::Accepted, action, resource.cloned())
    };
    match fact {
        Fact::Started { .. } => accepted(EventBody::ProcessStart, "start", None),
        Fact::Resumed => accepted(EventBody::ProcessResume, "resume", None),
        Fact::Amended { .. } => accepted(EventBody::ProcessAmend, "amend", None),
        Fact::Chosen { choice, .. } => accepted(EventBody::ProcessChoice, "choose", Some(choice)),
        Fact::TimerSet { timer, .. } => accepted(EventBody::ProcessTimer, "set_timer", Some(timer)),
        Fact::TimerOver { timer } => accepted(EventBody::ProcessTimer, "end_timer", Some(timer)),
        Fact::Received { message, .. } => {
            accepted(EventBody::ProcessMessage, "receive", Some(message))
        }
        Fact::Blocked { phase, .. } => accepted(EventBody::ProcessPhase, "block", Some(phase)),
        Fact::Unblocked { phase, .. } => accepted(EventBody::ProcessPhase, "unblock", Some(phase)),
        Fact::Noted { phase, .. } => accepted(EventBody::ProcessMessage, "note", Some(phase)),
        Fact::Committed { node } => accepted(EventBody::ProcessCommit, "commit", Some(node)),
        Fact::Approved(approval) => approved(approval),
        Fact::Withdrawn { subject, plan, gate_table, reason, .. } => {
            withdrawn(subject, *plan, *gate_table, reason)
        }
        Fact::Retried { subject } => accepted(EventBody::ProcessIncident, "retry", Some(subject)),
        Fact::Settled { step, .. } => {
            accepted(EventBody::ProcessIncident, "settle_by_hand", Some(step))
        }
        Fact::Entered { phase } => accepted(EventBody::ProcessPhase, "enter", Some(phase)),
        Fact::Left { phase } => accepted(EventBody::ProcessPhase, "leave", Some(phase)),
        Fact::Judged { gate, verdict } => {
            let outcome = if verdict.opens { Outcome::Accepted } else { closed(gate, verdict) };
            (EventBody::GateVerdict, outcome, "judge", Some(gate.clone()))
        }
        Fact::Intent { step, .. } => accepted(EventBody::ProcessIntent, "intent", Some(step)),
        Fact::Part { step, status, .. } => {
            let body = match status {
                PartStatus::Planned | PartStatus::Intent => EventBody::ProcessIntent,
                PartStatus::Done => EventBody::ProcessOutcome,
            };
            accepted(body, "part", Some(step))
        }
        Fact::Outcome { step, result, .. } => {
            let good = matches!(result, StepResult::Applied | StepResult::Withheld);
            (EventBody::ProcessOutcome, done(good), "outcome", Some(step.clone()))
        }
        Fact::Stopped { stop, .. } => {
            let refused = Outcome::Refused(stop.refusal());
            (EventBody::MigrationRefusal, refused, "stop", Some(stop.subject.clone()))
        }
        Fact::Incident { stop } => {
            (EventBody::ProcessIncident, Outcome::Failed, "incident", Some(stop.subject.clone()))
        }
        Fact::UndoIntent { step } => accepted(EventBody::ProcessUndo, "undo_intent", Some(step)),
        Fact::UndoOutcome { step, done: good, .. } => {
            (EventBody::ProcessUndo, done(*good), "undo_outcome", Some(step.clone()))
        }
        Fact::RollbackStarted => accepted(EventBody::MigrationRollback, "rollback", None),
        Fact::Ended { ending } => {
            let good = matches!(ending, Ending::Done | Ending::RolledBack);
            (EventBody::ProcessEnd, done(good), "end", None)
        }
    }
}

fn approved(approval: &Approval) -> Envelope {
    let body = ledger::Approval {
        plan: approval.plan,
        gate_table: approval.gate_table,
        expires: Some(approval.expires),
    };
    let subject = Some(approval.subject.clone());
    (EventBody::ApprovalGranted(body), Outcome::Accepted, "approve", subject)
}

fn withdrawn(subject: &str, plan: Digest, gate_table: Digest, reason: &str) -> Envelope {
    let body = ledger::Approval { plan, gate_table, expires: None };
    let refusal = Refusal {
        class: RefusalClass::AuthorityMissingOrInvalid,
        code: Code::APPROVAL_WITHDRAWN.name().to_owned(),
        subject: subject.to_owned(),
        reason: Some(cut(reason)).filter(|reason| !reason.is_empty()),
    };
    let outcome = Outcome::Refused(refusal);
    (EventBody::ApprovalDenied(body), outcome, "withdraw", Some(subject.to_owned()))
}

fn closed(gate: &str, verdict: &GateVerdict) -> Outcome {
    Outcome::Refused(Refusal {
        class: gate_class(gate, &verdict.verdict),
        code: gate_code(&verdict.verdict).name().to_owned(),
        subject: gate.to_owned(),
        reason: Some(cut(&verdict.reason)).filter(|reason| !reason.is_empty()),
    })
}

impl Stop {
    /// The same as the refusal of an event.
    pub fn refusal(&self) -> Refusal {
        Refusal {
            class: self.class,
            code: self.code.clone(),
            subject: self.subject.clone(),
            reason: Some(cut(&self.reason)).filter(|reason| !reason.is_empty()),
        }
    }
}

/// The receipt of the use of a capability, which the outcome points to.
fn receipt_of(facts: &Object) -> Option<Digest> {
    match facts.get("receipt") {
        Some(Value::Text(digest)) => digest.parse().ok(),
        Some(_) | None => None,
    }
}

/// A text as an event repeats it.
pub fn cut(text: &str) -> String {
    if text.len() <= TEXT_BYTES_MAX {
        return text.to_owned();
    }
    let mut end = TEXT_BYTES_MAX;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", text.get(..end).unwrap_or_default())
}

struct Writer {
    context: Object,
    pointer: Option<Digest>,
    objects: Vec<Vec<u8>>,
}

impl Writer {
    fn put(&mut self, key: &str, value: Value) {
        self.context.insert(key.to_owned(), value);
    }

    fn text(&mut self, key: &str, text: &str) {
        self.put(key, cut(text).into());
    }

    fn count(&mut self, key: &str, count: u64) {
        // Counts of records and copies stay below 2^53.
        self.put(key, Integer::try_from(count).map_or(Value::Null, Value::Integer));
    }

    fn both(&mut self, key: &str, text: &str, reason: &str) {
        self.text(key, text);
        self.text("reason", reason);
    }

    fn noted(&mut self, kind: &str, by: &str, text: &str) {
        self.text("kind", kind);
        self.text("by", by);
        self.text("text", text);
    }

    fn settled(&mut self, by_hand: &str, by: &str, reason: &str) {
        self.text("by_hand", by_hand);
        self.text("by", by);
        self.text("reason", reason);
    }

    fn maybe_text(&mut self, key: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(key, text);
        }
    }

    fn maybe(&mut self, key: &str, digest: Option<Digest>) {
        if let Some(digest) = digest {
            self.put(key, digest.into());
        }
    }

    fn texts(&mut self, key: &str, texts: &[String]) {
        let texts = texts.iter().map(|text| cut(text).into());
        self.put(key, Value::List(texts.collect()));
    }

    /// A process may be larger than an event.
    fn process(&mut self, process: &Process) {
        self.text("process_name", &process.name);
        let bytes = HashProfile::Rfc8785Sha256V1.canonical(&process.write()).into_bytes();
        self.put("process", Digest::of(&bytes).into());
        self.objects.push(bytes);
    }

    fn approval(&mut self, approval: &Approval) {
        self.text("approver", &approval.approver);
        self.maybe_text("key", approval.key.as_deref());
        self.put("at", approval.at.to_string().into());
        self.pointer = Some(approval.statement);
    }

    fn verdict(&mut self, verdict: &GateVerdict) {
        self.text("verdict", &verdict.verdict);
        self.put("opens", verdict.opens.into());
        self.text("reason", &verdict.reason);
        self.text("remedy", &verdict.remedy);
        self.count("damaged_copies", verdict.damaged);
        self.count("damaged_copies_refused", verdict.refused);
        self.maybe_text("exception", verdict.exception.as_deref());
        if let Some(observation) = verdict.observation {
            self.put("observation", observation.into());
            self.pointer = Some(observation);
        }
    }

    fn stop(&mut self, stop: &Stop) {
        self.text("class", stop.class.name());
        self.text("code", &stop.code);
        self.text("subject", &stop.subject);
        self.text("reason", &stop.reason);
        self.text("remedy", &stop.remedy);
    }
}

impl PartStatus {
    /// The word in events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Intent => "intent",
            Self::Done => "done",
        }
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        [Self::Planned, Self::Intent, Self::Done].into_iter().find(|one| one.name() == name)
    }
}
