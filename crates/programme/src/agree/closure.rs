//! A run is closed if everything that its marker refers to is there, as it was, and passes.

use serde_json::Value;

use super::{Evidence, File, Said};
use crate::form::Form;
use crate::own::Says;
use crate::wrong::Wrong;

/// Each reference of the marker, and what it must lead to.
const REFS: &[(&str, Form)] = &[
    ("run_report_ref", Form::RunReport),
    ("reconciliation_ref", Form::Reconciliation),
    ("replay_anchors_ref", Form::ReplayAnchors),
    ("environment_conformance_ref", Form::EnvironmentConformance),
    ("anomaly_summary_ref", Form::AnomalySummary),
    ("governance_events_ref", Form::GovernanceEvent),
];

/// That the files themselves pass was seen before: see `Evidence::each`.
pub(super) fn closed(evidence: &Evidence<'_>) -> Result<u64, Wrong> {
    let marker = evidence.needed(Form::RunCompleted)?;
    for (key, form) in REFS {
        let reference = marker.at(&format!("/closure_refs/{key}"));
        let (path, _) = reference.map(parts).unwrap_or_default();
        let Some(file) = evidence.at(path) else {
            return marker.empty(format!("has {key} {path}, and there is no such evidence"));
        };
        if file.form != *form {
            let found = file.form;
            return marker.differs(format!("has {key} {path}, which is a {found}, no {form}"));
        }
    }
    governance(evidence)?;
    let mut compared = u64::try_from(REFS.len()).unwrap_or(u64::MAX);
    for file in &evidence.files {
        if let Said::Document(document) = file.said {
            compared = compared.saturating_add(unchanged(evidence, file, document.value())?);
        }
    }
    later(evidence, marker)?;
    Ok(compared)
}

/// The path of a reference, and the digest that it names.
fn parts(reference: &Value) -> (&str, Option<&str>) {
    match reference {
        Value::String(path) => (path, None),
        Value::Object(members) => {
            let text = |key: &str| members.get(key).and_then(Value::as_str);
            (text("ref").unwrap_or_default(), text("sha256"))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => ("", None),
    }
}

/// Each reference with a digest leads to those bytes: nothing was overwritten since.
fn unchanged(evidence: &Evidence<'_>, from: &File<'_>, value: &Value) -> Result<u64, Wrong> {
    let mut compared = 0;
    if let (path, Some(digest)) = parts(value)
        && let Some(file) = evidence.at(path)
    {
        if file.sha256.to_string() != digest.trim_start_matches("sha256:") {
            let name = from.form;
            let what = format!("{path} was overwritten after {name} referred to it");
            return Err(Wrong::differs(what));
        }
        compared += 1;
    }
    let inner: Vec<&Value> = match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(members) => members.values().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    for value in inner {
        compared += unchanged(evidence, from, value)?;
    }
    Ok(compared)
}

/// The run began and ended, and was not called off.
fn governance(evidence: &Evidence<'_>) -> Result<(), Wrong> {
    let families = evidence.lines(Form::GovernanceEvent).map(|tally| &tally.families);
    let has = |family: &str| families.is_some_and(|families| families.contains_key(family));
    for family in ["RUN_STARTED", "RUN_ENDED"] {
        if !has(family) {
            return Err(Wrong::empty(format!("no governance event says {family}")));
        }
    }
    if has("RUN_CANCELLED") {
        return Err(Wrong::differs("a governance event says RUN_CANCELLED"));
    }
    Ok(())
}

/// The marker is the last to be written.
fn later(evidence: &Evidence<'_>, marker: Says<'_>) -> Result<(), Wrong> {
    let time = |says: Says<'_>, key: &str| crate::moment::micros(says.text(&format!("/{key}")));
    let closed = time(marker, "written_at_utc");
    for (_, form) in REFS {
        let (Some(says), Some(key)) = (evidence.given(*form), form.time_key()) else { continue };
        if time(says, key) > closed {
            return marker.differs(format!("is older than {form}, which it refers to"));
        }
    }
    Ok(())
}
