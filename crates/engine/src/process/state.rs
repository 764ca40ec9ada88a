//! The state of a run: what its events add up to. Everything here survives a crash, because
//! nothing here is set but by an event that is already durable.

use std::collections::BTreeMap;

use carnet_ledger::{Digest, EventTime, Object};

use super::definition::{Node, Process, Undo};
use super::fact::Stop;

/// What a log adds up to: the last run in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// The last run; `None` before the first.
    pub run: Option<RunState>,
    /// How many runs there were.
    pub runs: u64,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunState {
    /// The id that all its events share.
    pub id: String,
    /// The digest of the plan that it runs.
    pub plan: Digest,
    /// Whether it only shows what would happen.
    pub dry_run: bool,
    /// What it runs.
    pub process: Process,
    /// Where it stands.
    pub status: Status,
    /// One for each phase of the process.
    pub phases: Vec<PhaseState>,
    /// One for each node of the process, all phases together.
    pub nodes: Vec<NodeState>,
    /// The steps that must be undone on the way back, oldest first.
    pub undo: Vec<usize>,
    /// Whether the point of no automatic return was passed.
    pub committed: bool,
    /// Why it went back, where it did.
    pub stop: Option<Stop>,
    /// What waits for a person.
    pub waits_for: Option<Stop>,
    /// What undo could not take away, in words.
    pub left_behind: Vec<String>,
    /// How often it went on after it was cut off.
    pub resumes: u64,
    /// When it began.
    pub started: EventTime,
    /// When it ended.
    pub ended: Option<EventTime>,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Work is to be done. Set by the start, by each resume, and by a stop or a rollback, which
    /// turn its direction. After a crash the next `run` continues.
    Running(Direction),
    /// A person must act. Set by an incident: an outcome that nobody knows, an undo that failed, a
    /// failure behind the point of no return. The next `run` looks again.
    Waiting(Direction),
    /// Nothing is left to do. Set by the end.
    Ended(Ending),
}

/// Which way a run goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Through the phases.
    Forward,
    /// Back, because something was refused or failed; then it ends so.
    Undo(Ending),
    /// Back, because a person asked for a rollback.
    Rollback,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Every phase is done.
    Done,
    /// A gate, a policy, a loss or a difference stopped it; what it had done was undone.
    Refused,
    /// Something broke; what it had done was undone.
    Failed,
    /// A person took it back.
    RolledBack,
}

/// One phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhaseState {
    /// Where it stands.
    pub status: PhaseStatus,
    /// When it was entered.
    pub entered: Option<EventTime>,
    /// When it was left.
    pub left: Option<EventTime>,
}

/// Where a phase stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PhaseStatus {
    /// Set by the start of the run.
    NotStarted,
    /// Set when the phase is entered. At most one phase is active.
    Active,
    /// Set when all its gates have passed and all its steps were applied.
    Done,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeState {
    /// A gate.
    Gate(GateState),
    /// A step.
    Step(StepState),
}

/// A gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateState {
    /// Where it stands.
    pub status: GateStatus,
    /// The last verdict, as it was recorded.
    pub last: Option<GateVerdict>,
}

/// Where a gate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GateStatus {
    /// Not observed yet, or observed before a crash: a verdict is only good for the process that
    /// saw it. Set by the start, and by each resume while its phase is active or has just led to
    /// the point of no return.
    NotRun,
    /// Open. Set by a `pass` whose damaged copies were all refused; in a dry run also by `not_run`.
    Open,
    /// Closed. Set by every other verdict.
    Closed,
}

/// What was recorded of a gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateVerdict {
    /// `pass`, `fail`, `error`, `no_data`, `stale` or `not_run`.
    pub verdict: String,
    /// Whether it opens the gate.
    pub opens: bool,
    /// Why, in words.
    pub reason: String,
    /// How many damaged copies of the observation were refused.
    pub refused: u64,
    /// How many damaged copies there were.
    pub damaged: u64,
    /// What to do about it, in words; empty where nothing is to be done.
    pub remedy: String,
    /// The observation, as an object of the evidence.
    pub observation: Option<Digest>,
}

