//! `carnet digest`.

use carnet_bundle::{CollectionDigest, DeclaredView, digest_store};
use carnet_ledger::Digest;
use carnet_model::{CollectionContract, Exit, Normalisation};
use clap::Args;
use serde::Serialize;

use super::Setting;
use crate::amount;
use crate::cli::TypedStore;
use crate::failure::Failure;
use crate::sheet::Sheet;
use crate::stores::{
    Carried, Declared, Tables, carried_columns, in_the_metadata, nothing_there, open_any,
};

/// Read every record of a store and print the root of each collection.
///
/// Equal roots mean equal records, bit for bit, whatever store holds them.
#[derive(Debug, Args)]
#[command(name = "digest")]
pub(crate) struct DigestStore {
    /// The store.
    store: TypedStore,
    #[command(flatten)]
    tables: Tables,
    #[command(flatten)]
    declared: Declared,
}

#[derive(Serialize)]
struct View {
    store: String,
    collections: Vec<CollectionView>,
}

/// One collection, as `digest`, `copy` and `snapshot` show it.
#[derive(Serialize)]
pub(super) struct CollectionView {
    name: String,
    records: u64,
    dimensions: u32,
    root: Digest,
    contract_digest: Digest,
    contract: CollectionContract,
    /// Columns that are part of the metadata, under `_columns`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    carried_columns: Vec<String>,
}

impl DigestStore {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let store = open_any(&self.store.url()?, &self.tables.options(setting.environment)?)?;
        let view = store.snapshot()?;
        let progress = setting.progress();
        let contracts = self.declared.contracts(view.as_ref())?;
        let carried = carried_columns(view.as_ref())?;
        let view = DeclaredView::new(view.as_ref(), &contracts);
        let digests = digest_store(&view, &setting.work(progress.as_ref()))
            .map_err(|error| Failure::from(error).place(store.label()))?;
        drop(progress);
        if digests.is_empty() {
            return Err(nothing_there(store.label()));
        }
        let view = View {
            store: store.label().to_owned(),
            collections: CollectionView::all(digests, carried),
        };
        setting.screen.show(&view, |view| {
            let mut sheet = Sheet::default();
            for collection in &view.collections {
                collection.write(&mut sheet);
            }
            sheet.text()
        })?;
        Ok(Exit::Done)
    }
}

impl CollectionView {
    pub(super) fn all(digests: Vec<CollectionDigest>, mut carried: Carried) -> Vec<Self> {
        let mut view = |digest: CollectionDigest| {
            let columns = carried.remove(digest.name.as_str()).unwrap_or_default();
            Self::new(digest, columns)
        };
        digests.into_iter().map(&mut view).collect()
    }

    fn new(digest: CollectionDigest, carried_columns: Vec<String>) -> Self {
        Self {
            name: digest.name.to_string(),
            records: digest.records,
            dimensions: digest.dimensions,
            root: digest.root,
            contract_digest: digest.contract_digest,
            contract: digest.contract,
            carried_columns,
        }
    }

    pub(super) fn write(&self, sheet: &mut Sheet) {
        let records = amount::counted(self.records, "record", "records");
        sheet.line(format_args!("{}: {records}, {} dimensions", self.name, self.dimensions));
        sheet.field("  root", 10, &self.root.to_string());
        sheet.field("  contract", 10, &self.contract_digest.to_string());
        sheet.field("", 10, &declared(&self.contract));
        if !self.carried_columns.is_empty() {
            sheet.field("  carried", 10, &in_the_metadata(&self.carried_columns));
        }
    }
}

/// What is declared about the vectors, in a line.
pub(super) fn declared(contract: &CollectionContract) -> String {
    let metric = contract.metric.map_or("metric unknown", carnet_model::Metric::name);
    let normalisation = match contract.normalisation {
        Some(Normalisation::None) => "not normalised",
        Some(Normalisation::UnitLength) => "unit length",
        None => "normalisation unknown",
    };
    let model = match &contract.embedding_model {
        Some(model) => match &model.revision {
            Some(revision) => format!("{} at {revision}", model.name),
            None => model.name.clone(),
        },
        None => "model unknown".to_owned(),
    };
    format!("{metric}, {normalisation}, {model}")
}
