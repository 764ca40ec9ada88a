//! The loop: what follows, doing it, recording it.

use carnet_ledger::Object;
use carnet_model::Code;
use carnet_model::gate::{Evaluation, Verdict};
use carnet_model::plan::{NodeKind, StepName};

use super::notes;
use super::recorder::Note;
use crate::error::{EngineError, StepError};
use crate::gate;
use crate::process::{Command, GateVerdict, Next, RunState, StepResult, StepStatus, Stop, ready};
use crate::refusal::gate_class;
use crate::step::{self, Context, Done};

/// Goes on until nothing is left to do, or a person must act.
pub(super) fn drive(cx: &Context<'_>) -> Result<(), EngineError> {
    while let Some(all) = cx.recorder.look(ready) {
        let (waits, work): (Vec<_>, Vec<_>) = all.into_iter().partition(is_wait);
        let goes_on = match work.as_slice() {
            [] => wait(cx, waits)?,
            [one] => go(cx, one.clone())?,
            several => together(cx, several)?,
        };
        if !goes_on {
            return Ok(());
        }
    }
    Ok(())
}

fn is_wait(next: &Next) -> bool {
    matches!(next, Next::Await { .. } | Next::Hear(_))
}

/// Parallel branches: each in a thread of its own, as many at once as may work. What comes of them is
/// recorded one after the other, and the next thing follows when all have ended.
fn together(cx: &Context<'_>, work: &[Next]) -> Result<bool, EngineError> {
    std::thread::scope(|scope| {
        let at_once = work.iter().take(cx.work.workers.max(1));
        let threads: Vec<_> = at_once.map(|one| scope.spawn(move || go(cx, one.clone()))).collect();
        // All are waited for, also after one has failed.
        let ended: Vec<_> = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect();
        ended.into_iter().try_fold(true, |all, one| Ok(one? && all))
    })
}

/// Does one thing; `false` if there is nothing to do.
fn go(cx: &Context<'_>, next: Next) -> Result<bool, EngineError> {
    match next {
        Next::Enter(phase) => tell(cx, Command::Enter(phase), Vec::new())?,
        Next::Leave(phase) => {
            let Some(run) = cx.recorder.run() else { return Ok(false) };
            let notes = notes::left(cx, &run, &phase)?;
            tell(cx, Command::Leave(phase), notes)?;
        }
        Next::Judge(gate) => judge(cx, gate)?,
        Next::Choose(choice) => choose(cx, choice)?,
        Next::Set(timer) => tell(cx, Command::SetTimer(timer), Vec::new())?,
        Next::Await { timer, .. } => tell(cx, Command::EndTimer(timer), Vec::new())?,
        Next::Commit(node) => tell(cx, Command::Commit(node), Vec::new())?,
        Next::Begin(step) => begin(cx, step)?,
        Next::Settle(step) => settle(cx, step)?,
        Next::Undo(step) => undo(cx, step)?,
        Next::End(ending) => tell(cx, Command::End(ending), Vec::new())?,
        Next::Hear(_) | Next::Wait | Next::Nothing => return Ok(false),
    }
    Ok(true)
}

