//! Import and copy: modes, conflicts, losses, resume.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use carnet_bundle::{
    BundleError, CopyRequest, ImportMode, ImportPlan, ImportRequest, MemoryJournal, NoJournal,
    Work, copy, plan_import, run_import, verify_target,
};
use carnet_connect::{LoadMode, LoadRequest, MemoryStore, VectorRepository};
use carnet_model::{Code, CollectionContract, IndexSpec, Metric};
use proptest::prelude::*;

use crate::content::{
    Owned, Rows, any_rows, contract, fill, name, plain_row, plain_rows, records, rows_of, store_of,
};
use crate::stores::TestStore;

fn copy_with(
    source: &dyn VectorRepository,
    target: &dyn VectorRepository,
    mode: ImportMode,
    workers: usize,
) -> Result<carnet_bundle::Copied, BundleError> {
    let request = CopyRequest {
        mode,
        token: "test",
        collections: None,
        contracts: &[],
        indexes: &BTreeMap::new(),
        accept_losses: &[],
    };
    copy(source, target, &request, None, |_| Ok(()), &NoJournal, &Work::quiet(workers))
}

fn plan(
    source: &dyn VectorRepository,
    target: &dyn VectorRepository,
    mode: ImportMode,
    accept: &[String],
) -> Result<ImportPlan, BundleError> {
    let view = source.snapshot().unwrap();
    let request = ImportRequest {
        mode,
        token: "test",
        collections: None,
        known: &[],
        source: source.capabilities(),
        indexes: &BTreeMap::new(),
        accept_losses: accept,
    };
    plan_import(view.as_ref(), target, &request, &Work::quiet(2))
}

/// What the target must hold afterwards; `None` for a conflict.
fn model(source: &Rows, target: &Rows, mode: ImportMode) -> Option<Rows> {
    if mode == ImportMode::Replace || target.is_empty() {
        return Some(source.clone());
    }
    let mut all = target.clone();
    for (id, row) in source {
        let wins = match target.get(id) {
            None => true,
            Some(held) if held == row => false,
            Some(_) if mode == ImportMode::Append => return None,
            Some(held) if held.version == row.version => return None,
            Some(held) => row.version > held.version,
        };
        if wins {
            all.insert(id.clone(), row.clone());
        }
    }
    Some(all)
}

fn any_mode() -> impl Strategy<Value = ImportMode> {
    prop_oneof![Just(ImportMode::Append), Just(ImportMode::Replace), Just(ImportMode::Upsert)]
}

proptest! {
    #[test]
    fn every_mode_does_what_it_says(
        mut source in any_rows(20),
        target in any_rows(20),
        shared in any_rows(6),
        versions in prop::collection::vec(prop::option::of(0i64..3), 6),
        mode in any_mode(),
        workers in 1usize..4,
    ) {
        let mut target = target;
        for ((id, row), version) in shared.into_iter().zip(versions) {
            source.insert(id.clone(), row.clone());
            target.insert(id, Owned { version, ..row });
        }
        let (from, to) = (store_of(&source), store_of(&target));
        match (copy_with(&from, &to, mode, workers), model(&source, &target, mode)) {
            (Ok(copied), Some(expected)) => {
                prop_assert!(copied.verified.is_equal());
                prop_assert_eq!(copied.imported.expected[0].records, expected.len() as u64);
                prop_assert_eq!(rows_of(&to, "embeddings"), expected);
                // Once more changes nothing.
                let again = copy_with(&from, &to, mode, workers).unwrap();
                prop_assert_eq!(&again.imported.expected, &copied.imported.expected);
            }
            (Err(error), None) => {
                prop_assert_eq!(error.code(), Code::IMPORT_CONFLICT);
                prop_assert_eq!(rows_of(&to, "embeddings"), target);
            }
            (result, model) => prop_assert!(false, "{result:?} {model:?}"),
        }
    }
}

#[test]
fn a_conflict_names_the_first_id_and_the_number() {
    let source = plain_rows(100);
    let mut target = source.clone();
    for id in ["id-000031", "id-000090", "id-000047"] {
        target.get_mut(id).unwrap().metadata = r#"{"other":true}"#.to_owned();
    }
    for mode in [ImportMode::Append, ImportMode::Upsert] {
        let refused = copy_with(&store_of(&source), &store_of(&target), mode, 2).unwrap_err();
        let BundleError::Conflict { first, count, .. } = &refused else { panic!("{refused}") };
        assert_eq!((first.as_str(), *count), ("id-000031", 3));
    }
}

