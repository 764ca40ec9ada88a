//! The phases that a plan writes out itself, compiled.

use std::collections::BTreeMap;

use serde_json::Value;

use super::compiled::{
    After, ApprovalRule, Begins, Branch, Closed, Node, NodeKind, OnFailure, Part, Phase,
    PlannedGate, PlannedStep, PlannedUndo, Timer,
};
use super::flow::{FlowNode, flow};
use super::phases::{Phases, WrittenKind, WrittenNode, WrittenPhase, WrittenStep, WrittenUndo};
use super::programme::{ACTIVATE, CONFIRM};
use super::written::NodeName;
use crate::capability::{self, UndoKind};
use crate::gate::{Definition, Rule, approval};

/// The rules of the approvals, by name.
type Approvals = BTreeMap<String, ApprovalRule>;

/// The phases, those of the way back last.
pub(super) fn phases(written: &Phases, approvals: &Approvals) -> Vec<Phase> {
    let mut committed = false;
    let is_programme = written.programme.is_some();
    let compiled = written.all().map(|(part, phase)| {
        let before = committed;
        let mut compiled = phase_of(phase, part, before, approvals);
        if is_programme && part == Part::Forward {
            compiled = acted_on(phase, compiled);
        }
        committed |= compiled.commits();
        compiled
    });
    compiled.collect()
}

fn phase_of(phase: &WrittenPhase, part: Part, committed: bool, approvals: &Approvals) -> Phase {
    // Behind the point of no return, and on the way back, nothing is undone by itself.
    let undoes = part == Part::Forward && !committed;
    let plain = if undoes { OnFailure::Undo } else { OnFailure::Wait };
    let mut compiler = Compiler { phase, approvals, nodes: Vec::new(), places: Vec::new() };
    for node in flow(phase).nodes {
        compiler.add(&node);
    }
    Phase {
        name: phase.name.to_string(),
        does: phase.does.as_ref().map(ToString::to_string).unwrap_or_default(),
        part,
        on_failure: phase.on_failure.unwrap_or(plain),
        begins: Begins::InTurn,
        nodes: compiler.nodes,
    }
}

/// A phase of a programme: somebody sets it active, and somebody confirms that it is done. Its failure
/// waits for a person where the plan says nothing else: what others rely on is not undone by itself.
fn acted_on(written: &WrittenPhase, phase: Phase) -> Phase {
    let message = |name: &str, does: &str, after| Node {
        name: format!("{}/{name}", written.name),
        does: does.to_owned(),
        undo_does: None,
        after,
        kind: NodeKind::Message,
    };
    let mut nodes = vec![message(ACTIVATE, "somebody sets the phase active", Vec::new())];
    let on_failure = written.on_failure.unwrap_or(OnFailure::Wait);
    if written.gate_level.is_some() {
        return Phase { begins: Begins::NotYet, on_failure, nodes, ..phase };
    }
    let first = || After { node: 0, branch: None };
    let mut followed = vec![false; phase.nodes.len()];
    for mut node in phase.nodes.iter().cloned() {
        for after in &mut node.after {
            if let Some(followed) = followed.get_mut(after.node) {
                *followed = true;
            }
            after.node += 1;
        }
        if node.after.is_empty() {
            node.after.push(first());
        }
        nodes.push(node);
    }
    let loose = followed.iter().enumerate().filter(|(_, followed)| !**followed);
    let loose: Vec<After> = loose.map(|(at, _)| After { node: at + 1, branch: None }).collect();
    nodes.push(message(CONFIRM, "somebody confirms that it is done", loose));
    Phase { begins: Begins::OnWord, on_failure, nodes, ..phase }
}

struct Compiler<'p> {
    phase: &'p WrittenPhase,
    approvals: &'p Approvals,
    nodes: Vec<Node>,
    /// Where each written node has come to stand: approvals that a step brings along stand between.
    places: Vec<usize>,
}

