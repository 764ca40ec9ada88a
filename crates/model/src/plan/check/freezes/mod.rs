//! Freezes: what is held still must be let go on every way that the plan can take, forward and back.

mod marks;
mod roads;
mod walk;
mod ways;

use std::collections::{BTreeMap, BTreeSet};

use carnet_document::{Code, Diagnostic, Span};

use self::marks::{Does, Mark, Place, is_undone, marks, taken_back};
use self::roads::Roads;
use self::walk::{Endless, Walk};
use crate::capability::{self, Safety};
use crate::plan::Part;
use crate::plan::document::Document;
use crate::plan::nearest::nearest;
use crate::plan::phases::{Phases, WrittenUndo, placed};
use crate::plan::tree::Tree;

/// How many steps of a plan may begin or end a freeze.
const STEPS_MAX: usize = 1_000;

pub(super) fn check(phases: &Phases, document: &Document, tree: &Tree) -> Vec<Diagnostic> {
    let parts = phases.all().map(|(part, _)| part);
    let places = placed(document).into_iter().zip(parts);
    let mut places: Vec<Place<'_>> =
        places.map(|((keys, phase), part)| Place::of(keys, part, phase)).collect();
    let marks = marks(&mut places);
    let mut check = Check { tree, places: &places, marks: &marks, findings: Vec::new() };
    if marks.len() > STEPS_MAX {
        let count = marks.len();
        let what = format!("{count} steps begin or end a freeze, and {STEPS_MAX} are the most");
        let remedy = "let one step hold more still, or write a plan for each part";
        check.conflict(tree.at(&["phases"]), what, remedy);
        return check.findings;
    }
    check.change_something();
    check.take_back_what_they_say();
    check.follow();
    check.findings
}

struct Check<'a> {
    tree: &'a Tree,
    places: &'a [Place<'a>],
    marks: &'a [Mark<'a>],
    findings: Vec<Diagnostic>,
}

/// The marks of each freeze, by phase.
type Named<'a> = BTreeMap<&'a str, BTreeMap<usize, Vec<usize>>>;

impl<'a> Check<'a> {
    fn conflict(&mut self, at: Span, message: impl AsRef<str>, remedy: impl AsRef<str>) {
        self.findings.push(Diagnostic::error(Code::PLAN_CONFLICT, at, message, remedy));
    }

    fn at(&self, mark: usize) -> Span {
        let found = self.marks.get(mark);
        found.map_or_else(|| self.tree.at(&["phases"]), |it| it.at(self.places, self.tree))
    }

    fn is_forward(&self, place: usize) -> bool {
        self.places.get(place).is_some_and(|place| place.part == Part::Forward)
    }

    /// What begins or ends a freeze changes something, and what begins one can be taken back.
    fn change_something(&mut self) {
        for mark in self.marks {
            let (name, freeze) = (&mark.step.capability, mark.name);
            let reads =
                capability::descriptor(name).is_some_and(|it| it.safety == Safety::ReadOnly);
            if reads {
                let what = format!("{name} changes nothing, so nothing is held still or let go");
                self.conflict(mark.at(self.places, self.tree), what, "name the step that does");
            } else if mark.begins() && !is_undone(mark.step) && self.is_forward(mark.place) {
                let refused = matches!(mark.step.undo, Some(WrittenUndo::Refused { .. }));
                let at = if refused {
                    mark.below(self.places, self.tree, &["undo"])
                } else {
                    mark.at(self.places, self.tree)
                };
                let end =
                    format!("nothing ends the freeze `{freeze}` when this step is taken back");
                let what = if mark.says() {
                    end
                } else {
                    format!("this begins the freeze `{freeze}` again, and {end}")
                };
                self.conflict(at, what, "say under `undo` which capability ends it");
            }
        }
    }

    /// What takes a step back begins what that one ended, and ends what it began, and nothing else.
    fn take_back_what_they_say(&mut self) {
        for mark in self.marks.iter().filter(|mark| mark.says()) {
            let Some(target) = taken_back(mark.step) else { continue };
            let (word, other) = match mark.does {
                Does::Begin => ("freeze", "ends"),
                Does::End => ("unfreeze", "begins"),
                Does::BeginAgain(_) | Does::EndOf(_) | Does::Nothing => continue,
            };
            let name = mark.name;
            let what = format!("`{target}` is taken back, which {other} no freeze `{name}`");
            let remedy = format!("name the step that {other} it, or take `{word}` out");
            self.conflict(mark.at(self.places, self.tree), what, remedy);
        }
    }

