//! Events as canonical JSON, and back.

use std::fmt::{Display, Write as _};
use std::iter::Peekable;
use std::vec;

use crate::digest::Digest;
use crate::event::{
    ActorDetails, ActorKind, Event, EventDraft, EventType, EvidenceProfile, Outcome, Refusal,
    RefusalClass,
};
use crate::value::{HashProfile, Object, ParseError, Value};

/// The most bytes that an event has in its stored form: what a tile of a transparency log takes.
pub const MAX_EVENT_BYTES: usize = 65_535;

/// The members of the envelope, in the order of their names.
pub(crate) const ENVELOPE: &[&str] = &[
    "action",
    "actor",
    "actor_details",
    "authority_snapshot_id",
    "chain_id",
    "classification",
    "context",
    "correlation_id",
    "event_hash",
    "event_type",
    "evidence_pointer",
    "evidence_profile_id",
    "hash_profile_id",
    "id",
    "jurisdiction",
    "occurred_at",
    "outcome",
    "policy_snapshot_id",
    "prev_hash",
    "refusal_reason",
    "refusal_reason_class",
    "refusal_reason_code",
    "refusal_subject",
    "resource_id",
    "sequence",
    "tenant_id",
];

const POINTER: &str = "eosc://evidence/sha256:";
const DIGEST: &str = "sha256:";

/// Whether the name may stand beside the envelope's members.
pub(crate) fn is_field_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && ENVELOPE.binary_search(&name).is_err()
}

impl Event {
    /// The canonical form, with or without `event_hash`.
    pub(crate) fn canonical(&self, with_hash: bool) -> String {
        let draft = &self.draft;
        let mut out = Members::new(self.hash_profile, &draft.fields);
        out.optional("action", draft.action.as_deref());
        out.text("actor", &draft.actor);
        out.actor_details(draft.actor_details.as_ref());
        out.plain("authority_snapshot_id", format_args!("{DIGEST}{}", draft.authority_snapshot_id));
        out.text("chain_id", &self.chain_id);
        out.optional("classification", draft.classification.as_deref());
        if !draft.context.is_empty() {
            out.object("context", &draft.context);
        }
        out.text("correlation_id", &draft.correlation_id);
        if with_hash {
            out.plain("event_hash", self.event_hash);
        }
        out.plain("event_type", draft.event_type);
        out.plain("evidence_pointer", format_args!("{POINTER}{}", draft.evidence_pointer));
        out.plain("evidence_profile_id", self.evidence_profile);
        out.plain("hash_profile_id", self.hash_profile);
        out.plain("id", self.id);
        out.optional("jurisdiction", draft.jurisdiction.as_deref());
        out.plain("occurred_at", self.occurred_at);
        out.plain("outcome", draft.outcome.name());
        out.plain("policy_snapshot_id", format_args!("{DIGEST}{}", draft.policy_snapshot_id));
        if let Some(prev_hash) = self.prev_hash {
            out.plain("prev_hash", prev_hash);
        }
        if let Outcome::Refused(refusal) = &draft.outcome {
            out.optional("refusal_reason", refusal.reason.as_deref());
            out.plain("refusal_reason_class", refusal.class);
            out.text("refusal_reason_code", &refusal.code);
            out.text("refusal_subject", &refusal.subject);
        }
        out.optional("resource_id", draft.resource_id.as_deref());
        out.number("sequence", self.sequence);
        out.text("tenant_id", &draft.tenant_id);
        out.finish()
    }

