//! Paths that a programme calls legacy: no step and no gate executes them.

use std::path::Path;

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

/// The first legacy path in what names a program.
fn in_programs(given: &Value, legacy: &[Place]) -> Option<String> {
    let Handed { folders, words } = handed(given)?;
    let from = [""].into_iter().chain(folders).map(Path::new).collect::<Vec<_>>();
    let lies = |word: &&str| {
        let mut places = from.iter().map(|folder| Place::of_path(&folder.join(word)));
        places.any(|place| legacy.iter().any(|legacy| place.is_within(legacy)))
    };
    words.into_iter().find(lies).map(ToOwned::to_owned)
}

/// What a program is handed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handed<'v> {
    /// The folders that it is started in, as the plan has them.
    pub folders: Vec<&'v str>,
    /// The program itself, and all that it is given, since a shell or an interpreter executes what
    /// stands in its arguments: each text whole, and in words that end where a shell ends them.
    pub words: Vec<&'v str>,
}

/// What the inputs of a step or the rule of a gate hand to a program; `None` if they name none.
pub fn handed(given: &Value) -> Option<Handed<'_>> {
    let (mut folders, mut texts) = (Vec::new(), Vec::new());
    if !collect(given, &mut folders, &mut texts) {
        return None;
    }
    let ends = |c: char| c.is_whitespace() || ";|&()<>{}`'\"=,:".contains(c);
    let words = texts.into_iter().flat_map(|text| [text].into_iter().chain(text.split(ends)));
    let words = words.filter(|word| !word.is_empty()).collect();
    Some(Handed { folders, words })
}

/// Collects all texts, and the folders among them; whether a program is named.
fn collect<'v>(given: &'v Value, folders: &mut Vec<&'v str>, texts: &mut Vec<&'v str>) -> bool {
    texts.extend(given.as_str());
    let mut all = |given| collect(given, folders, texts);
    match given {
        Value::Object(members) => {
            let inside = members.values().fold(false, |found, it| all(it) | found);
            folders.extend(members.get("folder").and_then(Value::as_str));
            inside || members.contains_key("program") || members.contains_key("programs")
        }
        Value::Array(items) => items.iter().fold(false, |found, it| all(it) | found),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
