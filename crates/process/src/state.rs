//! The state of a run: what its events add up to. Everything here survives a crash, because
//! nothing here is set but by an event that is already durable.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use carnet_ledger::{Digest, EventTime, Object};

use super::definition::{Node, NodeKind, Place, Process, Undo};
use super::fact::{Approval, Stop};

/// What a log adds up to: the last run in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// The last run; `None` before the first.
    pub run: Option<RunState>,
    /// How many runs there were.
    pub runs: u64,
    /// When the last thing happened, in this run or before it.
    pub last_at: Option<EventTime>,
    /// The files that pin what is run here, by path, each with the digest that was recorded last.
    pub pins: BTreeMap<String, Digest>,
}

/// A file as it was when a phase was confirmed with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confirmed {
    /// Its digest.
    pub digest: Digest,
    /// How long it was.
    pub bytes: u64,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunState {
    /// The id that all its events share.
    pub id: String,
    /// The digest of the plan that it runs: of the last amendment, where there are any.
    pub plan: Digest,
    /// The object with the text of that plan.
    pub document: Digest,
    /// Whether it only shows what would happen.
    pub dry_run: bool,
    /// Whose key signed the start; `None` if nobody's did.
    pub initiator: Option<String>,
    /// The object with the keys that the plan believes; `None` if it names none. An amendment is
    /// judged by them.
    pub trust: Option<Digest>,
    /// What it runs.
    pub process: Arc<Process>,
    /// Where each node and phase stands in the process, by name.
    names: Arc<HashMap<String, Named>>,
    /// Where it stands.
    pub status: Status,
    /// One for each phase of the process.
    pub phases: Vec<PhaseState>,
    /// The steps that must be undone on the way back, in the order in which they ended; one that has
    /// begun and not ended stands where it began.
    pub undo: Vec<Place>,
    /// Whether the point of no automatic return was passed.
    pub committed: bool,
    /// Whether the way back leads through the prescribed procedure: set when it turns.
    pub by_procedure: bool,
    /// The evidence that phases were confirmed with, by path. Who records it says so beside the act.
    pub confirmed: BTreeMap<String, Confirmed>,
    /// Why it went back, where it did.
    pub stop: Option<Stop>,
    /// What waits for a person, oldest first.
    pub incidents: Vec<Stop>,
    /// The approvals that stand, oldest first.
    pub approvals: Vec<Approval>,
    /// The phases that a person holds up, with who and why.
    pub blocks: BTreeMap<String, Block>,
    /// How many notes were kept in each phase.
    pub notes: BTreeMap<String, u64>,
    /// The phases in which somebody said what was cleaned up since something failed there.
    pub resets: BTreeSet<String>,
    /// What undo could not take away, in words.
    pub left_behind: Vec<String>,
    /// How often it went on after it was cut off.
    pub resumes: u64,
    /// How often its plan was amended.
    pub amendments: u64,
    /// When it began.
    pub started: EventTime,
    /// When it ended.
    pub ended: Option<EventTime>,
}

/// A phase that is held up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Who holds it up.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    Phase(usize),
    Node(Place),
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Work is to be done. Set by the start, by each resume, and by a stop or a rollback, which
    /// turn its direction. After a crash the next `run` continues.
    Running(Direction),
    /// A person must act. Set by an incident: an outcome that nobody knows, an undo that failed, a
    /// failure behind the point of no return, an approval that is missing. The next `run` looks
    /// again.
    Waiting(Direction),
    /// Nothing is left to do. Set by the end.
    Ended(Ending),
}

/// Which way a run goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Through the phases.
    Forward,
    /// Back, because something was refused or failed; then it ends so.
    Undo(Ending),
    /// Back, because a person asked for a rollback.
    Rollback,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhaseState {
    /// Where it stands.
    pub status: PhaseStatus,
    /// When it was entered.
    pub entered: Option<EventTime>,
    /// When it was left.
    pub left: Option<EventTime>,
    /// One for each node of the phase.
    pub nodes: Vec<NodeState>,
}

/// Where a phase stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PhaseStatus {
    /// Set by the start of the run.
    NotStarted,
    /// Set when the phase is entered. At most one phase is active.
    Active,
    /// Set when all its nodes are settled.
    Done,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeState {
    /// A gate.
    Gate(GateState),
    /// A step.
    Step(StepState),
    /// A choice: the branch that was taken. Set once.
    Choice(Option<String>),
    /// A timer.
    Timer(TimerState),
    /// A message: whether it came. It may come before anybody waits for it.
    Message(bool),
    /// The point of no automatic return: whether it was passed.
    Commit(bool),
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GateStatus {
    /// Not observed yet, or observed before a crash: a verdict is only good for the process that
    /// saw it. Set by the start, and by each resume while nothing was changed because of it.
    NotRun,
    /// Open. Set by a `pass` whose damaged copies were all refused, or by an exception of the plan; in
    /// a dry run also by `not_run`.
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
    /// The exception of the plan that opens it although it did not pass.
    pub exception: Option<String>,
}

/// A timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimerState {
    /// Set by the start of the run.
    NotSet,
    /// Set when the run gets to it.
    Set {
        /// When it is due.
        due: EventTime,
    },
    /// Set when it is due.
    Over,
}

