//! What a command means for a run: the facts to record, or why it is refused. Pure: recovery
//! applies facts and never decides again.

use std::sync::Arc;

use carnet_ledger::{Digest, EventTime, Object, RefusalClass};

use super::definition::{Due, NodeKind, Part, Process};
use super::fact::{Approval, ByHand, Fact, NoteKind, StepResult, Stop};
use super::legal::{Illegal, check, is_unsettled, turns_back};
use super::programme::Missing;
use super::state::{
    Direction, Ending, GateVerdict, NodeState, RunState, State, Status, TimerState,
};

/// What the driver reports or a person asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Begin a run, or go on with the one that was cut off.
    Run(Start),
    /// Enter a phase.
    Enter(String),
    /// Leave a phase.
    Leave(String),
    /// A gate was judged.
    Judge {
        /// The gate.
        gate: String,
        /// What was found.
        verdict: GateVerdict,
        /// What a closed gate means.
        stop: Stop,
    },
    /// A branch was chosen.
    Choose {
        /// The choice.
        choice: String,
        /// The branch.
        branch: String,
        /// Why, in words.
        reason: String,
    },
    /// The run got to a timer.
    SetTimer(String),
    /// A timer is due.
    EndTimer(String),
    /// Word came from outside.
    Send {
        /// The message.
        message: String,
        /// What was said.
        reason: String,
    },
    /// A person holds a phase up.
    Block {
        /// The phase.
        phase: String,
        /// Who says so.
        by: String,
        /// Why.
        reason: String,
    },
    /// A person lets a phase go on.
    Unblock {
        /// The phase.
        phase: String,
        /// Who says so.
        by: String,
        /// Why.
        reason: String,
    },
    /// A person keeps something for those who come after.
    Note {
        /// What it is about.
        kind: NoteKind,
        /// Who says so.
        by: String,
        /// What.
        text: String,
    },
    /// The run got to the point of no automatic return.
    Commit(String),
    /// A step is to begin.
    Begin {
        /// The step.
        step: String,
        /// What it is given.
        inputs: Object,
    },
    /// A step ended, or was not done in a dry run.
    Settle {
        /// The step.
        step: String,
        /// How.
        result: StepResult,
        /// What came out.
        facts: Object,
        /// Why, where it did not end well.
        why: Option<(Ending, Stop)>,
    },
    /// A person has to do something before a step can begin.
    Hold(Stop),
    /// A step cannot even begin.
    Stop {
        /// How the run will end.
        ending: Ending,
        /// Why.
        stop: Stop,
    },
    /// An undo is to begin.
    BeginUndo(String),
    /// An undo ended.
    SettleUndo {
        /// The step.
        step: String,
        /// What could not be taken away; or why it failed.
        result: Result<Vec<String>, Stop>,
    },
    /// A person approves; the signature was verified.
    Approve(Approval),
    /// A person takes an approval back.
    Withdraw {
        /// What was approved.
        subject: String,
        /// Who.
        approver: String,
        /// Why.
        reason: String,
    },
    /// A person asks for an incident to be tried again.
    Retry(String),
    /// A person decides an incident without the engine.
    SettleByHand {
        /// The step.
        step: String,
        /// What became of it.
        by_hand: ByHand,
        /// Who says so.
        by: String,
        /// Why.
        reason: String,
    },
    /// A person asks for a rollback.
    Rollback {
        /// The digest of the plan that is to be taken back.
        plan: Digest,
    },
    /// The run ends.
    End(Ending),
}

