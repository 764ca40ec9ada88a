//! Running a plan: one loop asks the core what follows, does it, and records it.

mod act;
mod amendment;

mod copy;
mod declared;
mod drive;
mod judge;
pub(crate) mod notes;
mod people;
mod process_of;
mod programme;
pub(crate) mod recorder;
mod report;
mod rules;
mod why;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use carnet_bundle::{SnapshotTime, Work};
use carnet_connect::{Outside, Progress};
use carnet_ledger::audit::PolicyReplayer;
use carnet_ledger::{Digest, Event, EvidenceProfile, HashProfile, SigningKey};
use carnet_model::plan::Plan;

pub(crate) use act::take_back;
pub use copy::{CopyJob, CopyReport};
pub use people::{Asked, PeopleRequest};
pub use programme::{
    Advanced, DriftedFile, NextAct, NoteRow, PhaseRow, ProgrammeReport, absent, kept_notes,
};
pub use report::{
    ApprovalReport, BackReport, CollectionReport, GateReport, PhaseReport, Report, StopReport,
    SwitchReport, TimerReport,
};
pub use why::{DamagedCopy, Why, why};

use crate::approval::trust_text;
use crate::error::EngineError;
use crate::fault::Faults;
use crate::step::{Context, Parts, StoreOpener};
use carnet_journal::{Clock, IdSource};
use carnet_journal::{Journal, LogPlace, LogProfile, LogReader, journal_objects};
use carnet_process::{Command, Direction, Ending, Refused, Start, State, Status};
use recorder::{Envelope, Note, Recorder, put_json};

/// Runs plans in one state directory.
pub struct Engine {
    /// The local folder of the run.
    pub(crate) state: PathBuf,
    /// Where its log is: there, if nothing else is said.
    pub(crate) log: LogPlace,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
    pub(crate) actor: String,
    pub(crate) faults: Faults,
    pub(crate) replayer: Option<&'static dyn PolicyReplayer>,
}

/// What is run, and with what.
pub struct RunRequest<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The folder of the plan: its relative paths start there.
    pub folder: &'a Path,
    /// Opens the stores.
    pub stores: &'a dyn StoreOpener,
    /// What steps act through and gates look through, beside stores.
    pub outside: &'a dyn Outside,
    /// Threads that work at once.
    pub workers: usize,
    /// Where long work reports.
    pub progress: &'a dyn Progress,
    /// Whether only to show what would happen.
    pub dry_run: bool,
    /// The moment that names and dates the snapshot; now if nothing is said.
    pub snapshot_time: Option<SnapshotTime>,
    /// For how long a timer of the process is waited for; one that is due later ends the command,
    /// and the next `run` goes on.
    pub patience: Duration,
    /// Signs checkpoints of the evidence; `None` leaves it unsigned.
    pub signer: Option<Arc<SigningKey>>,
}

impl Engine {
    /// An engine on a state directory. `actor` is who runs it, as events name it.
    pub fn new(
        state: impl Into<PathBuf>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
        actor: impl Into<String>,
    ) -> Self {
        let (state, faults) = (state.into(), Faults::default());
        let log = LogPlace::Dir(state.clone());
        Self { state, log, clock, ids, actor: actor.into(), faults, replayer: None }
    }

    /// With what evaluates again what policies decided, as evidence that arrives records it.
    #[must_use]
    pub fn with_replayer(mut self, replayer: Option<&'static dyn PolicyReplayer>) -> Self {
        self.replayer = replayer;
        self
    }

    /// With the log in another place than the state directory. What else a run needs stays there.
    #[must_use]
    pub fn with_log(mut self, log: LogPlace) -> Self {
        self.log = log;
        self
    }

