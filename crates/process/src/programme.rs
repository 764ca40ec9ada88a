//! Where the phases of a programme stand, and what is missing before the next act. It follows from the
//! state of the run alone.

use super::definition::{Begins, NodeKind, Part, Phase, Place, Undo};
use super::state::{
    Direction, Ending, GateStatus, NodeState, PhaseState, PhaseStatus, RunState, Status,
    StepStatus, TimerState,
};

/// Where a phase of a programme stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PhaseStanding {
    /// Nobody has set it active.
    NotStarted,
    /// Somebody has set it active, and it is not done. At most one phase is.
    Active,
    /// All of it is settled, and somebody has confirmed that.
    Done,
    /// A person holds it up, or something in it waits for a person.
    Blocked,
}

impl PhaseStanding {
    /// The word that programmes have for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotStarted => "NOT_STARTED",
            Self::Active => "ACTIVE",
            Self::Done => "DONE",
            Self::Blocked => "BLOCKED",
        }
    }
}

/// Where each phase on the way forward stands, in order.
pub fn standings_of(run: &RunState) -> Vec<(&str, PhaseStanding)> {
    let phases = run.process.phases.iter().enumerate();
    let forward = phases.filter(|(_, phase)| phase.part == Part::Forward);
    forward.map(|(index, phase)| (phase.name.as_str(), standing(run, index))).collect()
}

fn standing(run: &RunState, index: usize) -> PhaseStanding {
    let (Some(phase), Some(state)) = (run.process.phases.get(index), run.phases.get(index)) else {
        return PhaseStanding::NotStarted;
    };
    // What was taken back is not done, whatever it was before.
    let goes_back =
        matches!(run.status, Status::Ended(Ending::Refused | Ending::Failed | Ending::RolledBack));
    if goes_back && (run.by_procedure || !stands(phase, state)) {
        return PhaseStanding::NotStarted;
    }
    let begun = match state.status {
        PhaseStatus::Done => return PhaseStanding::Done,
        PhaseStatus::Active => true,
        PhaseStatus::NotStarted => phase.begins == Begins::OnWord && state.has_word(),
    };
    let stuck = match run.status {
        Status::Running(Direction::Forward) => false,
        Status::Running(Direction::Undo(_) | Direction::Rollback)
        | Status::Waiting(_)
        | Status::Ended(_) => true,
    };
    if run.blocks.contains_key(&phase.name) || begun && stuck {
        PhaseStanding::Blocked
    } else if begun {
        PhaseStanding::Active
    } else {
        PhaseStanding::NotStarted
    }
}

/// Whether something of a phase stands on the way back: behind the point of no return not all is
/// undone.
fn stands(phase: &Phase, state: &PhaseState) -> bool {
    let mut nodes = phase.nodes.iter().zip(&state.nodes);
    nodes.any(|(node, state)| match (&node.kind, state) {
        (NodeKind::Step { undo: Undo::Nothing, .. }, _) => false,
        (NodeKind::Commit, NodeState::Commit(committed)) => *committed,
        (_, NodeState::Step(step)) => match step.status {
            StepStatus::Scheduled
            | StepStatus::Applied
            | StepStatus::Unknown
            | StepStatus::Undoing
            | StepStatus::UndoFailed
            | StepStatus::LeftStanding => true,
            StepStatus::NotStarted
            | StepStatus::NotApplied
            | StepStatus::Withheld
            | StepStatus::Undone => false,
        },
        (
            NodeKind::Step { .. }
            | NodeKind::Gate { .. }
            | NodeKind::Choice { .. }
            | NodeKind::Timer { .. }
            | NodeKind::Message
            | NodeKind::Commit,
            _,
        ) => false,
    })
}

/// What a person can do about a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Set it active.
    Activate,
    /// Confirm that it is done.
    Confirm,
}

impl Act {
    /// What became of the phase then.
    pub const fn done(self) -> &'static str {
        match self {
            Self::Activate => "set active",
            Self::Confirm => "confirmed",
        }
    }
}

/// The next act of a programme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The phase.
    pub phase: String,
    /// The message that carries the act.
    pub message: String,
    /// What is done.
    pub act: Act,
    /// What must be there first and is not, as far as the run itself knows.
    pub missing: Vec<Missing>,
}

/// Something that must be there before an act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl Missing {
    /// Something that is missing, with its remedy.
    pub fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into() }
    }
}

