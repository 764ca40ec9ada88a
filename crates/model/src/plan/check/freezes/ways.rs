//! The ways through a phase: which of some nodes run, by what its choices come to.
//!
//! What has to be chosen for a node to run is kept as a diagram of forks, in the order of the
//! choices and each fork once, so that a condition that holds whatever is chosen is seen as such:
//! choices that decide nothing cost nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use crate::plan::flow::{Flow, FlowNode};
use crate::plan::phases::WrittenKind;

/// How many ways are followed through one phase for one freeze.
const WAYS_MAX: usize = 4_096;

/// How many choices may stand behind each other on the way to one node.
const DEPTH_MAX: usize = 300;

/// A condition by its number.
type Condition = usize;

/// Choices, each with the number of the branch that is gone.
pub(super) type Taken = Vec<(usize, usize)>;

const NEVER: Condition = 0;
const ALWAYS: Condition = 1;

/// How much work is left for all freezes of a plan.
pub(super) struct Fuel(pub(super) usize);

impl Fuel {
    /// `None` if it is used up.
    pub(super) fn spend(&mut self, amount: usize) -> Option<()> {
        self.0 = self.0.checked_sub(amount)?;
        Some(())
    }
}

/// A choice, and what is left to be chosen behind each of its branches: behind `otherwise`, and
/// behind those for which that is another.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Fork {
    choice: usize,
    otherwise: Condition,
    branches: Vec<(usize, Condition)>,
}

impl Fork {
    fn behind(&self, branch: usize) -> Condition {
        let found = self.branches.binary_search_by_key(&branch, |(branch, _)| *branch);
        found.ok().and_then(|at| self.branches.get(at)).map_or(self.otherwise, |(_, it)| *it)
    }
}

/// What has to be chosen for each node of a phase to run.
pub(super) struct Conditions<'p> {
    /// The names of the branches of each choice, `otherwise` last.
    branches: BTreeMap<usize, Vec<&'p str>>,
    numbers: BTreeMap<usize, HashMap<&'p str, usize>>,
    forks: Vec<Rc<Fork>>,
    known: HashMap<Rc<Fork>, Condition>,
    joined: HashMap<(bool, Condition, Condition), Condition>,
    taken: HashMap<(usize, usize), Condition>,
    of: Vec<Condition>,
}

/// The ways through a phase, as far as they differ in which of some nodes run.
#[derive(Default)]
pub(super) struct Ways {
    /// For each of the nodes, the ways on which it runs.
    runs: Vec<Bits>,
    /// The branches that each way takes, where it matters.
    pub(super) taken: Vec<Taken>,
}

impl Ways {
    /// Whether the node with this number runs on a way.
    pub(super) fn runs(&self, node: usize, way: usize) -> bool {
        self.runs.get(node).is_some_and(|runs| runs.has(way))
    }

    /// Whether both run on some way.
    pub(super) fn has_both(&self, one: usize, other: usize) -> bool {
        match (self.runs.get(one), self.runs.get(other)) {
            (Some(one), Some(other)) => one.meets(other),
            _ => false,
        }
    }
}

impl<'p> Conditions<'p> {
    /// Looks at the nodes that these follow. `None` if that is too much.
    pub(super) fn of(flow: &Flow<'p>, nodes: &[usize], fuel: &mut Fuel) -> Option<Self> {
        let mut asked = vec![false; flow.nodes.len()];
        for node in nodes {
            set(&mut asked, *node);
        }
        for (index, node) in flow.nodes.iter().enumerate().rev() {
            if asked.get(index).copied().unwrap_or_default() {
                node.after.iter().for_each(|after| set(&mut asked, after.node));
            }
        }
        let mut found = Self {
            branches: BTreeMap::new(),
            numbers: BTreeMap::new(),
            forks: Vec::new(),
            known: HashMap::new(),
            joined: HashMap::new(),
            taken: HashMap::new(),
            of: Vec::with_capacity(flow.nodes.len()),
        };
        for (index, (node, asked)) in flow.nodes.iter().zip(asked).enumerate() {
            let condition = if asked { found.condition(index, node, fuel)? } else { NEVER };
            found.of.push(condition);
        }
        Some(found)
    }

