//! Facts as events, and back. The envelope's other members (actor, tenant, snapshots of policy and
//! authority) are the recorder's.

use carnet_ledger::{
    Digest, Event, EventBody, Integer, Object, Outcome, Refusal, RefusalClass, Value,
};

use crate::refusal::{gate_class, gate_code};

use super::definition::Process;
use super::fact::{Fact, StepResult, Stop};
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
    /// All that the fact consists of.
    pub context: Object,
}

/// An event that should be a fact of a run and is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {sequence} has no {member} of the form it should be")]
pub struct FactError {
    /// Which event.
    pub sequence: u64,
    /// The member of its context.
    pub member: &'static str,
}

/// Writes a fact.
pub fn write_fact(fact: &Fact) -> Written {
    let (body, outcome, action, resource) = envelope(fact);
    let mut out = Writer { context: Object::new(), pointer: None };
    out.text("fact", action);
    match fact {
        Fact::Started { plan, dry_run, process, .. } => {
            out.put("plan", (*plan).into());
            out.put("dry_run", (*dry_run).into());
            out.put("process", process.write());
        }
        Fact::Resumed
        | Fact::RollbackStarted
        | Fact::Entered { .. }
        | Fact::Left { .. }
        | Fact::UndoIntent { .. } => {}
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
            let left = left_behind.iter().map(|text| cut(text).into()).collect();
            out.put("left_behind", Value::List(left));
            out.text("reason", reason);
        }
        Fact::Ended { ending } => out.text("ending", ending.name()),
    }
    let Writer { context, pointer } = out;
    Written { body, outcome, resource_id: resource, action, pointer, context }
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
    pub(crate) fn refusal(&self) -> Refusal {
        Refusal {
            class: self.class,
            code: self.code.clone(),
            subject: self.subject.clone(),
            reason: Some(cut(&self.reason)).filter(|reason| !reason.is_empty()),
        }
    }
}

