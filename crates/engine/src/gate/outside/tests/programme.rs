//! Evidence of a programme, in a folder and in a bucket.

use std::fmt::Write;

use carnet_programme::{CertifiedRun, Check, Drill, FILE_BYTES_MAX, Form};

use super::*;

const RUN: &str = "platform_20260301T120000Z";
const HOME: &str = "evidence/runs/platform_20260301T120000Z";

const REPLAY: &str = "evidence/runs/{platform_run_id}/certification/replay_archive.json";

fn run() -> Value {
    json!({"platform_run_id": RUN, "scenario_run_id": "00112233445566778899aabbccddeeff"})
}

fn evidence(form: Form) -> Value {
    json!({"root": ".", "run": run(), "files": [{"form": form}]})
}

fn receipts(admit: usize, duplicate: usize, quarantine: usize) -> String {
    let kinds = [("ADMIT", admit), ("DUPLICATE", duplicate), ("QUARANTINE", quarantine)];
    let decisions = kinds.iter().flat_map(|(name, count)| std::iter::repeat_n(*name, *count));
    let mut text = String::new();
    let example = Form::IngestionReceipt.example();
    for (number, decision) in decisions.enumerate() {
        let mut receipt = example.clone();
        receipt["receipt_id"] = json!(format!("{number:032x}"));
        receipt["event_id"] = json!(number.to_string());
        receipt["decision"] = json!(decision);
        receipt["eb_ref"]["partition"] = json!(number % 2);
        receipt["eb_ref"]["offset"] = json!(100 + number / 2);
        if decision == "QUARANTINE" {
            receipt["reason_codes"] = json!(["SCHEMA_FAIL"]);
            receipt["evidence_refs"] = json!([{"kind": "record", "ref": "ig/quarantine/1"}]);
        }
        writeln!(text, "{receipt}").unwrap();
    }
    text
}

/// Two services and a job.
fn task_runs() -> String {
    let mut text = String::new();
    for (role, kind) in [("ig", "service"), ("case-mgmt", "service"), ("report", "job")] {
        let mut task = Form::TaskRun.example();
        task["role"] = json!(role);
        task["kind"] = json!(kind);
        task["task_arn"] = json!(format!("task/{role}"));
        writeln!(text, "{task}").unwrap();
    }
    text
}

/// Has the marker of a run refer to its files as they are.
fn pin(place: &Place, home: &str) {
    let folder = place.folder.path();
    let path = format!("{home}/run_completed.json");
    let Ok(text) = fs::read_to_string(folder.join(&path)) else { return };
    let mut marker: Value = serde_json::from_str(&text).unwrap();
    for reference in marker["closure_refs"].as_object_mut().unwrap().values_mut() {
        if let Ok(bytes) = fs::read(folder.join(reference["ref"].as_str().unwrap())) {
            reference["sha256"] = json!(Digest::of(&bytes));
        }
    }
    place.write(&path, &marker.to_string());
}

/// The evidence of a run that adds up.
fn whole() -> Place {
    let place = Place::new();
    for form in Form::ALL.iter().filter(|form| !form.is_lines()) {
        let path = form.path().or((*form == Form::Replay).then_some(REPLAY));
        if let Some(path) = path {
            let text = serde_json::to_string_pretty(&form.example()).unwrap();
            place.write(&path.replace("{platform_run_id}", RUN), &text);
        }
    }
    let receipts = receipts(20, 3, 2);
    place.write(&format!("{HOME}/ingest/receipts.jsonl"), &receipts);
    let event = |family: &str| {
        let mut event = Form::GovernanceEvent.example();
        event["family"] = json!(family);
        format!("{event}\n")
    };
    let events = event("RUN_STARTED") + &event("RUN_ENDED");
    place.write(&format!("{HOME}/obs/governance/events.jsonl"), &events);
    place.write(&format!("{HOME}/operate/task_runs.jsonl"), &task_runs());
    pin(&place, HOME);
    place
}

fn agreement() -> Value {
    let mut forms: Vec<Form> = Check::ALL.iter().flat_map(|it| it.needs()).copied().collect();
    forms.extend([Form::QuarantineSummary, Form::CaseSummary, Form::LabelSummary]);
    forms.sort();
    forms.dedup();
    let asked = |form: &Form| match form.path() {
        Some(_) => json!({"form": form}),
        None => json!({"form": form, "path": REPLAY}),
    };
    let files: Vec<Value> = forms.iter().map(asked).collect();
    json!({
        "root": ".", "run": run(), "files": files, "checks": Check::ALL, "compute": ["task/"],
    })
}

