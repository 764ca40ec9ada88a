//! What a plan gets wrong that writes its phases out itself.

use std::collections::BTreeMap;

use carnet_document::yaml::FINDINGS_MAX;
use carnet_document::{Code, Diagnostic, Span};

use crate::capability::{self, ApprovalMode, Safety, UndoKind};
use crate::plan::document::Document;
use crate::plan::flow::{Astray, Flow, FlowNode, flow};
use crate::plan::nearest::nearest;
use crate::plan::phases::{WrittenKind, WrittenPhase, WrittenStep, WrittenUndo, placed};
use crate::plan::tree::Tree;
use crate::plan::{OnFailure, Part};

pub(super) fn check(document: &Document, tree: &Tree) -> Vec<Diagnostic> {
    let Some(phases) = document.phases() else { return Vec::new() };
    let mut findings = Vec::new();
    let mut names: BTreeMap<&str, Span> = BTreeMap::new();
    let mut committed: Option<Span> = None;
    let parts = phases.all().map(|(part, _)| part);
    for ((keys, phase), part) in placed(document).into_iter().zip(parts) {
        let mut check = PhaseCheck { tree, keys, phase, part, flow: flow(phase), findings };
        let at = check.at(&["name"]);
        if let Some(first) = names.insert(phase.name.as_str(), at) {
            let message = format!("a second phase is called `{}`", phase.name);
            check.twice(at, first, &message);
        }
        check.names();
        check.after();
        check.steps();
        check.choices();
        check.needs();
        check.commit(&mut committed);
        findings = check.findings;
    }
    findings
}

struct PhaseCheck<'a> {
    tree: &'a Tree,
    keys: Vec<String>,
    phase: &'a WrittenPhase,
    part: Part,
    flow: Flow<'a>,
    findings: Vec<Diagnostic>,
}

