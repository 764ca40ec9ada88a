//! What a run leaves as evidence: the families that its profile demands, objects behind all that
//! events name, and a refusal for each decision that said no.

use std::collections::{BTreeMap, BTreeSet};

use carnet_connect::VectorRepository as _;
use carnet_connect::{IdRange, LoadMode, LoadRequest, NoProgress, RecordRef, Records, batches};
use carnet_engine::LogReader;
use carnet_ledger::{
    Digest, Event, EventType, EvidenceProfile, Family, Object, Outcome, Refusal, RefusalClass,
    Value, check_members, families_missing, not_admitted,
};
use carnet_model::{CollectionContract, CollectionName};

use super::world::read;
use super::yard::{Yard, embeddings, records};

fn events(yard: &Yard) -> Vec<Event> {
    read(&yard.state()).unwrap().1
}

/// The bytes of an object of the evidence.
fn bytes(yard: &Yard, digest: Digest) -> Vec<u8> {
    LogReader::open(&yard.state()).unwrap().unwrap().object(digest).unwrap()
}

fn of(events: &[Event], event_type: EventType) -> Vec<&Event> {
    events.iter().filter(|event| event.draft.event_type == event_type).collect()
}

fn object(yard: &Yard, digest: Digest) -> Object {
    match Value::parse(&bytes(yard, digest), usize::MAX).unwrap() {
        Value::Object(object) => object,
        // Without the members that the test asks for.
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Text(_) | Value::List(_) => {
            Object::new()
        }
    }
}

fn refusal(event: &Event) -> Option<&Refusal> {
    match &event.draft.outcome {
        Outcome::Refused(refusal) => Some(refusal),
        Outcome::Accepted | Outcome::Failed => None,
    }
}

/// Holds every event to the rules that a stranger's verifier would apply, and looks behind each
/// name of an object.
fn hold(yard: &Yard) -> Vec<Event> {
    let events = events(yard);
    let mut snapshots: BTreeMap<String, BTreeSet<(Digest, Digest)>> = BTreeMap::new();
    for event in &events {
        let (draft, name) = (&event.draft, event.draft.event_type);
        assert_eq!(not_admitted(event.evidence_profile, |it| event.member(it)), [], "{name}");
        assert_eq!(check_members(name.name(), |it| event.member(it)), Ok(()), "{name}");
        for member in ["artifact_ref", "graph_ref"] {
            let Some(Value::Text(text)) = draft.fields.get(member) else { continue };
            let digest = text.strip_prefix("eosc://artifact/sha256:").unwrap().parse().unwrap();
            bytes(yard, digest);
            // What is exported with an event is what its pointer names.
            assert!(events.iter().any(|it| it.draft.evidence_pointer == digest), "{name} {member}");
        }
        for digest in
            [draft.evidence_pointer, draft.policy_snapshot_id, draft.authority_snapshot_id]
        {
            bytes(yard, digest);
        }
        let of_action = snapshots.entry(draft.correlation_id.clone()).or_default();
        of_action.insert((draft.policy_snapshot_id, draft.authority_snapshot_id));
    }
    assert!(snapshots.values().all(|of_action| of_action.len() == 1), "{snapshots:#?}");
    events
}

fn families(events: &[Event]) -> BTreeSet<Family> {
    events.iter().filter_map(|event| event.draft.event_type.family()).collect()
}

fn yard_under(profile: EvidenceProfile) -> Yard {
    Yard::changed("owner: tests", &format!("owner: tests\nevidence: {{ profile: {profile} }}"))
}

#[test]
fn a_run_holds_what_its_profile_demands_but_for_the_export() {
    for profile in [EvidenceProfile::Baseline, EvidenceProfile::Admissible, EvidenceProfile::Ncp] {
        let yard = yard_under(profile);
        assert_eq!(yard.run("").unwrap().status, "done");
        let events = hold(&yard);
        assert!(events.iter().all(|event| event.evidence_profile == profile));
        assert_eq!(families_missing(profile, &families(&events)), [Family::Evid], "{profile}");
    }
}

