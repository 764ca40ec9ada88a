//! From the tree to what a phase of a programme says beside its nodes.

use carnet_document::yaml::{Entry, Node, Value};
use carnet_document::{Code, Diagnostic};

use super::mapping;
use crate::plan::keys;
use crate::plan::phases::WrittenPhase;
use crate::plan::programme::{EvidenceFile, GateLevel, PhaseId, Posture, Retry};
use crate::plan::reader::{Fields, Reader};
use crate::plan::written::Label;

/// A phase that only says what it is for.
pub(super) fn gate_level(reader: &mut Reader, node: &Node) -> Option<WrittenPhase> {
    let what = "a phase at gate level";
    let fields = reader.fields(node, what, node.span, keys::GATE_LEVEL)?;
    let at = fields.get("gate_level")?;
    if !reader.yes_or_no(at)? {
        let message = "`gate_level` must be true";
        let remedy = "write true, or take the key out and write the phase out";
        let finding = Diagnostic::error(Code::PLAN_VALUE, at.node.span, message, remedy);
        reader.push(finding.with_value("false"));
    }
    let name = fields.get("name").and_then(|at| reader.written(at));
    let does = fields.get("does").and_then(|at| reader.written(at));
    let phase_id = phase_ids(reader, &fields);
    let entry = fields.get("entry").map(|at| words(reader, at));
    let exit = fields.get("exit").map(|at| words(reader, at));
    let evidence = evidence(reader, &fields);
    Some(WrittenPhase {
        name: name?,
        does,
        on_failure: None,
        phase_id,
        posture: None,
        evidence,
        gate_level: Some(GateLevel { entry: entry?, exit: exit? }),
        entry: Vec::new(),
        steps: Vec::new(),
        exit: Vec::new(),
    })
}

/// One id, or a list of them.
pub(super) fn phase_ids(reader: &mut Reader, fields: &Fields<'_>) -> Vec<PhaseId> {
    let Some(at) = fields.get("phase_id") else { return Vec::new() };
    if !matches!(at.node.value, Value::List(_)) {
        return reader.written(at).into_iter().collect();
    }
    listed(reader, at, |reader, node| reader.written_of(node, at.key_span, "phase_id"))
}

pub(super) fn posture(reader: &mut Reader, fields: &Fields<'_>) -> Option<Posture> {
    let fields = mapping(reader, fields.get("posture")?, "`posture`", keys::POSTURE)?;
    let retry = fields.get("retry").and_then(|at| reader.word(at, &Retry::WORDS));
    let says = fields.get("says").and_then(|at| reader.written(at));
    Some(Posture { retry: retry?, says: says? })
}

pub(super) fn evidence(reader: &mut Reader, fields: &Fields<'_>) -> Vec<EvidenceFile> {
    let Some(at) = fields.get("evidence") else { return Vec::new() };
    listed(reader, at, |reader, node| {
        let what = "a file of evidence";
        let fields = reader.fields(node, what, node.span, keys::EVIDENCE_CONTRACT)?;
        let path = fields.get("path").and_then(|at| reader.written(at));
        let form = fields.get("form").and_then(|at| reader.written(at));
        Some(EvidenceFile { path: path?, form: form? })
    })
}

fn words(reader: &mut Reader, at: &Entry) -> Vec<Label> {
    listed(reader, at, |reader, node| reader.written_of(node, at.key_span, &at.key))
}

/// A list with at least one item.
fn listed<T>(
    reader: &mut Reader,
    at: &Entry,
    mut read: impl FnMut(&mut Reader, &Node) -> Option<T>,
) -> Vec<T> {
    let nodes = reader.list(at).unwrap_or_default();
    if nodes.is_empty() && matches!(at.node.value, Value::List(_)) {
        let message = format!("`{}` is empty", at.key);
        let remedy = "write what belongs there, or take the key out";
        reader.push(Diagnostic::error(Code::PLAN_MISSING, at.key_span, message, remedy));
    }
    nodes.iter().filter_map(|node| read(reader, node)).collect()
}
