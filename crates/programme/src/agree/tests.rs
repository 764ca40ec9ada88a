use serde_json::{Value, json};

use super::*;
use crate::example::{SCENARIO, document, governance, path, receipts, tally, task_runs, value};
use crate::wrong::WrongKind;

/// The files of a run, that a test changes.
struct Files {
    documents: Vec<(String, Value, Form)>,
    receipts: String,
    governance: Vec<&'static str>,
    tasks: String,
}

impl Files {
    fn new() -> Self {
        let drill = |form: &&Form| **form != Form::DrillReport;
        let forms = Form::ALL.iter().filter(|form| !form.is_lines()).filter(drill);
        let documents = forms.map(|form| {
            let mut value = value(*form);
            if *form == Form::RunCompleted {
                value["written_at_utc"] = json!("2026-03-01T12:31:00Z");
            }
            (path(*form) + if form.path().is_none() { form.name() } else { "" }, value, *form)
        });
        let governance = vec!["RUN_STARTED", "RUN_ENDED"];
        let (documents, receipts) = (documents.collect(), receipts(20, 3, 2));
        let mut files = Self { documents, receipts, governance, tasks: task_runs() };
        files.pin();
        files
    }

    /// Has the marker refer to the files as they are.
    fn pin(&mut self) {
        let digests = self.documents.iter().map(|(_, value, form)| (*form, sha(value)));
        let mut digests: std::collections::BTreeMap<_, _> = digests.collect();
        digests.insert(Form::GovernanceEvent, Digest::of(b""));
        refer(self.of(Form::RunCompleted), |form| digests.get(&form).copied());
    }

    fn of(&mut self, form: Form) -> &mut Value {
        &mut self.documents.iter_mut().find(|file| file.2 == form).unwrap().1
    }

    fn set(mut self, form: Form, pointer: &str, value: Value) -> Self {
        *self.of(form).pointer_mut(pointer).unwrap_or_else(|| panic!("{form} {pointer}")) = value;
        self
    }

    fn without(mut self, form: Form) -> Self {
        self.documents.retain(|file| file.2 != form);
        self
    }

    fn judged(&self, checks: &[Check]) -> Result<Agreed, Wrong> {
        self.judged_with(checks, &tally(Form::IngestionReceipt, &self.receipts))
    }

    fn judged_with(&self, checks: &[Check], receipts: &Tally) -> Result<Agreed, Wrong> {
        let documents: Vec<_> = self
            .documents
            .iter()
            .map(|(path, value, form)| (path, sha(value), document(*form, value)))
            .collect();
        let events = tally(Form::GovernanceEvent, &governance(&self.governance));
        let mut evidence = Evidence::default();
        for (path, sha256, document) in &documents {
            evidence.add(path, *sha256, document);
        }
        let tasks = tally(Form::TaskRun, &self.tasks);
        let paths = [Form::IngestionReceipt, Form::GovernanceEvent, Form::TaskRun].map(path);
        if !self.receipts.is_empty() {
            let sha256 = Digest::of(self.receipts.as_bytes());
            evidence.add_lines(&paths[0], sha256, Form::IngestionReceipt, receipts);
        }
        if !self.governance.is_empty() {
            evidence.add_lines(&paths[1], Digest::of(b""), Form::GovernanceEvent, &events);
        }
        if !self.tasks.is_empty() {
            evidence.add_lines(&paths[2], Digest::of(b""), Form::TaskRun, &tasks);
        }
        let compute = ["task/".to_owned()];
        agree(checks, &evidence, Bounds { compute: &compute, ..Bounds::default() })
    }

    fn wrong(&self, check: Check) -> (WrongKind, String) {
        let wrong = self.judged(&[check]).expect_err(check.name());
        (wrong.kind, wrong.what)
    }

    fn differs(&self, check: Check, reason: &str) {
        let (kind, what) = self.wrong(check);
        assert_eq!(kind, WrongKind::Differs, "{what}");
        assert!(what.contains(reason), "{what}");
    }