/// What a run is started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The id of a new run.
    pub run: String,
    /// The digest of the plan.
    pub plan: Digest,
    /// The object with the text of the plan.
    pub document: Digest,
    /// The plan that it amends; the run of that one goes on under this one.
    pub amends: Option<Digest>,
    /// Whether it only shows what would happen.
    pub dry_run: bool,
    /// Whose key signed the start; `None` if nobody's did.
    pub initiator: Option<String>,
    /// The object with the keys that the plan believes; `None` if it names none.
    pub trust: Option<Digest>,
    /// What to run.
    pub process: Arc<Process>,
    /// Whether a run that is done is followed by another: a copy is made anew, a migration is not.
    pub again: bool,
}

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A run that is not finished was started under another plan.
    #[error("the run that is not finished was started under another plan")]
    PlanChanged {
        /// The digest of the plan that was started.
        started: Digest,
        /// The digest of the plan of now.
        now: Digest,
    },
    /// The amended plan changes what has begun.
    #[error("the amended plan changes a phase that has begun")]
    AmendsBegun {
        /// The digest of the plan that was started.
        started: Digest,
        /// The digest of the plan of now.
        now: Digest,
    },
    /// The log was made for another evidence profile, or another way of hashing, than the plan asks
    /// for. A log keeps its own.
    #[error("the evidence log was made for {log}, and the plan asks for {plan}")]
    OtherLog {
        /// What the log was made for.
        log: String,
        /// What the plan asks for.
        plan: String,
    },
    /// A run of another plan is done here.
    #[error("the run that is done was one of another plan")]
    DoneUnderAnother {
        /// The digest of the plan that is done.
        done: Digest,
        /// The digest of the plan of now.
        now: Digest,
    },
    /// The run of this plan is done.
    #[error("the run is done")]
    Done,
    /// There is no run.
    #[error("there is no run")]
    NoRun,
    /// A run that was taken back cannot be taken back again.
    #[error("the run has already ended without a change to take back")]
    NothingToRollBack,
    /// Nobody knows yet whether a step happened.
    #[error("it is not known yet whether a step happened")]
    Unsettled,
    /// The timer is not due.
    #[error("{timer} is due at {due}")]
    NotDue {
        /// The timer.
        timer: String,
        /// When it is due.
        due: EventTime,
    },
    /// The approval is for another plan, or has expired.
    #[error("the approval of {subject} does not count: {reason}")]
    NotApproved {
        /// What was to be approved.
        subject: String,
        /// Why it does not count.
        reason: String,
    },
    /// Something that must be approved first is not.
    #[error("{subject} is not approved")]
    Unapproved {
        /// What must be approved.
        subject: String,
    },
    /// A phase cannot be set active, or confirmed, yet.
    #[error("{phase} cannot be {act} yet")]
    Unready {
        /// The phase.
        phase: String,
        /// What was asked for.
        act: &'static str,
        /// What is missing, each with its remedy.
        missing: Vec<Missing>,
    },
    /// A file that the plan is pinned to has changed.
    #[error("{count} changed", count = counted(files))]
    Drifted {
        /// The files.
        files: Vec<String>,
        /// What can be done about it.
        remedy: String,
    },
    /// A person's command does not fit what the run waits for.
    #[error("{reason}")]
    NotNow {
        /// Why not.
        reason: String,
    },
    /// The command does not fit the state: a defect, or something that is not to be decided now.
    #[error("the command does not fit the state of the run")]
    Illegal(#[from] Illegal),
}

fn counted(files: &[String]) -> String {
    let verb = if files.len() == 1 { "is pinned and has" } else { "are pinned and have" };
    format!("{} {verb}", files.join(", "))
}

/// Decides what a command means. The first fact was checked against the state; those behind it
/// follow from it.
pub fn decide(state: &State, command: Command, now: EventTime) -> Result<Vec<Fact>, Refused> {
    let facts = facts_of(state, command, now)?;
    if let Some(first) = facts.first() {
        check(state, first)?;
    }
    Ok(facts)
}

fn facts_of(state: &State, command: Command, now: EventTime) -> Result<Vec<Fact>, Refused> {
    let run = state.run.as_ref();
    let facts = match command {
        Command::Run(start) => return begin(run, start),
        Command::Rollback { plan } => return rollback(run, plan),
        Command::Enter(phase) => vec![Fact::Entered { phase }],
        Command::Leave(phase) => vec![Fact::Left { phase }],
        Command::Judge { gate, verdict, stop } => judge(run, gate, verdict, stop),
        Command::Choose { choice, branch, reason } => {
            vec![Fact::Chosen { choice, branch, reason }]
        }
        Command::SetTimer(timer) => vec![set_timer(run, timer, now)],
        Command::EndTimer(timer) => vec![end_timer(run, timer, now)?],
        Command::Send { message, reason } => vec![Fact::Received { message, reason }],
        Command::Block { phase, by, reason } => vec![Fact::Blocked { phase, by, reason }],
        Command::Unblock { phase, by, reason } => vec![Fact::Unblocked { phase, by, reason }],
        Command::Note { kind, by, text } => {
            let phase = run.and_then(RunState::open_or_last).unwrap_or_default().to_owned();
            vec![Fact::Noted { phase, kind, by, text }]
        }
        Command::Commit(node) => vec![Fact::Committed { node }],
        Command::Begin { step, inputs } => {
            let key = key(run, &step);
            vec![Fact::Intent { step, key, inputs }]
        }
        Command::Settle { step, result, facts, why } => settle(run, step, result, facts, why),
        Command::Hold(stop) => vec![Fact::Incident { stop }],
        Command::Stop { ending, stop } => vec![turn(run, ending, stop)],
        Command::BeginUndo(step) => vec![Fact::UndoIntent { step }],
        Command::SettleUndo { step, result } => settle_undo(step, result),
        Command::Approve(approval) => vec![approve(run, approval, now)?],
        Command::Withdraw { subject, approver, reason } => {
            vec![withdraw(run, subject, approver, reason)]
        }
        Command::Retry(subject) => vec![Fact::Retried { subject }],
        Command::SettleByHand { step, by_hand, by, reason } => {
            vec![Fact::Settled { step, by_hand, by, reason }]
        }
        Command::End(ending) => vec![Fact::Ended { ending }],
    };
    Ok(facts)
}

