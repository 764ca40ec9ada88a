//! What the archive holds, and what was read again.

use serde_json::Value;

use super::Evidence;
use super::counts::same;
use crate::form::Form;
use crate::own::{MULTISET, rows};
use crate::wrong::Wrong;

/// The archive has each record of the run, up to the end of the run, and no others.
pub(super) fn archived(evidence: &Evidence<'_>) -> Result<u64, Wrong> {
    let archive = evidence.needed(Form::ArchiveProgress)?;
    let ranges = rows(evidence.needed(Form::KafkaOffsetsSnapshot)?);
    let number = |row: &Value, key: &str| row.get(key).and_then(Value::as_i64).unwrap_or(-1);
    let text =
        |row: &Value| row.get("topic").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut compared = 0;
    for range in &ranges {
        let mut held = archive.list("/progress");
        let row = held
            .find(|row| text(row) == range.topic && number(row, "partition") == range.partition);
        let records = row.map_or(0, |row| number(row, "records"));
        let (name, written) = (range.name(), range.end.saturating_sub(range.start));
        archive.equal(&format!("the number of records of {name}"), records, written)?;
        if let Some(next) = row.map(|row| number(row, "next_offset")).filter(|it| *it != range.end)
            && written > 0
        {
            let end = range.end;
            return archive
                .differs(format!("goes on at {next} in {name}, and the run ends at {end}"));
        }
        compared += 1;
    }
    let written = ranges.iter().fold(0_i64, |sum, row| sum.saturating_add(row.end - row.start));
    archive.equal(
        "the number of records of all partitions",
        archive.number("/counts/records")?,
        written,
    )?;
    if let Some(report) = evidence.given(Form::RunReport) {
        compared += same(archive, "/counts/records", report, "/archive/archived")?;
        compared += same(archive, "/counts/records", report, "/archive/seen")?;
    }
    Ok(compared)
}

/// What was read again is, by number and sums, what was admitted.
pub(super) fn replayed(evidence: &Evidence<'_>) -> Result<u64, Wrong> {
    let again = evidence.needed(Form::Replay)?;
    let meant = evidence.needed(Form::SemanticDigest)?;
    let summary = evidence.needed(Form::ReceiptSummary)?;
    let mut compared = same(meant, "/sections/admitted/row_count", summary, "/by_outcome/ADMIT")?;
    compared += same(again, "/admitted", summary, "/by_outcome/ADMIT")?;
    for key in MULTISET {
        if again.at(&format!("/{key}")) != meant.at(&format!("/sections/admitted/{key}")) {
            return again.differs(format!("has another {key} than the events that were admitted"));
        }
        compared += 1;
    }
    Ok(compared)
}
