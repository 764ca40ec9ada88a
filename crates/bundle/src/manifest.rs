//! `manifest.json` of a snapshot (`docs/formats.md`, "Manifest").

use std::collections::BTreeMap;
use std::path::Path;

use carnet_ledger::Digest;
use carnet_model::{CollectionContract, CollectionName};
use serde::{Deserialize, Serialize};

use crate::error::BundleError;
use crate::files::read_small;
use crate::record::RECORD_DIGEST;

/// The version of the snapshot's form that is written and read.
pub const SCHEMA_VERSION: u32 = 1;

/// How the tree over the records is built.
pub const TREE: &str = "rfc6962-sha256";

/// The name of the manifest in its directory.
pub const MANIFEST: &str = "manifest.json";

/// No manifest is larger; it grows with collections and files, not with records.
const MANIFEST_BYTES_MAX: u64 = 64 << 20;

/// The inventory of a snapshot. The first ten fields are those of the knowledge-portability
/// requirements, section 3; the others are ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// `YYYYMMDDTHHMMSSZ`.
    pub snapshot_id: String,
    /// The kind of the store that was exported: `pgvector`, `faiss`, `sqlite`, …
    pub vector_backend: String,
    /// Records of all collections together.
    pub record_count: u64,
    /// The vector length of the first collection; 0 when there is none.
    pub dimensions: u32,
    /// Files under `bpmn/`.
    pub bpmn_count: u64,
    /// Files under `prompts/`.
    pub prompt_count: u64,
    /// Where it was exported, by the owner's name for it.
    pub source_env: String,
    /// The version of the snapshot's form.
    pub schema_version: u32,
    /// When, by the exporter's clock.
    pub created_utc: String,
    /// How files are hashed: `sha256`.
    pub hash_algorithm: String,
    /// How a record is hashed.
    pub record_digest: String,
    /// How the records' tree is built.
    pub tree: String,
    /// The collections; the first one's files are at the top.
    pub collections: Vec<ManifestCollection>,
    /// Files of each kind of artifact, by the name of its folder.
    pub artifacts: BTreeMap<String, u64>,
    /// What governs this content: jurisdiction, classification, retention.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub governance: BTreeMap<String, String>,
    /// The size in bytes of every file but this one, the checksums and signatures.
    pub files: BTreeMap<String, u64>,
    /// SHA-256 of the lines of `checksums.sha256` about these files. So a signature of the manifest
    /// covers every byte of the snapshot.
    pub files_sha256: Digest,
}

/// One collection in a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestCollection {
    /// Its name.
    pub name: CollectionName,
    /// The length of each vector.
    pub dimensions: u32,
    /// How many records.
    pub record_count: u64,
    /// The collection root.
    pub root: Digest,
    /// The declared contract.
    pub contract: CollectionContract,
    /// The contract's digest.
    pub contract_digest: Digest,
    /// The Parquet file with the records.
    pub embeddings: String,
    /// The Parquet file with the records' digests.
    pub digests: String,
    /// A Parquet file with everything but the vectors, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<String>,
    /// A FAISS index, where it was asked for: position i is row i of the metadata file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<String>,
}

/// The paths of a collection's files inside a snapshot; the first collection's are at the top.
pub(crate) fn collection_path(position: usize, name: &CollectionName, file: &str) -> String {
    if position == 0 { file.to_owned() } else { format!("collections/{name}/{file}") }
}

/// Only the fields that tell whether the rest can be understood.
#[derive(Deserialize)]
struct Form {
    schema_version: u64,
    #[serde(default)]
    record_digest: Option<String>,
    #[serde(default)]
    tree: Option<String>,
}

impl Manifest {
    /// Reads and checks the manifest of a snapshot directory.
    pub fn read(dir: &Path) -> Result<Self, BundleError> {
        let path = dir.join(MANIFEST);
        Self::parse(&path, &read_small(&path, MANIFEST_BYTES_MAX)?)
    }

    /// Parses and checks a manifest; the path is for errors.
    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, BundleError> {
        let not_json = |error: serde_json::Error| BundleError::malformed(path, error.to_string());
        let form: Form = serde_json::from_slice(bytes).map_err(not_json)?;
        let forms = [
            ("schema version", Some(form.schema_version.to_string()), SCHEMA_VERSION.to_string()),
            ("record digest", form.record_digest, RECORD_DIGEST.to_owned()),
            ("tree", form.tree, TREE.to_owned()),
        ];
        for (what, found, known) in forms {
            if let Some(found) = found.filter(|found| *found != known) {
                return Err(BundleError::Version {
                    path: path.to_owned(),
                    found: format!("{what} {found}"),
                    known,
                });
            }
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(not_json)?;
        match manifest.inconsistency() {
            None => Ok(manifest),
            Some(what) => Err(BundleError::malformed(path, what)),
        }
    }

    /// The bytes of the file.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, BundleError> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|error| {
            carnet_connect::StoreError::new(carnet_model::Code::BUG, "cannot write a manifest")
                .because(error)
        })?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// What the manifest says against itself, if anything.
    fn inconsistency(&self) -> Option<String> {
        let differ = |what: &str, flat: u64, sum: u64| {
            (flat != sum).then(|| format!("{what} is {flat}, the parts say {sum}"))
        };
        let of = |kind: &str| self.artifacts.get(kind).copied().unwrap_or(0);
        let records: u64 =
            self.collections.iter().fold(0, |sum, c| sum.saturating_add(c.record_count));
        let first = self.collections.first().map_or(0, |c| c.dimensions);
        let flat = differ("record_count", self.record_count, records)
            .or_else(|| differ("dimensions", self.dimensions.into(), first.into()))
            .or_else(|| differ("bpmn_count", self.bpmn_count, of("bpmn")))
            .or_else(|| differ("prompt_count", self.prompt_count, of("prompts")));
        if flat.is_some() {
            return flat;
        }
        if self.hash_algorithm != "sha256" {
            return Some(format!("hash_algorithm {:?} is not sha256", self.hash_algorithm));
        }
        let mut names = std::collections::BTreeSet::new();
        self.collections.iter().enumerate().find_map(|(position, collection)| {
            let name = &collection.name;
            let path = |file: &str| collection_path(position, name, file);
            let wrong = |what: &str| Some(format!("collection {name}: {what}"));
            if !names.insert(name) {
                return wrong("the name stands twice");
            }
            if collection.contract.name != *name
                || collection.contract.dimensions != collection.dimensions
            {
                return wrong("the contract is that of another collection");
            }
            if collection.contract.digest() != collection.contract_digest {
                return wrong("contract_digest is not that of the contract");
            }
            let optional = |held: &Option<String>, file: &str| {
                held.as_ref().is_none_or(|held| *held == path(file))
            };
            let placed = collection.embeddings == path(EMBEDDINGS)
                && collection.digests == path(DIGESTS)
                && optional(&collection.metadata, METADATA)
                && optional(&collection.index, INDEX);
            if placed { None } else { wrong("a file is not where snapshots have it") }
        })
    }
}

pub(crate) const EMBEDDINGS: &str = "embeddings.parquet";
pub(crate) const DIGESTS: &str = "digests.parquet";
pub(crate) const METADATA: &str = "metadata.parquet";
pub(crate) const INDEX: &str = "index.faiss";
