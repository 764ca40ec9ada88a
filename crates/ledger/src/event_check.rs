//! One stored event, checked by itself: its form and its hash, in one pass over its bytes.

use std::borrow::Cow;
use std::cmp::Ordering;

use crate::digest::{Digest, Hasher};
use crate::event::Event;
use crate::event_json::{DIGEST, EventError, MAX_EVENT_BYTES, POINTER};
use crate::event_typed;
use crate::json::{RawText, Scanner};
use crate::merkle::leaf_hash;
use crate::value::{HashProfile, Integer, MAX_DEPTH, Object, ParseError, Value};
use crate::verify::Link;

/// A stored event whose bytes are the canonical form of a JSON object that has the members of a
/// chain. Whether its hash holds is asked apart (`hash_holds`), since a reader may go on after a
/// wrong one. Which place it takes among others is the business of `Verifier::place`.
///
/// No tree of values is made: members are found again in the text that they stand in. A check
/// takes about as long as the two digests of the bytes, and may be made on any thread.
#[derive(Debug, Clone)]
pub struct EventCheck<'a> {
    text: &'a str,
    members: Vec<Member>,
    sequence: u64,
    chain_id: RawText<'a>,
    prev_hash: Option<Digest>,
    event_hash: Digest,
    content_hash: Digest,
    leaf: Digest,
}

/// What is wrong with one stored event by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventDamage {
    /// Not JSON of the strict kind, or too large.
    #[error("not JSON of the strict kind")]
    NotJson(#[source] ParseError),
    /// A member that the chain needs is missing or of another form.
    #[error("no {0} of the form it should be")]
    Member(&'static str),
    /// It names another hash profile than the log's.
    #[error("event {sequence} names another hash profile")]
    WrongProfile {
        /// Its sequence number.
        sequence: u64,
    },
    /// The bytes are not the canonical form of what they say.
    #[error("event {sequence} is not in canonical form")]
    NotCanonical {
        /// Its sequence number.
        sequence: u64,
    },
}

/// Where a member of the event stands. An event has at most 65,535 bytes.
#[derive(Debug, Clone, Copy)]
struct Member {
    /// The first byte of the name, behind its quote.
    name: u16,
    /// The last quote of the name.
    name_end: u16,
    /// The end of the value. It begins behind the name's quote and a colon.
    end: u16,
}

impl<'a> EventCheck<'a> {
    /// Checks a stored event of a log with this hash profile.
    ///
    /// The pass over the bytes only tells that an event is well; what is wrong with one that is not
    /// is then found out in a slower way.
    pub fn of(profile: HashProfile, bytes: &'a [u8]) -> Result<Self, EventDamage> {
        Self::read(profile, bytes).ok_or_else(|| explain(profile, bytes))
    }

    fn read(profile: HashProfile, bytes: &'a [u8]) -> Option<Self> {
        if bytes.len() > MAX_EVENT_BYTES {
            return None;
        }
        let text = str::from_utf8(bytes).ok()?;
        // `ecs-hash-v1` escapes all others, so that no string has to be looked at for them.
        if profile == HashProfile::EcsHashV1 && !bytes.iter().all(|byte| *byte < 0x7F) {
            return None;
        }
        let mut walk = Walk { profile, scanner: Scanner::new(text), levels: MAX_DEPTH };
        let mut members = Vec::with_capacity(32);
        let mut found = Found::default();
        walk.object(|member| {
            found.note(text, member);
            members.push(member);
        })?;
        if walk.scanner.offset() != text.len() {
            return None;
        }
        if found.hash_profile.is_some_and(|raw| quoted(raw) != Some(profile.name())) {
            return None;
        }
        let prev_hash = match found.prev_hash {
            Some(raw) => Some(quoted(raw)?.parse().ok()?),
            None => None,
        };
        let (hash_member, raw_hash) = found.event_hash?;
        Some(Self {
            sequence: found.sequence?.parse().ok()?,
            chain_id: Scanner::new(found.chain_id?).string().ok()?,
            prev_hash,
            event_hash: quoted(raw_hash)?.parse().ok()?,
            content_hash: digest_without(bytes, hash_member)?,
            leaf: leaf_hash(bytes),
            text,
            members,
        })
    }

    /// The event as it is stored.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// Its place in the log.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The log that it belongs to.
    pub fn chain_id(&self) -> Cow<'a, str> {
        self.chain_id.decode()
    }

    /// The hash of the event before, as it says.
    pub fn prev_hash(&self) -> Option<Digest> {
        self.prev_hash
    }

    /// Its own hash, as it says.
    pub fn event_hash(&self) -> Digest {
        self.event_hash
    }

    /// Whether its own hash is that of its content.
    pub fn hash_holds(&self) -> bool {
        self.event_hash == self.content_hash
    }

    /// The leaf that it is in the Merkle tree of its log.
    pub fn leaf(&self) -> Digest {
        self.leaf
    }

    /// What tells its place among other events.
    pub fn link(&self) -> Link {
        Link {
            sequence: self.sequence,
            chain_id: self.chain_id().into_owned(),
            prev_hash: self.prev_hash,
            event_hash: self.event_hash,
            hash_holds: self.hash_holds(),
            leaf: self.leaf,
        }
    }

    /// The event, typed: what `Event::parse` reads from the same bytes. It is put together from the
    /// members that the check has found, which takes a fraction of the time.
    pub fn event(&self) -> Result<Event, EventError> {
        // What is wrong with one that cannot be read is found out in the slower way.
        event_typed::typed(self).map_or_else(|| Event::parse(self.text.as_bytes()), Ok)
    }

    /// The JSON text of a member, if the event has it. The name is one without escapes, such as
    /// all names that the contract defines.
    pub fn member(&self, name: &str) -> Option<&'a str> {
        // Lengths tell most names apart without a look at the text.
        let same = |member: &&Member| {
            let (start, end) = (usize::from(member.name), usize::from(member.name_end));
            end - start == name.len()
                && self.text.as_bytes().get(start..end) == Some(name.as_bytes())
        };
        self.members.iter().find(same).map(|member| member.texts(self.text).1)
    }

    /// All members in the order in which they stand: the name as it stands between its quotes, and
    /// the JSON text of the value.
    pub fn members(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.members.iter().map(|member| member.texts(self.text))
    }

    /// The characters of a member that is a string.
    pub fn string(&self, name: &str) -> Option<Cow<'a, str>> {
        Some(Scanner::new(self.member(name)?).string().ok()?.decode())
    }

    /// A member as a value, for what stands deeper in the event.
    pub fn value(&self, name: &str) -> Option<Value> {
        Value::parse(self.member(name)?.as_bytes(), MAX_EVENT_BYTES).ok()
    }

    /// The digest of the object with the details: `eosc://evidence/sha256:<hex>`. None where the
    /// event has no pointer, or one of another form.
    pub fn evidence_pointer(&self) -> Option<Digest> {
        self.digest("evidence_pointer", POINTER)
    }

    /// The policy that was in force: `sha256:<hex>`. None as for the pointer.
    pub fn policy_snapshot(&self) -> Option<Digest> {
        self.digest("policy_snapshot_id", DIGEST)
    }

    /// The authority that was in force: `sha256:<hex>`. None as for the pointer.
    pub fn authority_snapshot(&self) -> Option<Digest> {
        self.digest("authority_snapshot_id", DIGEST)
    }

    fn digest(&self, name: &str, prefix: &str) -> Option<Digest> {
        quoted(self.member(name)?)?.strip_prefix(prefix)?.parse().ok()
    }
}

