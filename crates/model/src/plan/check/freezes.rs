//! Freezes: what is held still must be let go on every way that the plan can take, forward and back.

use std::collections::BTreeSet;

use carnet_document::{Code, Diagnostic, Span};

use crate::capability::{self, Safety};
use crate::plan::Part;
use crate::plan::document::Document;
use crate::plan::flow::{Flow, FlowNode, flow};
use crate::plan::nearest::nearest;
use crate::plan::phases::{
    Freeze, Phases, WrittenKind, WrittenPhase, WrittenStep, WrittenUndo, placed,
};
use crate::plan::tree::Tree;
use crate::plan::written::NodeName;

/// How many ways through one phase are followed, and how many nodes on all of them together.
const WAYS_MAX: usize = 4_096;
const NODES_MAX: usize = 1_000_000;

/// How many freezes a plan may have.
const FREEZES_MAX: usize = 100;

pub(super) fn check(phases: &Phases, document: &Document, tree: &Tree) -> Vec<Diagnostic> {
    let parts = phases.all().map(|(part, _)| part);
    let places = placed(document).into_iter().zip(parts);
    let phases: Vec<Place<'_>> = places
        .map(|((keys, phase), part)| Place { keys, part, phase, flow: flow(phase) })
        .collect();
    let mut check = Check { tree, phases: &phases, findings: Vec::new() };
    let named = |begins: bool| {
        let steps = phases.iter().flat_map(Place::steps);
        let names = steps.filter_map(move |(_, step)| step.freeze.as_ref()?.named(begins));
        names.collect::<BTreeSet<&str>>()
    };
    let (begun, ended) = (named(true), named(false));
    if begun.len() > FREEZES_MAX {
        let at = tree.at(&["phases"]);
        let what = format!("there are {} freezes, and {FREEZES_MAX} are the most", begun.len());
        check.conflict(at, what, "let steps that hold the same still share a name");
        return check.findings;
    }
    for name in &begun {
        check.can_be_taken_back(name);
        check.is_ended_on_every_way(name);
    }
    for name in ended.difference(&begun) {
        check.was_never_begun(name, &begun);
    }
    check.findings
}

/// A phase, and where it stands in the plan.
struct Place<'p> {
    keys: Vec<String>,
    part: Part,
    phase: &'p WrittenPhase,
    flow: Flow<'p>,
}

struct Check<'a> {
    tree: &'a Tree,
    phases: &'a [Place<'a>],
    findings: Vec<Diagnostic>,
}

/// What was found on the ways through some phases.
#[derive(Default)]
struct Ways {
    /// Whether the freeze can hold at the end, and whether it can be over.
    ends: BTreeSet<bool>,
    /// A way on which it holds at the end.
    open: Option<String>,
    /// Whether it can hold at the point of no return.
    over_commit: bool,
    /// Where it can begin a second time.
    again: Option<Span>,
    /// Where the phase has more ways than are followed.
    too_many: Option<Span>,
}

impl Freeze {
    /// Its name, if it begins here, or ends here.
    fn named(&self, begins: bool) -> Option<&str> {
        match self {
            Self::Freeze(name) => begins.then_some(name.as_str()),
            Self::Unfreeze(name) => (!begins).then_some(name.as_str()),
        }
    }
}

fn begins(step: &WrittenStep, name: &str) -> bool {
    step.freeze.as_ref().and_then(|it| it.named(true)) == Some(name)
}

fn ends(step: &WrittenStep, name: &str) -> bool {
    step.freeze.as_ref().and_then(|it| it.named(false)) == Some(name)
}

