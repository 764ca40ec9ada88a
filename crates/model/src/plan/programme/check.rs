//! What a programme gets wrong that the shape of its keys cannot say.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use carnet_document::{Code, Diagnostic, Span};
use carnet_programme::{Form, Template};

use super::legacy;
use super::phase::{PHASE_IDS, PhaseId};
use super::section::Programme;
use super::{ACTIVATE, CONFIRM};
use crate::plan::document::Document;
use crate::plan::phases::{Phases, WrittenPhase};
use crate::plan::place::Place;
use crate::plan::tree::Tree;

/// All findings.
pub(in crate::plan) fn check(document: &Document, phases: &Phases, tree: &Tree) -> Vec<Diagnostic> {
    let mut check = Check { phases, tree, findings: Vec::new() };
    let Some(programme) = &phases.programme else {
        check.is_none();
        return check.findings;
    };
    check.way_back();
    check.scope(programme);
    check.authority(programme);
    check.approvals(document);
    for (at, phase) in phases.phases.iter().enumerate() {
        check.demands(at, phase);
        check.paths(at, phase);
        check.forms(at, phase);
    }
    check.order();
    check.written_once();
    let mut findings = check.findings;
    findings.extend(legacy::check(programme, phases, tree));
    findings
}

struct Check<'a> {
    phases: &'a Phases,
    tree: &'a Tree,
    findings: Vec<Diagnostic>,
}

