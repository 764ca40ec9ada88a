//! What the log says about an export: that it is made, that it was refused, that it failed.

use carnet_ledger::{
    ActorDetails, ActorKind, Digest, Event, EventDraft, EventId, EventType, Object, Outcome,
    Refusal, RefusalClass, Value,
};

use super::documents::{number, object};
use super::error::EvidenceError;
use carnet_journal::{Journal, JournalError};

/// One export.
pub(super) struct Intent<'a> {
    pub(super) id: EventId,
    /// The first event.
    pub(super) from: u64,
    /// The last event.
    pub(super) to: u64,
    /// `directory`, `tar` or `zip`.
    pub(super) kind: &'static str,
    /// Who exports.
    pub(super) actor: &'a str,
    /// The root over what it is about, where it goes into a bundle with other content.
    pub(super) content_root: Option<Digest>,
}

impl Intent<'_> {
    fn context(&self) -> Object {
        let mut context = object([
            ("export_id", self.id.to_string().into()),
            ("from_sequence", number(self.from)),
            ("out", self.kind.into()),
            ("to_sequence", number(self.to)),
        ]);
        if let Some(root) = self.content_root {
            context.insert("content_root".to_owned(), root.into());
        }
        context
    }

    /// That it is made.
    pub(super) fn accepted(
        &self,
        journal: &Journal,
        before: &Event,
    ) -> Result<EventDraft, JournalError> {
        self.draft(journal, before, Outcome::Accepted, self.context())
    }

    /// That it is refused.
    pub(super) fn refused(
        &self,
        journal: &Journal,
        before: &Event,
        error: &EvidenceError,
    ) -> Result<EventDraft, JournalError> {
        let refusal = Refusal {
            class: RefusalClass::EvidencePreconditionFailed,
            code: error.code().name().to_owned(),
            subject: format!("events {} to {}", self.from, self.to),
            reason: Some(error.to_string()),
        };
        self.draft(journal, before, Outcome::Refused(refusal), self.context())
    }

    /// That it was made known, and then not finished.
    pub(super) fn failed(
        &self,
        journal: &Journal,
        before: &Event,
        error: &EvidenceError,
    ) -> Result<EventDraft, JournalError> {
        let mut context = self.context();
        context.insert("code".to_owned(), error.code().name().into());
        self.draft(journal, before, Outcome::Failed, context)
    }

    /// The envelope goes on from the event before: the same tenant, under the same rules.
    fn draft(
        &self,
        journal: &Journal,
        before: &Event,
        outcome: Outcome,
        context: Object,
    ) -> Result<EventDraft, JournalError> {
        let object = journal.put_value(&Value::Object(context.clone()))?;
        let actor_details = ActorDetails {
            id: self.actor.to_owned(),
            kind: ActorKind::Service,
            org_id: None,
            credential_ref: None,
            jurisdiction: None,
        };
        Ok(EventDraft {
            event_type: EventType::EvidenceExport,
            actor: self.actor.to_owned(),
            actor_details: Some(actor_details),
            tenant_id: before.draft.tenant_id.clone(),
            outcome,
            evidence_pointer: object,
            correlation_id: self.id.to_string(),
            resource_id: Some(before.chain_id.clone()),
            action: Some("export".to_owned()),
            authority_snapshot_id: before.draft.authority_snapshot_id,
            policy_snapshot_id: before.draft.policy_snapshot_id,
            jurisdiction: before.draft.jurisdiction.clone(),
            classification: before.draft.classification.clone(),
            context,
            fields: Object::new(),
        })
    }
}
