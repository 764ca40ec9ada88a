//! Events as facts: what recovery folds.

use std::sync::Arc;

use carnet_ledger::{Digest, Event, EventTime, Object, RefusalClass, Value};

use super::definition::Process;
use super::fact::{Approval, ByHand, Fact, NoteKind, StepResult, Stop};
use super::state::{Ending, GateVerdict, PartStatus};

/// The largest process that is read, in bytes: ten thousand steps take about two megabytes.
const PROCESS_BYTES_MAX: usize = 64 << 20;

/// An event that should be a fact of a run and is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {sequence} has no {member} of the form it should be")]
pub struct FactError {
    /// Which event.
    pub sequence: u64,
    /// The member of its context.
    pub member: &'static str,
}

/// Reads the fact of an event; `None` for an event that changes no run's state, such as a report
/// that content was exported.
///
/// `object` gives the bytes of an object that an event names.
pub fn read_fact(
    event: &Event,
    object: &dyn Fn(Digest) -> Option<Vec<u8>>,
) -> Result<Option<Fact>, FactError> {
    let reader = Reader { event, object };
    let Some(Value::Text(fact)) = event.draft.context.get("fact") else { return Ok(None) };
    let resource = || event.draft.resource_id.clone().ok_or(reader.wrong("resource_id"));
    let fact = match fact.as_str() {
        "start" => reader.started()?,
        "resume" => Fact::Resumed,
        "amend" => Fact::Amended {
            plan: reader.digest("plan")?,
            document: reader.digest("document")?,
            trust: reader.maybe_digest("trust")?,
            process: reader.process()?,
        },
        "enter" => Fact::Entered { phase: resource()? },
        "leave" => Fact::Left { phase: resource()? },
        "judge" => Fact::Judged { gate: resource()?, verdict: reader.verdict()? },
        "choose" => Fact::Chosen {
            choice: resource()?,
            branch: reader.text("branch")?,
            reason: reader.text("reason")?,
        },
        "set_timer" => Fact::TimerSet { timer: resource()?, due: reader.time("due")? },
        "end_timer" => Fact::TimerOver { timer: resource()? },
        "receive" => Fact::Received { message: resource()?, reason: reader.text("reason")? },
        "block" | "unblock" => reader.held_up(fact == "block", resource()?)?,
        "note" => reader.noted(resource()?)?,
        "commit" => Fact::Committed { node: resource()? },
        "approve" => Fact::Approved(reader.approval(resource()?)?),
        "withdraw" => Fact::Withdrawn {
            subject: resource()?,
            approver: reader.text("approver")?,
            plan: reader.field("plan_digest")?,
            gate_table: reader.field("gate_table_digest")?,
            reason: reader.text("reason")?,
        },
        "retry" => Fact::Retried { subject: resource()? },
        "settle_by_hand" => reader.settled(resource()?)?,
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
    object: &'e dyn Fn(Digest) -> Option<Vec<u8>>,
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

    fn started(&self) -> Result<Fact, FactError> {
        Ok(Fact::Started {
            run: self.event.draft.correlation_id.clone(),
            plan: self.digest("plan")?,
            document: self.digest("document")?,
            dry_run: self.flag("dry_run")?,
            initiator: self.maybe_text("initiator")?,
            trust: self.maybe_digest("trust")?,
            process: self.process()?,
        })
    }

    fn held_up(&self, held: bool, phase: String) -> Result<Fact, FactError> {
        let (by, reason) = (self.text("by")?, self.text("reason")?);
        Ok(if held {
            Fact::Blocked { phase, by, reason }
        } else {
            Fact::Unblocked { phase, by, reason }
        })
    }

    fn settled(&self, step: String) -> Result<Fact, FactError> {
        Ok(Fact::Settled {
            step,
            by_hand: ByHand::parse(&self.text("by_hand")?).ok_or(self.wrong("by_hand"))?,
            by: self.text("by")?,
            reason: self.text("reason")?,
        })
    }

    fn noted(&self, phase: String) -> Result<Fact, FactError> {
        Ok(Fact::Noted {
            phase,
            kind: NoteKind::parse(&self.text("kind")?).ok_or(self.wrong("kind"))?,
            by: self.text("by")?,
            text: self.text("text")?,
        })
    }

    fn maybe_text(&self, key: &'static str) -> Result<Option<String>, FactError> {
        if self.event.draft.context.contains_key(key) { self.text(key).map(Some) } else { Ok(None) }
    }

    fn time(&self, key: &'static str) -> Result<EventTime, FactError> {
        self.text(key)?.parse().map_err(|_| self.wrong(key))
    }

    /// A digest among the members that the event has for its type.
    fn field(&self, key: &'static str) -> Result<Digest, FactError> {
        match self.event.draft.fields.get(key) {
            Some(Value::Text(text)) => {
                text.strip_prefix("sha256:").unwrap_or(text).parse().map_err(|_| self.wrong(key))
            }
            Some(_) | None => Err(self.wrong(key)),
        }
    }

    fn process(&self) -> Result<Arc<Process>, FactError> {
        let wrong = || self.wrong("process");
        let digest = self.digest("process")?;
        let bytes = (self.object)(digest).filter(|bytes| Digest::of(bytes) == digest);
        let value = Value::parse(&bytes.ok_or_else(wrong)?, PROCESS_BYTES_MAX);
        let value = value.map_err(|_| wrong())?;
        Process::read(&value).map(Arc::new).map_err(|_| wrong())
    }

    fn approval(&self, subject: String) -> Result<Approval, FactError> {
        let expires = match self.event.draft.fields.get("expires_at") {
            Some(Value::Text(text)) => text.parse().map_err(|_| self.wrong("expires_at"))?,
            Some(_) | None => return Err(self.wrong("expires_at")),
        };
        Ok(Approval {
            subject,
            approver: self.text("approver")?,
            key: self.maybe_text("key")?,
            plan: self.field("plan_digest")?,
            gate_table: self.field("gate_table_digest")?,
            at: self.time("at")?,
            expires,
            statement: self.event.draft.evidence_pointer,
        })
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

    fn maybe_digest(&self, key: &'static str) -> Result<Option<Digest>, FactError> {
        let held = self.event.draft.context.contains_key(key);
        held.then(|| self.digest(key)).transpose()
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
            exception: self.maybe_text("exception")?,
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
