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

/// How many ways through one phase are followed, and how many nodes and arrows on all of them.
const WAYS_MAX: usize = 4_096;
const FOLLOWED_MAX: usize = 1_000_000;

/// How many steps of a plan may begin or end a freeze.
const STEPS_MAX: usize = 1_000;

pub(super) fn check(phases: &Phases, document: &Document, tree: &Tree) -> Vec<Diagnostic> {
    let parts = phases.all().map(|(part, _)| part);
    let places = placed(document).into_iter().zip(parts);
    let phases: Vec<Place<'_>> =
        places.map(|((keys, phase), part)| Place::of(keys, part, phase)).collect();
    let mut check = Check { tree, phases: &phases, findings: Vec::new() };
    let count: usize = phases.iter().map(|place| place.marks.len()).sum();
    if count > STEPS_MAX {
        let what = format!("{count} steps begin or end a freeze, and {STEPS_MAX} are the most");
        let remedy = "let one step hold more still, or write a plan for each part";
        check.conflict(tree.at(&["phases"]), what, remedy);
        return check.findings;
    }
    let named = |begins: bool| -> BTreeSet<&str> {
        let marks = phases.iter().flat_map(|place| &place.marks);
        marks.filter(|mark| mark.begins == begins).map(|mark| mark.name).collect()
    };
    let (begun, ended) = (named(true), named(false));
    check.change_something();
    for name in &begun {
        check.is_ended_on_every_way(name);
    }
    for name in ended.difference(&begun) {
        check.was_never_begun(name, &begun);
    }
    check.findings
}

/// A step that begins or ends a freeze.
struct Mark<'p> {
    node: usize,
    step: &'p WrittenStep,
    name: &'p str,
    begins: bool,
}

impl Mark<'_> {
    const fn key(&self) -> &'static str {
        if self.begins { "freeze" } else { "unfreeze" }
    }
}

/// One way through a phase: which nodes run, and in words which branches it takes.
struct Way {
    runs: Vec<bool>,
    told: String,
}

/// A phase, and where it stands in the plan.
struct Place<'p> {
    keys: Vec<String>,
    part: Part,
    phase: &'p WrittenPhase,
    flow: Flow<'p>,
    marks: Vec<Mark<'p>>,
    /// Where the point of no return is.
    commit: Option<usize>,
    /// The ways through it; `None` if they are too many. Only looked for where there are marks.
    ways: Option<Vec<Way>>,
}

struct Check<'a> {
    tree: &'a Tree,
    phases: &'a [Place<'a>],
    findings: Vec<Diagnostic>,
}

/// How a freeze can stand after some phases.
#[derive(Default)]
struct Standing {
    /// Whether it can hold, and whether it can be over.
    held: BTreeSet<bool>,
    /// A way on which it holds.
    open: Option<String>,
    /// Whether the point of no return is behind.
    committed: bool,
    /// Where that leaves it without an end: it holds over that point, or begins behind it.
    endless: Option<&'static str>,
    /// Where it can begin a second time.
    again: Option<Span>,
    /// Where a phase has more ways than are followed.
    too_many: Option<Span>,
}

impl<'p> Place<'p> {
    fn of(keys: Vec<String>, part: Part, phase: &'p WrittenPhase) -> Self {
        let flow = flow(phase);
        let marks = flow.nodes.iter().enumerate().filter_map(|(node, found)| {
            let WrittenKind::Step(step) = &found.node.kind else { return None };
            let (name, begins) = match step.freeze.as_ref()? {
                Freeze::Freeze(name) => (name.as_str(), true),
                Freeze::Unfreeze(name) => (name.as_str(), false),
            };
            Some(Mark { node, step, name, begins })
        });
        let marks: Vec<Mark<'p>> = marks.collect();
        let is_commit = |node: &FlowNode<'_>| matches!(node.node.kind, WrittenKind::Commit);
        let commit = flow.nodes.iter().position(is_commit);
        let mut place = Self { keys, part, phase, flow, marks, commit, ways: None };
        if !place.marks.is_empty() {
            place.ways = place.all_ways();
        }
        place
    }

    fn has(&self, name: &str) -> bool {
        self.marks.iter().any(|mark| mark.name == name)
    }

    fn mark_at(&self, tree: &Tree, mark: &Mark<'_>, key: &str) -> Span {
        self.flow.nodes.get(mark.node).map_or_else(|| tree.at(&[]), |it| self.at(tree, it, key))
    }

