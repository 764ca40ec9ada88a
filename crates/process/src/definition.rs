//! What a process is made of. A run carries its definition with its first event, so that a later
//! version of the program continues what an earlier one began.
//!
//! Phases run one after the other. The nodes of a phase form a graph without loops: each names the
//! nodes that it comes after. Several nodes behind one are a parallel split, several names in
//! `after` a join, a [`NodeKind::Choice`] is an exclusive split. A phase is the sub-process of other
//! notations.

use carnet_ledger::EventTime;

/// A process: phases that run one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// The name, such as `knowledge/v1`.
    pub name: String,
    /// The phases, in order: those of the way forward, then those of the rollback procedure.
    pub phases: Vec<Phase>,
}

/// A phase: gates, steps and what stands between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phase {
    /// The name, such as `import`.
    pub name: String,
    /// On which way it lies.
    pub part: Part,
    /// What a failure in it means.
    pub on_failure: OnFailure,
    /// What lets it begin.
    pub begins: Begins,
    /// What it consists of. A node stands behind all that it comes after.
    pub nodes: Vec<Node>,
}

/// On which way a phase lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// On the way forward.
    Forward,
    /// In the prescribed rollback procedure: it is run on every way back from a later phase, and for
    /// what is left standing behind the point of no return; undo covers the open phase alone.
    Rollback,
}

/// What lets a phase begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Begins {
    /// The end of the phase before it.
    #[default]
    InTurn,
    /// Word from outside, which comes after the end of the phase before it: the message that is its
    /// first node. Its last node is a message too, which ends it.
    OnWord,
    /// Nothing. An amendment must write it out first.
    NotYet,
}

/// What a failure before the point of no return means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// The run goes back.
    Undo,
    /// A person decides.
    Wait,
}

/// One part of a phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name, unique in the process.
    pub name: String,
    /// What it comes after; it follows when all of these are settled and at least one leads to it.
    pub after: Vec<After>,
    /// What it is.
    pub kind: NodeKind,
}

/// A way that leads to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct After {
    /// The index of the node before, in the same phase.
    pub node: usize,
    /// The branch of a choice that must have been taken.
    pub branch: Option<String>,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeKind {
    /// A check that must pass.
    Gate {
        /// What it means that it did not pass.
        closed: Closed,
    },
    /// An action.
    Step {
        /// What is done about it after a crash.
        repeat: Repeat,
        /// How it is taken back.
        undo: Undo,
    },
    /// An exclusive split: one branch is taken.
    Choice {
        /// The branches.
        branches: Vec<String>,
        /// The one that is taken if nothing speaks for another.
        otherwise: String,
    },
    /// A wait for a moment.
    Timer(Due),
    /// A wait for word from outside.
    Message,
    /// The point of no automatic return: from here on a failure stops the run for a person.
    Commit,
}

/// When a timer is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// So many seconds after it was set.
    After {
        /// Seconds.
        seconds: u64,
    },
    /// At this moment.
    At {
        /// The moment.
        time: EventTime,
    },
}

/// What a gate that did not pass means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// The run is refused.
    Refuse,
    /// The run waits, and asks again when it goes on: for what people still have to do.
    Wait,
}

/// What is done after a crash about a step that has an intent and no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// It is run again: twice is as good as once.
    Again,
    /// The world is asked whether it happened.
    Probe,
    /// A person looks.
    Manual,
}

/// How a step is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undo {
    /// It only looks: there is nothing to take back.
    Nothing,
    /// It changes the world for good.
    Impossible,
    /// By its undo, on every way back.
    Always,
    /// By its undo, but not behind the point of no return: others may rely on it by then.
    BeforeCommit,
}

/// Where a node stands in a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The index of its phase.
    pub phase: usize,
    /// Its index in the phase.
    pub node: usize,
}

impl Process {
    /// The node at a place.
    pub fn at(&self, place: Place) -> Option<&Node> {
        self.phases.get(place.phase)?.nodes.get(place.node)
    }

    /// All nodes with their places, in order.
    pub fn nodes(&self) -> impl Iterator<Item = (Place, &Node)> {
        self.phases.iter().enumerate().flat_map(|(phase, held)| {
            held.nodes.iter().enumerate().map(move |(node, it)| (Place { phase, node }, it))
        })
    }

    /// Whether there is a rollback procedure.
    pub fn has_procedure(&self) -> bool {
        self.phases.iter().any(|phase| phase.part == Part::Rollback)
    }

    /// What is wrong with a process that cannot be run; `None` if it can.
    pub fn flaw(&self) -> Option<String> {
        let mut names = std::collections::HashSet::new();
        let mut back = false;
        for phase in &self.phases {
            if !names.insert(phase.name.as_str()) {
                return Some(format!("two are named {}", phase.name));
            }
            if back && phase.part == Part::Forward {
                return Some(format!("{} stands behind the rollback procedure", phase.name));
            }
            back |= phase.part == Part::Rollback;
        }
        if let Some(phase) = self.phases.iter().find(|phase| !phase.is_opened_by_a_message()) {
            return Some(format!("no message opens {}", phase.name));
        }
        for (place, node) in self.nodes() {
            if !names.insert(node.name.as_str()) {
                return Some(format!("two are named {}", node.name));
            }
            if let Some(wrong) = node.after.iter().find(|after| !self.leads(place, after)) {
                return Some(format!("{} cannot come after {}", node.name, wrong.node));
            }
        }
        None
    }

    /// Whether a way can lead to this place.
    fn leads(&self, place: Place, after: &After) -> bool {
        let before = Place { node: after.node, ..place };
        let Some(node) = self.at(before).filter(|_| before.node < place.node) else { return false };
        match (&node.kind, &after.branch) {
            (NodeKind::Choice { branches, otherwise }, Some(branch)) => {
                branches.contains(branch) || otherwise == branch
            }
            (
                NodeKind::Gate { .. }
                | NodeKind::Step { .. }
                | NodeKind::Timer(_)
                | NodeKind::Message
                | NodeKind::Commit,
                branch,
            ) => branch.is_none(),
            (NodeKind::Choice { .. }, None) => true,
        }
    }
}

impl Phase {
    /// Whether what lets it begin is there.
    fn is_opened_by_a_message(&self) -> bool {
        let message = |node: Option<&Node>| node.is_some_and(|it| it.kind == NodeKind::Message);
        match self.begins {
            Begins::InTurn => true,
            Begins::OnWord => message(self.nodes.first()) && message(self.nodes.last()),
            Begins::NotYet => message(self.nodes.first()),
        }
    }
}

impl Node {
    /// A node that comes after the one before it, where there is one.
    pub fn in_sequence(index: usize, name: impl Into<String>, kind: NodeKind) -> Self {
        let after = index.checked_sub(1).map(|node| After { node, branch: None });
        Self { name: name.into(), after: after.into_iter().collect(), kind }
    }
}
