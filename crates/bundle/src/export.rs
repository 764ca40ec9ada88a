//! Export: one consistent view of a store becomes a snapshot directory.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use carnet_connect::{IdRange, RecordStream, StoreError, StoreSnapshot, VectorRepository};
use carnet_model::{CollectionContract, CollectionName};

use crate::artifacts::{copy_artifacts, count_artifacts, find_artifacts};
use crate::checksums::{CHECKSUMS, digest_of_checksums, write_checksums};
use crate::collection::CollectionDigest;
use crate::encode::{Places, write_collection};
use crate::error::BundleError;
use crate::files::{FileSum, hash_file, write_file};
use crate::manifest::{
    DIGESTS, EMBEDDINGS, INDEX, MANIFEST, METADATA, Manifest, ManifestCollection, SCHEMA_VERSION,
    TREE, collection_path,
};
use crate::new_folder::NewFolder;
use crate::record::RECORD_DIGEST;
use crate::signature::{ManifestSigner, signature_file};
use crate::time::SnapshotTime;
use crate::work::Work;

/// Writes a FAISS index of a collection: contract, number of records, the records in byte order of
/// id, and the file to make.
pub type IndexWriter<'a> =
    dyn Fn(&CollectionContract, u64, &mut dyn RecordStream, &Path) -> Result<(), StoreError> + 'a;

/// What to export, and where to.
#[derive(Clone)]
pub struct ExportRequest<'a> {
    /// The directory in which the snapshot's folder is made. It must exist.
    pub parent: &'a Path,
    /// The moment that names the snapshot.
    pub created: SnapshotTime,
    /// The owner's name for where the content comes from.
    pub source_env: &'a str,
    /// A directory with artifact folders, if there are artifacts.
    pub artifacts: Option<&'a Path>,
    /// The collections to export; `None` for all.
    pub collections: Option<&'a [CollectionName]>,
    /// What governs the content.
    pub governance: BTreeMap<String, String>,
    /// Whether to write `metadata.parquet` beside the whole records.
    pub metadata_apart: bool,
    /// Writes `index.faiss` if given; `metadata.parquet` is then written too, because position i of
    /// the index is row i of it.
    pub index: Option<&'a IndexWriter<'a>>,
    /// Who signs the manifest. The signatures are in place before the folder has its name.
    pub signers: &'a [&'a dyn ManifestSigner],
}

/// A finished snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// Its directory.
    pub path: PathBuf,
    /// Its inventory, as written.
    pub manifest: Manifest,
    /// The digest of each collection, with the facts that the pass found.
    pub collections: Vec<CollectionDigest>,
    /// The size of all files together.
    pub bytes: u64,
    /// Entries of the artifacts directory that are of no known kind, and stayed behind.
    pub left_behind: Vec<String>,
}

/// Exports a store as it is now: see `export_view`.
pub fn export_snapshot(
    store: &dyn VectorRepository,
    request: &ExportRequest<'_>,
    work: &Work<'_>,
) -> Result<Exported, BundleError> {
    let view = store.snapshot()?;
    export_view(view.as_ref(), store.kind(), request, work)
}

/// Exports one view of a store into a new folder.
///
/// The folder has its name only when it is whole and durable; until then it is a sibling whose name
/// ends in `.partial`. The same content and request give the same bytes, whatever the store and the
/// number of workers.
pub fn export_view(
    view: &dyn StoreSnapshot,
    backend: &str,
    request: &ExportRequest<'_>,
    work: &Work<'_>,
) -> Result<Exported, BundleError> {
    let path = request.parent.join(request.created.folder());
    if path.symlink_metadata().is_ok() {
        return Err(BundleError::Exists { path });
    }
    let folder = NewFolder::make(&path)?;
    let exported = write_parts(view, backend, request, folder.path(), work)?;
    folder.publish()?;
    Ok(Exported { path, ..exported })
}

