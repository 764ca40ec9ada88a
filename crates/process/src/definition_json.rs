//! A process as JSON: what a run keeps of its definition.

use carnet_ledger::{EventTime, Integer, Object, Value};

use super::definition::{
    After, Begins, Closed, Due, Node, NodeKind, OnFailure, Part, Phase, Process, Repeat, Undo,
};

/// The stored definition has another form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the process definition is not of the form it should be")]
pub struct NotAProcess;

/// Words that stand for the values of an enum, for both directions.
macro_rules! words {
    ($($type:ident { $($variant:ident = $word:literal),* $(,)? })*) => {
        $(impl $type {
            const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            fn of_word(word: &str) -> Result<Self, NotAProcess> {
                match word { $($word => Ok(Self::$variant),)* _ => Err(NotAProcess) }
            }
        })*
    };
}

words! {
    Part { Forward = "forward", Rollback = "rollback" }
    OnFailure { Undo = "undo", Wait = "wait" }
    Begins { InTurn = "in_turn", OnWord = "on_word", NotYet = "not_yet" }
    Closed { Refuse = "refuse", Wait = "wait" }
    Repeat { Again = "again", Probe = "probe", Manual = "manual" }
    Undo { Nothing = "nothing", Impossible = "impossible", Always = "always", BeforeCommit = "before_commit" }
}

impl Process {
    /// The definition as JSON.
    pub fn write(&self) -> Value {
        let phases = self.phases.iter().map(|phase| {
            let nodes = phase.nodes.iter().enumerate().map(|(index, node)| write_node(index, node));
            let mut members = vec![
                ("name", phase.name.as_str().into()),
                ("part", phase.part.word().into()),
                ("on_failure", phase.on_failure.word().into()),
                ("nodes", Value::List(nodes.collect())),
            ];
            if phase.begins != Begins::InTurn {
                members.push(("begins", phase.begins.word().into()));
            }
            object(members)
        });
        object([("name", self.name.as_str().into()), ("phases", Value::List(phases.collect()))])
    }

    /// Reads what `write` wrote. A definition that cannot be run is none.
    pub fn read(value: &Value) -> Result<Self, NotAProcess> {
        let process = as_object(value)?;
        let phases = list(process, "phases")?.iter().map(|phase| {
            let phase = as_object(phase)?;
            let nodes = list(phase, "nodes")?.iter().enumerate();
            Ok(Phase {
                name: text(phase, "name")?.to_owned(),
                part: Part::of_word(text(phase, "part")?)?,
                on_failure: OnFailure::of_word(text(phase, "on_failure")?)?,
                begins: match phase.get("begins") {
                    Some(begins) => Begins::of_word(as_text(begins)?)?,
                    None => Begins::InTurn,
                },
                nodes: nodes
                    .map(|(index, node)| read_node(index, node))
                    .collect::<Result<_, _>>()?,
            })
        });
        let name = text(process, "name")?.to_owned();
        let process = Self { name, phases: phases.collect::<Result<_, _>>()? };
        if process.flaw().is_none() { Ok(process) } else { Err(NotAProcess) }
    }
}

/// `after` is left out where it is the node before.
fn write_node(index: usize, node: &Node) -> Value {
    let mut out = Object::new();
    let mut put = |key: &str, value: Value| out.insert(key.to_owned(), value);
    put("name", node.name.as_str().into());
    let before = Node::in_sequence(index, "", NodeKind::Commit).after;
    if node.after != before {
        put("after", Value::List(node.after.iter().map(write_after).collect()));
    }
    match &node.kind {
        NodeKind::Gate { closed } => {
            put("kind", "gate".into());
            put("closed", closed.word().into());
        }
        NodeKind::Step { repeat, undo } => {
            put("kind", "step".into());
            put("repeat", repeat.word().into());
            put("undo", undo.word().into());
        }
        NodeKind::Choice { branches, otherwise } => {
            put("kind", "choice".into());
            let branches = branches.iter().map(|branch| branch.as_str().into());
            put("branches", Value::List(branches.collect()));
            put("otherwise", otherwise.as_str().into());
        }
        NodeKind::Timer(Due::After { seconds }) => {
            put("kind", "timer".into());
            put("seconds", Integer::try_from(*seconds).map_or(Value::Null, Value::Integer));
        }
        NodeKind::Timer(Due::At { time }) => {
            put("kind", "timer".into());
            put("time", time.to_string().into());
        }
        NodeKind::Message => {
            put("kind", "message".into());
        }
        NodeKind::Commit => {
            put("kind", "commit".into());
        }
    }
    Value::Object(out)
}