    /// A node runs if nothing is before it, or one of those leads there.
    fn condition(
        &mut self,
        index: usize,
        node: &FlowNode<'p>,
        fuel: &mut Fuel,
    ) -> Option<Condition> {
        if let WrittenKind::Choice { branches, otherwise } = &node.node.kind {
            let names = branches.iter().map(|branch| branch.name.as_str());
            let names: Vec<&str> = names.chain([otherwise.as_str()]).collect();
            let numbers = names.iter().enumerate().map(|(number, name)| (*name, number));
            self.numbers.insert(index, numbers.collect());
            self.branches.insert(index, names);
        }
        if node.after.is_empty() {
            return Some(ALWAYS);
        }
        let mut leads = BTreeSet::new();
        for after in &node.after {
            fuel.spend(1)?;
            let before = self.of.get(after.node).copied().unwrap_or(NEVER);
            leads.insert(match &after.branch {
                None => before,
                Some(branch) => {
                    let taken = self.takes(after.node, branch, fuel)?;
                    self.join(false, before, taken, DEPTH_MAX, fuel)?
                }
            });
        }
        self.any(leads.into_iter().collect(), fuel)
    }

    /// Two by two: a long row of branches stays cheap.
    fn any(&mut self, mut leads: Vec<Condition>, fuel: &mut Fuel) -> Option<Condition> {
        while leads.len() > 1 {
            let mut fewer = Vec::with_capacity(leads.len().div_ceil(2));
            for pair in leads.chunks(2) {
                fewer.push(match pair {
                    [one, other] => self.join(true, *one, *other, DEPTH_MAX, fuel)?,
                    one => one.first().copied().unwrap_or(NEVER),
                });
            }
            leads = fewer;
        }
        Some(leads.first().copied().unwrap_or(NEVER))
    }

    /// That a choice takes this branch.
    fn takes(&mut self, choice: usize, branch: &str, fuel: &mut Fuel) -> Option<Condition> {
        let number = self.numbers.get(&choice).and_then(|numbers| numbers.get(branch)).copied();
        let Some(number) = number else { return Some(NEVER) };
        if let Some(known) = self.taken.get(&(choice, number)) {
            return Some(*known);
        }
        let last = self.branches.get(&choice).map_or(0, Vec::len).saturating_sub(1);
        let found = if number == last {
            fuel.spend(last)?;
            self.fork(choice, ALWAYS, (0..last).map(|other| (other, NEVER)).collect())
        } else {
            self.fork(choice, NEVER, vec![(number, ALWAYS)])
        };
        self.taken.insert((choice, number), found);
        Some(found)
    }

    fn fork(
        &mut self,
        choice: usize,
        otherwise: Condition,
        mut branches: Vec<(usize, Condition)>,
    ) -> Condition {
        branches.retain(|(_, behind)| *behind != otherwise);
        if branches.is_empty() {
            return otherwise;
        }
        let fork = Rc::new(Fork { choice, otherwise, branches });
        if let Some(known) = self.known.get(&fork) {
            return *known;
        }
        let number = self.forks.len() + 2;
        self.forks.push(Rc::clone(&fork));
        self.known.insert(fork, number);
        number
    }

    fn fork_of(&self, condition: Condition) -> Option<&Rc<Fork>> {
        self.forks.get(condition.checked_sub(2)?)
    }

