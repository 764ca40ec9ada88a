//! A plan as `carnet plan` shows it: what will happen, in order, and what takes each step back.

use std::collections::BTreeMap;

use carnet_model::capability::{self, Descriptor, Fencing, Repeat, Safety};
use carnet_model::gate::{Definition, Gate};
use carnet_model::plan::{
    After, Begins, Closed, Freeze, Node, NodeKind, OnFailure, Part, Phase, Plan, PlannedGate,
    PlannedStep, PlannedUndo, Portability, Timer,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::findings::FindingView;

/// A plan, as `carnet plan --json` shows it.
#[derive(Serialize, JsonSchema)]
#[schemars(title = "carnet plan --json")]
pub(crate) struct PlanView<'f> {
    /// The name of the migration.
    pub(crate) migration: String,
    /// The digest that approvals and runs name.
    pub(crate) plan_digest: String,
    /// The digest of the plan that this one amends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) amends: Option<String>,
    /// Where what moves is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<String>,
    /// Where it goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<String>,
    /// What crosses in a bundle, and how long clients are without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) crosses: Option<String>,
    /// How records enter the target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mode: Option<&'static str>,
    /// The files that the plan refers to, by path, with their SHA-256.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) files: BTreeMap<String, String>,
    /// The plan after defaults.
    pub(crate) document: Value,
    /// The phases, in order, those of the prescribed way back last.
    pub(crate) phases: Vec<PhaseView>,
    /// Gates that may stay closed for a while.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) exceptions: Vec<ExceptionView>,
    /// What a person should know.
    pub(crate) warnings: Vec<FindingView<'f>>,
}

/// A phase.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Phase")]
pub(crate) struct PhaseView {
    /// Its name.
    pub(crate) phase: String,
    /// What it does.
    pub(crate) does: String,
    /// `forward`, or `rollback` for the prescribed way back.
    #[schemars(with = "String")]
    pub(crate) part: Part,
    /// What a failure in it leads to.
    pub(crate) on_failure: OnFailure,
    /// The digest of what it does and demands.
    pub(crate) digest: String,
    /// Its nodes, in order.
    pub(crate) nodes: Vec<NodeView>,
}

/// A node of a phase.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Node")]
pub(crate) struct NodeView {
    /// `PHASE/NODE`.
    pub(crate) node: String,
    /// What it does or demands.
    pub(crate) does: String,
    /// The nodes that it waits for, `PHASE/NODE` or `PHASE/CHOICE:BRANCH`.
    pub(crate) after: Vec<String>,
    /// What it is.
    #[serde(flatten)]
    pub(crate) kind: KindView,
}

/// What a node is.
#[derive(Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[schemars(rename = "Kind")]
pub(crate) enum KindView {
    /// An action.
    Step(StepView),
    /// A check that must pass.
    Gate(GateView),
    /// A check that waits until enough people have approved.
    Approval(GateView),
    /// One way out of several.
    Choice {
        /// The ways, in the order in which they are asked.
        branches: Vec<BranchView>,
        /// The way if none is open.
        otherwise: String,
    },
    /// It waits for a length of time.
    Wait {
        /// How long.
        seconds: u64,
    },
    /// It waits for a moment.
    WaitUntil {
        /// Seconds since 1970, UTC.
        unix_seconds: i64,
    },
    /// It waits for a word from outside.
    Message {
        /// The command by which somebody sends it.
        sent_by: String,
    },
    /// The point of no automatic return.
    Commit,
}

/// An action.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Step")]
pub(crate) struct StepView {
    /// What does it.
    pub(crate) capability: String,
    /// Whether it changes anything outside of the run's own state.
    pub(crate) changes: bool,
    /// What it is given.
    pub(crate) with: Value,
    /// What takes it back, in words; absent if nothing does.
    pub(crate) undo: Option<String>,
    /// The same for programs: `own`, `nothing`, `by` or `refused` with what belongs to it.
    pub(crate) undo_by: Value,
    /// The freeze that it begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) freeze: Option<String>,
    /// The freeze that it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unfreeze: Option<String>,
    /// What keeps an engine out that lost the run: `transactional`, `conditional` or `none`.
    #[schemars(with = "String")]
    pub(crate) fencing: Fencing,
    /// What is done after a crash: `again`, `probe` or `manual`.
    #[schemars(with = "String")]
    pub(crate) repeat: Repeat,
}

