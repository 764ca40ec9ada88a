//! Counts along the way of an event: sent, received, admitted, decided, kept.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Says;
use crate::wrong::Wrong;

/// The reason that is also a state: nobody knows whether the event was published.
pub(crate) const AMBIGUOUS: &str = "PUBLISH_AMBIGUOUS";

/// The rows are the same before and after sorting: their number, and sums over their hashes.
pub(super) fn sorted(says: Says<'_>) -> Result<u64, Wrong> {
    if says.text("/status") != "OK" {
        return says.differs(format!("has the status {}", says.text("/status")));
    }
    let rows = says.number("/raw_stats/row_count")?;
    if rows == 0 {
        return says.empty("is about no rows");
    }
    for key in ["row_count", "hash_sum", "hash_sum2", "min_ts_utc", "max_ts_utc"] {
        let [raw, sorted] = ["raw", "sorted"].map(|side| says.at(&format!("/{side}_stats/{key}")));
        if raw != sorted {
            return says.differs(format!("has another {key} after sorting than before"));
        }
    }
    if says.text("/raw_stats/min_ts_utc") > says.text("/raw_stats/max_ts_utc") {
        return says.differs("ends before it begins");
    }
    Ok(5)
}

/// Each stream view once, with rows, and with nothing against it.
pub(super) fn checked(says: Says<'_>) -> Result<u64, Wrong> {
    let (mut outputs, mut rows) = (BTreeSet::new(), 0_i64);
    for row in says.list("/outputs") {
        let text = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default();
        let output = text("output_id");
        if !outputs.insert(output) {
            return says.differs(format!("has the output {output} twice"));
        }
        let count = row.get("row_count").and_then(Value::as_i64).unwrap_or_default();
        if count == 0 {
            return says.empty(format!("has no rows of {output}"));
        }
        if text("status") != "PASS" {
            return says.differs(format!("has {output} with the status {}", text("status")));
        }
        rows = rows.saturating_add(count);
    }
    if outputs.is_empty() {
        return says.empty("names no output");
    }
    let found = i64::try_from(outputs.len()).unwrap_or(i64::MAX);
    says.equal("the number of outputs", says.number("/counts/outputs")?, found)?;
    says.equal("the number of rows", says.number("/counts/rows")?, rows)?;
    if let Some(blocker) = says.list("/blockers").next() {
        return says.differs(format!("has a blocker: {blocker}"));
    }
    match says.text("/status") {
        "PASS" => Ok(found.unsigned_abs()),
        other => says.differs(format!("has the status {other}")),
    }
}

pub(super) fn sent(says: Says<'_>) -> Result<u64, Wrong> {
    let sent = says.number("/sent")?;
    if sent == 0 {
        return says.empty("says that nothing was sent");
    }
    says.equal("sent", sent, says.sum("/output_counts")?)?;
    if let failures @ 1.. = says.number("/failures")? {
        return says.differs(format!("says that {failures} events could not be sent"));
    }
    if let Some(attempts) = says.given("/attempts")? {
        says.equal("attempts", attempts, sent.saturating_add(says.number("/retries")?))?;
    }
    if says.text("/started_at_utc") > says.text("/ended_at_utc") {
        return says.differs("ends before it begins");
    }
    Ok(3)
}

/// `total == admit + duplicate + quarantine`: what is ambiguous is in quarantine already.
pub(super) fn receipts(says: Says<'_>) -> Result<u64, Wrong> {
    let total = says.number("/total")?;
    if total == 0 {
        return says.empty("says that nothing was received");
    }
    let [admit, duplicate, quarantine] = ["ADMIT", "DUPLICATE", "QUARANTINE"]
        .map(|name| says.number(&format!("/by_outcome/{name}")));
    let (admit, duplicate, quarantine) = (admit?, duplicate?, quarantine?);
    adds_up(says, total, [admit, duplicate, quarantine], ambiguous(says)?)?;
    for key in ["by_event_class", "by_event_type"] {
        says.equal(&format!("total by {key}"), says.sum(&format!("/{key}"))?, total)?;
    }
    reasons(says, quarantine)?;
    if says.at("/admission_states").is_some() {
        says.equal("ADMITTED", says.number("/admission_states/ADMITTED")?, admit)?;
    }
    if admit == 0 {
        let only = if quarantine == 0 { "duplicates" } else { "duplicates and quarantine" };
        return says.differs(format!("has nothing that was admitted, only {only}"));
    }
    Ok(4)
}

/// The sum of the three outcomes, and whether it was made by counting the ambiguous ones twice.
pub(super) fn adds_up(
    says: Says<'_>,
    total: i64,
    outcomes: [i64; 3],
    ambiguous: i64,
) -> Result<(), Wrong> {
    let [admit, duplicate, quarantine] = outcomes;
    let sum = outcomes.into_iter().fold(0, i64::saturating_add);
    if total == sum {
        return Ok(());
    }
    let twice = ambiguous > 0 && total == sum.saturating_add(ambiguous);
    let why = if twice { ": the ambiguous ones are counted twice" } else { "" };
    says.differs(format!(
        "says that {total} were received, and {admit} admitted + {duplicate} duplicates + \
         {quarantine} in quarantine are {sum}{why}"
    ))
}

