//! Whole runs of `knowledge/v1` over stores in memory.

use carnet_engine::status;
use carnet_ledger::{Digest, EventType};
use carnet_model::Code;

use super::world::read;
use super::yard::{OLD_ENV, Yard, embeddings, fill, records};

fn root(yard: &Yard, store: &super::yard::Shared) -> Vec<Digest> {
    use carnet_connect::VectorRepository as _;
    let _ = yard;
    let view = store.snapshot().unwrap();
    let work = carnet_bundle::Work::quiet(1);
    let digests = carnet_bundle::digest_store(view.as_ref(), &work).unwrap();
    digests.into_iter().map(|digest| digest.root).collect()
}

#[test]
fn a_knowledge_base_moves_and_every_gate_shows_that_it_could_have_failed() {
    let yard = Yard::new();
    let report = yard.run("").unwrap();
    assert_eq!(report.status, "done", "{report:#?}");
    assert_eq!(root(&yard, &yard.source), root(&yard, &yard.target));
    assert_eq!(report.records, 60);
    for collection in &report.collections {
        assert_eq!(Some(collection.root_source), collection.root_target);
    }
    assert_eq!(report.gates.len(), 10);
    for gate in &report.gates {
        assert!(gate.open && gate.damaged > 0 && gate.refused == gate.damaged, "{gate:#?}");
    }
    let content = report.gates.iter().find(|gate| gate.gate == "content_root").unwrap();
    assert!(content.damaged >= 30, "real records are damaged too: {content:#?}");
    // The switch points to the target, and nothing else in the file has changed.
    let env = std::fs::read_to_string(yard.path("prod/das.env")).unwrap();
    assert!(env.starts_with("# services\nVECTOR_ENDPOINT=sqlite:") && env.ends_with("OTHER=1\n"));
    assert!(!yard.path("prod/pause").exists());
    assert_eq!(
        std::fs::read_to_string(yard.path("prod/artifacts/prompts/search_v1.yaml")).unwrap(),
        "prompt: find\n"
    );
    let archived: Vec<_> = std::fs::read_dir(yard.path("archive")).unwrap().collect();
    assert_eq!(archived.len(), 1);
    assert_eq!((report.artifacts, report.phases.len()), (2, 9));
}

#[test]
fn the_evidence_holds_and_tells_the_whole_run() {
    let yard = Yard::new();
    let report = yard.run("").unwrap();
    let (log, events) = read(&yard.state()).unwrap();
    assert_eq!(events.len() as u64, report.events);
    assert_eq!(events.last().map(|event| event.event_hash), report.last_hash);
    let types: Vec<EventType> = events.iter().map(|e| e.draft.event_type).collect();
    for wanted in [
        EventType::ProcessStart,
        EventType::AuthorityCheck,
        EventType::ProcessPhase,
        EventType::ProcessIntent,
        EventType::ProcessOutcome,
        EventType::GateVerdict,
        EventType::PolicyEvaluate,
        EventType::MigrationExport,
        EventType::KnowledgeSnapshotExported,
        EventType::KnowledgeSnapshotReady,
        EventType::MigrationImport,
        EventType::MigrationValidate,
        EventType::MigrationCutover,
        EventType::ProcessEnd,
    ] {
        assert!(types.contains(&wanted), "{wanted}");
    }
    for event in &events {
        log.object(event.draft.evidence_pointer).unwrap();
        log.object(event.draft.policy_snapshot_id).unwrap();
        log.object(event.draft.authority_snapshot_id).unwrap();
        assert_eq!(event.draft.correlation_id, report.run);
        assert_eq!(event.draft.jurisdiction.as_deref(), Some("DE"));
    }
    let told = status(&yard.state()).unwrap();
    assert_eq!((told.status, told.migration.as_str()), ("done", "yard"));
    assert_eq!((told.gates.len(), told.can_roll_back), (10, true));
}

#[test]
fn what_a_run_keeps_is_read_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let yard = Yard::new();
    yard.run("").unwrap();
    let mut waiting = vec![yard.state().join("objects"), yard.state().join("private")];
    let mut seen = 0;
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
                continue;
            }
            seen += 1;
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
            let secret = b"OTHER=1";
            let holds = std::fs::read(&path).unwrap().windows(7).any(|part| part == secret);
            let private = path.starts_with(yard.state().join("private"));
            assert_eq!(holds, private, "{}", path.display());
        }
    }
    assert!(seen > 10);
}

#[test]
fn a_run_that_is_done_is_left_alone() {
    let yard = Yard::new();
    let first = yard.run("").unwrap();
    let world = yard.world();
    let second = yard.run("").unwrap();
    assert!(second.already_done && second.status == "done");
    assert_eq!((second.events, second.last_hash), (first.events, first.last_hash));
    assert_eq!(yard.world(), world);
}