    /// Reads a stored event. It checks the form of each member, not the hash: that is the
    /// verifier's work.
    pub fn parse(bytes: &[u8]) -> Result<Self, EventError> {
        let Value::Object(members) = Value::parse(bytes, MAX_EVENT_BYTES)? else {
            return Err(EventError::NotAnObject);
        };
        let mut read = Reader { members };
        let event = Self {
            id: read.parsed("id", |text| text.parse().ok())?,
            occurred_at: read.parsed("occurred_at", |text| text.parse().ok())?,
            sequence: read.sequence()?,
            chain_id: read.text("chain_id")?,
            evidence_profile: read.parsed("evidence_profile_id", EvidenceProfile::parse)?,
            hash_profile: read.parsed("hash_profile_id", |text| text.parse().ok())?,
            prev_hash: read.optional_digest("prev_hash")?,
            event_hash: read.parsed("event_hash", |text| text.parse().ok())?,
            draft: EventDraft {
                event_type: read.parsed("event_type", EventType::parse)?,
                actor: read.text("actor")?,
                actor_details: read.actor_details()?,
                tenant_id: read.text("tenant_id")?,
                outcome: read.outcome()?,
                evidence_pointer: read.prefixed("evidence_pointer", POINTER)?,
                correlation_id: read.text("correlation_id")?,
                resource_id: read.optional("resource_id")?,
                action: read.optional("action")?,
                authority_snapshot_id: read.prefixed("authority_snapshot_id", DIGEST)?,
                policy_snapshot_id: read.prefixed("policy_snapshot_id", DIGEST)?,
                jurisdiction: read.optional("jurisdiction")?,
                classification: read.optional("classification")?,
                context: read.context()?,
                fields: Object::new(),
            },
        };
        let fields = read.members;
        if let Some(name) = fields.keys().find(|name| !is_field_name(name)) {
            return Err(EventError::Name(name.chars().take(80).collect()));
        }
        Ok(Self { draft: EventDraft { fields, ..event.draft }, ..event })
    }
}

/// Writes the members of an object in the order of their names, with the fields of the event
/// sorted in between. All names are ASCII, so that both profiles have one order.
struct Members<'f> {
    profile: HashProfile,
    fields: Peekable<vec::IntoIter<(&'f str, &'f Value)>>,
    out: String,
}

impl<'f> Members<'f> {
    fn new(profile: HashProfile, fields: &'f Object) -> Self {
        let fields = profile.members(fields).into_iter().peekable();
        Self { profile, fields, out: "{".to_owned() }
    }

    fn name(&mut self, name: &str) {
        while let Some((field, value)) = self.fields.next_if(|(field, _)| *field < name) {
            self.key(field);
            self.profile.write(value, &mut self.out);
        }
        self.key(name);
    }

    fn key(&mut self, name: &str) {
        if self.out.len() > 1 {
            self.out.push(',');
        }
        self.profile.write_text(name, &mut self.out);
        self.out.push(':');
    }

    fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        self.profile.write_text(text, &mut self.out);
    }

    fn optional(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    /// For what is shown in ASCII without quotes and backslashes.
    fn plain(&mut self, name: &str, shown: impl Display) {
        self.name(name);
        // Writing to a `String` cannot fail.
        let _ = write!(self.out, "\"{shown}\"");
    }

    fn number(&mut self, name: &str, number: u64) {
        self.name(name);
        let _ = write!(self.out, "{number}");
    }

    fn object(&mut self, name: &str, object: &Object) {
        self.name(name);
        self.profile.write_object(object, None, &mut self.out);
    }

    fn actor_details(&mut self, details: Option<&ActorDetails>) {
        let Some(details) = details else { return };
        let optional = [
            ("org_id", &details.org_id),
            ("credential_ref", &details.credential_ref),
            ("jurisdiction", &details.jurisdiction),
        ];
        let present = optional
            .into_iter()
            .filter_map(|(name, text)| Some((name.to_owned(), text.as_deref()?.into())));
        let required = [
            ("id".to_owned(), details.id.as_str().into()),
            ("type".to_owned(), details.kind.name().into()),
        ];
        self.object("actor_details", &present.chain(required).collect());
    }

    fn finish(mut self) -> String {
        while let Some((field, value)) = self.fields.next() {
            self.key(field);
            self.profile.write(value, &mut self.out);
        }
        self.out.push('}');
        self.out
    }
}

