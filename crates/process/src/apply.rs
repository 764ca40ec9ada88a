//! The one function that changes the state of a run, for live events and after a crash alike.

use std::sync::Arc;

use carnet_ledger::{Digest, EventTime, Object};

use super::definition::{Begins, NodeKind, Part, Place, Process, Undo};
use super::fact::{Approval, ByHand, Fact, NoteKind, StepResult};
use super::legal::{Illegal, check};
use super::standing::{has_begun, has_led_to_change, may_have_changed};
use super::state::{
    Block, Direction, Ending, GateState, GateStatus, NodeState, PartState, PartStatus, PhaseStatus,
    RunState, State, Status, StepState, StepStatus, TimerState,
};

/// Applies one fact. After an error the state is as it was.
pub fn apply(state: &mut State, fact: &Fact, at: EventTime) -> Result<(), Illegal> {
    check(state, fact)?;
    state.last_at = Some(at);
    if let Fact::Started { run, plan, document, dry_run, initiator, trust, process } = fact {
        let process = Arc::clone(process);
        let by = (initiator.clone(), *trust);
        let begun = RunState::new(run.clone(), [*plan, *document], *dry_run, by, process, at);
        state.run = Some(begun);
        state.runs += 1;
    } else if let Some(run) = &mut state.run {
        change(run, fact, at);
    }
    Ok(())
}

/// What a fact that is legal changes.
fn change(run: &mut RunState, fact: &Fact, at: EventTime) {
    match fact {
        Fact::Started { .. } => {}
        Fact::Resumed => resume(run),
        Fact::Amended { plan, document, trust, process } => {
            amend(run, [*plan, *document], *trust, process);
        }
        Fact::Entered { phase } => with_phase(run, phase, |phase| {
            (phase.status, phase.entered, phase.left) = (PhaseStatus::Active, Some(at), None);
        }),
        Fact::Left { phase } => with_phase(run, phase, |phase| {
            (phase.status, phase.left) = (PhaseStatus::Done, Some(at));
        }),
        Fact::Judged { gate, verdict } => {
            let status = if verdict.opens { GateStatus::Open } else { GateStatus::Closed };
            set(run, gate, NodeState::Gate(GateState { status, last: Some(verdict.clone()) }));
        }
        Fact::Chosen { choice, branch, .. } => {
            set(run, choice, NodeState::Choice(Some(branch.clone())));
        }
        Fact::TimerSet { timer, due } => {
            set(run, timer, NodeState::Timer(TimerState::Set { due: *due }));
        }
        Fact::TimerOver { timer } => set(run, timer, NodeState::Timer(TimerState::Over)),
        Fact::Received { message, .. } => set(run, message, NodeState::Message(true)),
        Fact::Blocked { phase, by, reason } => block(run, phase, by, reason),
        Fact::Unblocked { phase, .. } => drop(run.blocks.remove(phase)),
        Fact::Noted { phase, kind, .. } => note(run, phase, *kind),
        Fact::Committed { node } => {
            set(run, node, NodeState::Commit(true));
            run.committed = true;
        }
        Fact::Approved(approval) => approve(run, approval),
        Fact::Withdrawn { subject, approver, .. } => {
            run.approvals.retain(|it| it.subject != *subject || it.approver != *approver);
        }
        Fact::Intent { step, inputs, .. } => intent(run, step, inputs),
        Fact::Part { step, part, status, facts } => record_part(run, step, part, *status, facts),
        Fact::Outcome { step, result, facts, .. } => outcome(run, step, *result, facts),
        Fact::Stopped { ending, stop } => {
            run.stop = Some(stop.clone());
            turn_back(run, Direction::Undo(*ending));
        }
        Fact::Incident { stop } => {
            if let Status::Running(direction) = run.status {
                run.status = Status::Waiting(direction);
            }
            run.incidents.retain(|held| held.subject != stop.subject);
            run.incidents.push(stop.clone());
            run.resets.remove(stop.subject.split('/').next().unwrap_or_default());
        }
        Fact::Retried { subject } => go_on_without(run, subject),
        Fact::Settled { step, by_hand, reason, .. } => settle(run, step, *by_hand, reason),
        Fact::UndoIntent { step } => with_step(run, step, |step| step.status = StepStatus::Undoing),
        Fact::UndoOutcome { step, done, left_behind, .. } => {
            let status = if *done { StepStatus::Undone } else { StepStatus::UndoFailed };
            with_step(run, step, |step| step.status = status);
            if *done {
                run.undo.pop();
                run.left_behind.extend(left_behind.iter().cloned());
            }
        }
        Fact::RollbackStarted => roll_back(run),
        Fact::Ended { ending } => {
            run.status = Status::Ended(*ending);
            run.ended = Some(at);
        }
    }
}

