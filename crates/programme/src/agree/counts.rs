//! Counts that several files say.

use std::collections::BTreeMap;

use super::Evidence;
use crate::form::Form;
use crate::own::Says;
use crate::wrong::Wrong;

const AMBIGUOUS: &str = "PUBLISH_AMBIGUOUS";
const IN_FLIGHT: &str = "PUBLISH_IN_FLIGHT";

/// The same number in two files.
pub(super) fn same(one: Says<'_>, at: &str, other: Says<'_>, there: &str) -> Result<u64, Wrong> {
    let (first, second) = (one.number(at)?, other.number(there)?);
    if first == second {
        return Ok(1);
    }
    let (one, other) = (one.name, other.name);
    Err(Wrong::differs(format!("{one} says {first} at {at}, {other} {second} at {there}")))
}

/// The summary against the receipts themselves, and against quarantine.
pub(super) fn receipts(evidence: &Evidence<'_>) -> Result<u64, Wrong> {
    let summary = evidence.needed(Form::ReceiptSummary)?;
    let Some(tally) = evidence.lines(Form::IngestionReceipt) else {
        return Err(Wrong::empty("there are no receipts to compare with"));
    };
    let lines = i64::try_from(tally.lines).unwrap_or(i64::MAX);
    summary.equal("total", summary.number("/total")?, lines)?;
    let maps = [
        ("/by_outcome", &tally.decisions),
        ("/by_event_class", &tally.event_classes),
        ("/by_event_type", &tally.event_types),
        ("/by_reason_code", &tally.reason_codes),
    ];
    for (pointer, counted) in maps {
        same_map(summary, pointer, counted)?;
    }
    let quarantine = summary.number("/by_outcome/QUARANTINE")?;
    let mut compared = tally.lines;
    if let Some(put_aside) = evidence.given(Form::QuarantineSummary) {
        compared += same(put_aside, "/total", summary, "/by_outcome/QUARANTINE")?;
    } else if quarantine > 0 {
        let what = format!("{quarantine} events are in quarantine, and nothing says why");
        return Err(Wrong::empty(what));
    }
    if let Some(records) = evidence.lines(Form::QuarantineRecord) {
        let records = i64::try_from(records.lines).unwrap_or(i64::MAX);
        summary.equal("QUARANTINE", quarantine, records)?;
        compared += 1;
    }
    Ok(compared)
}

/// A map of counts is what was counted; a name with 0 may be there or not.
fn same_map(says: Says<'_>, pointer: &str, counted: &BTreeMap<String, u64>) -> Result<(), Wrong> {
    let said: BTreeMap<&str, i64> = says
        .members(pointer)
        .map(|(name, count)| (name, count.as_i64().unwrap_or(-1)))
        .filter(|(_, count)| *count != 0)
        .collect();
    for name in said.keys().copied().chain(counted.keys().map(String::as_str)) {
        let number = counted.get(name).map_or(0, |count| i64::try_from(*count).unwrap_or(i64::MAX));
        says.equal(name, said.get(name).copied().unwrap_or(0), number)?;
    }
    Ok(())
}

