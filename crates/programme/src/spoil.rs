//! Copies of a good file that have its form and must be refused: what a judge is tried with.

use carnet_ledger::{HashProfile, Value as Exact};
use serde_json::{Value, json};

use crate::agree::Check;
use crate::form::{FILE_BYTES_MAX, Form};
use crate::lines::LineFault;
use crate::tally::Tally;

/// A change of one place.
type Change = (&'static str, &'static str, fn(&Value) -> Value);

fn more(value: &Value) -> Value {
    json!(value.as_i64().unwrap_or_default().saturating_add(1))
}

fn less(value: &Value) -> Value {
    json!(value.as_i64().unwrap_or_default().saturating_sub(1))
}

fn unknown(rows: &Value) -> Value {
    each(rows, |row| {
        for key in ["start_offset", "end_offset", "committed_offset"] {
            if row.get(key).is_some() {
                row[key] = json!(-1);
            }
        }
        if row.get("lag").is_some() {
            row["lag"] = json!(0);
        }
    })
}

fn elsewhere(rows: &Value) -> Value {
    each(rows, |row| row["topic"] = json!("carnet.no.such.topic"))
}

fn each(rows: &Value, change: fn(&mut Value)) -> Value {
    let mut rows = rows.clone();
    rows.as_array_mut().into_iter().flatten().for_each(change);
    rows
}

const VIEWS: &[Change] = &[
    ("rows_more", "/counts/rows", more),
    ("no_outputs", "/outputs", |_| json!([])),
    ("view_refused", "/outputs/0/status", |_| json!("FAIL")),
];

const ARCHIVED: &[Change] = &[
    ("record_lost", "/progress/0/records", less),
    ("object_lost", "/counts/objects", less),
    ("committed_early", "/commit_policy", |_| json!("commit_before_write")),
];

const REPORTED: &[Change] = &[
    ("admitted_more", "/ingress/admit", more),
    ("lease_not_taken", "/basis/writer_generation", |_| json!(0)),
];

const MEANT: &[Change] = &[
    ("row_more", "/sections/admitted/row_count", more),
    ("nothing_admitted", "/sections/admitted/row_count", |_| json!(0)),
    ("digest_other", "/semantic_digest", |_| json!("0".repeat(64))),
];

const REPLAYED: &[Change] = &[
    ("row_lost", "/row_count", less),
    ("foreign_met", "/foreign", more),
    ("replay_failed", "/status", |_| json!("FAIL")),
];

const LOST: &[Change] = &[
    ("holder_unknown", "/held_by", |_| Value::Null),
    ("lease_not_taken", "/held_by/generation", |_| json!(0)),
];

