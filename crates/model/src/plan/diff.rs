//! What an amended plan changes.

use std::collections::{BTreeMap, BTreeSet};

use carnet_document::canonical_value;
use schemars::JsonSchema;
use serde::Serialize;

use super::compile::Plan;
use super::compiled::{Node, NodeKind, Phase, PlannedStep};
use super::phases::Freeze;

/// What one plan changes of another: nothing if both lists are empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Changes {
    /// What concerns the plan as a whole, by key, such as `owner` or `approvals.go`.
    pub rules: Vec<RuleChange>,
    /// The phases that differ, in the order of the new plan; those that are gone come last.
    pub phases: Vec<PhaseChange>,
}

/// How a part differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Only the new plan has it.
    Added,
    /// Both have it, and it says something else.
    Changed,
    /// Both have the same, in another place.
    Moved,
    /// Only the old plan has it.
    Removed,
}

/// A key of the plan that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RuleChange {
    /// The key.
    pub key: String,
    /// How.
    pub change: Change,
}

/// A phase that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PhaseChange {
    /// The phase.
    pub phase: String,
    /// How.
    pub change: Change,
    /// What of the phase itself differs: `does`, `part`, `on_failure`, `place`.
    pub what: Vec<&'static str>,
    /// The nodes that differ, in the order of the new plan; those that are gone come last.
    pub nodes: Vec<NodeChange>,
}

/// A node that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct NodeChange {
    /// The node, as `PHASE/NODE`.
    pub node: String,
    /// What it is, for people: the new word if both have it.
    pub does: String,
    /// How.
    pub change: Change,
    /// What of it differs: `kind`, `capability`, `with`, `undo`, `freeze`, `unfreeze`, `demand`,
    /// `age_max`, `sample_min`, `closed`, `branches`, `otherwise`, `time`, `after`, `does`.
    pub what: Vec<&'static str>,
}

impl Changes {
    /// Whether both plans do the same under the same rules.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.phases.is_empty()
    }
}

impl Plan {
    /// What this plan changes of an earlier one.
    pub fn changes_from(&self, old: &Self) -> Changes {
        Changes { rules: rules(old, self), phases: phases(old.phases(), self.phases()) }
    }
}

/// Keys whose members are compared one by one.
const BY_MEMBER: [&str; 5] = ["approvals", "governance", "evidence", "files", "programme"];

/// Keys that are not compared: phases are, node by node, and each plan names another parent.
const ELSEWHERE: [&str; 3] = ["phases", "rollback", "amends"];

fn rules(old: &Plan, new: &Plan) -> Vec<RuleChange> {
    let (old, new) = (flat(old), flat(new));
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differ = keys.into_iter().filter_map(|key| {
        let change = match (old.get(key), new.get(key)) {
            (None, _) => Change::Added,
            (_, None) => Change::Removed,
            (Some(old), Some(new)) if old == new => return None,
            (Some(_), Some(_)) => Change::Changed,
        };
        Some(RuleChange { key: key.clone(), change })
    });
    differ.collect()
}

fn flat(plan: &Plan) -> BTreeMap<String, carnet_ledger::Value> {
    use carnet_ledger::Value;
    let mut found = BTreeMap::new();
    let Value::Object(mut document) = canonical_value(plan.document()) else { return found };
    document.insert("files".to_owned(), canonical_value(plan.files()));
    for (key, value) in document {
        match value {
            _ if ELSEWHERE.contains(&key.as_str()) => {}
            Value::Object(members) if BY_MEMBER.contains(&key.as_str()) => {
                found.extend(members.into_iter().map(|(name, it)| (format!("{key}.{name}"), it)));
            }
            value @ (Value::Null
            | Value::Bool(_)
            | Value::Integer(_)
            | Value::Text(_)
            | Value::List(_)
            | Value::Object(_)) => drop(found.insert(key, value)),
        }
    }
    found
}

fn phases(old: &[Phase], new: &[Phase]) -> Vec<PhaseChange> {
    let olds: BTreeMap<&str, &Phase> = old.iter().map(|it| (it.name.as_str(), it)).collect();
    let moved = moved(old.iter().map(|it| it.name.as_str()), new.iter().map(|it| it.name.as_str()));
    let mut found = Vec::new();
    for phase in new {
        let Some(before) = olds.get(phase.name.as_str()) else {
            let nodes = phase.nodes.iter().map(|node| whole(node, Change::Added)).collect();
            found.push(of_phase(phase, Change::Added, Vec::new(), nodes));
            continue;
        };
        let nodes = nodes(before, phase);
        let mut what = Vec::new();
        let differs = [
            ("does", before.does != phase.does),
            ("part", before.part != phase.part),
            ("on_failure", before.on_failure != phase.on_failure),
        ];
        what.extend(differs.iter().filter(|(_, differs)| *differs).map(|(what, _)| *what));
        let is_moved = moved.contains(phase.name.as_str());
        let is_changed = !nodes.is_empty() || !what.is_empty();
        what.extend(is_moved.then_some("place"));
        if is_changed {
            found.push(of_phase(phase, Change::Changed, what, nodes));
        } else if is_moved {
            found.push(of_phase(phase, Change::Moved, what, nodes));
        }
    }
    let names: BTreeSet<&str> = new.iter().map(|it| it.name.as_str()).collect();
    let gone = old.iter().filter(|phase| !names.contains(phase.name.as_str()));
    found.extend(gone.map(|phase| {
        let nodes = phase.nodes.iter().map(|node| whole(node, Change::Removed)).collect();
        of_phase(phase, Change::Removed, Vec::new(), nodes)
    }));
    found
}

