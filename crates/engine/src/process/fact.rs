//! What an event means to a run. Events are written from facts, and read back into them.

use carnet_ledger::{Digest, Object, RefusalClass};

use super::definition::Process;
use super::state::{Ending, GateVerdict, PartStatus};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A run began.
    Started {
        /// Its id.
        run: String,
        /// The digest of its plan.
        plan: Digest,
        /// Whether it only shows what would happen.
        dry_run: bool,
        /// What it runs.
        process: Process,
    },
    /// A run that was cut off, or waited, goes on.
    Resumed,
    /// A phase was entered.
    Entered {
        /// Its name.
        phase: String,
    },
    /// A phase was left: all of it is done.
    Left {
        /// Its name.
        phase: String,
    },
    /// A gate was judged.
    Judged {
        /// Its name.
        gate: String,
        /// What was found.
        verdict: GateVerdict,
    },
    /// A step is about to change something.
    Intent {
        /// Its name.
        step: String,
        /// The same for every repetition of this effect.
        key: String,
        /// What it is given.
        inputs: Object,
    },
    /// A part of a step's work was planned, begun or finished.
    Part {
        /// The step.
        step: String,
        /// Which part.
        part: String,
        /// What became of it.
        status: PartStatus,
        /// What is to be remembered of it.
        facts: Object,
    },
    /// How a step ended.
    Outcome {
        /// Its name.
        step: String,
        /// How.
        result: StepResult,
        /// What came out.
        facts: Object,
        /// Why, where it did not end well.
        reason: String,
    },
    /// The run turns back before the point of no return.
    Stopped {
        /// How it will end.
        ending: Ending,
        /// Why.
        stop: Stop,
    },
    /// A person must act.
    Incident {
        /// About what.
        stop: Stop,
    },
    /// A step is about to be undone.
    UndoIntent {
        /// Its name.
        step: String,
    },
    /// How an undo ended.
    UndoOutcome {
        /// The step.
        step: String,
        /// Whether it was undone.
        done: bool,
        /// What could not be taken away, in words.
        left_behind: Vec<String>,
        /// Why it failed, where it did.
        reason: String,
    },
    /// A person asked for a rollback.
    RollbackStarted,
    /// A run ended.
    Ended {
        /// How.
        ending: Ending,
    },
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepResult {
    /// It is done.
    Applied,
    /// It is not done; what may be left of it is taken away by its undo.
    NotApplied,
    /// Nobody can tell.
    Unknown,
    /// It would be done now (dry run).
    Withheld,
}

/// Why a run does not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// On what ground.
    pub class: RefusalClass,
    /// The stable code.
    pub code: String,
    /// What it is about: a gate, a step.
    pub subject: String,
    /// In words.
    pub reason: String,
    /// What to do about it; empty where that is not known.
    pub remedy: String,
}

impl Fact {
    /// The fact's name, for messages.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Started { .. } => "started",
            Self::Resumed => "resumed",
            Self::Entered { .. } => "phase entered",
            Self::Left { .. } => "phase left",
            Self::Judged { .. } => "gate judged",
            Self::Intent { .. } => "intent",
            Self::Part { .. } => "part",
            Self::Outcome { .. } => "outcome",
            Self::Stopped { .. } => "stopped",
            Self::Incident { .. } => "incident",
            Self::UndoIntent { .. } => "undo intent",
            Self::UndoOutcome { .. } => "undo outcome",
            Self::RollbackStarted => "rollback started",
            Self::Ended { .. } => "ended",
        }
    }
}

impl StepResult {
    /// The word in events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::NotApplied => "not_applied",
            Self::Unknown => "unknown",
            Self::Withheld => "withheld",
        }
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        [Self::Applied, Self::NotApplied, Self::Unknown, Self::Withheld]
            .into_iter()
            .find(|one| one.name() == name)
    }
}
