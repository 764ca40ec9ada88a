//! Loading the records, range by range, each remembered before and after it is written.

use std::collections::BTreeMap;

use carnet_bundle::{
    BundleError, CollectionDigest, Expected, ImportJournal, ImportMode, ImportPlan, ImportRequest,
    RangeDigest, SnapshotStore, plan_import, run_import,
};
use carnet_connect::{LoadRequest, StoreError, VectorRepository};
use carnet_ledger::{EventBody, Object, Package, Value};
use carnet_model::{Code, CollectionName, IndexSpec, StoreUrl, plan};

use super::context::{Context, Done, digest_of, making, number, text_of};
use super::export::ExportSeen;
use crate::error::{EngineError, StepError};
use crate::fault::Faults;
use crate::run::notes;
use crate::run::recorder::{Note, Recorder};
use carnet_process::{PartState, PartStatus};

pub(crate) const NODE: &str = "import/load_records";

/// Plans the import: reads both sides, writes nothing. What the target must be afterwards is fixed
/// here.
pub(super) fn inputs(cx: &Context<'_>) -> Result<Object, StepError> {
    let snapshot = SnapshotStore::open(&cx.arrived()?)?;
    let target = cx.target()?;
    let there = target.snapshot()?.collections()?;
    let exported: ExportSeen = cx.seen("export/export_snapshot")?;
    let indexes = indexes(cx, &exported)?;
    let losses: Vec<String> =
        cx.knowledge()?.accept_loss.iter().map(|loss| loss.name().to_owned()).collect();
    let token = token(cx);
    let request = ImportRequest {
        mode: mode(cx)?,
        token: &token,
        collections: None,
        known: &exported.collections,
        source: snapshot.capabilities(),
        indexes: &indexes,
        accept_losses: &losses,
    };
    let planned = plan_import(snapshot.snapshot()?.as_ref(), target, &request, &cx.work)?;
    let inputs = intent(cx.recorder, &planned, &there, &exported.collections)?;
    Ok(match cx.knowledge()?.target.knowledge.store.within(cx.folder) {
        StoreUrl::Faiss(folder) => making(inputs, &folder),
        StoreUrl::Sqlite(_) | StoreUrl::Postgres(_) | StoreUrl::Snapshot(_) => inputs,
    })
}

/// What is recorded before the first write: the plan of the import, and what each collection of the
/// target must be afterwards, where that is known.
pub(crate) fn intent(
    recorder: &Recorder,
    planned: &ImportPlan,
    there: &[CollectionName],
    known: &[CollectionDigest],
) -> Result<Object, StepError> {
    let mut expected = Object::new();
    for collection in &planned.collections {
        let name = &collection.contract.name;
        let known = known.iter().find(|it| it.name == *name);
        let root = collection.expected_root.or(known.map(|it| it.root));
        let records = collection.expected_records.or(known.map(|it| it.records));
        let members = [
            ("existed", there.contains(name).into()),
            ("ranges", number(collection.ranges.len() as u64)),
            ("records", records.map_or(Value::Null, number)),
            ("root", root.map_or(Value::Null, Value::from)),
        ];
        let members = members.into_iter().map(|(key, value)| (key.to_owned(), value));
        expected.insert(name.to_string(), Value::Object(members.collect()));
    }
    Ok(Object::from([
        ("plan".to_owned(), recorder.put_json(planned)?.into()),
        ("expected".to_owned(), expected.into()),
    ]))
}

fn indexes(
    cx: &Context<'_>,
    exported: &ExportSeen,
) -> Result<BTreeMap<CollectionName, IndexSpec>, StepError> {
    let Some(index) = &cx.knowledge()?.target.knowledge.index else { return Ok(BTreeMap::new()) };
    Ok(exported.collections.iter().map(|it| (it.name.clone(), index.clone())).collect())
}

fn mode(cx: &Context<'_>) -> Result<ImportMode, StepError> {
    Ok(match cx.knowledge()?.import.mode {
        plan::ImportMode::Append => ImportMode::Append,
        plan::ImportMode::Replace => ImportMode::Replace,
        plan::ImportMode::Upsert => ImportMode::Upsert,
    })
}

