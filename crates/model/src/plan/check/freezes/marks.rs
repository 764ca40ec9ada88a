//! The steps of a plan that begin or end a freeze.

use std::collections::HashMap;

use carnet_document::Span;

use crate::capability::{self, UndoReach};
use crate::plan::Part;
use crate::plan::flow::{Flow, flow};
use crate::plan::phases::{
    Freeze, WrittenKind, WrittenNode, WrittenPhase, WrittenStep, WrittenUndo,
};
use crate::plan::tree::Tree;

/// A phase, and where it stands in the plan.
pub(super) struct Place<'p> {
    pub(super) keys: Vec<String>,
    pub(super) part: Part,
    pub(super) phase: &'p WrittenPhase,
    /// Where the point of no return is among its nodes.
    pub(super) commit: Option<usize>,
    /// Which node waits for which; only of a phase with marks.
    pub(super) flow: Option<Flow<'p>>,
}

/// What a mark does to a freeze.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Does {
    Begin,
    End,
    /// It takes back the step that ended it, by its mark.
    BeginAgain(usize),
    /// It takes back the step that began it, by its mark.
    EndOf(usize),
    /// It takes back what has no undo.
    Nothing,
}

/// A step that begins or ends a freeze.
pub(super) struct Mark<'p> {
    pub(super) place: usize,
    pub(super) node: usize,
    section: &'static str,
    number: usize,
    /// As PHASE/NODE.
    full: (&'p str, &'p str),
    pub(super) step: &'p WrittenStep,
    pub(super) name: &'p str,
    pub(super) does: Does,
    /// Whether it is undone behind the point of no return as well.
    pub(super) always: bool,
}

impl<'p> Place<'p> {
    pub(super) fn of(keys: Vec<String>, part: Part, phase: &'p WrittenPhase) -> Self {
        let is_commit = |node: &WrittenNode| matches!(node.kind, WrittenKind::Commit);
        let commit = phase.nodes().position(|(_, _, node)| is_commit(node));
        Self { keys, part, phase, commit, flow: None }
    }
}

impl Mark<'_> {
    /// Whether the step says it itself; otherwise it takes back one that does.
    pub(super) const fn says(&self) -> bool {
        self.step.freeze.is_some()
    }

    pub(super) const fn begins(&self) -> bool {
        matches!(self.does, Does::Begin | Does::BeginAgain(_))
    }

    /// Where it is said that it begins or ends something.
    pub(super) fn at(&self, places: &[Place<'_>], tree: &Tree) -> Span {
        match &self.step.freeze {
            Some(Freeze::Freeze(_)) => self.below(places, tree, &["freeze"]),
            Some(Freeze::Unfreeze(_)) => self.below(places, tree, &["unfreeze"]),
            None => self.below(places, tree, &["with", "step"]),
        }
    }

    pub(super) fn below(&self, places: &[Place<'_>], tree: &Tree, keys: &[&str]) -> Span {
        let number = self.number.to_string();
        let above = places.get(self.place).map(|place| place.keys.as_slice()).unwrap_or_default();
        let step = [self.section, number.as_str()];
        let all = above.iter().map(String::as_str).chain(step).chain(keys.iter().copied());
        tree.at(&all.collect::<Vec<_>>())
    }
}

/// Whether something is done when the step is taken back.
pub(super) fn is_undone(step: &WrittenStep) -> bool {
    let own = capability::descriptor(&step.capability)
        .is_none_or(|found| found.undo_reach != UndoReach::Nowhere);
    match &step.undo {
        Some(WrittenUndo::By { .. }) => true,
        Some(WrittenUndo::Refused { .. }) => false,
        None => own,
    }
}

/// Whether that is so behind the point of no return as well.
fn is_always_undone(step: &WrittenStep) -> bool {
    let reach = capability::descriptor(&step.capability).map(|found| found.undo_reach);
    reach == Some(UndoReach::Always) && is_undone(step)
}

fn said(step: &WrittenStep) -> Option<(&str, bool)> {
    match step.freeze.as_ref()? {
        Freeze::Freeze(name) => Some((name.as_str(), true)),
        Freeze::Unfreeze(name) => Some((name.as_str(), false)),
    }
}

/// The step that this one takes back, as PHASE/NODE.
pub(super) fn taken_back(step: &WrittenStep) -> Option<&str> {
    capability::taken_back(&step.capability, &step.with)
}

/// All marks, in the order of the plan. What takes a marked step back has a mark of its own.
pub(super) fn marks<'p>(places: &mut [Place<'p>]) -> Vec<Mark<'p>> {
    let mut marked: HashMap<(&str, &str), (&'p str, bool)> = HashMap::new();
    for place in places.iter() {
        for (_, _, node) in place.phase.nodes() {
            let WrittenKind::Step(step) = &node.kind else { continue };
            if let Some(said) = said(step).filter(|_| taken_back(step).is_none()) {
                let full = (place.phase.name.as_str(), node.name.as_str());
                marked.entry(full).or_insert(said);
            }
        }
    }
    let mut found = Vec::new();
    for (place, of) in places.iter_mut().enumerate() {
        let before = found.len();
        for (node, (section, number, held)) in of.phase.nodes().enumerate() {
            let WrittenKind::Step(step) = &held.kind else { continue };
            let target = taken_back(step).and_then(|it| it.split_once('/'));
            let target = target.and_then(|it| marked.get(&it)).map(|(name, begun)| (*name, !begun));
            let Some((name, begins)) = said(step).or(target) else { continue };
            let does = if begins { Does::Begin } else { Does::End };
            let always = is_always_undone(step);
            let full = (of.phase.name.as_str(), held.name.as_str());
            found.push(Mark { place, node, section, number, full, step, name, does, always });
        }
        if found.len() > before {
            of.flow = Some(flow(of.phase));
        }
    }
    take_back(&mut found);
    found
}

/// Says of each step that takes back a marked one which one that is.
fn take_back(marks: &mut [Mark<'_>]) {
    let mut numbers: HashMap<(&str, &str), usize> = HashMap::new();
    for (number, mark) in marks.iter().enumerate().filter(|(_, it)| taken_back(it.step).is_none()) {
        numbers.entry(mark.full).or_insert(number);
    }
    let of = |mark: &Mark<'_>| {
        let number = *numbers.get(&taken_back(mark.step)?.split_once('/')?)?;
        let target = marks.get(number)?;
        // What says something else is refused for that alone.
        let agrees = target.name == mark.name && target.begins() != mark.begins();
        agrees.then(|| match (target.begins(), is_undone(target.step)) {
            (true, _) => Does::EndOf(number),
            (false, true) => Does::BeginAgain(number),
            (false, false) => Does::Nothing,
        })
    };
    let found: Vec<Option<Does>> = marks.iter().map(of).collect();
    for (mark, does) in marks.iter_mut().zip(found) {
        mark.does = does.unwrap_or(mark.does);
    }
}
