//! A run is closed if everything that its marker refers to is there, as it was, and passes.

use carnet_ledger::Digest;
use serde_json::Value;

use super::{Evidence, File, Said};
use crate::form::Form;
use crate::own::Says;
use crate::wrong::Wrong;

/// Each reference of the marker, and what it must lead to.
pub(super) const REFS: &[(&str, Form)] = &[
    ("run_report_ref", Form::RunReport),
    ("reconciliation_ref", Form::Reconciliation),
    ("replay_anchors_ref", Form::ReplayAnchors),
    ("environment_conformance_ref", Form::EnvironmentConformance),
    ("anomaly_summary_ref", Form::AnomalySummary),
    ("governance_events_ref", Form::GovernanceEvent),
];

/// Has a marker refer to files as they are: to those whose digests are given.
pub fn refer(marker: &mut Value, sha256: impl Fn(Form) -> Option<Digest>) {
    for (key, form) in REFS {
        let place = marker.pointer_mut(&format!("/closure_refs/{key}/sha256"));
        if let Some(place) = place
            && let Some(digest) = sha256(*form)
        {
            *place = Value::String(digest.to_string());
        }
    }
}

/// That the files themselves pass was seen before: see `Evidence::each`.
pub(super) fn closed(evidence: &Evidence<'_>) -> Result<u64, Wrong> {
    let marker = evidence.needed(Form::RunCompleted)?;
    for (key, form) in REFS {
        let reference = marker.at(&format!("/closure_refs/{key}"));
        let (path, sha256) = reference.map(parts).unwrap_or_default();
        let Some(file) = evidence.at(path) else {
            return marker.empty(format!("has {key} {path}, and there is no such evidence"));
        };
        if file.form != *form {
            let found = file.form;
            return marker.differs(format!("has {key} {path}, which is a {found}, no {form}"));
        }
        if sha256.is_none() {
            return marker.empty(format!(
                "has {key} {path} without its sha256: nothing shows that it is as it was"
            ));
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

/// The run began once, then ended once, and was not called off.
fn governance(evidence: &Evidence<'_>) -> Result<(), Wrong> {
    let Some(tally) = evidence.lines(Form::GovernanceEvent) else {
        return Err(Wrong::empty("there are no governance events"));
    };
    let [began, ended] = ["RUN_STARTED", "RUN_ENDED"];
    for family in [began, ended] {
        match tally.families.get(family) {
            None => return Err(Wrong::empty(format!("no governance event says {family}"))),
            Some(1) => {}
            Some(times) => {
                let what =
                    format!("governance events say {family} {times} times, and a run has one");
                return Err(Wrong::differs(what));
            }
        }
    }
    if tally.families.contains_key("RUN_CANCELLED") {
        return Err(Wrong::differs("a governance event says RUN_CANCELLED"));
    }
    match [began, ended].map(|family| tally.first_lines.get(family)) {
        [Some(first), Some(last)] if first < last => Ok(()),
        [Some(_), Some(_)] => {
            Err(Wrong::differs(format!("governance events say {ended} before {began}")))
        }
        _ => Err(Wrong::empty("nothing was kept of the order of the governance events")),
    }
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