/// Nothing of which nobody knows whether it was published, wherever it is told.
pub(super) fn unresolved(evidence: &Evidence<'_>) -> Result<u64, Wrong> {
    let summary = evidence.needed(Form::ReceiptSummary)?;
    let mut found: Vec<(&str, &str, i64)> = Vec::new();
    for state in [IN_FLIGHT, AMBIGUOUS] {
        // That nothing says how many there are is not that there are none.
        let count = summary.number(&format!("/admission_states/{state}"))?;
        found.push((summary.name, state, count));
    }
    for form in [Form::ReceiptSummary, Form::QuarantineSummary] {
        if let Some(says) = evidence.given(form) {
            for code in reasons() {
                found.push((says.name, code, says.count_of("/by_reason_code", code)?));
            }
        }
    }
    for form in [Form::IngestionReceipt, Form::QuarantineRecord] {
        if let Some(tally) = evidence.lines(form) {
            for code in reasons() {
                let count = tally.reason_codes.get(code).copied().unwrap_or(0);
                found.push((form.name(), code, i64::try_from(count).unwrap_or(i64::MAX)));
            }
        }
    }
    let told = [
        (Form::RunReport, "/ingress/publish_ambiguous"),
        (Form::AnomalySummary, "/anomaly_counts/ingress_publish_ambiguous"),
    ];
    for (form, pointer) in told {
        if let Some(says) = evidence.given(form) {
            found.push((says.name, AMBIGUOUS, says.number(pointer)?));
        }
    }
    match found.iter().find(|(_, _, count)| *count != 0) {
        None => Ok(u64::try_from(found.len()).unwrap_or(u64::MAX)),
        Some((name, state, count)) => Err(Wrong {
            remedy: "find out for each whether it was published, record it, and run again with a \
                     new run id",
            ..Wrong::differs(format!(
                "{name} has {count} in {state}: whether they were published is unknown"
            ))
        }),
    }
}

const fn reasons() -> [&'static str; 3] {
    [AMBIGUOUS, "PUBLISH_AMBIGUOUS_RETRY", "PUBLISH_IN_FLIGHT_RETRY"]
}

/// What the source sent, the gate received, the report and the reconciliation say.
pub(super) fn flow(evidence: &Evidence<'_>) -> Result<u64, Wrong> {
    let sent = evidence.needed(Form::WspSummary)?;
    let summary = evidence.needed(Form::ReceiptSummary)?;
    let report = evidence.needed(Form::RunReport)?;
    let basis = evidence.needed(Form::Reconciliation)?;
    let mut compared = same(sent, "/sent", report, "/ingress/sent")?;
    compared += same(report, "/ingress/sent", basis, "/inputs/sent")?;
    compared += same(summary, "/total", basis, "/inputs/received")?;
    let written = report
        .number("/ingress/received")?
        .saturating_sub(report.number("/ingress/receipt_write_failed")?);
    report.equal(
        "received, but for receipts that were not written,",
        written,
        summary.number("/total")?,
    )?;
    for (outcome, key) in
        [("ADMIT", "admit"), ("DUPLICATE", "duplicate"), ("QUARANTINE", "quarantine")]
    {
        let at = format!("/by_outcome/{outcome}");
        compared += same(summary, &at, report, &format!("/ingress/{key}"))?;
        compared += same(summary, &at, basis, &format!("/inputs/{key}"))?;
    }
    for key in ["decision", "outcome"] {
        compared += same(report, &format!("/rtdl/{key}"), basis, &format!("/inputs/{key}"))?;
    }
    compared += same(report, "/archive/seen", basis, "/inputs/archive_seen")?;
    compared += same(report, "/archive/archived", basis, "/inputs/archived")?;
    Ok(compared + 1)
}

/// What the decision lane did, and what came of it.
pub(super) fn decisions(evidence: &Evidence<'_>) -> Result<u64, Wrong> {
    let report = evidence.needed(Form::RunReport)?;
    let decided = evidence.needed(Form::DecisionSummary)?;
    let done = evidence.needed(Form::ActionSummary)?;
    let audit = evidence.needed(Form::AuditSummary)?;
    let mut compared = same(decided, "/counts/decision", report, "/rtdl/decision")?;
    compared += same(done, "/counts/outcome", report, "/rtdl/outcome")?;
    compared += same(audit, "/counts/audit_append", report, "/rtdl/audit_append")?;
    let [decision, outcome] =
        [decided.number("/counts/decision")?, done.number("/counts/outcome")?];
    report.at_least(("decisions", decision), ("outcomes", outcome))?;
    let appended = audit.number("/counts/audit_append")?;
    report.at_least(("audit entries", appended), ("decisions", decision))?;
    for (form, key) in [(Form::CaseSummary, "case"), (Form::LabelSummary, "label")] {
        if let Some(says) = evidence.given(form) {
            compared +=
                same(says, &format!("/counts/{key}"), report, &format!("/case_labels/{key}"))?;
        }
    }
    Ok(compared + 2)
}