    fn empty(&self, check: Check, reason: &str) {
        let (kind, what) = self.wrong(check);
        assert_eq!(kind, WrongKind::Empty, "{what}");
        assert!(what.contains(reason), "{what}");
    }
}

fn sha(value: &Value) -> Digest {
    Digest::of(value.to_string().as_bytes())
}

#[test]
fn a_run_that_adds_up_agrees_by_every_check() {
    let all = Files::new().judged(Check::ALL).unwrap();
    assert!(all.compared > 100, "{all:?}");
    for check in Check::ALL {
        Files::new().judged(&[*check]).unwrap();
        assert_eq!(serde_json::to_value(check).unwrap(), check.name());
    }
}

#[test]
fn a_check_without_one_of_its_files_is_no_data() {
    for check in Check::ALL {
        for form in check.needs() {
            let mut files = Files::new().without(*form);
            if *form == Form::IngestionReceipt {
                files.receipts.clear();
            } else if *form == Form::GovernanceEvent {
                files.governance.clear();
            } else if *form == Form::TaskRun {
                files.tasks.clear();
            }
            files.empty(*check, &format!("there is no {form} to compare with"));
        }
    }
    assert_eq!(Files::new().judged(&[]).unwrap_err().kind, WrongKind::Empty);
    let nothing = agree(Check::ALL, &Evidence::default(), Bounds::default()).unwrap_err();
    assert_eq!(nothing.kind, WrongKind::Empty);
}

#[test]
fn what_ran_is_recorded_and_ran_where_it_may_from_the_image_of_the_run() {
    let check = Check::Placement;
    let with = |from: &str, to: &str| {
        let tasks = task_runs().replace(from, to);
        assert_ne!(tasks, task_runs());
        Files { tasks, ..Files::new() }
    };
    with("task/report", "process:laptop:7")
        .differs(check, "report ran as process:laptop:7, and not at task/");
    with("sha256:12", "sha256:34").differs(check, "ig ran from the image sha256:34");
    with("task/report", "task/ig").differs(check, "task/ig is the task of two, one of them report");
    with("\"job\"", "\"service\"").empty(check, "no job is recorded");
    with("task/case-mgmt", "task/other")
        .differs(check, "case-mgmt as task/case-mgmt, which is not");
    with("\"case-mgmt\"", "\"other\"").differs(check, "case-mgmt as task/case-mgmt, which is not");
    let job = task_runs().replacen("\"service\"", "\"job\"", 1);
    Files { tasks: job, ..Files::new() }.differs(check, "ig as task/ig, which is not recorded");
    let other = Files::new().set(Form::IgReady, "/task_arn", json!("task/report"));
    other.differs(check, "asked the task task/report, which is no recorded service");
    let job = tally(Form::TaskRun, &task_runs());
    let mut evidence = Evidence::default();
    evidence.add_lines("tasks", Digest::of(b""), Form::TaskRun, &job);
    let nowhere = placement::placed(&evidence, &[]).unwrap_err();
    assert_eq!(
        (nowhere.kind, nowhere.what.contains("where tasks may run")),
        (WrongKind::Empty, true)
    );
}

/// In practice: the lag of one group was looked at, and the other one had stopped.
#[test]
fn a_consumer_that_is_left_out_of_a_partition_has_not_caught_up() {
    let mut files = Files::new();
    let rows = files.of(Form::CaughtUp)["partitions"].as_array_mut().unwrap();
    let mut other = rows[0].clone();
    other["consumer_group_id"] = json!("features");
    rows.push(other);
    let what = "is not about fp.bus.traffic.fraud.v1/1 of features, which reads this topic";
    files.empty(Check::Offsets, what);
}