#[test]
fn the_start_declares_the_way_out_and_what_it_depends_on() {
    let yard = Yard::new();
    yard.run("").unwrap();
    let events = hold(&yard);
    let types: Vec<_> = events.iter().take(4).map(|event| event.draft.event_type).collect();
    let wanted = [
        EventType::ProcessStart,
        EventType::AuthorityCheck,
        EventType::ExitPathDeclare,
        EventType::DependencyGraphPublish,
    ];
    assert_eq!(types, wanted);
    let id = format!("sha256:{}", yard.plan.digest());
    let path = object(&yard, events[2].draft.evidence_pointer);
    assert_eq!(path.get("exit_plan_id"), Some(&id.as_str().into()));
    assert_eq!(path.get("irreversible_steps"), Some(&Value::List(Vec::new())));
    let Some(Value::List(moves)) = path.get("moves") else { panic!("{path:?}") };
    assert_eq!(moves.len(), 4, "records, contracts, checksums, artifacts");
    let graph = object(&yard, events[3].draft.evidence_pointer);
    let Some(Value::List(nodes)) = graph.get("depends_on") else { panic!("{graph:?}") };
    let mut kept = Vec::new();
    for node in nodes {
        let Value::Object(node) = node else { panic!("{node:?}") };
        let Some(Value::Text(id)) = node.get("id") else { panic!("{node:?}") };
        let substitutable = node.get("substitutable") == Some(&true.into());
        assert_eq!(node.contains_key("substitutes"), substitutable, "{id}");
        assert_eq!(node.contains_key("because"), !substitutable, "{id}");
        kept.push((id.as_str(), substitutable));
    }
    assert_eq!(
        kept,
        [
            ("source_store", false),
            ("target_store", true),
            ("snapshot_formats", true),
            ("pause_flag", false),
            ("transfer_inbox", true),
            ("switch", false),
            ("archive", true),
        ]
    );
    let run = of(&events, EventType::ExitValidationRun);
    assert_eq!(run.len(), 1);
    assert_eq!(run[0].draft.fields.get("exit_plan_id"), Some(&id.as_str().into()));
}

#[test]
fn what_moved_is_named_by_its_manifest_and_was_compared() {
    let yard = Yard::new();
    yard.run("").unwrap();
    let events = hold(&yard);
    let manifest = of(&events, EventType::KnowledgeSnapshotExported)[0].draft.evidence_pointer;
    let inventory = bytes(&yard, manifest);
    let inventory: serde_json::Value = serde_json::from_slice(&inventory).unwrap();
    for event_type in [
        EventType::MigrationExport,
        EventType::MigrationImport,
        EventType::MigrationValidate,
        EventType::KnowledgeSnapshotExported,
        EventType::KnowledgeSnapshotReady,
    ] {
        let found = of(&events, event_type);
        assert_eq!(found.len(), 1, "{event_type}");
        let fields = &found[0].draft.fields;
        let hash = Value::Text(format!("sha256:{manifest}"));
        assert_eq!(fields.get("artifact_hash"), Some(&hash), "{event_type}");
        if let Some(id) = fields.get("snapshot_id") {
            assert_eq!(id, &inventory["snapshot_id"].as_str().unwrap().into());
        } else {
            assert_eq!(fields.get("artifact_manifest_hash"), Some(&hash), "{event_type}");
            assert_eq!(fields.get("integrity_verified"), Some(&true.into()), "{event_type}");
        }
    }
}

