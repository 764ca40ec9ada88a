//! The reader's side of a log: nothing is believed that can be computed again.

use crate::digest::Digest;
use crate::event_json::MAX_EVENT_BYTES;
use crate::merkle::{CompactRange, leaf_hash};
use crate::value::{HashProfile, Object, ParseError, Value};

/// What is known of a log that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// How many events there are. Whether more were cut off the end only an outside record can
    /// tell: a count, a last hash or a root kept elsewhere.
    pub events: u64,
    /// The log's id. None in an empty log.
    pub chain_id: Option<String>,
    /// The hash of the last event. None in an empty log.
    pub last_hash: Option<Digest>,
    /// The RFC 6962 root over the stored events.
    pub root: Digest,
}

/// How a log is damaged: the first damage found, with the sequence number it was found at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Not JSON of the strict kind, or too large.
    #[error("event {sequence} is not JSON of the strict kind")]
    NotJson {
        /// The place where the event stands: its number cannot be read.
        sequence: u64,
        /// What is wrong with it.
        source: ParseError,
    },
    /// A member that the chain needs is missing or of another form.
    #[error("event {sequence} has no {member} of the form it should be")]
    Member {
        /// The place where the event stands.
        sequence: u64,
        /// The member.
        member: &'static str,
    },
    /// The bytes are not the canonical form of what they say.
    #[error("event {sequence} is not in canonical form")]
    NotCanonical {
        /// Which event.
        sequence: u64,
    },
    /// The event's hash is not that of its content.
    #[error("event {sequence} was changed: its hash is that of other content")]
    WrongHash {
        /// Which event.
        sequence: u64,
    },
    /// The event belongs to another log.
    #[error("event {sequence} belongs to another log")]
    WrongChain {
        /// Which event.
        sequence: u64,
    },
    /// The event names another hash profile than the log's.
    #[error("event {sequence} names another hash profile")]
    WrongProfile {
        /// Which event.
        sequence: u64,
    },
    /// The log does not begin with its first event.
    #[error("the log begins with event {sequence} of a longer one")]
    TruncatedHead {
        /// The sequence number of the event that stands first.
        sequence: u64,
    },
    /// Events are missing in the middle.
    #[error("events {from} to {to} are missing")]
    Gap {
        /// The first missing one.
        from: u64,
        /// The last missing one.
        to: u64,
    },
    /// An event stands before one that it follows.
    #[error("event {sequence} stands before event {expected}")]
    Reordered {
        /// The event that comes too early.
        sequence: u64,
        /// The event that belongs in its place, and comes later.
        expected: u64,
    },
    /// A sequence number stands twice.
    #[error("event {sequence} stands twice")]
    Duplicated {
        /// Which one.
        sequence: u64,
    },
    /// The event names another predecessor than the one before it.
    #[error("event {sequence} does not follow the event before it")]
    BrokenLink {
        /// Which event.
        sequence: u64,
    },
}

/// Checks the stored events of a whole log, in order, in constant memory.
pub fn verify_log<B: AsRef<[u8]>>(
    hash_profile: HashProfile,
    events: impl IntoIterator<Item = B>,
) -> Result<Verified, Damage> {
    let mut verifier = Verifier::new(hash_profile);
    let mut events = events.into_iter();
    while let Some(bytes) = events.next() {
        match verifier.check(bytes.as_ref()) {
            Ok(()) => {}
            // What is missing here may only stand later.
            Err(Damage::Gap { from, to }) => {
                let late = events.any(|bytes| sequence_of(bytes.as_ref()) == Some(from));
                return Err(if late {
                    Damage::Reordered { sequence: to + 1, expected: from }
                } else {
                    Damage::Gap { from, to }
                });
            }
            Err(damage) => return Err(damage),
        }
    }
    Ok(verifier.finish())
}

/// Checks stored events one at a time, as `verify_log` does. It sees nothing of what is to come, so
/// events that only stand too late are a `Gap` for it.
#[derive(Debug, Clone)]
pub struct Verifier {
    hash_profile: HashProfile,
    chain_id: Option<String>,
    last_hash: Option<Digest>,
    leaves: CompactRange,
    canonical: String,
}

impl Verifier {
    /// Starts at the head of a log.
    pub fn new(hash_profile: HashProfile) -> Self {
        Self {
            hash_profile,
            chain_id: None,
            last_hash: None,
            leaves: CompactRange::new(0),
            canonical: String::new(),
        }
    }

