//! The stores of a command line: from what was typed to what can be read.

use std::collections::BTreeMap;
use std::path::Path;

use carnet_bundle::{BundleError, SnapshotStore};
use carnet_connect::{StoreError, StoreSnapshot, VectorRepository};
use carnet_connectors::{OpenOptions, open};
use carnet_model::plan::mask;
use carnet_model::{
    Code, CollectionContract, CollectionName, ColumnMap, EmbeddingModel, Metric, Normalisation,
    StoreUrl, TableLayout,
};
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::aim::aim;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::named::Named;

/// How the tables of a PostgreSQL store are laid out that others made.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Tables of others (postgres)")]
pub(crate) struct Tables {
    /// The layout of the tables.
    #[arg(long, value_enum)]
    layout: Option<Layout>,
    /// Which column holds what: `id=…,vector=…` and any of `metadata`, `version`, `source_hash`,
    /// `created_ts`, `updated_ts`.
    #[arg(long, value_name = "PART=COLUMN,…", conflicts_with = "layout")]
    columns: Option<String>,
    /// Leave a column behind; may be given again. Others travel in the metadata.
    #[arg(long, value_name = "COLUMN")]
    drop: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Layout {
    /// Tables made by Carnet.
    Carnet,
    /// `langchain_pg_embedding` of `LangChain`.
    Langchain,
    /// `data_…` of `LlamaIndex`.
    Llamaindex,
}

impl Tables {
    /// The options for opening, with the password from the environment.
    pub(crate) fn options(&self, environment: &Environment) -> Result<OpenOptions, Failure> {
        let layout = match (self.layout, &self.columns) {
            (_, Some(columns)) => TableLayout::Columns(column_map(columns)?),
            (Some(Layout::Langchain), None) => TableLayout::LangChain,
            (Some(Layout::Llamaindex), None) => TableLayout::LlamaIndex,
            (Some(Layout::Carnet) | None, None) => TableLayout::Carnet,
        };
        let password = environment.postgres_password.clone();
        Ok(OpenOptions { layout, drop: self.drop.clone(), password })
    }
}

/// `id=doc_id,vector=embedding,…`.
fn column_map(text: &str) -> Result<ColumnMap, Failure> {
    let wrong = |what: &str| {
        Failure::new(Code::USAGE, format!("--columns {text:?}: {what}"))
            .remedy("write, for example, --columns id=doc_id,vector=embedding,metadata=meta")
    };
    let mut map = ColumnMap {
        id: String::new(),
        vector: String::new(),
        metadata: None,
        version: None,
        source_hash: None,
        created_ts: None,
        updated_ts: None,
    };
    for pair in text.split(',') {
        let (part, column) = pair.split_once('=').ok_or_else(|| wrong("a part without ="))?;
        let column = column.to_owned();
        let known = match part {
            "id" => Some(std::mem::replace(&mut map.id, column)).filter(|old| !old.is_empty()),
            "vector" => {
                Some(std::mem::replace(&mut map.vector, column)).filter(|old| !old.is_empty())
            }
            "metadata" => map.metadata.replace(column),
            "version" => map.version.replace(column),
            "source_hash" => map.source_hash.replace(column),
            "created_ts" => map.created_ts.replace(column),
            "updated_ts" => map.updated_ts.replace(column),
            _ => return Err(wrong(&format!("records have no part {part:?}"))),
        };
        if known.is_some() {
            return Err(wrong(&format!("{part} stands twice")));
        }
    }
    if map.id.is_empty() || map.vector.is_empty() {
        return Err(wrong("both id and vector must be named"));
    }
    Ok(map)
}

/// What a store does not declare about its vectors, said on the command line.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "What the store does not declare")]
pub(crate) struct Declared {
    /// How vectors are compared.
    #[arg(long, value_enum)]
    metric: Option<MetricWord>,
    /// Whether vectors were scaled before they were stored.
    #[arg(long, value_enum)]
    normalisation: Option<NormalisationWord>,
    /// The model that made the vectors, with its revision if it is known.
    #[arg(long, value_name = "NAME[@REVISION]")]
    model: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum MetricWord {
    L2,
    InnerProduct,
    Cosine,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum NormalisationWord {
    None,
    UnitLength,
}

impl Declared {
    /// The contracts of all collections of a view, with what was said filled in.
    pub(crate) fn contracts(
        &self,
        view: &dyn StoreSnapshot,
    ) -> Result<Vec<CollectionContract>, Failure> {
        let names = view.collections()?;
        names.iter().map(|name| self.fill(&view.describe(name)?.contract)).collect()
    }

    /// The contract with what was said filled in. What the store declares otherwise is a failure.
    fn fill(&self, contract: &CollectionContract) -> Result<CollectionContract, Failure> {
        let metric = self.metric.map(|word| match word {
            MetricWord::L2 => Metric::L2,
            MetricWord::InnerProduct => Metric::InnerProduct,
            MetricWord::Cosine => Metric::Cosine,
        });
        let normalisation = self.normalisation.map(|word| match word {
            NormalisationWord::None => Normalisation::None,
            NormalisationWord::UnitLength => Normalisation::UnitLength,
        });
        let model = self.model.as_ref().map(|text| match text.split_once('@') {
            Some((name, revision)) => {
                EmbeddingModel { name: name.to_owned(), revision: Some(revision.to_owned()) }
            }
            None => EmbeddingModel { name: text.clone(), revision: None },
        });
        let name = &contract.name;
        Ok(CollectionContract {
            metric: one_of(name.as_str(), "metric", contract.metric, metric)?,
            normalisation: one_of(
                name.as_str(),
                "normalisation",
                contract.normalisation,
                normalisation,
            )?,
            embedding_model: one_of(
                name.as_str(),
                "embedding model",
                contract.embedding_model.clone(),
                model,
            )?,
            ..contract.clone()
        })
    }
}

/// What was declared or, where nothing was, what was said.
fn one_of<T: PartialEq + Serialize>(
    collection: &str,
    what: &str,
    declared: Option<T>,
    said: Option<T>,
) -> Result<Option<T>, Failure> {
    match (declared, said) {
        (Some(declared), Some(said)) if declared != said => Err(Failure::new(
            Code::CONTRACT_DIFFERS,
            format!("collection {collection} declares another {what} than the command line"),
        )
        .because(format!("declared {}, said {}", shown(&declared), shown(&said)))
        .remedy("leave the option out, or correct the declaration in the store")),
        (Some(declared), _) => Ok(Some(declared)),
        (None, said) => Ok(said),
    }
}

/// A value as plans and manifests write it.
fn shown(value: &impl Serialize) -> String {
    serde_json::to_value(value).map(|value| value.to_string()).unwrap_or_default()
}

/// Opens a store for reading: a store of any kind, or a snapshot.
pub(crate) fn open_any(
    url: &StoreUrl,
    options: &OpenOptions,
) -> Result<Box<dyn VectorRepository>, Failure> {
    let opened = match url {
        StoreUrl::Snapshot(folder) => snapshot(folder),
        StoreUrl::Faiss(_) | StoreUrl::Sqlite(_) | StoreUrl::Postgres(_) => {
            open(url, options).map_err(Failure::from)
        }
    };
    let failed = |failure: Failure| failure.while_doing(format!("cannot open {url}"));
    opened.map(Named::store).map_err(failed)
}

fn snapshot(folder: &Path) -> Result<Box<dyn VectorRepository>, Failure> {
    Ok(Box::new(SnapshotStore::open(folder)?))
}

/// Opens a store for writing these collections. A snapshot is none.
pub(crate) fn open_target(
    url: &StoreUrl,
    environment: &Environment,
    collections: &[CollectionName],
) -> Result<Box<dyn VectorRepository>, Failure> {
    let options = Tables::default().options(environment)?;
    open(url, &options)
        .and_then(|target| aim(Named::store(target), url, collections))
        .map_err(|error| Failure::from(error).while_doing(format!("cannot write to {url}")))
}

/// Opens a store for the engine, which words its failures itself.
pub(crate) fn open_for_engine(
    url: &StoreUrl,
    options: &OpenOptions,
) -> Result<Box<dyn VectorRepository>, StoreError> {
    let StoreUrl::Snapshot(folder) = url else { return open(url, options).map(Named::store) };
    match SnapshotStore::open(folder) {
        Ok(store) => Ok(Named::store(Box::new(store))),
        Err(BundleError::Store(error)) => Err(error),
        Err(error) => {
            let made = StoreError::new(error.code(), error.to_string());
            Err(match error.remedy_text() {
                Some(remedy) => made.remedy(remedy),
                None => made,
            })
        }
    }
}

/// The columns of each collection that travel in the metadata under `_columns`.
pub(crate) type Carried = BTreeMap<String, Vec<String>>;

/// Which columns of a view's collections travel in the metadata, where any do.
pub(crate) fn carried_columns(view: &dyn StoreSnapshot) -> Result<Carried, Failure> {
    let mut carried = Carried::new();
    for name in view.collections()? {
        let columns = view.describe(&name)?.carried_columns;
        if !columns.is_empty() {
            carried.insert(name.to_string(), columns);
        }
    }
    Ok(carried)
}

/// The same for people.
pub(crate) fn in_the_metadata(columns: &[String]) -> String {
    format!("in the metadata, as `_columns`: {}", columns.join(", "))
}

/// A store that does not exist yet has no collections. For a command that reads, that is a
/// failure: nothing is not equal to anything.
pub(crate) fn nothing_there(label: &str) -> Failure {
    Failure::new(Code::STORE_NOT_FOUND, format!("{} has no collections", mask(label)))
        .changed("nothing was changed")
        .remedy("check the path or the table; paths start where you are")
}

impl From<BundleError> for Failure {
    fn from(error: BundleError) -> Self {
        let failure = Self::from_error(&error, error.code());
        match error.remedy_text() {
            Some(remedy) => failure.remedy(remedy),
            None => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnet_model::CollectionName;

    #[test]
    fn columns_are_named_part_by_part() {
        let map = column_map("vector=v,id=i,metadata=m").unwrap();
        assert_eq!((map.id.as_str(), map.vector.as_str()), ("i", "v"));
        assert_eq!(map.metadata.as_deref(), Some("m"));
        for wrong in
            ["", "id", "id=a", "id=a,vector=b,id=c", "id=a,vector=b,text=c", "id=,vector=b"]
        {
            assert_eq!(column_map(wrong).unwrap_err().code, Code::USAGE, "{wrong}");
        }
    }

    #[test]
    fn what_is_said_fills_what_is_not_declared_and_nothing_else() {
        let declared = Declared {
            metric: Some(MetricWord::L2),
            normalisation: None,
            model: Some("m@1".to_owned()),
        };
        let unknown = CollectionContract::unknown(CollectionName::standard(), 3);
        let filled = declared.fill(&unknown).unwrap();
        assert_eq!(filled.metric, Some(Metric::L2));
        assert_eq!(filled.normalisation, None);
        assert_eq!(filled.embedding_model.unwrap().revision.as_deref(), Some("1"));
        let cosine = CollectionContract { metric: Some(Metric::Cosine), ..unknown };
        assert_eq!(declared.fill(&cosine).unwrap_err().code, Code::CONTRACT_DIFFERS);
    }
}