#[test]
fn a_summary_must_say_what_its_receipts_say() {
    let check = Check::Receipts;
    let with = |receipts| Files { receipts, ..Files::new() };
    with(receipts(19, 3, 2)).differs(check, "total is 25, and it is 24");
    with(receipts(19, 4, 2)).differs(check, "ADMIT is 20, and it is 19");
    let other = receipts(20, 3, 2).replacen("traffic_fraud", "context", 1);
    with(other).differs(check, "is 25, and it is 24");
    let reason = receipts(20, 3, 2).replacen("SCHEMA_FAIL", "UNAUTHORIZED", 1);
    with(reason).differs(check, "SCHEMA_FAIL is 2, and it is 1");
    with(receipts(20, 3, 2) + "{\n").differs(check, "line 26 of ingestion_receipt is cut off");
    Files::new().without(Form::QuarantineSummary).empty(check, "nothing says why");
    let more = Files::new().set(Form::QuarantineSummary, "/by_reason_code/SCHEMA_FAIL", json!(3));
    more.set(Form::QuarantineSummary, "/total", json!(3)).differs(check, "3 at /total");
}

/// In practice: distinct receipts collapsed into one, and the count was believed.
#[test]
fn collapsed_receipts_are_told() {
    let text = receipts(20, 3, 2);
    let collapsed = text.replace(&format!("{:032x}", 7), &format!("{:032x}", 6));
    let files = Files { receipts: collapsed, ..Files::new() };
    files.differs(Check::Receipts, "for two different events");
}

#[test]
fn nothing_ambiguous_and_nothing_in_flight_may_stand() {
    let check = Check::Unresolved;
    let set = |form, pointer: &str| Files::new().set(form, pointer, json!(1));
    let summary = Form::ReceiptSummary;
    set(summary, "/admission_states/PUBLISH_IN_FLIGHT").differs(check, "1 in PUBLISH_IN_FLIGHT");
    set(summary, "/admission_states/PUBLISH_AMBIGUOUS").differs(check, "1 in PUBLISH_AMBIGUOUS");
    set(summary, "/by_reason_code/PUBLISH_AMBIGUOUS").differs(check, "1 in PUBLISH_AMBIGUOUS");
    set(Form::RunReport, "/ingress/publish_ambiguous").differs(check, "run_report has 1");
    let reasons = json!({"SCHEMA_FAIL": 1, "PUBLISH_AMBIGUOUS": 1});
    let put_aside = Files::new().set(Form::QuarantineSummary, "/by_reason_code", reasons);
    put_aside.differs(check, "quarantine_summary has 1");
    let receipts = receipts(20, 3, 2).replacen("SCHEMA_FAIL", "PUBLISH_AMBIGUOUS", 1);
    Files { receipts, ..Files::new() }.differs(check, "ingestion_receipt has 1");
    let mut silent = Files::new();
    silent.of(summary).as_object_mut().unwrap().remove("admission_states");
    silent.empty(check, "does not say /admission_states/PUBLISH_IN_FLIGHT");
}

#[test]
fn each_place_says_what_the_next_one_does() {
    let check = Check::Flow;
    let mut more = Files::new().set(Form::WspSummary, "/sent", json!(26));
    more.of(Form::WspSummary)["output_counts"]["arrival_events_5B"] = json!(6);
    more.differs(check, "wsp_summary says 26 at /sent, run_report 25");
    let mut less = Files::new();
    for (pointer, number) in [("/ingress/received", 24), ("/ingress/admit", 19)] {
        *less.of(Form::RunReport).pointer_mut(pointer).unwrap() = json!(number);
    }
    less.differs(check, "it is 25");
    let moved = Files::new().set(Form::RunReport, "/ingress/duplicate", json!(2));
    moved.set(Form::RunReport, "/ingress/quarantine", json!(3)).differs(check, "DUPLICATE");
    let archive = Files::new().set(Form::RunReport, "/archive/archived", json!(19));
    archive.differs(check, "/archive/archived");
    // A receipt that could not be written is told, and then counted.
    let mut lost = Files::new();
    for (pointer, number) in
        [("/ingress/received", 26), ("/ingress/sent", 26), ("/ingress/receipt_write_failed", 1)]
    {
        *lost.of(Form::RunReport).pointer_mut(pointer).unwrap() = json!(number);
    }
    lost.differs(check, "25 at /sent");
}

