//! Gates and choices: observe, judge, record.

use carnet_model::Code;
use carnet_model::gate::{Definition, Evaluation, Observation, Rule, Verdict};
use carnet_model::plan::NodeKind;

use super::act::withheld_before;
use super::drive::tell;
use super::{notes, rules};
use crate::error::{EngineError, StepError};
use crate::gate;
use crate::step::Context;
use carnet_process::gate_class;
use carnet_process::{Command, GateVerdict, Stop};

/// The first branch whose gate passes; the other ones are not asked any more.
pub(super) fn choose(cx: &Context<'_>, node: String) -> Result<(), EngineError> {
    let found = cx.plan.node(&node);
    let Some((phase, NodeKind::Choice { branches, otherwise })) =
        found.map(|(phase, node)| (phase, &node.kind))
    else {
        return Err(StepError::new(Code::BUG, format!("no choice is named {node}")).into());
    };
    let (mut seen, mut notes) = (Vec::new(), Vec::new());
    for branch in branches {
        let (evaluation, observation) = look(cx, &phase.name, &branch.when);
        let reason = reason(&evaluation);
        notes.extend(rules::decided(cx, &node, observation.as_ref(), &reason)?);
        if evaluation.opens() {
            let (choice, branch) = (node, branch.name.clone());
            return tell(cx, Command::Choose { choice, branch, reason }, notes);
        }
        seen.push(format!("{}: {reason}", branch.name));
    }
    let (branch, reason) = (otherwise.clone(), seen.join("; "));
    tell(cx, Command::Choose { choice: node, branch, reason }, notes)
}

pub(super) fn judge(cx: &Context<'_>, node: String) -> Result<(), EngineError> {
    let found = cx.plan.node(&node).and_then(|(phase, node)| Some((phase, node.gate()?)));
    let Some((phase, planned)) = found else {
        return Err(StepError::new(Code::BUG, format!("no gate is named {node}")).into());
    };
    let (phase, definition) = (phase.name.as_str(), &planned.definition);
    let (evaluation, seen) = look(cx, phase, definition);
    let observation = seen.as_ref().map(|seen| cx.recorder.put_json(seen)).transpose()?;
    let not_run = cx.dry_run && evaluation.judgement.verdict == Verdict::NotRun;
    let exception = if evaluation.opens() || not_run { None } else { exception(cx, &node) };
    let exception = exception.filter(|_| !evaluation.is_broken());
    let opens = evaluation.opens() || not_run || exception.is_some();
    let by_rules = seen.as_ref().and_then(|seen| rules::closed(&node, &evaluation, seen));
    let stop = by_rules.unwrap_or_else(|| closed(&node, &evaluation));
    let verdict = GateVerdict {
        verdict: evaluation.judgement.verdict.name().to_owned(),
        opens,
        reason: reason(&evaluation),
        refused: evaluation.refused,
        damaged: evaluation.damaged,
        remedy: evaluation.judgement.remedy.clone().unwrap_or_default(),
        observation,
        exception,
    };
    let Some(run) = cx.recorder.run() else { return Ok(()) };
    let mut notes = rules::decided(cx, &node, seen.as_ref(), &stop.reason)?;
    notes.extend(notes::judged(cx, &run, phase, &node, &verdict, &stop)?);
    tell(cx, Command::Judge { gate: node, verdict, stop }, notes)
}

/// Looks and judges. A dry run looks as long as nothing was withheld that a gate could be about, and
/// asks nobody for an approval.
fn look(
    cx: &Context<'_>,
    phase: &str,
    definition: &Definition,
) -> (Evaluation, Option<Observation>) {
    if cx.plan.knowledge().is_some() {
        return gate::evaluate(cx, phase, definition, cx.dry_run);
    }
    let asks = matches!(definition.rule, Rule::Approval(_));
    if cx.dry_run && (asks || withheld_before(cx)) {
        let reason = "a dry run makes nothing that could be looked at";
        return (Evaluation::not_run(definition, reason), None);
    }
    gate::evaluate_now(cx, definition)
}

/// The exception of the plan that opens a gate although it did not pass: named, for a reason, not
/// expired, and approved. A gate that lets damaged copies pass has none: nobody knows what it says.
fn exception(cx: &Context<'_>, node: &str) -> Option<String> {
    let now_s = cx.clock.now().unix_millis().div_euclid(1000);
    let mut found = cx.plan.exceptions().iter().filter(|it| it.gate == node);
    let stands = found.find(|it| {
        it.expires_at.unix_seconds() > now_s
            && approval(cx, it.approval.as_str()).is_some_and(|it| it.opens())
    })?;
    Some(format!("{}: {} ({})", stands.label, stands.reason, stands.owner))
}

/// What the gate says that asks for what the plan calls this approval; `None` if the plan defines no
/// such approval.
pub(super) fn approval(cx: &Context<'_>, name: &str) -> Option<Evaluation> {
    Some(gate::evaluate_now(cx, &cx.plan.approval(name)?).0)
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