    /// Checks the next event. After damage the verifier stays where it was.
    pub fn check(&mut self, bytes: &[u8]) -> Result<(), Damage> {
        let place = self.leaves.end();
        let value = Value::parse(bytes, MAX_EVENT_BYTES)
            .map_err(|source| Damage::NotJson { sequence: place, source })?;
        let Value::Object(event) = value else {
            return Err(Damage::Member { sequence: place, member: "sequence" });
        };
        let links = Links::read(&event, place)?;
        self.check_content(&event, &links, bytes)?;
        self.check_place(&links)?;
        if self.chain_id.is_none() {
            self.chain_id = Some(links.chain_id.to_owned());
        }
        self.last_hash = Some(links.event_hash);
        self.leaves.append(leaf_hash(bytes));
        Ok(())
    }

    /// What the events checked so far amount to.
    pub fn finish(self) -> Verified {
        let root = self.leaves.root().unwrap_or_else(crate::merkle::empty_root);
        Verified {
            events: self.leaves.end(),
            chain_id: self.chain_id,
            last_hash: self.last_hash,
            root,
        }
    }

    /// The event by itself: its form, its hash, its profile.
    fn check_content(
        &mut self,
        event: &Object,
        links: &Links<'_>,
        bytes: &[u8],
    ) -> Result<(), Damage> {
        let sequence = links.sequence;
        if links.hash_profile.is_some_and(|name| name != self.hash_profile.name()) {
            return Err(Damage::WrongProfile { sequence });
        }
        self.canonical.clear();
        self.hash_profile.write_object(event, None, &mut self.canonical);
        if self.canonical.as_bytes() != bytes {
            return Err(Damage::NotCanonical { sequence });
        }
        self.canonical.clear();
        self.hash_profile.write_object(event, Some("event_hash"), &mut self.canonical);
        if Digest::of(self.canonical.as_bytes()) != links.event_hash {
            return Err(Damage::WrongHash { sequence });
        }
        Ok(())
    }

    /// The event among the others: its log, its number, its link.
    fn check_place(&self, links: &Links<'_>) -> Result<(), Damage> {
        let sequence = links.sequence;
        let expected = self.leaves.end();
        if self.chain_id.as_deref().is_some_and(|id| id != links.chain_id) {
            return Err(Damage::WrongChain { sequence });
        }
        if expected == 0 && (sequence > 0 || links.prev_hash.is_some()) {
            return Err(Damage::TruncatedHead { sequence });
        }
        if sequence < expected {
            return Err(Damage::Duplicated { sequence });
        }
        if sequence > expected {
            return Err(Damage::Gap { from: expected, to: sequence - 1 });
        }
        if links.prev_hash != self.last_hash {
            return Err(Damage::BrokenLink { sequence });
        }
        Ok(())
    }
}

/// The members of an event that tie it into a log.
struct Links<'a> {
    sequence: u64,
    chain_id: &'a str,
    event_hash: Digest,
    prev_hash: Option<Digest>,
    hash_profile: Option<&'a str>,
}

impl<'a> Links<'a> {
    fn read(event: &'a Object, place: u64) -> Result<Self, Damage> {
        let wrong = |member| Damage::Member { sequence: place, member };
        let text = |member| match event.get(member) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(wrong(member)),
        };
        let digest = |member| match text(member)? {
            None => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| wrong(member)),
        };
        Ok(Self {
            sequence: number(event).ok_or_else(|| wrong("sequence"))?,
            chain_id: text("chain_id")?.ok_or_else(|| wrong("chain_id"))?,
            event_hash: digest("event_hash")?.ok_or_else(|| wrong("event_hash"))?,
            prev_hash: digest("prev_hash")?,
            hash_profile: text("hash_profile_id")?,
        })
    }
}

fn number(event: &Object) -> Option<u64> {
    match event.get("sequence") {
        Some(Value::Integer(number)) => u64::try_from(number.get()).ok(),
        _ => None,
    }
}

fn sequence_of(bytes: &[u8]) -> Option<u64> {
    match Value::parse(bytes, MAX_EVENT_BYTES) {
        Ok(Value::Object(event)) => number(&event),
        _ => None,
    }
}