    /// With faults on purpose.
    #[must_use]
    pub fn with_faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// Runs a plan, or goes on with the run that was cut off. A run that waits on its way back from
    /// a failure is taken back to the end, and the plan begins anew. A plan whose run is done is left
    /// as it is, and the report says so. What stops a run is in the report; an error means that the
    /// run could not be recorded, or may not be started.
    pub fn run(&self, request: &RunRequest<'_>) -> Result<Report, EngineError> {
        let (journal, state) = if request.dry_run {
            let profile = profile(request.plan);
            let (clock, ids) = (Arc::clone(&self.clock), Arc::clone(&self.ids));
            (Journal::in_memory(profile, clock, ids), State::default())
        } else {
            self.open(profile(request.plan), request.signer.clone())?
        };
        let waited = waits_on_the_way_back(&state);
        let (recorder, resumed) = self.recorder(request, journal, state)?;
        if !request.dry_run
            && let Err(error) = self
                .check_log(request.plan)
                .and_then(|()| if resumed { Ok(()) } else { people::starter_is_known(request) })
                .and_then(|()| amendment::check(request, &recorder, self.clock.as_ref()))
                .and_then(|()| programme::before_run(request, &recorder, self.clock.as_ref()))
        {
            return Err(self.refuse(request, &recorder, "run", error));
        }
        match self.begin(request, &recorder, resumed) {
            Ok(()) => {}
            Err(EngineError::Refused(Refused::Done)) => {
                return self.report(request, &recorder, true);
            }
            Err(error) => return Err(error),
        }
        drive::drive(&self.context(request, &recorder))?;
        if waited && has_failed(&recorder) {
            self.begin(request, &recorder, false)?;
            drive::drive(&self.context(request, &recorder))?;
        }
        self.report(request, &recorder, false)
    }

    /// Begins a run, or takes up the one that is on its way. What it is pinned to is written once it is
    /// known that it may, and before it does.
    fn begin(
        &self,
        request: &RunRequest<'_>,
        recorder: &Recorder,
        resumed: bool,
    ) -> Result<(), EngineError> {
        let migration = &request.plan.document().migration;
        let mut notes: Vec<Note> = notes::verified(recorder).into_iter().collect();
        if resumed {
            notes.push(notes::authority(migration.as_str(), "resume"));
        } else {
            notes.extend(notes::start(recorder, request.plan)?);
        }
        let trust = trust_text(request.plan, request.folder)?;
        let trust = trust.map(|text| recorder.put(&text)).transpose()?;
        let command = Command::Run(Start {
            run: self.ids.next_id().to_string(),
            plan: request.plan.digest(),
            document: recorder.plan_object(),
            amends: request.plan.parent(),
            dry_run: request.dry_run,
            initiator: request.signer.as_ref().map(|key| key.verifying_key().key_id()),
            trust,
            process: Arc::new(process_of::process_of(request.plan)?),
            again: false,
        });
        let allowed = programme::may_begin(request, recorder)
            .and_then(|()| recorder.allows(command.clone(), self.clock.as_ref()));
        let done = matches!(allowed, Err(EngineError::Refused(Refused::Done)));
        let pinned = match allowed {
            Err(error) if !done => Err(error),
            Ok(()) | Err(_) => programme::pin(request, recorder, self.clock.as_ref(), done),
        };
        notes.extend(pinned.map_err(|error| self.refuse(request, recorder, "run", error))?);
        self.ask(request, recorder, "run", command, notes)
    }

    /// Takes a run back. Before the point of no return everything is undone; behind it the switch
    /// alone, since the target may hold what was written to it since.
    pub fn rollback(&self, request: &RunRequest<'_>) -> Result<Report, EngineError> {
        if LogReader::open(&self.log)?.is_none_or(|log| log.size() == 0) {
            return Err(EngineError::NoRun(self.log.shown()));
        }
        let (journal, state) = self.open(profile(request.plan), request.signer.clone())?;
        let (recorder, _) = self.recorder(request, journal, state)?;
        let migration = &request.plan.document().migration;
        let mut notes: Vec<Note> = notes::verified(&recorder).into_iter().collect();
        notes.push(notes::authority(migration.as_str(), "rollback"));
        let command = Command::Rollback { plan: request.plan.digest() };
        self.ask(request, &recorder, "rollback", command, notes)?;
        drive::drive(&self.context(request, &recorder))?;
        self.report(request, &recorder, false)
    }