impl PhaseCheck<'_> {
    fn error(&mut self, code: Code, span: Span, message: impl AsRef<str>, remedy: impl AsRef<str>) {
        self.findings.push(Diagnostic::error(code, span, message, remedy));
    }

    fn conflict(&mut self, span: Span, message: impl AsRef<str>, remedy: impl AsRef<str>) {
        self.error(Code::PLAN_CONFLICT, span, message, remedy);
    }

    fn twice(&mut self, at: Span, first: Span, message: &str) {
        let finding =
            Diagnostic::error(Code::PLAN_CONFLICT, at, message, "give one of the two another name");
        self.findings.push(finding.with_related(first, "the first"));
    }

    fn at(&self, below: &[&str]) -> Span {
        let keys: Vec<&str> =
            self.keys.iter().map(String::as_str).chain(below.iter().copied()).collect();
        self.tree.at(&keys)
    }

    fn node_at(&self, node: &FlowNode<'_>, below: &[&str]) -> Span {
        let place = node.place.to_string();
        let keys = [&[node.section, place.as_str()], below].concat();
        self.at(&keys)
    }

    /// Each node has a name of its own.
    fn names(&mut self) {
        let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
        let mut again = Vec::new();
        for node in &self.flow.nodes {
            let (name, at) = (node.node.name.as_str(), self.node_at(node, &["name"]));
            match seen.get(name) {
                Some(first) => again.push((name.to_owned(), at, *first)),
                None => drop(seen.insert(name, at)),
            }
        }
        for (name, at, first) in again {
            self.twice(at, first, &format!("a second node of the phase is called `{name}`"));
        }
    }

    fn after(&mut self) {
        let mut found = Vec::new();
        for node in &self.flow.nodes {
            for (item, why) in &node.astray {
                let at = self.node_at(node, &["after", &item.to_string()]);
                let written = node.node.after.as_ref().and_then(|after| after.get(*item));
                found.push((at, written.cloned().unwrap_or_default(), why.clone()));
            }
        }
        for (at, name, why) in found.into_iter().take(FINDINGS_MAX) {
            let (message, remedy) = self.astray(&name, &why);
            let finding = Diagnostic::error(Code::PLAN_CONFLICT, at, message, remedy);
            self.findings.push(finding.with_value(&name));
        }
    }

    fn astray(&self, name: &str, why: &Astray) -> (String, String) {
        let short = name.split_once(':').map_or(name, |(node, _)| node);
        match why {
            Astray::Unknown => {
                let known = self.flow.nodes.iter().map(|node| node.node.name.as_str());
                let remedy = match nearest(short, known) {
                    Some(meant) => format!("did you mean {meant}?"),
                    None => "name an earlier node of the same phase".to_owned(),
                };
                (format!("the phase `{}` has no node `{short}`", self.phase.name), remedy)
            }
            Astray::Later => {
                let remedy = "put it before this one, or name an earlier node".to_owned();
                (format!("`{short}` does not stand before this node"), remedy)
            }
            Astray::NoChoice => {
                let remedy = format!("write {short}; only a choice has branches");
                (format!("`{short}` is no choice"), remedy)
            }
            Astray::NoBranch => {
                let branch = name.split_once(':').map_or("", |(_, branch)| branch);
                let known: Vec<&str> = self.branches(short);
                let remedy = match nearest(branch, known.iter().copied()) {
                    Some(meant) => format!("did you mean {short}:{meant}?"),
                    None => format!("its branches are {}", known.join(", ")),
                };
                (format!("the choice `{short}` has no branch `{branch}`"), remedy)
            }
            Astray::Twice => {
                ("this node stands twice".to_owned(), "keep one of the two".to_owned())
            }
        }
    }

    fn branches(&self, choice: &str) -> Vec<&str> {
        let found = self.flow.nodes.iter().find(|node| node.node.name.as_str() == choice);
        match found.map(|node| &node.node.kind) {
            Some(WrittenKind::Choice { branches, otherwise }) => {
                let names = branches.iter().map(|branch| branch.name.as_str());
                names.chain([otherwise.as_str()]).collect()
            }
            Some(
                WrittenKind::Step(_)
                | WrittenKind::Gate(_)
                | WrittenKind::Wait(_)
                | WrittenKind::WaitUntil(_)
                | WrittenKind::Message(_)
                | WrittenKind::Approval(_)
                | WrittenKind::Commit,
            )
            | None => Vec::new(),
        }
    }

    /// What changes something can be taken back, or somebody has agreed that it cannot.
    fn steps(&mut self) {
        let mut found = Vec::new();
        for node in &self.flow.nodes {
            let WrittenKind::Step(step) = &node.node.kind else { continue };
            if let Some((below, message, remedy)) = undo(step) {
                let at = self.node_at(node, below);
                found.push((at, message, remedy));
            }
        }
        for (at, message, remedy) in found {
            self.conflict(at, message, remedy);
        }
        let changes = |node: &FlowNode<'_>| matches!(node.node.kind, WrittenKind::Step(_));
        if self.part == Part::Rollback && !self.flow.nodes.iter().any(changes) {
            let at = self.at(&["name"]);
            let message = format!("the phase `{}` of the way back does nothing", self.phase.name);
            self.error(Code::PLAN_MISSING, at, message, "add `steps: […]` with a step");
        }
    }

    fn choices(&mut self) {
        // The branches that lead on, by the place of their choice.
        let mut led: BTreeMap<usize, Vec<Option<&str>>> = BTreeMap::new();
        for node in &self.flow.nodes {
            for after in &node.after {
                led.entry(after.node).or_default().push(after.branch.as_deref());
            }
        }
        let mut found = Vec::new();
        for (index, node) in self.flow.nodes.iter().enumerate() {
            let WrittenKind::Choice { branches, otherwise } = &node.node.kind else { continue };
            let leads = led.get(&index).map(Vec::as_slice).unwrap_or_default();
            let names = branches.iter().map(|branch| &branch.name).chain([otherwise]);
            for (number, name) in names.enumerate() {
                let number_text = number.to_string();
                let place: &[&str] = if number == branches.len() {
                    &["otherwise"]
                } else {
                    &["branches", &number_text, "name"]
                };
                let at = self.node_at(node, place);
                let earlier = branches.iter().take(number);
                if earlier.clone().any(|branch| branch.name == *name) {
                    found.push((
                        at,
                        format!("a second branch is called `{name}`"),
                        "give one of the two another name".to_owned(),
                    ));
                } else if !leads.contains(&None) && !leads.contains(&Some(name.as_str())) {
                    let choice = &node.node.name;
                    found.push((
                        at,
                        format!("the branch `{name}` leads nowhere"),
                        format!("add `after: [\"{choice}:{name}\"]` to the node that it leads to"),
                    ));
                }
                let when = branches.get(number).map(|branch| &branch.when);
                let same = earlier.clone().find(|branch| Some(&branch.when) == when);
                if let Some(same) = same {
                    found.push((
                        at,
                        format!("the branch `{name}` is never gone: `{}` asks the same", same.name),
                        "demand something else, or take it out".to_owned(),
                    ));
                }
            }
        }
        for (at, message, remedy) in found {
            self.conflict(at, message, remedy);
        }
    }

    /// What capabilities ask of the phase that they are used in.
    fn needs(&mut self) {
        let kinds: Vec<&str> = self
            .flow
            .nodes
            .iter()
            .filter_map(|node| match &node.node.kind {
                WrittenKind::Gate(definition) => Some(definition.gate().id()),
                WrittenKind::Approval(_) => Some("approval"),
                WrittenKind::Step(_)
                | WrittenKind::Choice { .. }
                | WrittenKind::Wait(_)
                | WrittenKind::WaitUntil(_)
                | WrittenKind::Message(_)
                | WrittenKind::Commit => None,
            })
            .collect();
        // Whether every way to a node leads through an approval.
        let mut approved: Vec<bool> = Vec::with_capacity(self.flow.nodes.len());
        let mut found = Vec::new();
        for node in &self.flow.nodes {
            let before = !node.after.is_empty()
                && node.after.iter().all(|it| approved.get(it.node).copied().unwrap_or(false));
            approved.push(before || matches!(node.node.kind, WrittenKind::Approval(_)));
            let WrittenKind::Step(step) = &node.node.kind else { continue };
            let Some(descriptor) = capability::descriptor(&step.capability) else { continue };
            let refused = matches!(step.undo, Some(WrittenUndo::Refused { .. }));
            let at = || self.node_at(node, &["capability"]);
            if descriptor.approval == ApprovalMode::Asked && !before && !refused {
                let message = format!("{} needs an approval before it", step.capability);
                found.push((at(), message, "add `{ approval: NAME }` before this step".to_owned()));
            }
            for kind in descriptor.gates.iter().filter(|kind| !kinds.contains(kind)) {
                let message = format!("{} needs a gate {kind} in its phase", step.capability);
                found.push((at(), message, format!("add `{{ gate: {kind}, … }}` to the phase")));
            }
        }
        for (at, message, remedy) in found {
            self.conflict(at, message, remedy);
        }
    }

    /// The point of no return: one in a plan, alone on its way, and nothing is expected to be
    /// undone behind it.
    fn commit(&mut self, committed: &mut Option<Span>) {
        if committed.is_some()
            && self.part == Part::Forward
            && self.phase.on_failure == Some(OnFailure::Undo)
        {
            let at = self.at(&["on_failure"]);
            let message = "nothing is undone behind the point of no return";
            self.conflict(at, message, "write `on_failure: wait`, or put the commit behind it");
        }
        let is_commit = |node: &FlowNode<'_>| matches!(node.node.kind, WrittenKind::Commit);
        let places: Vec<usize> = (0..)
            .zip(&self.flow.nodes)
            .filter(|(_, node)| is_commit(node))
            .map(|(at, _)| at)
            .collect();
        for place in places {
            let Some(at) = self.flow.nodes.get(place).map(|node| self.node_at(node, &["commit"]))
            else {
                continue;
            };
            if self.part == Part::Rollback {
                let remedy = "take it out; the way back is not undone";
                self.conflict(at, "a commit on the way back", remedy);
            } else if let Some(first) = *committed {
                let message = "a second point of no return";
                let finding =
                    Diagnostic::error(Code::PLAN_CONFLICT, at, message, "keep one of the two");
                self.findings.push(finding.with_related(first, "the first"));
            } else if let Some(beside) = self.beside(place) {
                let message = format!("`{beside}` is neither before nor behind the commit");
                let remedy =
                    "let the commit follow all nodes before it, and be followed by all others";
                self.conflict(at, message, remedy);
            }
            committed.get_or_insert(at);
        }
    }

    /// A node that may run at the same time as this one.
    fn beside(&self, place: usize) -> Option<String> {
        let nodes = &self.flow.nodes;
        let mut before = vec![false; nodes.len()];
        let mut open = vec![place];
        while let Some(at) = open.pop() {
            for after in nodes.get(at).map(|node| node.after.as_slice()).unwrap_or_default() {
                if let Some(seen) = before.get_mut(after.node).filter(|seen| !**seen) {
                    *seen = true;
                    open.push(after.node);
                }
            }
        }
        let mut behind = vec![false; nodes.len()];
        for (at, node) in nodes.iter().enumerate() {
            let follows = node
                .after
                .iter()
                .any(|it| it.node == place || behind.get(it.node).copied().unwrap_or(false));
            if let Some(behind) = behind.get_mut(at) {
                *behind = follows;
            }
        }
        let mut ways = nodes.iter().zip(before.iter().zip(&behind)).enumerate();
        let found = ways.find(|(at, (_, (before, behind)))| *at != place && !**before && !**behind);
        found.map(|(_, (node, _))| node.node.name.to_string())
    }
}