impl Member {
    fn texts(self, text: &str) -> (&str, &str) {
        let (name, name_end) = (usize::from(self.name), usize::from(self.name_end));
        let value = name_end + 2..usize::from(self.end);
        (text.get(name..name_end).unwrap_or_default(), text.get(value).unwrap_or_default())
    }
}

/// The JSON texts of the members that every check needs.
#[derive(Default)]
struct Found<'a> {
    sequence: Option<&'a str>,
    chain_id: Option<&'a str>,
    prev_hash: Option<&'a str>,
    event_hash: Option<(Member, &'a str)>,
    hash_profile: Option<&'a str>,
}

impl<'a> Found<'a> {
    fn note(&mut self, text: &'a str, member: Member) {
        let (name, value) = member.texts(text);
        match name {
            "sequence" => self.sequence = Some(value),
            "chain_id" => self.chain_id = Some(value),
            "prev_hash" => self.prev_hash = Some(value),
            "event_hash" => self.event_hash = Some((member, value)),
            "hash_profile_id" => self.hash_profile = Some(value),
            _ => {}
        }
    }
}

/// What stands between the quotes of a string. Good for strings that, in canonical form, have no
/// escapes; others come back with theirs, and are not what the caller looks for.
pub(crate) fn quoted(raw: &str) -> Option<&str> {
    raw.strip_prefix('"')?.strip_suffix('"')
}

/// The digest of an object's bytes with one member and its comma left out.
fn digest_without(bytes: &[u8], member: Member) -> Option<Digest> {
    let start = usize::from(member.name) - 1;
    let end = usize::from(member.end);
    // The first member has its comma behind it.
    let (before, after) = if start > 1 { (start - 1, end) } else { (start, end + 1) };
    let mut hasher = Hasher::new();
    hasher.update(bytes.get(..before)?);
    hasher.update(bytes.get(after..)?);
    Some(hasher.finish())
}