/// A step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepState {
    /// Where it stands.
    pub status: StepStatus,
    /// How often it was begun; part of what tells a repetition of one attempt from another attempt.
    pub activations: u64,
    /// What it was given, recorded with the intent; its undo reads it.
    pub inputs: Object,
    /// What came out, recorded with the outcome.
    pub facts: Object,
    /// Parts of the work that were recorded on the way, such as ranges.
    pub parts: BTreeMap<String, PartState>,
}

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StepStatus {
    /// Set by the start; for a step that only looks, also by a resume, as for gates.
    NotStarted,
    /// Set by the intent. Whether anything has changed is not known.
    Scheduled,
    /// Set by the outcome.
    Applied,
    /// Set by the outcome: it went wrong. Undo still runs, for what may be left of it.
    NotApplied,
    /// Set by the outcome: nobody can tell. Never undone, never repeated, until a look or a person
    /// says which.
    Unknown,
    /// Set by the outcome in a dry run: it would be done now.
    Withheld,
    /// Set by the intent to undo.
    Undoing,
    /// Set by the outcome of the undo.
    Undone,
    /// Set by the outcome of the undo: a person must act.
    UndoFailed,
    /// Set by a person who decided that its undo is skipped.
    LeftStanding,
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
    /// A run at its start.
    pub(super) fn new(
        id: String,
        [plan, document]: [Digest; 2],
        dry_run: bool,
        (initiator, trust): (Option<String>, Option<Digest>),
        process: Arc<Process>,
        at: EventTime,
    ) -> Self {
        Self {
            id,
            plan,
            document,
            dry_run,
            initiator,
            trust,
            names: Arc::new(names_of(&process)),
            phases: process.phases.iter().map(PhaseState::new).collect(),
            process,
            status: Status::Running(Direction::Forward),
            undo: Vec::new(),
            committed: false,
            by_procedure: false,
            confirmed: BTreeMap::new(),
            stop: None,
            incidents: Vec::new(),
            approvals: Vec::new(),
            blocks: BTreeMap::new(),
            notes: BTreeMap::new(),
            resets: BTreeSet::new(),
            left_behind: Vec::new(),
            resumes: 0,
            amendments: 0,
            started: at,
            ended: None,
        }
    }

    /// Takes another process on. What has begun is the same in both.
    pub(super) fn take_on(&mut self, process: Arc<Process>) {
        let begun = |phase: &PhaseState| phase.status != PhaseStatus::NotStarted;
        let fresh = process.phases.iter().map(PhaseState::new);
        let mut held = std::mem::take(&mut self.phases).into_iter();
        self.phases = fresh.map(|new| held.next().filter(begun).unwrap_or(new)).collect();
        self.names = Arc::new(names_of(&process));
        self.process = process;
    }

    /// The place and the definition of a node.
    pub fn node(&self, name: &str) -> Option<(Place, &Node)> {
        match self.names.get(name)? {
            Named::Node(place) => Some((*place, self.process.at(*place)?)),
            Named::Phase(_) => None,
        }
    }

    /// The index of a phase.
    pub fn phase_index(&self, name: &str) -> Option<usize> {
        match self.names.get(name)? {
            Named::Phase(index) => Some(*index),
            Named::Node(_) => None,
        }
    }

    /// What is at a place.
    pub fn at(&self, place: Place) -> Option<&NodeState> {
        self.phases.get(place.phase)?.nodes.get(place.node)
    }

    pub(super) fn at_mut(&mut self, place: Place) -> Option<&mut NodeState> {
        self.phases.get_mut(place.phase)?.nodes.get_mut(place.node)
    }

    /// All nodes with their definitions, in order.
    pub fn nodes(&self) -> impl Iterator<Item = (Place, &Node, &NodeState)> {
        self.process.nodes().filter_map(|(place, node)| Some((place, node, self.at(place)?)))
    }

    /// The state of a step.
    pub fn step(&self, name: &str) -> Option<&StepState> {
        self.at(self.node(name)?.0)?.step()
    }

    /// The state of a gate.
    pub fn gate(&self, name: &str) -> Option<&GateState> {
        match self.at(self.node(name)?.0)? {
            NodeState::Gate(gate) => Some(gate),
            NodeState::Step(_)
            | NodeState::Choice(_)
            | NodeState::Timer(_)
            | NodeState::Message(_)
            | NodeState::Commit(_) => None,
        }
    }

    /// The name of the phase that is active, or of the first on the way that has not begun.
    pub fn phase(&self) -> Option<&str> {
        let open = self.open_phase(self.part())?;
        self.process.phases.get(open).map(|phase| phase.name.as_str())
    }

    /// The phase that is open, or the last one where none is.
    pub(super) fn open_or_last(&self) -> Option<&str> {
        self.phase().or_else(|| self.process.phases.last().map(|phase| phase.name.as_str()))
    }

    /// Why it waits, where it does: the oldest incident.
    pub fn waits_for(&self) -> Option<&Stop> {
        self.incidents.first()
    }

    /// The key of a step's present attempt: the same for each repetition of one effect.
    pub fn key_of(&self, step: &str) -> String {
        let activation = self.step(step).map_or(0, |step| step.activations);
        format!("{}/{step}/{activation}", self.id)
    }

    /// Whether it goes back.
    pub fn goes_back(&self) -> bool {
        match self.status {
            Status::Running(Direction::Undo(_) | Direction::Rollback)
            | Status::Waiting(Direction::Undo(_) | Direction::Rollback) => true,
            Status::Running(Direction::Forward)
            | Status::Waiting(Direction::Forward)
            | Status::Ended(_) => false,
        }
    }

    /// What is to be undone next: the newest first.
    pub fn next_undo(&self) -> Option<&str> {
        self.process.at(*self.undo.last()?).map(|node| node.name.as_str())
    }

    /// How a node is taken back, by its definition.
    pub(super) fn undo_of(&self, place: Place) -> Undo {
        match self.process.at(place).map(|node| &node.kind) {
            Some(NodeKind::Step { undo, .. }) => *undo,
            Some(
                NodeKind::Gate { .. }
                | NodeKind::Choice { .. }
                | NodeKind::Timer(_)
                | NodeKind::Message
                | NodeKind::Commit,
            )
            | None => Undo::Nothing,
        }
    }

    /// The steps that were applied and are not undone, oldest first, of those that change anything;
    /// none where the procedure took care of them.
    pub fn standing(&self) -> Vec<&str> {
        if self.by_procedure {
            return Vec::new();
        }
        let stands = self.nodes().filter(|(place, _, state)| {
            let status = state.step().map(|step| step.status);
            self.undo_of(*place) != Undo::Nothing
                && matches!(status, Some(StepStatus::Applied | StepStatus::LeftStanding))
        });
        stands.map(|(_, node, _)| node.name.as_str()).collect()
    }
}