/// What is wrong with the undo of a step: where, what, and what to do.
fn undo(step: &WrittenStep) -> Option<(&'static [&'static str], String, &'static str)> {
    let name = &step.capability;
    let descriptor = capability::descriptor(name)?;
    match (descriptor.safety, descriptor.undo, &step.undo) {
        (Safety::ReadOnly, _, Some(_)) | (Safety::Mutating, UndoKind::Nothing, Some(_)) => {
            let message = format!("{name} leaves nothing that could be undone");
            Some((&["undo"], message, "take `undo` out"))
        }
        (Safety::Mutating, UndoKind::ByPlan, None) => {
            let message = format!("{name} changes something, and nothing says how that is undone");
            let remedy = "add `undo: { capability: …, with: {…} }`, or `undo: { refused: REASON, \
                          approval: NAME }`";
            Some((&["capability"], message, remedy))
        }
        (Safety::Mutating, _, Some(WrittenUndo::By { capability, .. })) => {
            let reads = capability::descriptor(capability)?.safety == Safety::ReadOnly;
            let message = format!("{capability} only reads, and takes nothing back");
            reads.then_some((&["undo", "capability"], message, "name a capability that changes"))
        }
        (Safety::ReadOnly, _, None)
        | (Safety::Mutating, UndoKind::Nothing | UndoKind::Own, None)
        | (Safety::Mutating, UndoKind::Own | UndoKind::ByPlan, Some(WrittenUndo::Refused { .. })) => {
            None
        }
    }
}
