//! The phases that a crossing is compiled to: nodes of the same kinds as every plan has.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::contents::{Places, below, contents};
use super::section::{Portability, Program, Side};
use crate::capability::{
    BundleExport, BundleImport, BundleTransfer, BundleVerify, EnvSet, GovernanceFile, Governed,
    SnapshotExport, SnapshotImport, TakeBack,
};
use crate::gate::{self, AGE_S_MAX, Definition};
use crate::plan::document::Document;
use crate::plan::phases::{
    Phases, WayBack, WrittenKind, WrittenNode, WrittenPhase, WrittenStep, WrittenUndo,
};
use crate::plan::written::{Label, NodeName, Written};
use crate::portability::{BundleGovernance, Scenario, TermName};

/// The phases of the way forward, in order, with what each does.
pub const CROSSING_PHASES: [(&str, &str); 7] = [
    ("plan", "see that it may leave and can arrive, before anything is made"),
    ("export", "make the bundle, and ask the policy whether it may leave"),
    ("transfer", "bring the bundle to the target side"),
    ("import", "check the bundle, decide whether it may enter, and place its contents"),
    ("validate", "see that what was placed is whole, well, and under its policy"),
    ("cutover", "stop the source and point clients to the target"),
    ("activate", "start it for good"),
];

/// The phases of the way back, in order, with the steps that each takes back as far as they were
/// done.
const WAY_BACK: [(&str, &str, &[&str]); 3] = [
    (
        "leave",
        "take what was placed away from the target",
        &[
            "activate/start",
            "validate/start",
            "import/load",
            "import/workload",
            "import/place",
            "import/enforce",
            "import/papers",
        ],
    ),
    (
        "resume",
        "start the source again and point clients to it",
        &["cutover/stop_source", "export/stop_source", "cutover/switch"],
    ),
    (
        "clear",
        "take the bundle away",
        &[
            "transfer/transfer",
            "export/papers",
            "export/bundle",
            "export/machine",
            "export/image",
            "export/snapshot",
            "export/policy",
        ],
    ),
];

/// The phases of a crossing.
pub(in crate::plan) fn phases(document: &Document, section: &Portability) -> Phases {
    let build = Build { document, section, places: Places::of(section) };
    let forward = CROSSING_PHASES.into_iter().filter(|(name, _)| is_run(section, name));
    let phases: Vec<_> =
        forward.map(|(name, does)| phase(name, does, build.forward(name))).collect();
    let named = |phase: &WrittenPhase| {
        let names = phase.steps.iter().map(|node| format!("{}/{}", phase.name, node.name));
        names.collect::<Vec<_>>()
    };
    let there: BTreeSet<String> = phases.iter().flat_map(named).collect();
    let back = WAY_BACK.into_iter().filter_map(|(name, does, steps)| {
        let steps: Vec<_> = steps
            .iter()
            .filter(|step| there.contains(**step))
            .map(|step| take_back(step))
            .collect();
        (!steps.is_empty()).then(|| phase(name, does, steps))
    });
    let back: Vec<_> = back.collect();
    let rollback = if back.is_empty() { None } else { Some(WayBack { phases: back }) };
    Phases { programme: None, phases, rollback }
}

/// Whether a phase is run on the side of the border that is at hand.
fn is_run(section: &Portability, phase: &str) -> bool {
    match &section.side {
        None => true,
        Some(Side::Export { .. }) => matches!(phase, "plan" | "export"),
        Some(Side::Import { .. }) => matches!(phase, "import" | "validate"),
    }
}

fn phase(name: &str, does: &str, steps: Vec<WrittenNode>) -> WrittenPhase {
    WrittenPhase {
        name: NodeName::of(name),
        does: Label::read(does).ok(),
        on_failure: None,
        phase_id: Vec::new(),
        posture: None,
        evidence: Vec::new(),
        gate_level: None,
        entry: Vec::new(),
        steps,
        exit: Vec::new(),
    }
}