#[test]
fn the_evidence_of_a_run_agrees_and_each_damage_of_a_file_is_told() {
    let place = whole();
    place.says("run_agreement", &agreement(), Pass, "agree by 11 checks");
    let more = receipts(21, 3, 2);
    place.write(&format!("{HOME}/ingest/receipts.jsonl"), &more);
    place.says(
        "run_agreement",
        &agreement(),
        Fail,
        "receipts: receipt_summary says that total is 25",
    );
    place.write(&format!("{HOME}/ingest/receipts.jsonl"), "");
    place.says("run_agreement", &agreement(), NoData, "receipts.jsonl has no lines");
    place
        .write(&format!("{HOME}/ingest/receipts.jsonl"), &(receipts(20, 3, 2) + "{\"receipt_id\""));
    place.says("run_agreement", &agreement(), Fail, "line 26 of");
    place.says("run_agreement", &agreement(), Fail, "(truncated)");
    place.write(&format!("{HOME}/ingest/receipts.jsonl"), &receipts(20, 3, 2));
    let elsewhere = task_runs().replace("task/report", "process:laptop:7");
    place.write(&format!("{HOME}/operate/task_runs.jsonl"), &elsewhere);
    let reason = "placement: report ran as process:laptop:7, and not at task/";
    place.says("run_agreement", &agreement(), Fail, reason);
}

#[test]
fn each_bad_file_is_refused_by_name() {
    let place = whole();
    let form = Form::ReceiptSummary;
    let path = format!("{HOME}/ingest/receipt_summary.json");
    let good = form.example();
    place.says("run_evidence", &evidence(form), Pass, "1 file is there");
    let pretty = serde_json::to_string_pretty(&good).unwrap();
    let with = |key: &str, value: Value| {
        let mut copy = good.clone();
        copy[key] = value;
        copy.to_string()
    };
    let mut fewer = good.clone();
    fewer.as_object_mut().unwrap().remove("by_event_type");
    let cases = [
        (format!("\u{feff}{pretty}"), "(byte_order_mark)"),
        (pretty.replace('\n', "\r\n"), "(carriage_return)"),
        (pretty[..pretty.len() - 2].to_owned(), "(truncated)"),
        (fewer.to_string(), "(missing_field)"),
        (with("extra", json!(1)), "(unknown_field)"),
        (with("total", json!("25")), "(wrong_type)"),
        (pretty.replacen('{', "{\"total\": 25,", 1), "(duplicate_key)"),
        (with("platform_run_id", json!("platform_20260301T120001Z")), "(other_run)"),
        (with("written_at_utc", json!("2026-03-01T11:00:00Z")), "(before_run)"),
        (with("written_at_utc", json!("2027-01-15T08:00:06Z")), "(in_future)"),
        (format!("{pretty}{}", " ".repeat(FILE_BYTES_MAX)), "(too_large)"),
    ];
    for (text, name) in cases {
        place.write(&path, &text);
        place.says("run_evidence", &evidence(form), Fail, name);
    }
    // Five seconds are what clocks may differ by.
    place.write(&path, &with("written_at_utc", json!("2027-01-15T08:00:05Z")));
    place.says("run_evidence", &evidence(form), Pass, "add up");
    fs::write(place.folder.path().join(&path), b"{\"\xff\": 1}").unwrap();
    place.says("run_evidence", &evidence(form), Fail, "(not_utf8)");
    place.write(&path, "");
    place.says("run_evidence", &evidence(form), NoData, "is empty");
}

/// A run in which nothing was put aside has no line of it: a sentence beside others, and none alone.
#[test]
fn an_empty_quarantine_shows_nothing_alone() {
    let place = whole();
    place.write(&format!("{HOME}/ig/quarantine.jsonl"), "");
    let mut with = evidence(Form::QuarantineRecord);
    let reason = "nothing stands in any of the files";
    place.says("run_evidence", &with, NoData, reason);
    with["files"] = json!([{"form": "quarantine_record"}, {"form": "receipt_summary"}]);
    place.says("run_evidence", &with, Pass, "2 files are there");
    with["files"][1]["optional"] = json!(true);
    let summary = format!("{HOME}/ingest/receipt_summary.json");
    fs::remove_file(place.folder.path().join(summary)).unwrap();
    place.says("run_evidence", &with, NoData, reason);
}

