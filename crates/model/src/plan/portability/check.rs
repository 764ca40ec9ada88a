//! What a plan of `portability/v1` gets wrong that its schema cannot say.

use std::collections::BTreeSet;

use carnet_document::{Code, Diagnostic, InputError, Span};

use super::phases::{CROSSING_PHASES, phases};
use super::section::{Crossing, Data, Portability};
use crate::capability;
use crate::gate::{self, GateKind};
use crate::plan::document::Document;
use crate::plan::phases::WrittenKind;
use crate::plan::place::Place;
use crate::plan::tree::Tree;
use crate::plan::written::{NodeName, Period, Written};
use crate::portability::Scenario;

/// All findings.
pub(in crate::plan) fn check(
    document: &Document,
    crossing: &Crossing,
    tree: &Tree,
) -> Vec<Diagnostic> {
    let section = &crossing.portability;
    let mut check = Check { document, section, tree, findings: Vec::new() };
    check.governance();
    check.scenario();
    check.data();
    check.machine();
    check.hosts();
    check.authority();
    check.cutover();
    check.health();
    check.times();
    check.places();
    // Only what is well by itself is compiled.
    if check.findings.is_empty() {
        check.compiled();
    }
    check.findings
}

struct Check<'a> {
    document: &'a Document,
    section: &'a Portability,
    tree: &'a Tree,
    findings: Vec<Diagnostic>,
}

