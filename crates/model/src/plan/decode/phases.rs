//! From the tree to the phases that a plan writes out itself.

use carnet_document::yaml::{Entry, Node, Value};
use carnet_document::{Code, Diagnostic, Span, shortened};

use super::approvals::at_most_many;
use super::inputs::inputs;
use super::{mapping, programme, sections};
use crate::capability::{self, Descriptor};
use crate::gate::{self, AGE_S_MAX, Definition, Gate, GateKind};
use crate::plan::compiled::OnFailure;
use crate::plan::keys::{self, Key};
use crate::plan::nearest::nearest;
use crate::plan::phases::{
    Freeze, NODES_MAX, Phases, WayBack, WrittenBranch, WrittenKind, WrittenNode, WrittenPhase,
    WrittenStep, WrittenUndo,
};
use crate::plan::reader::{Fields, Reader};
use crate::plan::written::{Duration, Label, NodeName, Written};

/// The largest number of things that a gate may ask to have compared.
const SAMPLE_MAX: u32 = 1_000_000_000;

pub(super) fn phases(reader: &mut Reader, fields: &Fields<'_>) -> Option<Phases> {
    let phases = fields.get("phases").map(|at| list(reader, at));
    let rollback = fields.get("rollback").and_then(|at| {
        let fields = mapping(reader, at, "`rollback`", keys::ROLLBACK)?;
        fields.get("phases").map(|at| WayBack { phases: list(reader, at) })
    });
    let programme = fields.get("programme").map(|at| sections::programme(reader, at));
    let programme = match programme {
        Some(programme) => Some(Box::new(programme?)),
        None => None,
    };
    let found = Phases { programme, phases: phases?, rollback };
    let count: usize = found.all().map(|(_, phase)| phase.nodes().count()).sum();
    if count > NODES_MAX {
        let at = fields.get("phases").map(|at| at.key_span)?;
        let message = format!("the plan has {count} nodes, more than {NODES_MAX}");
        let remedy = "let one capability do what many of them do";
        reader.push(Diagnostic::error(Code::PLAN_VALUE, at, message, remedy));
    }
    Some(found)
}

fn list(reader: &mut Reader, at: &Entry) -> Vec<WrittenPhase> {
    let nodes = reader.list(at).unwrap_or_default();
    if nodes.is_empty() && matches!(at.node.value, Value::List(_)) {
        let message = "`phases` names none";
        let remedy = "write a phase: `- { name: change, steps: […], exit: […] }`";
        reader.push(Diagnostic::error(Code::PLAN_VALUE, at.key_span, message, remedy));
    }
    let mut found = Vec::with_capacity(nodes.len());
    for node in nodes {
        if reader.is_full() {
            break;
        }
        found.extend(phase(reader, node));
    }
    found
}

fn phase(reader: &mut Reader, node: &Node) -> Option<WrittenPhase> {
    if let Value::Map(entries) = &node.value
        && entries.iter().any(|entry| entry.key == "gate_level")
    {
        return programme::gate_level(reader, node);
    }
    let fields = reader.fields(node, "a phase", node.span, keys::PHASE)?;
    let name = fields.get("name").and_then(|at| reader.written(at));
    let does = fields.get("does").and_then(|at| reader.written(at));
    let words = [("undo", OnFailure::Undo), ("wait", OnFailure::Wait)];
    let on_failure = fields.get("on_failure").and_then(|at| reader.word(at, &words));
    let mut section = |key, only_gates| {
        let at = fields.get(key);
        at.map(|at| nodes(reader, at, only_gates)).unwrap_or_default()
    };
    let (entry, steps, exit) =
        (section("entry", true), section("steps", false), section("exit", true));
    let phase_id = programme::phase_ids(reader, &fields);
    let posture = programme::posture(reader, &fields);
    let evidence = programme::evidence(reader, &fields);
    Some(WrittenPhase {
        name: name?,
        does,
        on_failure,
        phase_id,
        posture,
        evidence,
        gate_level: None,
        entry,
        steps,
        exit,
    })
}