/// Overwritten after the run was closed, and each file by itself as good as before.
#[test]
fn a_report_that_was_overwritten_after_the_closure_is_told() {
    let place = whole();
    let mut report = Form::RunReport.example();
    report["ingress"]["sent"] = json!(26);
    place.write(&format!("{HOME}/obs/run_report.json"), &report.to_string());
    place.says("run_evidence", &evidence(Form::RunReport), Pass, "add up");
    let files: Vec<_> = Check::Closure.needs().iter().map(|form| json!({"form": form})).collect();
    let with = json!({"root": ".", "run": run(), "files": files, "checks": ["closure"]});
    let reason = "obs/run_report.json was overwritten after run_completed referred to it";
    place.says("run_agreement", &with, Fail, reason);
}

/// In practice: evidence was missing at its place while a file of a similar name lay elsewhere, and
/// evidence was overwritten.
#[test]
fn what_lies_elsewhere_or_was_overwritten_is_no_evidence() {
    let place = whole();
    let report = place.folder.path().join(format!("{HOME}/obs/run_report.json"));
    let moved = place.folder.path().join(format!("{HOME}/obs/platform_run_report.json"));
    fs::rename(&report, &moved).unwrap();
    let other = "obs/platform_run_report.json has a similar name, and is not that file";
    place.says("run_evidence", &evidence(Form::RunReport), NoData, other);
    fs::remove_file(&moved).unwrap();
    place.says("run_evidence", &evidence(Form::RunReport), NoData, "there is nothing at");
    let mut pinned = evidence(Form::KafkaOffsetsSnapshot);
    let path = format!("{HOME}/ingest/kafka_offsets_snapshot.json");
    let text = fs::read(place.folder.path().join(&path)).unwrap();
    pinned["files"][0]["sha256"] = json!(Digest::of(&text));
    place.says("run_evidence", &pinned, Pass, "add up");
    let mut later = Form::KafkaOffsetsSnapshot.example();
    later["written_at_utc"] = json!("2026-03-01T12:40:00Z");
    place.write(&path, &later.to_string());
    place.says("run_evidence", &pinned, Fail, "it was overwritten");
}

#[test]
fn evidence_in_a_bucket_is_read_in_the_same_way() {
    let mut place = Place::new();
    let mut with = evidence(Form::CaughtUp);
    with["root"] = json!("s3://evidence/lab?endpoint=http://127.0.0.1:9000");
    place.says("run_evidence", &with, NoData, "there is nothing at");
    place.world.object = Some(Form::CaughtUp.example().to_string().leak().as_bytes());
    place.says("run_evidence", &with, Pass, "add up");
    let behind =
        Form::CaughtUp.example().to_string().replace("106", "90").replace("\"lag\":4", "\"lag\":0");
    place.world.object = Some(behind.leak().as_bytes());
    place.says("run_evidence", &with, Fail, "is 0, and it is 20");
}

/// What is kept of a file of lines does not grow with it.
#[test]
fn many_lines_are_counted_and_not_kept() {
    let place = Place::new();
    let text = receipts(50_000, 0, 0);
    assert!(text.len() > 20_000_000, "{}", text.len());
    place.write(&format!("{HOME}/ingest/receipts.jsonl"), &text);
    let with = evidence(Form::IngestionReceipt);
    let rule = read_rule("run_evidence", &with).unwrap();
    let around = Surroundings { folder: place.folder.path(), outside: &place.world, clock: &Fixed };
    let (evaluation, observation) = evaluate_outside(&around, &Definition::new(rule));
    assert_eq!(evaluation.judgement.sample, 50_000);
    let kept = serde_json::to_string(&observation.unwrap()).unwrap();
    assert!(kept.len() < 2_000, "{}", kept.len());
}

/// Writes the files of a run that began at this hour.
fn write_at(place: &Place, hour: u32, forms: &[Form]) {
    let write = |path: &str, text: &str| {
        let moved = |text: &str| {
            let text = text.replace("20260301T12", &format!("20260301T{hour}"));
            text.replace("2026-03-01T12", &format!("2026-03-01T{hour}"))
        };
        place.write(&moved(&path.replace("{platform_run_id}", RUN)), &moved(text));
    };
    for form in forms.iter().filter(|form| !form.is_lines()) {
        let drill = "evidence/runs/{platform_run_id}/drills/duplicate.json";
        write(form.path().unwrap_or(drill), &form.example().to_string());
    }
    let mut events = String::new();
    for family in ["RUN_STARTED", "RUN_ENDED"] {
        let mut event = Form::GovernanceEvent.example();
        event["family"] = json!(family);
        writeln!(events, "{event}").unwrap();
    }
    write(Form::GovernanceEvent.path().unwrap(), &events);
    pin(place, &HOME.replace("20260301T12", &format!("20260301T{hour}")));
}