fn write_after(after: &After) -> Value {
    // A phase has far fewer than 2^53 nodes.
    let node = Integer::try_from(after.node as u64).map_or(Value::Null, Value::Integer);
    match &after.branch {
        None => node,
        Some(branch) => object([("node", node), ("branch", branch.as_str().into())]),
    }
}

fn read_node(index: usize, value: &Value) -> Result<Node, NotAProcess> {
    let node = as_object(value)?;
    let kind = match text(node, "kind")? {
        "gate" => NodeKind::Gate { closed: Closed::of_word(text(node, "closed")?)? },
        "step" => NodeKind::Step {
            repeat: Repeat::of_word(text(node, "repeat")?)?,
            undo: Undo::of_word(text(node, "undo")?)?,
        },
        "choice" => NodeKind::Choice {
            branches: list(node, "branches")?
                .iter()
                .map(|branch| as_text(branch).map(str::to_owned))
                .collect::<Result<_, _>>()?,
            otherwise: text(node, "otherwise")?.to_owned(),
        },
        "timer" => NodeKind::Timer(read_due(node)?),
        "message" => NodeKind::Message,
        "commit" => NodeKind::Commit,
        _ => return Err(NotAProcess),
    };
    let mut read = Node::in_sequence(index, text(node, "name")?, kind);
    if node.contains_key("after") {
        read.after = list(node, "after")?.iter().map(read_after).collect::<Result<_, _>>()?;
    }
    Ok(read)
}

fn read_due(node: &Object) -> Result<Due, NotAProcess> {
    if node.contains_key("time") {
        let time: EventTime = text(node, "time")?.parse().map_err(|_| NotAProcess)?;
        return Ok(Due::At { time });
    }
    let seconds = node.get("seconds").ok_or(NotAProcess)?;
    Ok(Due::After { seconds: as_count(seconds)? })
}

fn read_after(value: &Value) -> Result<After, NotAProcess> {
    let index = |value: &Value| usize::try_from(as_count(value)?).map_err(|_| NotAProcess);
    if let Value::Object(after) = value {
        let branch = Some(text(after, "branch")?.to_owned());
        return Ok(After { node: index(after.get("node").ok_or(NotAProcess)?)?, branch });
    }
    Ok(After { node: index(value)?, branch: None })
}

fn object<'k>(members: impl IntoIterator<Item = (&'k str, Value)>) -> Value {
    Value::Object(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn as_object(value: &Value) -> Result<&Object, NotAProcess> {
    if let Value::Object(object) = value { Ok(object) } else { Err(NotAProcess) }
}

fn as_text(value: &Value) -> Result<&str, NotAProcess> {
    if let Value::Text(text) = value { Ok(text) } else { Err(NotAProcess) }
}

fn as_count(value: &Value) -> Result<u64, NotAProcess> {
    let Value::Integer(count) = value else { return Err(NotAProcess) };
    u64::try_from(count.get()).map_err(|_| NotAProcess)
}

fn list<'v>(object: &'v Object, key: &str) -> Result<&'v [Value], NotAProcess> {
    if let Some(Value::List(list)) = object.get(key) { Ok(list) } else { Err(NotAProcess) }
}

fn text<'v>(object: &'v Object, key: &str) -> Result<&'v str, NotAProcess> {
    object.get(key).ok_or(NotAProcess).and_then(as_text)
}