fn of_phase(
    phase: &Phase,
    change: Change,
    what: Vec<&'static str>,
    nodes: Vec<NodeChange>,
) -> PhaseChange {
    PhaseChange { phase: phase.name.clone(), change, what, nodes }
}

/// The names that both lists have and that do not stand in the same order among these.
fn moved<'n>(
    old: impl Iterator<Item = &'n str>,
    new: impl Iterator<Item = &'n str>,
) -> BTreeSet<&'n str> {
    let (old, new): (Vec<_>, Vec<_>) = (old.collect(), new.collect());
    let (olds, news): (BTreeSet<_>, BTreeSet<_>) =
        (old.iter().copied().collect(), new.iter().copied().collect());
    let old = old.into_iter().filter(|name| news.contains(name));
    let new = new.into_iter().filter(|name| olds.contains(name));
    old.zip(new).filter(|(old, new)| old != new).map(|(_, new)| new).collect()
}

fn whole(node: &Node, change: Change) -> NodeChange {
    NodeChange { node: node.name.clone(), does: node.does.clone(), change, what: Vec::new() }
}

fn nodes(old: &Phase, new: &Phase) -> Vec<NodeChange> {
    let olds: BTreeMap<&str, &Node> = old.nodes.iter().map(|it| (it.name.as_str(), it)).collect();
    let mut found = Vec::new();
    for node in &new.nodes {
        let Some(before) = olds.get(node.name.as_str()) else {
            found.push(whole(node, Change::Added));
            continue;
        };
        let mut what = of_kind(&before.kind, &node.kind);
        if names_after(old, before) != names_after(new, node) {
            what.push("after");
        }
        if before.does != node.does && what.is_empty() {
            what.push("does");
        }
        if !what.is_empty() {
            found.push(NodeChange { what, ..whole(node, Change::Changed) });
        }
    }
    let names: BTreeSet<&str> = new.nodes.iter().map(|it| it.name.as_str()).collect();
    let gone = old.nodes.iter().filter(|node| !names.contains(node.name.as_str()));
    found.extend(gone.map(|node| whole(node, Change::Removed)));
    found
}

/// What a node waits for, by name: places shift where nodes come and go.
fn names_after<'p>(phase: &'p Phase, node: &'p Node) -> BTreeSet<(&'p str, Option<&'p str>)> {
    let name = |place: usize| phase.nodes.get(place).map_or("", |node| node.name.as_str());
    node.after.iter().map(|after| (name(after.node), after.branch.as_deref())).collect()
}

fn freeze(step: &PlannedStep) -> Option<&str> {
    match step.freeze.as_ref()? {
        Freeze::Freeze(name) => Some(name.as_str()),
        Freeze::Unfreeze(_) => None,
    }
}

fn unfreeze(step: &PlannedStep) -> Option<&str> {
    match step.freeze.as_ref()? {
        Freeze::Freeze(_) => None,
        Freeze::Unfreeze(name) => Some(name.as_str()),
    }
}

/// What differs between two nodes of the same name.
fn of_kind(old: &NodeKind, new: &NodeKind) -> Vec<&'static str> {
    let differs: Vec<(&'static str, bool)> = match (old, new) {
        (NodeKind::Step(old), NodeKind::Step(new)) => vec![
            ("capability", old.capability != new.capability),
            ("with", old.with != new.with),
            ("undo", old.undo != new.undo),
            ("freeze", freeze(old) != freeze(new)),
            ("unfreeze", unfreeze(old) != unfreeze(new)),
        ],
        (NodeKind::Gate(old), NodeKind::Gate(new)) => vec![
            ("demand", old.definition.rule != new.definition.rule),
            ("age_max", old.definition.age_s_max != new.definition.age_s_max),
            ("sample_min", old.definition.sample_min != new.definition.sample_min),
            ("closed", old.closed != new.closed),
        ],
        (
            NodeKind::Choice { branches: old, otherwise: old_else },
            NodeKind::Choice { branches: new, otherwise: new_else },
        ) => vec![("branches", old != new), ("otherwise", old_else != new_else)],
        (NodeKind::Timer(old), NodeKind::Timer(new)) => vec![("time", old != new)],
        (NodeKind::Message, NodeKind::Message) | (NodeKind::Commit, NodeKind::Commit) => Vec::new(),
        (
            NodeKind::Step(_)
            | NodeKind::Gate(_)
            | NodeKind::Choice { .. }
            | NodeKind::Timer(_)
            | NodeKind::Message
            | NodeKind::Commit,
            _,
        ) => vec![("kind", true)],
    };
    differs.into_iter().filter(|(_, differs)| *differs).map(|(what, _)| what).collect()
}
