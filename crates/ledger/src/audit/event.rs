//! One batch of events, each checked by itself. Any thread may do it.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::findings::Findings;
use super::lines::Batch;
use super::replay::{EVALUATE, Evaluation, PolicySaid};
use super::report::{CheckId, Reason};
use super::segment::{digest_of_ref, plain_digest};
use crate::catalogue::{Family, MemberValue, check_members, family_of};
use crate::digest::Digest;
use crate::event::{EvidenceProfile, Refusal, RefusalClass};
use crate::event_check::EventCheck;
use crate::event_json::MAX_EVENT_BYTES;
use crate::json::Scanner;
use crate::merkle::leaf_hash;
use crate::profile::{NotAdmitted, not_admitted};
use crate::stamp::{EventId, EventTime};
use crate::value::{HashProfile, Object, ParseError, Value};

/// The longest line of a bundle that others wrote.
pub(super) const LINE_BYTES_MAX: usize = 1 << 20;

/// What the manifest says that each event must fit.
#[derive(Debug)]
pub(super) struct Expected<'a> {
    /// Whether the bundle is in Carnet's own form, which leaves nothing open.
    pub(super) own: bool,
    pub(super) profile_name: Option<&'a str>,
    /// None for a profile that this build does not know.
    pub(super) profile: Option<EvidenceProfile>,
    /// None for a hash profile that this build does not know.
    pub(super) hash_profile: Option<HashProfile>,
    pub(super) chain_id: Option<&'a str>,
}

/// What ties one event to others.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) sequence: Option<u64>,
    pub(super) id: Option<Box<str>>,
    pub(super) prev_hash: Option<Digest>,
    pub(super) event_hash: Option<Digest>,
    pub(super) leaf: Digest,
    /// SHA-256 of the bytes as they stand.
    pub(super) stored: Digest,
}

/// A digest that is cut in half: enough to tell texts apart, and half the memory.
type Half = [u8; 16];

/// What an event says of content that moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moved {
    Exported,
    Imported,
}

/// A passage of content.
#[derive(Debug)]
pub(super) struct Passage {
    pub(super) sequence: u64,
    pub(super) action: Half,
    pub(super) moved: Moved,
    pub(super) manifest: Digest,
}

/// What the events of a batch amount to.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) links: Vec<Link>,
    pub(super) findings: Findings,
    /// What the events point to, sorted, each once.
    pub(super) pointers: Vec<Digest>,
    pub(super) families: BTreeSet<Family>,
    pub(super) refusals: u64,
    /// Events without a hash, where the profile leaves that open.
    pub(super) without_hash: u64,
    /// Events whose bytes are not their canonical form, where that is left open.
    pub(super) reformatted: u64,
    /// Governed actions with what policy and authority they name; the place says which event.
    pub(super) actions: Vec<(Half, Half, u64)>,
    pub(super) passages: Vec<Passage>,
    /// The events by which a key handed the log over.
    pub(super) successions: Vec<u64>,
    /// The events that record what a policy decided.
    pub(super) evaluations: Vec<Evaluation>,
    /// When the last event happened.
    pub(super) last_time: Option<EventTime>,
}

/// Checks the events of a batch one by one.
pub(super) fn check_batch(expected: &Expected<'_>, batch: &Batch) -> Seen {
    let mut checker = Checker::new(expected);
    for (line, bytes) in (batch.first..).zip(batch.lines()) {
        let bytes = bytes.strip_suffix(b"\r").filter(|_| !expected.own).unwrap_or(bytes);
        // Blank lines are nobody's event.
        if !bytes.is_empty() || expected.own {
            checker.event(line, bytes);
        }
    }
    let mut seen = checker.seen;
    seen.pointers.sort_unstable();
    seen.pointers.dedup();
    seen
}

/// Checks one event alone. Also gives when it happened.
pub(super) fn check_one(expected: &Expected<'_>, bytes: &[u8]) -> (Findings, Option<EventTime>) {
    let mut checker = Checker::new(expected);
    checker.event(0, bytes);
    (checker.seen.findings, checker.seen.last_time)
}

