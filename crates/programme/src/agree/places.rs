//! Ids, digests and offsets that several files say.

use super::Evidence;
use crate::form::Form;
use crate::own::{Row, Says, rows};
use crate::wrong::Wrong;

/// A digest without the name of what made it.
pub(super) fn bare(digest: &str) -> &str {
    digest.strip_prefix("sha256:").unwrap_or(digest)
}

/// What the run is pinned to, in all that was published of it.
pub(super) fn pins(evidence: &Evidence<'_>) -> Result<u64, Wrong> {
    let run = evidence.needed(Form::Run)?;
    let mut compared = 0;
    let published = [
        Form::RunStarted,
        Form::ReadyPublishReceipt,
        Form::ReadySignal,
        Form::ScenarioLease,
        Form::SemanticDigest,
    ];
    for form in published {
        let Some(says) = evidence.given(form) else { continue };
        for key in ["/platform_run_id", "/scenario_run_id"] {
            compared += 1;
            if says.text(key) != run.text(key) {
                let (here, there) = (says.text(key), run.text(key));
                return says.differs(format!("has {key} {here}, and run.json {there}"));
            }
        }
        for key in ["/config_digest", "/run_config_digest"] {
            if says.at(key).is_some() && bare(says.text(key)) != bare(run.text("/config_digest")) {
                return says.differs("has another configuration than run.json is pinned to");
            }
        }
    }
    if let Some(lease) = evidence.given(Form::ScenarioLease) {
        let time = |says: Says<'_>, key: &str| crate::moment::micros(says.text(key));
        let ready = time(evidence.needed(Form::ReadyPublishReceipt)?, "/written_at_utc");
        if ready > time(lease, "/released_at_utc") {
            return lease.differs("was released before READY was published");
        }
        compared += 1;
    }
    Ok(compared)
}

fn of<'r, 'a>(rows: &'r [Row<'a>], topic: &str, partition: i64) -> Vec<&'r Row<'a>> {
    rows.iter().filter(|row| row.topic == topic && row.partition == partition).collect()
}

/// Admitted events lie in the range of the run, and consumers have taken that range.
pub(super) fn offsets(evidence: &Evidence<'_>, lag_max: i64) -> Result<u64, Wrong> {
    let snapshot = evidence.needed(Form::KafkaOffsetsSnapshot)?;
    let ranges = rows(snapshot);
    let admit = evidence.needed(Form::ReceiptSummary)?.number("/by_outcome/ADMIT")?;
    let places = ranges.iter().fold(0_i64, |sum, row| sum.saturating_add(row.end - row.start));
    if places < admit {
        return snapshot
            .differs(format!("has room for {places} events, and {admit} were admitted"));
    }
    let mut compared = 1 + admitted(evidence, &ranges)?;
    for form in [Form::CaughtUp, Form::OffsetsSnapshot] {
        let Some(says) = evidence.given(form) else { continue };
        let taken_rows = rows(says);
        for row in &taken_rows {
            for range in of(&ranges, row.topic, row.partition) {
                compared += 1;
                // An end before that of the run: this is a look at another, or an empty, epoch.
                let taken = if form == Form::CaughtUp { 0 } else { lag_max };
                if row.end.saturating_add(taken) < range.end {
                    let (name, end, must) = (row.name(), row.end, range.end);
                    return says.differs(format!("ends at {end} in {name}, and the run at {must}"));
                }
                if form == Form::OffsetsSnapshot && row.start > range.start {
                    let (name, start, must) = (row.name(), row.start, range.start);
                    return says.differs(format!("starts at {start} in {name}, the run at {must}"));
                }
            }
        }
        all_parts(says, &ranges, &taken_rows)?;
    }
    Ok(compared)
}

