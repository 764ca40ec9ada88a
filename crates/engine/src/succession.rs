//! One key hands a log over to another.

use std::sync::Arc;

use carnet_ledger::trust::{Succession, SuccessionError};
use carnet_ledger::{
    ActorDetails, ActorKind, Event, EventBody, EventDraft, EventType, KeySuccession, NoteSignature,
    Object, Outcome, SignatureAnswer, SigningKey, Value,
};
use carnet_model::Code;

use crate::error::EngineError;
use crate::run::Engine;
use carnet_journal::{Journal, JournalError, LogProfile, LogReader};

/// A log that was handed over.
#[derive(Debug, Clone)]
pub struct HandedOver {
    /// The log.
    pub chain_id: String,
    /// The event from which on the old key is retired.
    pub sequence: u64,
    /// The size of the first checkpoint that the new key signed.
    pub size: u64,
}

/// Why a log is not handed over.
#[derive(Debug, thiserror::Error)]
pub enum HandOverError {
    /// The log cannot be read or written.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The statement cannot be made.
    #[error("these keys cannot hand over to one another")]
    Statement(#[from] SuccessionError),
    /// The log is signed, and not by the key that is to hand over.
    #[error("the evidence log is signed by {signed_by}, not by {old}")]
    OtherKey {
        /// Who signed the last checkpoint.
        signed_by: String,
        /// Who is to hand over.
        old: String,
    },
    /// The key that is to take over was retired before; keys do not come back.
    #[error("the key {0} was retired from this log before")]
    NewKeyRetired(String),
}

impl From<JournalError> for HandOverError {
    fn from(error: JournalError) -> Self {
        Self::Engine(error.into())
    }
}

impl HandOverError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Engine(error) => error.code(),
            Self::Statement(_) => Code::USAGE,
            Self::OtherKey { .. } => Code::KEY_OTHER,
            Self::NewKeyRetired(_) => Code::KEY_RETIRED,
        }
    }

    /// What to do about it, where it is known.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Engine(error) => error.remedy(),
            Self::Statement(_) | Self::NewKeyRetired(_) => {
                Some("make a new key: carnet key new FILE".to_owned())
            }
            Self::OtherKey { .. } => Some("give the key that signed the log so far".to_owned()),
        }
    }
}

impl Engine {
    /// Hands the log of this state directory over: appends the statement that both keys sign, and
    /// lets the new key sign all events up to it. From then on the log refuses the old key. Refused
    /// while a run works.
    pub fn hand_over(
        &self,
        old: &Arc<SigningKey>,
        new: &Arc<SigningKey>,
    ) -> Result<HandedOver, HandOverError> {
        let log = LogReader::open(&self.log)?.filter(|log| log.size() > 0);
        let log = log.ok_or_else(|| EngineError::NoRun(self.log.shown()))?;
        must_sign(&log, old)?;
        let chain_id = log.made().chain_id.clone();
        let statement = Succession::sign(old, new, &chain_id)?;
        let new_key_id = new.verifying_key().key_id();
        let (mut before, mut retired) = (None, false);
        let journal = self.journal(old, &mut |event| {
            retired |= retires(event, &new_key_id);
            before = Some(event.clone());
            Ok(())
        })?;
        if retired {
            return Err(HandOverError::NewKeyRetired(new_key_id));
        }
        let before = before.ok_or_else(|| EngineError::NoRun(self.log.shown()))?;
        let pointer = journal.put(statement.to_string().as_bytes())?;
        let correlation_id = self.ids.next_id().to_string();
        let old_key_id = old.verifying_key().key_id();
        let keys = KeySuccession { old_key_id, new_key_id };
        let body = EventBody::KeySucceeded(keys);
        let draft = EventDraft {
            event_type: body.event_type(),
            actor: self.actor.clone(),
            actor_details: Some(ActorDetails {
                id: self.actor.clone(),
                kind: ActorKind::Service,
                org_id: None,
                credential_ref: None,
                jurisdiction: None,
            }),
            // The envelope goes on from the event before: the same tenant, under the same rules.
            tenant_id: before.draft.tenant_id,
            outcome: Outcome::Accepted,
            evidence_pointer: pointer,
            correlation_id,
            resource_id: Some(chain_id.clone()),
            action: Some("hand_over".to_owned()),
            authority_snapshot_id: before.draft.authority_snapshot_id,
            policy_snapshot_id: before.draft.policy_snapshot_id,
            jurisdiction: before.draft.jurisdiction,
            classification: before.draft.classification,
            context: Object::new(),
            fields: body.fields(),
        };
        let sequence = journal.append(vec![draft])?.last().map_or(0, |event| event.sequence);
        drop(journal);
        let journal = self.journal(new, &mut |_| Ok(()))?;
        journal.checkpoint()?;
        Ok(HandedOver { chain_id, sequence, size: journal.events() })
    }

    /// The log with this signer.
    fn journal(
        &self,
        key: &Arc<SigningKey>,
        fold: &mut dyn FnMut(&Event) -> Result<(), JournalError>,
    ) -> Result<Journal, JournalError> {
        let (clock, ids) = (Arc::clone(&self.clock), Arc::clone(&self.ids));
        let signer = Some(Arc::clone(key));
        Journal::open(&self.log, LogProfile::default(), signer, clock, ids, fold)
    }
}

/// Whether an event retires the key with this id.
fn retires(event: &Event, key_id: &str) -> bool {
    let old = event.draft.fields.get("old_key_id");
    event.draft.event_type == EventType::KeySucceeded
        && matches!(old, Some(Value::Text(old)) if old == key_id)
}

/// Only the key that signed the last checkpoint hands a log over. A log that nobody signed so far
/// takes any.
fn must_sign(log: &LogReader, old: &SigningKey) -> Result<(), HandOverError> {
    let Some((_, note)) = log.checkpoint_at_most(None)? else { return Ok(()) };
    if note.check(old.verifying_key()) == SignatureAnswer::Good {
        return Ok(());
    }
    let ids: Vec<_> = note.signatures.iter().map(NoteSignature::key_id).collect();
    let (signed_by, old) = (ids.join(" and "), old.verifying_key().key_id());
    Err(HandOverError::OtherKey { signed_by, old })
}