struct Checker<'e> {
    expected: &'e Expected<'e>,
    seen: Seen,
    last_action: Action,
    last_pointers: [Option<Digest>; 3],
}

/// Correlation, policy and authority of the event before: most events share them with it.
#[derive(Default, PartialEq, Eq)]
struct Action {
    correlation: String,
    policy: String,
    authority: String,
}

/// The members of an event, wherever they were read from.
#[derive(Clone, Copy)]
enum View<'a> {
    Checked(&'a EventCheck<'a>),
    Tree(&'a Object),
}

impl<'a> View<'a> {
    fn member(self, name: &str) -> Option<MemberValue<'a>> {
        match self {
            Self::Tree(object) => MemberValue::of(object.get(name)?),
            Self::Checked(event) => of_text(event.member(name)?),
        }
    }

    fn text(self, name: &str) -> Option<Cow<'a, str>> {
        match self {
            Self::Tree(object) => match MemberValue::of(object.get(name)?) {
                Some(MemberValue::Text(text)) => Some(Cow::Borrowed(text)),
                Some(_) | None => None,
            },
            Self::Checked(event) => Some(Scanner::new(event.member(name)?).string().ok()?.decode()),
        }
    }
}

/// A member in canonical JSON. A string keeps its escapes: no text that a profile asks for has any.
fn of_text(json: &str) -> Option<MemberValue<'_>> {
    match json.as_bytes().first()? {
        b'"' => json.get(1..json.len().checked_sub(1)?).map(MemberValue::Text),
        b'{' | b'[' => Some(MemberValue::Other),
        b't' => Some(MemberValue::Bool(true)),
        b'f' => Some(MemberValue::Bool(false)),
        b'n' => None,
        _ => json.parse().ok().map(MemberValue::Integer),
    }
}

fn half(digest: Digest) -> Half {
    digest.0.first_chunk().copied().unwrap_or_default()
}

impl<'e> Checker<'e> {
    fn new(expected: &'e Expected<'e>) -> Self {
        let seen = Seen::default();
        Self { expected, seen, last_action: Action::default(), last_pointers: [None; 3] }
    }

    fn event(&mut self, place: u64, bytes: &[u8]) {
        let checked = self.expected.hash_profile.map(|profile| EventCheck::of(profile, bytes));
        let Some(Ok(event)) = checked else { return self.odd(place, bytes) };
        let name = || format!("event {}", event.sequence());
        if !event.hash_holds() {
            self.seen.findings.add(CheckId::EventsHash, Reason::HashWrong, || {
                format!("{} was changed: its hash is that of other content", name())
            });
        }
        let view = View::Checked(&event);
        self.seen.links.push(Link {
            sequence: Some(event.sequence()),
            id: view.text("id").map(Into::into),
            prev_hash: event.prev_hash(),
            event_hash: Some(event.event_hash()),
            leaf: event.leaf(),
            stored: Digest::of(bytes),
        });
        self.look(view, Some(event.sequence()), &name);
    }

