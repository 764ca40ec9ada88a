//! The files that a plan refers to: its digest covers their content.

use std::collections::BTreeMap;

use carnet_document::{Code, Diagnostic};
use carnet_ledger::Digest;
use serde_json::Value;

use super::around::Around;
use super::document::Document;
use super::phases::{WrittenKind, WrittenUndo, placed};
use super::programme::Programme;
use super::tree::Tree;
use crate::capability;

/// The files with their digests, and what is wrong with those that have none.
pub(super) fn files(
    document: &Document,
    tree: &Tree,
    around: &Around<'_>,
) -> (BTreeMap<String, Digest>, Vec<Diagnostic>) {
    let (mut files, mut missing) = (BTreeMap::new(), Vec::new());
    for (path, keys) in named(document) {
        if files.contains_key(&path) {
            continue;
        }
        match (around.file)(&path) {
            Ok(digest) => drop(files.insert(path, digest)),
            Err(why) => {
                let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
                let message = format!("the file cannot be read: {why}");
                let remedy = "name a file that is there; the path starts at the folder of the plan";
                let finding = Diagnostic::error(Code::PLAN_VALUE, tree.at(&keys), message, remedy);
                missing.push(finding.with_value(&path));
            }
        }
    }
    (files, missing)
}

/// The paths, each with the keys that lead to it: the trust file, what a
/// programme pins, and what the capabilities' schemas
/// call a path (`"format": "path"`).
fn named(document: &Document) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    if let Some(trust) = &document.trust {
        found.push((trust.to_string(), vec!["trust".to_owned()]));
    }
    let programme = document.phases().and_then(|phases| phases.programme.as_deref());
    for (pin, keys) in programme.into_iter().flat_map(Programme::pinned) {
        found.push((pin.file.clone(), ["programme".to_owned()].into_iter().chain(keys).collect()));
    }
    let mut keys_of: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (keys, phase) in placed(document) {
        for (section, place, node) in phase.nodes() {
            let WrittenKind::Step(step) = &node.kind else { continue };
            let mut given = vec![(step.capability.as_str(), &step.with, vec!["with"])];
            if let Some(WrittenUndo::By { capability, with }) = &step.undo {
                given.push((capability, with, vec!["undo", "with"]));
            }
            for (capability, with, below) in given {
                let paths = keys_of.entry(capability).or_insert_with(|| path_keys(capability));
                for key in paths {
                    let Some(Value::String(path)) = with.get(key.as_str()) else { continue };
                    let place = [section.to_owned(), place.to_string()];
                    let below = below.iter().map(|key| (*key).to_owned());
                    let keys = keys.iter().cloned().chain(place).chain(below);
                    found.push((path.clone(), keys.chain([key.clone()]).collect()));
                }
            }
        }
    }
    found
}

/// The inputs of a capability that are paths of files.
fn path_keys(capability: &str) -> Vec<String> {
    let Some(found) = capability::descriptor(capability) else { return Vec::new() };
    let schema = (found.inputs)();
    let properties = schema.get("properties").and_then(Value::as_object);
    let paths = properties
        .into_iter()
        .flatten()
        .filter(|(_, about)| about.get("format").is_some_and(|format| format == "path"));
    paths.map(|(key, _)| key.clone()).collect()
}
