//! Which facts can follow on a state. What is legal here, `apply` changes without asking again.

use super::definition::{Begins, NodeKind, OnFailure, Part, Place, Process};
use super::fact::{ByHand, Fact, StepResult};
use super::state::{
    Direction, Ending, NodeState, PhaseStatus, RunState, State, Status, StepState, StepStatus,
    TimerState,
};

/// A fact that cannot follow on the state: a defect, or a log that somebody else wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Illegal {
    /// There is no run that the fact could belong to.
    #[error("{fact} without a run")]
    NoRun {
        /// The fact.
        fact: &'static str,
    },
    /// The run has no such phase, gate or step.
    #[error("{fact} of {name:?}, which the run does not have")]
    Unknown {
        /// The fact.
        fact: &'static str,
        /// What it names.
        name: String,
    },
    /// The fact does not fit what came before.
    #[error("{fact} of {subject:?} does not follow on {state}")]
    NotNow {
        /// The fact.
        fact: &'static str,
        /// What it is about.
        subject: String,
        /// What came before.
        state: String,
    },
}

/// Whether the fact can follow on the state.
pub fn check(state: &State, fact: &Fact) -> Result<(), Illegal> {
    if let Fact::Started { run, process, .. } = fact {
        return start(state, fact, run, process);
    }
    let run = state.run.as_ref().ok_or(Illegal::NoRun { fact: fact.name() })?;
    let look = Look { run, fact };
    match fact {
        Fact::Started { .. } => Ok(()),
        Fact::Resumed => look.when(&run.id, !matches!(run.status, Status::Ended(_))),
        Fact::Amended { process, .. } => look.amended(process),
        Fact::Entered { phase } => look.entered(phase),
        Fact::Left { phase } => look.left(phase),
        Fact::Judged { gate, .. } => look.ready(gate, |state| matches!(state, NodeState::Gate(_))),
        Fact::Chosen { choice, branch, .. } => look.chosen(choice, branch),
        Fact::TimerSet { timer, .. } => {
            look.ready(timer, |state| matches!(state, NodeState::Timer(TimerState::NotSet)))
        }
        Fact::TimerOver { timer } => {
            look.ready(timer, |state| matches!(state, NodeState::Timer(TimerState::Set { .. })))
        }
        Fact::Received { message, .. } => look.received(message),
        Fact::Blocked { phase, .. } => look.blocked(phase),
        Fact::Unblocked { phase, .. } => look.when(phase, run.blocks.contains_key(phase)),
        Fact::Noted { phase, .. } => look.when(phase, !run.dry_run),
        Fact::Committed { node } => {
            look.ready(node, |state| matches!(state, NodeState::Commit(false)))
        }
        Fact::Approved(approval) => look.when(&approval.subject, look.takes_approvals()),
        Fact::Withdrawn { subject, approver, .. } => {
            let mut held = run.approvals.iter();
            let stands = held.any(|it| it.subject == *subject && it.approver == *approver);
            look.when(subject, stands && look.takes_approvals())
        }
        Fact::Intent { step, .. } => look.ready(step, may_begin),
        Fact::Part { step, .. } => check_part(run, step),
        Fact::Outcome { step, result, .. } => look.outcome(step, *result),
        Fact::Stopped { stop, .. } => {
            look.when(&stop.subject, run.status == Status::Running(Direction::Forward))
        }
        Fact::Incident { stop } => {
            look.when(&stop.subject, !matches!(run.status, Status::Ended(_)))
        }
        Fact::Retried { subject } => look.incident(subject),
        Fact::Settled { step, by_hand, .. } => look.settled(step, *by_hand),
        Fact::UndoIntent { step } => look.undo_intent(step),
        Fact::UndoOutcome { step, .. } => {
            look.backward(step)?;
            let (_, held) = look.step(step)?;
            look.when(step, held.status == StepStatus::Undoing)
        }
        Fact::RollbackStarted => look.when(&run.id, may_roll_back(run)),
        Fact::Ended { ending } => look.when(ending.name(), may_end(run, *ending)),
    }
}

/// Whether a part of this step's work may be recorded now.
pub fn check_part(run: &RunState, step: &str) -> Result<(), Illegal> {
    let fact = "part";
    let held = run.step(step).ok_or_else(|| Illegal::Unknown { fact, name: step.to_owned() })?;
    if held.status == StepStatus::Scheduled && !matches!(run.status, Status::Ended(_)) {
        return Ok(());
    }
    Err(Illegal::NotNow { fact, subject: step.to_owned(), state: shown(&held.status) })
}