fn begin(run: Option<&RunState>, start: Start) -> Result<Vec<Fact>, Refused> {
    let Start { run: id, plan, document, amends, dry_run, initiator, trust, process, again } =
        start;
    let started =
        |process| Fact::Started { run: id, plan, document, dry_run, initiator, trust, process };
    let Some(held) = run else { return Ok(vec![started(process)]) };
    match held.status {
        Status::Ended(Ending::Refused | Ending::Failed | Ending::RolledBack) => {
            Ok(vec![started(process)])
        }
        Status::Ended(Ending::Done) if again => Ok(vec![started(process)]),
        Status::Running(_) | Status::Waiting(_) if amends == Some(held.plan) => {
            let amended = Fact::Amended { plan, document, trust, process };
            let state = State { run: Some(held.clone()), runs: 1, ..State::default() };
            match check(&state, &amended) {
                Ok(()) => Ok(vec![amended, Fact::Resumed]),
                Err(_) => Err(Refused::AmendsBegun { started: held.plan, now: plan }),
            }
        }
        Status::Ended(Ending::Done) | Status::Running(_) | Status::Waiting(_)
            if held.plan != plan =>
        {
            Err(of_another_plan(held, plan))
        }
        Status::Ended(Ending::Done) => Err(Refused::Done),
        Status::Running(_) | Status::Waiting(_) => Ok(vec![Fact::Resumed]),
    }
}

/// Why a run may not be gone on with, or taken back, under a plan that is not its own.
fn of_another_plan(run: &RunState, now: Digest) -> Refused {
    match run.status {
        Status::Ended(Ending::Done) => Refused::DoneUnderAnother { done: run.plan, now },
        Status::Ended(_) | Status::Running(_) | Status::Waiting(_) => {
            Refused::PlanChanged { started: run.plan, now }
        }
    }
}

fn rollback(run: Option<&RunState>, plan: Digest) -> Result<Vec<Fact>, Refused> {
    let run = run.ok_or(Refused::NoRun)?;
    if run.plan != plan {
        return Err(of_another_plan(run, plan));
    }
    match run.status {
        Status::Running(Direction::Rollback) | Status::Waiting(Direction::Rollback) => {
            Ok(vec![Fact::Resumed])
        }
        Status::Ended(Ending::Refused | Ending::Failed | Ending::RolledBack) => {
            Err(Refused::NothingToRollBack)
        }
        Status::Ended(Ending::Done) | Status::Running(_) | Status::Waiting(_)
            if is_unsettled(run) =>
        {
            Err(Refused::Unsettled)
        }
        Status::Ended(Ending::Done) | Status::Running(_) | Status::Waiting(_) => {
            Ok(vec![Fact::RollbackStarted])
        }
    }
}

/// A gate that asks for what people still have to do lets the run wait; every other one that is
/// closed stops it.
fn judge(run: Option<&RunState>, gate: String, verdict: GateVerdict, stop: Stop) -> Vec<Fact> {
    let opens = verdict.opens;
    let waits = run.and_then(|run| run.node(&gate)).is_some_and(|(_, node)| {
        node.kind == NodeKind::Gate { closed: super::definition::Closed::Wait }
    });
    let mut facts = vec![Fact::Judged { gate, verdict }];
    if !opens {
        let follows =
            if waits { Fact::Incident { stop } } else { turn(run, Ending::Refused, stop) };
        facts.push(follows);
    }
    facts
}

fn set_timer(run: Option<&RunState>, timer: String, now: EventTime) -> Fact {
    let due = match run.and_then(|run| run.node(&timer)).map(|(_, node)| &node.kind) {
        Some(NodeKind::Timer(Due::At { time })) => *time,
        Some(NodeKind::Timer(Due::After { seconds })) => {
            let millis = i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX);
            let due = now.unix_millis().saturating_add(millis);
            // A moment behind the year 9999 is not reached; now is not late for it.
            EventTime::from_unix_millis(due).unwrap_or(now)
        }
        Some(
            NodeKind::Gate { .. }
            | NodeKind::Step { .. }
            | NodeKind::Choice { .. }
            | NodeKind::Message
            | NodeKind::Commit,
        )
        | None => now,
    };
    Fact::TimerSet { timer, due }
}