    /// Both conditions, or one of the two.
    fn join(
        &mut self,
        either: bool,
        one: Condition,
        other: Condition,
        depth: usize,
        fuel: &mut Fuel,
    ) -> Option<Condition> {
        let (neutral, settles) = if either { (NEVER, ALWAYS) } else { (ALWAYS, NEVER) };
        match (one.min(other), one.max(other)) {
            (low, high) if low == settles || high == settles => return Some(settles),
            (low, high) if low == high || low == neutral => return Some(high),
            (low, high) if high == neutral => return Some(low),
            _ => {}
        }
        let key = (either, one.min(other), one.max(other));
        if let Some(known) = self.joined.get(&key) {
            return Some(*known);
        }
        let depth = depth.checked_sub(1)?;
        let forks = [self.fork_of(one).cloned(), self.fork_of(other).cloned()];
        let choice = forks.iter().flatten().map(|fork| fork.choice).min()?;
        let ahead = forks.map(|fork| fork.filter(|fork| fork.choice == choice));
        let behind = |branch: Option<usize>| {
            let [first, second] = &ahead;
            let of = |fork: &Option<Rc<Fork>>, whole: Condition| match (fork, branch) {
                (None, _) => whole,
                (Some(fork), None) => fork.otherwise,
                (Some(fork), Some(branch)) => fork.behind(branch),
            };
            (of(first, one), of(second, other))
        };
        let named = ahead.iter().flatten().flat_map(|fork| &fork.branches);
        let named: BTreeSet<usize> = named.map(|(branch, _)| *branch).collect();
        fuel.spend(named.len() + 1)?;
        let (first, second) = behind(None);
        let otherwise = self.join(either, first, second, depth, fuel)?;
        let mut branches = Vec::with_capacity(named.len());
        for branch in named {
            let (first, second) = behind(Some(branch));
            branches.push((branch, self.join(either, first, second, depth, fuel)?));
        }
        let found = self.fork(choice, otherwise, branches);
        self.joined.insert(key, found);
        Some(found)
    }

    /// The ways on which these nodes run or not. `None` if they are too many.
    pub(super) fn ways(&self, nodes: &[usize], fuel: &mut Fuel) -> Option<Ways> {
        let of = |node: &usize| self.of.get(*node).copied().unwrap_or(NEVER);
        let mut found = Ways { runs: vec![Bits::default(); nodes.len()], taken: Vec::new() };
        let mut seen = HashSet::new();
        let mut open: Vec<(Vec<Condition>, Taken)> =
            vec![(nodes.iter().map(of).collect(), Taken::new())];
        while let Some((conditions, taken)) = open.pop() {
            fuel.spend(conditions.len() + taken.len() + 1)?;
            if !seen.insert(conditions.clone()) {
                continue;
            }
            let forks = conditions.iter().filter_map(|it| self.fork_of(*it));
            let Some(choice) = forks.clone().map(|fork| fork.choice).min() else {
                let way = found.taken.len();
                if way == WAYS_MAX {
                    return None;
                }
                let runs = found.runs.iter_mut().zip(&conditions);
                runs.filter(|(_, it)| **it == ALWAYS).for_each(|(runs, _)| runs.add(way));
                found.taken.push(taken);
                continue;
            };
            let named = forks.filter(|fork| fork.choice == choice).flat_map(|it| &it.branches);
            let named: BTreeSet<usize> = named.map(|(branch, _)| *branch).collect();
            let last = self.branches.get(&choice).map_or(0, Vec::len).saturating_sub(1);
            // The last that is put there is gone first.
            for branch in [last].into_iter().chain(named.into_iter().rev()) {
                fuel.spend(conditions.len() + taken.len() + 1)?;
                let behind = |it: &Condition| match self.fork_of(*it) {
                    Some(fork) if fork.choice == choice => fork.behind(branch),
                    Some(_) | None => *it,
                };
                let longer = taken.iter().copied().chain([(choice, branch)]).collect();
                open.push((conditions.iter().map(behind).collect(), longer));
            }
        }
        Some(found)
    }

    /// A branch in words.
    pub(super) fn told(&self, flow: &Flow<'_>, (choice, number): (usize, usize)) -> String {
        let branch = self.branches.get(&choice).and_then(|names| names.get(number)).copied();
        let name = flow.nodes.get(choice).map_or("", |it| it.node.name.as_str());
        format!("{name}:{}", branch.unwrap_or_default())
    }
}

fn set(flags: &mut [bool], at: usize) {
    if let Some(flag) = flags.get_mut(at) {
        *flag = true;
    }
}

/// A set of small numbers.
#[derive(Debug, Clone, Default)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    pub(super) fn add(&mut self, number: usize) {
        let word = number / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        if let Some(word) = self.0.get_mut(word) {
            *word |= 1 << (number % 64);
        }
    }

    pub(super) fn add_all(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        self.0.iter_mut().zip(&other.0).for_each(|(word, more)| *word |= more);
    }

    pub(super) fn has(&self, number: usize) -> bool {
        self.0.get(number / 64).is_some_and(|word| word & (1 << (number % 64)) != 0)
    }

    fn meets(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).any(|(one, other)| one & other != 0)
    }
}