/// A gate, with what it demands.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Gate")]
pub(crate) struct GateView {
    /// The kind of gate.
    pub(crate) gate: &'static str,
    /// The digest of its definition.
    pub(crate) definition: String,
    /// How old an observation may be, in seconds.
    pub(crate) age_s_max: u64,
    /// How many things must have been compared at least.
    pub(crate) sample_min: u64,
    /// Whether a closed gate makes the run wait, instead of fail.
    pub(crate) waits: bool,
    /// The rule with its thresholds.
    pub(crate) rule: Value,
}

/// A way on from a choice.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Branch")]
pub(crate) struct BranchView {
    /// Its name.
    pub(crate) branch: String,
    /// What opens it, in words.
    pub(crate) demands: String,
    /// The gate that opens it.
    pub(crate) when: GateView,
}

/// A gate that may stay closed for a while.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Exception")]
pub(crate) struct ExceptionView {
    /// The gate, as `PHASE/NODE`.
    pub(crate) gate: String,
    /// What the exception is called.
    pub(crate) label: String,
    /// Who answers for it.
    pub(crate) owner: String,
    /// Why it must be.
    pub(crate) reason: String,
    /// Until when, UTC.
    pub(crate) expires_at: String,
    /// The approval that it needs.
    pub(crate) approval: String,
}

impl<'f> PlanView<'f> {
    pub(crate) fn of(plan: &Plan, document: Value, warnings: Vec<FindingView<'f>>) -> Self {
        let (knowledge, crossing) = (plan.knowledge(), plan.portability());
        let files = plan.files().iter().map(|(path, digest)| (path.clone(), digest.to_string()));
        let exceptions = plan.exceptions().iter().map(|it| ExceptionView {
            gate: it.gate.clone(),
            label: it.label.to_string(),
            owner: it.owner.to_string(),
            reason: it.reason.to_string(),
            expires_at: it.expires_at.to_string(),
            approval: it.approval.to_string(),
        });
        let side = |store: String, name: String| format!("{store} ({name})");
        Self {
            migration: plan.document().migration.to_string(),
            plan_digest: plan.digest().to_string(),
            amends: plan.parent().map(|digest| digest.to_string()),
            source: knowledge
                .map(|it| &it.source)
                .map(|it| side(it.knowledge.store.to_string(), it.name.to_string()))
                .or_else(|| crossing.map(|it| it.source.name.clone())),
            target: knowledge
                .map(|it| &it.target)
                .map(|it| side(it.knowledge.store.to_string(), it.name.to_string()))
                .or_else(|| {
                    crossing.map(|it| side(it.target.name.clone(), it.target.jurisdiction.clone()))
                }),
            crosses: crossing.map(crosses),
            mode: knowledge.map(|it| it.import.mode.name()),
            files: files.collect(),
            document,
            phases: plan
                .phases()
                .iter()
                .zip(plan.phase_digests())
                .map(|(phase, digest)| phase_view(phase, digest.to_string()))
                .collect(),
            exceptions: exceptions.collect(),
            warnings,
        }
    }
}

/// What crosses in a bundle, and for how long clients are without it.
fn crosses(crossing: &Portability) -> String {
    let name = crossing.workload_id.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
    format!("{}{name}; expect a downtime of {}", crossing.scenario, crossing.downtime_expected)
}

fn phase_view(phase: &Phase, digest: String) -> PhaseView {
    PhaseView {
        phase: phase.name.clone(),
        does: phase.does.clone(),
        part: phase.part,
        on_failure: phase.on_failure,
        digest,
        nodes: phase.nodes.iter().map(|node| node_view(phase, node)).collect(),
    }
}