    fn at(&self, tree: &Tree, node: &FlowNode<'_>, key: &str) -> Span {
        let place = node.place.to_string();
        let keys = self.keys.iter().map(String::as_str);
        tree.at(&keys.chain([node.section, place.as_str(), key]).collect::<Vec<_>>())
    }

    /// A way for each branch that its choices can take. `None` if there are too many.
    fn all_ways(&self) -> Option<Vec<Way>> {
        let arrows: usize = self.flow.nodes.iter().map(|node| node.after.len() + 1).sum();
        let mut ways: Vec<Vec<(usize, &str)>> = vec![Vec::new()];
        for (index, node) in self.flow.nodes.iter().enumerate() {
            let WrittenKind::Choice { branches, otherwise } = &node.node.kind else { continue };
            let names = branches.iter().map(|branch| &branch.name).chain([otherwise]);
            let names: Vec<&str> = names.map(NodeName::as_str).collect();
            let count = ways.len().saturating_mul(names.len());
            if count > WAYS_MAX || count.saturating_mul(arrows) > FOLLOWED_MAX {
                return None;
            }
            let mut longer = Vec::with_capacity(ways.len() * names.len());
            for way in &ways {
                longer
                    .extend(names.iter().map(|name| [way.as_slice(), &[(index, *name)]].concat()));
            }
            ways = longer;
        }
        let way = |way: &Vec<_>| Way { runs: self.runs(way), told: self.told(way) };
        Some(ways.iter().map(way).collect())
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

    /// Whether some way has another node beside this one, and none of the two comes first.
    fn beside(&self, one: usize) -> impl Fn(usize) -> bool {
        let is = |set: &[bool], at: usize| set.get(at).copied().unwrap_or(false);
        let (behind, before) = self.around(one);
        move |other| {
            let both = |way: &Way| is(&way.runs, one) && is(&way.runs, other);
            let ordered = is(&behind, other) || is(&before, other);
            !ordered && self.ways.iter().flatten().any(both)
        }
    }

    /// Goes all ways of the phase, from where the freeze stands before it.
    fn go(&self, name: &str, tree: &Tree, from: Standing) -> Standing {
        if !self.has(name) {
            let over = self.commit.is_some() && from.held.contains(&true);
            return Standing {
                committed: from.committed || self.commit.is_some(),
                endless: from.endless.or(over.then_some(HOLDS_OVER)),
                ..from
            };
        }
        let Some(ways) = &self.ways else {
            let keys: Vec<&str> = self.keys.iter().map(String::as_str).collect();
            return Standing { too_many: Some(tree.at(&keys)), ..from };
        };
        let mut found = Standing {
            held: BTreeSet::new(),
            open: None,
            committed: from.committed || self.commit.is_some(),
            ..from
        };
        for way in ways {
            for before in &from.held {
                if self.follow(name, tree, way, (*before, from.committed), &mut found) {
                    let begun = from.open.as_ref().filter(|_| *before);
                    found.open.get_or_insert_with(|| begun.unwrap_or(&way.told).clone());
                }
            }
        }
        found
    }

    /// Goes one way; gives whether the freeze holds at its end.
    fn follow(
        &self,
        name: &str,
        tree: &Tree,
        way: &Way,
        (mut held, committed): (bool, bool),
        found: &mut Standing,
    ) -> bool {
        let marks = self.marks.iter().filter(|mark| mark.name == name);
        let mut commit = self.commit;
        for mark in marks.filter(|mark| way.runs.get(mark.node).copied().unwrap_or(false)) {
            if held && commit.take_if(|at| *at < mark.node).is_some() {
                found.endless = found.endless.or(Some(HOLDS_OVER));
            }
            if mark.begins && held {
                found.again = Some(self.mark_at(tree, mark, "freeze"));
            }
            if mark.begins && (committed || self.commit.is_some_and(|at| at < mark.node)) {
                found.endless = found.endless.or(Some(BEGINS_BEHIND));
            }
            held = mark.begins;
        }
        if held && commit.is_some() {
            found.endless = found.endless.or(Some(HOLDS_OVER));
        }
        found.held.insert(held);
        held
    }
}

const HOLDS_OVER: &str = "holds over the point of no return";
const BEGINS_BEHIND: &str = "begins behind the point of no return";

impl Check<'_> {
    fn conflict(&mut self, at: Span, message: impl AsRef<str>, remedy: impl AsRef<str>) {
        self.findings.push(Diagnostic::error(Code::PLAN_CONFLICT, at, message, remedy));
    }