/// What a failure of a node means: whether the run may turn back by itself.
pub(super) fn turns_back(run: &RunState, node: &str) -> bool {
    let place = run.node(node).map(|(place, _)| place.phase);
    let phase = place.or_else(|| run.phase_index(node)).and_then(|it| run.process.phases.get(it));
    let waits = phase.is_some_and(|phase| phase.on_failure == OnFailure::Wait);
    !run.committed && !waits && run.status == Status::Running(Direction::Forward)
}

fn start(state: &State, fact: &Fact, id: &str, process: &Process) -> Result<(), Illegal> {
    let not_now = |state: String| Illegal::NotNow { fact: fact.name(), subject: id.into(), state };
    if let Some(flaw) = process.flaw() {
        return Err(not_now(format!("a process that cannot be run: {flaw}")));
    }
    match state.run.as_ref().map(|run| run.status) {
        Some(status @ (Status::Running(_) | Status::Waiting(_))) => Err(not_now(shown(&status))),
        Some(Status::Ended(_)) | None => Ok(()),
    }
}

fn shown(state: &impl std::fmt::Debug) -> String {
    format!("{state:?}").to_lowercase()
}

/// A run, and the fact that is to follow on it.
#[derive(Clone, Copy)]
struct Look<'a> {
    run: &'a RunState,
    fact: &'a Fact,
}

impl<'a> Look<'a> {
    fn not_now(self, subject: &str, state: &impl std::fmt::Debug) -> Illegal {
        let (fact, subject) = (self.fact.name(), subject.to_owned());
        Illegal::NotNow { fact, subject, state: shown(state) }
    }

    fn when(self, subject: &str, legal: bool) -> Result<(), Illegal> {
        if legal { Ok(()) } else { Err(self.not_now(subject, &self.run.status)) }
    }

    fn unknown(self, name: &str) -> Illegal {
        Illegal::Unknown { fact: self.fact.name(), name: name.to_owned() }
    }

    fn node(self, name: &str) -> Result<(Place, &'a NodeState), Illegal> {
        let place = self.run.node(name).map(|(place, _)| place);
        let found = place.and_then(|place| Some((place, self.run.at(place)?)));
        found.ok_or_else(|| self.unknown(name))
    }

    fn step(self, name: &str) -> Result<(Place, &'a StepState), Illegal> {
        let (place, state) = self.node(name)?;
        state.step().map(|step| (place, step)).ok_or_else(|| self.unknown(name))
    }

    /// Nodes are worked on when their phase is active and what they come after leads to them.
    fn ready(self, name: &str, fits: impl Fn(&NodeState) -> bool) -> Result<(), Illegal> {
        let (place, state) = self.node(name)?;
        if !fits(state) {
            return Err(self.not_now(name, state));
        }
        self.when(name, self.run.is_ready(place))
    }

    fn takes_approvals(self) -> bool {
        !self.run.dry_run
    }

    fn amended(self, process: &Process) -> Result<(), Illegal> {
        let run = self.run;
        let forward = matches!(
            run.status,
            Status::Running(Direction::Forward) | Status::Waiting(Direction::Forward)
        );
        // What has begun is the beginning of both, and the same in both.
        let begun = run.phases.iter().filter(|it| it.status != PhaseStatus::NotStarted).count();
        let old = run.process.phases.iter().take(begun);
        let kept = old.eq(process.phases.iter().take(begun));
        self.when(&run.id, forward && !run.dry_run && kept && process.flaw().is_none())
    }

    fn entered(self, phase: &str) -> Result<(), Illegal> {
        let run = self.run;
        let index = run.phase_index(phase).ok_or_else(|| self.unknown(phase))?;
        let part = run.process.phases.get(index).map_or(Part::Forward, |phase| phase.part);
        let fresh =
            run.phases.get(index).is_some_and(|held| held.status == PhaseStatus::NotStarted);
        let next = run.open_phase(part) == Some(index);
        let due = part == Part::Forward || run.procedure_is_due();
        let begins = self.may_begin(index) && !run.blocks.contains_key(phase);
        self.when(phase, fresh && next && due && begins && run.is_under_way(part))
    }

