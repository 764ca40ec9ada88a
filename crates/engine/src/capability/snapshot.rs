//! `snapshot.export`, `snapshot.verify`, `snapshot.import`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use carnet_bundle::{
    DeclaredView, ExportRequest, ImportRequest, SnapshotStore, SnapshotTime, Verification,
    export_view, plan_import, run_import, verify_snapshot, verify_target,
};
use carnet_connect::VectorRepository;
use carnet_ledger::{Digest, Object};
use carnet_model::capability::{SnapshotExport, SnapshotImport, SnapshotVerify};
use carnet_model::{Code, CollectionContract, CollectionName, StoreUrl, TableLayout};

use super::{Act, Capability, Probed};
use crate::error::StepError;
use crate::step::import::{self, Parts};
use crate::step::{
    Done, Role, StoreRequest, files, integer_of, making, moment, remove_made, text_of,
};

pub(super) struct Export;
pub(super) struct Verify;
pub(super) struct Import;

/// Opens a store that the inputs name.
fn open(act: &Act<'_>, url: &str, role: Role) -> Result<Box<dyn VectorRepository>, StepError> {
    let url = StoreUrl::parse(url)
        .map_err(|error| StepError::new(error.code(), error.to_string()).remedy(error.remedy()))?;
    let url = match url {
        StoreUrl::Faiss(path) => StoreUrl::Faiss(act.cx.folder.join(path)),
        StoreUrl::Sqlite(path) => StoreUrl::Sqlite(act.cx.folder.join(path)),
        StoreUrl::Snapshot(path) => StoreUrl::Snapshot(act.cx.folder.join(path)),
        StoreUrl::Postgres(url) => StoreUrl::Postgres(url),
    };
    let request = StoreRequest { url, role, layout: TableLayout::Carnet, drop: Vec::new() };
    Ok(act.cx.stores.open(&request)?)
}

/// The snapshot that the inputs mean: this folder, or the only snapshot in it. An export names its
/// snapshot by the moment, which no plan can know.
fn meant(act: &Act<'_>, written: &str) -> Result<PathBuf, StepError> {
    let folder = act.cx.folder.join(written);
    if folder.join(carnet_bundle::MANIFEST).exists() || !folder.is_dir() {
        return Ok(folder);
    }
    let failed = |error| StepError::io("read", &folder, error);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(failed)? {
        let place = entry.map_err(failed)?.path();
        // What is unfinished has no manifest, or a name that says so.
        let whole = place.extension().is_none_or(|end| end != "partial");
        if whole && place.join(carnet_bundle::MANIFEST).is_file() {
            found.push(place);
        }
    }
    match (found.pop(), found.len()) {
        (None, _) => Ok(folder),
        (Some(only), 0) => Ok(only),
        (Some(_), more) => {
            let what = format!("there are {} snapshots in {}", more + 1, folder.display());
            Err(StepError::new(Code::PLAN_VALUE, what)
                .remedy("name one of them, or move the rest away"))
        }
    }
}

fn place(inputs: &Object) -> Result<PathBuf, StepError> {
    let place = text_of(inputs, "snapshot").map(PathBuf::from);
    place.ok_or_else(|| StepError::new(Code::BUG, "the place of the snapshot was not recorded"))
}

impl Capability for Export {
    fn prepare(&self, act: &Act<'_>) -> Result<Object, StepError> {
        let export: SnapshotExport = act.inputs()?;
        let store = open(act, &export.store, Role::Source)?;
        if store.snapshot()?.collections()?.is_empty() {
            let what = format!("{} holds no collections", store.label());
            return Err(StepError::new(Code::STORE_NOT_FOUND, what).remedy("correct the store"));
        }
        // What names the snapshot is fixed here: a repetition writes the same bytes.
        let (time, seconds) = moment(act.cx)?;
        let place = act.cx.folder.join(&export.into).join(time.folder());
        if place.symlink_metadata().is_ok() {
            let what = format!("{} is there already", place.display());
            return Err(StepError::new(Code::SNAPSHOT_EXISTS, what).remedy("move it away"));
        }
        let inputs = Object::from([
            ("snapshot".to_owned(), place.display().to_string().into()),
            ("created".to_owned(), crate::step::number(seconds)),
            ("store".to_owned(), store.label().into()),
        ]);
        Ok(making(inputs, &files::folder_of(&place)))
    }

    fn act(&self, act: &Act<'_>, inputs: &Object) -> Result<Done, StepError> {
        let export: SnapshotExport = act.inputs()?;
        let place = place(inputs)?;
        let parent = files::folder_of(&place);
        files::make_folder(&parent)?;
        // What an earlier attempt left was not recorded as whole, so it is made again.
        files::remove_whole(&place, || Ok(()))?;
        let store = open(act, &export.store, Role::Source)?;
        let view = store.snapshot()?;
        let names = view.collections()?;
        let contract = |name: &CollectionName| Ok(view.describe(name)?.contract);
        let contracts: Vec<CollectionContract> =
            names.iter().map(contract).collect::<Result<_, StepError>>()?;
        let artifacts = export.artifacts.map(|path| act.cx.folder.join(path));
        let created = integer_of(inputs, "created").unwrap_or_default();
        let request = ExportRequest {
            parent: &parent,
            created: SnapshotTime::from_unix_seconds(created)?,
            source_env: &export.environment,
            artifacts: artifacts.as_deref(),
            collections: Some(&names),
            governance: BTreeMap::new(),
            metadata_apart: false,
            index: None,
            signers: &[],
        };
        let view = DeclaredView::new(view.as_ref(), &contracts);
        let exported = export_view(&view, store.kind(), &request, &act.cx.work)?;
        act.pass("snapshot/exported")?;
        let manifest = exported.path.join(carnet_bundle::MANIFEST);
        let manifest = files::read(&manifest)?
            .ok_or_else(|| StepError::new(Code::BUG, "the snapshot has no manifest"))?;
        Ok(Done::default()
            .fact("snapshot", exported.path.display().to_string())
            .fact("manifest", act.cx.recorder.put(&manifest)?)
            .count("records", exported.manifest.record_count)
            .count("bytes", exported.bytes))
    }

