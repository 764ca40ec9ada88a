use serde_json::{Value, json};

use super::*;
use crate::example::{RUN, document, value};
use crate::wrong::WrongKind;

fn judged(form: Form, value: &Value) -> Result<u64, Wrong> {
    own_sums(&document(form, value), CAUGHT_UP_LAG_MAX)
}

/// What is said to a file with changes.
fn said(form: Form, changes: &[(&str, Value)]) -> (WrongKind, String) {
    let mut document = value(form);
    for (pointer, value) in changes {
        *document.pointer_mut(pointer).unwrap_or_else(|| panic!("{form} {pointer}")) =
            value.clone();
    }
    let wrong = judged(form, &document).expect_err(&document.to_string());
    assert!(!wrong.remedy.is_empty());
    (wrong.kind, wrong.what)
}

fn empty(form: Form, changes: &[(&str, Value)], reason: &str) {
    let (kind, what) = said(form, changes);
    assert_eq!(kind, WrongKind::Empty, "{what}");
    assert!(what.contains(reason), "{what}");
}

fn differs(form: Form, changes: &[(&str, Value)], reason: &str) {
    let (kind, what) = said(form, changes);
    assert_eq!(kind, WrongKind::Differs, "{what}");
    assert!(what.contains(reason), "{what}");
}

#[test]
fn what_adds_up_passes() {
    for form in Form::ALL.iter().filter(|form| !form.is_lines()) {
        let compared = judged(*form, &value(*form));
        assert!(compared.is_ok_and(|compared| compared > 0), "{form}");
    }
}

/// In practice: a basis file was overwritten in place with an empty epoch (start = end = -1), lag
/// became 0, and every gate after it passed.
#[test]
fn an_empty_epoch_is_no_data_and_no_lag_of_zero() {
    for form in [Form::KafkaOffsetsSnapshot, Form::OffsetsSnapshot] {
        let mut all = value(form);
        for row in all["partitions"].as_array_mut().unwrap() {
            row["start_offset"] = json!(-1);
            row["end_offset"] = json!(-1);
        }
        let wrong = judged(form, &all).unwrap_err();
        assert_eq!(
            (wrong.kind, wrong.what.contains("every offset is -1")),
            (WrongKind::Empty, true)
        );
        empty(form, &[("/partitions/0/start_offset", json!(-1))], "knows nothing of");
        let whole =
            [("/partitions/0/end_offset", json!(100)), ("/partitions/1/end_offset", json!(100))];
        empty(form, &whole, "an empty range in every partition");
        let zero = |row: u32| json!({"topic": "t", "partition": row, "consumer_group_id": "g", "start_offset": 0, "end_offset": 0});
        let mut zeros = json!([zero(0), zero(1)]);
        if form == Form::KafkaOffsetsSnapshot {
            for row in zeros.as_array_mut().unwrap() {
                row.as_object_mut().unwrap().remove("consumer_group_id");
                row["timestamp_utc"] = json!("2026-03-01T12:07:00Z");
                row["sampled_run_id_match"] = json!(true);
            }
        }
        empty(form, &[("/partitions", zeros)], "the end 0 in every partition");
        empty(form, &[("/partitions", json!([]))], "names no partition");
        differs(form, &[("/partitions/0/end_offset", json!(99))], "from 100 to 99");
        differs(form, &[("/partitions/1/partition", json!(0))], "twice");
    }
    let mut behind = value(Form::CaughtUp);
    for row in behind["partitions"].as_array_mut().unwrap() {
        row["committed_offset"] = json!(-1);
        row["end_offset"] = json!(-1);
        row["lag"] = json!(0);
    }
    behind["lag_max"] = json!(0);
    assert_eq!(judged(Form::CaughtUp, &behind).unwrap_err().kind, WrongKind::Empty);
    let foreign = [("/partitions/1/sampled_run_id_match", json!(false))];
    differs(Form::KafkaOffsetsSnapshot, &foreign, "records of another run");
    let mut unseen = value(Form::KafkaOffsetsSnapshot);
    unseen["partitions"][0]["sampled_records"] = json!(0);
    let said = judged(Form::KafkaOffsetsSnapshot, &unseen).unwrap_err();
    assert_eq!(said.kind, WrongKind::Empty, "{}", said.what);
}