fn write_parts(
    view: &dyn StoreSnapshot,
    backend: &str,
    request: &ExportRequest<'_>,
    dir: &Path,
    work: &Work<'_>,
) -> Result<Exported, BundleError> {
    let names = match request.collections {
        Some(names) => names.to_vec(),
        None => view.collections()?,
    };
    let mut sums: BTreeMap<String, FileSum> = BTreeMap::new();
    let mut collections = Vec::new();
    let mut listed = Vec::new();
    for (position, name) in names.iter().enumerate() {
        let (entry, digest) = write_one(view, name, position, request, dir, &mut sums, work)?;
        listed.push(entry);
        collections.push(digest);
    }
    let mut left_behind = Vec::new();
    if let Some(from) = request.artifacts {
        let found = find_artifacts(from)?;
        sums.extend(copy_artifacts(from, dir, &found, work)?);
        left_behind = found.left_behind;
    }
    let artifacts = count_artifacts(sums.keys().map(String::as_str));
    let count = |kind: &str| artifacts.get(kind).copied().unwrap_or(0);
    let manifest = Manifest {
        snapshot_id: request.created.id(),
        vector_backend: backend.to_owned(),
        record_count: listed.iter().map(|entry| entry.record_count).sum(),
        dimensions: listed.first().map_or(0, |entry| entry.dimensions),
        bpmn_count: count("bpmn"),
        prompt_count: count("prompts"),
        source_env: request.source_env.to_owned(),
        schema_version: SCHEMA_VERSION,
        created_utc: request.created.utc(),
        hash_algorithm: "sha256".to_owned(),
        record_digest: RECORD_DIGEST.to_owned(),
        tree: TREE.to_owned(),
        collections: listed,
        artifacts,
        governance: request.governance.clone(),
        files: sums.iter().map(|(path, sum)| (path.clone(), sum.bytes)).collect(),
        files_sha256: digest_of_checksums(sums.iter().map(|(path, sum)| (path, sum.sha256))),
    };
    let manifest_bytes = manifest.to_bytes()?;
    let sum = write_file(&dir.join(MANIFEST), &manifest_bytes)?;
    sums.insert(MANIFEST.to_owned(), sum);
    let digests = sums.iter().map(|(path, sum)| (path.clone(), sum.sha256)).collect();
    let list = write_file(&dir.join(CHECKSUMS), write_checksums(&digests).as_bytes())?;
    let mut bytes = sums.values().map(|sum| sum.bytes).sum::<u64>() + list.bytes;
    for signer in request.signers {
        let signature = signer.sign(&manifest_bytes)?;
        bytes += write_file(&dir.join(signature_file(signer.form())), &signature)?.bytes;
    }
    Ok(Exported { path: dir.to_owned(), manifest, collections, bytes, left_behind })
}

/// Writes the files of one collection and notes their sums.
fn write_one(
    view: &dyn StoreSnapshot,
    name: &CollectionName,
    position: usize,
    request: &ExportRequest<'_>,
    dir: &Path,
    sums: &mut BTreeMap<String, FileSum>,
    work: &Work<'_>,
) -> Result<(ManifestCollection, CollectionDigest), BundleError> {
    let path = |file: &str| collection_path(position, name, file);
    let embeddings = dir.join(path(EMBEDDINGS));
    if let Some(folder) = embeddings.parent() {
        fs::create_dir_all(folder).map_err(|error| BundleError::io("make", folder, error))?;
    }
    let metadata = (request.metadata_apart || request.index.is_some()).then(|| path(METADATA));
    let metadata_place = metadata.as_ref().map(|file| dir.join(file));
    let places = Places {
        embeddings: &embeddings,
        digests: &dir.join(path(DIGESTS)),
        metadata: metadata_place.as_deref(),
    };
    let written = write_collection(view, name, &places, work)?;
    sums.insert(path(EMBEDDINGS), written.embeddings);
    sums.insert(path(DIGESTS), written.digests);
    if let (Some(file), Some(sum)) = (&metadata, written.metadata) {
        sums.insert(file.clone(), sum);
    }
    let digest = written.digest;
    let mut index = None;
    if let Some(write) = request.index {
        let at = dir.join(path(INDEX));
        let mut records = view.scan(name, &IdRange::all())?;
        write(&digest.contract, digest.records, records.as_mut(), &at)?;
        File::open(&at)
            .and_then(|file| file.sync_all())
            .map_err(|error| BundleError::io("sync", &at, error))?;
        sums.insert(path(INDEX), hash_file(&at, |_| ())?);
        index = Some(path(INDEX));
    }
    let entry = ManifestCollection {
        name: name.clone(),
        dimensions: digest.dimensions,
        record_count: digest.records,
        root: digest.root,
        contract: digest.contract.clone(),
        contract_digest: digest.contract_digest,
        embeddings: path(EMBEDDINGS),
        digests: path(DIGESTS),
        metadata,
        index,
    };
    Ok((entry, digest))
}