/// Nothing promotes itself: a timer is over when its moment has come, and only in a dry run before.
fn end_timer(run: Option<&RunState>, timer: String, now: EventTime) -> Result<Fact, Refused> {
    let held = run.and_then(|run| run.at(run.node(&timer)?.0));
    let dry_run = run.is_some_and(|run| run.dry_run);
    if let Some(NodeState::Timer(TimerState::Set { due })) = held
        && *due > now
        && !dry_run
    {
        return Err(Refused::NotDue { timer, due: *due });
    }
    Ok(Fact::TimerOver { timer })
}

/// An approval counts for the plan that it names, and until it expires.
fn approve(run: Option<&RunState>, approval: Approval, now: EventTime) -> Result<Fact, Refused> {
    let run = run.ok_or(Refused::NoRun)?;
    let reason = if approval.subject != AMENDMENT && approval.plan != run.plan {
        Some("it names another plan")
    } else if approval.expires <= now {
        Some("it has expired")
    } else {
        None
    };
    let subject = approval.subject.clone();
    match reason {
        Some(reason) => Err(Refused::NotApproved { subject, reason: reason.to_owned() }),
        None => Ok(Fact::Approved(approval)),
    }
}

fn withdraw(run: Option<&RunState>, subject: String, approver: String, reason: String) -> Fact {
    let mut held = run.into_iter().flat_map(|run| &run.approvals);
    let held = held.find(|it| it.subject == subject && it.approver == approver);
    // Without one the fact is refused as illegal.
    let nothing = Digest([0; 32]);
    let (plan, gate_table) = held.map_or((nothing, nothing), |held| (held.plan, held.gate_table));
    Fact::Withdrawn { subject, approver, plan, gate_table, reason }
}

/// The subject of an approval that lets a run go on under another plan: the one that it names.
pub const AMENDMENT: &str = carnet_model::plan::AMENDMENT;

fn settle(
    run: Option<&RunState>,
    step: String,
    result: StepResult,
    facts: Object,
    why: Option<(Ending, Stop)>,
) -> Vec<Fact> {
    let reason = why.as_ref().map(|(_, why)| why.reason.clone()).unwrap_or_default();
    let covered = run.is_some_and(|run| is_covered(run, &step));
    let outcome = Fact::Outcome { step, result, facts, reason };
    match (result, why) {
        (StepResult::Unknown, Some((_, why))) => vec![outcome, Fact::Incident { stop: why }],
        // It ended while the run was on its way back: undo takes away what is left of it.
        (StepResult::NotApplied, Some(_)) if covered => vec![outcome],
        (StepResult::NotApplied, Some((ending, why))) => {
            vec![outcome, turn(run, ending, why)]
        }
        (
            StepResult::Applied
            | StepResult::Withheld
            | StepResult::Unknown
            | StepResult::NotApplied,
            _,
        ) => vec![outcome],
    }
}

/// Whether the run goes back and the step lies on the way that is undone.
fn is_covered(run: &RunState, step: &str) -> bool {
    let place = run.node(step).map(|(place, _)| place.phase);
    let part = place.and_then(|phase| run.process.phases.get(phase)).map(|phase| phase.part);
    run.goes_back() && part == Some(Part::Forward)
}

fn settle_undo(step: String, result: Result<Vec<String>, Stop>) -> Vec<Fact> {
    match result {
        Ok(left_behind) => {
            let reason = String::new();
            vec![Fact::UndoOutcome { step, done: true, left_behind, reason }]
        }
        Err(why) => {
            let reason = why.reason.clone();
            let left_behind = Vec::new();
            let outcome = Fact::UndoOutcome { step, done: false, left_behind, reason };
            vec![outcome, Fact::Incident { stop: why }]
        }
    }
}

/// Before the point of no return the run turns back; behind it, where the phase says so, and in the
/// rollback procedure a person decides.
fn turn(run: Option<&RunState>, ending: Ending, stop: Stop) -> Fact {
    if run.is_some_and(|run| turns_back(run, &stop.subject)) {
        Fact::Stopped { ending, stop }
    } else {
        Fact::Incident { stop }
    }
}

/// The key by which a resource can tell a repetition: the same for each attempt at one intent.
fn key(run: Option<&RunState>, step: &str) -> String {
    let id = run.map_or("", |run| run.id.as_str());
    let before = run.and_then(|run| run.step(step)).map_or(0, |step| step.activations);
    format!("{id}/{step}/{}", before + 1)
}

impl Stop {
    /// A stop for which evidence that must be there first is missing or does not hold.
    pub fn precondition(code: &str, subject: &str, reason: String, remedy: String) -> Self {
        let class = RefusalClass::EvidencePreconditionFailed;
        Self { class, code: code.to_owned(), subject: subject.to_owned(), reason, remedy }
    }
}
