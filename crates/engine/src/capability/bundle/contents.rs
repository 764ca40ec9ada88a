//! What goes into a bundle: the inputs of a step as contents.

use std::path::{Path, PathBuf};

use carnet_bundle::{BundleItem, ItemSource};
use carnet_ledger::Digest;
use carnet_ledger::trust::TrustFile;
use carnet_model::Code;
use carnet_model::capability::{BundleExport, Governed, Packed};
use carnet_model::plan::Plan;
use carnet_model::policy::AuthoritySnapshot;
use carnet_model::portability::{
    AUTHORITY_PATH, BundleContent, BundleGovernance, ContentType, DEPENDENCIES_PATH,
    DependencyManifest, USAGE_BYTES_MAX, content_root, read_usage,
};

use super::super::Act;
use super::{read, workload};
use crate::error::StepError;
use crate::step::files;

const JSON: &str = "application/json";

/// All contents that count for the content root, and the governance that the manifest repeats.
pub(super) fn items(
    act: &Act<'_>,
    export: &BundleExport,
) -> Result<(Vec<BundleItem>, BundleGovernance), StepError> {
    let folder = act.cx.folder;
    let mut items = Vec::new();
    for packed in &export.contents {
        items.extend(packed_items(folder, packed)?);
    }
    let scratch = scratch_of(act);
    if let Some(image) = &export.image {
        items.extend(workload::image(act, image, &scratch)?);
    }
    if let Some(machine) = &export.machine {
        let name = export.workload_id.as_deref().unwrap_or_default();
        items.extend(workload::machine(act, machine, name, &scratch)?);
    }
    let governance = governance(act, &export.governance)?;
    items.push(BundleItem::governance(&governance));
    items.push(BundleItem::bytes(
        ContentType::DependencyManifest,
        DEPENDENCIES_PATH,
        JSON,
        dependencies(export)?,
    ));
    let policy = folder.join(&export.policy);
    items.extend(BundleItem::folder(ContentType::PolicySnapshot, "policy", &policy, |path| {
        media_type(ContentType::PolicySnapshot, path)
    })?);
    items.extend(authority(act, export)?);
    Ok((items, governance))
}

/// Where what has to be written anew lies until the bundle is whole.
pub(super) fn scratch_of(act: &Act<'_>) -> PathBuf {
    let name: String = Digest::of(act.key.as_bytes()).to_string().chars().take(16).collect();
    act.cx.state.join("scratch").join(name)
}

/// The files of one packed path. A folder is packed with all in it.
fn packed_items(folder: &Path, packed: &Packed) -> Result<Vec<BundleItem>, StepError> {
    let (kind, from) = (packed.kind, folder.join(&packed.from));
    let about = from.metadata().map_err(|error| StepError::io("read", &from, error))?;
    if kind == ContentType::UsageReceipt {
        usage(&from)?;
    } else if kind == ContentType::WorkloadDefinition {
        workload::definition(&from, &packed.path)?;
    }
    let of = |path: &str| kind_in(kind, path);
    let items = if about.is_dir() {
        let mut items =
            BundleItem::folder(kind, &packed.path, &from, |path| media_type(of(path), path))?;
        for item in &mut items {
            let kind = of(&item.path);
            item.kind = kind;
        }
        items
    } else {
        vec![BundleItem::file(kind, packed.path.clone(), media_type(kind, &packed.path), from)]
    };
    let sensitive = |item: BundleItem| if item.kind.is_paper() { item } else { item.sensitive() };
    Ok(items.into_iter().map(sensitive).collect())
}

/// What a file in a folder of this kind is.
fn kind_in(kind: ContentType, path: &str) -> ContentType {
    let inputs = path.rsplit('/').next() == Some("verifier-inputs.json");
    if kind == ContentType::EvidenceChainSegment && inputs {
        return ContentType::VerifierInputs;
    }
    kind
}

/// The media type of a content, by what it is and how its file is called.
pub(super) fn media_type(kind: ContentType, path: &str) -> String {
    let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
    let known = match (kind, ending) {
        (ContentType::Sbom, "json") if path.ends_with(".cdx.json") => {
            "application/vnd.cyclonedx+json"
        }
        (_, "json") => JSON,
        (_, "jsonl") => "application/jsonl",
        (_, "parquet") => "application/vnd.apache.parquet",
        (_, "yaml" | "yml") => "application/yaml",
        (_, "rego" | "md" | "txt" | "sha256") => "text/plain",
        _ => "application/octet-stream",
    };
    known.to_owned()
}