    /// Whether the word came that a phase of a programme needs.
    fn may_begin(self, index: usize) -> bool {
        let defined = self.run.process.phases.get(index).map(|phase| phase.begins);
        match defined {
            Some(Begins::InTurn) => true,
            Some(Begins::OnWord) => {
                self.run.phases.get(index).is_some_and(super::state::PhaseState::has_word)
            }
            Some(Begins::NotYet) | None => false,
        }
    }

    /// A phase is set active when the one before it is done, and confirmed when all else in it is
    /// settled; so at most one is active.
    fn opens_or_closes(self, place: Place) -> bool {
        let run = self.run;
        let Some(phase) = run.process.phases.get(place.phase) else { return false };
        let held_up = run.blocks.contains_key(&phase.name);
        let last = place.node + 1 == phase.nodes.len();
        match phase.begins {
            Begins::InTurn => true,
            Begins::NotYet => false,
            Begins::OnWord if place.node == 0 => {
                let forward = run.status == Status::Running(Direction::Forward);
                forward && !held_up && run.open_phase(phase.part) == Some(place.phase)
            }
            Begins::OnWord => !last || run.is_ready(place),
        }
    }

    fn blocked(self, phase: &str) -> Result<(), Illegal> {
        let run = self.run;
        let index = run.phase_index(phase).ok_or_else(|| self.unknown(phase))?;
        let forward = run.process.phases.get(index).is_some_and(|it| it.part == Part::Forward);
        let open = run.phases.get(index).is_some_and(|it| it.status != PhaseStatus::Done);
        let going = !matches!(run.status, Status::Ended(_));
        self.when(phase, forward && open && going && !run.blocks.contains_key(phase))
    }

    fn left(self, phase: &str) -> Result<(), Illegal> {
        let run = self.run;
        let index = run.phase_index(phase).ok_or_else(|| self.unknown(phase))?;
        let (Some(defined), Some(held)) = (run.process.phases.get(index), run.phases.get(index))
        else {
            return Err(self.unknown(phase));
        };
        let done = super::standing::is_done(defined, held);
        let active = held.status == PhaseStatus::Active;
        self.when(phase, active && done && run.is_under_way(defined.part))
    }

    fn chosen(self, choice: &str, branch: &str) -> Result<(), Illegal> {
        self.ready(choice, |state| matches!(state, NodeState::Choice(None)))?;
        let known = match self.run.node(choice).map(|(_, node)| &node.kind) {
            Some(NodeKind::Choice { branches, otherwise }) => {
                branches.iter().any(|it| it == branch) || otherwise == branch
            }
            Some(
                NodeKind::Gate { .. }
                | NodeKind::Step { .. }
                | NodeKind::Timer(_)
                | NodeKind::Message
                | NodeKind::Commit,
            )
            | None => false,
        };
        if known { Ok(()) } else { Err(self.unknown(branch)) }
    }

    /// A message may come before anybody waits for it, and while the run waits for people.
    fn received(self, message: &str) -> Result<(), Illegal> {
        let (place, state) = self.node(message)?;
        let phase = self.run.phases.get(place.phase);
        let open = phase.is_some_and(|phase| phase.status != PhaseStatus::Done);
        let going = !matches!(self.run.status, Status::Ended(_));
        let fresh = *state == NodeState::Message(false);
        self.when(message, fresh && open && going && self.opens_or_closes(place))
    }

    /// The outcome of work that was on its way when the run turned back, or began to wait, counts.
    fn outcome(self, step: &str, result: StepResult) -> Result<(), Illegal> {
        let (place, held) = self.step(step)?;
        let going = !matches!(self.run.status, Status::Ended(_));
        let legal = match (held.status, result) {
            (
                StepStatus::Scheduled | StepStatus::Unknown,
                StepResult::Applied | StepResult::NotApplied | StepResult::Unknown,
            ) => going,
            (StepStatus::NotStarted, StepResult::Withheld) => {
                self.run.dry_run && self.run.is_ready(place)
            }
            (
                StepStatus::NotStarted
                | StepStatus::Scheduled
                | StepStatus::Applied
                | StepStatus::NotApplied
                | StepStatus::Unknown
                | StepStatus::Withheld
                | StepStatus::Undoing
                | StepStatus::Undone
                | StepStatus::UndoFailed
                | StepStatus::LeftStanding,
                StepResult::Applied
                | StepResult::NotApplied
                | StepResult::Unknown
                | StepResult::Withheld,
            ) => false,
        };
        if legal { Ok(()) } else { Err(self.not_now(step, &held.status)) }
    }

