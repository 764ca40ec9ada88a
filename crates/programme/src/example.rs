//! The evidence of a small run that adds up, for tests.

use carnet_ledger::Digest;
use serde_json::{Value, json};

use crate::form::Form;
use crate::lines::Lines;
use crate::read::{Document, read};
use crate::run::{Run, When};
use crate::tally::Tally;

pub(crate) const RUN: &str = "platform_20260301T120000Z";
pub(crate) const SCENARIO: &str = "00112233445566778899aabbccddeeff";

pub(crate) fn run() -> Run {
    Run { platform_run_id: RUN.into(), scenario_run_id: Some(SCENARIO.into()), ..Run::default() }
}

/// An hour after the run began.
pub(crate) fn now() -> When {
    When { now_us: run().began_us().unwrap() + 3_600_000_000, skew_s: 5 }
}

fn receipt(number: usize, decision: &str) -> Value {
    let event = number.to_string();
    let mut receipt = json!({
        "receipt_id": format!("{number:032x}"), "decision": decision, "event_id": event,
        "event_type": "s3_event_stream_with_fraud_6B", "event_class": "traffic_fraud",
        "ts_utc": "2025-01-01T00:00:00.000001Z", "manifest_fingerprint": "ab".repeat(32),
        "platform_run_id": RUN, "run_config_digest": "cd".repeat(32),
        "policy_rev": {"policy_id": "ig", "revision": "1"},
    });
    if decision == "QUARANTINE" {
        receipt["evidence_refs"] = json!([{"kind": "quarantine_record", "ref": "ig/quarantine/1"}]);
        receipt["reason_codes"] = json!(["SCHEMA_FAIL"]);
    } else {
        receipt["scenario_run_id"] = json!(SCENARIO);
        receipt["payload_hash"] = json!({"algo": "sha256", "hex": "ef".repeat(32)});
        receipt["admitted_at_utc"] = json!("2026-03-01T12:10:00Z");
        receipt["eb_ref"] = json!({
            "topic": "fp.bus.traffic.fraud.v1", "partition": number % 2,
            "offset": 100 + number / 2, "offset_kind": "kafka_offset",
        });
    }
    receipt
}

/// Receipts, one a line.
pub(crate) fn receipts(admit: usize, duplicate: usize, quarantine: usize) -> String {
    let kinds = [("ADMIT", admit), ("DUPLICATE", duplicate), ("QUARANTINE", quarantine)];
    let decisions = kinds.iter().flat_map(|(name, count)| std::iter::repeat_n(*name, *count));
    let lines = decisions.enumerate().map(|(number, decision)| {
        let text = receipt(number, decision).to_string();
        text.replace("\"receipt_id\":", "\"receipt_id\": ") + "\n"
    });
    lines.collect()
}

pub(crate) fn tally(form: Form, text: &str) -> Tally {
    let mut lines = Lines::new(form, run(), now());
    lines.push(text.as_bytes());
    lines.finish().2
}

pub(crate) fn governance(families: &[&str]) -> String {
    let line = |(number, family): (usize, &&str)| {
        let event = json!({
            "event_id": number.to_string(), "family": family, "ts_utc": "2026-03-01T12:20:00Z",
            "platform_run_id": RUN,
        });
        format!("{event}\n")
    };
    families.iter().enumerate().map(line).collect()
}

pub(crate) fn path(form: Form) -> String {
    let path = form.path().unwrap_or("evidence/runs/{platform_run_id}/other.json");
    crate::Template::parse(path).unwrap().expand(&run()).unwrap()
}

/// What each file says, of 20 admitted, 3 duplicates and 2 in quarantine.
pub(crate) fn value(form: Form) -> Value {
    let mut value = own_part(form);
    if form.is_of_run() {
        value["platform_run_id"] = json!(RUN);
        if let Some(key) = form.time_key() {
            value[key] = json!("2026-03-01T12:30:00.25Z");
        }
    }
    value
}