    fn probe(&self, _: &Act<'_>, _: &Object) -> Result<Probed, StepError> {
        Ok(Probed::NotApplied)
    }

    fn undo(&self, act: &Act<'_>, inputs: &Object) -> Result<Vec<String>, StepError> {
        files::remove_whole(&place(inputs)?, || act.pass("snapshot/removing"))?;
        remove_made(inputs);
        Ok(Vec::new())
    }
}

/// Refuses a snapshot that does not hold what it says.
fn sound(folder: &Path, verified: &Verification) -> Result<(), StepError> {
    if verified.is_ok() {
        return Ok(());
    }
    let code = verified.code().unwrap_or(Code::SNAPSHOT_DAMAGED);
    let first = verified.first_difference().unwrap_or("not everything could be compared");
    Err(StepError::new(code, format!("{}: {first}", folder.display()))
        .remedy("fetch it again, or export it again from the source"))
}

impl Capability for Verify {
    fn prepare(&self, act: &Act<'_>) -> Result<Object, StepError> {
        let verify: SnapshotVerify = act.inputs()?;
        let folder = meant(act, &verify.snapshot)?;
        Ok(Object::from([("snapshot".to_owned(), folder.display().to_string().into())]))
    }

    fn act(&self, act: &Act<'_>, inputs: &Object) -> Result<Done, StepError> {
        let folder = place(inputs)?;
        let verified = verify_snapshot(&folder, &act.cx.work)?;
        let checks = act.cx.recorder.put_json(&verified.checks)?;
        sound(&folder, &verified)?;
        let records = verified.manifest.as_ref().map_or(0, |manifest| manifest.record_count);
        Ok(Done::default().fact("checks", checks).count("records", records))
    }

    fn probe(&self, _: &Act<'_>, _: &Object) -> Result<Probed, StepError> {
        Ok(Probed::NotApplied)
    }

    fn undo(&self, _: &Act<'_>, _: &Object) -> Result<Vec<String>, StepError> {
        Ok(Vec::new())
    }
}

impl Capability for Import {
    fn prepare(&self, act: &Act<'_>) -> Result<Object, StepError> {
        let wanted: SnapshotImport = act.inputs()?;
        let folder = meant(act, &wanted.snapshot)?;
        sound(&folder, &verify_snapshot(&folder, &act.cx.work)?)?;
        let snapshot = SnapshotStore::open(&folder)?;
        let target = open(act, &wanted.store, Role::Target)?;
        let there = target.snapshot()?.collections()?;
        let request = ImportRequest {
            mode: wanted.mode,
            token: &token(act),
            collections: None,
            known: &[],
            source: snapshot.capabilities(),
            indexes: &BTreeMap::new(),
            accept_losses: &[],
        };
        let view = snapshot.snapshot()?;
        let planned = plan_import(view.as_ref(), target.as_ref(), &request, &act.cx.work)?;
        let mut inputs = import::intent(act.cx.recorder, &planned, &there, &[])?;
        inputs.insert("snapshot".to_owned(), folder.display().to_string().into());
        Ok(match StoreUrl::parse(&wanted.store) {
            Ok(StoreUrl::Faiss(path)) => making(inputs, &act.cx.folder.join(path)),
            Ok(StoreUrl::Sqlite(_) | StoreUrl::Postgres(_) | StoreUrl::Snapshot(_)) | Err(_) => {
                inputs
            }
        })
    }

    fn act(&self, act: &Act<'_>, inputs: &Object) -> Result<Done, StepError> {
        let wanted: SnapshotImport = act.inputs()?;
        let planned = import::planned(act.cx, inputs)?;
        let snapshot = SnapshotStore::open(&place(inputs)?)?;
        let target = open(act, &wanted.store, Role::Target)?;
        let view = snapshot.snapshot()?;
        let imported =
            run_import(&planned, view.as_ref(), target.as_ref(), &journal(act), &act.cx.work)?;
        verify_target(target.as_ref(), &imported.expected, &act.cx.work)?.check()?;
        let records = imported.expected.iter().map(|it| it.records).sum();
        let expected = act.cx.recorder.put_json(&imported.expected)?;
        Ok(Done::default().fact("expected", expected).count("records", records))
    }

    fn probe(&self, _: &Act<'_>, _: &Object) -> Result<Probed, StepError> {
        Ok(Probed::NotApplied)
    }

    fn undo(&self, act: &Act<'_>, inputs: &Object) -> Result<Vec<String>, StepError> {
        let wanted: SnapshotImport = act.inputs()?;
        let target = open(act, &wanted.store, Role::Target)?;
        let planned = import::planned(act.cx, inputs)?;
        let left = import::take_back(target.as_ref(), &planned, inputs, &journal(act))?;
        drop(target);
        remove_made(inputs);
        Ok(left)
    }
}

fn journal<'a>(act: &Act<'a>) -> Parts<'a> {
    Parts { recorder: act.cx.recorder, node: act.node, faults: act.cx.faults }
}

/// Names the loads of this step in the target: the same after a crash.
fn token(act: &Act<'_>) -> String {
    Digest::of(act.key.as_bytes()).to_string().chars().take(32).collect()
}