fn node_view(phase: &Phase, node: &Node) -> NodeView {
    let after = |After { node, branch }: &After| {
        let name = phase.nodes.get(*node).map_or("", |node| node.name.as_str());
        branch.as_ref().map_or_else(|| name.to_owned(), |branch| format!("{name}:{branch}"))
    };
    NodeView {
        node: node.name.clone(),
        does: node.does.clone(),
        after: node.after.iter().map(after).collect(),
        kind: kind_view(phase, node),
    }
}

fn kind_view(phase: &Phase, node: &Node) -> KindView {
    match &node.kind {
        NodeKind::Step(step) => KindView::Step(step_view(node, step)),
        NodeKind::Gate(PlannedGate { definition, closed }) => {
            let view = gate_view(definition, *closed);
            if definition.gate() == Gate::Approval {
                KindView::Approval(view)
            } else {
                KindView::Gate(view)
            }
        }
        NodeKind::Choice { branches, otherwise } => {
            let branches = branches.iter().map(|branch| BranchView {
                branch: branch.name.clone(),
                demands: branch.when.rule.demands(),
                when: gate_view(&branch.when, Closed::Refuse),
            });
            KindView::Choice { branches: branches.collect(), otherwise: otherwise.clone() }
        }
        NodeKind::Timer(Timer::For { seconds }) => KindView::Wait { seconds: *seconds },
        NodeKind::Timer(Timer::Until { unix_seconds }) => {
            KindView::WaitUntil { unix_seconds: *unix_seconds }
        }
        NodeKind::Message => KindView::Message { sent_by: sent_by(phase, node) },
        NodeKind::Commit => KindView::Commit,
    }
}

fn gate_view(definition: &Definition, closed: Closed) -> GateView {
    GateView {
        gate: definition.gate().id(),
        definition: definition.digest().to_string(),
        age_s_max: definition.age_s_max,
        sample_min: definition.sample_min,
        waits: closed == Closed::Wait,
        rule: serde_json::to_value(&definition.rule).unwrap_or_default(),
    }
}

fn step_view(node: &Node, step: &PlannedStep) -> StepView {
    let descriptor: Option<&Descriptor> = capability::descriptor(&step.capability);
    let undo = match &step.undo {
        PlannedUndo::By { capability, .. } => {
            let does = node.undo_does.as_deref().unwrap_or_default();
            Some(format!("{capability}: {does}"))
        }
        PlannedUndo::Own => node.undo_does.clone(),
        PlannedUndo::Nothing | PlannedUndo::Refused { .. } => None,
    };
    let (freeze, unfreeze) = match &step.freeze {
        Some(Freeze::Freeze(name)) => (Some(name.to_string()), None),
        Some(Freeze::Unfreeze(name)) => (None, Some(name.to_string())),
        None => (None, None),
    };
    StepView {
        capability: step.capability.clone(),
        changes: descriptor.is_none_or(|it| it.safety == Safety::Mutating),
        with: step.with.clone(),
        undo,
        undo_by: serde_json::to_value(&step.undo).unwrap_or_default(),
        freeze,
        unfreeze,
        fencing: descriptor.map_or(Fencing::None, |it| it.fencing),
        repeat: descriptor.map_or(Repeat::Manual, |it| capability::repeat(it, &step.with)),
    }
}

/// The command that sends a message: the first and the last of a phase of a programme are acts.
fn sent_by(phase: &Phase, node: &Node) -> String {
    let ends = [phase.nodes.first(), phase.nodes.last()];
    let is_an_act =
        phase.begins != Begins::InTurn && ends.into_iter().flatten().any(|it| it.name == node.name);
    if is_an_act {
        "carnet phase advance PLAN".to_owned()
    } else {
        format!("carnet signal PLAN {}", node.name)
    }
}
