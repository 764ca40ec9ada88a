//! What is reported of a bundle beside the outcome: that it left, that it arrived, where its parts come
//! from, and who used its data.

use std::path::Path;

use carnet_bundle::{BundleItem, ItemSource};
use carnet_ledger::{
    Artifact, Digest, EventBody, Integer, Package, Provenance, Sbom, UsageReceipt,
};
use carnet_model::portability::{BundleManifest, ContentType, read_usage};

use super::super::Act;
use super::read;
use crate::error::StepError;
use crate::run::recorder::Note;

/// What a bundle is among artifacts.
const BUNDLE: &str = "migration_bundle";
/// The largest list of parts, or statement, that is kept as an object of the evidence.
const KEPT_BYTES_MAX: u64 = 16 << 20;

/// The lists of parts and the statements of provenance, by the files that they are in.
pub(super) fn of_items(items: &[BundleItem]) -> Vec<(ContentType, std::path::PathBuf)> {
    let chain = items.iter().filter_map(|item| match (&item.source, item.kind) {
        (ItemSource::File(path), ContentType::Sbom | ContentType::Provenance) => {
            Some((item.kind, path.clone()))
        }
        (ItemSource::File(_) | ItemSource::Bytes(_), _) => None,
    });
    chain.collect()
}

/// A bundle as an artifact: its OCI manifest is an object of the evidence.
fn package(
    act: &Act<'_>,
    bundle: &Path,
    digest: Digest,
    manifest: &BundleManifest,
) -> Result<Package, StepError> {
    // In an archive the document is not a file; its digest is known all the same.
    let file = bundle.join("blobs/sha256").join(digest.to_string());
    if file.is_file() {
        act.cx.recorder.put(&read(&file)?)?;
    }
    Ok(Package {
        manifest: Artifact { artifact_type: BUNDLE, digest },
        integrity_verified: true,
        workload_id: manifest.workload_id.clone(),
    })
}

fn about(act: &Act<'_>, note: Note, manifest: &BundleManifest) -> Result<Note, StepError> {
    let pointer = act.cx.recorder.put(manifest.canonical().as_bytes())?;
    let governance = &manifest.governance_metadata;
    Ok(note
        .pointing(pointer)
        .with("content_root", manifest.content_root.into())
        .with("scenario", manifest.scenario.name().into())
        .with("jurisdiction", governance.jurisdiction.as_str().into())
        .with("classification", governance.classification.as_str().into())
        .with("retention", governance.retention.as_str().into()))
}

/// That it left.
pub(super) fn exported(
    act: &Act<'_>,
    bundle: &Path,
    digest: Digest,
    manifest: &BundleManifest,
    chain: &[(ContentType, std::path::PathBuf)],
) -> Result<Vec<Note>, StepError> {
    let package = package(act, bundle, digest, manifest)?;
    let note = Note::done(EventBody::MigrationExport(package), "export").about(subject(manifest));
    let mut notes = vec![about(act, note, manifest)?];
    for (kind, path) in chain {
        notes.extend(origin(act, *kind, path, manifest)?);
    }
    Ok(notes)
}

/// That it was placed.
pub(super) fn imported(
    act: &Act<'_>,
    place: &Path,
    bundle: &Path,
    digest: Digest,
    manifest: &BundleManifest,
) -> Result<Vec<Note>, StepError> {
    let package = package(act, bundle, digest, manifest)?;
    let note = Note::done(EventBody::MigrationImport(package), "import").about(subject(manifest));
    let mut notes = vec![about(act, note, manifest)?];
    for content in &manifest.contents {
        let path = place.join(&content.path);
        if matches!(content.kind, ContentType::Sbom | ContentType::Provenance) {
            notes.extend(origin(act, content.kind, &path, manifest)?);
        } else if content.kind == ContentType::UsageReceipt {
            notes.extend(used(&path)?);
        }
    }
    Ok(notes)
}

/// That what was placed is what crossed.
pub(super) fn validated(
    act: &Act<'_>,
    bundle: &Path,
    digest: Digest,
    manifest: &BundleManifest,
) -> Result<Note, StepError> {
    let package = package(act, bundle, digest, manifest)?;
    let note = Note::done(EventBody::MigrationValidate(package), "reread").about(subject(manifest));
    about(act, note, manifest)
}

fn subject(manifest: &BundleManifest) -> String {
    manifest.workload_id.clone().unwrap_or_else(|| manifest.source_provider.clone())
}

/// Where a component comes from, or what it consists of.
fn origin(
    act: &Act<'_>,
    kind: ContentType,
    path: &Path,
    manifest: &BundleManifest,
) -> Result<Option<Note>, StepError> {
    let size = path.metadata().map_err(|error| StepError::io("read", path, error))?.len();
    if size > KEPT_BYTES_MAX {
        return Ok(None);
    }
    let object = act.cx.recorder.put(&read(path)?)?;
    let component_id = subject(manifest);
    let body = if kind == ContentType::Sbom {
        EventBody::SupplychainSbomPublish(Sbom { component_id, sbom: object })
    } else {
        EventBody::SupplychainProvenanceAttest(Provenance { component_id, statement: object })
    };
    Ok(Some(Note::done(body, "publish").about(subject(manifest)).pointing(object)))
}

/// The uses of data that a file of receipts tells of.
fn used(path: &Path) -> Result<Vec<Note>, StepError> {
    let lines = read_usage(&read(path)?).map_err(|error| {
        let what = format!("{}: {error}", path.display());
        StepError::new(carnet_model::Code::BUNDLE_MALFORMED, what)
            .remedy("ask the sender for receipts in the form of docs/portability.md")
    })?;
    let note = |line: carnet_model::portability::UsageLine| {
        let policy = line.policy_snapshot_id.clone();
        let body = UsageReceipt {
            data_product_id: line.data_product_id.clone(),
            consumer_id: line.consumer_id,
            purpose_id: line.purpose_id,
            usage_quantity: Integer::from(line.usage_quantity),
            usage_unit: line.usage_unit,
        };
        let note = Note::done(EventBody::DataUsageReceipt(body), "carry_receipt")
            .about(line.data_product_id);
        match policy {
            Some(policy) => note.with("receipt_policy", policy.into()),
            None => note,
        }
    };
    Ok(lines.into_iter().map(note).collect())
}