    /// Gives a person's command to the core. A refusal is recorded where it falls; that a run is
    /// done already is no refusal of running it.
    fn ask(
        &self,
        request: &RunRequest<'_>,
        recorder: &Recorder,
        asked: &'static str,
        command: Command,
        notes: Vec<Note>,
    ) -> Result<(), EngineError> {
        let done = recorder.command(command, notes, self.clock.as_ref());
        done.map_err(|error| self.refuse(request, recorder, asked, error))
    }

    /// Records a refusal; gives the error to end with.
    fn refuse(
        &self,
        request: &RunRequest<'_>,
        recorder: &Recorder,
        asked: &'static str,
        error: EngineError,
    ) -> EngineError {
        self.refuse_plan(request.plan, recorder, asked, error)
    }

    /// The same, of a command that needs the plan alone.
    fn refuse_plan(
        &self,
        plan: &Plan,
        recorder: &Recorder,
        asked: &'static str,
        error: EngineError,
    ) -> EngineError {
        let note = match &error {
            EngineError::Refused(Refused::Done)
            | EngineError::Journal(_)
            | EngineError::Fact(_)
            | EngineError::Illegal(_)
            | EngineError::NoRun(_) => return error,
            EngineError::Refused(refused) => notes::refused(refused, error.code(), asked, plan),
            EngineError::Work(failed) => notes::failed(failed, asked, plan),
        };
        let id = self.ids.next_id().to_string();
        match recorder.outside_of_runs(&id, note) {
            Ok(()) => error,
            Err(unkept) => unkept,
        }
    }

    /// The journal, and what its events add up to.
    fn open(
        &self,
        profile: LogProfile,
        signer: Option<Arc<SigningKey>>,
    ) -> Result<(Journal, State), EngineError> {
        let (clock, ids) = (Arc::clone(&self.clock), Arc::clone(&self.ids));
        let mut state = State::default();
        let object = journal_objects(&self.log)?;
        let fold = &mut |event: &Event| recorder::fold(&mut state, event, &object);
        let journal = Journal::open(&self.log, profile, signer, clock, ids, fold)?;
        Ok((journal, state))
    }

    /// A log keeps the profile that it was made with: a plan that asks for another one is refused,
    /// since its promise could not be kept.
    fn check_log(&self, plan: &Plan) -> Result<(), EngineError> {
        let Some(log) = LogReader::open(&self.log)? else { return Ok(()) };
        let (made, asked) = (log.made(), profile(plan));
        let told = |evidence: &str, hash: HashProfile| format!("{evidence} with {hash}");
        let held = told(made.evidence_profile.name(), made.hash_profile);
        let wanted = asked.evidence.map_or("", EvidenceProfile::name);
        let wanted = told(wanted, asked.hash);
        if held == wanted {
            return Ok(());
        }
        Err(Refused::OtherLog { log: held, plan: wanted }.into())
    }

    /// A recorder for this plan, and whether there is a run to go on with.
    fn recorder(
        &self,
        request: &RunRequest<'_>,
        journal: Journal,
        state: State,
    ) -> Result<(Recorder, bool), EngineError> {
        let envelope = envelope(request.plan, &self.actor, &journal)?;
        let resumed = unfinished(&state);
        Ok((Recorder::new(journal, state, envelope), resumed))
    }

    fn context<'a>(&'a self, request: &'a RunRequest<'a>, recorder: &'a Recorder) -> Context<'a> {
        Context::new(Parts {
            plan: request.plan,
            folder: request.folder,
            state: &self.state,
            recorder,
            stores: request.stores,
            outside: request.outside,
            work: Work { workers: request.workers, progress: request.progress },
            clock: self.clock.as_ref(),
            faults: &self.faults,
            snapshot_time: request.snapshot_time,
            dry_run: request.dry_run,
            patience_ms: i64::try_from(request.patience.as_millis()).unwrap_or(i64::MAX),
            log: &self.log,
            signer: request.signer.as_deref(),
            replayer: self.replayer,
        })
    }

