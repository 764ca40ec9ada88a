//! The reader's side of a log: nothing is believed that can be computed again.

use crate::digest::Digest;
use crate::event_check::{EventCheck, EventDamage, sequence_of};
use crate::merkle::CompactRange;
use crate::value::{HashProfile, ParseError};

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

impl EventDamage {
    /// As damage of a log in which the event stands at this place.
    pub fn at(self, place: u64) -> Damage {
        match self {
            Self::NotJson(source) => Damage::NotJson { sequence: place, source },
            Self::Member(member) => Damage::Member { sequence: place, member },
            Self::WrongProfile { sequence } => Damage::WrongProfile { sequence },
            Self::NotCanonical { sequence } => Damage::NotCanonical { sequence },
        }
    }
}

/// What of a checked event tells its place among others: `EventCheck::link`. It holds nothing of the
/// event's bytes, so that it can be handed from the thread that checked them to the one that places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its place in the log, as it says.
    pub sequence: u64,
    /// The log that it belongs to.
    pub chain_id: String,
    /// The hash of the event before, as it says.
    pub prev_hash: Option<Digest>,
    /// Its own hash, as it says.
    pub event_hash: Digest,
    /// Whether its own hash is that of its content.
    pub hash_holds: bool,
    /// The leaf that it is in the Merkle tree of its log.
    pub leaf: Digest,
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
}

impl Verifier {
    /// Starts at the head of a log.
    pub fn new(hash_profile: HashProfile) -> Self {
        Self { hash_profile, chain_id: None, last_hash: None, leaves: CompactRange::new(0) }
    }

    /// Checks the next event. After damage the verifier stays where it was.
    pub fn check(&mut self, bytes: &[u8]) -> Result<(), Damage> {
        let event = EventCheck::of(self.hash_profile, bytes)
            .map_err(|damage| damage.at(self.leaves.end()))?;
        self.place(&event.link())
    }

    /// Puts the next event into its place: the part of `check` that needs the events before it. So
    /// many events can be checked by themselves at once, and then be placed one by one.
    pub fn place(&mut self, link: &Link) -> Result<(), Damage> {
        if !link.hash_holds {
            return Err(Damage::WrongHash { sequence: link.sequence });
        }
        self.check_place(link)?;
        if self.chain_id.is_none() {
            self.chain_id = Some(link.chain_id.clone());
        }
        self.last_hash = Some(link.event_hash);
        self.leaves.append(link.leaf);
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

    /// The event among the others: its log, its number, its link.
    fn check_place(&self, link: &Link) -> Result<(), Damage> {
        let sequence = link.sequence;
        let expected = self.leaves.end();
        if self.chain_id.as_ref().is_some_and(|id| *id != link.chain_id) {
            return Err(Damage::WrongChain { sequence });
        }
        if expected == 0 && (sequence > 0 || link.prev_hash.is_some()) {
            return Err(Damage::TruncatedHead { sequence });
        }
        if sequence < expected {
            return Err(Damage::Duplicated { sequence });
        }
        if sequence > expected {
            return Err(Damage::Gap { from: expected, to: sequence - 1 });
        }
        if link.prev_hash != self.last_hash {
            return Err(Damage::BrokenLink { sequence });
        }
        Ok(())
    }
}