/// Names the loads of this run in the target: the same after a crash.
fn token(cx: &Context<'_>) -> String {
    let run = cx.recorder.run().map(|run| run.id).unwrap_or_default();
    run.chars().filter(|c| *c != '-').take(32).collect()
}

/// What was planned.
pub(crate) fn planned(cx: &Context<'_>, inputs: &Object) -> Result<ImportPlan, StepError> {
    let digest = digest_of(inputs, "plan")
        .ok_or_else(|| StepError::new(Code::BUG, "the import was not planned"))?;
    cx.recorder.get_json(digest)
}

pub(super) fn load(cx: &Context<'_>, inputs: &Object) -> Result<Done, StepError> {
    let planned = planned(cx, inputs)?;
    let snapshot = SnapshotStore::open(&cx.arrived()?)?;
    let view = snapshot.snapshot()?;
    let journal = Parts { recorder: cx.recorder, node: NODE, faults: cx.faults };
    let imported = run_import(&planned, view.as_ref(), cx.target()?, &journal, &cx.work)?;
    let records = imported.expected.iter().map(|it| it.records).sum();
    let target = cx.target()?.label().to_owned();
    // The package was checked when it arrived; what was loaded is compared when it is read back.
    let run = cx.recorder.run();
    let checked = |gate: &str| run.as_ref().is_some_and(|run| notes::has_passed(run, gate));
    let package = Package {
        manifest: notes::snapshot(cx)?,
        integrity_verified: checked("verify/checksums") && checked("verify/schema_version"),
        workload_id: None,
    };
    let expected = cx.recorder.put_json(&imported.expected)?;
    let note = Note::done(EventBody::MigrationImport(package), "import")
        .about(target)
        .pointing(expected)
        .with("records", number(records))
        .with("ranges_written", number(imported.ranges_written))
        .with("ranges_kept", number(imported.ranges_kept));
    Ok(Done::default()
        .count("records", records)
        .count("ranges_written", imported.ranges_written)
        .count("ranges_kept", imported.ranges_kept)
        .note(note))
}

/// Takes the load back. A collection that was there before cannot be put back: it is named.
pub(super) fn unload(cx: &Context<'_>, inputs: &Object) -> Result<Vec<String>, StepError> {
    let journal = Parts { recorder: cx.recorder, node: NODE, faults: cx.faults };
    take_back(cx.target()?, &planned(cx, inputs)?, inputs, &journal)
}

/// Takes back what an import has loaded, newest collection first.
pub(crate) fn take_back(
    target: &dyn VectorRepository,
    planned: &ImportPlan,
    inputs: &Object,
    journal: &Parts<'_>,
) -> Result<Vec<String>, StepError> {
    let mut left_behind = Vec::new();
    for collection in planned.collections.iter().rev() {
        let name = &collection.contract.name;
        let request = LoadRequest {
            contract: collection.contract.clone(),
            mode: collection.load,
            token: planned.token.clone(),
        };
        // An unfinished load is taken back by the store, which names what it cannot.
        match target.begin_load(&request).and_then(|load| load.abandon()) {
            Ok(left) => left_behind.extend(left),
            // What refused the load refuses this as well: nothing was loaded.
            Err(_) if !journal.has_begun(name) => continue,
            Err(error) => return Err(error.into()),
        }
        journal.pass("import/abandoned")?;
        let visible = journal.commit_of(name)?.is_some();
        if !existed(inputs, name) {
            target.drop_collection(name)?;
        } else if visible {
            let label = target.label();
            left_behind.push(format!(
                "collection {name} of {label} was there before; it keeps what was loaded into it"
            ));
        }
    }
    Ok(left_behind)
}

fn existed(inputs: &Object, name: &CollectionName) -> bool {
    let Some(Value::Object(expected)) = inputs.get("expected") else { return true };
    match expected.get(name.as_str()) {
        Some(Value::Object(members)) => !matches!(members.get("existed"), Some(Value::Bool(false))),
        Some(_) | None => true,
    }
}

