//! How far a phase has got: which of its nodes are settled, which can be worked on now, which are
//! never reached. It follows from what the nodes are and from what became of them.

use super::definition::{After, NodeKind, Part, Phase, Place};
use super::state::{
    Direction, GateStatus, NodeState, PhaseState, PhaseStatus, RunState, Status, StepStatus,
    TimerState,
};

/// How far a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Something that it comes after is not settled.
    Ahead,
    /// It can be worked on.
    Ready,
    /// It is settled, and what comes after it may follow.
    Settled,
    /// No way leads to it.
    Skipped,
}

/// How far each node of a phase is, in order. A node stands behind all that it comes after, so that
/// one pass is enough.
pub(super) fn standings(phase: &Phase, state: &PhaseState) -> Vec<Standing> {
    let mut found: Vec<Standing> = Vec::with_capacity(phase.nodes.len());
    for (node, held) in phase.nodes.iter().zip(&state.nodes) {
        let ways = node.after.iter().map(|after| way(after, &found, state));
        let (mut open, mut leads) = (false, node.after.is_empty());
        for way in ways {
            open |= way == Way::Open;
            leads |= way == Way::Leads;
        }
        found.push(match (open, leads) {
            (true, _) => Standing::Ahead,
            (false, false) => Standing::Skipped,
            (false, true) if is_settled(held) => Standing::Settled,
            (false, true) => Standing::Ready,
        });
    }
    found
}

/// Whether nothing is left to do in a phase.
pub(super) fn is_done(phase: &Phase, state: &PhaseState) -> bool {
    let all = standings(phase, state);
    all.iter().all(|it| matches!(it, Standing::Settled | Standing::Skipped))
}

/// Whether a way leads on.
#[derive(PartialEq, Eq)]
enum Way {
    Open,
    Leads,
    Dead,
}

fn way(after: &After, found: &[Standing], state: &PhaseState) -> Way {
    match found.get(after.node) {
        Some(Standing::Settled) => {}
        Some(Standing::Skipped) => return Way::Dead,
        Some(Standing::Ahead | Standing::Ready) | None => return Way::Open,
    }
    match (state.nodes.get(after.node), &after.branch) {
        (Some(NodeState::Choice(Some(taken))), Some(branch)) if taken != branch => Way::Dead,
        _ => Way::Leads,
    }
}

/// Whether a node that was reached needs nothing more.
pub(super) fn is_settled(state: &NodeState) -> bool {
    match state {
        NodeState::Gate(gate) => gate.status == GateStatus::Open,
        NodeState::Step(step) => matches!(step.status, StepStatus::Applied | StepStatus::Withheld),
        NodeState::Choice(taken) => taken.is_some(),
        NodeState::Timer(timer) => *timer == TimerState::Over,
        NodeState::Message(came) => *came,
        NodeState::Commit(passed) => *passed,
    }
}

impl RunState {
    /// The part of the process that the run is in: on the way back the procedure, if there is one.
    pub(super) fn part(&self) -> Part {
        match self.status {
            Status::Running(Direction::Forward) | Status::Waiting(Direction::Forward) => {
                Part::Forward
            }
            Status::Running(Direction::Undo(_) | Direction::Rollback)
            | Status::Waiting(Direction::Undo(_) | Direction::Rollback) => Part::Rollback,
            Status::Ended(_) => Part::Forward,
        }
    }

    /// The first phase of a part that is not done.
    pub(super) fn open_phase(&self, part: Part) -> Option<usize> {
        let phases = self.process.phases.iter().zip(&self.phases);
        let mut open = phases.enumerate().filter(|(_, (phase, _))| phase.part == part);
        open.find(|(_, (_, state))| state.status != PhaseStatus::Done).map(|(index, _)| index)
    }

