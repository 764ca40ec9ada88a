//! What is known of the phases in which freezes begin and end, found out once for all of them.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::marks::{Mark, Place};
use super::ways::{Bits, Conditions, Fuel, Ways};
use crate::plan::Part;
use crate::plan::flow::Flow;

/// How much is followed in one plan: forks, ways and marks on all of them.
const FOLLOWED_MAX: usize = 1_000_000;

pub(super) struct Roads<'a> {
    places: &'a [Place<'a>],
    marks: &'a [Mark<'a>],
    /// Whether a way back is prescribed.
    pub(super) prescribed: bool,
    /// The phase of the point of no return.
    commit: Option<usize>,
    pub(super) fuel: Fuel,
    conditions: BTreeMap<usize, Rc<Conditions<'a>>>,
    /// For each node of a phase, the marks that come before it whatever is chosen.
    before: BTreeMap<usize, Vec<Bits>>,
}

/// The marks of one freeze in one phase, and the ways on which they are met.
pub(super) struct Met<'a, 'm> {
    pub(super) place: usize,
    pub(super) name: &'a str,
    /// Where the point of no return is among the nodes, if it is in this phase.
    pub(super) commit: Option<usize>,
    pub(super) marks: &'m [usize],
    /// None where there are no marks: then one way leads through it.
    pub(super) gone: Option<Gone<'a>>,
}

/// The ways through a phase, with what tells them.
pub(super) struct Gone<'a> {
    pub(super) ways: Ways,
    flow: &'a Flow<'a>,
    conditions: Rc<Conditions<'a>>,
}

impl<'a> Roads<'a> {
    pub(super) fn of(places: &'a [Place<'a>], marks: &'a [Mark<'a>]) -> Self {
        let commits = |place: &Place<'_>| place.part == Part::Forward && place.commit.is_some();
        Self {
            places,
            marks,
            prescribed: places.iter().any(|place| place.part == Part::Rollback),
            commit: places.iter().position(commits),
            fuel: Fuel(FOLLOWED_MAX),
            conditions: BTreeMap::new(),
            before: BTreeMap::new(),
        }
    }

    /// The phases that a freeze passes, in order: those with its marks, and the one of the point of
    /// no return.
    pub(super) fn passed<'m>(
        &self,
        phases: &'m BTreeMap<usize, Vec<usize>>,
    ) -> BTreeMap<usize, &'m [usize]> {
        let mut passed: BTreeMap<usize, &[usize]> =
            self.commit.map(|place| (place, &[][..])).into_iter().collect();
        passed.extend(phases.iter().map(|(place, marks)| (*place, marks.as_slice())));
        passed
    }

    /// `None` if it has more ways than are followed.
    pub(super) fn met<'m>(&mut self, place: usize, marks: &'m [usize]) -> Option<Met<'a, 'm>> {
        let of = self.places.get(place)?;
        let (name, commit) = (of.phase.name.as_str(), of.commit);
        let Some(flow) = of.flow.as_ref().filter(|_| !marks.is_empty()) else {
            return Some(Met { place, name, commit, marks, gone: None });
        };
        let conditions = self.conditions_of(place, flow)?;
        let nodes = marks.iter().filter_map(|mark| self.marks.get(*mark)).map(|mark| mark.node);
        let ways = conditions.ways(&nodes.collect::<Vec<_>>(), &mut self.fuel)?;
        Some(Met { place, name, commit, marks, gone: Some(Gone { ways, flow, conditions }) })
    }

    fn conditions_of(&mut self, place: usize, flow: &'a Flow<'a>) -> Option<Rc<Conditions<'a>>> {
        if let Some(known) = self.conditions.get(&place) {
            return Some(Rc::clone(known));
        }
        let here = self.marks.iter().filter(|mark| mark.place == place);
        let nodes: Vec<usize> = here.map(|mark| mark.node).collect();
        let found = Rc::new(Conditions::of(flow, &nodes, &mut self.fuel)?);
        self.conditions.insert(place, Rc::clone(&found));
        Some(found)
    }

    /// An end beside a beginning: of two steps beside each other nobody knows which comes first.
    pub(super) fn beside(&mut self, met: &Met<'_, '_>) -> Option<usize> {
        let all = self.marks;
        let numbered =
            || met.marks.iter().enumerate().filter_map(|(at, it)| Some((at, *it, all.get(*it)?)));
        let of = |begins: bool| numbered().filter(move |(_, _, mark)| mark.begins() == begins);
        if of(true).next().is_none() || of(false).next().is_none() {
            return None;
        }
        let ways = &met.gone.as_ref()?.ways;
        let before = self.before_of(met.place)?;
        let comes_before = |one: usize, other: &Mark<'_>| {
            before.get(other.node).is_some_and(|marks| marks.has(one))
        };
        of(true).find_map(|(at, number, begin)| {
            let mut ends = of(false);
            let found = ends.find(|(end_at, end, mark)| {
                let ordered = comes_before(number, mark) || comes_before(*end, begin);
                !ordered && ways.has_both(at, *end_at)
            });
            found.map(|(_, end, _)| end)
        })
    }

    fn before_of(&mut self, place: usize) -> Option<&[Bits]> {
        if !self.before.contains_key(&place) {
            let flow = self.places.get(place)?.flow.as_ref()?;
            let mut here: BTreeMap<usize, usize> = BTreeMap::new();
            let marks = self.marks.iter().enumerate().filter(|(_, mark)| mark.place == place);
            here.extend(marks.map(|(number, mark)| (mark.node, number)));
            let mut before: Vec<Bits> = Vec::with_capacity(flow.nodes.len());
            for node in &flow.nodes {
                let mut found = Bits::default();
                for after in &node.after {
                    if let Some(earlier) = before.get(after.node) {
                        found.add_all(earlier);
                    }
                    if let Some(mark) = here.get(&after.node) {
                        found.add(*mark);
                    }
                }
                before.push(found);
            }
            self.before.insert(place, before);
        }
        self.before.get(&place).map(Vec::as_slice)
    }
}

impl Met<'_, '_> {
    /// A way in words.
    pub(super) fn told(&self, way: usize) -> String {
        let whole = format!("in the phase `{}`", self.name);
        let Some(Gone { flow, conditions, ways }) = &self.gone else { return whole };
        let taken = ways.taken.get(way).map(Vec::as_slice).unwrap_or_default();
        let taken: Vec<String> = taken.iter().map(|it| conditions.told(flow, *it)).collect();
        if taken.is_empty() {
            whole
        } else {
            format!("{whole}, where it goes {}", taken.join(", "))
        }
    }
}
