//! Samples of the gates over the evidence of a programme.

use std::collections::BTreeMap;

use carnet_ledger::Digest;
use carnet_programme::{CertifiedRun, Check, Drill, Form, Range, Run, Tally, Task, refer};
use serde_json::{Value, json};

use super::super::definition::Facts;
use super::super::evidence_files::{Asked, Found, Said, Seen};
use super::super::{certification, run_agreement, run_evidence};
use super::Sample;
use super::outside::{or_empty, sample};

/// An hour after the run of the examples began.
const NOW_S: i64 = 1_772_366_400 + 3_600;

fn run() -> Value {
    json!({
        "platform_run_id": "platform_20260301T120000Z",
        "scenario_run_id": "00112233445566778899aabbccddeeff",
    })
}

/// What of a form is asked for: those without a place of their own lie beside `run.json`.
fn asked(form: Form) -> Value {
    match form.path() {
        Some(_) => json!({"form": form}),
        None => {
            json!({"form": form, "path": format!("evidence/runs/{{platform_run_id}}/{form}.json")})
        }
    }
}

fn counts(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
    pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

/// The services of the examples, and a job.
fn tasks() -> Vec<Task> {
    let image = Form::Run.example().get("image_digest").and_then(Value::as_str).map(str::to_owned);
    let task = |(role, kind): (&str, &str)| Task {
        role: role.to_owned(),
        kind: kind.to_owned(),
        task_arn: format!("task/{role}"),
        image_digest: image.clone().unwrap_or_default(),
    };
    [("ig", "service"), ("case-mgmt", "service"), ("report", "job")].map(task).into()
}

/// The counts of the lines that go with the examples.
fn tally(form: Form) -> Tally {
    let range = |partition| Range {
        topic: "fp.bus.traffic.fraud.v1".to_owned(),
        partition,
        first: 100,
        last: 109,
        events: 10,
    };
    let reason_codes = counts(&[("SCHEMA_FAIL", 2)]);
    if form == Form::GovernanceEvent {
        let families = counts(&[("RUN_STARTED", 1), ("RUN_ENDED", 1)]);
        let first_lines = counts(&[("RUN_STARTED", 1), ("RUN_ENDED", 2)]);
        return Tally { lines: 2, families, first_lines, ..Tally::default() };
    }
    if form == Form::TaskRun {
        return Tally { lines: 3, tasks: tasks(), ..Tally::default() };
    }
    if form == Form::QuarantineRecord {
        return Tally { lines: 2, reason_codes, ..Tally::default() };
    }
    Tally {
        lines: 25,
        decisions: counts(&[("ADMIT", 20), ("DUPLICATE", 3), ("QUARANTINE", 2)]),
        event_classes: counts(&[("traffic_fraud", 25)]),
        event_types: counts(&[("s3_event_stream_with_fraud_6B", 25)]),
        reason_codes,
        ranges: vec![range(0), range(1)],
        ..Tally::default()
    }
}

/// The marker refers to the other files as they are; no other file does.
fn closed(text: &str, seen: impl Fn(Form) -> Seen) -> String {
    let mut marker: Value = serde_json::from_str(text).unwrap_or_default();
    refer(&mut marker, |form| seen(form).found.map(|found| found.sha256));
    marker.to_string()
}

fn seen(form: Form) -> Seen {
    let text = closed(&form.example().to_string(), seen);
    let said = if form.is_lines() {
        Said::Lines(Box::new(tally(form)))
    } else {
        Said::Text(text.clone().into())
    };
    let bytes = u64::try_from(text.len()).unwrap_or_default();
    let found = Some(Found { bytes, sha256: Digest::of(text.as_bytes()), said });
    let run: Run = serde_json::from_value(run()).unwrap_or_default();
    let asked: Option<Asked> = serde_json::from_value(asked(form)).ok();
    let path = asked.and_then(|asked| asked.path(&run).ok()).unwrap_or_default();
    Seen { path, form, found, elsewhere: None }
}

fn missing(form: Form) -> Seen {
    Seen { found: None, ..seen(form) }
}

/// One sample for each file that can be asked for, and one for files that are pinned or may be
/// missing.
pub(super) fn evidence() -> Vec<Sample> {
    let facts =
        |files: Vec<Seen>| Facts::RunEvidence(run_evidence::Facts { now_s: Some(NOW_S), files });
    let rule = |files: Value| json!({"root": "evidence", "run": run(), "files": files});
    let mut samples: Vec<Sample> = Vec::new();
    for form in Form::ALL {
        let with = rule(json!([asked(*form)]));
        let one = sample("run_evidence", &with, facts(vec![seen(*form)]));
        samples.extend(or_empty(one, &facts(vec![missing(*form)])));
    }
    let pinned = seen(Form::Run).found.map(|found| found.sha256);
    let files = json!([{"form": "run", "sha256": pinned}, {"form": "quarantine_summary", "optional": true}]);
    let there = facts(vec![seen(Form::Run), missing(Form::QuarantineSummary)]);
    samples.extend(sample("run_evidence", &rule(files), there));
    samples
}

/// One sample for each check, over the files that it needs, and one for all of them.
pub(super) fn agreements() -> Vec<Sample> {
    let mut samples = Vec::new();
    let all: Vec<Form> = Form::ALL
        .iter()
        .copied()
        .filter(|form| !matches!(form, Form::DrillReport | Form::WriterConflict))
        .collect();
    for check in Check::ALL {
        let mut needs = check.needs().to_vec();
        if *check == Check::Receipts {
            needs.push(Form::QuarantineSummary);
        }
        samples.extend(agreement(&[*check], &needs));
    }
    samples.extend(agreement(Check::ALL, &all));
    samples
}

fn agreement(checks: &[Check], forms: &[Form]) -> Vec<Sample> {
    let facts =
        |files: Vec<Seen>| Facts::RunAgreement(run_agreement::Facts { now_s: Some(NOW_S), files });
    let files: Vec<Value> = forms.iter().map(|form| asked(*form)).collect();
    let mut with = json!({"root": "evidence", "run": run(), "files": files, "checks": checks});
    if let Some(with) = with.as_object_mut().filter(|_| checks.contains(&Check::Placement)) {
        with.insert("compute".to_owned(), json!(["task/"]));
    }
    let there = facts(forms.iter().map(|form| seen(*form)).collect());
    let missing = facts(forms.iter().map(|form| missing(*form)).collect());
    or_empty(sample("run_agreement", &with, there), &missing)
}

/// The report of the example, as that of another drill.
fn of_drill(text: &str, drill: Drill) -> String {
    let report = serde_json::from_str::<Value>(text);
    let (Ok(Value::Object(mut report)), Drill::SecondWriter) = (report, drill) else {
        return text.to_owned();
    };
    if report.contains_key("drill") {
        let checks =
            json!({"refused_by_lock": true, "conflict_recorded": true, "one_writer": true});
        report.insert("drill".to_owned(), drill.name().into());
        report.insert("checks".to_owned(), checks);
    }
    Value::Object(report).to_string()
}

/// A file of a run that began at this hour.
fn seen_at(hour: u32, drill: Drill, form: Form) -> Seen {
    let moved = |text: &str| {
        let text = text.replace("20260301T12", &format!("20260301T{hour}"));
        text.replace("2026-03-01T12", &format!("2026-03-01T{hour}"))
    };
    let Seen { path, found, .. } = seen(form);
    let found = found.map(|found| match found.said {
        Said::Text(text) => {
            let text = moved(&of_drill(&text, drill));
            let text = closed(&text, |form| seen_at(hour, drill, form));
            let bytes = u64::try_from(text.len()).unwrap_or_default();
            Found { bytes, sha256: Digest::of(text.as_bytes()), said: Said::Text(text.into()) }
        }
        Said::Lines(_) | Said::Refused { .. } => found,
    });
    let path = if form == Form::DrillReport {
        path.replace("drill_report", &format!("drills/{}", drill.name()))
    } else {
        path
    };
    Seen { path: moved(&path), form, found, elsewhere: None }
}

/// A shakedown, a run, its repetition and a drill, an hour each.
pub(super) fn certifications() -> Vec<Sample> {
    [Drill::Duplicate, Drill::SecondWriter].into_iter().flat_map(certification).collect()
}

fn certification(drill: Drill) -> Vec<Sample> {
    let id = |hour: u32| format!("platform_20260301T{hour}0000Z");
    let run = |hour: u32| json!({"platform_run_id": id(hour), "scenario_run_id": "00112233445566778899aabbccddeeff"});
    let with = json!({
        "root": "evidence",
        "runs": [
            {"run": run(12), "events": 20},
            {"run": run(13), "events": 20},
            {"run": run(14), "events": 20, "same_meaning_as": id(13)},
        ],
        "drills": [{"run": run(15), "drill": drill}],
    });
    let runs = [12, 13, 14].map(|hour| (hour, CertifiedRun::forms(hour > 12)));
    let parts = runs.into_iter().chain([(15, drill.forms().to_vec())]);
    let files: Vec<Seen> = parts
        .flat_map(|(hour, forms)| forms.into_iter().map(move |form| seen_at(hour, drill, form)))
        .collect();
    let gone = files.iter().map(|seen| Seen { found: None, ..seen.clone() }).collect();
    let facts = |files| {
        Facts::Certification(certification::Facts { now_s: Some(NOW_S + 3 * 3_600), files })
    };
    or_empty(sample("certification", &with, facts(files)), &facts(gone))
}