    /// Whether the node can be worked on: its phase is active and on the present way, and all that
    /// it comes after leads to it.
    pub fn is_ready(&self, place: Place) -> bool {
        let (Some(phase), Some(state)) =
            (self.process.phases.get(place.phase), self.phases.get(place.phase))
        else {
            return false;
        };
        let active = state.status == PhaseStatus::Active && self.is_under_way(phase.part);
        let held_up = self.blocks.contains_key(&phase.name);
        active && !held_up && reaches(phase, state, place.node)
    }

    /// Whether phases of this part are worked on now. The procedure begins when everything that
    /// undo covers is undone.
    pub(super) fn is_under_way(&self, part: Part) -> bool {
        match (part, self.status) {
            (Part::Forward, Status::Running(Direction::Forward)) => true,
            (Part::Rollback, Status::Running(Direction::Undo(_) | Direction::Rollback)) => {
                self.undo.is_empty()
            }
            (
                Part::Forward | Part::Rollback,
                Status::Running(_) | Status::Waiting(_) | Status::Ended(_),
            ) => false,
        }
    }
}

/// Whether the ways to one node are settled and one of them leads to it. Looks at what it comes
/// after alone, and only where that is skipped at what comes before: long phases stay fast.
fn reaches(phase: &Phase, state: &PhaseState, node: usize) -> bool {
    let Some(held) = phase.nodes.get(node) else { return false };
    if held.after.is_empty() {
        return true;
    }
    let mut leads = false;
    for after in &held.after {
        let before = state.nodes.get(after.node);
        // A message may come to a node that is never reached.
        let early = matches!(before, Some(NodeState::Message(_)));
        let settled = !early && before.is_some_and(is_settled);
        if settled {
            leads |= match (before, &after.branch) {
                (Some(NodeState::Choice(Some(taken))), Some(branch)) => taken == branch,
                _ => true,
            };
            continue;
        }
        // What is not settled may never be reached.
        let all = standings(phase, state);
        return all.get(node).is_some_and(|it| matches!(it, Standing::Ready | Standing::Settled));
    }
    leads
}

/// Whether something that comes after this node, however far, has begun to change the world: then
/// what the node saw stays as it was seen.
pub(super) fn has_led_to_change(phase: &Phase, state: &PhaseState, node: usize) -> bool {
    let mut behind = vec![false; phase.nodes.len()];
    for (index, held) in phase.nodes.iter().enumerate().skip(node + 1) {
        let follows = held
            .after
            .iter()
            .any(|after| after.node == node || behind.get(after.node).copied().unwrap_or_default());
        if !follows {
            continue;
        }
        if let Some(mark) = behind.get_mut(index) {
            *mark = true;
        }
        if state.nodes.get(index).is_some_and(|state| has_begun(&held.kind, state)) {
            return true;
        }
    }
    false
}

/// Whether it changes the world and has begun to.
pub(super) fn has_begun(kind: &NodeKind, state: &NodeState) -> bool {
    use super::definition::Undo;
    let NodeKind::Step { undo, .. } = kind else { return false };
    let begun = state.step().is_some_and(|step| match step.status {
        StepStatus::NotStarted | StepStatus::NotApplied | StepStatus::Withheld => false,
        StepStatus::Scheduled
        | StepStatus::Applied
        | StepStatus::Unknown
        | StepStatus::Undoing
        | StepStatus::Undone
        | StepStatus::UndoFailed
        | StepStatus::LeftStanding => true,
    });
    begun && *undo != Undo::Nothing
}

/// Whether it may have changed the world, if only by a part of what it was to do: what failed is
/// taken back as well.
pub(super) fn may_have_changed(kind: &NodeKind, state: &NodeState) -> bool {
    use super::definition::Undo;
    let NodeKind::Step { undo, .. } = kind else { return false };
    let failed = state.step().is_some_and(|step| {
        step.status == StepStatus::NotApplied && step.activations > 0 && *undo != Undo::Nothing
    });
    failed || has_begun(kind, state)
}
