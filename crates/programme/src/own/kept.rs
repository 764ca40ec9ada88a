//! What is kept of a run: its archive, what it meant, and whether it can be read again.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Says;
use super::place::has_digest;
use crate::wrong::Wrong;

/// What a multiset of rows says.
pub(crate) const MULTISET: [&str; 3] = ["row_count", "hash_sum", "hash_sum2"];

/// Objects and records add up, and no partition holds more than lies before its next offset.
pub(super) fn archived(says: Says<'_>) -> Result<u64, Wrong> {
    let policy = says.text("/commit_policy");
    if policy != "commit_after_durable_write" {
        let what = format!("commits offsets by {policy}: a crash loses what was not durable");
        return says.differs(what);
    }
    let (mut seen, mut records, mut objects) = (BTreeSet::new(), 0_i64, 0_i64);
    for row in says.list("/progress") {
        let number = |key: &str| row.get(key).and_then(Value::as_i64).unwrap_or(-1);
        let topic = row.get("topic").and_then(Value::as_str).unwrap_or_default();
        let partition = number("partition");
        let name = format!("{topic}/{partition}");
        if !seen.insert((topic, partition)) {
            return says.differs(format!("has {name} twice"));
        }
        let (next, held, parts) = (number("next_offset"), number("records"), number("objects"));
        if next < held {
            return says.differs(format!("has {held} records of {name}, and goes on at {next}"));
        }
        if parts > held || (parts == 0 && held > 0) {
            return says.differs(format!("has {held} records of {name} in {parts} objects"));
        }
        records = records.saturating_add(held);
        objects = objects.saturating_add(parts);
    }
    says.equal("the number of records", says.number("/counts/records")?, records)?;
    says.equal("the number of objects", says.number("/counts/objects")?, objects)?;
    if records == 0 {
        return says.empty("has no record of the run");
    }
    Ok(u64::try_from(seen.len()).unwrap_or(u64::MAX))
}

/// The digest is computed again from the sections, and something was admitted.
pub(super) fn meant(says: Says<'_>) -> Result<u64, Wrong> {
    let mut compared = 1;
    for (name, section) in says.members("/sections") {
        let rows = section.get("row_count").and_then(Value::as_i64).unwrap_or_default();
        let is_zero = |key: &str| {
            let sum = section.get(key).and_then(Value::as_str).unwrap_or_default();
            sum.bytes().all(|digit| digit == b'0')
        };
        let zeros = ["hash_sum", "hash_sum2"].into_iter().filter(|key| is_zero(key)).count();
        let must = if rows == 0 { 2 } else { 0 };
        if zeros != must {
            return says.differs(format!("has {rows} rows of {name}, with sums of another number"));
        }
        compared += 1;
    }
    if says.number("/sections/admitted/row_count")? == 0 {
        return says.empty("is over nothing: no event was admitted");
    }
    let sections = says.at("/sections").unwrap_or(&Value::Null);
    if has_digest(sections, says.text("/semantic_digest")) != Some(true) {
        return says.differs("has sections with another digest than it says");
    }
    Ok(compared)
}

/// As many were read as were admitted, and none of another run.
pub(super) fn replayed(says: Says<'_>) -> Result<u64, Wrong> {
    let (admitted, read) = (says.number("/admitted")?, says.number("/row_count")?);
    if admitted == 0 && read == 0 {
        return says.empty("read nothing again");
    }
    says.equal("the number of events that were read", read, admitted)?;
    if let foreign @ 1.. = says.number("/foreign")? {
        return says.differs(format!("met {foreign} events of another run"));
    }
    match says.text("/status") {
        "PASS" => Ok(3),
        other => says.differs(format!("has the status {other}")),
    }
}
