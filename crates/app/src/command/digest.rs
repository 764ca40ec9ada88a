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
use crate::stores::{Declared, Tables, nothing_there, open_any};

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
}

impl DigestStore {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let store = open_any(&self.store.url()?, &self.tables.options(setting.environment)?)?;
        let view = store.snapshot()?;
        let progress = setting.progress();
        let contracts = self.declared.contracts(view.as_ref())?;
        let view = DeclaredView::new(view.as_ref(), &contracts);
        let digests = digest_store(&view, &setting.work(progress.as_ref()))?;
        drop(progress);
        if digests.is_empty() {
            return Err(nothing_there(store.label()));
        }
        let view = View {
            store: store.label().to_owned(),
            collections: digests.into_iter().map(CollectionView::new).collect(),
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
    pub(super) fn new(digest: CollectionDigest) -> Self {
        Self {
            name: digest.name.to_string(),
            records: digest.records,
            dimensions: digest.dimensions,
            root: digest.root,
            contract_digest: digest.contract_digest,
            contract: digest.contract,
        }
    }

    pub(super) fn write(&self, sheet: &mut Sheet) {
        let records = amount::counted(self.records, "record", "records");
        sheet.line(format_args!("{}: {records}, {} dimensions", self.name, self.dimensions));
        sheet.field("  root", 10, &self.root.to_string());
        sheet.field("  contract", 10, &self.contract_digest.to_string());
        sheet.field("", 10, &declared(&self.contract));
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
