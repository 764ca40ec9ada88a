//! Copies without a plan file.

use std::collections::BTreeMap;

use carnet_bundle::ImportMode;
use carnet_connect::{NoProgress, RecordRef, Records, VectorRepository as _};
use carnet_engine::{CopyJob, CopyReport, Engine, EngineError, Faults};
use carnet_model::Code;

use super::world::{Ticks, read};
use super::yard::{Shared, embeddings, fill, records};

struct Sides {
    state: tempfile::TempDir,
    source: Shared,
    target: Shared,
    ticks: std::sync::Arc<Ticks>,
}

impl Sides {
    fn new() -> Self {
        let state = tempfile::tempdir().unwrap();
        let (source, target) = (Shared::default(), Shared::default());
        fill(&source, &embeddings(), records(0..30));
        Self { state, source, target, ticks: Ticks::new() }
    }

    fn copy(&self, mode: ImportMode, faults: &str) -> Result<CopyReport, EngineError> {
        let (clock, ids) = (self.ticks.clone(), self.ticks.clone());
        let engine = Engine::new(self.state.path(), clock, ids, "t");
        let faults = if faults.is_empty() { None } else { Faults::parse(faults) };
        let engine = engine.with_faults(faults.unwrap_or_default());
        engine.copy(&CopyJob {
            source: &self.source,
            target: &self.target,
            target_folder: None,
            contracts: &[],
            collections: None,
            mode,
            indexes: &BTreeMap::new(),
            accept_losses: &[],
            workers: 2,
            progress: &NoProgress,
        })
    }
}

#[test]
fn a_copy_is_read_back_compared_and_recorded() {
    let sides = Sides::new();
    let copied = sides.copy(ImportMode::Append, "").unwrap();
    let report = copied.report;
    assert_eq!((report.status, report.records), ("done", 30));
    assert_eq!(Some(report.collections[0].root_source), report.collections[0].root_target);
    let gate = &report.gates[0];
    assert!(gate.open && gate.damaged > 0 && gate.damaged == gate.refused);
    assert!(copied.verified.unwrap().is_equal());
    let (log, events) = read(sides.state.path()).unwrap();
    assert_eq!(events.len() as u64, report.events);
    for event in &events {
        log.object(event.draft.evidence_pointer).unwrap();
    }
    // Once more: the same records are there, so nothing is added.
    let again = sides.copy(ImportMode::Append, "").unwrap();
    assert_eq!(again.report.status, "done");
    assert_eq!(again.planned.unwrap().collections[0].counts.unchanged, 30);
}

#[test]
fn a_copy_over_other_records_proves_the_union() {
    let sides = Sides::new();
    fill(&sides.target, &embeddings(), records(20..50));
    let copied = sides.copy(ImportMode::Append, "").unwrap();
    assert_eq!(copied.report.status, "done", "{:#?}", copied.report);
    let moved = &copied.report.collections[0];
    assert_eq!((moved.records, moved.records_target), (30, Some(50)));
    assert_ne!(Some(moved.root_source), moved.root_target);
}

#[test]
fn a_conflict_writes_nothing() {
    let sides = Sides::new();
    let seven = records(7..8);
    let rows = seven.iter().map(|r| RecordRef { vector: &[9.0, 9.0, 9.0], ..r });
    fill(&sides.target, &embeddings(), Records::collect(3, rows).unwrap());
    let copied = sides.copy(ImportMode::Append, "").unwrap();
    assert_eq!(copied.report.code(), Some(Code::IMPORT_CONFLICT));
    assert_eq!(copied.report.status, "refused");
    let copied = sides.copy(ImportMode::Replace, "").unwrap();
    assert_eq!((copied.report.status, copied.report.records), ("done", 30));
}

#[test]
fn a_copy_that_fails_on_the_way_is_taken_back() {
    for point in ["import/range", "import/range_written", "import/commit", "import/committed"] {
        let sides = Sides::new();
        let copied = sides.copy(ImportMode::Append, &format!("{point}:1:fail")).unwrap();
        assert_eq!(copied.report.status, "failed", "{point}");
        assert!(copied.report.left_behind.is_empty(), "{point}");
        assert!(sides.target.snapshot().unwrap().collections().unwrap().is_empty(), "{point}");
        assert_eq!(sides.copy(ImportMode::Append, "").unwrap().report.status, "done", "{point}");
    }
}
