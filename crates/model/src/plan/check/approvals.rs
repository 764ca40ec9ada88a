//! Approvals and exceptions: each is defined, asked for, and can be given.

use std::collections::{BTreeMap, BTreeSet};

use carnet_document::yaml::FINDINGS_MAX;
use carnet_document::{Code, Diagnostic, Span};

use crate::gate::approval::Assurance;
use crate::plan::approvals::AMENDMENT;
use crate::plan::document::{Document, Work};
use crate::plan::knowledge_v1::PhaseName;
use crate::plan::nearest::nearest;
use crate::plan::phases::{Phases, WrittenKind, WrittenUndo, placed};
use crate::plan::portability;
use crate::plan::tree::Tree;
use crate::plan::written::NodeName;

pub(super) fn check(document: &Document, tree: &Tree, now_s: Option<i64>) -> Vec<Diagnostic> {
    let mut check = Check { document, tree, findings: Vec::new() };
    check.enough_people();
    check.trusted();
    check.asked();
    check.exceptions(now_s);
    check.findings
}

struct Check<'a> {
    document: &'a Document,
    tree: &'a Tree,
    findings: Vec<Diagnostic>,
}

impl Check<'_> {
    fn conflict(&mut self, span: Span, message: impl AsRef<str>, remedy: impl AsRef<str>) {
        self.findings.push(Diagnostic::error(Code::PLAN_CONFLICT, span, message, remedy));
    }

    fn enough_people(&mut self) {
        for (name, approval) in &self.document.approvals {
            let people = approval.any_of.len();
            if usize::try_from(approval.count).is_ok_and(|count| count > people) {
                let at = self.tree.at(&["approvals", name.as_str(), "count"]);
                let message = format!("{} must approve, and {people} may", approval.count);
                self.conflict(at, message, "name more people, or ask for fewer");
            }
        }
    }

    /// A signature needs keys to believe.
    fn trusted(&mut self) {
        let signed =
            |(_, it): &(_, &crate::plan::approvals::Approval)| it.assurance == Assurance::Signed;
        let Some((name, _)) = self.document.approvals.iter().find(signed) else { return };
        if self.document.trust.is_none() {
            let at = self.tree.at(&["approvals", name.as_str()]);
            let message = format!("`{name}` must be signed, and no file of keys is named");
            let remedy = "add `trust: FILE` with the approvers' keys, or write `assurance: named`";
            self.conflict(at, message, remedy);
        }
    }

    /// Each approval that is asked for is defined, and each that is defined is asked for.
    fn asked(&mut self) {
        let mut asked: BTreeSet<&str> = BTreeSet::new();
        for (name, place) in questions(self.document) {
            let at: Vec<&str> = place.iter().map(String::as_str).collect();
            if self.document.approvals.keys().any(|defined| defined.as_str() == name) {
                asked.insert(name);
            } else if self.findings.len() < FINDINGS_MAX {
                self.unknown(name, self.tree.at(&at));
            }
        }
        for name in self.document.approvals.keys().map(NodeName::as_str) {
            let at = self.tree.key_at(&["approvals", name]);
            let phases = waiting_phases(&self.document.work);
            match self.document.work {
                // A changed plan asks for it, not a node of this one.
                _ if asked.contains(name) || name == AMENDMENT => {}
                Work::Knowledge(_) | Work::Crossing(_) if phases.contains(&name) => {}
                Work::Knowledge(_) | Work::Crossing(_) => {
                    let remedy = match nearest(name, phases.iter().copied()) {
                        Some(meant) => format!("did you mean {meant}?"),
                        None => format!("name it after a phase: {}", phases.join(", ")),
                    };
                    self.conflict(at, format!("no phase waits for the approval `{name}`"), remedy);
                }
                Work::Phases(_) => {
                    let message = format!("nobody asks for the approval `{name}`");
                    let remedy = format!("add `{{ approval: {name} }}` to a phase, or take it out");
                    self.conflict(at, message, remedy);
                }
            }
        }
    }

    fn unknown(&mut self, name: &str, at: Span) {
        let known = || self.document.approvals.keys().map(NodeName::as_str);
        let remedy = match nearest(name, known()) {
            Some(meant) => format!("did you mean {meant}?"),
            None => format!("add `{name}: {{ any_of: [NAME] }}` under `approvals`"),
        };
        let message = format!("the approval `{name}` is not defined");
        let finding = Diagnostic::error(Code::PLAN_CONFLICT, at, message, remedy);
        self.findings.push(finding.with_value(name));
    }

    /// Each is for a gate that there is, and is not over.
    fn exceptions(&mut self, now_s: Option<i64>) {
        let document = self.document;
        let gates = gates(document);
        let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
        for (number, exception) in document.exceptions.iter().enumerate() {
            let number = number.to_string();
            let at = |key| self.tree.at(&["exceptions", &number, key]);
            let (gate, expires) = (at("gate"), at("expires_at"));
            if !gates.contains(exception.gate.as_str()) {
                let known = || gates.iter().map(String::as_str);
                let remedy = match nearest(&exception.gate, known()) {
                    Some(meant) => format!("did you mean {meant}?"),
                    None => "name a gate as PHASE/NODE; `carnet plan` shows them".to_owned(),
                };
                let message = "an exception for a gate that the plan does not have";
                let finding = Diagnostic::error(Code::PLAN_CONFLICT, gate, message, remedy);
                self.findings.push(finding.with_value(&exception.gate));
            } else if let Some(first) = seen.get(exception.gate.as_str()) {
                let message = "a second exception for the same gate";
                let finding =
                    Diagnostic::error(Code::PLAN_CONFLICT, gate, message, "keep one of the two");
                self.findings
                    .push(finding.with_value(&exception.gate).with_related(*first, "the first"));
            }
            seen.entry(exception.gate.as_str()).or_insert(gate);
            if now_s.is_some_and(|now_s| exception.expires_at.unix_seconds() <= now_s) {
                let message = format!("the exception has expired at {}", exception.expires_at);
                self.conflict(expires, message, "take it out, or have a new one approved");
            }
        }
    }
}