    fn follow(&mut self) {
        let mut named = Named::new();
        let counts = self.marks.iter().enumerate();
        for (number, mark) in counts.filter(|(_, mark)| mark.does != Does::Nothing) {
            named.entry(mark.name).or_default().entry(mark.place).or_default().push(number);
        }
        let begins = |name: &&str, begins: bool| {
            let marks = named.get(name).into_iter().flat_map(BTreeMap::values).flatten();
            marks.filter_map(|it| self.marks.get(*it)).any(|mark| mark.begins() == begins)
        };
        let begun: BTreeSet<&str> = named.keys().copied().filter(|it| begins(it, true)).collect();
        let mut roads = Roads::of(self.places, self.marks);
        for (name, phases) in &named {
            if !begun.contains(name) {
                self.was_never_begun(name, phases, &begun);
            } else if self.is_ended_on_every_way(name, phases, &mut roads).is_none() {
                return;
            }
        }
    }

    /// `None` if it cannot be followed.
    fn is_ended_on_every_way(
        &mut self,
        name: &str,
        phases: &BTreeMap<usize, Vec<usize>>,
        roads: &mut Roads<'a>,
    ) -> Option<()> {
        let mut walk = Walk::new(self.marks, roads.prescribed);
        let (mut turned, mut beside) = (false, None);
        for (place, marks) in roads.passed(phases) {
            if !turned && !self.is_forward(place) {
                turned = true;
                self.is_ended_forward(name, &walk);
                walk.turn();
            }
            let gone = roads.met(place, marks).and_then(|met| {
                beside = beside.or_else(|| roads.beside(&met));
                walk.go(&met, &mut roads.fuel)
            });
            if gone.is_none() {
                self.has_too_many(name, place);
                return None;
            }
        }
        if !turned {
            self.is_ended_forward(name, &walk);
            walk.turn();
        }
        if roads.prescribed {
            self.is_ended_on_the_way_back(name, &walk);
        }
        if let Some(end) = beside {
            let what = format!("nobody knows whether `{name}` has begun when it ends here");
            let remedy = "let one of the two steps follow the other: `after: […]`";
            self.conflict(self.at(end), what, remedy);
        }
        Some(())
    }

    fn has_too_many(&mut self, name: &str, place: usize) {
        let keys = self.places.get(place).map(|place| place.keys.as_slice()).unwrap_or_default();
        let at = self.tree.at(&keys.iter().map(String::as_str).collect::<Vec<_>>());
        let what = format!("this phase has too many ways, and `{name}` must end on each");
        self.conflict(at, what, "put the choices into a phase of their own");
    }

    fn is_ended_forward(&mut self, name: &str, walk: &Walk<'_>) {
        if let Some(mark) = walk.again {
            let what = format!("the freeze `{name}` can hold already when it begins here");
            self.conflict(self.at(mark), what, "end it before, or give this one another name");
        }
        if let Some(holder) = walk.held.iter().flatten().next() {
            let way = walk.told.get(holder).map_or("to its end", String::as_str);
            let what = format!("the freeze `{name}` is not ended on every way: it holds on {way}");
            let remedy = format!("add a step with `unfreeze: {name}` that every way leads to");
            self.conflict(self.at(*holder), what, remedy);
        }
        if let Some((why, mark)) = walk.endless {
            self.is_endless(name, why, mark);
        }
    }

    fn is_endless(&mut self, name: &str, why: Endless, mark: usize) {
        let step = self.marks.get(mark).map_or("it", |mark| mark.step.capability.as_str());
        let (what, first) = match why {
            Endless::HoldsOver => (
                format!(
                    "the freeze `{name}` holds over the point of no return, behind which {step} \
                     is not undone"
                ),
                "end it before",
            ),
            Endless::BeginsBehind => (
                format!(
                    "the freeze `{name}` begins behind the point of no return, where {step} is \
                     not undone"
                ),
                "begin and end it before",
            ),
            Endless::HeldAgain => (
                format!(
                    "the freeze `{name}` can hold again: behind the point of no return {step} is \
                     undone, and what began it is not"
                ),
                "let one capability begin and end it",
            ),
        };
        let remedy = format!(
            "{first}, or write a way back with `unfreeze: {name}` under `rollback`; undo then \
             covers the open phase alone, so that it must take back as well what the phases \
             before did"
        );
        self.conflict(self.at(mark), what, remedy);
    }

    fn is_ended_on_the_way_back(&mut self, name: &str, walk: &Walk<'_>) {
        let Some(holder) = walk.held.iter().flatten().next() else { return };
        let way = walk.told.get(holder).map_or("to its end", String::as_str);
        let what = format!("the way back does not end the freeze `{name}`: it holds {way}");
        let remedy = format!("add a step with `unfreeze: {name}` under `rollback`");
        self.conflict(self.at(*holder), what, remedy);
    }

    fn was_never_begun(
        &mut self,
        name: &str,
        phases: &BTreeMap<usize, Vec<usize>>,
        begun: &BTreeSet<&str>,
    ) {
        let remedy = match nearest(name, begun.iter().copied()) {
            Some(meant) => format!("did you mean {meant}?"),
            None => format!("add `freeze: {name}` to the step that begins it"),
        };
        for mark in phases.values().flatten() {
            let what = format!("no step begins the freeze `{name}`");
            self.conflict(self.at(*mark), what, &remedy);
        }
    }
}