/// Copies of a file that do not agree with themselves, each with the name of its damage.
pub fn spoiled(form: Form, value: &Value) -> Vec<(&'static str, Value)> {
    let empty = |_: &Value| json!([]);
    let nothing: fn(&Value) -> Value = |_| json!(0);
    let yes: fn(&Value) -> Value = |_| json!(true);
    let changes: &[Change] = match form {
        Form::Run => &[("config_other", "/config", |_| json!({"carnet": "other"}))],
        Form::DaemonsReady => &[("replica_more", "/services/0/running_count", more)],
        Form::StreamSortReceipt => &[("row_lost", "/sorted_stats/row_count", less)],
        Form::IgReady => &[("stranger_let_in", "/auth/unauthenticated_status", |_| json!(200))],
        Form::CheckerPass => VIEWS,
        Form::ReadyPublishReceipt => &[("offset_unknown", "/offset", |_| json!(-1))],
        Form::ScenarioLease => &[("not_taken", "/generation", nothing)],
        Form::WspSummary => &[("sent_more", "/sent", more), ("not_sent", "/failures", more)],
        Form::ReceiptSummary => &[
            ("total_more", "/total", more),
            ("admitted_fewer", "/by_outcome/ADMIT", less),
            ("nothing_received", "/total", nothing),
        ],
        Form::QuarantineSummary => &[("unexplained", "/total", more)],
        Form::KafkaOffsetsSnapshot | Form::OffsetsSnapshot => {
            &[("empty_epoch", "/partitions", unknown), ("no_partitions", "/partitions", empty)]
        }
        Form::CaughtUp => &[
            ("empty_epoch", "/partitions", unknown),
            ("lag_not_told", "/partitions/0/lag", more),
            ("no_partitions", "/partitions", empty),
        ],
        Form::ArchiveProgress => ARCHIVED,
        Form::DecisionSummary => &[("nothing_decided", "/counts/decision", nothing)],
        Form::ActionSummary => &[("nothing_done", "/counts/outcome", nothing)],
        Form::AuditSummary => &[("nothing_appended", "/counts/audit_append", nothing)],
        Form::Reconciliation => &[
            ("warned", "/status", |_| json!("WARN")),
            ("admitted_more", "/inputs/admit", more),
            ("delta_other", "/deltas/received_minus_admit", more),
        ],
        Form::RunReport => REPORTED,
        Form::EnvironmentConformance => &[
            ("degraded", "/status", |_| json!("DEGRADED")),
            ("check_degraded", "/checks/0/status", |_| json!("DEGRADED")),
            ("no_checks", "/checks", empty),
        ],
        Form::ReplayAnchors => &[
            ("no_anchors", "/anchors/ingest", empty),
            ("anchor_unknown", "/anchors/rtdl_core/0/offset", |_| json!(-1)),
        ],
        Form::AnomalySummary => &[("total_more", "/anomaly_total", more)],
        Form::SemanticDigest => MEANT,
        Form::Replay => REPLAYED,
        Form::TeardownProof => &[
            ("still_there", "/confirmed_absent/db", yes),
            ("nothing_destroyed", "/destroyed", empty),
        ],
        Form::DrillReport => &[
            ("nothing_injected", "/fault/injected", nothing),
            ("did_not_take_place", "/fault/took_place", nothing),
        ],
        Form::WriterConflict => LOST,
        Form::CaseSummary
        | Form::LabelSummary
        | Form::RunStarted
        | Form::ReadySignal
        | Form::RunCompleted
        | Form::IngestionReceipt
        | Form::QuarantineRecord
        | Form::GovernanceEvent
        | Form::TaskRun => &[],
    };
    changed(value, changes)
}

/// Copies of what a file of lines says that must be refused; `is_alone`: it is all that there is.
pub fn spoiled_lines(form: Form, tally: &Tally, is_alone: bool) -> Vec<(&'static str, Tally)> {
    let line = tally.lines.saturating_add(1);
    let fault = LineFault { line, name: "truncated".to_owned(), what: "ends".into() };
    let mut copies = vec![("line_wrong", Tally { fault: Some(fault), ..tally.clone() })];
    // Nothing may be in quarantine.
    if is_alone || form != Form::QuarantineRecord {
        copies.push(("no_lines", Tally::default()));
    }
    copies
}

impl Check {
    /// Copies of one of the files that agree with themselves and not with the others.
    pub fn spoiled(self, form: Form, value: &Value) -> Vec<(&'static str, Value)> {
        let beyond: fn(&Value) -> Value = |_| json!(9_007_199_254_740_990_i64);
        let other: fn(&Value) -> Value = |_| json!("0".repeat(64));
        let no_task: fn(&Value) -> Value = |_| json!("carnet:no.such.host/task");
        let no_tasks: fn(&Value) -> Value = |_| json!(["carnet:no.such.host/task"]);
        let nowhere: fn(&Value) -> Value = |_| json!("carnet/no/such/file.json");
        // A path alone leads to whatever lies there now.
        let plain: fn(&Value) -> Value = |it| it.get("ref").cloned().unwrap_or_default();
        let changes: &[Change] = match (self, form) {
            (Self::Pins, Form::ReadyPublishReceipt) => {
                &[("other_configuration", "/run_config_digest", |_| json!("0".repeat(64)))]
            }
            (Self::Unresolved, Form::ReceiptSummary) => &[
                ("in_flight", "/admission_states/PUBLISH_IN_FLIGHT", more),
                ("ambiguous", "/admission_states/PUBLISH_AMBIGUOUS", more),
            ],
            (Self::Flow, Form::RunReport) => &[("sent_more", "/ingress/sent", more)],
            (Self::Flow, Form::WspSummary) => return one_more_sent(value),
            (Self::Receipts, Form::ReceiptSummary) => return one_more_received(value),
            (Self::Offsets, Form::CaughtUp) => &[("other_topics", "/partitions", elsewhere)],
            (Self::Decisions, Form::ActionSummary) => &[("one_fewer", "/counts/outcome", less)],
            (Self::Decisions, Form::AuditSummary) => &[("one_fewer", "/counts/audit_append", less)],
            (Self::Anchors, Form::ReplayAnchors) => &[
                ("anchor_outside", "/anchors/ingest/0/offset", beyond),
                ("anchor_outside", "/anchors/rtdl_core/0/offset", beyond),
            ],
            (Self::Placement, Form::Run) => &[("other_image", "/image_digest", other)],
            (Self::Placement, Form::DaemonsReady) => {
                &[("task_elsewhere", "/services/0/task_arns", no_tasks)]
            }
            (Self::Placement, Form::IgReady) => &[("task_elsewhere", "/task_arn", no_task)],
            (Self::Archive, Form::ArchiveProgress) => return one_more_archived(value),
            (Self::Replay, Form::Replay) => &[
                ("other_events", "/hash_sum", |_| json!("1".repeat(64))),
                ("other_events", "/hash_sum2", |_| json!("1".repeat(64))),
            ],
            (Self::Replay, Form::SemanticDigest) => return other_meaning(value),
            (Self::Closure, Form::RunCompleted) => &[
                ("reference_elsewhere", "/closure_refs/run_report_ref", nowhere),
                ("reference_elsewhere", "/closure_refs/governance_events_ref", nowhere),
                ("reference_not_pinned", "/closure_refs/run_report_ref", plain),
                ("reference_not_pinned", "/closure_refs/governance_events_ref", plain),
                ("marker_first", "/written_at_utc", |_| json!("1970-01-01T00:00:00Z")),
            ],
            (Self::Closure, Form::RunReport) => &[("overwritten", "/ingress/sent", more)],
            _ => &[],
        };
        changed(value, changes)
    }