    fn report(
        &self,
        request: &RunRequest<'_>,
        recorder: &Recorder,
        already_done: bool,
    ) -> Result<Report, EngineError> {
        let run = recorder.run().ok_or_else(|| EngineError::NoRun(self.log.shown()))?;
        let get = |digest| recorder.object(digest).ok();
        let mut report = report::of(&run, &get);
        report.migration = request.plan.document().migration.to_string();
        report.already_done = already_done;
        report.evidence = (!request.dry_run).then(|| self.log.shown());
        (report.events, report.last_hash) = recorder.end();
        Ok(report)
    }
}

/// What the log of a state directory says about its last run: the chain is computed again, nothing
/// is changed, and a run that works there is not disturbed.
pub fn status(place: impl Into<LogPlace>) -> Result<Report, EngineError> {
    let place = place.into();
    let none = || EngineError::NoRun(place.shown());
    let log = LogReader::open(&place)?.ok_or_else(none)?;
    let (mut folded, mut plan) = (State::default(), None);
    let end = log.verify(&mut |event| {
        plan.get_or_insert(event.draft.evidence_pointer);
        recorder::fold(&mut folded, event, &|digest| log.object(digest).ok())
    })?;
    let run = folded.run.ok_or_else(none)?;
    let get = |digest: Digest| log.object(digest).ok();
    let mut report = report::of(&run, &get);
    if let Status::Running(_) = run.status {
        let writer = carnet_journal::writer(&place)?;
        report.at_work = Some(writer.is_some());
        report.process = writer.and_then(|writer| writer.process);
    }
    report.evidence = Some(place.shown());
    (report.events, report.last_hash) = (end.events, end.last_hash);
    let plan = plan.and_then(get);
    report.migration = plan.and_then(|plan| report::migration_of(&plan)).unwrap_or_default();
    Ok(report)
}

fn profile(plan: &Plan) -> LogProfile {
    let evidence = &plan.document().evidence;
    LogProfile { hash: evidence.hash_profile.into(), evidence: Some(evidence.profile.into()) }
}

/// What all events of this plan's run say, with the objects that they name.
fn envelope(plan: &Plan, actor: &str, journal: &Journal) -> Result<Envelope, EngineError> {
    let document = plan.document();
    let governance = document.governance.as_ref();
    Ok(Envelope {
        actor: actor.to_owned(),
        tenant: document.evidence.tenant.to_string(),
        plan_object: journal.put(plan.canonical().as_bytes())?,
        authority: put_json(journal, &declared::authority_of(plan))?,
        policy: put_json(journal, &declared::rules(plan))?,
        jurisdiction: governance.and_then(|it| it.jurisdiction.as_ref()).map(ToString::to_string),
        classification: governance
            .and_then(|it| it.classification.as_ref())
            .map(ToString::to_string),
    })
}

/// Whether there is a run to go on with.
fn unfinished(state: &State) -> bool {
    state.run.as_ref().is_some_and(|run| ending(run.status).is_none())
}

/// Whether a run that failed waits on its way back, for room or for a system. Who gives the command
/// again has seen to that: the way is then gone to its end, and the work begins anew.
fn waits_on_the_way_back(state: &State) -> bool {
    let waiting = Status::Waiting(Direction::Undo(Ending::Failed));
    state.run.as_ref().is_some_and(|run| run.status == waiting)
}

fn has_failed(recorder: &Recorder) -> bool {
    recorder.run().is_some_and(|run| run.status == Status::Ended(Ending::Failed))
}

/// How the run ended, where it did.
pub(crate) fn ending(status: Status) -> Option<Ending> {
    match status {
        Status::Ended(ending) => Some(ending),
        Status::Running(_) | Status::Waiting(_) => None,
    }
}