impl Compiler<'_> {
    fn add(&mut self, from: &FlowNode<'_>) {
        let place = |after: &After| {
            let node = self.places.get(after.node).copied().unwrap_or_default();
            After { node, branch: after.branch.clone() }
        };
        let mut after: Vec<After> = from.after.iter().map(place).collect();
        after.sort();
        if let WrittenKind::Step(WrittenStep {
            undo: Some(WrittenUndo::Refused { approval, .. }),
            ..
        }) = &from.node.kind
        {
            let asked = self.asked(format!("{}.approval", from.node.name), None, approval, after);
            self.nodes.push(asked);
            after = vec![After { node: self.nodes.len() - 1, branch: None }];
        }
        self.places.push(self.nodes.len());
        let node = self.node(from.node, after);
        self.nodes.push(node);
    }

    fn named(&self, name: impl std::fmt::Display, does: String, kind: NodeKind) -> Node {
        let name = format!("{}/{name}", self.phase.name);
        Node { name, does, undo_does: None, after: Vec::new(), kind }
    }

    /// A gate that waits for an approval.
    fn asked(
        &self,
        name: String,
        does: Option<String>,
        approval: &NodeName,
        after: Vec<After>,
    ) -> Node {
        let definition = approval_gate(approval.as_str(), self.approvals.get(approval.as_str()));
        let plain = || format!("approval {approval}: {}", definition.rule.demands());
        let does = does.unwrap_or_else(plain);
        let kind = NodeKind::Gate(PlannedGate { definition, closed: Closed::Wait });
        Node { after, ..self.named(name, does, kind) }
    }

    fn node(&self, from: &WrittenNode, after: Vec<After>) -> Node {
        let said = from.does.as_ref().map(ToString::to_string);
        let does = |plain: String| said.clone().unwrap_or(plain);
        let node = match &from.kind {
            WrittenKind::Step(step) => return self.step(from, step, after),
            WrittenKind::Approval(approval) => {
                return self.asked(from.name.to_string(), said, approval, after);
            }
            WrittenKind::Gate(definition) => {
                let (definition, closed) = (definition.clone(), Closed::Refuse);
                let does = does(definition.rule.demands());
                self.named(&from.name, does, NodeKind::Gate(PlannedGate { definition, closed }))
            }
            WrittenKind::Choice { branches, otherwise } => {
                let plain = "the first branch whose gate passes".to_owned();
                let branches = branches.iter().map(|branch| Branch {
                    name: branch.name.to_string(),
                    when: branch.when.clone(),
                });
                let (branches, otherwise) = (branches.collect(), otherwise.to_string());
                let kind = NodeKind::Choice { branches, otherwise };
                self.named(&from.name, does(plain), kind)
            }
            WrittenKind::Wait(wait) => {
                let seconds = wait.seconds();
                let plain = format!("wait {seconds} s");
                self.named(&from.name, does(plain), NodeKind::Timer(Timer::For { seconds }))
            }
            WrittenKind::WaitUntil(moment) => {
                let plain = format!("wait until {moment}");
                let unix_seconds = moment.unix_seconds();
                let kind = NodeKind::Timer(Timer::Until { unix_seconds });
                self.named(&from.name, does(plain), kind)
            }
            WrittenKind::Message(message) => {
                let plain = format!("wait for the message: {message}");
                self.named(&from.name, does(plain), NodeKind::Message)
            }
            WrittenKind::Commit => {
                let plain = "from here on nothing is undone by itself".to_owned();
                self.named(&from.name, does(plain), NodeKind::Commit)
            }
        };
        Node { after, ..node }
    }

    fn step(&self, from: &WrittenNode, step: &WrittenStep, after: Vec<After>) -> Node {
        let described = |name: &str| capability::descriptor(name).map_or("", |it| it.does);
        let plain = described(&step.capability).to_owned();
        let does = from.does.as_ref().map_or(plain, ToString::to_string);
        let (undo, undo_does) = match &step.undo {
            Some(WrittenUndo::By { capability, with }) => {
                (by(capability, with), Some(described(capability).to_owned()))
            }
            Some(WrittenUndo::Refused { refused, approval }) => {
                let (reason, approval) = (refused.to_string(), approval.to_string());
                (PlannedUndo::Refused { reason, approval }, None)
            }
            None if !undoes_itself(&step.capability) => (PlannedUndo::Nothing, None),
            None => (PlannedUndo::Own, Some("take back what the step has done".to_owned())),
        };
        let (capability, with) = (step.capability.clone(), step.with.clone());
        let freeze = step.freeze.clone();
        let kind = NodeKind::Step(PlannedStep { capability, with, undo, freeze });
        Node { undo_does, after, ..self.named(&from.name, does, kind) }
    }
}

fn by(capability: &str, with: &Value) -> PlannedUndo {
    PlannedUndo::By { capability: capability.to_owned(), with: with.clone() }
}

/// Whether a capability takes itself back. Where only a plan can say how, a plan that was checked
/// says it; a capability that is used by hand then has no undo.
fn undoes_itself(capability: &str) -> bool {
    capability::descriptor(capability).is_some_and(|it| it.undo == UndoKind::Own)
}

/// The gate that an approval is. `rule` is there in every plan that was checked.
pub(super) fn approval_gate(name: &str, rule: Option<&ApprovalRule>) -> Definition {
    Definition::new(Rule::Approval(approval::Rule {
        name: name.to_owned(),
        any_of: rule.map(|rule| rule.any_of.iter().cloned().collect()).unwrap_or_default(),
        count: rule.map_or(u32::MAX, |rule| rule.count),
        not_initiator: rule.is_none_or(|rule| rule.not_initiator),
        expires_s: rule.map_or(0, |rule| rule.expires_s),
        assurance: rule.map(|rule| rule.assurance).unwrap_or_default(),
    }))
}
