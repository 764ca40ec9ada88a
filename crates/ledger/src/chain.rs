//! The writer's side of a log: gives each event its place, its link and its hash.

use crate::catalogue::Missing;
use crate::digest::Digest;
use crate::event::{Event, EventDraft, EvidenceProfile, Outcome};
use crate::event_json::{MAX_EVENT_BYTES, is_field_name};
use crate::profile::{self, NotAdmitted};
use crate::stamp::{EventId, EventTime};
use crate::value::{HashProfile, MAX_DEPTH, Object};

/// The end of a log: where the next event goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The log's id, the same in each of its events.
    pub chain_id: String,
    /// How its events become the bytes that are hashed; fixed when the log is made.
    pub hash_profile: HashProfile,
    /// What the log promises to hold.
    pub evidence_profile: EvidenceProfile,
    /// The sequence of the next event: how many there are.
    pub next_sequence: u64,
    /// The hash of the last event. None in an empty log.
    pub last_hash: Option<Digest>,
}

/// An event with its place in a log, and the bytes to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The event.
    pub event: Event,
    /// Its canonical form with `event_hash`: what is stored, and the leaf of the Merkle tree.
    pub bytes: Vec<u8>,
}

/// Why an event cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// A member that must say something is empty.
    #[error("the event's {0} is empty")]
    Empty(&'static str),
    /// A field's name is the envelope's, or not made of `a-z 0-9 _`.
    #[error("{0:?} cannot name a field of an event")]
    FieldName(String),
    /// Context or fields nest too deep.
    #[error("the event is nested deeper than {MAX_DEPTH} levels")]
    Depth,
    /// The event has more bytes than a log takes. Put the details into an object and point to it.
    #[error("the event has {0} bytes, and a log takes {MAX_EVENT_BYTES}")]
    TooLarge(usize),
    /// A member that its type must have is missing, or of another kind.
    #[error("the event is not whole")]
    Member(#[source] Missing),
    /// The profile of the log asks for more.
    #[error("the profile of the log does not admit the event")]
    Profile(#[source] NotAdmitted),
    /// The event was sealed for another place.
    #[error("the event was not sealed for the end of this log")]
    NotNext,
}

impl Chain {
    /// An empty log.
    pub fn new(
        chain_id: impl Into<String>,
        hash_profile: HashProfile,
        evidence_profile: EvidenceProfile,
    ) -> Self {
        let chain_id = chain_id.into();
        Self { chain_id, hash_profile, evidence_profile, next_sequence: 0, last_hash: None }
    }

    /// Gives an event its place at the end of the log. The end moves only by `accept`, once the
    /// bytes are stored.
    pub fn seal(
        &self,
        draft: EventDraft,
        id: EventId,
        occurred_at: EventTime,
    ) -> Result<Sealed, SealError> {
        self.check(&draft)?;
        let mut event = Event {
            id,
            occurred_at,
            sequence: self.next_sequence,
            chain_id: self.chain_id.clone(),
            evidence_profile: self.evidence_profile,
            hash_profile: self.hash_profile,
            prev_hash: self.last_hash,
            event_hash: Digest([0; 32]),
            draft,
        };
        profile::admit(&event)?;
        let bytes = event.seal().into_bytes();
        if bytes.len() > MAX_EVENT_BYTES {
            return Err(SealError::TooLarge(bytes.len()));
        }
        Ok(Sealed { event, bytes })
    }

    /// Moves the end behind an event that was sealed for this place.
    pub fn accept(&mut self, event: &Event) -> Result<(), SealError> {
        let next = event.sequence == self.next_sequence
            && event.prev_hash == self.last_hash
            && event.chain_id == self.chain_id;
        if !next {
            return Err(SealError::NotNext);
        }
        self.next_sequence += 1;
        self.last_hash = Some(event.event_hash);
        Ok(())
    }

    fn check(&self, draft: &EventDraft) -> Result<(), SealError> {
        let refusal = match &draft.outcome {
            Outcome::Refused(refusal) => Some(refusal),
            Outcome::Accepted | Outcome::Failed => None,
        };
        let said = [
            ("chain_id", Some(&self.chain_id)),
            ("actor", Some(&draft.actor)),
            ("tenant_id", Some(&draft.tenant_id)),
            ("correlation_id", Some(&draft.correlation_id)),
            ("refusal_reason_code", refusal.map(|refusal| &refusal.code)),
            ("refusal_subject", refusal.map(|refusal| &refusal.subject)),
        ];
        if let Some((name, _)) =
            said.into_iter().find(|(_, text)| text.is_some_and(String::is_empty))
        {
            return Err(SealError::Empty(name));
        }
        if let Some(name) = draft.fields.keys().find(|name| !is_field_name(name)) {
            return Err(SealError::FieldName(name.chars().take(80).collect()));
        }
        // The event itself is one level, its context another.
        let fits = |object: &Object, levels| object.values().all(|value| value.fits(levels));
        if fits(&draft.context, MAX_DEPTH - 2) && fits(&draft.fields, MAX_DEPTH - 1) {
            Ok(())
        } else {
            Err(SealError::Depth)
        }
    }
}
