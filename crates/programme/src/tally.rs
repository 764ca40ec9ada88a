//! What many lines say together, in numbers.

use std::collections::{BTreeMap, HashMap, HashSet};

use carnet_ledger::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fault::Fault;
use crate::form::Form;
use crate::lines::LineFault;

/// How many lines are counted at most.
const LINES_MAX: usize = 5_000_000;

/// How many different names or partitions are counted at most.
const NAMES_MAX: usize = 1_000;

/// What the lines of a file say together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// How many lines were good.
    pub lines: u64,
    /// Receipts by decision.
    pub decisions: BTreeMap<String, u64>,
    /// Receipts by class of event.
    pub event_classes: BTreeMap<String, u64>,
    /// Receipts by type of event.
    pub event_types: BTreeMap<String, u64>,
    /// Reasons of what was put aside.
    pub reason_codes: BTreeMap<String, u64>,
    /// Governance events by family.
    pub families: BTreeMap<String, u64>,
    /// On which line each family of governance events stands first.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub first_lines: BTreeMap<String, u64>,
    /// Where admitted events lie, by topic and partition, sorted.
    pub ranges: Vec<Range>,
    /// What ran, in the order of the lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<Task>,
    /// The first line that is wrong; nothing after it was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<LineFault>,
}

/// Admitted events in one partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: u64,
    /// The lowest offset.
    pub first: i64,
    /// The highest.
    pub last: i64,
    /// How many there are.
    pub events: u64,
}

/// A service or a job, and where it ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// What ran.
    pub role: String,
    /// `service` or `job`.
    pub kind: String,
    /// The name that its runtime gives it.
    pub task_arn: String,
    /// The image that it was made from.
    pub image_digest: String,
}

impl Task {
    /// Whether it ends by itself.
    pub fn is_job(&self) -> bool {
        self.kind == "job"
    }
}

/// The first half of a SHA-256: enough to tell things apart.
type Half = [u8; 16];

/// Admitted events in one partition, as they are counted.
struct Places {
    first: i64,
    last: i64,
    offsets: HashSet<i64>,
}

/// Counts lines. What it holds grows by 56 bytes a receipt.
#[derive(Default)]
pub(crate) struct Counter {
    tally: Tally,
    ranges: BTreeMap<(String, u64), Places>,
    receipts: HashMap<Half, Half>,
    admitted: HashSet<Half>,
}

impl Counter {
    pub(crate) const fn lines(&self) -> u64 {
        self.tally.lines
    }

    pub(crate) fn done(self) -> Tally {
        let ranges = self.ranges.into_iter().map(|((topic, partition), places)| {
            let Places { first, last, offsets } = places;
            let events = u64::try_from(offsets.len()).unwrap_or(u64::MAX);
            Range { topic, partition, first, last, events }
        });
        Tally { ranges: ranges.collect(), ..self.tally }
    }

    /// Counts a line that has its form.
    pub(crate) fn count(&mut self, form: Form, value: &Value) -> Result<(), Fault> {
        if self.tally.lines >= u64::try_from(LINES_MAX).unwrap_or(u64::MAX) {
            return Err(Fault::TooMany { what: "lines", max: LINES_MAX });
        }
        if form == Form::IngestionReceipt {
            self.receipt(value)?;
        } else if form == Form::GovernanceEvent {
            let family = text(value, "family");
            add(&mut self.tally.families, family)?;
            let line = self.tally.lines.saturating_add(1);
            self.tally.first_lines.entry(family.to_owned()).or_insert(line);
        } else if form == Form::TaskRun {
            self.task(value)?;
        } else {
            self.reasons(value)?;
        }
        self.tally.lines += 1;
        Ok(())
    }

    fn task(&mut self, value: &Value) -> Result<(), Fault> {
        if self.tally.tasks.len() >= NAMES_MAX {
            return Err(Fault::TooMany { what: "tasks", max: NAMES_MAX });
        }
        let [role, kind, task_arn, image_digest] =
            ["role", "kind", "task_arn", "image_digest"].map(|key| text(value, key).to_owned());
        self.tally.tasks.push(Task { role, kind, task_arn, image_digest });
        Ok(())
    }

    fn reasons(&mut self, value: &Value) -> Result<(), Fault> {
        let codes = value.get("reason_codes").and_then(Value::as_array);
        for code in codes.into_iter().flatten() {
            add(&mut self.tally.reason_codes, code.as_str().unwrap_or_default())?;
        }
        Ok(())
    }

    fn receipt(&mut self, value: &Value) -> Result<(), Fault> {
        let [class, event] = ["event_class", "event_id"].map(|key| text(value, key));
        let subject = half(&format!("{}\0{class}\0{event}", text(value, "platform_run_id")));
        let id = text(value, "receipt_id");
        match self.receipts.insert(half(id), subject) {
            Some(other) if other != subject => {
                return Err(Fault::ReceiptsCollapsed { id: id.to_owned() });
            }
            Some(_) => return Err(Fault::ReceiptTwice { id: id.to_owned() }),
            None => {}
        }
        let decision = text(value, "decision");
        if decision == "ADMIT" {
            if !self.admitted.insert(subject) {
                return Err(Fault::AdmittedTwice { event: format!("{class} {event}") });
            }
            self.place(value)?;
        }
        add(&mut self.tally.decisions, decision)?;
        add(&mut self.tally.event_classes, class)?;
        add(&mut self.tally.event_types, text(value, "event_type"))?;
        self.reasons(value)
    }

    /// Where the broker has an admitted event.
    fn place(&mut self, value: &Value) -> Result<(), Fault> {
        let Some(place) = value.get("eb_ref") else { return Ok(()) };
        if text(place, "offset_kind") == "kinesis_sequence" {
            return Ok(());
        }
        let Some(offset) = place.get("offset").and_then(Value::as_i64).filter(|it| *it >= 0) else {
            let what = "an offset of this kind is a number from 0 on".to_owned();
            return Err(Fault::WrongType { at: "/eb_ref/offset".to_owned(), what });
        };
        let partition = place.get("partition").and_then(Value::as_u64).unwrap_or_default();
        if self.ranges.len() >= NAMES_MAX {
            return Err(Fault::TooMany { what: "partitions", max: NAMES_MAX });
        }
        let topic = text(place, "topic");
        let new = || Places { first: offset, last: offset, offsets: HashSet::new() };
        let range = self.ranges.entry((topic.to_owned(), partition)).or_insert_with(new);
        if !range.offsets.insert(offset) {
            return Err(Fault::PlaceTwice { place: format!("{topic}/{partition}/{offset}") });
        }
        (range.first, range.last) = (range.first.min(offset), range.last.max(offset));
        Ok(())
    }
}

fn add(counts: &mut BTreeMap<String, u64>, name: &str) -> Result<(), Fault> {
    if let Some(count) = counts.get_mut(name) {
        *count += 1;
    } else if counts.len() < NAMES_MAX {
        counts.insert(name.to_owned(), 1);
    } else {
        return Err(Fault::TooMany { what: "different names", max: NAMES_MAX });
    }
    Ok(())
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn half(text: &str) -> Half {
    let digest = Digest::of(text.as_bytes());
    digest.as_bytes().first_chunk().copied().unwrap_or_default()
}