    /// What begins or ends a freeze changes something, and what begins one can be taken back.
    fn change_something(&mut self) {
        for place in self.phases {
            for mark in &place.marks {
                let name = &mark.step.capability;
                let reads =
                    capability::descriptor(name).is_some_and(|it| it.safety == Safety::ReadOnly);
                let for_good = matches!(mark.step.undo, Some(WrittenUndo::Refused { .. }));
                if reads {
                    let what =
                        format!("{name} changes nothing, so nothing is held still or let go");
                    let at = place.mark_at(self.tree, mark, mark.key());
                    self.conflict(at, what, "name the step that does");
                } else if mark.begins && for_good && place.part == Part::Forward {
                    let freeze = mark.name;
                    let what =
                        format!("nothing ends the freeze `{freeze}` when this step is taken back");
                    let at = place.mark_at(self.tree, mark, "undo");
                    self.conflict(at, what, "say under `undo` which capability ends it");
                }
            }
        }
    }

    fn is_ended_on_every_way(&mut self, name: &str) {
        let forward = self.walk(name, Part::Forward, [false].into());
        if self.has_too_many(name, forward.too_many) {
            return;
        }
        let begun = self.first(name);
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
            self.is_ended_on_the_way_back(name, begun);
        } else if let Some(endless) = forward.endless {
            let what = format!("the freeze `{name}` {endless}, behind which nothing is undone");
            let remedy = format!(
                "keep it before, or write a way back with `unfreeze: {name}` under `rollback`"
            );
            self.conflict(begun, what, remedy);
        }
    }

    /// The way back is gone from wherever the run stands.
    fn is_ended_on_the_way_back(&mut self, name: &str, begun: Span) {
        let back = self.walk(name, Part::Rollback, [false, true].into());
        if self.has_too_many(name, back.too_many) || !back.held.contains(&true) {
            return;
        }
        let way = back.open.as_deref().unwrap_or("to its end");
        let what = format!("the way back does not end the freeze `{name}`: it holds {way}");
        let remedy = format!("add a step with `unfreeze: {name}` under `rollback`");
        self.conflict(begun, what, remedy);
    }

    /// Where the freeze begins first.
    fn first(&self, name: &str) -> Span {
        let marks = self.phases.iter().flat_map(|it| it.marks.iter().map(move |mark| (it, mark)));
        let mut begun = marks.filter(|(_, mark)| mark.begins && mark.name == name);
        begun.next().map_or_else(
            || self.tree.at(&["phases"]),
            |(place, mark)| place.mark_at(self.tree, mark, "freeze"),
        )
    }

    fn has_too_many(&mut self, name: &str, found: Option<Span>) -> bool {
        if let Some(at) = found {
            let what = format!("this phase has too many ways, and `{name}` must end on each");
            self.conflict(at, what, "split the phase");
        }
        found.is_some()
    }

    fn walk(&self, name: &str, part: Part, held: BTreeSet<bool>) -> Standing {
        let phases = self.phases.iter().filter(|place| place.part == part);
        let start = Standing { held, ..Standing::default() };
        phases.fold(start, |before, place| place.go(name, self.tree, before))
    }

    /// Of two steps beside each other nobody knows which comes first.
    fn is_beside(&mut self, name: &str) {
        let beside = self.phases.iter().find_map(|place| {
            let of = |begins: bool| {
                place.marks.iter().filter(move |it| it.begins == begins && it.name == name)
            };
            of(true).find_map(|begin| {
                let is_beside = place.beside(begin.node);
                let mut ends = of(false);
                ends.find(|end| is_beside(end.node))
                    .map(|end| place.mark_at(self.tree, end, "unfreeze"))
            })
        });
        if let Some(at) = beside {
            let what = format!("nobody knows whether `{name}` has begun when it ends here");
            self.conflict(at, what, "let one of the two steps follow the other: `after: […]`");
        }
    }

    fn was_never_begun(&mut self, name: &str, begun: &BTreeSet<&str>) {
        let remedy = match nearest(name, begun.iter().copied()) {
            Some(meant) => format!("did you mean {meant}?"),
            None => format!("add `freeze: {name}` to the step that begins it"),
        };
        for place in self.phases {
            for mark in place.marks.iter().filter(|mark| mark.name == name) {
                let at = place.mark_at(self.tree, mark, "unfreeze");
                self.conflict(at, format!("no step begins the freeze `{name}`"), &remedy);
            }
        }
    }
}
