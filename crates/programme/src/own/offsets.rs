//! Offsets: ranges that hold something, and a lag that is computed again.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Says;
use crate::wrong::Wrong;

/// One row of a list of partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: i64,
    pub(crate) group: Option<&'a str>,
    pub(crate) start: i64,
    pub(crate) end: i64,
}

impl Row<'_> {
    pub(crate) fn name(self) -> String {
        let group = self.group.map(|group| format!(" of {group}")).unwrap_or_default();
        format!("{}/{}{group}", self.topic, self.partition)
    }
}

/// The rows of a snapshot; in `caught_up` a range goes from what is committed to the end.
pub(crate) fn rows(says: Says<'_>) -> Vec<Row<'_>> {
    let number = |row: &Value, key: &str| row.get(key).and_then(Value::as_i64);
    says.list("/partitions")
        .map(|row| Row {
            topic: row.get("topic").and_then(Value::as_str).unwrap_or_default(),
            partition: number(row, "partition").unwrap_or(-1),
            group: row.get("consumer_group_id").and_then(Value::as_str),
            start: number(row, "start_offset").or(number(row, "committed_offset")).unwrap_or(-1),
            end: number(row, "end_offset").unwrap_or(-1),
        })
        .collect()
}

/// Rows that are there, each once, each known, and not all of them empty.
fn known(says: Says<'_>) -> Result<Vec<Row<'_>>, Wrong> {
    let rows = rows(says);
    if rows.is_empty() {
        return says.empty("names no partition");
    }
    if rows.iter().all(|row| row.start < 0 && row.end < 0) {
        return says.empty("knows nothing of any partition: every offset is -1");
    }
    if rows.iter().all(|row| row.end <= 0) {
        return says.empty("has the end 0 in every partition");
    }
    let mut seen = BTreeSet::new();
    for row in &rows {
        if row.start < 0 || row.end < 0 {
            return says.empty(format!("knows nothing of {}: an offset is -1", row.name()));
        }
        if row.end < row.start {
            let (start, end) = (row.start, row.end);
            return says.differs(format!("has {} from {start} to {end}", row.name()));
        }
        if !seen.insert((row.topic, row.partition, row.group)) {
            return says.differs(format!("has {} twice", row.name()));
        }
    }
    Ok(rows)
}

fn length(rows: &[Row<'_>]) -> u64 {
    u64::try_from(rows.len()).unwrap_or(u64::MAX)
}

pub(super) fn snapshot(says: Says<'_>) -> Result<u64, Wrong> {
    let rows = known(says)?;
    if rows.iter().all(|row| row.start == row.end) {
        return says.empty("has an empty range in every partition");
    }
    for (row, value) in rows.iter().zip(says.list("/partitions")) {
        if value.get("sampled_run_id_match").and_then(Value::as_bool) == Some(false) {
            return says.differs(format!("has records of another run in {}", row.name()));
        }
        // A sample of nothing says nothing of the records that are there.
        let sampled = value.get("sampled_records").and_then(Value::as_i64);
        if sampled == Some(0) && row.start < row.end {
            return says.empty(format!("has sampled none of the records in {}", row.name()));
        }
    }
    Ok(length(&rows))
}

/// The lag is what is left between the two offsets, whatever the file says of it.
pub(super) fn caught_up(says: Says<'_>, lag_max: i64) -> Result<u64, Wrong> {
    let rows = known(says)?;
    let (mut most, mut total) = (0, 0_i64);
    for (row, value) in rows.iter().zip(says.list("/partitions")) {
        let lag = row.end - row.start;
        let said = value.get("lag").and_then(Value::as_i64).unwrap_or(-1);
        says.equal(&format!("the lag in {}", row.name()), said, lag)?;
        if lag > lag_max {
            let name = row.name();
            return says.differs(format!("is {lag} behind in {name}, and {lag_max} are the most"));
        }
        most = most.max(lag);
        total = total.saturating_add(lag);
    }
    says.equal("lag_max", says.number("/lag_max")?, most)?;
    if let Some(said) = says.given("/lag_total")? {
        says.equal("lag_total", said, total)?;
    }
    Ok(length(&rows))
}

/// There are anchors on both sides, and each is known.
pub(super) fn anchors(says: Says<'_>) -> Result<u64, Wrong> {
    let mut compared = 0;
    for side in ["ingest", "rtdl_core"] {
        let offsets = says.list(&format!("/anchors/{side}")).map(|row| row.get("offset"));
        let offsets: Vec<Option<i64>> =
            offsets.map(|offset| offset.and_then(Value::as_i64)).collect();
        if offsets.is_empty() {
            return says.empty(format!("has no anchor of {side}"));
        }
        if offsets.iter().any(|offset| offset.is_none_or(|offset| offset < 0)) {
            return says.empty(format!("has an anchor of {side} at the offset -1"));
        }
        let found = i64::try_from(offsets.len()).unwrap_or(i64::MAX);
        if let Some(said) = says.given(&format!("/counts/{side}"))? {
            says.equal(&format!("the number of anchors of {side}"), said, found)?;
        }
        compared += found.unsigned_abs();
    }
    if says.list("/source_refs").next().is_none() {
        return says.empty("names nothing that its anchors come from");
    }
    Ok(compared)
}
