//! Writing the snapshot, bringing it to the target side, and checking what arrived.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use carnet_bundle::{CollectionDigest, ExportRequest, SnapshotTime, beside_the_store, export_view};
use carnet_connect::Progress;
use carnet_ledger::{Digest, EventBody, Object, Package, SnapshotBody};
use carnet_model::{Code, CollectionName};
use serde::{Deserialize, Serialize};

use super::context::{Context, Done, flag_of, integer_of, making, number, text_of};
use super::files;
use crate::error::StepError;
use crate::run::notes::snapshot_of;
use crate::run::recorder::Note;

use super::look::SourceSeen;

/// The inventory of a snapshot.
pub(super) const MANIFEST: &str = "manifest.json";

/// What was exported.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ExportSeen {
    /// What was read from the source, in the pass that wrote the snapshot.
    pub(crate) collections: Vec<CollectionDigest>,
    pub(crate) bytes: u64,
    pub(crate) left_behind: Vec<String>,
    /// The digest of the manifest's bytes.
    pub(crate) manifest: Digest,
}

pub(super) fn inputs(cx: &Context<'_>) -> Result<Object, StepError> {
    // What names the snapshot is fixed here: a repetition writes the same bytes.
    let (time, seconds) = moment(cx)?;
    let inputs = Object::from([
        ("folder".to_owned(), time.folder().into()),
        ("created".to_owned(), number(seconds)),
    ]);
    Ok(making(inputs, &cx.snapshots()))
}

/// The moment that names a new snapshot, and the same in seconds since 1970: the one that the caller
/// fixed, else now.
pub(crate) fn moment(cx: &Context<'_>) -> Result<(SnapshotTime, u64), StepError> {
    let seconds = cx.clock.now().unix_millis().div_euclid(1_000);
    let time = match cx.snapshot_time {
        Some(time) => time,
        None => SnapshotTime::from_unix_seconds(seconds)?,
    };
    let seconds = cx.snapshot_time.map_or(Ok(seconds), |_| unix_seconds(&time.utc()))?;
    Ok((time, u64::try_from(seconds).unwrap_or(0)))
}

/// Seconds since 1970 of a time that ends in whole seconds.
fn unix_seconds(utc: &str) -> Result<i64, StepError> {
    let text = format!("{}.000Z", utc.trim_end_matches('Z'));
    let time: carnet_ledger::EventTime =
        text.parse().map_err(|_| StepError::new(Code::BUG, format!("{utc:?} is not a time")))?;
    Ok(time.unix_millis().div_euclid(1_000))
}

pub(super) fn export(cx: &Context<'_>, inputs: &Object) -> Result<Done, StepError> {
    let seconds = integer_of(inputs, "created").unwrap_or_default();
    let parent = cx.snapshots();
    files::make_folder(&parent)?;
    // What an earlier attempt left was not recorded, so it is made again.
    if let Some(place) = place_of(cx, inputs) {
        files::remove_whole(&place, || Ok(()))?;
    }
    let source_env = cx.knowledge()?.source.name.as_str();
    let artifacts = cx.source_artifacts();
    let backend = cx.source()?.kind();
    let exported = cx.with_source(|view, contracts| {
        let names: Vec<CollectionName> = contracts.iter().map(|it| it.name.clone()).collect();
        let request = ExportRequest {
            parent: &parent,
            created: SnapshotTime::from_unix_seconds(seconds)?,
            source_env,
            artifacts: artifacts.as_deref(),
            collections: Some(&names),
            governance: governance(cx),
            metadata_apart: false,
            index: None,
            signers: &[],
        };
        Ok(export_view(view, backend, &request, &cx.work)?)
    })?;
    cx.faults.pass("export/written")?;
    // The manifest is evidence itself: events name it, and whoever checks them can read it.
    let manifest = files::read(&exported.path.join(MANIFEST))?
        .ok_or_else(|| StepError::new(Code::BUG, "the snapshot was written without a manifest"))?;
    let seen = ExportSeen {
        bytes: exported.bytes,
        left_behind: left_behind(cx, exported.left_behind)?,
        manifest: cx.recorder.put(&manifest)?,
        collections: exported.collections,
    };
    let details = cx.recorder.put_json(&seen)?;
    let records = exported.manifest.record_count;
    let package = Package {
        manifest: snapshot_of(seen.manifest),
        integrity_verified: as_seen_before(cx, &seen)?,
        workload_id: None,
    };
    let snapshot_id = exported.manifest.snapshot_id;
    let snapshot =
        SnapshotBody { snapshot_id: snapshot_id.clone(), manifest: package.manifest.clone() };
    let note = |body, action, pointer| {
        Note::done(body, action)
            .about(snapshot_id.clone())
            .pointing(pointer)
            .with("records", number(records))
            .with("bytes", number(exported.bytes))
    };
    Ok(Done::default()
        .fact("details", details)
        .count("records", records)
        .count("bytes", exported.bytes)
        .note(note(EventBody::MigrationExport(package), "export", details))
        .note(note(
            EventBody::KnowledgeSnapshotExported(snapshot),
            "export_snapshot",
            seen.manifest,
        )))
}

