//! `carnet snapshot export`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use carnet_bundle::{
    ArchiveKind, DeclaredView, ExportRequest, Exported, IndexWriter, beside_the_store, export_view,
    pack,
};
use carnet_model::Exit;
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::Setting;
use crate::amount;
use crate::cli::TypedStore;
use crate::command::digest::CollectionView;
use crate::detached::Signing;
use crate::failure::Failure;
use crate::faiss_index;
use crate::sheet::Sheet;
use crate::stores::{Carried, Declared, Tables, carried_columns, nothing_there, open_any};

/// Write a snapshot of a store: a folder that `sha256sum -c` and any Parquet reader can check.
///
/// The same content at the same `SOURCE_DATE_EPOCH` gives the same bytes, whatever store it is in.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The store.
    store: TypedStore,
    /// Make the snapshot's folder in this one.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Take artifacts from this folder: bpmn/, prompts/, patterns/, examples/, domains/, logs/.
    #[arg(long, value_name = "DIR")]
    artifacts: Option<PathBuf>,
    /// Name the environment in the manifest (`source_env`).
    #[arg(long, value_name = "NAME", default_value = "local")]
    env: String,
    /// Pack the snapshot into one file for transport, in place of the folder.
    #[arg(long, value_enum)]
    archive: Option<ArchiveWord>,
    /// Also write a search index, and the metadata apart, row by row.
    #[arg(long, value_enum)]
    index: Option<IndexKind>,
    #[command(flatten)]
    signing: Signing,
    #[command(flatten)]
    tables: Tables,
    #[command(flatten)]
    declared: Declared,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ArchiveWord {
    /// A tar file, not compressed: what is large is compressed already.
    Tar,
    /// A zip file whose entries are stored.
    Zip,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum IndexKind {
    /// index.faiss, flat.
    Faiss,
}

#[derive(Serialize)]
struct View {
    snapshot: String,
    store: String,
    bytes: u64,
    artifacts: BTreeMap<String, u64>,
    left_behind: Vec<String>,
    collections: Vec<CollectionView>,
    /// The keys whose signatures stand beside the manifest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    signed_by: Vec<String>,
}

impl Export {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let created = setting.environment.snapshot_time()?;
        let pens = self.signing.pens()?;
        let url = self.store.url()?;
        let store = open_any(&url, &self.tables.options(setting.environment)?)?;
        let view = store.snapshot()?;
        if view.collections()?.is_empty() {
            return Err(nothing_there(store.label()));
        }
        std::fs::create_dir_all(&self.out)
            .map_err(|error| Failure::io(format!("cannot make {}", self.out.display()), error))?;
        let contracts = self.declared.contracts(view.as_ref())?;
        let carried = carried_columns(view.as_ref())?;
        let index: Option<&IndexWriter<'_>> = match self.index {
            Some(IndexKind::Faiss) => Some(&faiss_index::write),
            None => None,
        };
        let request = ExportRequest {
            parent: &self.out,
            created,
            source_env: &self.env,
            artifacts: self.artifacts.as_deref(),
            collections: None,
            governance: BTreeMap::new(),
            metadata_apart: false,
            index,
            signers: &pens.signers(),
        };
        let progress = setting.progress();
        let view = DeclaredView::new(view.as_ref(), &contracts);
        let mut exported =
            export_view(&view, store.kind(), &request, &setting.work(progress.as_ref()))?;
        drop(progress);
        if let Some(folder) = &self.artifacts {
            exported.left_behind = beside_the_store(folder, &url, exported.left_behind);
        }
        let place = match self.archive {
            Some(kind) => archive(&exported.path, kind)?,
            None => exported.path.clone(),
        };
        let view = View::new(store.label(), &place, exported, carried, pens.keys());
        setting.screen.show(&view, text)?;
        Ok(Exit::Done)
    }
}

/// Packs a snapshot beside itself, and removes the folder.
fn archive(folder: &Path, kind: ArchiveWord) -> Result<PathBuf, Failure> {
    let kind = match kind {
        ArchiveWord::Tar => ArchiveKind::Tar,
        ArchiveWord::Zip => ArchiveKind::Zip,
    };
    let file = folder.with_extension(kind.extension());
    let left = format!("the folder {} is whole, and stays", folder.display());
    pack(folder, kind, &file).map_err(|error| Failure::from(error).changed(left))?;
    std::fs::remove_dir_all(folder)
        .map_err(|error| Failure::io(format!("cannot remove {}", folder.display()), error))?;
    Ok(file)
}

impl View {
    fn new(
        store: &str,
        place: &Path,
        exported: Exported,
        carried: Carried,
        signed_by: Vec<String>,
    ) -> Self {
        Self {
            snapshot: place.display().to_string(),
            store: store.to_owned(),
            bytes: exported.bytes,
            artifacts: exported.manifest.artifacts,
            left_behind: exported.left_behind,
            collections: CollectionView::all(exported.collections, carried),
            signed_by,
        }
    }
}

fn text(view: &View) -> String {
    let mut sheet = Sheet::default();
    sheet.line(format_args!("{} to {}", view.store, view.snapshot));
    for collection in &view.collections {
        collection.write(&mut sheet);
    }
    sheet.line(artifacts_line(&view.artifacts));
    if !view.left_behind.is_empty() {
        sheet.field("left behind, of no known kind:", 30, &view.left_behind.join(", "));
    }
    sheet.line(format_args!("{} in all", amount::bytes(view.bytes)));
    for key in &view.signed_by {
        sheet.line(format_args!("signed by {key}"));
    }
    sheet.text()
}

/// `8 artifacts: bpmn 1, domains 1, …`.
pub(super) fn artifacts_line(counts: &BTreeMap<String, u64>) -> String {
    let all = amount::counted(counts.values().sum(), "artifact", "artifacts");
    let kinds: Vec<_> = counts
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(kind, count)| format!("{kind} {}", amount::count(*count)))
        .collect();
    if kinds.is_empty() { all } else { format!("{all}: {}", kinds.join(", ")) }
}