/// The nodes of a section. Those before and behind the steps are gates.
fn nodes(reader: &mut Reader, at: &Entry, only_gates: bool) -> Vec<WrittenNode> {
    let nodes = reader.list(at).unwrap_or_default();
    if nodes.is_empty() && matches!(at.node.value, Value::List(_)) {
        let message = format!("`{}` is empty", at.key);
        let remedy = if at.key == "exit" {
            "write a gate that shows that the phase is done"
        } else {
            "write what belongs there, or take the key out"
        };
        reader.push(Diagnostic::error(Code::PLAN_MISSING, at.key_span, message, remedy));
    }
    let mut found = Vec::with_capacity(nodes.len());
    for node in nodes {
        if reader.is_full() {
            break;
        }
        let read = if only_gates { gate_node(reader, node) } else { any_node(reader, node) };
        found.extend(read);
    }
    found
}

/// Each kind of node: the key that tells it, its keys, and what reads it.
type Read = fn(&mut Reader, &Fields<'_>, Span) -> Option<(Option<NodeName>, WrittenKind)>;
const KINDS: [(&str, &str, &[Key], Read); 8] = [
    ("capability", "a step", keys::STEP, step),
    ("gate", "a gate", keys::GATE, gate),
    ("choice", "a choice", keys::CHOICE, choice),
    ("wait", "a wait", keys::WAIT, wait),
    ("wait_until", "a wait", keys::WAIT_UNTIL, wait_until),
    ("message", "a message", keys::MESSAGE, message),
    ("approval", "an approval", keys::ASK, ask),
    ("commit", "a commit", keys::COMMIT, commit),
];

fn any_node(reader: &mut Reader, node: &Node) -> Option<WrittenNode> {
    let entries = reader.entries(node, "a node", node.span)?;
    let kind = KINDS.iter().find(|(key, ..)| entries.iter().any(|entry| entry.key == *key));
    let Some((_, what, table, read)) = kind else {
        let known = KINDS.map(|(key, ..)| key);
        let meant = entries.iter().find_map(|entry| {
            let meant = nearest(&entry.key, known)?;
            Some((entry, meant))
        });
        let message = "this node does not say what it is";
        let (span, remedy) = match meant {
            Some((entry, meant)) => (entry.key_span, format!("did you mean `{meant}`?")),
            None => (node.span, format!("give it one of the keys {}", known.join(", "))),
        };
        reader.push(Diagnostic::error(Code::PLAN_MISSING, span, message, remedy));
        return None;
    };
    node_of(reader, node, what, table, *read)
}

fn gate_node(reader: &mut Reader, node: &Node) -> Option<WrittenNode> {
    node_of(reader, node, "a gate", keys::GATE, gate)
}

fn node_of(
    reader: &mut Reader,
    node: &Node,
    what: &str,
    table: &[Key],
    read: Read,
) -> Option<WrittenNode> {
    let fields = reader.fields(node, what, node.span, table)?;
    let does: Option<Label> = fields.get("does").and_then(|at| reader.written(at));
    let after = fields.get("after").map(|at| after(reader, at));
    let written = fields.get("name");
    let name: Option<NodeName> = written.and_then(|at| reader.written(at));
    let (plain, kind) = read(reader, &fields, node.span)?;
    let name = if written.is_some() { name } else { plain };
    Some(WrittenNode { name: name?, does, after, kind })
}

fn after(reader: &mut Reader, at: &Entry) -> Vec<String> {
    let mut found = Vec::new();
    for node in reader.list(at).unwrap_or_default() {
        if reader.is_full() {
            break;
        }
        // A name that is none leads nowhere; the check says so.
        found.extend(reader.text_of(node, at.key_span, "after").map(ToOwned::to_owned));
    }
    found
}

fn step(
    reader: &mut Reader,
    fields: &Fields<'_>,
    at: Span,
) -> Option<(Option<NodeName>, WrittenKind)> {
    let given = given(reader, fields, at);
    let undo = fields.get("undo").map(|at| undo(reader, at));
    let freeze = freeze(reader, fields, at);
    let (capability, with) = given?;
    let undo = match undo {
        Some(undo) => Some(undo?),
        None => None,
    };
    let (capability, with) = (capability.name.to_owned(), with.json);
    Some((None, WrittenKind::Step(WrittenStep { capability, with, undo, freeze })))
}

/// What the step begins or ends. What cannot be read is a finding, and the plan is refused for it.
fn freeze(reader: &mut Reader, fields: &Fields<'_>, at: Span) -> Option<Freeze> {
    match (fields.get("freeze"), fields.get("unfreeze")) {
        (None, None) => None,
        (Some(name), None) => reader.written(name).map(Freeze::Freeze),
        (None, Some(name)) => reader.written(name).map(Freeze::Unfreeze),
        (Some(_), Some(_)) => {
            let message = "a step cannot begin a freeze and end one";
            let remedy = "keep `freeze` or `unfreeze`, and write another step";
            reader.push(Diagnostic::error(Code::PLAN_CONFLICT, at, message, remedy));
            None
        }
    }
}

/// The capability and its inputs, checked.
fn given<'a>(
    reader: &mut Reader,
    fields: &Fields<'a>,
    at: Span,
) -> Option<(&'static Descriptor, super::inputs::Inputs<'a>)> {
    let entry = fields.get("capability")?;
    let name = reader.text(entry)?;
    let Some(found) = capability::descriptor(name) else {
        let names = || capability::all().iter().map(|it| it.name);
        let remedy = match nearest(name, names()) {
            Some(meant) => format!("did you mean {meant}?"),
            None => "see `carnet cap list`".to_owned(),
        };
        let message = format!("there is no capability {}", shortened(name));
        let finding = Diagnostic::error(Code::PLAN_VALUE, entry.node.span, message, remedy);
        reader.push(finding.with_value(name));
        return None;
    };
    if name.starts_with("knowledge.") {
        let message = format!("{name} is part of knowledge/v1");
        let remedy = "write `process: knowledge/v1`, or another capability";
        reader.push(Diagnostic::error(Code::PLAN_CONFLICT, entry.node.span, message, remedy));
        return None;
    }
    let with = inputs(reader, fields.get("with"), at)?;
    if let Err(errors) = capability::check_inputs(found, &with.json) {
        with.tell(reader, name, &errors);
        return None;
    }
    Some((found, with))
}