/// Whether what was exported is what an earlier pass over the source has found: two readings that
/// do not know of one another. A source that was written to in between gives another root.
fn as_seen_before(cx: &Context<'_>, exported: &ExportSeen) -> Result<bool, StepError> {
    let before: SourceSeen = cx.seen("prepare/describe_source")?;
    let before = before.collections.iter().map(|it| (&it.digest.name, it.digest.root));
    Ok(before.eq(exported.collections.iter().map(|it| (&it.name, it.root))))
}

/// Entries of the artifact folder that are neither artifacts nor the source's own files.
fn left_behind(cx: &Context<'_>, entries: Vec<String>) -> Result<Vec<String>, StepError> {
    let Some(folder) = cx.source_artifacts() else { return Ok(entries) };
    let store = cx.knowledge()?.source.knowledge.store.within(cx.folder);
    Ok(beside_the_store(&folder, &store, entries))
}

fn governance(cx: &Context<'_>) -> BTreeMap<String, String> {
    let Some(governance) = &cx.document().governance else { return BTreeMap::new() };
    let said = [
        ("jurisdiction", governance.jurisdiction.as_ref().map(ToString::to_string)),
        ("classification", governance.classification.as_ref().map(ToString::to_string)),
        ("retention", governance.retention.as_ref().map(ToString::to_string)),
    ];
    said.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

/// Removes the snapshot and what is unfinished of it.
pub(super) fn remove(cx: &Context<'_>, inputs: &Object) -> Result<Vec<String>, StepError> {
    if let Some(place) = place_of(cx, inputs) {
        files::remove_whole(&place, || cx.faults.pass("export/removing"))?;
    }
    Ok(Vec::new())
}

fn place_of(cx: &Context<'_>, inputs: &Object) -> Option<PathBuf> {
    Some(cx.snapshots().join(text_of(inputs, "folder")?))
}

pub(super) fn place_inputs(cx: &Context<'_>) -> Result<Object, StepError> {
    copy_inputs(&cx.exported()?, &cx.arrived()?)
}

/// Where a folder is copied to. The very same folder may be there already, from a run that was
/// taken back; it then stays. Another one is not overwritten.
pub(super) fn copy_inputs(from: &Path, to: &Path) -> Result<Object, StepError> {
    let was_there = to.exists();
    if was_there && !files::same_tree(from, to)? {
        let what = format!("{} is there already, with other content", to.display());
        let remedy = "move it away, then run the plan again";
        return Err(StepError::new(Code::SNAPSHOT_EXISTS, what).remedy(remedy));
    }
    let inputs = Object::from([
        ("to".to_owned(), to.display().to_string().into()),
        ("was_there".to_owned(), was_there.into()),
    ]);
    Ok(making(inputs, &files::folder_of(to)))
}

/// Copies the snapshot file by file. Files that an earlier attempt has copied whole are kept.
pub(super) fn place(cx: &Context<'_>) -> Result<Done, StepError> {
    let (from, to) = (cx.exported()?, cx.arrived()?);
    let (count, bytes) = copy_whole(cx, &from, &to, "transfer/file")?;
    Ok(Done::default().count("files", count).count("bytes", bytes))
}

/// Copies a folder so that it has its name only when it is whole. One that is there is whole.
pub(super) fn copy_whole(
    cx: &Context<'_>,
    from: &Path,
    to: &Path,
    point: &str,
) -> Result<(u64, u64), StepError> {
    if to.is_dir() {
        let tree = files::walk(to)?;
        return Ok((tree.files.len() as u64, tree.files.iter().map(|(_, size)| size).sum()));
    }
    let partial = files::partial_of(to);
    let copied = copy_tree(cx, from, &partial, point)?;
    fs::rename(&partial, to).map_err(|error| StepError::io("rename to", to, error))?;
    files::sync(&files::folder_of(to))?;
    Ok(copied)
}

/// Removes such a copy, whole or not.
pub(super) fn remove_copy(
    cx: &Context<'_>,
    to: &Path,
    point: &str,
) -> Result<Vec<String>, StepError> {
    files::remove_whole(to, || cx.faults.pass(point))?;
    Ok(Vec::new())
}

/// Copies a folder, durably; what is there already with the same bytes is not copied again.
fn copy_tree(
    cx: &Context<'_>,
    from: &Path,
    to: &Path,
    point: &str,
) -> Result<(u64, u64), StepError> {
    let tree = files::walk(from)?;
    let total = tree.files.iter().map(|(_, size)| size).sum();
    let progress: &dyn Progress = cx.work.progress;
    let job = progress.job("copy the snapshot", "bytes", Some(total));
    for folder in &tree.folders {
        files::make_folder(&to.join(folder))?;
    }
    for (path, size) in &tree.files {
        let (from, to) = (from.join(path), to.join(path));
        let there = to.metadata().is_ok_and(|held| held.len() == *size);
        if !there || files::digest(&to)? != files::digest(&from)? {
            files::copy(&from, &to)?;
        }
        job.add(*size);
        cx.faults.pass(point)?;
    }
    for folder in tree.folders.iter().rev() {
        files::sync(&to.join(folder))?;
    }
    Ok((tree.files.len() as u64, total))
}

pub(super) fn unplace(cx: &Context<'_>, inputs: &Object) -> Result<Vec<String>, StepError> {
    if flag_of(inputs, "was_there") {
        return Ok(Vec::new());
    }
    remove_copy(cx, &cx.arrived()?, "transfer/removing")
}