    /// An event that is not of the one form that most are: what is wrong with it, and all that can
    /// still be said of it.
    #[cold]
    fn odd(&mut self, place: u64, bytes: &[u8]) {
        let most = if self.expected.own { MAX_EVENT_BYTES } else { LINE_BYTES_MAX };
        let mut link = Link {
            sequence: None,
            id: None,
            prev_hash: None,
            event_hash: None,
            leaf: leaf_hash(bytes),
            stored: Digest::of(bytes),
        };
        let by_line = || format!("line {} of the events", place + 1);
        let object = match Value::parse(bytes, most) {
            Ok(Value::Object(object)) => object,
            Ok(_) => {
                self.seen.findings.add(CheckId::EventsForm, Reason::NotJson, || {
                    format!("{} is not a JSON object", by_line())
                });
                return self.seen.links.push(link);
            }
            Err(error) => {
                self.seen.findings.add(CheckId::EventsForm, word_of(&error, bytes), || {
                    format!("{}: {}", by_line(), super::documents::in_full(&error))
                });
                return self.seen.links.push(link);
            }
        };
        let view = View::Tree(&object);
        link.sequence = match view.member("sequence") {
            Some(MemberValue::Integer(number)) => u64::try_from(number).ok(),
            _ => None,
        };
        let name = || link.sequence.map_or_else(by_line, |sequence| format!("event {sequence}"));
        link.id = view.text("id").map(Into::into);
        link.prev_hash = view.text("prev_hash").and_then(|text| plain_digest(&text));
        link.event_hash = view.text("event_hash").and_then(|text| plain_digest(&text));
        for member in ["prev_hash", "event_hash"] {
            let given = view.text(member);
            if given.as_deref().is_some_and(|text| plain_digest(text).is_none()) {
                self.seen.findings.add(CheckId::EventsHash, Reason::FieldForm, || {
                    format!("the {member} of {} is not a SHA-256 in hex", name())
                });
            }
        }
        self.form(&object, bytes, &name);
        self.hash(object.clone(), link.event_hash, &name);
        self.look(view, link.sequence, &name);
        self.seen.links.push(link);
    }

    fn form(&mut self, object: &Object, bytes: &[u8], name: &dyn Fn() -> String) {
        let Some(profile) = self.expected.hash_profile else { return };
        let canonical = profile.canonical(&Value::Object(object.clone()));
        if canonical.as_bytes() == bytes {
            return;
        }
        if self.expected.own {
            self.seen.findings.add(CheckId::EventsForm, Reason::NotCanonical, || {
                format!("{} does not stand in its canonical form", name())
            });
        } else {
            self.seen.reformatted += 1;
        }
    }

    fn hash(&mut self, mut object: Object, said: Option<Digest>, name: &dyn Fn() -> String) {
        let Some(profile) = self.expected.hash_profile else { return };
        let Some(said) = said else {
            if !object.contains_key("event_hash") {
                self.seen.without_hash += 1;
            }
            return;
        };
        object.remove("event_hash");
        if profile.digest(&Value::Object(object)) != said {
            self.seen.findings.add(CheckId::EventsHash, Reason::HashWrong, || {
                format!("{} was changed: its hash is that of other content", name())
            });
        }
    }

    /// What an event says beside its place in the log.
    fn look(&mut self, view: View<'_>, sequence: Option<u64>, name: &dyn Fn() -> String) {
        self.seen.last_time = view.text("occurred_at").and_then(|time| time.parse().ok());
        self.declared(view, name);
        self.admitted(view, name);
        let event_type = view.text("event_type").unwrap_or_default();
        if let Some(family) = family_of(&event_type) {
            self.seen.families.insert(family);
        }
        if view.text("outcome").as_deref() == Some("refused") {
            self.seen.refusals += 1;
        }
        self.pointers(view, name);
        let sequence = sequence.unwrap_or_default();
        if let Some(action) = self.action(view, sequence) {
            self.passage(view, &event_type, action, sequence);
        }
        if event_type == "key.succeeded" {
            self.seen.successions.push(sequence);
        }
        if event_type.starts_with("policy.") {
            self.evaluation(view, sequence);
        }
    }

    /// An event that records what a policy decided, so that it can be decided again.
    fn evaluation(&mut self, view: View<'_>, sequence: u64) {
        if view.text("action").as_deref() != Some(EVALUATE) {
            return;
        }
        let pointer = view.text("evidence_pointer");
        let Some(pointer) = pointer.and_then(|it| digest_of_ref(&it)) else { return };
        let text = |name| view.text(name).map(Cow::into_owned);
        let refused = view.text("outcome").as_deref() != Some("accepted");
        let class = text("refusal_reason_class").and_then(|it| RefusalClass::parse(&it));
        let refusal = refused.then(|| Refusal {
            // A refusal without its members is told by another row; here it is no allowance.
            class: class.unwrap_or(RefusalClass::PolicyDenied),
            code: text("refusal_reason_code").unwrap_or_default(),
            subject: text("refusal_subject").unwrap_or_default(),
            reason: None,
        });
        let said = PolicySaid { refusal };
        self.seen.evaluations.push(Evaluation { sequence, pointer, said });
    }