/// In practice: the basis was overwritten in place by an empty epoch after the run.
#[test]
fn a_lag_over_another_epoch_is_refused() {
    let check = Check::Offsets;
    let mut other = Files::new();
    for row in other.of(Form::CaughtUp)["partitions"].as_array_mut().unwrap() {
        row["committed_offset"] = json!(50);
        row["end_offset"] = json!(50);
        row["lag"] = json!(0);
    }
    *other.of(Form::CaughtUp).pointer_mut("/lag_max").unwrap() = json!(0);
    other.differs(check, "ends at 50");
    let elsewhere = Files::new().set(Form::CaughtUp, "/partitions/0/topic", json!("other"));
    let elsewhere = elsewhere.set(Form::CaughtUp, "/partitions/1/topic", json!("other"));
    elsewhere.empty(check, "caught_up is not about fp.bus.traffic.fraud.v1/0");
    // In practice: what a look left out was taken for caught up.
    for form in [Form::CaughtUp, Form::OffsetsSnapshot] {
        let one_less = Files::new().set(form, "/partitions/1/topic", json!("other"));
        one_less.empty(check, "is not about fp.bus.traffic.fraud.v1/1, which the run wrote to");
    }
    let late = Files::new().set(Form::OffsetsSnapshot, "/partitions/0/start_offset", json!(101));
    late.differs(check, "starts at 101");
    let small =
        Files::new().set(Form::KafkaOffsetsSnapshot, "/partitions/0/end_offset", json!(109));
    small.differs(check, "room for 19 events, and 20 were admitted");
    let moved =
        Files::new().set(Form::KafkaOffsetsSnapshot, "/partitions/0/start_offset", json!(101));
    let moved = moved.set(Form::KafkaOffsetsSnapshot, "/partitions/0/end_offset", json!(111));
    moved.differs(check, "events from 100 to 109");
}

/// What is kept of receipts is their counts: these must show by themselves that each event has a
/// record of its own.
#[test]
fn admitted_events_have_a_record_each() {
    let mut files = Files::new();
    let told = |files: &Files, change: &dyn Fn(&mut Tally)| {
        let mut counts = tally(Form::IngestionReceipt, &files.receipts);
        change(&mut counts);
        files.judged_with(&[Check::Offsets], &counts).unwrap_err()
    };
    let wrong = told(&files, &|counts| counts.ranges[0].last = 105);
    assert_eq!(wrong.kind, WrongKind::Differs);
    assert!(
        wrong.what.contains("10 events from 100 to 105 in fp.bus.traffic.fraud.v1/0"),
        "{wrong}"
    );
    let wrong = told(&files, &|counts| counts.ranges[1].events = 9);
    assert!(wrong.what.contains("admit 20 events, and say of 19 where"), "{wrong}");
    // The places of another broker say nothing of this one.
    files.receipts = files.receipts.replacen("kafka_offset", "kinesis_sequence", 1);
    files.differs(Check::Offsets, "admit 20 events, and say of 19 where");
}

#[test]
fn the_decision_lane_is_that_of_the_report() {
    let check = Check::Decisions;
    let set = |form, key: &str, number: u32| {
        Files::new().set(form, &format!("/counts/{key}"), json!(number))
    };
    set(Form::ActionSummary, "outcome", 18).differs(check, "action_summary says 18");
    set(Form::AuditSummary, "audit_append", 38).differs(check, "audit_summary says 38");
    set(Form::CaseSummary, "case", 3).differs(check, "case_summary says 3");
    set(Form::LabelSummary, "label", 0).differs(check, "label_summary says 0");
    let silent = set(Form::AuditSummary, "audit_append", 19);
    let silent = silent.set(Form::RunReport, "/rtdl/audit_append", json!(19));
    silent.differs(check, "audit entries 19 and decisions 20");
}

#[test]
fn anchors_lie_in_the_ranges_and_each_range_has_one() {
    let check = Check::Anchors;
    let ingest = |offset: u32| {
        Files::new().set(Form::ReplayAnchors, "/anchors/ingest/0/offset", json!(offset))
    };
    ingest(109).judged(&[check]).unwrap();
    ingest(110).differs(check, "fp.bus.traffic.fraud.v1/0/110, outside of kafka_offsets_snapshot");
    ingest(99).differs(check, "outside of kafka_offsets_snapshot");
    let other = Files::new().set(Form::ReplayAnchors, "/anchors/rtdl_core/1/topic", json!("t"));
    other.differs(check, "outside of offsets_snapshot");
    let twice = Files::new().set(Form::ReplayAnchors, "/anchors/ingest/1/partition", json!(0));
    twice.differs(check, "no anchor of ingest for fp.bus.traffic.fraud.v1/1");
}