fn node(name: &str, does: &str, kind: WrittenKind) -> WrittenNode {
    WrittenNode { name: NodeName::of(name), does: Label::read(does).ok(), after: None, kind }
}

fn step(name: &str, does: &str, capability: &str, with: &impl Serialize) -> WrittenNode {
    undone(name, does, capability, with, None)
}

fn undone(
    name: &str,
    does: &str,
    capability: &str,
    with: &impl Serialize,
    undo: Option<WrittenUndo>,
) -> WrittenNode {
    // These types are written as JSON objects, whatever is in them.
    let with = serde_json::to_value(with).map(without_null).unwrap_or_default();
    let capability = capability.to_owned();
    let step = WrittenStep { capability, with, undo, freeze: None };
    node(name, does, WrittenKind::Step(step))
}

/// Inputs as a plan would write them: what may be left out is left out.
fn without_null(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(key, value)| (key, without_null(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_null).collect()),
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => plain,
    }
}

/// A gate of this kind; none if this build reads the rule otherwise, which the check of the plan
/// tells.
fn gate_of(name: &str, does: &str, kind: &str, with: &Value) -> Option<WrittenNode> {
    let rule = gate::read_rule(kind, &without_null(with.clone())).ok()?;
    let definition = Definition { age_s_max: AGE_S_MAX, sample_min: 1, rule };
    let does = if does.is_empty() { None } else { Label::read(does).ok() };
    let kind = WrittenKind::Gate(definition);
    Some(WrittenNode { name: NodeName::of(name), does, after: None, kind })
}

fn take_back(step_name: &str) -> WrittenNode {
    let name = step_name.replace('/', "_");
    let does = format!("take {step_name} back");
    step(&name, &does, "run.take_back", &TakeBack { step: step_name.to_owned() })
}

struct Build<'a> {
    document: &'a Document,
    section: &'a Portability,
    places: Places,
}