    /// What the event declares must be what the manifest declares.
    fn declared(&mut self, view: View<'_>, name: &dyn Fn() -> String) {
        let expected = self.expected;
        let said = view.text("evidence_profile_id");
        if let (Some(said), Some(wanted)) = (said.as_deref(), expected.profile_name)
            && said != wanted
        {
            let reason = drift(said, wanted);
            self.seen.findings.add(CheckId::ProfileDeclared, reason, || {
                format!("{} was made under {said}, and the manifest says {wanted}", name())
            });
        }
        let said = view.text("hash_profile_id");
        let wanted = expected.hash_profile.map(HashProfile::name);
        if let (Some(said), Some(wanted)) = (said.as_deref(), wanted)
            && said != wanted
        {
            self.seen.findings.add(CheckId::ProfileDeclared, Reason::ProfileDrift, || {
                format!("{} names the hash profile {said}, and the manifest {wanted}", name())
            });
        }
        let said = view.text("chain_id");
        if let (Some(said), Some(wanted)) = (said.as_deref(), expected.chain_id)
            && said != wanted
        {
            self.seen.findings.add(CheckId::ChainLinks, Reason::OtherLog, || {
                format!("{} belongs to the log {said}", name())
            });
        }
    }

    /// What the profile and the event's type ask for.
    fn admitted(&mut self, view: View<'_>, name: &dyn Fn() -> String) {
        let own = self.expected.own;
        let member = |name: &str| view.member(name);
        let profile = self.expected.profile.unwrap_or(EvidenceProfile::Baseline);
        for wrong in not_admitted(profile, member) {
            let missing = matches!(wrong, NotAdmitted::Missing { .. });
            // Examples of the contract leave these out, or fill them in another way.
            if !own && missing && matches!(wrong.member(), "actor" | "correlation_id") {
                continue;
            }
            let refused = view.text("outcome").as_deref() == Some("refused");
            let (id, reason) = match wrong.member() {
                "refusal_reason_class" | "refusal_reason_code" | "refusal_subject" => {
                    (CheckId::Refusals, Reason::RefusalIncomplete)
                }
                "policy_snapshot_id" | "authority_snapshot_id" if refused => {
                    (CheckId::Refusals, Reason::RefusalIncomplete)
                }
                "artifact_type" | "artifact_ref" | "artifact_hash" => {
                    (CheckId::NcpArtifacts, Reason::FieldMissing)
                }
                _ if missing => (CheckId::ProfileFields, Reason::FieldMissing),
                _ => (CheckId::ProfileFields, Reason::FieldForm),
            };
            self.seen.findings.add(id, reason, || format!("{}: {wrong}", name()));
        }
        if !own {
            return;
        }
        let event_type = view.text("event_type").unwrap_or_default();
        if let Err(wrong) = check_members(&event_type, member) {
            self.seen.findings.add(CheckId::ProfileFields, Reason::FieldMissing, || {
                format!("{}: {wrong}", name())
            });
        }
        let formed = [
            ("id", view.text("id").is_some_and(|id| id.parse::<EventId>().is_ok())),
            ("occurred_at", self.seen.last_time.is_some()),
            ("event_hash", view.text("event_hash").is_some()),
        ];
        for (member, _) in formed.into_iter().filter(|(_, holds)| !holds) {
            self.seen.findings.add(CheckId::ProfileFields, Reason::FieldForm, || {
                format!("{} has no {member} of the form it should be", name())
            });
        }
    }