    fn backward(self, subject: &str) -> Result<(), Illegal> {
        let back =
            matches!(self.run.status, Status::Running(Direction::Undo(_) | Direction::Rollback));
        self.when(subject, back)
    }

    /// Newest first. A step that has begun and not ended is undone too: what is in doubt counts as
    /// done.
    fn undo_intent(self, step: &str) -> Result<(), Illegal> {
        self.backward(step)?;
        let (place, held) = self.step(step)?;
        let newest = self.run.undo.last() == Some(&place);
        let can = match held.status {
            StepStatus::Scheduled
            | StepStatus::Applied
            | StepStatus::NotApplied
            | StepStatus::UndoFailed => true,
            StepStatus::NotStarted
            | StepStatus::Unknown
            | StepStatus::Withheld
            | StepStatus::Undoing
            | StepStatus::Undone
            | StepStatus::LeftStanding => false,
        };
        if can && newest { Ok(()) } else { Err(self.not_now(step, &held.status)) }
    }

    fn incident(self, subject: &str) -> Result<(), Illegal> {
        let there = self.run.incidents.iter().any(|stop| stop.subject == subject);
        self.when(subject, there && matches!(self.run.status, Status::Waiting(_)))
    }

    /// A person can say what the engine does not know, and only about what stopped it.
    fn settled(self, step: &str, by_hand: ByHand) -> Result<(), Illegal> {
        self.incident(step)?;
        let (_, held) = self.step(step)?;
        let legal = match (held.status, by_hand) {
            (StepStatus::Unknown, ByHand::Applied | ByHand::NotApplied)
            | (StepStatus::NotApplied, ByHand::Applied)
            | (StepStatus::UndoFailed, ByHand::Undone | ByHand::LeftStanding) => true,
            (
                StepStatus::NotStarted
                | StepStatus::Scheduled
                | StepStatus::Applied
                | StepStatus::NotApplied
                | StepStatus::Unknown
                | StepStatus::Withheld
                | StepStatus::Undoing
                | StepStatus::Undone
                | StepStatus::UndoFailed
                | StepStatus::LeftStanding,
                ByHand::Applied | ByHand::NotApplied | ByHand::Undone | ByHand::LeftStanding,
            ) => false,
        };
        if legal { Ok(()) } else { Err(self.not_now(step, &held.status)) }
    }
}

fn may_begin(state: &NodeState) -> bool {
    let status = state.step().map(|step| step.status);
    matches!(status, Some(StepStatus::NotStarted | StepStatus::NotApplied))
}

/// Allowed when the run has ended well, and while it goes forward. A step of which nobody knows
/// whether it happened must be looked at first.
fn may_roll_back(run: &RunState) -> bool {
    let forward = match run.status {
        Status::Ended(Ending::Done)
        | Status::Running(Direction::Forward)
        | Status::Waiting(Direction::Forward) => true,
        Status::Ended(Ending::Refused | Ending::Failed | Ending::RolledBack)
        | Status::Running(Direction::Undo(_) | Direction::Rollback)
        | Status::Waiting(Direction::Undo(_) | Direction::Rollback) => false,
    };
    forward && !run.dry_run && !is_unsettled(run)
}

/// Whether nobody knows of some step whether it happened.
pub(super) fn is_unsettled(run: &RunState) -> bool {
    run.nodes().any(|(_, _, state)| {
        let status = state.step().map(|step| step.status);
        matches!(status, Some(StepStatus::Scheduled | StepStatus::Unknown))
    })
}

fn may_end(run: &RunState, ending: Ending) -> bool {
    let back = || {
        let done = !run.procedure_is_due() || run.open_phase(Part::Rollback).is_none();
        run.undo.is_empty() && done
    };
    match (run.status, ending) {
        (Status::Running(Direction::Forward), Ending::Done) => {
            run.open_phase(Part::Forward).is_none()
        }
        (Status::Running(Direction::Undo(planned)), ending) => planned == ending && back(),
        (Status::Running(Direction::Rollback), Ending::RolledBack) => back(),
        (
            Status::Running(Direction::Forward | Direction::Rollback)
            | Status::Waiting(_)
            | Status::Ended(_),
            Ending::Done | Ending::Refused | Ending::Failed | Ending::RolledBack,
        ) => false,
    }
}
