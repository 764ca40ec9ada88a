//! The acts of people in a programme, and where its phases stand.

use carnet_connect::Outside;
use carnet_ledger::{Digest, Event};
use carnet_model::plan::{Plan, Programme, WrittenPhase};
use schemars::JsonSchema;
use serde::Serialize;

use super::super::people::PeopleRequest;
use super::super::recorder::Note;
use super::super::{Engine, programme::drift};
use super::{confirmed, contract, excepted};
use crate::error::{EngineError, StepError};
use crate::gate::Surroundings;
use carnet_journal::{LogPlace, LogReader};
use carnet_process::{
    Command, Fact, Missing, NoteKind, Refused, RunState, Transition, read_fact, standings_of,
    transition,
};

/// Where the phases of a programme stand.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Programme")]
pub struct ProgrammeReport {
    /// The migration.
    pub migration: String,
    /// The phases, in order.
    pub phases: Vec<PhaseRow>,
    /// What can be done next; absent where nothing can.
    pub next: Option<NextAct>,
}

/// A phase of a programme.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "ProgrammePhase")]
pub struct PhaseRow {
    /// Its name.
    pub phase: String,
    /// Its canonical ids.
    pub phase_id: Vec<String>,
    /// What it is for.
    pub does: String,
    /// `NOT_STARTED`, `ACTIVE`, `DONE` or `BLOCKED`.
    pub status: &'static str,
    /// Why it is blocked.
    pub reason: Option<String>,
    /// Whether it is not written out yet.
    pub gate_level: bool,
    /// How far it may be repeated.
    pub retry: Option<&'static str>,
    /// The paths of its evidence contract.
    pub evidence: Vec<String>,
    /// How many notes were kept in it.
    pub notes: u64,
}

/// The next act, and what is missing before it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct NextAct {
    /// The phase.
    pub phase: String,
    /// What becomes of it: `set active` or `confirmed`.
    pub act: &'static str,
    /// What is missing.
    pub missing: Vec<MissingRow>,
}

/// Something that is missing.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Missing")]
pub struct MissingRow {
    /// What.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

/// What an advance has done.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Advanced {
    /// The phase.
    pub phase: String,
    /// What became of it: `set active` or `confirmed`.
    pub act: &'static str,
    /// Who did it.
    pub by: String,
}

/// A note of the log.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "Note")]
pub struct NoteRow {
    /// The event that holds it.
    pub event: u64,
    /// When it was kept.
    pub at: String,
    /// The phase that was open.
    pub phase: String,
    /// `decision`, `action` or `reset`.
    pub kind: &'static str,
    /// Who says so.
    pub by: String,
    /// What.
    pub text: String,
}

impl Engine {
    /// Where the phases stand, and what is missing before the next act. Only looks.
    pub fn programme(
        &self,
        request: &PeopleRequest<'_>,
        outside: &dyn Outside,
    ) -> Result<ProgrammeReport, EngineError> {
        let plan = request.plan;
        let programme = programme_of(plan)?;
        let found = match self.read() {
            Ok((log, run)) => Some((log, run)),
            Err(EngineError::NoRun(_)) => None,
            Err(error) => return Err(error),
        };
        let run = found.as_ref().map(|(_, run)| run);
        let next = match found.as_ref() {
            Some((log, run)) => {
                let object = |digest: Digest| log.object(digest).ok();
                let next = next(request, programme, &self.around(request, outside), run, &object)?;
                next.map(|(next, drifted)| {
                    let drifted = drifted.map(|it| {
                        let what = it.to_string();
                        let remedy = EngineError::from(it).remedy();
                        Missing::new(what, remedy.unwrap_or_default())
                    });
                    let missing = next.missing.into_iter().chain(drifted).map(row);
                    NextAct { phase: next.phase, act: next.act.done(), missing: missing.collect() }
                })
            }
            None => None,
        };
        let written = plan.document().phases().map(|it| it.phases.as_slice()).unwrap_or_default();
        let phases = written.iter().map(|phase| phase_row(phase, run)).collect();
        Ok(ProgrammeReport { migration: plan.document().migration.to_string(), phases, next })
    }

    /// Sets the next phase active, or confirms the one that is active, once nothing is missing.
    pub fn advance(
        &self,
        request: &PeopleRequest<'_>,
        outside: &dyn Outside,
        by: &str,
        reason: &str,
    ) -> Result<Advanced, EngineError> {
        let programme = programme_of(request.plan)?;
        let desk = self.desk(request)?;
        let run = desk.run().ok_or(Refused::NoRun)?;
        let around = self.around(request, outside);
        // Before it is judged: what changes in between is seen then or later.
        let evidence = evidence(request, programme, &around, &run);
        let next = next(request, programme, &around, &run, &|digest| desk.object(digest).ok());
        let mut done = None;
        let command = match next {
            Err(unseen) => Err(unseen),
            Ok(None) => Err(not_now("no phase can be set active or confirmed").into()),
            Ok(Some((_, Some(drifted)))) => Err(drifted.into()),
            Ok(Some((Transition { phase, act, missing, .. }, None))) if !missing.is_empty() => {
                Err(Refused::Unready { phase, act: act.done(), missing }.into())
            }
            Ok(Some((Transition { phase, message, act, .. }, None))) => {
                let said = if reason.is_empty() { String::new() } else { format!(": {reason}") };
                let reason = format!("{} by {by}{said}", act.done());
                done = Some(Advanced { phase, act: act.done(), by: by.to_owned() });
                Ok(Command::Send { message, reason })
            }
        };
        let (command, evidence) = match evidence {
            Ok(evidence) => (command, evidence),
            Err(error) => (command.and(Err(error.into())), Vec::new()),
        };
        self.give_beside(request, &desk, "advance", command, evidence)?;
        done.ok_or_else(|| not_now("nothing was done").into())
    }