/// The next act, with what is missing before it. `None` if all phases are done, or if the run goes back
/// or has ended.
pub fn transition(run: &RunState) -> Option<Transition> {
    match run.status {
        Status::Running(Direction::Forward) | Status::Waiting(Direction::Forward) => {}
        Status::Running(Direction::Undo(_) | Direction::Rollback)
        | Status::Waiting(Direction::Undo(_) | Direction::Rollback)
        | Status::Ended(_) => return None,
    }
    let index = run.open_phase(Part::Forward)?;
    let (phase, state) = (run.process.phases.get(index)?, run.phases.get(index)?);
    let activates = state.status == PhaseStatus::NotStarted && !state.has_word();
    let (act, node) = if activates {
        (Act::Activate, phase.nodes.first()?)
    } else {
        (Act::Confirm, phase.nodes.last()?)
    };
    let mut missing = held_up(run, &phase.name);
    match phase.begins {
        Begins::NotYet => missing.push(Missing::new(
            "it is at gate level: nobody has written it out",
            "write it out in a plan that amends this one, and have the amendment approved",
        )),
        Begins::InTurn | Begins::OnWord => {}
    }
    if act == Act::Confirm {
        missing.extend(unsettled(run, index));
        if run.notes.get(&phase.name).copied().unwrap_or_default() == 0 {
            let remedy = "write what was decided or done: `carnet note PLAN --text …`";
            missing.push(Missing::new("no note was kept in this phase", remedy));
        }
    }
    let (name, message) = (phase.name.clone(), node.name.clone());
    Some(Transition { phase: name, message, act, missing })
}

/// What a person or an incident holds up.
fn held_up(run: &RunState, phase: &str) -> Vec<Missing> {
    let block = run.blocks.get(phase).map(|block| {
        let what = format!("{} holds it up: {}", block.by, block.reason);
        Missing::new(what, format!("`carnet phase unblock PLAN {phase} --reason …`"))
    });
    let incidents = run.incidents.iter().map(|stop| {
        let what = format!("{} ({}): {}", stop.subject, stop.code, stop.reason);
        let remedy = if stop.remedy.is_empty() {
            "see to it, and run the plan again".to_owned()
        } else {
            stop.remedy.clone()
        };
        Missing::new(what, remedy)
    });
    block.into_iter().chain(incidents).collect()
}

/// What of a phase is not settled, but for its last node. What no way leads to is not missing.
fn unsettled(run: &RunState, index: usize) -> Vec<Missing> {
    let (Some(phase), Some(state)) = (run.process.phases.get(index), run.phases.get(index)) else {
        return Vec::new();
    };
    if state.nodes.last() == Some(&NodeState::Message(true)) {
        return vec![Missing::new("it is confirmed already", "run the plan: it leaves the phase")];
    }
    if state.status == PhaseStatus::NotStarted {
        return vec![Missing::new("nothing of it is done", "run the plan: `carnet run PLAN`")];
    }
    let standings = super::standing::standings(phase, state);
    let last = phase.nodes.len().saturating_sub(1);
    let open = standings.iter().enumerate().filter(|(node, standing)| {
        use super::standing::Standing;
        *node != last && matches!(standing, Standing::Ahead | Standing::Ready)
    });
    open.filter_map(|(node, _)| missing_node(run, Place { phase: index, node })).collect()
}

fn missing_node(run: &RunState, place: Place) -> Option<Missing> {
    let node = run.process.at(place)?;
    let (what, remedy) = match (run.at(place)?, &node.kind) {
        (NodeState::Gate(gate), _) => match (gate.status, &gate.last) {
            (GateStatus::Closed, Some(last)) => {
                (format!("is closed ({}): {}", last.verdict, last.reason), last.remedy.clone())
            }
            (GateStatus::NotRun | GateStatus::Open | GateStatus::Closed, _) => {
                ("was not judged".to_owned(), String::new())
            }
        },
        (NodeState::Step(step), _) => {
            let word = match step.status {
                StepStatus::NotStarted => "was not done",
                StepStatus::Scheduled | StepStatus::Unknown => "has an outcome that nobody knows",
                StepStatus::NotApplied => "failed",
                StepStatus::Applied | StepStatus::Withheld => "waits for what is before it",
                StepStatus::Undoing
                | StepStatus::Undone
                | StepStatus::UndoFailed
                | StepStatus::LeftStanding => "was taken back",
            };
            (word.to_owned(), String::new())
        }
        (NodeState::Message(_), NodeKind::Message) => {
            let remedy = format!("`carnet signal PLAN {} --reason …`", node.name);
            ("was not said".to_owned(), remedy)
        }
        (NodeState::Timer(TimerState::Set { due }), _) => {
            (format!("is due at {due}"), String::new())
        }
        (
            NodeState::Choice(_)
            | NodeState::Timer(TimerState::NotSet | TimerState::Over)
            | NodeState::Message(_)
            | NodeState::Commit(_),
            _,
        ) => ("was not reached".to_owned(), String::new()),
    };
    let remedy =
        if remedy.is_empty() { "run the plan: `carnet run PLAN`".to_owned() } else { remedy };
    Some(Missing::new(format!("{} {what}", node.name), remedy))
}