/// Reads JSON and gives up at the first byte that the canonical form does not have.
struct Walk<'a> {
    profile: HashProfile,
    scanner: Scanner<'a>,
    levels: usize,
}

impl<'a> Walk<'a> {
    fn value(&mut self) -> Option<()> {
        match self.scanner.peek()? {
            b'"' => self.string().map(|_| ()),
            b'{' => self.object(|_| {}),
            b'[' => self.list(),
            b'-' | b'0'..=b'9' => is_canonical_integer(self.scanner.number().ok()?).then_some(()),
            _ => self.scanner.word().ok().map(|_| ()),
        }
    }

    #[inline]
    fn string(&mut self) -> Option<RawText<'a>> {
        let raw = self.scanner.string().ok()?;
        let canonical = match self.profile {
            HashProfile::EcsHashV1 => raw.is_ascii_form(),
            HashProfile::Rfc8785Sha256V1 => raw.is_rfc8785(),
        };
        canonical.then_some(raw)
    }

    /// Members in strict order: so none stands twice.
    fn object(&mut self, mut each: impl FnMut(Member)) -> Option<()> {
        self.levels = self.levels.checked_sub(1)?;
        self.take(b'{')?;
        if !self.scanner.take(b'}') {
            let mut last: Option<RawText<'_>> = None;
            loop {
                let name = self.scanner.offset() + 1;
                let key = self.string()?;
                if last.is_some_and(|last| self.compare(last, key) != Ordering::Less) {
                    return None;
                }
                last = Some(key);
                let name_end = self.scanner.offset() - 1;
                self.take(b':')?;
                self.value()?;
                let end = self.scanner.offset();
                each(Member {
                    name: u16::try_from(name).ok()?,
                    name_end: u16::try_from(name_end).ok()?,
                    end: u16::try_from(end).ok()?,
                });
                if !self.scanner.take(b',') {
                    break;
                }
            }
            self.take(b'}')?;
        }
        self.levels += 1;
        Some(())
    }

    fn list(&mut self) -> Option<()> {
        self.levels = self.levels.checked_sub(1)?;
        self.take(b'[')?;
        if !self.scanner.take(b']') {
            self.value()?;
            while self.scanner.take(b',') {
                self.value()?;
            }
            self.take(b']')?;
        }
        self.levels += 1;
        Some(())
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        self.scanner.take(byte).then_some(())
    }

    fn compare(&self, a: RawText<'_>, b: RawText<'_>) -> Ordering {
        match self.profile {
            HashProfile::EcsHashV1 => a.cmp_points(b),
            HashProfile::Rfc8785Sha256V1 => a.cmp_utf16(b),
        }
    }
}

fn is_canonical_integer(token: &str) -> bool {
    let number: Option<i64> = token.parse().ok();
    token != "-0" && number.is_some_and(|number| Integer::try_from(number).is_ok())
}

/// Why an event is not well, by way of its values.
#[cold]
fn explain(profile: HashProfile, bytes: &[u8]) -> EventDamage {
    match explained(profile, bytes) {
        // Nothing is wrong with what it says, so it is how it says it.
        Ok(sequence) => EventDamage::NotCanonical { sequence },
        Err(damage) => damage,
    }
}

fn explained(profile: HashProfile, bytes: &[u8]) -> Result<u64, EventDamage> {
    let wrong = EventDamage::Member;
    let Value::Object(event) =
        Value::parse(bytes, MAX_EVENT_BYTES).map_err(EventDamage::NotJson)?
    else {
        return Err(wrong("sequence"));
    };
    let text = |member| match event.get(member) {
        None => Ok(None),
        Some(Value::Text(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(wrong(member)),
    };
    let digest = |member| match text(member)? {
        None => Ok(None),
        Some(text) => text.parse::<Digest>().map(Some).map_err(|_| wrong(member)),
    };
    let sequence = number(&event).ok_or_else(|| wrong("sequence"))?;
    text("chain_id")?.ok_or_else(|| wrong("chain_id"))?;
    digest("event_hash")?.ok_or_else(|| wrong("event_hash"))?;
    digest("prev_hash")?;
    if text("hash_profile_id")?.is_some_and(|name| name != profile.name()) {
        return Err(EventDamage::WrongProfile { sequence });
    }
    Ok(sequence)
}

/// The sequence number of an event that may otherwise be damaged.
pub(crate) fn sequence_of(bytes: &[u8]) -> Option<u64> {
    match Value::parse(bytes, MAX_EVENT_BYTES) {
        Ok(Value::Object(event)) => number(&event),
        _ => None,
    }
}

fn number(event: &Object) -> Option<u64> {
    match event.get("sequence") {
        Some(Value::Integer(number)) => u64::try_from(number.get()).ok(),
        _ => None,
    }
}