#[test]
fn a_lag_is_computed_from_offsets_and_not_believed() {
    let form = Form::CaughtUp;
    differs(form, &[("/partitions/1/lag", json!(0))], "is 0, and it is 4");
    differs(form, &[("/lag_max", json!(0))], "lag_max is 0, and it is 4");
    let far = [("/partitions/1/committed_offset", json!(99)), ("/partitions/1/lag", json!(11))];
    differs(form, &far, "is 11 behind");
    let edge = [
        ("/partitions/1/committed_offset", json!(100)),
        ("/partitions/1/lag", json!(10)),
        ("/lag_max", json!(10)),
    ];
    let mut at_most = value(form);
    for (pointer, value) in edge {
        *at_most.pointer_mut(pointer).unwrap() = value;
    }
    assert!(judged(form, &at_most).is_ok());
    // What is committed beyond the end would make up for a lag elsewhere.
    let ahead = [("/partitions/1/committed_offset", json!(111)), ("/partitions/1/lag", json!(0))];
    differs(form, &ahead, "from 111 to 110");
}

/// In practice: ambiguous events were added to quarantine, in which they are already.
#[test]
fn ambiguous_events_are_not_counted_twice() {
    let reasons = json!({"SCHEMA_FAIL": 1, "PUBLISH_AMBIGUOUS": 1});
    let twice = [("/total", json!(26)), ("/by_reason_code", reasons.clone())];
    differs(Form::ReceiptSummary, &twice, "the ambiguous ones are counted twice");
    let more = [("/by_outcome/QUARANTINE", json!(3)), ("/by_reason_code", reasons)];
    differs(Form::ReceiptSummary, &more, "20 admitted + 3 duplicates + 3 in quarantine are 26");
    let report = [
        ("/ingress/received", json!(26)),
        ("/ingress/sent", json!(26)),
        ("/ingress/publish_ambiguous", json!(1)),
    ];
    differs(Form::RunReport, &report, "the ambiguous ones are counted twice");
    differs(Form::RunReport, &[("/ingress/publish_ambiguous", json!(3))], "cannot be fewer");
}

#[test]
fn receipts_add_up_by_outcome_class_type_and_reason() {
    let form = Form::ReceiptSummary;
    differs(form, &[("/total", json!(24))], "says that 24 were received");
    differs(form, &[("/by_event_class/traffic_fraud", json!(24))], "by_event_class");
    differs(form, &[("/by_event_type", json!({}))], "by_event_type");
    differs(form, &[("/by_reason_code/SCHEMA_FAIL", json!(3))], "cannot be fewer");
    differs(form, &[("/by_reason_code", json!({}))], "reasons 0");
    differs(form, &[("/admission_states/ADMITTED", json!(19))], "ADMITTED is 19");
    differs(Form::QuarantineSummary, &[("/total", json!(3))], "cannot be fewer");
}

/// In practice: the old key of duplicates left out the run, so that a new run was all duplicates.
#[test]
fn a_run_of_duplicates_only_fails() {
    let only = [
        ("/by_outcome", json!({"ADMIT": 0, "DUPLICATE": 25, "QUARANTINE": 0})),
        ("/by_reason_code", json!({})),
        ("/admission_states/ADMITTED", json!(0)),
    ];
    differs(Form::ReceiptSummary, &only, "nothing that was admitted, only duplicates");
}

/// In practice: missing metrics were read as 0, and then `0 >= 0` passed.
#[test]
fn zeros_on_both_sides_are_no_data() {
    let inputs = json!({"sent": 0, "received": 0, "admit": 0, "duplicate": 0, "quarantine": 0, "decision": 0, "outcome": 0, "archive_seen": 0, "archived": 0});
    let deltas =
        json!({"sent_minus_received": 0, "received_minus_admit": 0, "decision_minus_outcome": 0});
    empty(Form::Reconciliation, &[("/inputs", inputs), ("/deltas", deltas)], "is over nothing");
    let ingress = json!({"sent": 0, "received": 0, "admit": 0, "duplicate": 0, "quarantine": 0, "publish_ambiguous": 0, "receipt_write_failed": 0});
    empty(Form::RunReport, &[("/ingress", ingress)], "is over nothing");
    let nobody = [("/basis/writer_generation", json!(0))];
    empty(Form::RunReport, &nobody, "was written under no lease");
    empty(Form::DecisionSummary, &[("/counts/decision", json!(0))], "decision 0");
    empty(Form::ActionSummary, &[("/counts/outcome", json!(0))], "outcome 0");
    empty(Form::AuditSummary, &[("/counts/audit_append", json!(0))], "audit_append 0");
    empty(Form::ReceiptSummary, &[("/total", json!(0))], "nothing was received");
    let nothing = [("/sent", json!(0)), ("/output_counts", json!({"a": 0}))];
    empty(Form::WspSummary, &nothing, "nothing was sent");
    empty(Form::Reconciliation, &[("/basis/component_reconciliation_refs", json!([]))], "rests on");
}