/// The phases of a built-in process: each waits for an approval of its name.
fn waiting_phases(work: &Work) -> Vec<&'static str> {
    match work {
        Work::Knowledge(_) => PhaseName::ALL.map(PhaseName::name).to_vec(),
        Work::Crossing(_) => portability::approval_names().to_vec(),
        Work::Phases(_) => Vec::new(),
    }
}

/// Where which approval is asked for.
fn questions(document: &Document) -> Vec<(&str, Vec<String>)> {
    let mut found = Vec::new();
    for (number, exception) in document.exceptions.iter().enumerate() {
        let place = ["exceptions", &number.to_string(), "approval"].map(ToOwned::to_owned);
        found.push((exception.approval.as_str(), place.to_vec()));
    }
    for (keys, phase) in placed(document) {
        for (section, place, node) in phase.nodes() {
            let (name, below): (_, &[&str]) = match &node.kind {
                WrittenKind::Approval(name) => (name, &["approval"]),
                WrittenKind::Step(step) => match &step.undo {
                    Some(WrittenUndo::Refused { approval, .. }) => {
                        (approval, &["undo", "approval"])
                    }
                    Some(WrittenUndo::By { .. }) | None => continue,
                },
                WrittenKind::Gate(_)
                | WrittenKind::Choice { .. }
                | WrittenKind::Wait(_)
                | WrittenKind::WaitUntil(_)
                | WrittenKind::Message(_)
                | WrittenKind::Commit => continue,
            };
            let mut at = keys.clone();
            at.extend([section.to_owned(), place.to_string()]);
            at.extend(below.iter().map(|key| (*key).to_owned()));
            found.push((name.as_str(), at));
        }
    }
    found
}

/// The gates that can be set aside: all but approvals.
fn gates(document: &Document) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    match &document.work {
        Work::Knowledge(knowledge) => {
            for phase in crate::plan::knowledge_v1::phases(knowledge) {
                found.extend(phase.gates().map(|(node, _)| node.name.clone()));
            }
        }
        Work::Crossing(crossing) => {
            written_gates(&portability::phases(document, &crossing.portability), &mut found);
        }
        Work::Phases(phases) => written_gates(phases, &mut found),
    }
    found
}

fn written_gates(phases: &Phases, found: &mut BTreeSet<String>) {
    for (_, phase) in phases.all() {
        for (_, _, node) in phase.nodes() {
            if matches!(node.kind, WrittenKind::Gate(_)) {
                found.insert(format!("{}/{}", phase.name, node.name));
            }
        }
    }
}