fn id(hour: u32) -> String {
    format!("platform_20260301T{hour}0000Z")
}

fn certification(root: &str) -> Value {
    let run = |hour: u32| json!({"platform_run_id": id(hour)});
    json!({
        "root": root,
        "runs": [
            {"run": run(12), "events": 20},
            {"run": run(13), "events": 20},
            {"run": run(14), "events": 20, "same_meaning_as": id(13)},
        ],
        "drills": [{"run": run(15), "drill": "duplicate"}],
    })
}

/// A shakedown, a run, its repetition and a drill.
fn certified() -> Place {
    let place = Place::new();
    for hour in [12, 13, 14] {
        write_at(&place, hour, &CertifiedRun::forms(hour > 12));
    }
    write_at(&place, 15, Drill::Duplicate.forms());
    place
}

#[test]
fn runs_and_drills_certify_and_each_damage_of_one_of_them_is_told() {
    let place = certified();
    let told = "3 runs of 20, 20, 20 events, 1 repetition and 1 drill certify";
    place.says("certification", &certification("."), Pass, told);
    let mut more = certification(".");
    more["runs"][1]["events"] = json!(200);
    more["runs"][2]["events"] = json!(200);
    place.says("certification", &more, Fail, "says that 20 were admitted, not 200");
    let mut other = certification(".");
    other["drills"][0]["drill"] = json!("second_writer");
    place.says("certification", &other, NoData, "drills/second_writer.json");
    write_at(&place, 15, Drill::SecondWriter.forms());
    other["drills"][0]["path"] = json!("evidence/runs/{platform_run_id}/drills/duplicate.json");
    place.says("certification", &other, Fail, "is of duplicate, not second_writer");
    let cases = [
        (12, Form::RunCompleted, "12:30:00.25Z", "13:30:00.25Z", Fail, "was closed only at"),
        (13, Form::Run, "sha256:12", "sha256:34", Fail, "has the image sha256:34"),
        (
            14,
            Form::SemanticDigest,
            "\"config_digest\":\"f2",
            "\"config_digest\":\"00",
            Fail,
            "another configuration",
        ),
        (
            15,
            Form::DrillReport,
            "\"took_place\":3",
            "\"took_place\":0",
            NoData,
            "none of them took place",
        ),
        (14, Form::RunReport, "20260301T14", "20260301T13", Fail, "(other_run)"),
        (13, Form::Reconciliation, "PASS", "WARN", Fail, "the status WARN"),
    ];
    for (hour, form, from, to, verdict, reason) in cases {
        let place = certified();
        let path = form.path().unwrap_or("evidence/runs/{platform_run_id}/drills/duplicate.json");
        let path = path.replace("{platform_run_id}", &id(hour));
        let text = fs::read_to_string(place.folder.path().join(&path)).unwrap();
        assert!(text.contains(from), "{text}");
        place.write(&path, &text.replace(from, to));
        place.says("certification", &certification("."), verdict, reason);
        if verdict == NoData {
            place.says("certification", &certification("."), verdict, &format!("{}: ", id(hour)));
        }
        fs::remove_file(place.folder.path().join(&path)).unwrap();
        place.says("certification", &certification("."), NoData, "there is nothing at");
    }
}

#[test]
fn runs_in_a_bucket_certify_in_the_same_way() {
    let mut place = certified();
    let url = "s3://evidence/lab?endpoint=http://127.0.0.1:9000";
    place.says("certification", &certification(url), NoData, "there is nothing at");
    place.world.bucket = Some(place.folder.path().to_owned());
    place.says("certification", &certification(url), Pass, "certify");
    let path = format!("evidence/runs/{}/certification/semantic_digest.json", id(14));
    let other = Form::SemanticDigest.example().to_string().replace("20260301T12", "20260301T14");
    place.write(&path, &other.replace("T12:", "T14:").replace("4d38d720", "00000000"));
    place.says("certification", &certification(url), Fail, "another digest than it says");
}
