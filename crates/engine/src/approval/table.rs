//! The gate table: what an approver gets to see, and what an approval is bound to.

use std::collections::BTreeSet;

use carnet_ledger::{Digest, HashProfile, Value};
use carnet_model::gate::Gate;
use carnet_model::plan::Plan;
use serde::Serialize;

use carnet_process::{Place, RunState};

/// Reads objects of the evidence; `None` where one is missing.
pub(crate) type Get<'g> = dyn Fn(Digest) -> Option<Vec<u8>> + 'g;

/// One gate of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GateRow {
    /// Its name in the process.
    pub gate: String,
    /// The last verdict.
    pub verdict: String,
    /// Whether it is open.
    pub opens: bool,
    /// Why, in words.
    pub reason: String,
    /// The exception of the plan that opens it although it did not pass.
    pub exception: Option<String>,
    /// Damaged copies that were refused.
    pub refused: u64,
    /// Damaged copies that were judged.
    pub damaged: u64,
    /// The digest of what was seen, but for when; absent of what is another thing at each look.
    pub seen: Option<Digest>,
}

/// The gates that were judged, in the order of the process: those before a node, or all of them.
/// Approvals are not among them: they are what the table is for.
pub(crate) fn gate_table(
    run: &RunState,
    plan: &Plan,
    node: Option<&str>,
    object: &Get<'_>,
) -> Vec<GateRow> {
    let before = node.and_then(|node| run.node(node)).map(|(place, _)| (place, before(run, place)));
    let counts = |place: Place| match &before {
        Some((of, same)) if place.phase == of.phase => same.contains(&place.node),
        Some((of, _)) => place.phase < of.phase,
        None => true,
    };
    let judged = run.nodes().filter(|(place, _, _)| counts(*place));
    judged.filter_map(|(_, node, _)| row(run, plan, &node.name, object)).collect()
}

/// The gates that an exception opens with this approval, as they were judged. That it has opened them
/// does not count: else the approval would be stale as soon as it has.
pub(crate) fn excepted_table(
    run: &RunState,
    plan: &Plan,
    approval: &str,
    object: &Get<'_>,
) -> Vec<GateRow> {
    let excepted = plan.exceptions().iter().filter(|it| it.approval.as_str() == approval);
    let rows = excepted.filter_map(|it| row(run, plan, &it.gate, object));
    rows.map(|row| GateRow { opens: false, ..row }).collect()
}

/// What was said of a gate; `None` if it was not judged yet, and of an approval.
fn row(run: &RunState, plan: &Plan, gate: &str, object: &Get<'_>) -> Option<GateRow> {
    let last = run.gate(gate)?.last.as_ref()?;
    let kind = gate_kind(plan, gate);
    if kind == Some(Gate::Approval) {
        return None;
    }
    let seen = last.observation.filter(|_| kind.is_some_and(is_steady));
    Some(GateRow {
        gate: gate.to_owned(),
        verdict: last.verdict.clone(),
        opens: last.opens,
        reason: last.reason.clone(),
        exception: last.exception.clone(),
        refused: last.refused,
        damaged: last.damaged,
        seen: seen.and_then(object).and_then(|bytes| facts(&bytes)),
    })
}

/// SHA-256 of the canonical JSON (RFC 8785) of `[[gate, verdict, opens, seen], …]`.
pub(crate) fn table_digest(rows: &[GateRow]) -> Digest {
    let rows = rows.iter().map(|row| {
        let seen = row.seen.map_or(Value::Null, Into::into);
        let [gate, verdict] = [&row.gate, &row.verdict].map(|text| text.as_str().into());
        Value::List(vec![gate, verdict, row.opens.into(), seen])
    });
    let table = Value::List(rows.collect());
    Digest::of(HashProfile::Rfc8785Sha256V1.canonical(&table).as_bytes())
}

/// What kind of gate a node is.
fn gate_kind(plan: &Plan, node: &str) -> Option<Gate> {
    let gate = plan.node(node).and_then(|(_, node)| node.gate())?;
    Some(gate.definition.gate())
}

/// Whether a second look sees the same where nothing has changed. What measures (a time, a lag, a
/// length of an answer) sees another thing each time: of that the verdict counts alone.
const fn is_steady(gate: Gate) -> bool {
    match gate {
        Gate::SchemaVersion
        | Gate::Dimensions
        | Gate::Contract
        | Gate::Losses
        | Gate::Checksums
        | Gate::Count
        | Gate::ContentRoot
        | Gate::QueryParity
        | Gate::ArtifactChecksums
        | Gate::File
        | Gate::Object
        | Gate::Digest
        | Gate::Authority
        | Gate::Rows
        | Gate::Handles
        | Gate::Image
        | Gate::Terraform
        | Gate::Topics
        | Gate::RegistryTag
        | Gate::Services
        | Gate::SecretsAbsent
        | Gate::Claims
        | Gate::SupplyChain => true,
        Gate::Command
        | Gate::Sql
        | Gate::Http
        | Gate::Tcp
        | Gate::TlsExpiry
        | Gate::Lag
        | Gate::ConsumerLag
        | Gate::Budget
        | Gate::Term
        | Gate::Policy
        | Gate::RunEvidence
        | Gate::RunAgreement
        | Gate::Certification
        | Gate::Approval => false,
    }
}

/// The digest of what an observation saw, without the moment at which it did.
fn facts(observation: &[u8]) -> Option<Digest> {
    let observation: serde_json::Value = serde_json::from_slice(observation).ok()?;
    let facts = serde_json::to_vec(observation.get("facts")?).ok()?;
    Some(Digest::of(&facts))
}

/// The nodes of the same phase that lead to this one.
fn before(run: &RunState, place: Place) -> BTreeSet<usize> {
    let (mut found, mut open) = (BTreeSet::new(), vec![place.node]);
    while let Some(node) = open.pop() {
        let node = run.process.at(Place { node, ..place });
        for after in node.into_iter().flat_map(|node| &node.after) {
            if found.insert(after.node) {
                open.push(after.node);
            }
        }
    }
    found
}