fn undo(reader: &mut Reader, at: &Entry) -> Option<WrittenUndo> {
    let entries = reader.entries(&at.node, "`undo`", at.key_span)?;
    if entries.iter().any(|entry| entry.key == "refused") {
        let fields = mapping(reader, at, "`undo`", keys::UNDO_REFUSED)?;
        let refused = fields.get("refused").and_then(|at| reader.written(at));
        let approval = fields.get("approval").and_then(|at| reader.written(at));
        return Some(WrittenUndo::Refused { refused: refused?, approval: approval? });
    }
    let fields = mapping(reader, at, "`undo`", keys::UNDO_BY)?;
    let (capability, with) = given(reader, &fields, at.key_span)?;
    Some(WrittenUndo::By { capability: capability.name.to_owned(), with: with.json })
}

fn gate(
    reader: &mut Reader,
    fields: &Fields<'_>,
    at: Span,
) -> Option<(Option<NodeName>, WrittenKind)> {
    let definition = definition(reader, fields, at)?;
    let plain = NodeName::of(definition.gate().id());
    Some((Some(plain), WrittenKind::Gate(definition)))
}

/// A gate as the plan has it: its rule read by the gate itself.
fn definition(reader: &mut Reader, fields: &Fields<'_>, at: Span) -> Option<Definition> {
    let age = fields.get("age_max").and_then(|at| reader.written::<Duration>(at));
    let sample = fields.get("sample_min").and_then(|at| reader.number(at, 1..=SAMPLE_MAX));
    let entry = fields.get("gate")?;
    let name = reader.text(entry)?;
    let asks = Gate::Approval.id();
    let kinds = || gate::kinds().iter().map(GateKind::name).filter(|name| *name != asks);
    if !kinds().any(|kind| kind == name) {
        let remedy = match nearest(name, kinds()) {
            _ if name == asks => "write `{ approval: NAME }` among the steps".to_owned(),
            Some(meant) => format!("did you mean {meant}?"),
            None => format!("write one of {}", kinds().collect::<Vec<_>>().join(", ")),
        };
        let message = format!("there is no gate {}", shortened(name));
        let finding = Diagnostic::error(Code::PLAN_VALUE, entry.node.span, message, remedy);
        reader.push(finding.with_value(name));
        return None;
    }
    let with = inputs(reader, fields.get("with"), at)?;
    match gate::read_rule(name, &with.json) {
        Ok(rule) => Some(Definition {
            age_s_max: age.map_or(AGE_S_MAX, Duration::seconds),
            sample_min: sample.map_or(1, u64::from),
            rule,
        }),
        Err(errors) => {
            with.tell(reader, name, &errors);
            None
        }
    }
}