#[test]
fn a_dry_run_changes_nothing() {
    let yard = Yard::new();
    let before = yard.world();
    let report = yard.engine("").run(&yard.request(yard.folder.path(), true)).unwrap();
    assert_eq!((report.status, report.dry_run), ("done", true));
    assert_eq!(yard.world(), before);
    assert!(!yard.state().exists());
    let open: Vec<_> = report.gates.iter().filter(|gate| gate.verdict == "pass").collect();
    assert_eq!(open.len(), 2, "only what is there already can be looked at");
    assert!(report.gates.iter().all(|gate| gate.verdict == "pass" || gate.verdict == "not_run"));
}

#[test]
fn a_rollback_restores_the_switch_and_keeps_what_others_may_use() {
    let yard = Yard::new();
    yard.run("").unwrap();
    let report = yard.rollback("").unwrap();
    assert_eq!(report.status, "rolled_back");
    assert_eq!(std::fs::read_to_string(yard.path("prod/das.env")).unwrap(), OLD_ENV);
    assert!(report.standing.contains(&"import/load_records".to_owned()));
    assert_eq!(root(&yard, &yard.source), root(&yard, &yard.target));
    assert_eq!(yard.rollback("").unwrap_err().code(), Code::RUN_NOT_REVERSIBLE);
    // A new run in the same log; the records are there already and no conflict. The snapshot of
    // the first run is kept in the inbox under its own name.
    let again = yard.run("").unwrap();
    assert_eq!(again.status, "done", "{again:#?}");
    assert_ne!(again.run, report.run);
}

#[test]
fn a_switch_that_somebody_else_has_moved_waits_for_a_person() {
    let yard = Yard::new();
    yard.run("").unwrap();
    let switched = std::fs::read(yard.path("prod/das.env")).unwrap();
    std::fs::write(yard.path("prod/das.env"), "VECTOR_ENDPOINT=elsewhere\n").unwrap();
    let report = yard.rollback("").unwrap();
    assert_eq!((report.status, report.code()), ("waiting", Some(Code::RUN_UNKNOWN)));
    std::fs::write(yard.path("prod/das.env"), switched).unwrap();
    let report = yard.rollback("").unwrap();
    assert_eq!(report.status, "rolled_back");
    assert_eq!(std::fs::read_to_string(yard.path("prod/das.env")).unwrap(), OLD_ENV);
}

#[test]
fn a_conflict_is_refused_and_leaves_everything_as_it_was() {
    let yard = Yard::new();
    // The same ids with other vectors.
    let other = records(5..10);
    let moved: Vec<_> = other.iter().map(|r| r.id.to_owned()).collect();
    let rows = other.iter().map(|r| carnet_connect::RecordRef { vector: &[9.0, 9.0, 9.0], ..r });
    fill(&yard.target, &embeddings(), carnet_connect::Records::collect(3, rows).unwrap());
    assert_eq!(moved.len(), 5);
    let before = yard.world();
    let report = yard.run("").unwrap();
    assert_eq!((report.status, report.code()), ("refused", Some(Code::IMPORT_CONFLICT)));
    assert!(report.left_behind.is_empty(), "{:?}", report.left_behind);
    assert_eq!(yard.world(), before);
}

#[test]
fn records_that_were_there_stay_and_the_union_is_proven() {
    let yard = Yard::new();
    fill(&yard.target, &embeddings(), records(30..50));
    let report = yard.run("").unwrap();
    assert_eq!(report.status, "done", "{report:#?}");
    let moved = report.collections.iter().find(|it| it.name == "embeddings").unwrap();
    assert_eq!((moved.records, moved.records_target), (40, Some(50)));
}

#[test]
fn newer_records_of_the_target_win_and_the_rest_is_compared() {
    let yard = Yard::changed("validate: {", "import: { mode: upsert }\nvalidate: {");
    let held = records(30..50);
    let rows = held.iter().map(|r| carnet_connect::RecordRef {
        vector: &[9.0, 9.0, 9.0],
        version: Some(2),
        ..r
    });
    fill(&yard.target, &embeddings(), carnet_connect::Records::collect(3, rows).unwrap());
    let report = yard.run("").unwrap();
    assert_eq!(report.status, "done", "{report:#?}");
    let moved = report.collections.iter().find(|it| it.name == "embeddings").unwrap();
    assert_eq!((moved.records, moved.records_target), (40, Some(50)));
}

#[test]
fn another_plan_may_not_go_on_with_a_run() {
    let mut yard = Yard::new();
    yard.run("").unwrap();
    yard.plan = Yard::changed("queries: 7", "queries: 8").plan;
    assert_eq!(yard.run("").unwrap_err().code(), Code::PLAN_CHANGED);
    assert_eq!(yard.rollback("").unwrap_err().code(), Code::PLAN_CHANGED);
}