    /// Holds a phase up, or lets it go on.
    pub fn hold_up(
        &self,
        request: &PeopleRequest<'_>,
        phase: &str,
        held: bool,
        by: &str,
        reason: &str,
    ) -> Result<(), EngineError> {
        programme_of(request.plan)?;
        let desk = self.desk(request)?;
        let (phase, by, reason) = (phase.to_owned(), by.to_owned(), reason.to_owned());
        let (asked, command) = if held {
            ("block", Command::Block { phase, by, reason })
        } else {
            ("unblock", Command::Unblock { phase, by, reason })
        };
        self.give(request, &desk, asked, Ok(command))
    }

    /// Keeps a note.
    pub fn note(
        &self,
        request: &PeopleRequest<'_>,
        kind: NoteKind,
        by: &str,
        text: &str,
    ) -> Result<(), EngineError> {
        let desk = self.desk(request)?;
        let (by, text) = (by.to_owned(), text.to_owned());
        self.give(request, &desk, "note", Ok(Command::Note { kind, by, text }))
    }

    fn around<'a>(
        &'a self,
        request: &PeopleRequest<'a>,
        outside: &'a dyn Outside,
    ) -> Surroundings<'a> {
        Surroundings { folder: request.folder, outside, clock: self.clock.as_ref() }
    }

    /// The digest of the plan that the run is under.
    pub fn plan_of_run(&self) -> Result<Digest, EngineError> {
        self.read().map(|(_, run)| run.plan)
    }
}

/// All notes of a log, oldest first. The chain is computed again on the way.
pub fn kept_notes(place: impl Into<LogPlace>) -> Result<Vec<NoteRow>, EngineError> {
    let place = place.into();
    let log = LogReader::open(&place)?.ok_or_else(|| EngineError::NoRun(place.shown()))?;
    let mut found = Vec::new();
    log.verify(&mut |event: &Event| -> Result<(), EngineError> {
        let fact = read_fact(event, &|digest| log.object(digest).ok())?;
        if let Some(Fact::Noted { phase, kind, by, text }) = fact {
            let at = event.occurred_at.to_string();
            found.push(NoteRow { event: event.sequence, at, phase, kind: kind.name(), by, text });
        }
        Ok(())
    })?;
    Ok(found)
}

fn programme_of(plan: &Plan) -> Result<&Programme, EngineError> {
    plan.programme().ok_or_else(|| not_now("the plan is no programme").into())
}

fn not_now(reason: &str) -> Refused {
    Refused::NotNow { reason: reason.to_owned() }
}

/// The next act, with all that is missing before it; and the drift that stands against any act.
fn next(
    request: &PeopleRequest<'_>,
    programme: &Programme,
    around: &Surroundings<'_>,
    run: &RunState,
    object: &dyn Fn(Digest) -> Option<Vec<u8>>,
) -> Result<Option<(Transition, Option<Refused>)>, EngineError> {
    let Some(mut next) = transition(run) else { return Ok(None) };
    let drifted = drift::of_run(request.plan, run, object);
    let drifted = (!drifted.is_empty()).then(|| drift::refused(&drifted));
    next.missing.extend(confirmed::changed(programme, run, around)?);
    if next.act == carnet_process::Act::Confirm
        && let Some(phase) = request.plan.written_phase(&next.phase)
    {
        next.missing.extend(contract::missing(programme, phase, around)?);
        next.missing.extend(excepted::open(request.plan, run, &next.phase, around));
    }
    Ok(Some((next, drifted)))
}

/// What is put on record of the evidence of a phase that is confirmed.
fn evidence(
    request: &PeopleRequest<'_>,
    programme: &Programme,
    around: &Surroundings<'_>,
    run: &RunState,
) -> Result<Vec<Note>, StepError> {
    let next = transition(run).filter(|next| next.act == carnet_process::Act::Confirm);
    match next.and_then(|next| request.plan.written_phase(&next.phase)) {
        Some(phase) => confirmed::notes(programme, phase, around),
        None => Ok(Vec::new()),
    }
}

fn row(missing: Missing) -> MissingRow {
    MissingRow { what: missing.what, remedy: missing.remedy }
}

fn phase_row(phase: &WrittenPhase, run: Option<&RunState>) -> PhaseRow {
    let name = phase.name.as_str();
    let standings = run.map(standings_of).unwrap_or_default();
    let found = standings.into_iter().find(|(it, _)| *it == name).map(|(_, standing)| standing);
    let standing = found.unwrap_or(carnet_process::PhaseStanding::NotStarted);
    let blocked = standing == carnet_process::PhaseStanding::Blocked;
    let reason = run.filter(|_| blocked).and_then(|run| {
        let block = run.blocks.get(name).map(|it| format!("{}: {}", it.by, it.reason));
        block.or_else(|| run.waits_for().map(|stop| format!("{}: {}", stop.code, stop.reason)))
    });
    PhaseRow {
        phase: name.to_owned(),
        phase_id: phase.phase_id.iter().map(ToString::to_string).collect(),
        does: phase.does.as_ref().map(ToString::to_string).unwrap_or_default(),
        status: standing.name(),
        reason,
        gate_level: phase.gate_level.is_some(),
        retry: phase.posture.as_ref().map(|posture| posture.retry.name()),
        evidence: phase.evidence.iter().map(|file| file.path.to_string()).collect(),
        notes: run.and_then(|run| run.notes.get(name)).copied().unwrap_or_default(),
    }
}
