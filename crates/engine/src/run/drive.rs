//! The loop: what follows, doing it, recording it.

use carnet_ledger::Object;
use carnet_model::Code;
use carnet_model::gate::{Evaluation, Verdict};
use carnet_model::plan::StepName;

use super::notes;
use super::recorder::Note;
use crate::error::{EngineError, StepError};
use crate::gate;
use crate::process::{Command, GateVerdict, Next, RunState, StepResult, StepStatus, Stop, next};
use crate::refusal::gate_class;
use crate::step::{self, Context, Done};

/// Goes on until nothing is left to do, or a person must act.
pub(super) fn drive(cx: &Context<'_>) -> Result<(), EngineError> {
    loop {
        let Some(run) = cx.recorder.run() else { return Ok(()) };
        match next(&run) {
            Next::Enter(phase) => tell(cx, Command::Enter(phase), Vec::new())?,
            Next::Leave(phase) => {
                let notes = notes::left(cx, &run, &phase)?;
                tell(cx, Command::Leave(phase), notes)?;
            }
            Next::Judge(gate) => judge(cx, &run, gate)?,
            Next::Begin(step) => begin(cx, &run, step)?,
            Next::Settle(step) => settle(cx, &run, step)?,
            Next::Undo(step) => undo(cx, &run, step)?,
            Next::End(ending) => tell(cx, Command::End(ending), Vec::new())?,
            Next::Wait | Next::Nothing => return Ok(()),
        }
    }
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

fn begin(cx: &Context<'_>, run: &RunState, node: String) -> Result<(), EngineError> {
    let step = step_of(cx, &node)?;
    let shows_only =
        step.mutates() || matches!(step, StepName::RehashSnapshot | StepName::ReadBack);
    if run.dry_run && shows_only {
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
fn settle(cx: &Context<'_>, run: &RunState, node: String) -> Result<(), EngineError> {
    let step = step_of(cx, &node)?;
    let inputs = run.step(&node).map(|held| held.inputs.clone()).unwrap_or_default();
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

fn undo(cx: &Context<'_>, run: &RunState, node: String) -> Result<(), EngineError> {
    let step = step_of(cx, &node)?;
    let Some(held) = run.step(&node) else { return Ok(()) };
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

fn judge(cx: &Context<'_>, run: &RunState, node: String) -> Result<(), EngineError> {
    let found = cx.plan.node(&node).and_then(|(phase, node)| Some((phase, node.gate()?)));
    let Some((phase, planned)) = found else {
        return Err(StepError::new(Code::BUG, format!("no gate is named {node}")).into());
    };
    let (phase, definition) = (phase.name.as_str(), &planned.definition);
    let (evaluation, observation) = gate::evaluate(cx, phase, definition, run.dry_run);
    let observation = match observation {
        Some(observation) => Some(cx.recorder.put_json(&observation)?),
        None => None,
    };
    let opens =
        evaluation.opens() || (run.dry_run && evaluation.judgement.verdict == Verdict::NotRun);
    let stop = closed(&node, &evaluation);
    let verdict = GateVerdict {
        verdict: evaluation.judgement.verdict.name().to_owned(),
        opens,
        reason: reason(&evaluation),
        refused: evaluation.refused,
        damaged: evaluation.damaged,
        remedy: evaluation.judgement.remedy.clone().unwrap_or_default(),
        observation,
    };
    let notes = notes::judged(cx, run, phase, &node, &verdict, &stop)?;
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
