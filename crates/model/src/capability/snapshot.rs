//! `snapshot.export`, `snapshot.verify`, `snapshot.import`.

use carnet_document::InputError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::password::{no_password, password_in};
use super::{ApprovalMode, Descriptor, Fencing, Repeat, Safety, UndoKind, UndoReach, checked};
use crate::plan::ImportMode;
use crate::store_url::StoreUrl;

/// A snapshot that is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SnapshotExport {
    /// The store: `faiss:DIR`, `sqlite:FILE` or `postgres://…`; paths from the folder of the plan.
    #[schemars(regex(pattern = r"^(faiss:.|sqlite:.|postgres(ql)?://.)"), length(max = 4096))]
    pub store: String,
    /// The folder in which the snapshot's folder is made.
    #[schemars(length(min = 1, max = 4096))]
    pub into: String,
    /// The folder with the artifacts that travel along.
    #[schemars(length(min = 1, max = 4096))]
    pub artifacts: Option<String>,
    /// The name of the environment in the manifest.
    #[serde(default = "local")]
    #[schemars(length(min = 1, max = 200))]
    pub environment: String,
}

/// A snapshot that is compared with what it says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SnapshotVerify {
    /// The folder of the snapshot, or the folder in which it is the only one.
    #[schemars(length(min = 1, max = 4096))]
    pub snapshot: String,
}

/// A snapshot that is loaded into a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SnapshotImport {
    /// The folder of the snapshot, or the folder in which it is the only one.
    #[schemars(length(min = 1, max = 4096))]
    pub snapshot: String,
    /// The store: `faiss:DIR`, `sqlite:FILE` or `postgres://…`.
    #[schemars(regex(pattern = r"^(faiss:.|sqlite:.|postgres(ql)?://.)"), length(max = 4096))]
    pub store: String,
    /// How records enter a store that is not empty.
    #[serde(default)]
    pub mode: ImportMode,
}

fn local() -> String {
    "local".to_owned()
}

pub(super) const EXPORT: Descriptor = Descriptor {
    name: "snapshot.export",
    does: "write a snapshot of a store",
    safety: Safety::Mutating,
    repeat: Repeat::Again,
    undo: UndoKind::Own,
    undo_reach: UndoReach::BeforeCommit,
    fencing: Fencing::None,
    approval: ApprovalMode::None,
    gates: &[],
    inputs: super::schema_of::<SnapshotExport>,
    check: |with| checked::<SnapshotExport>(with, |it, errors| store(&it.store, errors)),
};

pub(super) const VERIFY: Descriptor = Descriptor {
    name: "snapshot.verify",
    does: "compare every file and record of a snapshot with what it says about itself",
    safety: Safety::ReadOnly,
    repeat: Repeat::Again,
    undo: UndoKind::Nothing,
    undo_reach: UndoReach::Nowhere,
    fencing: Fencing::None,
    approval: ApprovalMode::None,
    gates: &[],
    inputs: super::schema_of::<SnapshotVerify>,
    check: |with| checked::<SnapshotVerify>(with, |_, _| {}),
};

pub(super) const IMPORT: Descriptor = Descriptor {
    name: "snapshot.import",
    does: "load a snapshot into a store, and compare both",
    safety: Safety::Mutating,
    repeat: Repeat::Again,
    undo: UndoKind::Own,
    undo_reach: UndoReach::BeforeCommit,
    fencing: Fencing::None,
    approval: ApprovalMode::None,
    gates: &[],
    inputs: super::schema_of::<SnapshotImport>,
    check: |with| checked::<SnapshotImport>(with, |it, errors| store(&it.store, errors)),
};

fn store(url: &str, errors: &mut Vec<InputError>) {
    if no_password("/store", url, errors) {
        return;
    }
    match StoreUrl::parse(url) {
        Ok(StoreUrl::Postgres(url)) if url.has_password() => {
            errors.push(password_in("/store"));
        }
        Ok(_) => {}
        Err(error) => {
            errors.push(InputError::new("/store", error.to_string(), error.remedy()));
        }
    }
}