#[test]
fn a_reconciliation_is_computed_again() {
    let form = Form::Reconciliation;
    let inputs = |key: &str, number: u32| {
        let mut inputs = value(form)["inputs"].clone();
        inputs[key] = json!(number);
        [("/inputs", inputs)]
    };
    differs(form, &inputs("received", 26), "are 25");
    differs(form, &inputs("sent", 24), "sent 24 and received 25: it cannot be fewer");
    differs(form, &inputs("outcome", 21), "decision 20 and outcome 21");
    differs(form, &inputs("archived", 21), "archive_seen 20 and archived 21");
    differs(form, &[("/deltas/sent_minus_received", json!(1))], "is 1, and it is 0");
    differs(form, &[("/checks/sent_ge_received", json!(false))], "sent_ge_received");
    differs(form, &[("/status", json!("WARN"))], "the status WARN");
    differs(Form::RunReport, &[("/rtdl/outcome", json!(21))], "cannot be fewer");
    differs(Form::RunReport, &[("/ingress/sent", json!(24))], "cannot be fewer");
    differs(Form::RunReport, &[("/archive/archived", json!(21))], "cannot be fewer");
}

/// In practice: a check that throws reads DEGRADED while the marker still says COMPLETED.
#[test]
fn degraded_is_no_pass() {
    let form = Form::EnvironmentConformance;
    differs(form, &[("/status", json!("DEGRADED"))], "the status DEGRADED, which is no PASS");
    differs(form, &[("/checks/2/status", json!("DEGRADED"))], "security_corridor_posture DEGRADED");
    differs(form, &[("/checks/3/check_id", json!("policy_revision_presence"))], "twice");
    let mut fewer = value(form);
    fewer["checks"].as_array_mut().unwrap().pop();
    let wrong = judged(form, &fewer).unwrap_err();
    assert_eq!(wrong.kind, WrongKind::Empty);
    assert!(wrong.what.contains("governance_event_schema_contract"), "{wrong}");
}

/// In practice: the collector of anchors read another name, and silently found none.
#[test]
fn no_anchor_is_no_data() {
    let form = Form::ReplayAnchors;
    empty(
        form,
        &[("/anchors/ingest", json!([])), ("/counts/ingest", json!(0))],
        "no anchor of ingest",
    );
    empty(form, &[("/anchors/rtdl_core", json!([]))], "no anchor of rtdl_core");
    empty(form, &[("/anchors/ingest/0/offset", json!(-1))], "offset -1");
    empty(form, &[("/source_refs", json!([]))], "come from");
    differs(form, &[("/counts/ingest", json!(3))], "is 3, and it is 2");
}

/// In practice: a drill injected nothing, or its replay was skipped, and it reported success.
#[test]
fn a_drill_whose_fault_did_not_take_place_shows_nothing() {
    let form = Form::DrillReport;
    empty(
        form,
        &[("/fault/injected", json!(0)), ("/fault/took_place", json!(0))],
        "injected nothing",
    );
    empty(form, &[("/fault/took_place", json!(0))], "none of them took place");
    differs(form, &[("/fault/took_place", json!(2))], "is 2, and it is 3");
    differs(
        form,
        &[("/checks/no_double_actions", json!(false))],
        "no_double_actions does not hold",
    );
    differs(form, &[("/status", json!("FAIL"))], "the status FAIL");
}

/// In practice: a lock was declared and not wired, and the second writer lost only by luck.
#[test]
fn a_second_writer_that_no_lock_refused_shows_no_lock() {
    let second = |checks: Value| [("/drill", json!("second_writer")), ("/checks", checks)];
    let by_luck = json!({"conflict_recorded": true, "one_writer": true});
    empty(Form::DrillReport, &second(by_luck), "whether refused_by_lock holds");
    let unlocked = json!({"conflict_recorded": true, "one_writer": true, "refused_by_lock": false});
    differs(Form::DrillReport, &second(unlocked), "refused_by_lock does not hold");
}