/// A text as an event repeats it.
pub(crate) fn cut(text: &str) -> String {
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

    fn verdict(&mut self, verdict: &GateVerdict) {
        self.text("verdict", &verdict.verdict);
        self.put("opens", verdict.opens.into());
        self.text("reason", &verdict.reason);
        self.text("remedy", &verdict.remedy);
        self.count("damaged_copies", verdict.damaged);
        self.count("damaged_copies_refused", verdict.refused);
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

/// Reads the fact of an event; `None` for an event that changes no run's state, such as a report
/// that content was exported.
pub fn read_fact(event: &Event) -> Result<Option<Fact>, FactError> {
    let reader = Reader { event };
    let Some(Value::Text(fact)) = event.draft.context.get("fact") else { return Ok(None) };
    let resource = || event.draft.resource_id.clone().ok_or(reader.wrong("resource_id"));
    let fact = match fact.as_str() {
        "start" => Fact::Started {
            run: event.draft.correlation_id.clone(),
            plan: reader.digest("plan")?,
            dry_run: reader.flag("dry_run")?,
            process: Process::read(reader.value("process")?)
                .map_err(|_| reader.wrong("process"))?,
        },
        "resume" => Fact::Resumed,
        "enter" => Fact::Entered { phase: resource()? },
        "leave" => Fact::Left { phase: resource()? },
        "judge" => Fact::Judged { gate: resource()?, verdict: reader.verdict()? },
        "intent" => Fact::Intent {
            step: resource()?,
            key: reader.text("idempotency_key")?,
            inputs: reader.object("inputs")?,
        },
        "part" => Fact::Part {
            step: resource()?,
            part: reader.text("part")?,
            status: PartStatus::parse(&reader.text("status")?).ok_or(reader.wrong("status"))?,
            facts: reader.object("facts")?,
        },
        "outcome" => Fact::Outcome {
            step: resource()?,
            result: StepResult::parse(&reader.text("result")?).ok_or(reader.wrong("result"))?,
            facts: reader.object("facts")?,
            reason: reader.text("reason")?,
        },
        "stop" => Fact::Stopped { ending: reader.ending()?, stop: reader.stop()? },
        "incident" => Fact::Incident { stop: reader.stop()? },
        "undo_intent" => Fact::UndoIntent { step: resource()? },
        "undo_outcome" => Fact::UndoOutcome {
            step: resource()?,
            done: reader.flag("done")?,
            left_behind: reader.texts("left_behind")?,
            reason: reader.text("reason")?,
        },
        "rollback" => Fact::RollbackStarted,
        "end" => Fact::Ended { ending: reader.ending()? },
        _ => return Err(reader.wrong("fact")),
    };
    Ok(Some(fact))
}

struct Reader<'e> {
    event: &'e Event,
}

impl Reader<'_> {
    fn wrong(&self, member: &'static str) -> FactError {
        FactError { sequence: self.event.sequence, member }
    }

    fn value(&self, key: &'static str) -> Result<&Value, FactError> {
        self.event.draft.context.get(key).ok_or(self.wrong(key))
    }

    fn text(&self, key: &'static str) -> Result<String, FactError> {
        match self.event.draft.context.get(key) {
            Some(Value::Text(text)) => Ok(text.clone()),
            Some(_) | None => Err(self.wrong(key)),
        }
    }

    fn texts(&self, key: &'static str) -> Result<Vec<String>, FactError> {
        let Value::List(list) = self.value(key)? else { return Err(self.wrong(key)) };
        let text = |value: &Value| match value {
            Value::Text(text) => Ok(text.clone()),
            Value::Null
            | Value::Bool(_)
            | Value::Integer(_)
            | Value::List(_)
            | Value::Object(_) => Err(self.wrong(key)),
        };
        list.iter().map(text).collect()
    }

    fn flag(&self, key: &'static str) -> Result<bool, FactError> {
        match self.event.draft.context.get(key) {
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) | None => Err(self.wrong(key)),
        }
    }

    fn count(&self, key: &'static str) -> Result<u64, FactError> {
        match self.event.draft.context.get(key) {
            Some(Value::Integer(count)) => u64::try_from(count.get()).map_err(|_| self.wrong(key)),
            Some(_) | None => Err(self.wrong(key)),
        }
    }

    fn object(&self, key: &'static str) -> Result<Object, FactError> {
        match self.event.draft.context.get(key) {
            Some(Value::Object(object)) => Ok(object.clone()),
            Some(_) | None => Err(self.wrong(key)),
        }
    }

    fn digest(&self, key: &'static str) -> Result<Digest, FactError> {
        self.text(key)?.parse().map_err(|_| self.wrong(key))
    }

    fn ending(&self) -> Result<Ending, FactError> {
        Ending::parse(&self.text("ending")?).ok_or(self.wrong("ending"))
    }

    fn verdict(&self) -> Result<GateVerdict, FactError> {
        let observation = match self.event.draft.context.get("observation") {
            Some(_) => Some(self.digest("observation")?),
            None => None,
        };
        Ok(GateVerdict {
            verdict: self.text("verdict")?,
            opens: self.flag("opens")?,
            reason: self.text("reason")?,
            remedy: self.text("remedy")?,
            refused: self.count("damaged_copies_refused")?,
            damaged: self.count("damaged_copies")?,
            observation,
        })
    }

    fn stop(&self) -> Result<Stop, FactError> {
        Ok(Stop {
            class: RefusalClass::parse(&self.text("class")?).ok_or(self.wrong("class"))?,
            code: self.text("code")?,
            subject: self.text("subject")?,
            reason: self.text("reason")?,
            remedy: self.text("remedy")?,
        })
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

    fn parse(name: &str) -> Option<Self> {
        [Self::Planned, Self::Intent, Self::Done].into_iter().find(|one| one.name() == name)
    }
}