impl Place<'_> {
    fn steps(&self) -> impl Iterator<Item = (&FlowNode<'_>, &WrittenStep)> {
        self.flow.nodes.iter().filter_map(|node| match &node.node.kind {
            WrittenKind::Step(step) => Some((node, step)),
            WrittenKind::Gate(_)
            | WrittenKind::Choice { .. }
            | WrittenKind::Wait(_)
            | WrittenKind::WaitUntil(_)
            | WrittenKind::Message(_)
            | WrittenKind::Approval(_)
            | WrittenKind::Commit => None,
        })
    }

    fn at(&self, tree: &Tree, node: &FlowNode<'_>, key: &str) -> Span {
        let place = node.place.to_string();
        let keys = self.keys.iter().map(String::as_str);
        tree.at(&keys.chain([node.section, place.as_str(), key]).collect::<Vec<_>>())
    }

    /// Which nodes run, for each way that its choices can take, with a name for the way. `None` if
    /// there are too many.
    fn ways(&self) -> Option<Vec<(String, Vec<bool>)>> {
        let mut ways: Vec<Vec<(usize, &str)>> = vec![Vec::new()];
        for (index, node) in self.flow.nodes.iter().enumerate() {
            let WrittenKind::Choice { branches, otherwise } = &node.node.kind else { continue };
            let names = branches.iter().map(|branch| &branch.name).chain([otherwise]);
            let names: Vec<&str> = names.map(NodeName::as_str).collect();
            let count = ways.len().saturating_mul(names.len());
            if count > WAYS_MAX || count.saturating_mul(self.flow.nodes.len()) > NODES_MAX {
                return None;
            }
            let mut longer = Vec::with_capacity(ways.len() * names.len());
            for way in &ways {
                longer
                    .extend(names.iter().map(|name| [way.as_slice(), &[(index, *name)]].concat()));
            }
            ways = longer;
        }
        Some(ways.iter().map(|way| (self.told(way), self.runs(way))).collect())
    }

    fn told(&self, way: &[(usize, &str)]) -> String {
        let name = |index: usize| self.flow.nodes.get(index).map_or("", |it| it.node.name.as_str());
        let taken = way.iter().map(|(index, branch)| format!("{}:{branch}", name(*index)));
        let taken: Vec<String> = taken.collect();
        if taken.is_empty() {
            format!("in the phase `{}`", self.phase.name)
        } else {
            format!("in the phase `{}`, where it goes {}", self.phase.name, taken.join(", "))
        }
    }

    /// A node runs if nothing is before it, or one of those leads there.
    fn runs(&self, way: &[(usize, &str)]) -> Vec<bool> {
        let mut runs: Vec<bool> = Vec::with_capacity(self.flow.nodes.len());
        for node in &self.flow.nodes {
            let leads = node.after.iter().any(|after| {
                let taken = way.iter().find(|(index, _)| *index == after.node);
                let here = after
                    .branch
                    .as_deref()
                    .is_none_or(|branch| taken.is_some_and(|(_, name)| *name == branch));
                here && runs.get(after.node).copied().unwrap_or(false)
            });
            runs.push(node.after.is_empty() || leads);
        }
        runs
    }

    /// Which nodes always come after this one, and which always come before it.
    fn around(&self, node: usize) -> (Vec<bool>, Vec<bool>) {
        let is = |set: &[bool], at: usize| set.get(at).copied().unwrap_or(false);
        let count = self.flow.nodes.len();
        let (mut behind, mut before) = (vec![false; count], vec![false; count]);
        for (index, found) in self.flow.nodes.iter().enumerate() {
            let follows = found.after.iter().any(|it| it.node == node || is(&behind, it.node));
            if let Some(place) = behind.get_mut(index) {
                *place = follows;
            }
        }
        for (index, found) in self.flow.nodes.iter().enumerate().take(node + 1).rev() {
            if index == node || is(&before, index) {
                for after in &found.after {
                    if let Some(place) = before.get_mut(after.node) {
                        *place = true;
                    }
                }
            }
        }
        (behind, before)
    }

    /// Goes past a phase in which the freeze neither begins nor ends.
    fn pass(&self, from: Ways) -> Ways {
        let commits = |node: &FlowNode<'_>| matches!(node.node.kind, WrittenKind::Commit);
        let held = from.ends.contains(&true);
        let over_commit = from.over_commit || held && self.flow.nodes.iter().any(commits);
        Ways { over_commit, ..from }
    }

    /// Goes all ways of the phase, from where the freeze holds or does not.
    fn go(&self, name: &str, tree: &Tree, from: &Ways, found: &mut Ways) {
        let Some(ways) = self.ways() else {
            found.too_many =
                Some(tree.at(&self.keys.iter().map(String::as_str).collect::<Vec<_>>()));
            return;
        };
        for (told, runs) in &ways {
            for before in &from.ends {
                let mut held = *before;
                for (node, _) in self.flow.nodes.iter().zip(runs).filter(|(_, runs)| **runs) {
                    match &node.node.kind {
                        WrittenKind::Step(step) if begins(step, name) => {
                            if held {
                                found.again = Some(self.at(tree, node, "freeze"));
                            }
                            held = true;
                        }
                        WrittenKind::Step(step) if ends(step, name) => held = false,
                        WrittenKind::Commit => found.over_commit |= held,
                        WrittenKind::Step(_)
                        | WrittenKind::Gate(_)
                        | WrittenKind::Choice { .. }
                        | WrittenKind::Wait(_)
                        | WrittenKind::WaitUntil(_)
                        | WrittenKind::Message(_)
                        | WrittenKind::Approval(_) => {}
                    }
                }
                found.ends.insert(held);
                if held && found.open.is_none() {
                    let begun_before = from.open.as_ref().filter(|_| *before);
                    found.open = Some(begun_before.unwrap_or(told).clone());
                }
            }
        }
    }
}