/// A partition that is left out is not one that has caught up: not of a topic, and not of a consumer
/// that reads this topic.
fn all_parts(says: Says<'_>, ranges: &[Row<'_>], taken: &[Row<'_>]) -> Result<(), Wrong> {
    for range in ranges.iter().filter(|range| range.start < range.end) {
        let found = of(taken, range.topic, range.partition);
        if found.is_empty() {
            let name = range.name();
            return says.empty(format!("is not about {name}, which the run wrote to"));
        }
        for row in taken.iter().filter(|row| row.topic == range.topic) {
            if !found.iter().any(|other| other.group == row.group) {
                let (name, group) = (range.name(), row.group.unwrap_or("a consumer"));
                return says
                    .empty(format!("is not about {name} of {group}, which reads this topic"));
            }
        }
    }
    Ok(())
}

/// Where the receipts say that admitted events lie.
fn admitted(evidence: &Evidence<'_>, ranges: &[Row<'_>]) -> Result<u64, Wrong> {
    let Some(tally) = evidence.lines(Form::IngestionReceipt) else { return Ok(0) };
    for place in &tally.ranges {
        let partition = i64::try_from(place.partition).unwrap_or(i64::MAX);
        let name = format!("{}/{}", place.topic, place.partition);
        let found = of(ranges, &place.topic, partition);
        let Some(range) = found.first() else {
            let what = format!("receipts have events in {name}, and the snapshot does not");
            return Err(Wrong::differs(what));
        };
        if place.first < range.start || place.last >= range.end {
            let (first, last, start, end) = (place.first, place.last, range.start, range.end);
            return Err(Wrong::differs(format!(
                "receipts have events from {first} to {last} in {name}, and the range of the run \
                 is from {start} up to {end}"
            )));
        }
        let (first, last, events) = (place.first, place.last, place.events);
        let room = last.saturating_sub(first).saturating_add(1);
        if i64::try_from(events).unwrap_or(i64::MAX) > room {
            let what = format!("receipts have {events} events from {first} to {last} in {name}");
            return Err(Wrong::differs(format!("{what}, where {room} lie")));
        }
    }
    let placed = tally.ranges.iter().fold(0_u64, |sum, place| sum.saturating_add(place.events));
    let admit = tally.decisions.get("ADMIT").copied().unwrap_or(0);
    if placed != admit {
        return Err(Wrong::differs(format!(
            "receipts admit {admit} events, and say of {placed} where the broker has them"
        )));
    }
    Ok(u64::try_from(tally.ranges.len()).unwrap_or(u64::MAX))
}

/// Each anchor lies in a range, and each range that holds something has an anchor.
pub(super) fn anchors(evidence: &Evidence<'_>) -> Result<u64, Wrong> {
    let anchors = evidence.needed(Form::ReplayAnchors)?;
    let sides = [("ingest", Form::KafkaOffsetsSnapshot), ("rtdl_core", Form::OffsetsSnapshot)];
    let mut compared = 0;
    for (side, form) in sides {
        let ranges = rows(evidence.needed(form)?);
        let mut found = Vec::new();
        for anchor in anchors.list(&format!("/anchors/{side}")) {
            let number = |key: &str| anchor.get(key).and_then(serde_json::Value::as_i64);
            let topic = anchor.get("topic").and_then(serde_json::Value::as_str).unwrap_or_default();
            let partition = number("partition").unwrap_or(-1);
            let offset = number("offset").unwrap_or(-1);
            let holds = |row: &&Row<'_>| {
                let inside = row.start <= offset && offset < row.end;
                inside || (row.start == row.end && offset == row.start)
            };
            if !of(&ranges, topic, partition).iter().any(holds) {
                return anchors.differs(format!(
                    "has an anchor of {side} at {topic}/{partition}/{offset}, outside of {form}"
                ));
            }
            found.push((topic, partition));
            compared += 1;
        }
        let lost = ranges.iter().filter(|row| row.start < row.end);
        let mut lost = lost.filter(|row| !found.contains(&(row.topic, row.partition)));
        if let Some(row) = lost.next() {
            return anchors.differs(format!("has no anchor of {side} for {}", row.name()));
        }
    }
    Ok(compared)
}