#[test]
fn a_marker_without_all_that_it_refers_to_closes_nothing() {
    let check = Check::Closure;
    let reference = |key: &str, value: Value| {
        let pointer = format!("/closure_refs/{key}/ref");
        Files::new().set(Form::RunCompleted, &pointer, value)
    };
    // In practice: the pinned path is empty, and a file of a similar name lies elsewhere.
    let elsewhere = json!("obs/platform_run_report.json");
    reference("run_report_ref", elsewhere).empty(check, "there is no such evidence");
    let other = json!(path(Form::Reconciliation));
    reference("run_report_ref", other).differs(check, "is a reconciliation, no run_report");
    let degraded = Files::new().set(Form::EnvironmentConformance, "/status", json!("DEGRADED"));
    degraded.differs(check, "DEGRADED, which is no PASS");
    let warned = Files::new().set(Form::Reconciliation, "/status", json!("WARN"));
    warned.differs(check, "the status WARN");
    let early =
        Files::new().set(Form::RunCompleted, "/written_at_utc", json!("2026-03-01T12:29:00Z"));
    early.differs(check, "is older than run_report");
    let with = |governance| Files { governance, ..Files::new() };
    with(vec!["RUN_STARTED"]).empty(check, "no governance event says RUN_ENDED");
    with(vec!["RUN_STARTED", "RUN_CANCELLED", "RUN_ENDED"]).differs(check, "RUN_CANCELLED");
    // One writer, of one run: it begins once, and then ends once.
    with(vec!["RUN_ENDED", "RUN_STARTED"]).differs(check, "RUN_ENDED before RUN_STARTED");
    let twice = vec!["RUN_STARTED", "RUN_STARTED", "RUN_ENDED"];
    with(twice).differs(check, "RUN_STARTED 2 times");
    let twice = vec!["RUN_STARTED", "RUN_ENDED", "RUN_ENDED"];
    with(twice).differs(check, "RUN_ENDED 2 times");
    let begun = vec!["RUN_READY_SEEN", "RUN_STARTED", "RUN_ENDED", "RUN_REPORT_GENERATED"];
    with(begun).judged(&[check]).unwrap();
}

/// A reference without a digest resolves to whatever lies there now.
#[test]
fn a_marker_pins_what_it_refers_to() {
    let check = Check::Closure;
    for (key, form) in closure::REFS {
        let plain = json!(path(*form));
        let pointer = format!("/closure_refs/{key}");
        let files = Files::new().set(Form::RunCompleted, &pointer, plain.clone());
        files.empty(check, &format!("has {key} {} without its sha256", path(*form)));
        let files = Files::new().set(Form::RunCompleted, &pointer, json!({"ref": plain}));
        files.empty(check, "without its sha256");
    }
    let over = Files::new().set(Form::RunReport, "/ingress/sent", json!(26));
    over.differs(check, "run_report.json was overwritten after run_completed referred to it");
}

#[test]
fn what_was_published_is_what_the_run_is_pinned_to() {
    let other =
        Files::new().set(Form::ReadyPublishReceipt, "/scenario_run_id", json!("0".repeat(32)));
    other.differs(Check::Pins, "ready_publish_receipt has /scenario_run_id");
    let config = Files::new().set(Form::ReadySignal, "/run_config_digest", json!("0".repeat(64)));
    config.differs(Check::Pins, "another configuration than run.json");
    assert_ne!(SCENARIO, "0".repeat(32));
}

