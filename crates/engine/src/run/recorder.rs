//! The one place where events are made: facts of the core, and reports beside them, put into the
//! envelope and appended before anything depends on them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use carnet_ledger::{
    ActorDetails, ActorKind, Digest, Event, EventBody, EventDraft, Object, Outcome, Refusal, Value,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::programme;
use crate::error::{EngineError, StepError};
use carnet_journal::Clock;
use carnet_journal::{Journal, JournalError};
use carnet_process::{
    AMENDMENT, Approval, Command, Fact, PartStatus, RunState, State, apply, check_part, decide,
    read_fact, write_fact,
};

/// What all events of a run have in common.
#[derive(Debug, Clone)]
pub(crate) struct Envelope {
    /// Who runs it.
    pub(crate) actor: String,
    /// Whose evidence it is.
    pub(crate) tenant: String,
    /// The object that an event without one of its own points to: the plan.
    pub(crate) plan_object: Digest,
    /// The digest of who may approve.
    pub(crate) authority: Digest,
    /// The digest of the rules and thresholds.
    pub(crate) policy: Digest,
    /// What the plan says about the data.
    pub(crate) jurisdiction: Option<String>,
    /// What the plan says about the data.
    pub(crate) classification: Option<String>,
}

/// A report beside the facts: it changes no state.
#[derive(Debug, Clone)]
pub(crate) struct Note {
    body: EventBody,
    outcome: Outcome,
    action: &'static str,
    resource: Option<String>,
    pointer: Option<Digest>,
    context: Object,
}

impl Note {
    /// A report that something was done.
    pub(crate) fn done(body: EventBody, action: &'static str) -> Self {
        Self {
            body,
            outcome: Outcome::Accepted,
            action,
            resource: None,
            pointer: None,
            context: Object::new(),
        }
    }

    /// A report that something was refused.
    pub(crate) fn refused(body: EventBody, action: &'static str, refusal: Refusal) -> Self {
        Self { outcome: Outcome::Refused(refusal), ..Self::done(body, action) }
    }

    pub(crate) fn about(mut self, resource: impl Into<String>) -> Self {
        self.resource = Some(resource.into());
        self
    }

    pub(crate) fn pointing(mut self, pointer: Digest) -> Self {
        self.pointer = Some(pointer);
        self
    }

    pub(crate) fn with(mut self, key: &str, value: Value) -> Self {
        self.context.insert(key.to_owned(), value);
        self
    }
}

/// The journal and the state that it adds up to.
pub(crate) struct Recorder {
    envelope: Envelope,
    inner: Mutex<Inner>,
}

struct Inner {
    journal: Journal,
    state: State,
}

/// Adds the next event of a log to the state. `object` reads the objects that events name.
pub(crate) fn fold(
    state: &mut State,
    event: &Event,
    object: &dyn Fn(Digest) -> Option<Vec<u8>>,
) -> Result<(), EngineError> {
    if let Some(fact) = read_fact(event, object)? {
        apply(state, &fact, event.occurred_at)?;
    }
    remember(state, event);
    Ok(())
}

/// Adds what stands beside the facts of a run: which files it is pinned to, and confirmed with.
fn remember(state: &mut State, event: &Event) {
    state.pins.extend(programme::pinned(event));
    if let Some(run) = &mut state.run {
        run.confirmed.extend(programme::confirmed(event));
    }
}

/// What the events that belong together share: they are under one policy and one authority. A run
/// that goes on under an amended plan does so under other ones, and so does the consent to it.
fn correlation(run: Option<&RunState>, fact: &Fact) -> String {
    let Some(run) = run else {
        return if let Fact::Started { run, .. } = fact { run.clone() } else { String::new() };
    };
    let part = |number: u64| match number {
        0 => run.id.clone(),
        number => format!("{}/{number}", run.id),
    };
    let consent = |plan: &Digest| format!("{}/amendment/{plan}", run.id);
    if let Fact::Started { run, .. } = fact {
        run.clone()
    } else if let Fact::Amended { .. } = fact {
        part(run.amendments + 1)
    } else if let Fact::Approved(Approval { subject, plan, .. })
    | Fact::Withdrawn { subject, plan, .. } = fact
        && subject == AMENDMENT
    {
        consent(plan)
    } else {
        part(run.amendments)
    }
}

