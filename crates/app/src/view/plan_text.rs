//! A plan as text for people, 80 columns wide.

use carnet_model::capability::{Fencing, Repeat};
use carnet_model::plan::{OnFailure, Part, mask};
use serde_json::Value;

use super::plan::{GateView, KindView, NodeView, PhaseView, PlanView, StepView};
use crate::sheet::Sheet;

pub(crate) fn text(view: &PlanView<'_>) -> String {
    let mut sheet = Sheet::default();
    sheet.line(format_args!("plan {}", view.migration));
    sheet.field("  digest", 8, &view.plan_digest);
    let about = [
        ("  amends", view.amends.as_deref()),
        ("  from", view.source.as_deref()),
        ("  to", view.target.as_deref()),
        ("  crosses", view.crosses.as_deref()),
        ("  mode", view.mode),
    ];
    for (label, said) in about {
        if let Some(said) = said {
            sheet.field(label, 8, said);
        }
    }
    for (path, digest) in &view.files {
        sheet.field("  file", 8, &format!("{path} {digest}"));
    }
    for (number, phase) in (1..).zip(&view.phases) {
        sheet.gap();
        phase_text(&mut sheet, number, phase);
    }
    if !view.exceptions.is_empty() {
        sheet.gap();
        sheet.line("exceptions");
    }
    for it in &view.exceptions {
        let said = format!(
            "{} may stay closed until {}, if `{}` is approved: {} ({})",
            it.gate, it.expires_at, it.approval, it.reason, it.owner
        );
        sheet.field(format_args!("  {}", it.label), it.label.chars().count() + 2, &said);
    }
    sheet.gap();
    sheet.line("Undo runs newest first. A gate that does not pass stops the run.");
    sheet.text()
}

fn phase_text(sheet: &mut Sheet, number: usize, phase: &PhaseView) {
    let commits = phase.nodes.iter().any(|node| matches!(node.kind, KindView::Commit));
    let nothing = phase.nodes.iter().all(|node| matches!(node.kind, KindView::Commit));
    let does = if nothing { "nothing in this plan" } else { phase.does.as_str() };
    let does = if does.is_empty() { String::new() } else { format!(": {does}") };
    let way = match phase.part {
        Part::Forward => "",
        Part::Rollback => " (way back)",
    };
    sheet.field(
        number,
        number.to_string().len().saturating_sub(1),
        &format!("{}{way}{does}", phase.phase),
    );
    if phase.on_failure == OnFailure::Wait && phase.part == Part::Forward {
        sheet.field("  fails", 6, "the run stops as it stands, and a person decides");
    }
    let mut before: Option<&str> = None;
    for node in &phase.nodes {
        node_text(sheet, node, before, nothing && commits);
        before = Some(node.node.as_str());
    }
}

/// One node. What it waits for is said where that is not just the node before it.
fn node_text(sheet: &mut Sheet, node: &NodeView, before: Option<&str>, alone: bool) {
    let name = short(&node.node);
    let line = format!("{name}: {}", mask(&node.does));
    match &node.kind {
        KindView::Step(step) => {
            sheet.field("  step", 6, &line);
            step_text(sheet, name, step);
        }
        KindView::Gate(gate) => {
            let kind = if gate.gate == name { String::new() } else { format!(" ({})", gate.gate) };
            let line = format!("{name}{kind}: {}", mask(&node.does));
            sheet.field("  gate", 6, &format!("{line}; {}", freshness(gate)));
        }
        KindView::Approval(gate) => {
            sheet.field("  wait", 6, &line);
            sheet.field("", 6, &approvers(gate));
        }
        KindView::Choice { branches, otherwise } => {
            sheet.field("  pick", 6, &line);
            for branch in branches {
                let said = format!("{}: if {}", branch.branch, mask(&branch.demands));
                sheet.field("", 6, &said);
            }
            sheet.field("", 6, &format!("{otherwise}: otherwise"));
        }
        KindView::Wait { .. } | KindView::WaitUntil { .. } => sheet.field("  wait", 6, &line),
        KindView::Message { sent_by } => {
            let said = format!("{line}; `{sent_by}`");
            sheet.field("  wait", 6, &said);
        }
        KindView::Commit => {
            let said = "point of no return: from here on nothing is undone by itself";
            if !alone {
                sheet.field("  ----", 6, said);
            }
        }
    }
    let plain = match (before, node.after.as_slice()) {
        (None, []) => true,
        (Some(before), [only]) => only == before,
        (None | Some(_), _) => false,
    };
    if !plain {
        let names: Vec<&str> = node.after.iter().map(|name| short(name)).collect();
        let said =
            if names.is_empty() { "the start of the phase".to_owned() } else { names.join(", ") };
        sheet.field("", 6, &format!("after {said}"));
    }
}