fn own_part(form: Form) -> Value {
    let traffic = "fp.bus.traffic.fraud.v1";
    let range = |partition: u32| json!({"topic": traffic, "partition": partition, "start_offset": 100, "end_offset": 110});
    let with = |mut row: Value, more: Value| {
        row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        row
    };
    match form {
        Form::Run
        | Form::RunStarted
        | Form::DaemonsReady
        | Form::StreamSortReceipt
        | Form::IgReady
        | Form::ReadyPublishReceipt
        | Form::ReadySignal => place(form),
        Form::WspSummary => json!({
            "scenario_run_id": SCENARIO, "ready_receipt_ref": path(Form::ReadyPublishReceipt),
            "output_counts": {"s3_event_stream_with_fraud_6B": 20, "arrival_events_5B": 5},
            "sent": 25, "retries": 1, "failures": 0,
            "started_at_utc": "2026-03-01T12:05:00Z", "ended_at_utc": "2026-03-01T12:06:00Z",
        }),
        Form::ReceiptSummary => json!({
            "total": 25, "by_outcome": {"ADMIT": 20, "DUPLICATE": 3, "QUARANTINE": 2},
            "by_event_class": {"traffic_fraud": 25},
            "by_event_type": {"s3_event_stream_with_fraud_6B": 25},
            "by_reason_code": {"SCHEMA_FAIL": 2, "PUBLISH_AMBIGUOUS": 0},
            "admission_states": {"PUBLISH_IN_FLIGHT": 0, "PUBLISH_AMBIGUOUS": 0, "ADMITTED": 20},
        }),
        Form::QuarantineSummary => json!({"total": 2, "by_reason_code": {"SCHEMA_FAIL": 2}}),
        Form::KafkaOffsetsSnapshot => {
            let more =
                json!({"timestamp_utc": "2026-03-01T12:07:00Z", "sampled_run_id_match": true});
            json!({"partitions": [with(range(0), more.clone()), with(range(1), more)]})
        }
        Form::OffsetsSnapshot => {
            let more = json!({"consumer_group_id": "archive"});
            json!({"partitions": [with(range(0), more.clone()), with(range(1), more)]})
        }
        Form::CaughtUp => {
            let row = |partition: u32, committed: u32| {
                json!({
                    "topic": traffic, "partition": partition, "consumer_group_id": "archive",
                    "committed_offset": committed, "end_offset": 110, "lag": 110 - committed,
                })
            };
            json!({"lag_max": 4, "partitions": [row(0, 110), row(1, 106)], "degrade_counts": {}})
        }
        Form::DecisionSummary => {
            json!({"counts": {"decision": 20}, "by_kind": {"ALLOW": 18, "DENY": 2}})
        }
        Form::ActionSummary => json!({"counts": {"outcome": 19}}),
        Form::AuditSummary => json!({"counts": {"audit_append": 39}}),
        Form::CaseSummary => json!({"counts": {"case": 2}}),
        Form::LabelSummary => json!({"counts": {"label": 1}}),
        _ => closing(form),
    }
}

