//! A checked event, typed, without a tree of values in between.

use crate::digest::Digest;
use crate::event::{Event, EventDraft, EventType, EvidenceProfile, Outcome, Refusal, RefusalClass};
use crate::event_check::{EventCheck, quoted};
use crate::event_json::{DIGEST, ENVELOPE, MAX_EVENT_BYTES, POINTER, actor_details, is_field_name};
use crate::json::Scanner;
use crate::value::{Object, Value};

/// The event; `None` where anything about it is not as Carnet writes it.
pub(crate) fn typed(check: &EventCheck<'_>) -> Option<Event> {
    let text = |name| text(check.member(name)?);
    let plain = |name| quoted(check.member(name)?);
    // A member that is not there is none; one that is there must be a string.
    let optional = |name| match check.member(name) {
        None => Some(None),
        Some(raw) => self::text(raw).map(Some),
    };
    Some(Event {
        id: plain("id")?.parse().ok()?,
        occurred_at: plain("occurred_at")?.parse().ok()?,
        sequence: check.sequence(),
        chain_id: check.chain_id().into_owned(),
        evidence_profile: EvidenceProfile::parse(plain("evidence_profile_id")?)?,
        hash_profile: plain("hash_profile_id")?.parse().ok()?,
        prev_hash: check.prev_hash(),
        event_hash: check.event_hash(),
        draft: EventDraft {
            event_type: EventType::parse(plain("event_type")?)?,
            actor: text("actor")?,
            actor_details: match check.member("actor_details") {
                None => None,
                Some(raw) => Some(actor_details(object(raw)?).ok()?),
            },
            tenant_id: text("tenant_id")?,
            outcome: outcome(check)?,
            evidence_pointer: digest(plain("evidence_pointer")?, POINTER)?,
            correlation_id: text("correlation_id")?,
            resource_id: optional("resource_id")?,
            action: optional("action")?,
            authority_snapshot_id: digest(plain("authority_snapshot_id")?, DIGEST)?,
            policy_snapshot_id: digest(plain("policy_snapshot_id")?, DIGEST)?,
            jurisdiction: optional("jurisdiction")?,
            classification: optional("classification")?,
            context: match check.member("context") {
                None => Object::new(),
                Some(raw) => Some(object(raw)?).filter(|context| !context.is_empty())?,
            },
            fields: fields(check)?,
        },
    })
}

/// The characters of a string.
fn text(raw: &str) -> Option<String> {
    Some(Scanner::new(raw).string().ok()?.decode().into_owned())
}

fn digest(plain: &str, prefix: &str) -> Option<Digest> {
    plain.strip_prefix(prefix)?.parse().ok()
}

fn value(raw: &str) -> Option<Value> {
    Value::parse(raw.as_bytes(), MAX_EVENT_BYTES).ok()
}

fn object(raw: &str) -> Option<Object> {
    if let Value::Object(object) = value(raw)? { Some(object) } else { None }
}

/// A refusal has its class, code and subject, and nothing else has any of them.
fn outcome(check: &EventCheck<'_>) -> Option<Outcome> {
    let [class, code, subject, reason] =
        ["refusal_reason_class", "refusal_reason_code", "refusal_subject", "refusal_reason"]
            .map(|name| check.member(name));
    let outcome = quoted(check.member("outcome")?)?;
    if outcome == "refused" {
        let reason = match reason {
            None => None,
            Some(raw) => Some(text(raw)?),
        };
        return Some(Outcome::Refused(Refusal {
            class: RefusalClass::parse(quoted(class?)?)?,
            code: text(code?)?,
            subject: text(subject?)?,
            reason,
        }));
    }
    let plain = [class, code, subject, reason].iter().all(Option::is_none);
    match outcome {
        "accepted" if plain => Some(Outcome::Accepted),
        "failed" if plain => Some(Outcome::Failed),
        _ => None,
    }
}

/// What stands beside the members of the envelope. Both are in the order of their names.
fn fields(check: &EventCheck<'_>) -> Option<Object> {
    let mut envelope = ENVELOPE.iter().peekable();
    let mut fields = Object::new();
    for (name, raw) in check.members() {
        while envelope.next_if(|member| **member < name).is_some() {}
        if envelope.next_if(|member| **member == name).is_some() {
            continue;
        }
        if !is_field_name(name) {
            return None;
        }
        fields.insert(name.to_owned(), value(raw)?);
    }
    Some(fields)
}
