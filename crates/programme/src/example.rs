//! The evidence of a small run that adds up, for tests.

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
    let mut receipt = Form::IngestionReceipt.example();
    receipt["receipt_id"] = json!(format!("{number:032x}"));
    receipt["event_id"] = json!(number.to_string());
    receipt["decision"] = json!(decision);
    if decision == "QUARANTINE" {
        let members = receipt.as_object_mut().unwrap();
        members.retain(|key, _| {
            !["eb_ref", "payload_hash", "admitted_at_utc"].contains(&key.as_str())
        });
        receipt["evidence_refs"] = json!([{"kind": "quarantine_record", "ref": "ig/quarantine/1"}]);
        receipt["reason_codes"] = json!(["SCHEMA_FAIL"]);
    } else {
        receipt["eb_ref"]["partition"] = json!(number % 2);
        receipt["eb_ref"]["offset"] = json!(100 + number / 2);
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

/// Two services and a job, one a line.
pub(crate) fn task_runs() -> String {
    let roles = [("ig", "service"), ("case-mgmt", "service"), ("report", "job")];
    let line = |(role, kind): (&str, &str)| {
        let mut line = Form::TaskRun.example();
        line["role"] = json!(role);
        line["kind"] = json!(kind);
        line["task_arn"] = json!(format!("task/{role}"));
        format!("{line}\n")
    };
    roles.into_iter().map(line).collect()
}

pub(crate) fn path(form: Form) -> String {
    let path = form.path().unwrap_or("evidence/runs/{platform_run_id}/other.json");
    crate::Template::parse(path).unwrap().expand(&run()).unwrap()
}

pub(crate) fn value(form: Form) -> Value {
    form.example()
}

pub(crate) fn document(form: Form, value: &Value) -> Document {
    read(form, value.to_string().as_bytes()).unwrap()
}