/// In practice: what is destroyed and what is preserved overlapped, and secrets stayed.
#[test]
fn a_teardown_leaves_nothing_and_destroys_nothing_that_is_preserved() {
    let form = Form::TeardownProof;
    differs(
        form,
        &[("/preserved", json!(["core/evidence", "demo/db"]))],
        "demo/db as destroyed and as preserved",
    );
    differs(form, &[("/secrets_absent/IG_TOKEN", json!(true))], "IG_TOKEN is still there");
    differs(form, &[("/confirmed_absent/nat_gateway", json!(true))], "nat_gateway is still there");
    differs(form, &[("/destroy_status", json!("PARTIAL"))], "the status PARTIAL");
    differs(form, &[("/evidence_readable", json!(false))], "cannot be read");
    empty(form, &[("/destroyed", json!([]))], "names nothing that was destroyed");
    empty(form, &[("/preserved", json!([]))], "names nothing that was preserved");
    empty(form, &[("/secrets_absent", json!({}))], "of any secret");
    for key in ["evidence_readable", "secrets_absent"] {
        let mut silent = value(form);
        silent.as_object_mut().unwrap().remove(key);
        assert_eq!(judged(form, &silent).unwrap_err().kind, WrongKind::Empty, "{key}");
    }
}

#[test]
fn sorting_keeps_every_row() {
    let form = Form::StreamSortReceipt;
    differs(form, &[("/sorted_stats/row_count", json!(24))], "another row_count");
    differs(
        form,
        &[("/sorted_stats/hash_sum", json!(9_007_199_254_740_992_u64))],
        "another hash_sum",
    );
    differs(form, &[("/sorted_stats/hash_sum2", json!("1"))], "another hash_sum2");
    let nothing = [("/raw_stats/row_count", json!(0)), ("/sorted_stats/row_count", json!(0))];
    empty(form, &nothing, "no rows");
    differs(form, &[("/status", json!("FAILED"))], "the status FAILED");
}

#[test]
fn services_run_once_for_this_run() {
    let form = Form::DaemonsReady;
    differs(form, &[("/services/1/service_name", json!("ig"))], "the service ig twice");
    differs(form, &[("/services/0/running_count", json!(0))], "running_count 0, not 1");
    differs(form, &[("/services/0/desired_count", json!(2))], "desired_count 2, not 1");
    differs(form, &[("/services/0/pending_count", json!(1))], "pending_count 1, not 0");
    differs(form, &[("/services/0/status", json!("FAILED"))], "ig with the status FAILED");
    differs(form, &[("/services/0/task_arns", json!(["task/case-mgmt"]))], "one task of its own");
    differs(
        form,
        &[("/run_scope/value", json!("platform_20260228T120000Z"))],
        "of the run platform_2026",
    );
    assert_eq!(value(form)["run_scope"]["value"], RUN);
}

#[test]
fn the_gate_refuses_strangers() {
    let form = Form::IgReady;
    differs(form, &[("/auth/unauthenticated_status", json!(200))], "lets no credential in");
    differs(form, &[("/auth/authenticated_status", json!(401))], "refuses a good credential");
    differs(form, &[("/health/status", json!("DEGRADED"))], "the health DEGRADED");
    empty(form, &[("/kafka_smoke/offset", json!(-1))], "no offset");
    empty(Form::ReadyPublishReceipt, &[("/offset", json!(-1))], "no offset");
}

#[test]
fn the_archive_holds_what_its_partitions_add_up_to() {
    let form = Form::ArchiveProgress;
    differs(form, &[("/counts/records", json!(21))], "number of records is 21, and it is 20");
    differs(form, &[("/counts/objects", json!(2))], "number of objects is 2, and it is 3");
    differs(
        form,
        &[("/progress/1/next_offset", json!(9))],
        "10 records of fp.bus.traffic.fraud.v1/1",
    );
    differs(form, &[("/progress/1/next_offset", json!(-1))], "goes on at -1");
    differs(form, &[("/progress/1/partition", json!(0))], "fp.bus.traffic.fraud.v1/0 twice");
    let no_object = [("/progress/0/objects", json!(0)), ("/counts/objects", json!(2))];
    differs(form, &no_object, "10 records of fp.bus.traffic.fraud.v1/0 in 0 objects");
    let many = [("/progress/0/objects", json!(11)), ("/counts/objects", json!(13))];
    differs(form, &many, "in 11 objects");
    differs(form, &[("/commit_policy", json!("auto"))], "commits offsets by auto");
    let none = [("/progress", json!([])), ("/counts", json!({"objects": 0, "records": 0}))];
    empty(form, &none, "no record of the run");
}

/// In practice: an end was said to be that of an archive that had written nothing.
#[test]
fn an_archive_without_a_record_is_no_data() {
    let mut nothing = value(Form::ArchiveProgress);
    for row in nothing["progress"].as_array_mut().unwrap() {
        row["records"] = json!(0);
        row["objects"] = json!(0);
    }
    nothing["counts"] = json!({"objects": 0, "records": 0});
    assert_eq!(judged(Form::ArchiveProgress, &nothing).unwrap_err().kind, WrongKind::Empty);
}