impl Check<'_> {
    fn conflict(&mut self, at: Span, message: impl AsRef<str>, remedy: impl AsRef<str>) {
        self.findings.push(Diagnostic::error(Code::PLAN_CONFLICT, at, message, remedy));
    }

    /// Where the freeze begins or ends.
    fn places(&self, name: &str, of: fn(&WrittenStep, &str) -> bool, key: &str) -> Vec<Span> {
        let places = self.phases.iter().flat_map(|place| {
            let steps = place.steps().filter(|(_, step)| of(step, name));
            steps.map(|(node, _)| place.at(self.tree, node, key))
        });
        places.collect()
    }

    /// A failure takes the step back, and with it the freeze.
    fn can_be_taken_back(&mut self, name: &str) {
        let mut found = Vec::new();
        for place in self.phases.iter().filter(|place| place.part == Part::Forward) {
            for (node, step) in place.steps().filter(|(_, step)| begins(step, name)) {
                let reads = capability::descriptor(&step.capability)
                    .is_some_and(|it| it.safety == Safety::ReadOnly);
                if reads {
                    let what =
                        format!("{} changes nothing, so nothing is held still", step.capability);
                    found.push((
                        place.at(self.tree, node, "freeze"),
                        what,
                        "name the step that does",
                    ));
                } else if let Some(WrittenUndo::Refused { .. }) = step.undo {
                    let what =
                        format!("nothing ends the freeze `{name}` when this step is taken back");
                    let remedy = "say under `undo` which capability ends it";
                    found.push((place.at(self.tree, node, "undo"), what, remedy));
                }
            }
        }
        for (at, what, remedy) in found {
            self.conflict(at, what, remedy);
        }
    }

    fn is_ended_on_every_way(&mut self, name: &str) {
        let Some(begun) = self.places(name, begins, "freeze").first().copied() else { return };
        let start = Ways { ends: [false].into(), ..Ways::default() };
        let forward = self.walk(name, Part::Forward, start);
        if self.has_too_many(name, forward.too_many) {
            return;
        }
        if let Some(at) = forward.again {
            let what = format!("the freeze `{name}` can hold already when it begins here");
            self.conflict(at, what, "end it before, or give this one another name");
        }
        if let Some(way) = &forward.open {
            let what = format!("the freeze `{name}` is not ended on every way: it holds on {way}");
            let remedy = format!("add a step with `unfreeze: {name}` that every way leads to");
            self.conflict(begun, what, remedy);
        }
        self.is_beside(name);
        if self.phases.iter().any(|place| place.part == Part::Rollback) {
            // The way back is gone from wherever the run stands.
            let start = Ways { ends: [false, true].into(), ..Ways::default() };
            let back = self.walk(name, Part::Rollback, start);
            self.has_too_many(name, back.too_many);
            if back.ends.contains(&true) {
                let way = back.open.as_deref().unwrap_or("to its end");
                let what = format!("the way back does not end the freeze `{name}`: it holds {way}");
                let remedy = format!("add a step with `unfreeze: {name}` under `rollback`");
                self.conflict(begun, what, remedy);
            }
        } else if forward.over_commit {
            let what = format!(
                "the freeze `{name}` holds over the point of no return, behind which nothing is undone"
            );
            let remedy = format!(
                "end it before, or write a way back with `unfreeze: {name}` under `rollback`"
            );
            self.conflict(begun, what, remedy);
        }
    }

    fn has_too_many(&mut self, name: &str, found: Option<Span>) -> bool {
        if let Some(at) = found {
            let what = format!("this phase has too many ways, and `{name}` must end on each");
            self.conflict(at, what, "split the phase");
        }
        found.is_some()
    }

    fn walk(&self, name: &str, part: Part, start: Ways) -> Ways {
        let phases = self.phases.iter().filter(|place| place.part == part);
        phases.fold(start, |before, place| {
            if !place.steps().any(|(_, step)| begins(step, name) || ends(step, name)) {
                return place.pass(before);
            }
            let (over_commit, again) = (before.over_commit, before.again);
            let mut after =
                Ways { over_commit, again, too_many: before.too_many, ..Ways::default() };
            place.go(name, self.tree, &before, &mut after);
            after
        })
    }

    /// Of two steps beside each other nobody knows which comes first.
    fn is_beside(&mut self, name: &str) {
        let mut found = None;
        for place in self.phases {
            let of = |is: fn(&WrittenStep, &str) -> bool| {
                let nodes = place.flow.nodes.iter().enumerate();
                nodes.filter(move |(_, node)| {
                    matches!(&node.node.kind, WrittenKind::Step(step) if is(step, name))
                })
            };
            for (begin, _) in of(begins) {
                let (behind, before) = place.around(begin);
                let is = |set: &[bool], at: usize| set.get(at).copied().unwrap_or(false);
                let beside = of(ends).find(|(end, _)| !is(&behind, *end) && !is(&before, *end));
                found = found.or(beside.map(|(_, node)| place.at(self.tree, node, "unfreeze")));
            }
        }
        if let Some(at) = found {
            let what = format!("nobody knows whether `{name}` has begun when it ends here");
            self.conflict(at, what, "let one of the two steps follow the other: `after: […]`");
        }
    }

    fn was_never_begun(&mut self, name: &str, begun: &BTreeSet<&str>) {
        for at in self.places(name, ends, "unfreeze") {
            let remedy = match nearest(name, begun.iter().copied()) {
                Some(meant) => format!("did you mean {meant}?"),
                None => format!("add `freeze: {name}` to the step that begins it"),
            };
            self.conflict(at, format!("no step begins the freeze `{name}`"), remedy);
        }
    }
}