impl Build<'_> {
    fn forward(&self, phase: &str) -> Vec<WrittenNode> {
        let mut nodes = self.asked(phase);
        match phase {
            "plan" => nodes.extend(self.terms("plan")),
            "export" => nodes.extend(self.export()),
            "transfer" => nodes.push(self.transfer()),
            "import" => nodes.extend(self.import()),
            "validate" => nodes.extend(self.validate()),
            "cutover" => nodes.extend(self.cutover()),
            "activate" => nodes.extend(self.start()),
            _ => {}
        }
        nodes
    }

    /// The approval that is named like the phase.
    fn asked(&self, phase: &str) -> Vec<WrittenNode> {
        let named = self.document.approvals.keys().find(|name| name.as_str() == phase);
        let asks = named.map(|name| WrittenNode {
            name: NodeName::of("approval"),
            does: None,
            after: None,
            kind: WrittenKind::Approval(name.clone()),
        });
        asks.into_iter().collect()
    }

    fn export(&self) -> Vec<WrittenNode> {
        let (section, places) = (self.section, &self.places);
        let with = json!({ "policy": section.policy.folder, "into": places.policy });
        let does = "write the policy as a snapshot, after its self-tests came out as they say";
        let mut nodes = vec![step("policy", does, "policy.snapshot", &with)];
        // The disk of a machine that runs changes while it is read.
        if section.scenario == Scenario::Vm {
            nodes.extend(self.stop_source());
        }
        if let Some(data) = &section.source.data
            && let Some(store) = &data.store
        {
            let with = SnapshotExport {
                store: store.clone(),
                into: places.snapshot(),
                artifacts: data.artifacts.clone(),
                environment: section.source.name.clone(),
            };
            let does = format!("write a snapshot of {store}");
            nodes.push(step("snapshot", &does, "snapshot.export", &with));
        }
        let with = BundleExport {
            bundle: places.bundle.clone(),
            scenario: section.scenario,
            workload_id: section.workload_id.clone(),
            source_provider: section.source.name.clone(),
            contents: contents(section, places),
            image: section.source.container.as_ref().map(|it| it.image.clone()),
            machine: section.source.machine.clone(),
            governance: self.governance(),
            policy: places.policy.clone(),
            authorities: self.document.trust.as_ref().map(ToString::to_string),
            dependencies: self.dependencies(),
            recipients: section
                .encrypt
                .as_ref()
                .map(|it| it.recipients.clone())
                .unwrap_or_default(),
        };
        let does = format!("make the bundle {}", places.bundle);
        nodes.push(step("bundle", &does, "bundle.export", &with));
        nodes.push(papers_step(&places.bundle, &places.papers));
        let claims = section.target.claims.as_ref();
        nodes.extend(claims_gate("can_leave", &places.bundle, claims));
        nodes.extend(self.admitted("may_leave", &places.policy, &places.papers));
        nodes
    }

    /// The terms of the switch that bound a phase: it does not begin before its time, and the cutover
    /// is not after it.
    fn terms(&self, phase: &str) -> Vec<WrittenNode> {
        let Some(terms) = &self.document.terms else { return Vec::new() };
        let bounds: &[(TermName, &str)] = match phase {
            "plan" => {
                &[(TermName::TransitionStarts, "after"), (TermName::TransitionDeadline, "before")]
            }
            _ => &[(TermName::TransitionDeadline, "before")],
        };
        let gate = |(term, must): &(TermName, &str)| {
            let with = json!({ "term": term.name(), "at": terms.at(*term), "must": must });
            gate_of(term.name(), "", "term", &with)
        };
        bounds.iter().filter_map(gate).collect()
    }

    /// The gate that asks where the content comes from, where that travels along.
    fn supply_chain(&self, bundle: &str) -> Option<WrittenNode> {
        let chain = self.section.supply_chain.as_ref()?;
        let with = json!({
            "bundle": bundle,
            "trust": chain.builders,
            "unsigned": chain.builders.is_none(),
        });
        gate_of("supply_chain", "", "supply_chain", &with)
    }

    /// What governs the content: as the plan says, or as the file says that came with it.
    fn governance(&self) -> Governed {
        if let Some(file) = &self.section.source.governance {
            return Governed::File(GovernanceFile { file: file.clone() });
        }
        let said = self.document.governance.as_ref();
        let label = |label: Option<&Label>| label.map(ToString::to_string).unwrap_or_default();
        let retention = said.and_then(|it| it.retention.as_ref());
        Governed::Stated(BundleGovernance {
            jurisdiction: label(said.and_then(|it| it.jurisdiction.as_ref())),
            classification: label(said.and_then(|it| it.classification.as_ref())),
            retention: retention.map(ToString::to_string).unwrap_or_default(),
            evidence_pointers: Vec::new(),
        })
    }

    /// The dependency manifest. Every plan of this process has one.
    fn dependencies(&self) -> Map<String, Value> {
        let written = self.document.dependencies.as_ref().map(serde_json::to_value);
        match written {
            Some(Ok(Value::Object(members))) => members,
            Some(_) | None => Map::new(),
        }
    }

    /// The gate that asks the policy of the bundle.
    fn admitted(&self, name: &str, policy: &str, papers: &str) -> Option<WrittenNode> {
        let target = &self.section.target;
        let with = json!({
            "policy": policy,
            "manifest": below(papers, "manifest.json"),
            "admission": {
                "bundle": papers,
                "target": {
                    "name": target.name,
                    "jurisdiction": target.jurisdiction,
                    "classifications": target.accepts,
                    "placement": target.placement,
                },
            },
        });
        let does = format!("the policy allows it in {}", target.name);
        gate_of(name, &does, "policy", &with)
    }

    fn transfer(&self) -> WrittenNode {
        let (from, to) = (self.places.bundle.clone(), self.places.arrived.clone());
        let does = format!("bring the bundle to {to}");
        step("transfer", &does, "bundle.transfer", &BundleTransfer { from, to })
    }

    /// Everything is decided before anything is placed.
    fn import(&self) -> Vec<WrittenNode> {
        let (section, places) = (self.section, &self.places);
        let papers = &places.papers_arrived;
        let paper = |path: &str| below(papers, path);
        let mut nodes = vec![self.verify("verify", None), papers_step(&places.arrived, papers)];
        let trust = section.target.authorities.clone();
        let trust = trust.or_else(|| self.document.trust.as_ref().map(ToString::to_string));
        let with = json!({
            "snapshot": paper("policy"),
            "manifest": paper("manifest.json"),
            "authority": paper("authority/snapshot.json"),
            "trust": trust,
            "place": section.target.policies,
        });
        let does = "put the policy of the bundle in force, if it decides here as it did there and \
                    all whom it names are known";
        nodes.extend(claims_gate("can_enter", &places.arrived, section.target.claims.as_ref()));
        nodes.extend(self.supply_chain(&places.arrived));
        nodes.push(step("enforce", does, "policy.enforce", &with));
        nodes.extend(self.admitted("may_enter", &section.target.policies, papers));
        let with = BundleImport {
            bundle: places.arrived.clone(),
            place: places.place.clone(),
            identity: places.identity.clone(),
            papers: false,
        };
        let does = format!("place the contents in {}", places.place);
        nodes.push(step("place", &does, "bundle.import", &with));
        if let Some(store) = &section.target.store {
            let with = SnapshotImport {
                snapshot: places.placed("data"),
                store: store.clone(),
                mode: section.target.mode,
            };
            let does = format!("load the snapshot into {store}");
            nodes.push(step("load", &does, "snapshot.import", &with));
        }
        nodes.extend(self.workload());
        nodes
    }

    /// The workload is made ready, and does not run.
    fn workload(&self) -> Option<WrittenNode> {
        let target = &self.section.target;
        let from = &self.places.place;
        Some(match self.section.scenario {
            Scenario::Container => {
                let host = target.container.as_ref()?;
                let with = json!({
                    "from": from,
                    "into": host.into,
                    "name": self.section.workload_id,
                    "runtime": said(&host.runtime),
                });
                step("workload", "make the container ready", "workload.place", &with)
            }
            Scenario::Vm => {
                let host = target.machine.as_ref()?;
                let with =
                    json!({ "from": from, "into": host.into, "programs": said(&host.programs) });
                step("workload", "make the virtual machine ready", "vm.place", &with)
            }
            Scenario::DataOnly | Scenario::EvidenceOnly => return None,
        })
    }

    fn verify(&self, name: &str, placed: Option<String>) -> WrittenNode {
        let with = BundleVerify {
            bundle: self.places.arrived.clone(),
            scenario: Some(self.section.scenario),
            keys: self.section.target.keys.clone(),
            identity: self.places.identity.clone(),
            placed,
        };
        let does = match &with.placed {
            Some(place) => format!("read what was placed in {place} again"),
            None => "compare the bundle with what it says about itself".to_owned(),
        };
        step(name, &does, "bundle.verify", &with)
    }

    /// A workload runs on trial: it is stopped again before the cutover.
    fn validate(&self) -> Vec<WrittenNode> {
        let mut nodes = vec![self.verify("reread", Some(self.places.place.clone()))];
        nodes.extend(self.admitted("policy", &self.section.target.policies, &self.places.place));
        nodes.extend(self.start());
        for health in &self.section.health {
            let name = health.name.as_deref().unwrap_or(&health.gate);
            // A rule that is none was refused when the plan was read.
            nodes.extend(gate_of(name, "", &health.gate, &Value::Object(health.with.clone())));
        }
        nodes.extend(self.stop());
        nodes
    }

    fn start(&self) -> Option<WrittenNode> {
        let target = &self.section.target;
        Some(match self.section.scenario {
            Scenario::Container => {
                let host = target.container.as_ref()?;
                let with = json!({
                    "name": self.section.workload_id,
                    "runtime": said(&host.runtime),
                    "healthy_within_s": host.healthy_within_s,
                });
                step("start", "start the container, until it is healthy", "workload.start", &with)
            }
            Scenario::Vm => {
                let host = target.machine.as_ref()?;
                let with = json!({
                    "machine": host.into,
                    "programs": said(&host.programs),
                    "console": host.console,
                    "answers_on": host.answers_on,
                    "forward": host.forward,
                    "within_s": host.within_s,
                });
                step("start", "start the machine, until it shows that it came up", "vm.boot", &with)
            }
            Scenario::DataOnly | Scenario::EvidenceOnly => return None,
        })
    }

    fn stop(&self) -> Option<WrittenNode> {
        let target = &self.section.target;
        Some(match self.section.scenario {
            Scenario::Container => {
                let host = target.container.as_ref()?;
                let with =
                    json!({ "name": self.section.workload_id, "runtime": said(&host.runtime) });
                step("stop", "stop the container after its trial", "workload.stop", &with)
            }
            Scenario::Vm => {
                let host = target.machine.as_ref()?;
                let with = json!({ "machine": host.into, "programs": said(&host.programs) });
                step("stop", "turn the machine off after its trial", "vm.stop", &with)
            }
            Scenario::DataOnly | Scenario::EvidenceOnly => return None,
        })
    }

    /// The source is stopped: started again on every way back.
    fn stop_source(&self) -> Option<WrittenNode> {
        let source = &self.section.source;
        let (stop, start) = source.stop.as_ref().zip(source.start.as_ref())?;
        let undo = WrittenUndo::By { capability: COMMAND.to_owned(), with: command(start) };
        let does = "stop the workload at the source";
        Some(undone("stop_source", does, COMMAND, &command(stop), Some(undo)))
    }

    fn cutover(&self) -> Vec<WrittenNode> {
        let mut nodes = self.terms("cutover");
        if self.section.scenario != Scenario::Vm {
            nodes.extend(self.stop_source());
        }
        if let Some(cutover) = &self.section.cutover {
            let (env_file, key) = (cutover.switch.env_file.clone(), cutover.switch.key.clone());
            let with = EnvSet { env_file, key, value: cutover.switch.value.clone() };
            let does = format!("set {} in {} to {}", with.key, with.env_file, with.value);
            nodes.push(step("switch", &does, "env.set", &with));
        }
        nodes.push(node("commit", "from here on nothing is undone by itself", WrittenKind::Commit));
        nodes
    }
}

const COMMAND: &str = "command.run";

/// Stopping what has stopped, and starting what runs, must be as good as doing it once.
fn command(program: &Program) -> Value {
    json!({
        "program": program.program,
        "args": program.args,
        "time_limit_s": program.time_limit_s,
        "repeat": "again",
    })
}

/// What the plan says, if it says anything.
fn said(map: &Map<String, Value>) -> Value {
    if map.is_empty() { Value::Null } else { Value::Object(map.clone()) }
}

/// The gate that compares what a bundle needs with what an environment claims.
fn claims_gate(name: &str, bundle: &str, claims: Option<&String>) -> Option<WrittenNode> {
    let claims = claims?;
    let does = format!("{claims} claims all that the bundle needs");
    gate_of(name, &does, "claims", &json!({ "bundle": bundle, "claims": claims }))
}

/// What a decision is made of, taken out of the bundle.
fn papers_step(bundle: &str, place: &str) -> WrittenNode {
    let with = BundleImport {
        bundle: bundle.to_owned(),
        place: place.to_owned(),
        identity: None,
        papers: true,
    };
    step("papers", "take the papers out of the bundle", "bundle.import", &with)
}