    /// The same of a file of lines.
    pub fn spoiled_lines(self, form: Form, tally: &Tally) -> Vec<(&'static str, Tally)> {
        match (self, form) {
            (Self::Receipts, Form::IngestionReceipt) => {
                let lines = tally.lines.saturating_sub(1);
                vec![("receipt_lost", Tally { lines, ..tally.clone() })]
            }
            (Self::Offsets, Form::IngestionReceipt) => misplaced(tally),
            (Self::Closure, Form::GovernanceEvent) => not_once(tally),
            _ => Vec::new(),
        }
    }
}

/// One more event than there are records in a partition, for one less in another; and one that lies
/// nowhere.
fn misplaced(tally: &Tally) -> Vec<(&'static str, Tally)> {
    let mut copies = Vec::new();
    let mut shared = tally.clone();
    if let Some((place, others)) = shared.ranges.split_first_mut() {
        let records = place.last.saturating_sub(place.first).saturating_add(1);
        let more = u64::try_from(records).unwrap_or(0).saturating_add(1);
        if let Some(other) = others.first_mut() {
            other.events = other.events.saturating_sub(more.saturating_sub(place.events));
        }
        place.events = more;
        copies.push(("place_shared", shared));
    }
    let mut nowhere = tally.clone();
    if let Some(place) = nowhere.ranges.last_mut() {
        place.events = place.events.saturating_sub(1);
        copies.push(("admitted_nowhere", nowhere));
    }
    copies
}

/// A run that began or ended twice, and one that ended before it began.
fn not_once(tally: &Tally) -> Vec<(&'static str, Tally)> {
    let [began, ended] = ["RUN_STARTED", "RUN_ENDED"];
    let twice = |family: &str| {
        let mut copy = tally.clone();
        copy.families.insert(family.to_owned(), 2);
        copy
    };
    let mut early = tally.clone();
    early.first_lines.insert(began.to_owned(), tally.lines);
    early.first_lines.insert(ended.to_owned(), 1);
    vec![("begun_twice", twice(began)), ("ended_twice", twice(ended)), ("ended_first", early)]
}

fn changed(value: &Value, changes: &[Change]) -> Vec<(&'static str, Value)> {
    let copies = changes.iter().filter_map(|(name, pointer, change)| {
        let mut copy = value.clone();
        let place = copy.pointer_mut(pointer)?;
        *place = change(place);
        (copy != *value).then_some((*name, copy))
    });
    copies.collect()
}

fn one_more_sent(value: &Value) -> Vec<(&'static str, Value)> {
    let mut copy = value.clone();
    let counts = copy.pointer_mut("/output_counts").and_then(Value::as_object_mut);
    if let Some(count) = counts.and_then(|counts| counts.values_mut().next()) {
        *count = more(count);
    }
    for pointer in ["/sent", "/attempts"] {
        if let Some(count) = copy.pointer_mut(pointer) {
            *count = more(count);
        }
    }
    vec![("one_more_sent", copy)]
}

