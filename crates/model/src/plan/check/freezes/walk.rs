//! Where a freeze stands on the ways through the phases: who holds it, and from where a way back can
//! begin.

use std::collections::{BTreeMap, BTreeSet};

use super::marks::{Does, Mark};
use super::roads::Met;
use super::ways::Fuel;

/// Who holds a freeze, by its mark; `None`: nobody.
pub(super) type Holder = Option<usize>;

/// Why nothing ends a freeze behind the point of no return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endless {
    /// It holds over it.
    HoldsOver,
    /// It begins behind it.
    BeginsBehind,
    /// What ended it is undone there, and what began it is not.
    HeldAgain,
}

/// Where one freeze stands.
pub(super) struct Walk<'a> {
    marks: &'a [Mark<'a>],
    /// Whether a way back is prescribed.
    prescribed: bool,
    /// Who can hold it.
    pub(super) held: BTreeSet<Holder>,
    /// A way on which it is still held, by who holds it.
    pub(super) told: BTreeMap<usize, String>,
    /// Who can have held what a step ended.
    ended: BTreeMap<usize, BTreeSet<usize>>,
    /// What is held again when only that is undone which is undone behind the point of no return,
    /// and the step whose undo does that.
    loose: BTreeMap<usize, usize>,
    /// Who can hold it where the prescribed way back begins.
    pub(super) starts: BTreeSet<Holder>,
    /// Where that leaves it without an end, and the mark that does it.
    pub(super) endless: Option<(Endless, usize)>,
    /// A mark at which it can be held already.
    pub(super) again: Option<usize>,
    behind: bool,
}

/// One way through one phase.
struct Steps<'w> {
    place: usize,
    held: BTreeSet<Holder>,
    /// What is held again where a step of this phase is undone behind the point of no return.
    left: BTreeSet<usize>,
    fuel: &'w mut Fuel,
}

impl<'a> Walk<'a> {
    pub(super) fn new(marks: &'a [Mark<'a>], prescribed: bool) -> Self {
        Self {
            marks,
            prescribed,
            held: [None].into(),
            told: BTreeMap::new(),
            ended: BTreeMap::new(),
            loose: BTreeMap::new(),
            starts: [None].into(),
            endless: None,
            again: None,
            behind: false,
        }
    }

    /// Turns to the way back. It is gone from wherever the run stands.
    pub(super) fn turn(&mut self) {
        self.held = std::mem::take(&mut self.starts);
        self.told.clear();
        self.behind = false;
    }

    /// Goes all ways of one phase. `None` if that is too much.
    pub(super) fn go(&mut self, met: &Met<'_, '_>, fuel: &mut Fuel) -> Option<()> {
        let before = std::mem::take(&mut self.held);
        let mut told = BTreeMap::new();
        let ways = met.gone.as_ref().map(|gone| &gone.ways);
        for way in 0..ways.map_or(1, |ways| ways.taken.len()) {
            fuel.spend(before.len() + met.marks.len() + 1)?;
            let (held, left) = (before.clone(), BTreeSet::new());
            let mut steps = Steps { place: met.place, held, left, fuel: &mut *fuel };
            let runs = |number: usize| ways.is_some_and(|ways| ways.runs(number, way));
            let mut commit = met.commit;
            for (_, mark) in met.marks.iter().enumerate().filter(|(it, _)| runs(*it)) {
                let node = self.marks.get(*mark).map_or(0, |mark| mark.node);
                if commit.take_if(|at| *at < node).is_some() {
                    self.commit(&steps);
                }
                self.step(*mark, &mut steps)?;
            }
            if commit.is_some() {
                self.commit(&steps);
            }
            let holders = steps.held.iter().flatten().filter(|_| !met.marks.is_empty());
            for holder in holders {
                told.entry(*holder).or_insert_with(|| met.told(way));
            }
            self.held.extend(steps.held);
            // The next way has not passed it yet.
            self.behind &= met.commit.is_none();
        }
        self.behind |= met.commit.is_some();
        self.told.extend(told);
        self.starts.extend(&self.held);
        Some(())
    }

    /// Whether the undo of this mark's step is done behind the point of no return too. Where a way
    /// back is prescribed, that is so in the open phase alone.
    fn goes_back(&self, mark: usize, place: usize) -> bool {
        let found = self.marks.get(mark);
        found.is_some_and(|it| it.always && (!self.prescribed || it.place == place))
    }

    fn is_endless(&mut self, why: Endless, mark: usize) {
        if !self.prescribed {
            self.endless.get_or_insert((why, mark));
        }
    }

    fn commit(&mut self, steps: &Steps<'_>) {
        self.behind = true;
        for holder in steps.held.iter().flatten() {
            if !self.goes_back(*holder, steps.place) {
                self.is_endless(Endless::HoldsOver, *holder);
                self.starts.insert(Some(*holder));
            }
        }
        self.starts.extend(steps.left.iter().copied().map(Some));
        if let Some((_, end)) = self.loose.first_key_value().map(|(holder, end)| (*holder, *end)) {
            self.is_endless(Endless::HeldAgain, end);
        }
    }

    fn step(&mut self, mark: usize, steps: &mut Steps<'_>) -> Option<()> {
        match self.marks.get(mark)?.does {
            Does::Begin => {
                if steps.held.iter().any(Option::is_some) {
                    self.again.get_or_insert(mark);
                }
                steps.held = [Some(mark)].into();
                self.begin(mark, steps.place);
            }
            Does::BeginAgain(end) => {
                // Whether the end was reached is not known: it may do nothing.
                let holders = self.ended.get(&end).cloned().unwrap_or_default();
                steps.fuel.spend(holders.len())?;
                for holder in holders {
                    steps.held.insert(Some(holder));
                    self.begin(holder, steps.place);
                }
            }
            Does::End => {
                let held = std::mem::replace(&mut steps.held, [None].into());
                steps.fuel.spend(held.len())?;
                for holder in held.into_iter().flatten() {
                    self.end(holder, mark, steps);
                }
            }
            Does::EndOf(begun) => {
                if steps.held.remove(&Some(begun)) {
                    steps.held.insert(None);
                }
            }
            Does::Nothing => {}
        }
        Some(())
    }

    fn begin(&mut self, holder: usize, place: usize) {
        if self.behind && !self.goes_back(holder, place) {
            self.is_endless(Endless::BeginsBehind, holder);
            self.starts.insert(Some(holder));
        }
    }

    fn end(&mut self, holder: usize, mark: usize, steps: &mut Steps<'_>) {
        self.ended.entry(mark).or_default().insert(holder);
        let place = steps.place;
        if !self.goes_back(mark, place) || self.goes_back(holder, place) {
            return;
        }
        if self.behind {
            self.is_endless(Endless::HeldAgain, mark);
            self.starts.insert(Some(holder));
        }
        self.loose.insert(holder, mark);
        steps.left.insert(holder);
    }
}