fn choice(
    reader: &mut Reader,
    fields: &Fields<'_>,
    _: Span,
) -> Option<(Option<NodeName>, WrittenKind)> {
    let name = fields.get("choice").and_then(|at| reader.written(at));
    let otherwise = fields.get("otherwise").and_then(|at| reader.written(at));
    let at = fields.get("branches")?;
    let nodes = reader.list(at)?;
    if nodes.is_empty() {
        let message = "`branches` is empty";
        let remedy = "write a branch: `{ name: small, when: { gate: …, with: {…} } }`";
        reader.push(Diagnostic::error(Code::PLAN_MISSING, at.key_span, message, remedy));
    }
    at_most_many(reader, at, nodes.len());
    let branches: Vec<_> = nodes.iter().map(|node| branch(reader, node)).collect();
    let branches = branches.into_iter().collect::<Option<Vec<_>>>()?;
    Some((Some(name?), WrittenKind::Choice { branches, otherwise: otherwise? }))
}

fn branch(reader: &mut Reader, node: &Node) -> Option<WrittenBranch> {
    let fields = reader.fields(node, "a branch", node.span, keys::BRANCH)?;
    let name = fields.get("name").and_then(|at| reader.written(at));
    let at = fields.get("when")?;
    let when = mapping(reader, at, "`when`", keys::WHEN)?;
    let when = definition(reader, &when, at.key_span);
    Some(WrittenBranch { name: name?, when: when? })
}

fn wait(
    reader: &mut Reader,
    fields: &Fields<'_>,
    _: Span,
) -> Option<(Option<NodeName>, WrittenKind)> {
    let wait = fields.get("wait").and_then(|at| reader.written(at))?;
    Some((Some(NodeName::of("wait")), WrittenKind::Wait(wait)))
}

fn wait_until(
    reader: &mut Reader,
    fields: &Fields<'_>,
    _: Span,
) -> Option<(Option<NodeName>, WrittenKind)> {
    let moment = fields.get("wait_until").and_then(|at| reader.written(at))?;
    Some((Some(NodeName::of("wait")), WrittenKind::WaitUntil(moment)))
}

fn message(
    reader: &mut Reader,
    fields: &Fields<'_>,
    _: Span,
) -> Option<(Option<NodeName>, WrittenKind)> {
    let message: Label = fields.get("message").and_then(|at| reader.written(at))?;
    let plain = NodeName::read(message.as_str()).unwrap_or_else(|_| NodeName::of("message"));
    Some((Some(plain), WrittenKind::Message(message)))
}

fn ask(
    reader: &mut Reader,
    fields: &Fields<'_>,
    _: Span,
) -> Option<(Option<NodeName>, WrittenKind)> {
    let approval: NodeName = fields.get("approval").and_then(|at| reader.written(at))?;
    Some((Some(approval.clone()), WrittenKind::Approval(approval)))
}

fn commit(
    reader: &mut Reader,
    fields: &Fields<'_>,
    _: Span,
) -> Option<(Option<NodeName>, WrittenKind)> {
    let at = fields.get("commit")?;
    if !reader.yes_or_no(at)? {
        let message = "`commit` must be true";
        let remedy = "write true, or take the node out";
        let finding = Diagnostic::error(Code::PLAN_VALUE, at.node.span, message, remedy);
        reader.push(finding.with_value("false"));
        return None;
    }
    Some((Some(NodeName::of("commit")), WrittenKind::Commit))
}