/// A note counts for a phase that has begun: what was said before is not of its work.
fn note(run: &mut RunState, phase: &str, kind: NoteKind) {
    let index = run.phase_index(phase);
    let held = index.and_then(|it| Some((run.process.phases.get(it)?, run.phases.get(it)?)));
    let begun = held.is_none_or(|(defined, held)| match defined.begins {
        Begins::InTurn => true,
        Begins::OnWord | Begins::NotYet => held.has_word(),
    });
    if !begun {
        return;
    }
    *run.notes.entry(phase.to_owned()).or_default() += 1;
    if kind == NoteKind::Reset {
        run.resets.insert(phase.to_owned());
    }
}

fn block(run: &mut RunState, phase: &str, by: &str, reason: &str) {
    let block = Block { by: by.to_owned(), reason: reason.to_owned() };
    run.blocks.insert(phase.to_owned(), block);
}

/// Goes back on the way that a person asked for.
fn roll_back(run: &mut RunState) {
    run.incidents.clear();
    run.ended = None;
    turn_back(run, Direction::Rollback);
}

fn amend(
    run: &mut RunState,
    [plan, document]: [Digest; 2],
    trust: Option<Digest>,
    process: &Arc<Process>,
) {
    (run.plan, run.document, run.trust) = (plan, document, trust);
    run.amendments += 1;
    run.take_on(Arc::clone(process));
}

fn set(run: &mut RunState, node: &str, state: NodeState) {
    let place = run.node(node).map(|(place, _)| place);
    if let Some(held) = place.and_then(|place| run.at_mut(place)) {
        *held = state;
    }
}

fn with_phase(run: &mut RunState, name: &str, change: impl FnOnce(&mut super::state::PhaseState)) {
    let index = run.phase_index(name);
    if let Some(phase) = index.and_then(|index| run.phases.get_mut(index)) {
        change(phase);
    }
}

fn with_step(run: &mut RunState, name: &str, change: impl FnOnce(&mut StepState)) {
    let place = run.node(name).map(|(place, _)| place);
    if let Some(NodeState::Step(step)) = place.and_then(|place| run.at_mut(place)) {
        change(step);
    }
}

/// A verdict from before the crash says nothing about the world of now: what only looks is done
/// again in the phase that is active, and, where the point of no return is next, in the phase that
/// led to it. What has led to a change stays as it was seen: the change may be what it would see.
fn resume(run: &mut RunState) {
    if let Status::Running(direction) | Status::Waiting(direction) = run.status {
        run.status = Status::Running(direction);
    }
    run.incidents.clear();
    run.resumes += 1;
    let part = run.part();
    let Some(open) = run.open_phase(part).filter(|_| run.is_under_way(part)) else { return };
    look_again(run, open);
    let forward = part == Part::Forward;
    let before = open.checked_sub(1).filter(|_| forward && commits_next(run, open));
    if let Some(before) = before {
        look_again(run, before);
        if let Some(phase) = run.phases.get_mut(before) {
            (phase.status, phase.left) = (PhaseStatus::Active, None);
        }
        if let Some(phase) = run.phases.get_mut(open) {
            phase.status = PhaseStatus::NotStarted;
        }
    }
}

/// Whether the phase holds the point of no return and none of its steps has begun.
fn commits_next(run: &RunState, index: usize) -> bool {
    let (Some(phase), Some(state)) = (run.process.phases.get(index), run.phases.get(index)) else {
        return false;
    };
    let mut nodes = phase.nodes.iter().zip(&state.nodes);
    let commits = phase.nodes.iter().any(|node| node.kind == NodeKind::Commit);
    // Who set a phase active has seen what led to it.
    let in_turn = phase.begins == Begins::InTurn;
    in_turn && commits && !run.committed && !nodes.any(|(node, state)| has_begun(&node.kind, state))
}

fn look_again(run: &mut RunState, index: usize) {
    let (Some(phase), Some(state)) = (run.process.phases.get(index), run.phases.get(index)) else {
        return;
    };
    let reads = |node: usize| run.undo_of(Place { phase: index, node }) == Undo::Nothing;
    let again: Vec<bool> = (0..phase.nodes.len())
        .map(|node| reads(node) && !has_led_to_change(phase, state, node))
        .collect();
    let nodes = run.phases.get_mut(index).map(|phase| phase.nodes.iter_mut());
    for (node, _) in nodes.into_iter().flatten().zip(again).filter(|(_, again)| *again) {
        match node {
            NodeState::Gate(gate) => gate.status = GateStatus::NotRun,
            NodeState::Step(step) if step.status == StepStatus::Applied => {
                step.status = StepStatus::NotStarted;
            }
            // What was chosen, waited for and heard stays so.
            NodeState::Step(_)
            | NodeState::Choice(_)
            | NodeState::Timer(_)
            | NodeState::Message(_)
            | NodeState::Commit(_) => {}
        }
    }
}