impl Check<'_> {
    fn error(&mut self, code: Code, span: Span, message: impl AsRef<str>, remedy: impl AsRef<str>) {
        self.findings.push(Diagnostic::error(code, span, message, remedy));
    }

    fn phase_at(&self, at: usize, below: &[&str]) -> Span {
        let at = at.to_string();
        self.tree.at(&[&["phases", at.as_str()], below].concat())
    }

    /// Without `programme` nobody would keep what these keys promise.
    fn is_none(&mut self) {
        for (at, phase) in self.phases.phases.iter().enumerate() {
            if let Some(key) = key_of_programmes(phase) {
                let message = format!("`{key}` is for phases of a programme");
                let remedy = "add `programme: { … }` to the plan, or take the key out";
                self.error(Code::PLAN_CONFLICT, self.phase_at(at, &[key]), message, remedy);
            }
        }
        self.way_back();
    }

    /// The way back is prescribed as a whole: none of its phases is begun or confirmed by itself.
    fn way_back(&mut self) {
        let back = self.phases.rollback.iter().flat_map(|back| back.phases.iter().enumerate());
        let found: Vec<_> =
            back.filter_map(|(at, phase)| Some((at, key_of_programmes(phase)?))).collect();
        for (at, key) in found {
            let place = at.to_string();
            let span = self.tree.at(&["rollback", "phases", place.as_str(), key]);
            let message = format!("`{key}` is not for phases of the way back");
            self.error(Code::PLAN_CONFLICT, span, message, "take it out");
        }
    }

    fn scope(&mut self, programme: &Programme) {
        let scope = &programme.scope;
        for (at, plane) in scope.out.iter().enumerate().filter(|(_, it)| scope.within.contains(it))
        {
            let place = at.to_string();
            let span = self.tree.at(&["programme", "scope", "out", place.as_str()]);
            let message = format!("`{plane}` is both in the scope and out of it");
            self.error(Code::PLAN_CONFLICT, span, message, "take it out of one of the two lists");
        }
    }

    /// Each file has one place in the order of precedence.
    fn authority(&mut self, programme: &Programme) {
        let mut seen: Vec<Place> = Vec::new();
        for (at, pin) in programme.authority.iter().enumerate() {
            let place = Place::of(&pin.file);
            if seen.contains(&place) {
                let key = at.to_string();
                let span = self.tree.at(&["programme", "authority", key.as_str()]);
                let message = "this file stands twice in the order of precedence";
                self.error(Code::PLAN_CONFLICT, span, message, "keep one of the two");
            }
            seen.push(place);
        }
    }

    /// A changed authority, and a phase that is elaborated, both need an approved amendment.
    fn approvals(&mut self, document: &Document) {
        if document.approvals.is_empty() {
            let span = self.tree.at(&["programme"]);
            let message = "nobody may approve an amendment of this programme";
            let remedy = "add `approvals: { amendment: { any_of: […] } }`";
            self.error(Code::PLAN_MISSING, span, message, remedy);
        }
    }

    /// What each phase must have.
    fn demands(&mut self, at: usize, phase: &WrittenPhase) {
        let span = self.phase_at(at, &["name"]);
        let mut missing = |message: &str, remedy: &str| {
            let message = format!("the phase `{}` {message}", phase.name);
            self.findings.push(Diagnostic::error(Code::PLAN_MISSING, span, message, remedy));
        };
        if phase.phase_id.is_empty() {
            missing("has no canonical id", "add `phase_id: P3`, for example");
        }
        if phase.gate_level.is_some() {
            return;
        }
        if phase.posture.is_none() {
            let remedy = "add `posture: { retry: none, says: … }`; retry is none or L0 to L4";
            missing("does not say what its failure means", remedy);
        }
        if phase.evidence.is_empty() {
            let remedy = "add `evidence: [{ path: …, form: … }]`";
            missing("has no evidence contract", remedy);
        }
        if phase.entry.is_empty() {
            missing("has no entry criteria", "add `entry: […]` with a gate");
        }
        for (section, place, node) in phase.nodes() {
            let name = node.name.as_str();
            if name == ACTIVATE || name == CONFIRM {
                let place = place.to_string();
                let span = self.phase_at(at, &[section, place.as_str(), "name"]);
                let message = format!("each phase of a programme has a node `{name}` already");
                self.error(Code::PLAN_CONFLICT, span, message, "give it another name");
            }
        }
    }

    /// Paths of evidence lie below the root, and their tokens are known.
    fn paths(&mut self, at: usize, phase: &WrittenPhase) {
        for (number, file) in phase.evidence.iter().enumerate() {
            let path = file.path.as_str();
            let Err(error) = Template::parse(path) else { continue };
            let number = number.to_string();
            let span = self.phase_at(at, &["evidence", number.as_str(), "path"]);
            let remedy = "write a path below programme.evidence_root, such as ingest/x.json";
            let finding = Diagnostic::error(Code::PLAN_VALUE, span, error.to_string(), remedy);
            self.findings.push(finding.with_value(path));
        }
    }

    /// No form is said that is taken for another one.
    fn forms(&mut self, at: usize, phase: &WrittenPhase) {
        for (number, file) in phase.evidence.iter().enumerate() {
            let (name, path) = (file.form.as_str(), file.path.as_str());
            let Some((form, message)) = Form::mistaken(name, path) else { continue };
            let number = number.to_string();
            let span = self.phase_at(at, &["evidence", number.as_str(), "form"]);
            let remedy = format!("write `form: {form}`, or another path with another name");
            let finding = Diagnostic::error(Code::PLAN_VALUE, span, message, remedy);
            self.findings.push(finding.with_value(name));
        }
    }

    /// The ids of all phases follow on each other, none twice, none left out.
    fn order(&mut self) {
        let mut before: Option<(PhaseId, Span)> = None;
        let mut seen: BTreeMap<PhaseId, Span> = BTreeMap::new();
        for (at, phase) in self.phases.phases.iter().enumerate() {
            let span = self.phase_at(at, &["phase_id"]);
            for id in &phase.phase_id {
                if let Some(first) = seen.get(id) {
                    let message = format!("a second phase has the id {id}");
                    let remedy = "give one of the two another id";
                    let finding = Diagnostic::error(Code::PLAN_CONFLICT, span, message, remedy);
                    self.findings.push(finding.with_related(*first, "the first"));
                } else if let Some((last, place)) = before {
                    self.follows(last, *id, span, place);
                }
                seen.insert(*id, span);
                before = Some((*id, span));
            }
        }
    }

    fn follows(&mut self, last: PhaseId, id: PhaseId, span: Span, before: Span) {
        let expected = last.place() + 1;
        let named = |place: usize| PHASE_IDS.get(place).copied().unwrap_or_default();
        let (message, remedy) = match id.place().cmp(&expected) {
            Ordering::Less => {
                let remedy = "put the phases into the order of their ids";
                (format!("{id} stands behind {last}"), remedy)
            }
            Ordering::Greater => {
                let message = format!("{} is left out between {last} and {id}", named(expected));
                let remedy =
                    "add the phase; `gate_level: true` says what it is for until it is elaborated";
                (message, remedy)
            }
            Ordering::Equal => return,
        };
        let finding = Diagnostic::error(Code::PLAN_CONFLICT, span, message, remedy);
        self.findings.push(finding.with_related(before, "the one before"));
    }

    /// Evidence is written once: no two phases write the same file.
    fn written_once(&mut self) {
        let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
        let mut again = Vec::new();
        for (at, phase) in self.phases.phases.iter().enumerate() {
            for (number, file) in phase.evidence.iter().enumerate() {
                let number = number.to_string();
                let span = self.phase_at(at, &["evidence", number.as_str(), "path"]);
                match seen.get(file.path.as_str()) {
                    Some(first) if !file.path.as_str().contains("{phase_id}") => {
                        again.push((span, *first));
                    }
                    Some(_) => {}
                    None => drop(seen.insert(file.path.as_str(), span)),
                }
            }
        }
        for (span, first) in again {
            let message =
                "a second evidence contract names this path, and evidence is written once";
            let remedy = "give each its own path; `{phase_id}` tells them apart";
            let finding = Diagnostic::error(Code::PLAN_CONFLICT, span, message, remedy);
            self.findings.push(finding.with_related(first, "the first"));
        }
    }
}

/// A key of the phase that only programmes have.
fn key_of_programmes(phase: &WrittenPhase) -> Option<&'static str> {
    let keys = [
        ("gate_level", phase.gate_level.is_some()),
        ("phase_id", !phase.phase_id.is_empty()),
        ("posture", phase.posture.is_some()),
        ("evidence", !phase.evidence.is_empty()),
    ];
    keys.into_iter().find(|(_, there)| *there).map(|(key, _)| key)
}