/// In practice: the archive was said to be whole, and lacked what a crash had taken.
#[test]
fn the_archive_has_each_record_of_the_run() {
    let check = Check::Archive;
    let row = |number: usize, records: u32, next: u32| {
        let at = |key: &str| format!("/progress/{number}/{key}");
        let total = records + 10;
        let files = Files::new().set(Form::ArchiveProgress, &at("records"), json!(records));
        let files = files.set(Form::ArchiveProgress, &at("next_offset"), json!(next));
        files.set(Form::ArchiveProgress, "/counts/records", json!(total))
    };
    row(1, 9, 110).differs(check, "records of fp.bus.traffic.fraud.v1/1 is 9, and it is 10");
    row(0, 11, 111).differs(check, "records of fp.bus.traffic.fraud.v1/0 is 11, and it is 10");
    row(0, 10, 115)
        .differs(check, "goes on at 115 in fp.bus.traffic.fraud.v1/0, and the run ends at 110");
    // One lost and one too many do not make up for each other.
    let moved = row(1, 9, 110).set(Form::ArchiveProgress, "/progress/0/records", json!(11));
    moved.set(Form::ArchiveProgress, "/counts/records", json!(20)).differs(check, "/0 is 11");
    let mut gone = Files::new();
    gone.of(Form::ArchiveProgress)["progress"].as_array_mut().unwrap().pop();
    gone.of(Form::ArchiveProgress)["counts"] = json!({"objects": 1, "records": 10});
    gone.differs(check, "records of fp.bus.traffic.fraud.v1/1 is 0, and it is 10");
    let mut more = Files::new();
    let other =
        json!({"topic": "other", "partition": 0, "next_offset": 1, "records": 1, "objects": 1});
    more.of(Form::ArchiveProgress)["progress"].as_array_mut().unwrap().push(other);
    more.of(Form::ArchiveProgress)["counts"] = json!({"objects": 4, "records": 21});
    more.differs(check, "all partitions is 21, and it is 20");
    for key in ["archived", "seen"] {
        let mut report = Files::new().set(Form::RunReport, "/archive/seen", json!(21));
        report.of(Form::RunReport)["archive"][key] = json!(21);
        report.differs(check, &format!("run_report 21 at /archive/{key}"));
        report.without(Form::RunReport).judged(&[check]).unwrap();
    }
}

/// In practice: a replay compared itself with what it had read.
#[test]
fn what_was_read_again_is_what_was_admitted() {
    let check = Check::Replay;
    let sum = json!("1".repeat(64));
    let other = |pointer: &str| Files::new().set(Form::Replay, pointer, sum.clone());
    other("/hash_sum").differs(check, "another hash_sum than the events that were admitted");
    other("/hash_sum2").differs(check, "another hash_sum2");
    let fewer = Files::new().set(Form::Replay, "/admitted", json!(19));
    fewer.set(Form::Replay, "/row_count", json!(19)).differs(check, "replay says 19 at /admitted");
    let mut summary = Files::new().set(Form::ReceiptSummary, "/by_outcome/ADMIT", json!(19));
    for (pointer, number) in [("/by_outcome/DUPLICATE", 4), ("/admission_states/ADMITTED", 19)] {
        *summary.of(Form::ReceiptSummary).pointer_mut(pointer).unwrap() = json!(number);
    }
    summary.differs(check, "semantic_digest says 20");
}

#[test]
fn the_lease_was_held_when_ready_was_published() {
    let early = json!("2026-03-01T12:30:00.249Z");
    let lease = Files::new().set(Form::ScenarioLease, "/released_at_utc", early);
    lease.differs(Check::Pins, "was released before READY was published");
    let other = Files::new().set(Form::ScenarioLease, "/scenario_run_id", json!("0".repeat(32)));
    other.differs(Check::Pins, "scenario_lease has /scenario_run_id");
    let meant = Files::new().set(Form::SemanticDigest, "/config_digest", json!("0".repeat(64)));
    meant.differs(Check::Pins, "semantic_digest has another configuration");
}

#[test]
fn one_form_stands_once() {
    let mut files = Files::new();
    let (_, value, form) = files.documents[0].clone();
    files.documents.push(("copy.json".to_owned(), value, form));
    files.differs(Check::Pins, "run is there twice");
}