#[test]
fn each_phase_with_gates_is_decided_by_its_table() {
    let yard = Yard::new();
    yard.run("").unwrap();
    let events = hold(&yard);
    let decided = of(&events, EventType::PolicyEvaluate);
    let phases: Vec<_> = decided.iter().map(|it| it.draft.resource_id.as_deref()).collect();
    assert_eq!(phases, [Some("prepare"), Some("verify"), Some("validate")]);
    let mut gates = 0;
    for event in decided {
        let table = object(&yard, event.draft.evidence_pointer);
        assert_eq!(table.get("result"), Some(&"allow".into()));
        let Some(Value::List(rows)) = table.get("gates") else { panic!("{table:?}") };
        for row in rows {
            let Value::Object(row) = row else { panic!("{row:?}") };
            let Some(Value::Text(observation)) = row.get("observation") else { panic!("{row:?}") };
            bytes(&yard, observation.parse().unwrap());
            assert_eq!(row.get("verdict"), Some(&"pass".into()));
            gates += 1;
        }
    }
    assert_eq!(gates, 10);
    // The rules are in the evidence as they were, with the digest that the tables name.
    let rules = object(&yard, events[0].draft.policy_snapshot_id);
    let Some(Value::List(rules)) = rules.get("rules") else { panic!("{rules:?}") };
    assert_eq!(rules.len(), 10);
}

/// The refusals of a log, as (type, class, code, subject).
fn refusals(events: &[Event]) -> Vec<(EventType, RefusalClass, &str, &str)> {
    let refused = events.iter().filter_map(|event| Some((event, refusal(event)?)));
    refused
        .map(|(event, it)| {
            (event.draft.event_type, it.class, it.code.as_str(), it.subject.as_str())
        })
        .collect()
}

/// A yard whose source has a kind of index that the target does not know.
fn with_a_loss() -> Yard {
    let index = "collections: { embeddings: { index: { kind: unheard_of } } }";
    Yard::changed("artifacts: lab }", &format!("artifacts: lab, {index} }}"))
}

#[test]
fn a_loss_that_nobody_accepted_is_refused_by_policy_before_anything_is_done() {
    let yard = with_a_loss();
    assert_eq!(yard.run("").unwrap().status, "refused");
    let events = hold(&yard);
    let (class, code, gate) = (RefusalClass::PolicyDenied, "gate.closed", "prepare/losses");
    assert_eq!(
        refusals(&events),
        [
            (EventType::GateVerdict, class, code, gate),
            (EventType::PolicyRefusal, class, code, gate),
            (EventType::MigrationRefusal, class, code, gate),
        ]
    );
    let denied = of(&events, EventType::PolicyRefusal)[0];
    let table = object(&yard, denied.draft.evidence_pointer);
    assert_eq!(table.get("result"), Some(&"deny".into()));
    assert!(of(&events, EventType::PolicyEvaluate).is_empty());
    assert!(
        !families_missing(EvidenceProfile::Baseline, &families(&events)).contains(&Family::Pol)
    );
}

#[test]
fn a_collection_that_nobody_describes_is_refused_for_want_of_evidence() {
    let yard = Yard::new();
    let name = CollectionName::new("bare").unwrap();
    let contract = CollectionContract::unknown(name, 3);
    let request = LoadRequest { contract, mode: LoadMode::Replace, token: "bare".into() };
    let load = yard.source.begin_load(&request).unwrap();
    load.load_range(&IdRange::all(), &mut batches(vec![records(0..3)])).unwrap();
    load.commit(&NoProgress).unwrap();
    assert_eq!(yard.run("").unwrap().status, "refused");
    let events = hold(&yard);
    let class = RefusalClass::EvidencePreconditionFailed;
    let said = refusals(&events);
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said.iter().all(|it| (it.1, it.2, it.3) == (class, "gate.closed", "prepare/contract")));
}