fn place(form: Form) -> Value {
    let config = json!({"seed": 7, "speed": "fast"});
    let digest = Digest::of(br#"{"seed":7,"speed":"fast"}"#).to_string();
    let stats = json!({
        "row_count": 25, "hash_sum": 9_007_199_254_740_993_u64, "hash_sum2": "18446744073709551617",
        "min_ts_utc": "2025-01-01T00:00:00Z", "max_ts_utc": "2025-01-02T00:00:00Z",
    });
    match form {
        Form::Run => json!({
            "scenario_run_id": SCENARIO, "env": "dev_min", "config": config,
            "config_digest": digest, "config_digest_algo": "sha256", "image_tag": "git-0a1b2c3",
            "image_digest": format!("sha256:{}", "12".repeat(32)), "git_sha": "0a1b2c3d4e",
        }),
        Form::DaemonsReady => {
            let service = |name: &str| {
                json!({
                    "service_name": name, "task_definition": format!("{name}:1"),
                    "task_arns": [format!("task/{name}")], "desired_count": 1, "running_count": 1,
                    "pending_count": 0, "status": "RUNNING",
                })
            };
            json!({
                "packs": ["ingest", "rtdl"], "services": [service("ig"), service("case-mgmt")],
                "run_scope": {"key": "REQUIRED_PLATFORM_RUN_ID", "value": RUN},
            })
        }
        Form::StreamSortReceipt => json!({
            "stream_view_id": "v1", "engine_run_root": "s3://o/raw", "stream_view_root": "s3://o/v",
            "output_ids": ["arrival_events_5B"], "sort_keys": ["ts_utc"],
            "partition_granularity": "day", "source_locator_digest": "34".repeat(32),
            "raw_stats": stats, "sorted_stats": stats, "created_utc": "2026-02-01T00:00:00Z",
            "status": "OK",
        }),
        Form::IgReady => json!({
            "task_arn": "task/ig", "health": {"status": "OK"},
            "auth": {"unauthenticated_status": 401, "authenticated_status": 202},
            "kafka_smoke": {"topic": "t", "partition": 0, "offset": 0}, "s3_smoke_key": "smoke/1",
        }),
        Form::ReadySignal => json!({
            "run_id": "r", "platform_run_id": RUN, "scenario_run_id": SCENARIO,
            "facts_view_ref": "s3://f", "bundle_hash": "b", "message_id": "m",
            "run_config_digest": digest, "manifest_fingerprint": "ab".repeat(32),
            "parameter_hash": "p", "scenario_id": "s",
        }),
        Form::ReadyPublishReceipt => json!({
            "scenario_run_id": SCENARIO, "topic": "fp.bus.control.v1", "partition": 0, "offset": 0,
            "timestamp": 1_772_366_700_000_i64, "run_config_digest": digest,
        }),
        _ => json!({"scenario_run_id": SCENARIO, "config_digest": digest}),
    }
}

fn closing(form: Form) -> Value {
    let traffic = "fp.bus.traffic.fraud.v1";
    let anchor = |partition: u32, offset: u32| json!({"topic": traffic, "partition": partition, "offset": offset});
    match form {
        Form::Reconciliation => json!({
            "status": "PASS",
            "checks": {"sent_ge_received": true, "received_ge_admit": true, "decision_ge_outcome": true, "archive_seen_ge_archived": true},
            "inputs": {"sent": 25, "received": 25, "admit": 20, "duplicate": 3, "quarantine": 2, "decision": 20, "outcome": 19, "archive_seen": 20, "archived": 20},
            "deltas": {"sent_minus_received": 0, "received_minus_admit": 5, "decision_minus_outcome": 1},
            "basis": {"component_reconciliation_refs": [path(Form::ReceiptSummary)]},
        }),
        Form::RunReport => json!({
            "scenario_run_ids": [SCENARIO],
            "ingress": {"sent": 25, "received": 25, "admit": 20, "duplicate": 3, "quarantine": 2, "publish_ambiguous": 0, "receipt_write_failed": 0},
            "rtdl": {"inlet_seen": 20, "deduped": 0, "degraded": 0, "decision": 20, "outcome": 19, "audit_append": 39},
            "archive": {"seen": 20, "archived": 20}, "case_labels": {"case": 2, "label": 1},
            "evidence_refs": [path(Form::ReceiptSummary)], "basis": {},
        }),
        Form::EnvironmentConformance => {
            let check = |id: &str| json!({"check_id": id, "status": "PASS", "details": {}});
            json!({
                "status": "PASS", "profiles": {},
                "checks": [check("semantic_contract_alignment"), check("policy_revision_presence"), check("security_corridor_posture"), check("governance_event_schema_contract")],
            })
        }
        Form::ReplayAnchors => json!({
            "anchors": {"ingest": [anchor(0, 100), anchor(1, 100)], "rtdl_core": [anchor(0, 109), anchor(1, 100)]},
            "source_refs": [path(Form::KafkaOffsetsSnapshot)], "counts": {"ingest": 2, "rtdl_core": 2},
        }),
        Form::AnomalySummary => json!({
            "anomaly_counts": {"ingress_publish_ambiguous": 0, "ingress_receipt_write_failed": 0, "rtdl_degraded": 1, "case_labels_anomalies_total": 0},
            "anomaly_total": 1,
        }),
        Form::RunCompleted => json!({
            "status": "COMPLETED",
            "closure_refs": {
                "run_report_ref": path(Form::RunReport), "reconciliation_ref": path(Form::Reconciliation),
                "replay_anchors_ref": path(Form::ReplayAnchors), "environment_conformance_ref": path(Form::EnvironmentConformance),
                "anomaly_summary_ref": path(Form::AnomalySummary), "governance_events_ref": path(Form::GovernanceEvent),
            },
        }),
        Form::TeardownProof => json!({
            "destroy_status": "DESTROYED",
            "confirmed_absent": {"ecs_services": false, "db": false, "nat_gateway": false, "load_balancer": false, "confluent_cluster": false},
            "destroyed": ["demo/db", "demo/topics"], "preserved": ["core/evidence"],
            "secrets_absent": {"IG_TOKEN": false}, "evidence_readable": true,
        }),
        Form::DrillReport => json!({
            "drill": "duplicate", "status": "PASS",
            "fault": {"kind": "events sent again", "injected": 3, "took_place": 3},
            "checks": {"duplicate_receipts_present": true, "no_double_actions": true, "no_duplicate_case_records": true, "audit_append_only_preserved": true},
        }),
        Form::QuarantineRecord => json!({
            "quarantine_id": "q", "received_at_utc": "2026-03-01T12:08:00Z", "decision": "QUARANTINE",
            "reason_codes": ["SCHEMA_FAIL"], "manifest_fingerprint": "ab".repeat(32),
            "policy_rev": {"policy_id": "ig", "revision": "1"},
        }),
        Form::GovernanceEvent => json!({"event_id": "e", "family": "RUN_STARTED"}),
        _ => receipt(1, "ADMIT"),
    }
}

pub(crate) fn document(form: Form, value: &Value) -> Document {
    read(form, value.to_string().as_bytes()).unwrap()
}