/// A step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepState {
    /// Where it stands.
    pub status: StepStatus,
    /// What it was given, recorded with the intent; its undo reads it.
    pub inputs: Object,
    /// What came out, recorded with the outcome.
    pub facts: Object,
    /// Parts of the work that were recorded on the way, such as ranges.
    pub parts: BTreeMap<String, PartState>,
}

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepStatus {
    /// Set by the start; for a step that only looks, also by a resume, as for gates.
    NotStarted,
    /// Set by the intent. Whether anything has changed is not known.
    Scheduled,
    /// Set by the outcome.
    Applied,
    /// Set by the outcome: it went wrong. Undo still runs, for what may be left of it.
    NotApplied,
    /// Set by the outcome: nobody can tell. Never undone, never repeated, until a look says which.
    Unknown,
    /// Set by the outcome in a dry run: it would be done now.
    Withheld,
    /// Set by the intent to undo.
    Undoing,
    /// Set by the outcome of the undo.
    Undone,
    /// Set by the outcome of the undo: a person must act.
    UndoFailed,
}

/// A part of a step's work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartState {
    /// Where it stands.
    pub status: PartStatus,
    /// What was recorded with it.
    pub facts: Object,
}

/// Where a part stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartStatus {
    /// Its borders are fixed. Set before the first effect of the step.
    Planned,
    /// Set before it is written.
    Intent,
    /// Set when it was written and read back.
    Done,
}

impl RunState {
    /// The index and the definition of a node.
    pub fn node(&self, name: &str) -> Option<(usize, &Node)> {
        self.process.nodes().map(|(_, node)| node).enumerate().find(|(_, node)| node.name() == name)
    }

    /// The state of a step.
    pub fn step(&self, name: &str) -> Option<&StepState> {
        match self.node(name).and_then(|(index, _)| self.nodes.get(index)) {
            Some(NodeState::Step(step)) => Some(step),
            Some(NodeState::Gate(_)) | None => None,
        }
    }

    /// The state of a gate.
    pub fn gate(&self, name: &str) -> Option<&GateState> {
        match self.node(name).and_then(|(index, _)| self.nodes.get(index)) {
            Some(NodeState::Gate(gate)) => Some(gate),
            Some(NodeState::Step(_)) | None => None,
        }
    }

    /// The name of the phase that is active, or of the first that has not begun.
    pub fn phase(&self) -> Option<&str> {
        let open = self.phases.iter().position(|phase| phase.status != PhaseStatus::Done)?;
        self.process.phases.get(open).map(|phase| phase.name.as_str())
    }

    /// What is to be undone next: the newest first.
    pub fn next_undo(&self) -> Option<&str> {
        let index = self.undo.last()?;
        self.process.nodes().nth(*index).map(|(_, node)| node.name())
    }

    /// How a node is taken back, by its definition.
    pub(super) fn undo_of(&self, index: usize) -> Undo {
        match self.process.nodes().nth(index) {
            Some((_, Node::Step { undo, .. })) => *undo,
            Some((_, Node::Gate { .. })) | None => Undo::Nothing,
        }
    }

    /// The steps that were applied and are not undone, oldest first, of those that change anything.
    pub fn standing(&self) -> Vec<&str> {
        let nodes = self.process.nodes().zip(&self.nodes);
        let stands = nodes.filter_map(|((_, node), state)| match (node, state) {
            (Node::Step { name, undo, .. }, NodeState::Step(step)) => {
                let changed = *undo != Undo::Nothing && step.status == StepStatus::Applied;
                changed.then_some(name.as_str())
            }
            (Node::Step { .. } | Node::Gate { .. }, NodeState::Step(_) | NodeState::Gate(_)) => {
                None
            }
        });
        stands.collect()
    }
}

impl Ending {
    /// The word in events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::RolledBack => "rolled_back",
        }
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        [Self::Done, Self::Refused, Self::Failed, Self::RolledBack]
            .into_iter()
            .find(|one| one.name() == name)
    }
}