fn one_more_received(value: &Value) -> Vec<(&'static str, Value)> {
    let mut copy = value.clone();
    for pointer in ["/total", "/by_outcome/ADMIT", "/admission_states/ADMITTED"] {
        if let Some(count) = copy.pointer_mut(pointer) {
            *count = more(count);
        }
    }
    for pointer in ["/by_event_class", "/by_event_type"] {
        let counts = copy.pointer_mut(pointer).and_then(Value::as_object_mut);
        if let Some(count) = counts.and_then(|counts| counts.values_mut().next()) {
            *count = more(count);
        }
    }
    vec![("one_more_received", copy)]
}

fn one_more_archived(value: &Value) -> Vec<(&'static str, Value)> {
    let mut copy = value.clone();
    for pointer in ["/counts/records", "/progress/0/records", "/progress/0/next_offset"] {
        if let Some(count) = copy.pointer_mut(pointer) {
            *count = more(count);
        }
    }
    vec![("one_more_archived", copy)]
}

/// Other events were admitted, and the digest is right.
fn other_meaning(value: &Value) -> Vec<(&'static str, Value)> {
    let mut copy = value.clone();
    if let Some(sum) = copy.pointer_mut("/sections/admitted/hash_sum") {
        *sum = json!("1".repeat(64));
    }
    let sections = copy.get("sections").cloned().unwrap_or_default();
    let exact = Exact::parse(sections.to_string().as_bytes(), FILE_BYTES_MAX);
    if let (Ok(exact), Some(digest)) = (exact, copy.get_mut("semantic_digest")) {
        *digest = json!(HashProfile::Rfc8785Sha256V1.digest(&exact).to_string());
    }
    vec![("other_meaning", copy)]
}

fn one_fewer_admitted(value: &Value) -> Vec<(&'static str, Value)> {
    let mut copy = value.clone();
    for (pointer, change) in
        [("/ingress/admit", less as fn(&Value) -> Value), ("/ingress/duplicate", more)]
    {
        if let Some(count) = copy.pointer_mut(pointer) {
            *count = change(count);
        }
    }
    vec![("one_fewer_admitted", copy)]
}

/// Copies of a file of a certification that agree with themselves, and with the files of their run.
pub fn spoiled_certified(form: Form, value: &Value) -> Vec<(&'static str, Value)> {
    let other: fn(&Value) -> Value = |_| json!("0".repeat(64));
    let mut copies = Vec::new();
    if form == Form::Run {
        copies = changed(value, &[("other_image", "/image_digest", other)]);
    } else if form == Form::ReceiptSummary {
        copies = one_more_received(value);
    } else if form == Form::RunReport {
        copies = one_fewer_admitted(value);
    } else if form == Form::WriterConflict {
        let another: fn(&Value) -> Value = |_| json!("carnet:no.such.lock");
        let changes: &[Change] =
            &[("other_lock", "/lock_key", another), ("other_lease", "/held_by/generation", more)];
        copies = changed(value, changes);
    } else if form == Form::SemanticDigest {
        copies = changed(value, &[("other_configuration", "/config_digest", other)]);
        copies.extend(other_meaning(value));
    }
    copies
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::own::{CAUGHT_UP_LAG_MAX, own_sums};

    #[test]
    fn every_spoiled_copy_has_its_form_and_is_refused() {
        for form in Form::ALL {
            for (name, copy) in spoiled(*form, &form.example()) {
                let document = crate::read(*form, copy.to_string().as_bytes());
                let document = document.unwrap_or_else(|fault| panic!("{form} {name} {fault}"));
                assert!(own_sums(&document, CAUGHT_UP_LAG_MAX).is_err(), "{form} {name}");
            }
        }
    }

    #[test]
    fn every_check_has_a_copy_that_only_others_betray() {
        for check in Check::ALL {
            let copies: Vec<_> = check
                .needs()
                .iter()
                .flat_map(|form| {
                    check.spoiled(*form, &form.example()).into_iter().map(|it| (*form, it))
                })
                .collect();
            assert!(!copies.is_empty(), "{}", check.name());
            for (form, (name, copy)) in copies {
                let document = crate::read(form, copy.to_string().as_bytes());
                let document = document.unwrap_or_else(|fault| panic!("{form} {name} {fault}"));
                own_sums(&document, CAUGHT_UP_LAG_MAX)
                    .unwrap_or_else(|it| panic!("{form} {name} {it}"));
            }
        }
    }
}
