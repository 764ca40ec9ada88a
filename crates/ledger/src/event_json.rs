//! Events as canonical JSON, and back.

use std::collections::btree_map;
use std::iter::Peekable;
use std::mem;

use crate::digest::Digest;
use crate::event::{
    ActorDetails, ActorKind, Event, EventDraft, EventType, EvidenceProfile, Outcome, Refusal,
    RefusalClass,
};
use crate::json::{push_ascii, write_decimal};
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

pub(crate) const POINTER: &str = "eosc://evidence/sha256:";
pub(crate) const DIGEST: &str = "sha256:";

/// The name of a member, and how it stands in the text.
#[derive(Clone, Copy)]
struct Name {
    plain: &'static str,
    key: &'static str,
}

macro_rules! name {
    ($name:literal) => {
        Name { plain: $name, key: concat!("\"", $name, "\":") }
    };
}

/// Whether the name may stand beside the envelope's members.
pub(crate) fn is_field_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && ENVELOPE.binary_search(&name).is_err()
}

impl Event {
    /// The canonical form: what a log stores, and the leaf of its Merkle tree.
    pub fn canonical(&self) -> String {
        let (mut text, place) = self.without_hash();
        insert_hash(&mut text, place, self.event_hash);
        text
    }

    /// Gives the event the hash of its content, and returns the canonical form with it. The rest is
    /// written only once: the hash is put into the text that it was computed from.
    pub(crate) fn seal(&mut self) -> String {
        let (mut text, place) = self.without_hash();
        self.event_hash = Digest::of(text.as_bytes());
        insert_hash(&mut text, place, self.event_hash);
        text
    }

    /// The canonical form without `event_hash`, and the place where that member goes.
    fn without_hash(&self) -> (String, usize) {
        let draft = &self.draft;
        let mut out = Members::new(
            self.hash_profile,
            &draft.fields,
            String::with_capacity(USUAL_EVENT_BYTES),
        );
        out.optional(name!("action"), draft.action.as_deref());
        out.text(name!("actor"), &draft.actor);
        out.actor_details(draft.actor_details.as_ref());
        out.digest(name!("authority_snapshot_id"), DIGEST, draft.authority_snapshot_id);
        out.text(name!("chain_id"), &self.chain_id);
        out.optional(name!("classification"), draft.classification.as_deref());
        if !draft.context.is_empty() {
            out.object(name!("context"), &draft.context);
        }
        out.text(name!("correlation_id"), &draft.correlation_id);
        let place = out.place_of("event_hash");
        out.plain(name!("event_type"), draft.event_type.name().as_bytes());
        out.digest(name!("evidence_pointer"), POINTER, draft.evidence_pointer);
        out.plain(name!("evidence_profile_id"), self.evidence_profile.name().as_bytes());
        out.plain(name!("hash_profile_id"), self.hash_profile.name().as_bytes());
        out.plain(name!("id"), &self.id.ascii());
        out.optional(name!("jurisdiction"), draft.jurisdiction.as_deref());
        out.plain(name!("occurred_at"), &self.occurred_at.ascii());
        out.plain(name!("outcome"), draft.outcome.name().as_bytes());
        out.digest(name!("policy_snapshot_id"), DIGEST, draft.policy_snapshot_id);
        if let Some(prev_hash) = self.prev_hash {
            out.digest(name!("prev_hash"), "", prev_hash);
        }
        if let Outcome::Refused(refusal) = &draft.outcome {
            out.optional(name!("refusal_reason"), refusal.reason.as_deref());
            out.plain(name!("refusal_reason_class"), refusal.class.name().as_bytes());
            out.text(name!("refusal_reason_code"), &refusal.code);
            out.text(name!("refusal_subject"), &refusal.subject);
        }
        out.optional(name!("resource_id"), draft.resource_id.as_deref());
        out.number(name!("sequence"), self.sequence);
        out.text(name!("tenant_id"), &draft.tenant_id);
        (out.finish(), place)
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

/// Puts the member `event_hash` into the canonical form of an event. Other members stand before it
/// in every event.
fn insert_hash(text: &mut String, place: usize, hash: Digest) {
    let mut member = String::with_capacity(HASH_MEMBER);
    member.push_str(",\"event_hash\":\"");
    push_ascii(&hash.ascii(), &mut member);
    member.push('"');
    text.insert_str(place, &member);
}

/// The bytes of the member `event_hash`, with its comma.
const HASH_MEMBER: usize = ",\"event_hash\":\"\"".len() + 64;

/// Most events have fewer bytes than this, so that the text is allocated once.
const USUAL_EVENT_BYTES: usize = 1024;

/// Writes the members of an object in the order of their names, with the fields of the event
/// sorted in between. All names are ASCII, so that both profiles have one order, and the fields
/// have it already.
struct Members<'f> {
    profile: HashProfile,
    fields: Peekable<btree_map::Iter<'f, String, Value>>,
    out: String,
    /// Whether no member is written yet.
    empty: bool,
}

impl<'f> Members<'f> {
    fn new(profile: HashProfile, fields: &'f Object, out: String) -> Self {
        Self { profile, fields: fields.iter().peekable(), out, empty: true }
    }