impl Check<'_> {
    fn at(&self, keys: &[&str]) -> Span {
        self.tree.at(&[&["portability"], keys].concat())
    }

    fn error(&mut self, code: Code, keys: &[&str], message: impl AsRef<str>, remedy: &str) {
        let finding = Diagnostic::error(code, self.at(keys), message, remedy);
        self.findings.push(finding);
    }

    fn conflict(&mut self, keys: &[&str], message: impl AsRef<str>, remedy: &str) {
        self.error(Code::PLAN_CONFLICT, keys, message, remedy);
    }

    /// Governance crosses with the content: all of it is stated, or comes with a file.
    fn governance(&mut self) {
        if self.section.source.governance.is_some() {
            return;
        }
        let said = self.document.governance.as_ref();
        let missing = [
            ("jurisdiction", said.is_none_or(|it| it.jurisdiction.is_none())),
            ("classification", said.is_none_or(|it| it.classification.is_none())),
            ("retention", said.is_none_or(|it| it.retention.is_none())),
        ];
        let missing: Vec<_> =
            missing.into_iter().filter(|(_, is)| *is).map(|(key, _)| key).collect();
        if !missing.is_empty() {
            let what = missing.join(", ");
            let remedy = format!(
                "add `governance: {{ {} }}`, or name the file that came with the content under \
                 portability.source.governance",
                missing.iter().map(|key| format!("{key}: …")).collect::<Vec<_>>().join(", ")
            );
            let message = format!("the content crosses without its {what}");
            let at = self.tree.at(&["governance"]);
            self.findings.push(Diagnostic::error(Code::PLAN_MISSING, at, message, &remedy));
        }
    }

    /// Each scenario has the part of the source that it moves, and none of another one.
    fn scenario(&mut self) {
        let section = self.section;
        let scenario = section.scenario;
        let source = &section.source;
        let parts = [
            (Scenario::Container, "container", source.container.is_some()),
            (Scenario::Vm, "machine", source.machine.is_some()),
            (Scenario::DataOnly, "data", source.data.is_some()),
            (Scenario::EvidenceOnly, "evidence", source.evidence.is_some()),
        ];
        for (of, key, there) in parts {
            if of == scenario && !there {
                let message = format!("the scenario {scenario} moves `{key}`, which is missing");
                let remedy = format!("add `{key}: {{ … }}`");
                self.error(Code::PLAN_MISSING, &["source"], message, &remedy);
            } else if of != scenario && there {
                let message = format!("`{key}` is not moved in the scenario {scenario}");
                let remedy = format!("take it out, or write `scenario: {of}`");
                self.conflict(&["source", key], message, &remedy);
            }
        }
        match (scenario.has_workload(), &section.workload_id) {
            (true, None) => {
                let message = format!("the scenario {scenario} moves a workload without a name");
                self.error(Code::PLAN_MISSING, &["scenario"], message, "add `workload_id: …`");
            }
            (false, Some(_)) => {
                let message = format!("nothing runs in the scenario {scenario}");
                self.conflict(&["workload_id"], message, "take it out");
            }
            (true, Some(_)) | (false, None) => {}
        }
    }

    fn data(&mut self) {
        let Some(data) = &self.section.source.data else {
            if self.section.target.store.is_some() {
                let message = "no snapshot crosses that could be loaded";
                self.conflict(&["target", "store"], message, "take it out");
            }
            return;
        };
        let Data { store, artifacts, snapshot, parquet } = data;
        let ways = [store.is_some(), snapshot.is_some(), !parquet.is_empty()];
        if ways.into_iter().filter(|is| *is).count() != 1 {
            let message = "data are exactly one of `store`, `snapshot` and `parquet`";
            self.conflict(&["source", "data"], message, "keep one of them");
        }
        if artifacts.is_some() && store.is_none() {
            let message = "artifacts travel in the snapshot of a store";
            let remedy = "take it out, or name the `store`";
            self.conflict(&["source", "data", "artifacts"], message, remedy);
        }
        if !parquet.is_empty() && self.section.target.store.is_some() {
            let message = "Parquet files are placed, not loaded";
            let remedy = "take it out, or move a `store` or a `snapshot`";
            self.conflict(&["target", "store"], message, remedy);
        }
    }

    /// A TPM whose state stays behind would make the machine another one.
    fn machine(&mut self) {
        let Some(machine) = &self.section.source.machine else { return };
        match (machine.tpm, &machine.tpm_state) {
            (true, None) => {
                let message = "the machine has a TPM, and its state is not named";
                let remedy = "add `tpm_state: FOLDER`: without it the machine is refused";
                self.error(Code::PLAN_MISSING, &["source", "machine", "tpm"], message, remedy);
            }
            (false, Some(_)) => {
                let message = "the state of a TPM is named, and the machine has none";
                let remedy = "add `tpm: true`, or take it out";
                self.conflict(&["source", "machine", "tpm_state"], message, remedy);
            }
            (true, Some(_)) | (false, None) => {}
        }
    }

    /// A workload has something to run it, and one of the other kind has not.
    fn hosts(&mut self) {
        let target = &self.section.target;
        let hosts = [
            (Scenario::Container, "container", target.container.is_some()),
            (Scenario::Vm, "machine", target.machine.is_some()),
        ];
        for (of, key, there) in hosts {
            let scenario = self.section.scenario;
            if of == scenario && !there {
                let message = format!("nothing says where the {scenario} is run");
                let remedy = format!("add `{key}: {{ into: FOLDER, … }}`");
                self.error(Code::PLAN_MISSING, &["target"], message, &remedy);
            } else if of != scenario && there {
                let message = format!("`{key}` is not run in the scenario {scenario}");
                self.conflict(&["target", key], message, "take it out");
            }
        }
    }

    /// Who has authority crosses with the content, and must be known on the other side.
    fn authority(&mut self) {
        if self.document.trust.is_none() {
            let message = "nothing says who has authority over what crosses";
            let remedy = "add `trust: FILE`, with the keys of approvers and of the log";
            self.error(Code::PLAN_MISSING, &[], message, remedy);
        }
    }

    /// What is stopped must be started again on every way back.
    fn cutover(&mut self) {
        let source = &self.section.source;
        match (&source.stop, &source.start) {
            (Some(_), None) => {
                let message = "the source is stopped, and nothing says how it is started again";
                self.error(Code::PLAN_MISSING, &["source", "stop"], message, "add `start: {…}`");
            }
            (None, Some(_)) => {
                let message = "the source is started again, and nothing stops it";
                self.conflict(&["source", "start"], message, "add `stop: {…}`, or take it out");
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
        if self.section.scenario.has_workload() && source.stop.is_none() {
            let message = "the workload would run on both sides after the cutover";
            let remedy = "add `stop: {…}` and `start: {…}`";
            self.error(Code::PLAN_MISSING, &["source"], message, remedy);
        }
    }

    fn health(&mut self) {
        if self.section.scenario.has_workload() && self.section.health.is_empty() {
            let message = "nothing shows that the workload is well before it is started for good";
            let remedy = "add `health: [{ gate: http, with: {…} }]`";
            self.error(Code::PLAN_MISSING, &["scenario"], message, remedy);
        }
        let mut seen = BTreeSet::new();
        for (place, health) in self.section.health.iter().enumerate() {
            let place = place.to_string();
            let name = health.name.as_deref().unwrap_or(&health.gate);
            let taken = ["reread", "approval", "policy", "start", "stop"].contains(&name);
            if NodeName::read(name).is_err() || taken || !seen.insert(name) {
                let message = format!("no gate of this list can be called {name:?}, or not twice");
                let remedy = "give it a `name` of its own";
                self.conflict(&["health", &place], message, remedy);
            }
            let kinds: Vec<_> =
                gate::kinds().iter().map(GateKind::name).filter(|it| *it != "approval").collect();
            if !kinds.contains(&health.gate.as_str()) {
                let message = format!("there is no gate {:?}", health.gate);
                let remedy = format!("write one of {}", kinds.join(", "));
                self.error(Code::PLAN_VALUE, &["health", &place, "gate"], message, &remedy);
                continue;
            }
            let with = serde_json::Value::Object(health.with.clone());
            if let Err(errors) = gate::read_rule(&health.gate, &with) {
                self.inputs(&["health", &place, "with"], &health.gate, &errors);
            }
        }
    }

    /// What is wrong with inputs, each at its place.
    fn inputs(&mut self, keys: &[&str], of: &str, errors: &[InputError]) {
        for error in errors {
            let below: Vec<_> = error.pointer.split('/').skip(1).collect();
            let message = format!("{of}: {error}");
            let keys = [keys, &below].concat();
            self.error(Code::PLAN_VALUE, &keys, message, &error.remedy);
        }
    }

    fn times(&mut self) {
        if let Err(error) = Period::read(&self.section.downtime_expected) {
            let message = format!("`downtime_expected` {error}");
            let keys = ["downtime_expected"];
            self.error(Code::PLAN_VALUE, &keys, message, error.remedy());
        }
    }

    /// What is made lies apart, and never in what is read.
    fn places(&mut self) {
        let section = self.section;
        let made = [
            (["transfer", "outbox"], section.transfer.outbox.as_str()),
            (["transfer", "inbox"], section.transfer.inbox.as_str()),
            (["target", "place"], section.target.place.as_str()),
            (["target", "policies"], section.target.policies.as_str()),
        ];
        for (number, (keys, path)) in made.iter().enumerate() {
            let place = Place::of(path);
            for (other_keys, other) in made.iter().take(number) {
                let other = Place::of(other);
                if place == other || place.is_within(&other) || other.is_within(&place) {
                    let message =
                        format!("`{}` and `{}` overlap", keys.join("."), other_keys.join("."));
                    self.conflict(keys, message, "give each a folder of its own");
                }
            }
        }
    }

    /// A plan that is well must give steps that are.
    fn compiled(&mut self) {
        let compiled = phases(self.document, self.section);
        for (_, phase) in compiled.all() {
            for (_, _, node) in phase.nodes() {
                let WrittenKind::Step(step) = &node.kind else { continue };
                let Some(found) = capability::descriptor(&step.capability) else { continue };
                if let Err(errors) = capability::check_inputs(found, &step.with) {
                    let of = format!("{}/{}", phase.name, node.name);
                    self.inputs(&[], &of, &errors);
                }
            }
        }
    }
}

/// The names that an approval may have.
pub(in crate::plan) fn approval_names() -> [&'static str; 7] {
    CROSSING_PHASES.map(|(name, _)| name)
}