    /// What the event points to, to be looked for among the objects.
    fn pointers(&mut self, view: View<'_>, name: &dyn Fn() -> String) {
        match view.text("evidence_pointer") {
            Some(pointer) => match digest_of_ref(&pointer) {
                Some(digest) => self.point(0, digest),
                None => self.unresolved(|| {
                    format!("the pointer of {} names no digest: {pointer:?}", name())
                }),
            },
            None => self.unresolved(|| format!("{} points to nothing", name())),
        }
        if !self.expected.own {
            return;
        }
        for (slot, member) in [(1, "policy_snapshot_id"), (2, "authority_snapshot_id")] {
            let Some(id) = view.text(member) else { continue };
            match digest_of_ref(&id) {
                Some(digest) => self.point(slot, digest),
                None => self
                    .unresolved(|| format!("the {member} of {} names no digest: {id:?}", name())),
            }
        }
    }

    fn unresolved(&mut self, text: impl FnOnce() -> String) {
        self.seen.findings.add(CheckId::Pointers, Reason::PointerUnresolved, text);
    }

    /// Most events point where the one before did.
    fn point(&mut self, slot: usize, digest: Digest) {
        let last = self.last_pointers.get_mut(slot);
        if last.and_then(|last| last.replace(digest)) != Some(digest) {
            self.seen.pointers.push(digest);
        }
    }

    /// The governed action that the event belongs to.
    fn action(&mut self, view: View<'_>, sequence: u64) -> Option<Half> {
        let correlation = view.text("correlation_id")?;
        let (policy, authority) =
            (view.text("policy_snapshot_id"), view.text("authority_snapshot_id"));
        let action = half(Digest::of(correlation.as_bytes()));
        if let (Some(policy), Some(authority)) = (policy, authority) {
            let (policy, authority) = (policy.into_owned(), authority.into_owned());
            let now = Action { correlation: correlation.into_owned(), policy, authority };
            if now != self.last_action {
                let rules = format!("{}\0{}", now.policy, now.authority);
                self.seen.actions.push((action, half(Digest::of(rules.as_bytes())), sequence));
                self.last_action = now;
            }
        }
        Some(action)
    }

    fn passage(&mut self, view: View<'_>, event_type: &str, action: Half, sequence: u64) {
        let moved = match event_type {
            "migration.export" => Moved::Exported,
            "migration.import" => Moved::Imported,
            _ => return,
        };
        let accepted = view.text("outcome").as_deref() == Some("accepted");
        let manifest = view.text("artifact_manifest_hash");
        if let Some(manifest) = manifest.and_then(|text| plain_digest(&text))
            && accepted
        {
            self.seen.passages.push(Passage { sequence, action, moved, manifest });
        }
    }
}

/// Whether one profile is weaker than another, or only another.
pub(super) fn drift(made: &str, declared: &str) -> Reason {
    let rank = |name: &str| match EvidenceProfile::parse(name) {
        Some(EvidenceProfile::Baseline) => 1,
        Some(EvidenceProfile::Admissible) => 2,
        Some(EvidenceProfile::Ncp | EvidenceProfile::RegulatedMl) => 3,
        None => 0,
    };
    let weaker = rank(declared) == 1 && rank(made) > 1;
    if weaker { Reason::ProfileDowngrade } else { Reason::ProfileDrift }
}

/// The word for what keeps bytes from being an event.
fn word_of(error: &ParseError, bytes: &[u8]) -> Reason {
    match error {
        ParseError::TooLarge { .. } => Reason::TooLarge,
        ParseError::DuplicateKey(_) => Reason::DuplicateKey,
        ParseError::Number(end) => {
            let token = bytes.get(..*end).unwrap_or_default();
            let digits =
                |byte: &&u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
            let mut token = token.iter().rev().take_while(digits);
            let fraction = token.any(|byte| matches!(byte, b'.' | b'e' | b'E'));
            if fraction { Reason::Fraction } else { Reason::IntegerRange }
        }
        ParseError::Utf8(_) | ParseError::Syntax(_) | ParseError::Depth(_) => Reason::NotJson,
    }
}