/// One approval of a subject from each person: the last.
fn approve(run: &mut RunState, approval: &Approval) {
    run.approvals.retain(|it| it.subject != approval.subject || it.approver != approval.approver);
    run.approvals.push(approval.clone());
}

/// From here on the step is in the list of what is to be undone: it may be cut off in mid-effect.
/// What the procedure does is not undone.
fn intent(run: &mut RunState, step: &str, inputs: &Object) {
    with_step(run, step, |step| {
        step.status = StepStatus::Scheduled;
        step.inputs = inputs.clone();
        step.activations += 1;
    });
    let Some((place, _)) = run.node(step) else { return };
    let part = run.process.phases.get(place.phase).map(|phase| phase.part);
    if part == Some(Part::Forward) && is_undone(run.undo_of(place)) {
        run.undo.retain(|held| *held != place);
        run.undo.push(place);
    }
}

fn is_undone(undo: Undo) -> bool {
    match undo {
        Undo::Always | Undo::BeforeCommit => true,
        Undo::Nothing | Undo::Impossible => false,
    }
}

fn record_part(run: &mut RunState, step: &str, part: &str, status: PartStatus, facts: &Object) {
    with_step(run, step, |step| {
        let entry = step.parts.entry(part.to_owned());
        let entry = entry.or_insert_with(|| PartState { status, facts: Object::new() });
        entry.status = status;
        entry.facts.extend(facts.clone());
    });
}

/// Undo is in the reverse order of ending, across parallel branches too.
fn outcome(run: &mut RunState, step: &str, result: StepResult, facts: &Object) {
    let status = match result {
        StepResult::Applied => StepStatus::Applied,
        StepResult::NotApplied => StepStatus::NotApplied,
        StepResult::Unknown => StepStatus::Unknown,
        StepResult::Withheld => StepStatus::Withheld,
    };
    with_step(run, step, |step| {
        step.status = status;
        step.facts = facts.clone();
    });
    ended_last(run, step);
}

fn ended_last(run: &mut RunState, step: &str) {
    let place = run.node(step).map(|(place, _)| place);
    if let Some(place) = place.filter(|place| run.undo.contains(place)) {
        run.undo.retain(|held| *held != place);
        run.undo.push(place);
    }
}

/// What the way back covers. Behind the point of no return only what is always undone is taken
/// back: the target stays as it is, since it may hold what was written to it since. Where a
/// procedure is prescribed, undo covers the phase that is open, and the procedure the rest: what
/// the phases before it did, and what is left standing behind the point of no return.
fn turn_back(run: &mut RunState, direction: Direction) {
    let open = run.open_phase(Part::Forward);
    run.status = Status::Running(direction);
    if run.committed {
        let undo = std::mem::take(&mut run.undo);
        let always = |place: &Place| run.undo_of(*place) == Undo::Always;
        run.undo = undo.into_iter().filter(always).collect();
    }
    if run.process.has_procedure() {
        run.undo.retain(|place| Some(place.phase) == open);
        let by_procedure = run.nodes().any(|(place, node, state)| {
            let part = run.process.phases.get(place.phase).map(|phase| phase.part);
            let left = Some(place.phase) != open || run.committed && !run.undo.contains(&place);
            left && part == Some(Part::Forward) && may_have_changed(&node.kind, state)
        });
        run.by_procedure = by_procedure;
    }
}

/// Goes on when no incident is left.
fn go_on_without(run: &mut RunState, subject: &str) {
    run.incidents.retain(|stop| stop.subject != subject);
    if let (Status::Waiting(direction), true) = (run.status, run.incidents.is_empty()) {
        run.status = Status::Running(direction);
    }
}

/// What a person says became of a step.
fn settle(run: &mut RunState, step: &str, by_hand: ByHand, reason: &str) {
    let place = run.node(step).map(|(place, _)| place);
    let status = match by_hand {
        ByHand::Applied => StepStatus::Applied,
        ByHand::NotApplied => StepStatus::NotApplied,
        ByHand::Undone => StepStatus::Undone,
        ByHand::LeftStanding => StepStatus::LeftStanding,
    };
    with_step(run, step, |step| step.status = status);
    match by_hand {
        ByHand::Applied | ByHand::NotApplied => ended_last(run, step),
        ByHand::Undone => run.undo.retain(|held| Some(*held) != place),
        ByHand::LeftStanding => {
            run.undo.retain(|held| Some(*held) != place);
            run.left_behind.push(format!("{step} was left as it is: {reason}"));
        }
    }
    go_on_without(run, step);
}

impl RunState {
    /// Whether the way back leads through the prescribed procedure.
    pub(super) fn procedure_is_due(&self) -> bool {
        self.by_procedure
    }

    /// How the run ended, if it did.
    pub fn ending(&self) -> Option<Ending> {
        match self.status {
            Status::Ended(ending) => Some(ending),
            Status::Running(_) | Status::Waiting(_) => None,
        }
    }
}