fn ambiguous(says: Says<'_>) -> Result<i64, Wrong> {
    says.count_of("/by_reason_code", AMBIGUOUS)
}

/// Each event in quarantine has a reason or more, and no reason is that of more events.
fn reasons(says: Says<'_>, quarantine: i64) -> Result<(), Wrong> {
    for (code, count) in says.members("/by_reason_code") {
        let count = count.as_i64().unwrap_or_default();
        says.at_least(("in quarantine", quarantine), (code, count))?;
    }
    says.at_least(("reasons", says.sum("/by_reason_code")?), ("in quarantine", quarantine))
}

pub(super) fn quarantine(says: Says<'_>) -> Result<u64, Wrong> {
    reasons(says, says.number("/total")?)?;
    Ok(1)
}

/// Something was counted, and its parts are the whole.
pub(super) fn counted(says: Says<'_>, key: &str) -> Result<u64, Wrong> {
    if says.number(&format!("/counts/{key}"))? == 0 {
        return says.empty(format!("says {key} 0"));
    }
    kinds(says, key)
}

/// The parts are the whole. There may be none: not every run has a case.
pub(super) fn kinds(says: Says<'_>, key: &str) -> Result<u64, Wrong> {
    let whole = says.number(&format!("/counts/{key}"))?;
    if says.at("/by_kind").is_some() {
        says.equal(&format!("{key} by kind"), says.sum("/by_kind")?, whole)?;
    }
    Ok(1)
}

/// All of it is computed again: checks, differences, the sum. WARN is no PASS.
pub(super) fn reconciled(says: Says<'_>) -> Result<u64, Wrong> {
    let input = |key: &str| says.number(&format!("/inputs/{key}"));
    let [sent, received, admit] = [input("sent")?, input("received")?, input("admit")?];
    let [decision, outcome] = [input("decision")?, input("outcome")?];
    let [seen, archived] = [input("archive_seen")?, input("archived")?];
    if [sent, received, admit, decision, seen].contains(&0) {
        return says.empty("is over nothing: sent, received, admit, decision or archive_seen is 0");
    }
    if says.list("/basis/component_reconciliation_refs").next().is_none() {
        return says.empty("names nothing that it rests on");
    }
    let unclear = says.given("/inputs/publish_ambiguous")?;
    let outcomes = [admit, input("duplicate")?, input("quarantine")?];
    adds_up(says, received, outcomes, unclear.unwrap_or(0))?;
    let pairs = [
        ("sent_ge_received", ("sent", sent), ("received", received)),
        ("received_ge_admit", ("received", received), ("admit", admit)),
        ("decision_ge_outcome", ("decision", decision), ("outcome", outcome)),
        ("archive_seen_ge_archived", ("archive_seen", seen), ("archived", archived)),
    ];
    for (check, more, less) in pairs {
        says.at_least(more, less)?;
        if !says.is_true(&format!("/checks/{check}")) {
            return says.differs(format!("says that {check} does not hold, and it does"));
        }
    }
    let deltas = [
        ("sent_minus_received", sent.saturating_sub(received)),
        ("received_minus_admit", received.saturating_sub(admit)),
        ("decision_minus_outcome", decision.saturating_sub(outcome)),
    ];
    for (key, computed) in deltas {
        says.equal(key, says.number(&format!("/deltas/{key}"))?, computed)?;
    }
    match says.text("/status") {
        "PASS" => Ok(8),
        other => says.differs(format!("has the status {other}")),
    }
}

pub(super) fn report(says: Says<'_>) -> Result<u64, Wrong> {
    let ingress = |key: &str| says.number(&format!("/ingress/{key}"));
    let rtdl = |key: &str| says.number(&format!("/rtdl/{key}"));
    let [sent, received, admit] = [ingress("sent")?, ingress("received")?, ingress("admit")?];
    let [decision, outcome] = [rtdl("decision")?, rtdl("outcome")?];
    if [sent, received, admit, decision].contains(&0) {
        return says.empty("is over nothing: sent, received, admit or decision is 0");
    }
    let (quarantine, unclear) = (ingress("quarantine")?, ingress("publish_ambiguous")?);
    // A receipt that could not be written is of an event that was received.
    let written = received.saturating_sub(ingress("receipt_write_failed")?);
    adds_up(says, written, [admit, ingress("duplicate")?, quarantine], unclear)?;
    says.at_least(("quarantine", quarantine), ("publish_ambiguous", unclear))?;
    says.at_least(("sent", sent), ("received", received))?;
    says.at_least(("decision", decision), ("outcome", outcome))?;
    if says.number("/basis/writer_generation")? == 0 {
        return says.empty("was written under no lease: its writer_generation is 0");
    }
    let archive = |key: &str| says.number(&format!("/archive/{key}"));
    says.at_least(("archive seen", archive("seen")?), ("archived", archive("archived")?))?;
    Ok(6)
}

pub(super) fn anomalies(says: Says<'_>) -> Result<u64, Wrong> {
    says.equal("anomaly_total", says.number("/anomaly_total")?, says.sum("/anomaly_counts")?)?;
    for key in ["ingress_publish_ambiguous", "ingress_receipt_write_failed"] {
        if let count @ 1.. = says.number(&format!("/anomaly_counts/{key}"))? {
            return says.differs(format!("has {key} {count}"));
        }
    }
    Ok(3)
}