impl PhaseState {
    fn new(phase: &super::definition::Phase) -> Self {
        let nodes = phase.nodes.iter().map(|node| NodeState::new(&node.kind)).collect();
        Self { status: PhaseStatus::NotStarted, entered: None, left: None, nodes }
    }
}

impl PhaseState {
    /// Whether the message came that lets it begin.
    pub fn has_word(&self) -> bool {
        self.nodes.first() == Some(&NodeState::Message(true))
    }
}

impl NodeState {
    fn new(kind: &NodeKind) -> Self {
        match kind {
            NodeKind::Gate { .. } => {
                Self::Gate(GateState { status: GateStatus::NotRun, last: None })
            }
            NodeKind::Step { .. } => Self::Step(StepState {
                status: StepStatus::NotStarted,
                activations: 0,
                inputs: Object::new(),
                facts: Object::new(),
                parts: BTreeMap::new(),
            }),
            NodeKind::Choice { .. } => Self::Choice(None),
            NodeKind::Timer(_) => Self::Timer(TimerState::NotSet),
            NodeKind::Message => Self::Message(false),
            NodeKind::Commit => Self::Commit(false),
        }
    }

    /// The step, if it is one.
    pub fn step(&self) -> Option<&StepState> {
        match self {
            Self::Step(step) => Some(step),
            Self::Gate(_)
            | Self::Choice(_)
            | Self::Timer(_)
            | Self::Message(_)
            | Self::Commit(_) => None,
        }
    }
}

fn names_of(process: &Process) -> HashMap<String, Named> {
    let phases = process.phases.iter().enumerate();
    let phases = phases.map(|(index, phase)| (phase.name.clone(), Named::Phase(index)));
    let nodes = process.nodes().map(|(place, node)| (node.name.clone(), Named::Node(place)));
    phases.chain(nodes).collect()
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