#[test]
fn counts_say_what_happens_to_each_record() {
    let source = plain_rows(10);
    let mut target = plain_rows(8);
    target.get_mut("id-000000").unwrap().version = Some(0);
    target.get_mut("id-000001").unwrap().version = Some(2);
    target.insert("own".to_owned(), plain_row(77));
    let plan = plan(&store_of(&source), &store_of(&target), ImportMode::Upsert, &[]).unwrap();
    let collection = &plan.collections[0];
    let counts = collection.counts;
    assert_eq!(
        (counts.added, counts.overwritten, counts.unchanged, counts.kept, counts.replaced),
        (2, 1, 6, 1, 0)
    );
    assert_eq!((collection.load, collection.expected_records), (LoadMode::Upsert, Some(11)));
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<ImportPlan>(&text).unwrap(), plan);
}

#[test]
fn collections_of_other_spaces_are_not_put_together() {
    let source = store_of(&plain_rows(3));
    let target = MemoryStore::default();
    let other = CollectionContract { metric: Some(Metric::Cosine), ..contract("embeddings") };
    fill(&target, &other, records(&plain_rows(2)));
    let refused = copy_with(&source, &target, ImportMode::Append, 1).unwrap_err();
    assert_eq!(refused.code(), Code::CONTRACT_DIFFERS);
    assert!(refused.to_string().contains("metric is l2 in the source and cosine in the target"));
    assert!(copy_with(&source, &target, ImportMode::Replace, 1).unwrap().verified.is_equal());
}

#[test]
fn what_the_target_cannot_hold_is_refused_before_anything_is_written() {
    let mut rows = plain_rows(5);
    rows.get_mut("id-000003").unwrap().bits[1] = f32::NAN.to_bits();
    let source = store_of(&rows);
    let mut target = TestStore::new(MemoryStore::default());
    target.capabilities.non_finite = false;
    target.fuel = AtomicUsize::new(0);
    let refused = plan(&source, &target, ImportMode::Replace, &["non_finite".to_owned()]);
    let BundleError::Loss { losses, .. } = refused.unwrap_err() else { panic!() };
    assert!(losses[0].what.contains("id-000003"));

    // A loss that can be waived is refused until it is.
    let source = MemoryStore::default();
    let index = Some(IndexSpec { kind: "hnsw".to_owned(), parameters: BTreeMap::new() });
    let declared = CollectionContract { index, ..contract("embeddings") };
    fill(&source, &declared, records(&plain_rows(3)));
    assert_eq!(plan(&source, &target, ImportMode::Replace, &[]).unwrap_err().code(), Code::LOSS);
    let accepted = plan(&source, &target, ImportMode::Replace, &["index".to_owned()]).unwrap();
    assert_eq!(accepted.collections[0].accepted[0].name, "index");
    assert_eq!(accepted.collections[0].contract.index, None);
}

/// Cuts an import off after each possible number of writes, and continues it.
fn cut_off_and_resume(mode: ImportMode, abandons: bool) {
    let source = store_of(&plain_rows(400));
    let mut held = plain_rows(100);
    held.insert("zz".to_owned(), plain_row(9));
    let whole = model(&plain_rows(400), &held, mode).unwrap();
    let mut finished = false;
    for fuel in 0..20 {
        let mut target = TestStore::new(store_of(&held));
        target.abandons = abandons;
        target.fuel = AtomicUsize::new(fuel);
        let journal = MemoryJournal::default();
        let plan = plan(&source, &target, mode, &[]).unwrap();
        let view = source.snapshot().unwrap();
        let work = Work::quiet(2);
        let run = || run_import(&plan, view.as_ref(), &target, &journal, &work);
        match run() {
            Ok(_) => finished = true,
            Err(error) => {
                assert_eq!(error.code(), Code::STORE_LOST);
                assert_eq!(matches!(error, BundleError::LeftBehind { .. }), !abandons);
                assert_eq!(rows_of(&target, "embeddings"), held, "nothing is visible");
                target.fuel.store(usize::MAX, Ordering::SeqCst);
                let resumed = run().unwrap();
                let done = journal.begun_ranges(&name("embeddings")).len() as u64;
                assert_eq!(resumed.ranges_kept + resumed.ranges_written, done);
                if !abandons && fuel > 2 {
                    assert!(resumed.ranges_kept > 0, "what was finished is not copied again");
                }
            }
        }
        let expected = run().unwrap().expected;
        assert!(verify_target(&target, &expected, &work).unwrap().is_equal());
        assert_eq!(rows_of(&target, "embeddings"), whole);
    }
    assert!(finished, "the last attempt was not cut off at all");
}