fn short(name: &str) -> &str {
    name.split_once('/').map_or(name, |(_, name)| name)
}

fn step_text(sheet: &mut Sheet, name: &str, step: &StepView) {
    let by = step.capability.as_str();
    let by = if by.strip_prefix("knowledge.") == Some(name) { "" } else { by };
    let with = match &step.with {
        Value::Object(members) if members.is_empty() => String::new(),
        with @ (Value::Object(_)
        | Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)) => mask(&with.to_string()),
    };
    let given = [by, with.as_str()].into_iter().filter(|said| !said.is_empty());
    let given: Vec<&str> = given.collect();
    if !given.is_empty() {
        sheet.field("", 6, &given.join(" "));
    }
    if let Some(name) = &step.freeze {
        sheet.field("", 6, &format!("begins the freeze {name}"));
    }
    if let Some(name) = &step.unfreeze {
        sheet.field("", 6, &format!("ends the freeze {name}"));
    }
    if !step.changes {
        return;
    }
    let undo = match (&step.undo, step.undo_by.get("refused")) {
        (Some(undo), _) => mask(undo),
        (None, Some(refused)) => {
            let said = |key| refused.get(key).and_then(Value::as_str).unwrap_or_default();
            format!("none, if `{}` is approved: {}", said("approval"), said("reason"))
        }
        (None, None) => "none is needed".to_owned(),
    };
    sheet.field("  undo", 6, &undo);
    if let Some(given) = step.undo_by.pointer("/by/with") {
        sheet.field("", 6, &mask(&given.to_string()));
    }
    sheet.field("", 6, &format!("{}; after a crash {}", fenced(step.fencing), again(step.repeat)));
}

const fn fenced(fencing: Fencing) -> &'static str {
    match fencing {
        Fencing::Transactional => "fenced by a transaction",
        Fencing::Conditional => "fenced by a condition",
        Fencing::None => "not fenced",
    }
}

const fn again(repeat: Repeat) -> &'static str {
    match repeat {
        Repeat::Again => "it is done again",
        Repeat::Probe => "it is looked for",
        Repeat::Manual => "a person decides",
    }
}

/// How old an observation may be, and how much must have been compared.
fn freshness(gate: &GateView) -> String {
    let age = format!("at most {} old", spell(gate.age_s_max));
    if gate.sample_min > 1 { format!("{age}, of at least {}", gate.sample_min) } else { age }
}

/// Who may approve, and for how long that holds.
fn approvers(gate: &GateView) -> String {
    let people = gate.rule.get("any_of").and_then(Value::as_array);
    let people: Vec<&str> = people.into_iter().flatten().filter_map(Value::as_str).collect();
    let holds = gate.rule.get("expires_s").and_then(Value::as_u64).unwrap_or_default();
    format!("by {}; holds for {}", people.join(", "), spell(holds))
}

/// A length of time in the largest unit that it is a whole number of.
fn spell(seconds: u64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "min")];
    let whole = units.iter().find(|(size, _)| seconds >= *size && seconds.is_multiple_of(*size));
    match whole {
        Some((size, unit)) => format!("{} {unit}", seconds / size),
        None => format!("{seconds} s"),
    }
}
