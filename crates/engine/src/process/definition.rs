//! What a process is made of. A run carries its definition in its first event, so that a later
//! version of the program continues what an earlier one began.

use carnet_ledger::{Object, Value};

/// A process: phases that run one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// The name, such as `knowledge/v1`.
    pub name: String,
    /// The phases, in order.
    pub phases: Vec<Phase>,
}

/// A phase: gates and steps, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phase {
    /// The name, such as `import`.
    pub name: String,
    /// Whether it holds the point of no automatic return: once a step of it was applied, or it
    /// was left, a failure stops the run for a person instead of undoing it.
    pub commits: bool,
    /// What it consists of.
    pub nodes: Vec<Node>,
}

/// One part of a phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A check that must pass.
    Gate {
        /// Its name, unique in the process.
        name: String,
    },
    /// An action.
    Step {
        /// Its name, unique in the process.
        name: String,
        /// What is done about it after a crash.
        repeat: Repeat,
        /// How it is taken back.
        undo: Undo,
    },
}

/// What is done after a crash about a step that has an intent and no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// It is run again: twice is as good as once.
    Again,
    /// The world is asked whether it happened.
    Probe,
}

/// How a step is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undo {
    /// It changes nothing that would have to be taken back.
    Nothing,
    /// By its undo, on every way back.
    Always,
    /// By its undo, but not behind the point of no return: others may rely on it by then.
    BeforeCommit,
}

impl Node {
    /// The name.
    pub fn name(&self) -> &str {
        match self {
            Self::Gate { name } | Self::Step { name, .. } => name,
        }
    }
}

impl Repeat {
    fn name(self) -> &'static str {
        match self {
            Self::Again => "again",
            Self::Probe => "probe",
        }
    }
}

impl Undo {
    fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Always => "always",
            Self::BeforeCommit => "before_commit",
        }
    }
}

/// The stored definition has another form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the process definition is not of the form it should be")]
pub struct NotAProcess;

impl Process {
    /// All nodes with the index of their phase, in order.
    pub fn nodes(&self) -> impl Iterator<Item = (usize, &Node)> {
        self.phases
            .iter()
            .enumerate()
            .flat_map(|(index, phase)| phase.nodes.iter().map(move |node| (index, node)))
    }

    pub(super) fn write(&self) -> Value {
        let phases = self.phases.iter().map(|phase| {
            let nodes = phase.nodes.iter().map(|node| match node {
                Node::Gate { name } => object([("gate", name.as_str().into())]),
                Node::Step { name, repeat, undo } => object([
                    ("step", name.as_str().into()),
                    ("repeat", repeat.name().into()),
                    ("undo", undo.name().into()),
                ]),
            });
            object([
                ("name", phase.name.as_str().into()),
                ("commits", phase.commits.into()),
                ("nodes", Value::List(nodes.collect())),
            ])
        });
        object([("name", self.name.as_str().into()), ("phases", Value::List(phases.collect()))])
    }

    pub(super) fn read(value: &Value) -> Result<Self, NotAProcess> {
        let process = as_object(value)?;
        let phases = list(process, "phases")?.iter().map(|phase| {
            let phase = as_object(phase)?;
            let nodes = list(phase, "nodes")?.iter().map(read_node).collect::<Result<_, _>>()?;
            let Some(Value::Bool(commits)) = phase.get("commits") else { return Err(NotAProcess) };
            Ok(Phase { name: text(phase, "name")?, commits: *commits, nodes })
        });
        Ok(Self { name: text(process, "name")?, phases: phases.collect::<Result<_, _>>()? })
    }
}

fn read_node(value: &Value) -> Result<Node, NotAProcess> {
    let node = as_object(value)?;
    if node.contains_key("gate") {
        return Ok(Node::Gate { name: text(node, "gate")? });
    }
    let repeat = match text(node, "repeat")?.as_str() {
        "again" => Repeat::Again,
        "probe" => Repeat::Probe,
        _ => return Err(NotAProcess),
    };
    let undo = match text(node, "undo")?.as_str() {
        "nothing" => Undo::Nothing,
        "always" => Undo::Always,
        "before_commit" => Undo::BeforeCommit,
        _ => return Err(NotAProcess),
    };
    Ok(Node::Step { name: text(node, "step")?, repeat, undo })
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Object(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn as_object(value: &Value) -> Result<&Object, NotAProcess> {
    match value {
        Value::Object(object) => Ok(object),
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Text(_) | Value::List(_) => {
            Err(NotAProcess)
        }
    }
}

fn list<'v>(object: &'v Object, key: &str) -> Result<&'v [Value], NotAProcess> {
    match object.get(key) {
        Some(Value::List(list)) => Ok(list),
        Some(_) | None => Err(NotAProcess),
    }
}

fn text(object: &Object, key: &str) -> Result<String, NotAProcess> {
    match object.get(key) {
        Some(Value::Text(text)) => Ok(text.clone()),
        Some(_) | None => Err(NotAProcess),
    }
}