#[test]
fn a_load_that_changes_nothing_is_ended_as_well() {
    let source = store_of(&plain_rows(40));
    let mut target = TestStore::new(store_of(&plain_rows(40)));
    target.abandons = false;
    let plan = plan(&source, &target, ImportMode::Replace, &[]).unwrap();
    let collection = &plan.collections[0];
    // Cut off at the commit: what must be there is there already, and the load is still open.
    target.fuel = AtomicUsize::new(collection.ranges.len());
    let journal = MemoryJournal::default();
    let (view, work) = (source.snapshot().unwrap(), Work::quiet(1));
    let run = || run_import(&plan, view.as_ref(), &target, &journal, &work);
    let request = LoadRequest {
        contract: collection.contract.clone(),
        mode: collection.load,
        token: plan.token.clone(),
    };
    let open = || {
        let load = target.inner.begin_load(&request).unwrap();
        load.read_back(&collection.ranges[0].range).unwrap().is_some()
    };
    run().unwrap_err();
    assert!(open());
    target.fuel.store(usize::MAX, Ordering::SeqCst);
    assert_eq!(run().unwrap().ranges_written, 0);
    assert!(!open(), "the load was left open");
    assert_eq!(rows_of(&target, "embeddings"), plain_rows(40));
}

#[test]
fn an_import_that_was_cut_off_continues() {
    for mode in [ImportMode::Replace, ImportMode::Upsert, ImportMode::Append] {
        cut_off_and_resume(mode, false);
        cut_off_and_resume(mode, true);
    }
}

#[test]
fn finished_ranges_that_differ_now_are_copied_again() {
    let source = store_of(&plain_rows(400));
    let mut target = TestStore::new(MemoryStore::default());
    target.abandons = false;
    target.fuel = AtomicUsize::new(3);
    let journal = MemoryJournal::default();
    let plan = plan(&source, &target, ImportMode::Replace, &[]).unwrap();
    assert_eq!(plan.collections[0].expected_root, None, "the source was not read twice");
    let work = Work::quiet(1);
    let view = source.snapshot().unwrap();
    run_import(&plan, view.as_ref(), &target, &journal, &work).unwrap_err();
    target.fuel.store(usize::MAX, Ordering::SeqCst);

    // The source changes inside the first range while nobody looks.
    let mut rows = plain_rows(400);
    rows.get_mut("id-000000").unwrap().metadata = r#"{"late":1}"#.to_owned();
    let changed = store_of(&rows);
    let view = changed.snapshot().unwrap();
    let resumed = run_import(&plan, view.as_ref(), &target, &journal, &work).unwrap();
    assert_eq!(resumed.ranges_kept, 2);
    assert_eq!(rows_of(&target, "embeddings"), rows);
}

#[test]
fn a_source_that_changed_since_planning_becomes_visible_nowhere() {
    let source = store_of(&plain_rows(400));
    for mode in [ImportMode::Append, ImportMode::Upsert] {
        let held = plain_rows(10);
        let target = store_of(&held);
        let plan = plan(&source, &target, mode, &[]).unwrap();
        let changed = store_of(&plain_rows(401));
        let view = changed.snapshot().unwrap();
        let refused =
            run_import(&plan, view.as_ref(), &target, &NoJournal, &Work::quiet(2)).unwrap_err();
        assert_eq!(refused.code(), Code::CONTENT_DIFFERS);
        assert_eq!(rows_of(&target, "embeddings"), held);
    }
}

#[test]
fn reading_back_finds_what_is_wrong() {
    let source = store_of(&plain_rows(30));
    let target = MemoryStore::default();
    let expected = copy_with(&source, &target, ImportMode::Replace, 2).unwrap().imported.expected;
    let first = |target: &dyn VectorRepository| {
        let verified = verify_target(target, &expected, &Work::quiet(2)).unwrap();
        assert!(!verified.is_equal());
        assert_eq!(verified.check().unwrap_err().code(), Code::CONTENT_DIFFERS);
        verified.collections[0].differences[0].field.clone()
    };
    target.delete(&name("embeddings"), &["id-000004"]).unwrap();
    assert_eq!(first(&target), "records");
    let mut rows = plain_rows(30);
    rows.get_mut("id-000004").unwrap().bits[0] ^= 1;
    assert_eq!(first(&store_of(&rows)), "root");
    let other = MemoryStore::default();
    fill(
        &other,
        &CollectionContract { metric: None, ..contract("embeddings") },
        records(&plain_rows(30)),
    );
    assert_eq!(first(&other), "metric");
    assert_eq!(first(&MemoryStore::default()), "collection");
    assert!(!verify_target(&target, &[], &Work::quiet(1)).unwrap().is_equal());
}