#[test]
fn ready_was_published_under_a_lease_that_somebody_held() {
    let form = Form::ScenarioLease;
    empty(form, &[("/generation", json!(0))], "nobody took the lease");
    empty(form, &[("/holder", json!(" "))], "who held the lease");
    differs(form, &[("/released_at_utc", json!("2026-03-01T12:30:00.501Z"))], "released after");
    differs(form, &[("/released_at_utc", json!("2026-02-30T12:30:00Z"))], "no moment");
}

#[test]
fn each_stream_view_was_checked_and_has_rows() {
    let form = Form::CheckerPass;
    differs(form, &[("/counts/outputs", json!(3))], "number of outputs is 3, and it is 2");
    differs(form, &[("/counts/rows", json!(24))], "number of rows is 24, and it is 25");
    differs(form, &[("/outputs/1/status", json!("FAIL"))], "fraud_6B with the status FAIL");
    differs(form, &[("/outputs/1/output_id", json!("arrival_events_5B"))], "twice");
    differs(form, &[("/blockers", json!(["MANIFEST_MISMATCH"]))], "MANIFEST_MISMATCH");
    differs(form, &[("/status", json!("FAIL"))], "the status FAIL");
    empty(form, &[("/outputs/0/row_count", json!(0))], "no rows of arrival_events_5B");
    empty(form, &[("/outputs", json!([]))], "names no output");
}

#[test]
fn a_meaning_has_the_digest_of_its_sections() {
    let form = Form::SemanticDigest;
    differs(form, &[("/sections/cases/row_count", json!(3))], "another digest than it says");
    differs(form, &[("/semantic_digest", json!("0".repeat(64)))], "another digest than it says");
    differs(form, &[("/sections/labels/row_count", json!(1))], "1 rows of labels");
    let zeros = json!("0".repeat(64));
    differs(form, &[("/sections/cases/hash_sum2", zeros.clone())], "2 rows of cases");
    differs(form, &[("/sections/labels/hash_sum", json!("1".repeat(64)))], "0 rows of labels");
    let nothing = json!({"row_count": 0, "hash_sum": zeros, "hash_sum2": zeros});
    empty(form, &[("/sections/admitted", nothing)], "no event was admitted");
    // The one that Python makes: json.dumps(sections, sort_keys=True, separators=(",", ":")).
    let said = "4d38d7208d992eb8f9ada39d76fe8d7a143cdc5856ad89ed201e42e07831b163";
    assert_eq!(value(form)["semantic_digest"], said);
}

#[test]
fn a_replay_reads_all_that_was_admitted_and_nothing_else() {
    let form = Form::Replay;
    differs(form, &[("/row_count", json!(19))], "is 19, and it is 20");
    differs(form, &[("/admitted", json!(21))], "is 20, and it is 21");
    differs(form, &[("/foreign", json!(1))], "met 1 events of another run");
    differs(form, &[("/status", json!("FAIL"))], "the status FAIL");
    empty(form, &[("/row_count", json!(0)), ("/admitted", json!(0))], "read nothing again");
}

#[test]
fn a_configuration_has_the_digest_that_is_said() {
    differs(Form::Run, &[("/config/seed", json!(8))], "another digest");
    differs(Form::Run, &[("/config/seed", json!(0.5))], "fractions");
    differs(Form::Run, &[("/git_sha", json!("ffffffff"))], "the image tag");
    let mut neither = value(Form::Run);
    neither.as_object_mut().unwrap().remove("config");
    assert_eq!(judged(Form::Run, &neither).unwrap_err().kind, WrongKind::Empty);
    neither["config_ref"] = json!("config.json");
    assert!(judged(Form::Run, &neither).is_ok());
}

#[test]
fn what_was_sent_adds_up() {
    let form = Form::WspSummary;
    differs(form, &[("/output_counts/arrival_events_5B", json!(4))], "sent is 25, and it is 24");
    differs(form, &[("/failures", json!(1))], "1 events could not be sent");
    differs(form, &[("/ended_at_utc", json!("2026-03-01T12:04:00Z"))], "ends before it begins");
    differs(Form::AnomalySummary, &[("/anomaly_total", json!(0))], "is 0, and it is 1");
    let unclear =
        [("/anomaly_counts/ingress_publish_ambiguous", json!(1)), ("/anomaly_total", json!(2))];
    differs(Form::AnomalySummary, &unclear, "ingress_publish_ambiguous 1");
}
