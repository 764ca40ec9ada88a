use carnet_ledger::Digest;
use serde_json::{Value, json};

use super::*;
use crate::agree::refer;
use crate::example::document;
use crate::form::Form;
use crate::read::Document;
use crate::tally::Tally;
use crate::wrong::WrongKind;

/// The files of one run, that a test changes.
struct Files {
    documents: Vec<(Form, Value)>,
    drill: Option<Drill>,
    events: u64,
    repeats: Option<usize>,
}

/// A run of 20 events that began at this hour, or a drill.
fn at(hour: u32, forms: &[Form]) -> Files {
    let documents = forms.iter().filter(|form| !form.is_lines()).map(|form| {
        let text = form.example().to_string();
        let text = text.replace("20260301T12", &format!("20260301T{hour}"));
        let text = text.replace("2026-03-01T12", &format!("2026-03-01T{hour}"));
        (*form, serde_json::from_str(&text).unwrap())
    });
    Files { documents: documents.collect(), drill: None, events: 20, repeats: None }
}

/// A drill that began at this hour.
fn drill(hour: u32, drill: Drill) -> Files {
    Files { drill: Some(drill), ..at(hour, drill.forms()) }
}

/// A shakedown, a run after it, one that repeats this one, and a drill.
fn whole() -> [Files; 4] {
    let runs = [12, 13, 14].map(|hour| at(hour, &CertifiedRun::forms(hour > 12)));
    let [shakedown, first, again] = runs;
    [shakedown, first, Files { repeats: Some(1), ..again }, drill(15, Drill::Duplicate)]
}

impl Files {
    fn of(&mut self, form: Form) -> &mut Value {
        &mut self.documents.iter_mut().find(|file| file.0 == form).unwrap().1
    }

    fn set(&mut self, form: Form, pointer: &str, value: Value) {
        *self.of(form).pointer_mut(pointer).unwrap_or_else(|| panic!("{form} {pointer}")) = value;
    }

    fn id(&self) -> &str {
        self.documents[0].1["platform_run_id"].as_str().unwrap()
    }

    fn path(&self, form: Form) -> String {
        form.path().unwrap_or("x").replace("{platform_run_id}", self.id())
    }

    /// The files with their paths; the marker refers to them as they are.
    fn written(&self) -> Vec<(String, Digest, Document)> {
        let sha256 = |value: &Value| Digest::of(value.to_string().as_bytes());
        let digests = self.documents.iter().map(|(form, value)| (*form, sha256(value)));
        let mut digests: std::collections::BTreeMap<_, _> = digests.collect();
        digests.insert(Form::GovernanceEvent, Digest::of(b""));
        let read = self.documents.iter().map(|(form, value)| {
            let mut value = value.clone();
            if *form == Form::RunCompleted {
                refer(&mut value, |form| digests.get(&form).copied());
            }
            (self.path(*form), sha256(&value), document(*form, &value))
        });
        read.collect()
    }
}

fn judged(files: &[Files]) -> Result<Agreed, Wrong> {
    let read: Vec<_> = files.iter().map(Files::written).collect();
    let families = ["RUN_STARTED", "RUN_ENDED"].map(|it| (it.to_owned(), 1)).into();
    let first_lines = [("RUN_STARTED".to_owned(), 1), ("RUN_ENDED".to_owned(), 2)].into();
    let events = Tally { lines: 2, families, first_lines, ..Tally::default() };
    let log = |files: &Files| format!("evidence/runs/{}/obs/governance/events.jsonl", files.id());
    let logs: Vec<String> = files.iter().map(log).collect();
    let (mut runs, mut drills) = (Vec::new(), Vec::new());
    for (spot, (files, read)) in files.iter().zip(&read).enumerate() {
        let mut evidence = Evidence::default();
        for (path, sha256, document) in read {
            evidence.add(path, *sha256, document);
        }
        if let Some(drill) = files.drill {
            drills.push(DrilledRun { evidence, drill });
            continue;
        }
        let sha256 = Digest::of(b"");
        evidence.add_lines(&logs[spot], sha256, Form::GovernanceEvent, &events);
        runs.push(CertifiedRun { evidence, events: files.events, repeats: files.repeats });
    }
    certify(&runs, &drills)
}

#[track_caller]
fn says(files: &[Files], kind: WrongKind, reason: &str) {
    let wrong = judged(files).unwrap_err();
    assert_eq!(wrong.kind, kind, "{wrong}");
    assert!(wrong.what.contains(reason), "{wrong}");
}

/// What is said after a change of one file of one run.
#[track_caller]
fn changed(run: usize, form: Form, pointer: &str, value: Value, reason: &str) {
    let mut files = whole();
    files[run].set(form, pointer, value);
    says(&files, WrongKind::Differs, reason);
}