/// Waits for the first timer that is due soon enough; `false` if there is none. A dry run waits for
/// nothing, and takes what it would wait for as come.
fn wait(cx: &Context<'_>, waits: Vec<Next>) -> Result<bool, EngineError> {
    if cx.dry_run {
        for one in waits {
            let command = match one {
                Next::Hear(message) => Command::Send { message, reason: "dry run".to_owned() },
                Next::Await { timer, .. } => Command::EndTimer(timer),
                Next::Enter(_)
                | Next::Judge(_)
                | Next::Choose(_)
                | Next::Set(_)
                | Next::Commit(_)
                | Next::Begin(_)
                | Next::Settle(_)
                | Next::Leave(_)
                | Next::Undo(_)
                | Next::End(_)
                | Next::Wait
                | Next::Nothing => continue,
            };
            tell(cx, command, Vec::new())?;
        }
        return Ok(true);
    }
    let timers = waits.into_iter().filter_map(|one| match one {
        Next::Await { timer, due } => Some((due, timer)),
        Next::Enter(_)
        | Next::Judge(_)
        | Next::Choose(_)
        | Next::Set(_)
        | Next::Hear(_)
        | Next::Commit(_)
        | Next::Begin(_)
        | Next::Settle(_)
        | Next::Leave(_)
        | Next::Undo(_)
        | Next::End(_)
        | Next::Wait
        | Next::Nothing => None,
    });
    let Some((due, timer)) = timers.min() else { return Ok(false) };
    let left = || due.unix_millis().saturating_sub(cx.clock.now().unix_millis());
    if left() > cx.patience_ms {
        return Ok(false);
    }
    while left() > 0 {
        let most = std::time::Duration::from_millis(200);
        let left = std::time::Duration::from_millis(left().unsigned_abs());
        std::thread::sleep(left.min(most));
    }
    tell(cx, Command::EndTimer(timer), Vec::new())?;
    Ok(true)
}

fn tell(cx: &Context<'_>, command: Command, notes: Vec<Note>) -> Result<(), EngineError> {
    cx.recorder.command(command, notes, cx.clock)
}

/// The step that a node stands for.
fn step_of(cx: &Context<'_>, node: &str) -> Result<StepName, EngineError> {
    let planned = cx.plan.node(node).and_then(|(_, node)| node.step());
    let step = planned.and_then(|step| StepName::of_capability(&step.capability));
    step.ok_or_else(|| StepError::new(Code::BUG, format!("no step is named {node}")).into())
}

fn begin(cx: &Context<'_>, node: String) -> Result<(), EngineError> {
    let step = step_of(cx, &node)?;
    let shows_only =
        step.mutates() || matches!(step, StepName::RehashSnapshot | StepName::ReadBack);
    if cx.dry_run && shows_only {
        let (result, facts) = (StepResult::Withheld, Object::new());
        let command = Command::Settle { step: node, result, facts, why: None };
        return tell(cx, command, Vec::new());
    }
    match step::inputs(cx, step) {
        Ok(inputs) => tell(cx, Command::Begin { step: node, inputs }, Vec::new()),
        Err(error) => {
            let (ending, why) = error.stop(&node);
            tell(cx, Command::Stop { ending, stop: why }, Vec::new())
        }
    }
}

/// Does a step whose intent is durable. What an earlier process did of it is not known: every step
/// can be repeated, and the switch looks first.
fn settle(cx: &Context<'_>, node: String) -> Result<(), EngineError> {
    let step = step_of(cx, &node)?;
    let inputs = |run: &RunState| run.step(&node).map(|held| held.inputs.clone());
    let inputs = cx.recorder.look(inputs).flatten().unwrap_or_default();
    let acted = cx.faults.pass(&format!("before/{node}")).and_then(|()| {
        let done = step::act(cx, step, &inputs)?;
        cx.faults.pass(&format!("after/{node}"))?;
        Ok(done)
    });
    if let (true, Err(error)) = (cx.faults.crashed(), &acted) {
        return Err(StepError::new(error.code, error.told()).into());
    }
    match acted {
        Ok(Done { facts, notes }) => {
            let result = StepResult::Applied;
            tell(cx, Command::Settle { step: node, result, facts, why: None }, notes)
        }
        Err(error) => {
            let result = if error.code == Code::RUN_UNKNOWN {
                StepResult::Unknown
            } else {
                StepResult::NotApplied
            };
            let why = Some(error.stop(&node));
            let facts = Object::new();
            tell(cx, Command::Settle { step: node, result, facts, why }, Vec::new())
        }
    }
}

