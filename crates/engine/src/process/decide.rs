//! What a command means for a run: the facts to record, or why it is refused. Pure: recovery
//! applies facts and never decides again.

use carnet_ledger::{Digest, EventTime, Object, RefusalClass};

use super::apply::{Illegal, apply};
use super::definition::Process;
use super::fact::{Fact, StepResult, Stop};
use super::state::{Direction, Ending, GateVerdict, RunState, State, Status};

/// What the driver reports or a person asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Begin a run, or go on with the one that was cut off.
    Run {
        /// The id of a new run.
        run: String,
        /// The digest of the plan.
        plan: Digest,
        /// Whether it only shows what would happen.
        dry_run: bool,
        /// What to run.
        process: Process,
        /// Whether a run that is done is followed by another: a copy is made anew, a migration is
        /// not.
        again: bool,
    },
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
    /// A person asks for a rollback.
    Rollback {
        /// The digest of the plan that is to be taken back.
        plan: Digest,
    },
    /// The run ends.
    End(Ending),
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
    /// There is no run to roll back.
    #[error("there is no run")]
    NoRun,
    /// A run that was taken back cannot be taken back again.
    #[error("the run has already ended without a change to take back")]
    NothingToRollBack,
    /// Nobody knows yet whether a step happened.
    #[error("it is not known yet whether a step happened")]
    Unsettled,
    /// The command does not fit the state: a defect.
    #[error("the command does not fit the state of the run")]
    Illegal(#[from] Illegal),
}

/// Decides what a command means.
pub fn decide(state: &State, command: Command, now: EventTime) -> Result<Vec<Fact>, Refused> {
    let facts = facts_of(state, command)?;
    // A decision is only given out if its facts can be applied, one after the other.
    let mut trial = state.clone();
    for fact in &facts {
        apply(&mut trial, fact, now)?;
    }
    Ok(facts)
}

fn facts_of(state: &State, command: Command) -> Result<Vec<Fact>, Refused> {
    let facts = match command {
        Command::Run { run, plan, dry_run, process, again } => {
            return begin(state, Fact::Started { run, plan, dry_run, process }, plan, again);
        }
        Command::Rollback { plan } => return rollback(state, plan),
        Command::Enter(phase) => vec![Fact::Entered { phase }],
        Command::Leave(phase) => vec![Fact::Left { phase }],
        Command::Judge { gate, verdict, stop } => judge(state, gate, verdict, stop),
        Command::Begin { step, inputs } => {
            let key = key(state, &step);
            vec![Fact::Intent { step, key, inputs }]
        }
        Command::Settle { step, result, facts, why } => settle(state, step, result, facts, why),
        Command::Stop { ending, stop } => vec![turn(state, ending, stop)],
        Command::BeginUndo(step) => vec![Fact::UndoIntent { step }],
        Command::SettleUndo { step, result } => settle_undo(step, result),
        Command::End(ending) => vec![Fact::Ended { ending }],
    };
    Ok(facts)
}

fn begin(state: &State, started: Fact, plan: Digest, again: bool) -> Result<Vec<Fact>, Refused> {
    let Some(held) = &state.run else { return Ok(vec![started]) };
    match held.status {
        Status::Ended(Ending::Refused | Ending::Failed | Ending::RolledBack) => Ok(vec![started]),
        Status::Ended(Ending::Done) if again => Ok(vec![started]),
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

fn rollback(state: &State, plan: Digest) -> Result<Vec<Fact>, Refused> {
    let run = state.run.as_ref().ok_or(Refused::NoRun)?;
    if run.plan != plan {
        return Err(of_another_plan(run, plan));
    }
    let facts = match run.status {
        Status::Running(Direction::Rollback) | Status::Waiting(Direction::Rollback) => {
            vec![Fact::Resumed]
        }
        Status::Ended(Ending::Refused | Ending::Failed | Ending::RolledBack) => {
            return Err(Refused::NothingToRollBack);
        }
        Status::Ended(Ending::Done) | Status::Running(_) | Status::Waiting(_) => {
            vec![Fact::RollbackStarted]
        }
    };
    let mut trial = state.clone();
    let fits = facts.iter().all(|fact| apply(&mut trial, fact, run.started).is_ok());
    if fits { Ok(facts) } else { Err(Refused::Unsettled) }
}

fn judge(state: &State, gate: String, verdict: GateVerdict, stop: Stop) -> Vec<Fact> {
    let opens = verdict.opens;
    let mut facts = vec![Fact::Judged { gate, verdict }];
    if !opens {
        facts.push(turn(state, Ending::Refused, stop));
    }
    facts
}

fn settle(
    state: &State,
    step: String,
    result: StepResult,
    facts: Object,
    why: Option<(Ending, Stop)>,
) -> Vec<Fact> {
    let reason = why.as_ref().map(|(_, why)| why.reason.clone()).unwrap_or_default();
    let outcome = Fact::Outcome { step, result, facts, reason };
    match (result, why) {
        (StepResult::Unknown, Some((_, why))) => vec![outcome, Fact::Incident { stop: why }],
        (StepResult::NotApplied, Some((ending, why))) => {
            vec![outcome, turn(state, ending, why)]
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

/// Before the point of no return the run turns back; behind it a person decides.
fn turn(state: &State, ending: Ending, stop: Stop) -> Fact {
    if state.run.as_ref().is_some_and(|run| run.committed) {
        Fact::Incident { stop }
    } else {
        Fact::Stopped { ending, stop }
    }
}

/// The key by which a resource can tell a repetition: the same for each attempt at one intent.
fn key(state: &State, step: &str) -> String {
    let run: Option<&RunState> = state.run.as_ref();
    format!("{}/{step}", run.map_or("", |run| run.id.as_str()))
}

impl Stop {
    /// A stop for which evidence that must be there first is missing or does not hold.
    pub fn precondition(code: &str, subject: &str, reason: String, remedy: String) -> Self {
        let class = RefusalClass::EvidencePreconditionFailed;
        Self { class, code: code.to_owned(), subject: subject.to_owned(), reason, remedy }
    }
}