/// Stores a value as an object of the evidence, in canonical form.
pub(crate) fn put_json(journal: &Journal, value: &impl Serialize) -> Result<Digest, StepError> {
    let text = serde_json::to_vec(value).map_err(|error| {
        StepError::new(carnet_model::Code::BUG, format!("cannot write an object: {error}"))
    })?;
    match Value::parse(&text, usize::MAX) {
        Ok(value) => Ok(journal.put_value(&value)?),
        // Floats and large integers have no canonical form; the text itself is kept.
        Err(_) => Ok(journal.put(&text)?),
    }
}

impl Recorder {
    pub(crate) fn new(journal: Journal, state: State, envelope: Envelope) -> Self {
        Self { envelope, inner: Mutex::new(Inner { journal, state }) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides what a command means, appends it with the notes in one transaction, and applies it.
    pub(crate) fn command(
        &self,
        command: Command,
        notes: Vec<Note>,
        clock: &dyn Clock,
    ) -> Result<(), EngineError> {
        let mut inner = self.inner();
        let facts = decide(&inner.state, command, clock.now())?;
        self.append(&mut inner, &facts, notes)
    }

    /// Whether a command is allowed as the run stands. Nothing is recorded.
    pub(crate) fn allows(&self, command: Command, clock: &dyn Clock) -> Result<(), EngineError> {
        decide(&self.inner().state, command, clock.now())?;
        Ok(())
    }

    /// What the log says of a file that pins what is run.
    pub(crate) fn pins(&self, path: &str) -> Option<Digest> {
        self.inner().state.pins.get(path).copied()
    }

    /// Records what belongs to no run: a command that was refused. `id` is what the events of this
    /// attempt share.
    pub(crate) fn outside_of_runs(&self, id: &str, note: Note) -> Result<(), EngineError> {
        let draft = self.note_draft(note, id);
        let inner = self.inner();
        inner.journal.append(vec![draft])?;
        inner.journal.checkpoint()?;
        Ok(())
    }

    /// Records a part of a step's work.
    pub(crate) fn part(
        &self,
        step: &str,
        part: String,
        status: PartStatus,
        facts: Object,
    ) -> Result<(), EngineError> {
        let mut inner = self.inner();
        // Only a fact that can follow is written.
        if let Some(run) = &inner.state.run {
            check_part(run, step)?;
        }
        let fact = Fact::Part { step: step.to_owned(), part, status, facts };
        self.append(&mut inner, &[fact], Vec::new())
    }

    fn append(
        &self,
        inner: &mut Inner,
        facts: &[Fact],
        notes: Vec<Note>,
    ) -> Result<(), EngineError> {
        let Some((first, rest)) = facts.split_first() else { return Ok(()) };
        let run = correlation(inner.state.run.as_ref(), first);
        // The notes are on the first fact; the others are what follows from it.
        let beside = notes.len();
        let mut drafts = vec![self.fact_draft(&inner.journal, first, &run)?];
        drafts.extend(notes.into_iter().map(|note| self.note_draft(note, &run)));
        for fact in rest {
            drafts.push(self.fact_draft(&inner.journal, fact, &run)?);
        }
        let events = inner.journal.append(drafts)?;
        let of_facts = events.iter().take(1).chain(events.iter().skip(1 + beside));
        for (event, fact) in of_facts.zip(facts) {
            apply(&mut inner.state, fact, event.occurred_at)?;
        }
        for event in &events {
            remember(&mut inner.state, event);
        }
        // Where a phase or a run ends, or waits for a person, somebody may look.
        let ends = |fact: &Fact| {
            matches!(fact, Fact::Left { .. } | Fact::Ended { .. } | Fact::Incident { .. })
        };
        if facts.iter().any(ends) {
            inner.journal.checkpoint()?;
        }
        Ok(())
    }

    /// The event of a fact. The objects that it names are stored first.
    fn fact_draft(
        &self,
        journal: &Journal,
        fact: &Fact,
        run: &str,
    ) -> Result<EventDraft, JournalError> {
        let written = write_fact(fact);
        for object in &written.objects {
            journal.put(object)?;
        }
        let note = Note {
            body: written.body,
            outcome: written.outcome,
            action: written.action,
            resource: written.resource_id,
            pointer: written.pointer,
            context: written.context,
        };
        Ok(self.note_draft(note, run))
    }

    fn note_draft(&self, note: Note, run: &str) -> EventDraft {
        let envelope = &self.envelope;
        EventDraft {
            event_type: note.body.event_type(),
            actor: envelope.actor.clone(),
            actor_details: Some(ActorDetails {
                id: envelope.actor.clone(),
                kind: ActorKind::Service,
                org_id: None,
                credential_ref: None,
                jurisdiction: None,
            }),
            tenant_id: envelope.tenant.clone(),
            outcome: note.outcome,
            evidence_pointer: note.pointer.unwrap_or(envelope.plan_object),
            correlation_id: run.to_owned(),
            resource_id: note.resource,
            action: Some(note.action.to_owned()),
            authority_snapshot_id: envelope.authority,
            policy_snapshot_id: envelope.policy,
            jurisdiction: envelope.jurisdiction.clone(),
            classification: envelope.classification.clone(),
            context: note.context,
            fields: note.body.fields(),
        }
    }

    /// Whether this process still holds the run: asked before each effect.
    pub(crate) fn check_lease(&self) -> Result<(), JournalError> {
        self.inner().journal.check_lease()
    }

    /// The run as it stands.
    pub(crate) fn run(&self) -> Option<RunState> {
        self.inner().state.run.clone()
    }

    /// The object with the text of the plan.
    pub(crate) fn plan_object(&self) -> Digest {
        self.envelope.plan_object
    }

    /// Looks at the run as it stands, without a copy of it.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&RunState) -> T) -> Option<T> {
        self.inner().state.run.as_ref().map(look)
    }

    /// The number of this writer, as events and fences name it; `None` in a dry run.
    pub(crate) fn generation(&self) -> Option<u64> {
        self.inner().journal.generation()
    }

    /// Stores bytes as an object of the evidence.
    pub(crate) fn put(&self, bytes: &[u8]) -> Result<Digest, JournalError> {
        self.inner().journal.put(bytes)
    }

    /// The bytes of an object.
    pub(crate) fn object(&self, digest: Digest) -> Result<Vec<u8>, JournalError> {
        self.inner().journal.object(digest)
    }

    /// Stores bytes for an undo, outside of the evidence: they may hold secrets of others.
    pub(crate) fn put_private(&self, bytes: &[u8]) -> Result<Digest, JournalError> {
        self.inner().journal.put_private(bytes)
    }

    /// The bytes that `put_private` stored.
    pub(crate) fn private(&self, digest: Digest) -> Result<Vec<u8>, JournalError> {
        self.inner().journal.private(digest)
    }

    /// Stores a value as an object, in canonical form.
    pub(crate) fn put_json(&self, value: &impl Serialize) -> Result<Digest, StepError> {
        put_json(&self.inner().journal, value)
    }

    /// Reads a value from an object.
    pub(crate) fn get_json<T: DeserializeOwned>(&self, digest: Digest) -> Result<T, StepError> {
        let bytes = self.object(digest)?;
        serde_json::from_slice(&bytes).map_err(|error| {
            let what = format!("the evidence object {digest} has another form: {error}");
            StepError::new(carnet_model::Code::EVIDENCE_DAMAGED, what)
        })
    }

    /// The name of the log: what a resource remembers the generation of its writers by.
    pub(crate) fn log_name(&self) -> String {
        self.inner().journal.name()
    }

    /// When the last thing of a run happened, in seconds since 1970, UTC.
    pub(crate) fn last_event_s(&self) -> Option<i64> {
        self.inner().state.last_at.map(|at| at.unix_millis().div_euclid(1_000))
    }

    /// Lends the journal, for an export of what it holds up to now. Nothing is recorded meanwhile but
    /// by the borrower.
    pub(crate) fn with_journal<T>(&self, lend: impl FnOnce(&Journal) -> T) -> T {
        lend(&self.inner().journal)
    }

    /// Who runs it.
    pub(crate) fn actor(&self) -> &str {
        &self.envelope.actor
    }

    /// How many events there are, and the hash of the last.
    pub(crate) fn end(&self) -> (u64, Option<Digest>) {
        let inner = self.inner();
        (inner.journal.events(), inner.journal.last_hash())
    }
}