#[test]
fn a_shakedown_a_run_its_repetition_and_a_drill_certify() {
    let agreed = judged(&whole()).unwrap();
    assert!(agreed.compared > 60, "{agreed:?}");
}

#[test]
fn too_little_is_no_data() {
    let [shakedown, first, again, drill] = whole();
    says(&[], WrongKind::Empty, "there is no run");
    says(&[shakedown, drill], WrongKind::Empty, "no run after the shakedown");
    let [shakedown, ..] = whole();
    says(&[shakedown, first, again], WrongKind::Empty, "there is no drill");
    for run in 0..4 {
        for spot in 0..whole()[run].documents.len() {
            let mut files = whole();
            let (form, _) = files[run].documents.remove(spot);
            let wrong = judged(&files).unwrap_err();
            assert_eq!(wrong.kind, WrongKind::Empty, "{run} {form}: {wrong}");
            assert!(wrong.what.contains(form.name()) || form == Form::DrillReport, "{wrong}");
        }
    }
}

#[test]
fn a_run_that_is_not_closed_certifies_nothing() {
    let id = "platform_20260301T130000Z: closure: run_completed has run_report_ref x";
    let mut files = whole();
    files[1].set(Form::RunCompleted, "/closure_refs/run_report_ref/ref", json!("x"));
    says(&files, WrongKind::Empty, id);
    changed(0, Form::EnvironmentConformance, "/status", json!("DEGRADED"), "no PASS");
    changed(2, Form::Reconciliation, "/status", json!("WARN"), "the status WARN");
}

#[test]
fn exactly_as_many_events_were_admitted_as_are_demanded() {
    for events in [19, 21] {
        let mut files = whole();
        files[1].events = 21;
        files[2].events = 21;
        says(&files, WrongKind::Differs, "receipt_summary says that 20 were admitted, not 21");
        let mut files = whole();
        files[0].events = events;
        says(&files, WrongKind::Differs, "20 were admitted");
    }
    for form in [Form::ReceiptSummary, Form::RunReport, Form::SemanticDigest] {
        for (_, copy) in crate::spoiled_certified(form, &form.example()) {
            let mut files = whole();
            let (text, hour) = (copy.to_string(), "20260301T13");
            *files[1].of(form) = serde_json::from_str(&text.replace("20260301T12", hour)).unwrap();
            says(&files, WrongKind::Differs, "");
        }
    }
}

#[test]
fn all_run_on_one_image() {
    for run in 0..4 {
        changed(run, Form::Run, "/image_digest", json!("0".repeat(64)), "has the image");
    }
}

#[test]
fn the_run_after_the_shakedown_is_not_smaller_and_began_later() {
    let mut files = whole();
    files[0].events = 21;
    for pointer in ["/by_outcome/ADMIT", "/admission_states/ADMITTED", "/total"] {
        let summary = files[0].of(Form::ReceiptSummary).pointer_mut(pointer).unwrap();
        *summary = json!(summary.as_u64().unwrap() + 1);
    }
    files[0].set(Form::ReceiptSummary, "/by_event_class/traffic_fraud", json!(26));
    let types = json!({"s3_event_stream_with_fraud_6B": 26});
    files[0].set(Form::ReceiptSummary, "/by_event_type", types);
    for key in ["admit", "received", "sent"] {
        let count = &mut files[0].of(Form::RunReport)["ingress"][key];
        *count = json!(count.as_u64().unwrap() + 1);
    }
    says(&files, WrongKind::Differs, "it has 20 events, and the shakedown before it 21");
    let closed = "the shakedown was closed only at";
    let began = json!("2026-03-01T13:30:00.25Z");
    changed(0, Form::RunCompleted, "/written_at_utc", began.clone(), closed);
    let mut files = whole();
    files[0].set(Form::RunCompleted, "/written_at_utc", json!("2026-03-01T13:30:00.249Z"));
    judged(&files).unwrap();
    changed(2, Form::Run, "/written_at_utc", json!("2026-03-01T12:30:00.25Z"), closed);
}

#[test]
fn a_repetition_is_another_run_of_one_configuration_that_meant_the_same() {
    let meaning = crate::spoiled_certified(Form::SemanticDigest, &Form::SemanticDigest.example());
    let other = meaning.iter().find(|(name, _)| *name == "other_meaning").unwrap();
    for run in [1, 2] {
        let mut files = whole();
        for key in ["sections", "semantic_digest"] {
            files[run].of(Form::SemanticDigest)[key] = other.1[key].clone();
        }
        says(&files, WrongKind::Differs, "and that of platform_20260301T130000Z, which it repeats");
        let other = json!("0".repeat(64));
        changed(run, Form::SemanticDigest, "/config_digest", other, "another configuration");
    }
    let mut files = whole();
    let run = files[2].of(Form::Run);
    run.as_object_mut().unwrap().remove("config");
    run["config_ref"] = json!("config.json");
    run["config_digest"] = json!("0".repeat(64));
    says(&files, WrongKind::Differs, "run has another configuration");
    let mut itself = whole();
    itself[2] = Files { repeats: Some(1), ..at(13, &CertifiedRun::forms(true)) };
    says(&itself, WrongKind::Differs, "is that of the run which it repeats");
    let mut later = whole();
    later[2].repeats = Some(2);
    says(&later, WrongKind::Empty, "no earlier run which it repeats");
    let mut alone = whole();
    alone[1].repeats = Some(0);
    says(&alone, WrongKind::Empty, "there is no semantic_digest");
}

