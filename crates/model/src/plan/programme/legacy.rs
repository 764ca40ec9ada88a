//! Paths that a programme calls legacy: no step and no gate executes them.

use carnet_document::{Code, Diagnostic};
use serde_json::Value;

use super::section::Programme;
use crate::plan::phases::{Phases, WrittenKind, WrittenNode, WrittenPhase, WrittenUndo};
use crate::plan::place::Place;
use crate::plan::tree::Tree;

/// All findings.
pub(super) fn check(programme: &Programme, phases: &Phases, tree: &Tree) -> Vec<Diagnostic> {
    let legacy: Vec<Place> = programme.legacy.iter().map(|path| Place::of(path)).collect();
    let forward = phases.phases.iter().enumerate().map(|it| (["phases"].as_slice(), it));
    let back = phases.rollback.iter().flat_map(|back| back.phases.iter().enumerate());
    let back = back.map(|it| (["rollback", "phases"].as_slice(), it));
    let mut findings = Vec::new();
    for (keys, (at, phase)) in forward.chain(back) {
        let at = at.to_string();
        for (section, place, node) in WrittenPhase::nodes(phase) {
            let place = place.to_string();
            for (below, path) in executed(node, &legacy) {
                let keys = [keys, &[at.as_str(), section, place.as_str()], below].concat();
                let message = format!("`{}` executes what the programme calls legacy", node.name);
                let remedy = "use what took its place, or take the path out of programme.legacy";
                let finding =
                    Diagnostic::error(Code::PLAN_CONFLICT, tree.at(&keys), message, remedy);
                findings.push(finding.with_value(&path));
            }
        }
    }
    findings
}

/// The legacy paths that a node hands to a program, each with the keys of what holds them.
fn executed(node: &WrittenNode, legacy: &[Place]) -> Vec<(&'static [&'static str], String)> {
    let mut found: Vec<(&'static [&'static str], String)> = Vec::new();
    let mut look = |below: &'static [&'static str], given: &Value| {
        found.extend(in_programs(given, legacy).map(|path| (below, path)));
    };
    match &node.kind {
        WrittenKind::Step(step) => {
            look(&["with"], &step.with);
            if let Some(WrittenUndo::By { with, .. }) = &step.undo {
                look(&["undo", "with"], with);
            }
        }
        WrittenKind::Gate(definition) => {
            look(&["with"], &serde_json::to_value(definition).unwrap_or_default());
        }
        WrittenKind::Choice { branches, .. } => {
            for branch in branches {
                look(&["branches"], &serde_json::to_value(&branch.when).unwrap_or_default());
            }
        }
        WrittenKind::Wait(_)
        | WrittenKind::WaitUntil(_)
        | WrittenKind::Message(_)
        | WrittenKind::Approval(_)
        | WrittenKind::Commit => {}
    }
    found
}

/// The first legacy path in what names a program: the program itself, and all that it is given, since
/// a shell or an interpreter executes what stands in its arguments.
fn in_programs<'v>(
    given: &'v Value,
    legacy: &'v [Place],
) -> impl Iterator<Item = String> + use<'v> {
    let mut texts = Vec::new();
    if names_program(given) {
        collect(given, &mut texts);
    }
    texts.into_iter().find_map(|text| word_of_legacy(text, legacy)).into_iter()
}

fn names_program(given: &Value) -> bool {
    match given {
        Value::Object(members) => {
            members.contains_key("program") || members.values().any(names_program)
        }
        Value::Array(items) => items.iter().any(names_program),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn collect<'v>(given: &'v Value, texts: &mut Vec<&'v str>) {
    match given {
        Value::String(text) => texts.push(text),
        Value::Object(members) => members.values().for_each(|value| collect(value, texts)),
        Value::Array(items) => items.iter().for_each(|value| collect(value, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The first word of a text that lies in a legacy place. Words end where a shell ends them.
fn word_of_legacy(text: &str, legacy: &[Place]) -> Option<String> {
    let ends = |c: char| c.is_whitespace() || ";|&()<>{}`'\"=,:".contains(c);
    let words = text.split(ends).filter(|word| !word.is_empty());
    let mut words = [text].into_iter().chain(words);
    let lies = |word: &&str| {
        let place = Place::of(word);
        legacy.iter().any(|legacy| place.is_within(legacy))
    };
    words.find(lies).map(ToOwned::to_owned)
}