    /// Writes the fields that stand before a member, and returns where the member begins.
    fn place_of(&mut self, name: &str) -> usize {
        while let Some((field, value)) = self.fields.next_if(|(field, _)| field.as_str() < name) {
            self.field(field, value);
        }
        self.out.len()
    }

    fn field(&mut self, name: &str, value: &Value) {
        self.separate();
        self.profile.write_text(name, &mut self.out);
        self.out.push(':');
        self.profile.write(value, &mut self.out);
    }

    fn separate(&mut self) {
        self.out.push(if self.empty { '{' } else { ',' });
        self.empty = false;
    }

    fn name(&mut self, name: Name) {
        self.place_of(name.plain);
        self.separate();
        self.out.push_str(name.key);
    }

    fn text(&mut self, name: Name, text: &str) {
        self.name(name);
        self.profile.write_text(text, &mut self.out);
    }

    fn optional(&mut self, name: Name, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    /// For ASCII without quotes, backslashes and control characters.
    fn plain(&mut self, name: Name, ascii: &[u8]) {
        self.name(name);
        self.out.push('"');
        push_ascii(ascii, &mut self.out);
        self.out.push('"');
    }

    fn digest(&mut self, name: Name, prefix: &str, digest: Digest) {
        self.name(name);
        self.out.push('"');
        self.out.push_str(prefix);
        push_ascii(&digest.ascii(), &mut self.out);
        self.out.push('"');
    }

    fn number(&mut self, name: Name, number: u64) {
        self.name(name);
        write_decimal(number, &mut self.out);
    }

    fn object(&mut self, name: Name, object: &Object) {
        self.name(name);
        self.profile.write_object(object, &mut self.out);
    }

    fn actor_details(&mut self, details: Option<&ActorDetails>) {
        let Some(details) = details else { return };
        self.name(name!("actor_details"));
        let none = Object::new();
        let mut inner = Members::new(self.profile, &none, mem::take(&mut self.out));
        inner.optional(name!("credential_ref"), details.credential_ref.as_deref());
        inner.text(name!("id"), &details.id);
        inner.optional(name!("jurisdiction"), details.jurisdiction.as_deref());
        inner.optional(name!("org_id"), details.org_id.as_deref());
        inner.plain(name!("type"), details.kind.name().as_bytes());
        self.out = inner.finish();
    }

    fn finish(mut self) -> String {
        while let Some((field, value)) = self.fields.next() {
            self.field(field, value);
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
        let Some(members) = self.object("actor_details")? else { return Ok(None) };
        actor_details(members).map(Some)
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

/// The details of an actor, and nothing beside them.
pub(crate) fn actor_details(members: Object) -> Result<ActorDetails, EventError> {
    let wrong = || EventError::Form("actor_details");
    let mut read = Reader { members };
    let details = ActorDetails {
        id: read.text("id").map_err(|_| wrong())?,
        kind: read.parsed("type", ActorKind::parse).map_err(|_| wrong())?,
        org_id: read.optional("org_id").map_err(|_| wrong())?,
        credential_ref: read.optional("credential_ref").map_err(|_| wrong())?,
        jurisdiction: read.optional("jurisdiction").map_err(|_| wrong())?,
    };
    if read.members.is_empty() { Ok(details) } else { Err(wrong()) }
}