/// Receipts that cannot be read would travel for nothing.
fn usage(path: &Path) -> Result<(), StepError> {
    let failed = |error| StepError::io("read", path, error);
    let refused = |what: String| {
        StepError::new(Code::BUNDLE_MALFORMED, format!("{}: {what}", path.display()))
            .remedy("write one receipt a line: docs/portability.md shows its members")
    };
    if path.metadata().map_err(failed)?.len() > USAGE_BYTES_MAX {
        return Err(refused(format!("it has more than {USAGE_BYTES_MAX} bytes")));
    }
    read_usage(&read(path)?).map(|_| ()).map_err(refused)
}

/// The governance that is stated, or that came with the content. What the plan says about it must not
/// be something else.
fn governance(act: &Act<'_>, governed: &Governed) -> Result<BundleGovernance, StepError> {
    let file = match governed {
        Governed::Stated(stated) => return Ok(stated.clone()),
        Governed::File(file) => act.cx.folder.join(&file.file),
    };
    let found: BundleGovernance = serde_json::from_slice(&read(&file)?).map_err(|error| {
        let what = format!("{} holds no governance metadata: {error}", file.display());
        StepError::new(Code::BUNDLE_MALFORMED, what)
            .remedy("name the governance.json that came with the content")
    })?;
    let Some(said) = &act.cx.document().governance else { return Ok(found) };
    let pairs = [
        ("jurisdiction", said.jurisdiction.as_ref().map(ToString::to_string), &found.jurisdiction),
        (
            "classification",
            said.classification.as_ref().map(ToString::to_string),
            &found.classification,
        ),
        ("retention", said.retention.as_ref().map(ToString::to_string), &found.retention),
    ];
    for (key, said, found) in pairs {
        if let Some(said) = said.filter(|said| said != found) {
            let what =
                format!("the {key} is {found} in {}, and {said} in the plan", file.display());
            return Err(StepError::new(Code::CONTENT_DIFFERS, what)
                .remedy("governance crosses as it came: correct the plan"));
        }
    }
    Ok(found)
}

fn dependencies(export: &BundleExport) -> Result<Vec<u8>, StepError> {
    let value = serde_json::Value::Object(export.dependencies.clone());
    let read = DependencyManifest::read_value(&value).map_err(|errors| {
        let told: Vec<_> = errors.iter().map(ToString::to_string).collect();
        let what = format!("the dependency manifest is none: {}", told.join("; "));
        StepError::new(Code::BUNDLE_MALFORMED, what)
            .remedy("`carnet schema dependencies` shows its keys")
    })?;
    Ok(read.to_bytes())
}

/// Who has authority here: everybody whom the trust file names by name.
fn authority(act: &Act<'_>, export: &BundleExport) -> Result<Vec<BundleItem>, StepError> {
    let missing = || {
        StepError::new(Code::TRUST_MALFORMED, "nothing says who has authority over what crosses")
            .remedy("add `trust: FILE` to the plan, with the keys of approvers and of the log")
    };
    let file = act.cx.folder.join(export.authorities.as_ref().ok_or_else(missing)?);
    let bytes = read(&file)?;
    let trust = TrustFile::parse(&bytes).map_err(|error| {
        StepError::new(Code::TRUST_MALFORMED, format!("{}: {error}", file.display()))
    })?;
    let snapshot = of_plan(act.cx.plan, &trust);
    snapshot.check().map_err(|_| missing())?;
    let kind = ContentType::AuthoritySnapshot;
    Ok(vec![
        BundleItem::bytes(kind, AUTHORITY_PATH, JSON, snapshot.bytes()),
        BundleItem::bytes(kind, "authority/allowed_signers", "text/plain", bytes),
    ])
}

fn of_plan(plan: &Plan, trust: &TrustFile) -> AuthoritySnapshot {
    let approvers =
        plan.approvals().values().flat_map(|rule| rule.any_of.iter().map(String::as_str));
    AuthoritySnapshot::of_trust(plan.document().owner.as_str(), trust, &approvers.collect())
}

/// The root over the contents, computed from their bytes.
pub(super) fn root_of(items: &[BundleItem]) -> Result<Digest, StepError> {
    let content = |item: &BundleItem| {
        let (size, digest) = match &item.source {
            ItemSource::Bytes(bytes) => (bytes.len() as u64, Digest::of(bytes)),
            ItemSource::File(path) => {
                let failed = |error| StepError::io("read", path, error);
                let missing = || failed(std::io::ErrorKind::NotFound.into());
                let size = path.metadata().map_err(failed)?.len();
                (size, files::digest(path)?.ok_or_else(missing)?)
            }
        };
        Ok(BundleContent {
            kind: item.kind,
            path: item.path.clone(),
            media_type: item.media_type.clone(),
            integrity_hash: format!("sha256:{digest}"),
            size,
            encryption: None,
        })
    };
    let contents: Vec<_> = items.iter().map(content).collect::<Result<_, StepError>>()?;
    Ok(content_root(&contents))
}