/// Remembers an import in the journal, as parts of a step.
pub(crate) struct Parts<'r> {
    pub(crate) recorder: &'r Recorder,
    pub(crate) node: &'r str,
    pub(crate) faults: &'r Faults,
}

impl Parts<'_> {
    fn record(&self, part: String, status: PartStatus, facts: Object) -> Result<(), BundleError> {
        let done = self.recorder.part(self.node, part, status, facts);
        done.map_err(|error: EngineError| {
            StoreError::new(error.code(), "the evidence cannot be kept").because(error).into()
        })
    }

    fn pass(&self, point: &str) -> Result<(), BundleError> {
        self.faults.pass(point).map_err(|error| StoreError::new(error.code, error.what).into())
    }

    fn parts(&self) -> BTreeMap<String, PartState> {
        let run = self.recorder.run();
        let step = run.as_ref().and_then(|run| run.step(self.node));
        step.map(|step| step.parts.clone()).unwrap_or_default()
    }

    /// Whether any range of a collection was begun.
    fn has_begun(&self, collection: &CollectionName) -> bool {
        let prefix = format!("{collection}/");
        self.parts().keys().any(|part| part.starts_with(&prefix))
    }
}

fn commit_part(collection: &CollectionName) -> String {
    format!("{collection}/commit")
}

impl ImportJournal for Parts<'_> {
    fn range_begun(&self, collection: &CollectionName, range: usize) -> Result<(), BundleError> {
        self.record(format!("{collection}/{range}"), PartStatus::Intent, Object::new())?;
        self.pass("import/range")
    }

    fn range_done(
        &self,
        collection: &CollectionName,
        range: usize,
        digest: &RangeDigest,
    ) -> Result<(), BundleError> {
        self.pass("import/range_written")?;
        let facts = Object::from([
            ("records".to_owned(), number(digest.records)),
            ("root".to_owned(), digest.root.into()),
        ]);
        self.record(format!("{collection}/{range}"), PartStatus::Done, facts)
    }

    fn committing(&self, expected: &Expected) -> Result<(), BundleError> {
        let name = &expected.contract.name;
        let object = self.recorder.put_json(expected);
        let object = object.map_err(|error| StoreError::new(error.code, error.told()))?;
        let facts = Object::from([("expected".to_owned(), object.into())]);
        self.record(commit_part(name), PartStatus::Intent, facts)?;
        self.pass("import/commit")
    }

    fn committed(&self, expected: &Expected) -> Result<(), BundleError> {
        self.pass("import/committed")?;
        self.record(commit_part(&expected.contract.name), PartStatus::Done, Object::new())
    }

    fn done_ranges(
        &self,
        collection: &CollectionName,
    ) -> Result<BTreeMap<usize, RangeDigest>, BundleError> {
        let mut done = BTreeMap::new();
        for (part, state) in self.parts() {
            let number = part.strip_prefix(&format!("{collection}/")).and_then(|n| n.parse().ok());
            let (Some(number), PartStatus::Done) = (number, state.status) else { continue };
            let records = super::context::integer_of(&state.facts, "records");
            let root = digest_of(&state.facts, "root");
            if let (Some(records), Some(root)) = (records, root) {
                let records = u64::try_from(records).unwrap_or(0);
                done.insert(number, RangeDigest { records, root });
            }
        }
        Ok(done)
    }

    fn commit_of(
        &self,
        collection: &CollectionName,
    ) -> Result<Option<(Expected, bool)>, BundleError> {
        let Some(part) = self.parts().remove(&commit_part(collection)) else { return Ok(None) };
        let Some(object) = text_of(&part.facts, "expected").and_then(|text| text.parse().ok())
        else {
            return Ok(None);
        };
        let expected = self.recorder.get_json(object);
        let expected = expected.map_err(|error| StoreError::new(error.code, error.told()))?;
        Ok(Some((expected, part.status == PartStatus::Done)))
    }
}