#[test]
fn a_drill_is_the_one_that_was_asked_for_and_its_fault_took_place() {
    let mut files = whole();
    files[3].set(Form::DrillReport, "/fault/took_place", json!(0));
    says(&files, WrongKind::Empty, "none of them took place");
    let checks =
        json!({"quarantined_as_ambiguous": true, "not_published_again": true, "gate_closed": true});
    let mut files = whole();
    files[3].set(Form::DrillReport, "/drill", json!("ambiguous_publish"));
    files[3].set(Form::DrillReport, "/checks", checks);
    says(&files, WrongKind::Differs, "is of ambiguous_publish, not duplicate");
    let all = [Drill::Duplicate, Drill::AmbiguousPublish, Drill::SecondWriter];
    let schema = Form::DrillReport.schema();
    assert_eq!(json!(all), schema["properties"]["drill"]["enum"]);
    assert_eq!(json!(all), json!(all.map(Drill::name)));
}

#[test]
fn a_certified_run_has_nothing_in_flight_and_nothing_ambiguous() {
    for state in ["PUBLISH_IN_FLIGHT", "PUBLISH_AMBIGUOUS"] {
        let at = format!("/admission_states/{state}");
        changed(1, Form::ReceiptSummary, &at, json!(1), "unresolved");
    }
    let mut files = whole();
    files[1].of(Form::ReceiptSummary).as_object_mut().unwrap().remove("admission_states");
    says(&files, WrongKind::Empty, "unresolved");
}

#[test]
fn a_drill_is_not_taken_at_its_word() {
    let mut files = whole();
    files[3].set(Form::ReceiptSummary, "/by_outcome/DUPLICATE", json!(2));
    files[3].set(Form::ReceiptSummary, "/by_outcome/QUARANTINE", json!(3));
    files[3].set(Form::ReceiptSummary, "/by_reason_code/SCHEMA_FAIL", json!(3));
    says(&files, WrongKind::Differs, "shows 2 at /by_outcome/DUPLICATE");
}

#[test]
fn a_second_writer_is_shown_by_what_the_first_one_left() {
    let with = |form: Form, pointer: &str, value: Value| {
        let [shakedown, first, again, _] = whole();
        let mut lost = drill(15, Drill::SecondWriter);
        lost.set(Form::DrillReport, "/drill", json!("second_writer"));
        let told = json!({"refused_by_lock": true, "conflict_recorded": true, "one_writer": true});
        lost.set(Form::DrillReport, "/checks", told);
        lost.set(form, pointer, value);
        [shakedown, first, again, lost]
    };
    let conflict = Form::WriterConflict;
    judged(&with(conflict, "/loser", json!("20260301T152930Z-3"))).unwrap();
    let differs = |pointer, value, reason| {
        says(&with(conflict, pointer, value), WrongKind::Differs, reason);
    };
    differs("/lock_key", json!("reporter:other"), "is about the lock reporter:other");
    differs("/held_by/generation", json!(2), "was refused by the lease 2, and the lease 1 wrote");
    differs("/loser", json!("20260301T152900Z-1"), "was refused by itself");
    differs("/written_at_utc", json!("2026-03-01T15:30:01Z"), "and the run was closed at");
    says(&with(conflict, "/held_by", Value::Null), WrongKind::Empty, "who held the lock");
    let mut gone = with(conflict, "/loser", json!("20260301T152930Z-3"));
    gone[3].documents.retain(|(form, _)| *form != conflict);
    says(&gone, WrongKind::Empty, "there is no writer_conflict to compare with");
}

#[test]
fn the_image_may_be_pinned_by_who_asks() {
    let files = at(12, &CertifiedRun::forms(false));
    let read = files.written();
    let mut evidence = Evidence::default();
    for (path, sha256, document) in &read {
        evidence.add(path, *sha256, document);
    }
    let run = CertifiedRun { evidence, events: 20, repeats: None };
    let pinned = Form::Run.example()["image_digest"].as_str().unwrap().to_owned();
    has_image(&run, &pinned).unwrap();
    let wrong = has_image(&run, &format!("sha256:{}", "0".repeat(64))).unwrap_err();
    assert!(wrong.what.contains("has the image"), "{wrong}");
}