fn undo(cx: &Context<'_>, node: String) -> Result<(), EngineError> {
    let step = step_of(cx, &node)?;
    let held = cx.recorder.look(|run| run.step(&node).cloned()).flatten();
    let Some(held) = held else { return Ok(()) };
    if held.status != StepStatus::Undoing {
        tell(cx, Command::BeginUndo(node.clone()), Vec::new())?;
    }
    let undone = cx.faults.pass(&format!("undo/{node}")).and_then(|()| {
        let left_behind = step::undo(cx, step, &held.inputs)?;
        cx.faults.pass(&format!("undone/{node}"))?;
        Ok(left_behind)
    });
    if let (true, Err(error)) = (cx.faults.crashed(), &undone) {
        return Err(StepError::new(error.code, error.told()).into());
    }
    let result = undone.map_err(|error| error.stop(&node).1);
    tell(cx, Command::SettleUndo { step: node, result }, Vec::new())
}

/// The first branch whose gate passes; the other ones are not asked any more.
fn choose(cx: &Context<'_>, node: String) -> Result<(), EngineError> {
    let found = cx.plan.node(&node);
    let Some((phase, NodeKind::Choice { branches, otherwise })) =
        found.map(|(phase, node)| (phase, &node.kind))
    else {
        return Err(StepError::new(Code::BUG, format!("no choice is named {node}")).into());
    };
    let mut seen = Vec::new();
    for branch in branches {
        let (evaluation, _) = gate::evaluate(cx, &phase.name, &branch.when, cx.dry_run);
        let reason = reason(&evaluation);
        if evaluation.opens() {
            let (choice, branch) = (node, branch.name.clone());
            return tell(cx, Command::Choose { choice, branch, reason }, Vec::new());
        }
        seen.push(format!("{}: {reason}", branch.name));
    }
    let (branch, reason) = (otherwise.clone(), seen.join("; "));
    tell(cx, Command::Choose { choice: node, branch, reason }, Vec::new())
}

fn judge(cx: &Context<'_>, node: String) -> Result<(), EngineError> {
    let found = cx.plan.node(&node).and_then(|(phase, node)| Some((phase, node.gate()?)));
    let Some((phase, planned)) = found else {
        return Err(StepError::new(Code::BUG, format!("no gate is named {node}")).into());
    };
    let (phase, definition) = (phase.name.as_str(), &planned.definition);
    let (evaluation, observation) = gate::evaluate(cx, phase, definition, cx.dry_run);
    let observation = match observation {
        Some(observation) => Some(cx.recorder.put_json(&observation)?),
        None => None,
    };
    let opens =
        evaluation.opens() || (cx.dry_run && evaluation.judgement.verdict == Verdict::NotRun);
    let stop = closed(&node, &evaluation);
    let verdict = GateVerdict {
        verdict: evaluation.judgement.verdict.name().to_owned(),
        opens,
        reason: reason(&evaluation),
        refused: evaluation.refused,
        damaged: evaluation.damaged,
        remedy: evaluation.judgement.remedy.clone().unwrap_or_default(),
        observation,
        exception: None,
    };
    let Some(run) = cx.recorder.run() else { return Ok(()) };
    let notes = notes::judged(cx, &run, phase, &node, &verdict, &stop)?;
    tell(cx, Command::Judge { gate: node, verdict, stop }, notes)
}

pub(super) fn reason(evaluation: &Evaluation) -> String {
    let said = &evaluation.judgement.reason;
    if !evaluation.is_broken() {
        return said.clone();
    }
    let missed = evaluation.missed.join(", ");
    format!("the gate is broken: it also passes damaged copies ({missed}); it said: {said}")
}

pub(super) fn closed(node: &str, evaluation: &Evaluation) -> Stop {
    let code = evaluation.code().unwrap_or(Code::GATE_CLOSED);
    let class = gate_class(node, evaluation.judgement.verdict.name());
    Stop {
        class,
        code: code.name().to_owned(),
        subject: node.to_owned(),
        reason: reason(evaluation),
        remedy: evaluation.judgement.remedy.clone().unwrap_or_default(),
    }
}
