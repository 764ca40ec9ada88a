//! What an event means to a run. Events are written from facts, and read back into them.

use std::sync::Arc;

use carnet_ledger::{Digest, EventTime, Object, RefusalClass};

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
        /// The object with the text of the plan.
        document: Digest,
        /// Whether it only shows what would happen.
        dry_run: bool,
        /// Whose key signed the start; `None` if nobody's did.
        initiator: Option<String>,
        /// The object with the keys that the plan believes; `None` if it names none.
        trust: Option<Digest>,
        /// What it runs.
        process: Arc<Process>,
    },
    /// A run that was cut off, or waited, goes on.
    Resumed,
    /// The run goes on under another plan, which changes nothing that has begun.
    Amended {
        /// The digest of the new plan.
        plan: Digest,
        /// The object with the text of the plan.
        document: Digest,
        /// The object with the keys that it believes; `None` if it names none.
        trust: Option<Digest>,
        /// What it runs from now on.
        process: Arc<Process>,
    },
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
    /// A branch was taken.
    Chosen {
        /// The choice.
        choice: String,
        /// The branch.
        branch: String,
        /// Why, in words.
        reason: String,
    },
    /// A timer was set.
    TimerSet {
        /// Its name.
        timer: String,
        /// When it is due.
        due: EventTime,
    },
    /// A timer is over.
    TimerOver {
        /// Its name.
        timer: String,
    },
    /// Word came from outside.
    Received {
        /// The message.
        message: String,
        /// What was said.
        reason: String,
    },
    /// A person holds a phase up.
    Blocked {
        /// The phase.
        phase: String,
        /// Who says so.
        by: String,
        /// Why.
        reason: String,
    },
    /// A person lets a phase go on.
    Unblocked {
        /// The phase.
        phase: String,
        /// Who says so.
        by: String,
        /// Why.
        reason: String,
    },
    /// A person keeps a decision or an action for those who come after.
    Noted {
        /// The phase that was open.
        phase: String,
        /// `decision` or `action`.
        kind: NoteKind,
        /// Who says so.
        by: String,
        /// What.
        text: String,
    },
    /// The point of no automatic return was passed.
    Committed {
        /// Its name.
        node: String,
    },
    /// A person approved.
    Approved(Approval),
    /// A person took an approval back.
    Withdrawn {
        /// What was approved.
        subject: String,
        /// Who.
        approver: String,
        /// The plan that had been approved.
        plan: Digest,
        /// The gates with their verdicts, as they had been seen.
        gate_table: Digest,
        /// Why.
        reason: String,
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
    /// A person asked for one incident to be tried again.
    Retried {
        /// What it is about.
        subject: String,
    },
    /// A person decided an incident without the engine.
    Settled {
        /// The step.
        step: String,
        /// What became of it.
        by_hand: ByHand,
        /// Who says so.
        by: String,
        /// Why.
        reason: String,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

/// What a note is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoteKind {
    /// What was decided, and why.
    Decision,
    /// What was done.
    Action,
    /// What was cleaned up before something that failed is done again.
    Reset,
}

impl NoteKind {
    /// The word in events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Decision => "decision",
            Self::Action => "action",
            Self::Reset => "reset",
        }
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        [Self::Decision, Self::Action, Self::Reset].into_iter().find(|one| one.name() == name)
    }
}

/// What a person says became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ByHand {
    /// It is done: seen, or done by hand.
    Applied,
    /// It is not done.
    NotApplied,
    /// It was undone by hand.
    Undone,
    /// Its undo is skipped: it stays as it is.
    LeftStanding,
}

/// A person's consent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// What is approved: an approval gate, `amendment`, or the undo that is skipped.
    pub subject: String,
    /// Who, as the trust file names them.
    pub approver: String,
    /// The key that signed it; `None` if nobody's did.
    pub key: Option<String>,
    /// The digest of the plan that is approved.
    pub plan: Digest,
    /// The digest of the gates with their verdicts, as the person saw them.
    pub gate_table: Digest,
    /// When it was given.
    pub at: EventTime,
    /// Until when it counts.
    pub expires: EventTime,
    /// The statement and its signature, as an object of the evidence.
    pub statement: Digest,
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
            Self::Amended { .. } => "amended",
            Self::Entered { .. } => "phase entered",
            Self::Left { .. } => "phase left",
            Self::Judged { .. } => "gate judged",
            Self::Chosen { .. } => "branch chosen",
            Self::TimerSet { .. } => "timer set",
            Self::TimerOver { .. } => "timer over",
            Self::Received { .. } => "message received",
            Self::Blocked { .. } => "phase blocked",
            Self::Unblocked { .. } => "phase unblocked",
            Self::Noted { .. } => "note",
            Self::Committed { .. } => "committed",
            Self::Approved(_) => "approved",
            Self::Withdrawn { .. } => "approval withdrawn",
            Self::Intent { .. } => "intent",
            Self::Part { .. } => "part",
            Self::Outcome { .. } => "outcome",
            Self::Stopped { .. } => "stopped",
            Self::Incident { .. } => "incident",
            Self::Retried { .. } => "incident retried",
            Self::Settled { .. } => "settled by hand",
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

impl ByHand {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Applied, Self::NotApplied, Self::Undone, Self::LeftStanding];

    /// The word in events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::NotApplied => "not_applied",
            Self::Undone => "undone",
            Self::LeftStanding => "left_standing",
        }
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }
}