/// Why stored bytes are not an event that Carnet writes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Not JSON of the strict kind.
    #[error("the event cannot be read")]
    Json(#[from] ParseError),
    /// JSON, but not an object.
    #[error("the event is not a JSON object")]
    NotAnObject,
    /// A member is missing.
    #[error("the event has no {0}")]
    Missing(&'static str),
    /// A member has another form.
    #[error("the event's {0} is not of the form it should be")]
    Form(&'static str),
    /// A member has a name that no event has.
    #[error("the event has an unknown member {0:?}")]
    Name(String),
}

/// Takes the members out of an object one by one.
struct Reader {
    members: Object,
}

impl Reader {
    fn optional(&mut self, name: &'static str) -> Result<Option<String>, EventError> {
        match self.members.remove(name) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(EventError::Form(name)),
        }
    }

    fn text(&mut self, name: &'static str) -> Result<String, EventError> {
        self.optional(name)?.ok_or(EventError::Missing(name))
    }

    fn parsed<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, EventError> {
        parse(&self.text(name)?).ok_or(EventError::Form(name))
    }

    fn prefixed(&mut self, name: &'static str, prefix: &str) -> Result<Digest, EventError> {
        self.parsed(name, |text| text.strip_prefix(prefix)?.parse().ok())
    }

    fn optional_digest(&mut self, name: &'static str) -> Result<Option<Digest>, EventError> {
        let text = self.optional(name)?;
        text.map(|text| text.parse().map_err(|_| EventError::Form(name))).transpose()
    }

    fn sequence(&mut self) -> Result<u64, EventError> {
        match self.members.remove("sequence") {
            None => Err(EventError::Missing("sequence")),
            Some(Value::Integer(number)) => {
                u64::try_from(number.get()).map_err(|_| EventError::Form("sequence"))
            }
            Some(_) => Err(EventError::Form("sequence")),
        }
    }

    fn object(&mut self, name: &'static str) -> Result<Option<Object>, EventError> {
        match self.members.remove(name) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object)),
            Some(_) => Err(EventError::Form(name)),
        }
    }

    fn context(&mut self) -> Result<Object, EventError> {
        match self.object("context")? {
            None => Ok(Object::new()),
            // An empty context is left out, so that each event has one form.
            Some(context) if context.is_empty() => Err(EventError::Form("context")),
            Some(context) => Ok(context),
        }
    }

    fn actor_details(&mut self) -> Result<Option<ActorDetails>, EventError> {
        let wrong = || EventError::Form("actor_details");
        let Some(members) = self.object("actor_details")? else { return Ok(None) };
        let mut read = Self { members };
        let details = ActorDetails {
            id: read.text("id").map_err(|_| wrong())?,
            kind: read.parsed("type", ActorKind::parse).map_err(|_| wrong())?,
            org_id: read.optional("org_id").map_err(|_| wrong())?,
            credential_ref: read.optional("credential_ref").map_err(|_| wrong())?,
            jurisdiction: read.optional("jurisdiction").map_err(|_| wrong())?,
        };
        if read.members.is_empty() { Ok(Some(details)) } else { Err(wrong()) }
    }

    /// A refusal without class, code and subject is not one, and nothing else may have them.
    fn outcome(&mut self) -> Result<Outcome, EventError> {
        match self.text("outcome")?.as_str() {
            "accepted" => Ok(Outcome::Accepted),
            "failed" => Ok(Outcome::Failed),
            "refused" => Ok(Outcome::Refused(Refusal {
                class: self.parsed("refusal_reason_class", RefusalClass::parse)?,
                code: self.text("refusal_reason_code")?,
                subject: self.text("refusal_subject")?,
                reason: self.optional("refusal_reason")?,
            })),
            _ => Err(EventError::Form("outcome")),
        }
    }
}