#[test]
fn content_that_differs_is_refused_and_so_is_the_way_out() {
    let yard = Yard::new();
    yard.run("after/import/load_records:1:crash").unwrap_err();
    // Somebody writes to the target while the run is down.
    let one = records(3..4);
    let rows = one.iter().map(|r| RecordRef { vector: &[9.0, 9.0, 9.0], version: Some(9), ..r });
    yard.target.upsert(&embeddings(), &Records::collect(3, rows).unwrap()).unwrap();
    yard.run("").unwrap();
    let events = hold(&yard);
    let refused = refusals(&events);
    let wanted =
        [EventType::PolicyRefusal, EventType::ExitValidationRun, EventType::MigrationRefusal];
    for event_type in wanted {
        let found: Vec<_> = refused.iter().filter(|it| it.0 == event_type).collect();
        assert_eq!(found.len(), 1, "{event_type}: {refused:#?}");
        assert_eq!(found[0].1, RefusalClass::EvidencePreconditionFailed, "{event_type}");
    }
    assert!(of(&events, EventType::MigrationValidate).is_empty());
    let resumed = of(&events, EventType::AuthorityCheck);
    let actions: Vec<_> = resumed.iter().map(|it| it.draft.action.as_deref()).collect();
    assert_eq!(actions, [Some("start"), Some("resume")]);
    // The log was computed again when it was opened, up to the event before.
    let checked = of(&events, EventType::AuditChainVerify);
    assert_eq!(checked.len(), 1);
    let draft = &checked[0].draft;
    let before = checked[0].sequence - 2;
    assert_eq!(draft.context.get("to_sequence"), Some(&Value::try_from(before).unwrap()));
    let held = events[usize::try_from(before).unwrap()].event_hash;
    assert_eq!(draft.context.get("last_event_hash"), Some(&held.into()));
}

#[test]
fn a_command_that_may_not_be_given_is_refused_in_the_log() {
    let mut yard = Yard::new();
    yard.run("").unwrap();
    let before = events(&yard).len();
    let first = std::mem::replace(&mut yard.plan, Yard::changed("queries: 7", "queries: 8").plan);
    yard.run("").unwrap_err();
    yard.rollback("").unwrap_err();
    yard.plan = first;
    yard.rollback("").unwrap();
    yard.rollback("").unwrap_err();
    let events = hold(&yard);
    let refused = refusals(events.get(before..).unwrap());
    let authority = RefusalClass::AuthorityMissingOrInvalid;
    let precondition = RefusalClass::EvidencePreconditionFailed;
    assert_eq!(
        refused,
        [
            (EventType::AuthorityRefusal, authority, "plan.changed", "yard"),
            (EventType::AuthorityRefusal, authority, "plan.changed", "yard"),
            (EventType::MigrationRefusal, precondition, "run.not_reversible", "yard"),
        ]
    );
    // A refused command belongs to no run: it has an id of its own, and changes none.
    let runs: BTreeSet<_> = events.iter().map(|it| it.draft.correlation_id.as_str()).collect();
    assert_eq!(runs.len(), 4);
    assert_eq!(carnet_engine::status(&yard.state()).unwrap().status, "rolled_back");
}

#[test]
fn a_log_keeps_the_profile_that_it_was_made_with() {
    let mut yard = Yard::new();
    yard.run("before/import/place_artifacts:1:fail").unwrap();
    yard.plan = yard_under(EvidenceProfile::Admissible).plan;
    let refused = yard.run("").unwrap_err();
    assert_eq!(refused.code(), carnet_model::Code::PLAN_CHANGED);
    assert!(refused.remedy().unwrap().contains("--state"));
    let events = hold(&yard);
    let (last, class) = (events.len() - 1, RefusalClass::AuthorityMissingOrInvalid);
    assert_eq!(
        refusals(events.get(last..).unwrap()),
        [(EventType::AuthorityRefusal, class, "plan.changed", "yard")]
    );
    assert_eq!(events[last].evidence_profile, EvidenceProfile::Baseline);
}

#[test]
fn a_step_whose_outcome_is_not_known_refuses_the_rollback_in_the_log() {
    let yard = Yard::new();
    yard.run("before/import/place_artifacts:1:crash").unwrap_err();
    yard.rollback("").unwrap_err();
    let events = hold(&yard);
    let class = RefusalClass::EvidencePreconditionFailed;
    assert_eq!(refusals(&events), [(EventType::MigrationRefusal, class, "run.unknown", "yard")]);
}

#[test]
fn a_dry_run_says_no_without_leaving_anything() {
    let yard = with_a_loss();
    let report = yard.engine("").run(&yard.request(yard.folder.path(), true)).unwrap();
    assert_eq!((report.status, report.dry_run), ("refused", true));
    assert!(!yard.state().exists());
}
