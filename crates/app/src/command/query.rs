//! `carnet query`.

use std::path::PathBuf;

use carnet_connect::{Filter, Query as Search, VectorRepository};
use carnet_model::{Code, CollectionName, Exit};
use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::Setting;
use crate::cli::TypedStore;
use crate::failure::Failure;
use crate::sheet::Sheet;
use crate::stores::{Tables, nothing_there, open_any};

/// Find the nearest records of a store.
#[derive(Debug, Args)]
pub(crate) struct Query {
    /// The store.
    store: TypedStore,
    /// Search with the vector of this record.
    #[arg(long, value_name = "ID", required_unless_present = "vector_file")]
    vector_of: Option<String>,
    /// Search with the vector in this file: a JSON list of numbers.
    #[arg(long, value_name = "FILE", conflicts_with = "vector_of")]
    vector_file: Option<PathBuf>,
    /// Find this many records.
    #[arg(short, value_name = "N", default_value = "5", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    k: u32,
    /// Only records whose metadata has this value; may be given again, and then all must fit.
    ///
    /// The value is read as JSON if it is JSON (a number, true, a text in quotes, a list), else it is
    /// a text.
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// The collection; needed if the store has several.
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,
    /// Let the store use its index, which may miss records; otherwise every record is compared.
    #[arg(long)]
    approximate: bool,
    /// Show the metadata of what was found, as its canonical text.
    #[arg(long)]
    metadata: bool,
    #[command(flatten)]
    tables: Tables,
}

#[derive(Serialize)]
struct View {
    store: String,
    collection: String,
    exact: bool,
    hits: Vec<HitView>,
}

#[derive(Serialize)]
struct HitView {
    id: String,
    distance: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<String>,
}

impl Query {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let filter = self.filter()?;
        let store = open_any(&self.store.url()?, &self.tables.options(setting.environment)?)?;
        let collection = self.collection(store.as_ref())?;
        let vector = self.vector(store.as_ref(), &collection)?;
        let k = usize::try_from(self.k).unwrap_or(usize::MAX);
        let exact = !self.approximate;
        let found =
            store.query(&collection, &Search { vector: &vector, k, filter: &filter, exact })?;
        let mut hits: Vec<_> = found
            .into_iter()
            .map(|hit| HitView { id: hit.id, distance: hit.distance, metadata: None })
            .collect();
        if self.metadata {
            add_metadata(store.as_ref(), &collection, &mut hits)?;
        }
        let (store, collection) = (store.label().to_owned(), collection.to_string());
        setting.screen.show(&View { store, collection, exact, hits }, text)?;
        Ok(Exit::Done)
    }

    fn filter(&self) -> Result<Filter, Failure> {
        let mut filter = Filter::none();
        for pair in &self.filter {
            let (key, text) = pair.split_once('=').ok_or_else(|| {
                Failure::new(Code::USAGE, format!("--filter {pair:?} has no ="))
                    .remedy("write, for example, --filter domain=games")
            })?;
            let value = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
            filter.0.insert(key.to_owned(), value);
        }
        Ok(filter)
    }

    fn collection(&self, store: &dyn VectorRepository) -> Result<CollectionName, Failure> {
        let held = store.snapshot()?.collections()?;
        if let Some(name) = &self.collection {
            let fits = held.iter().find(|held| held.as_str() == name);
            return fits.cloned().ok_or_else(|| {
                Failure::new(Code::STORE_NOT_FOUND, format!("there is no collection {name:?}"))
                    .remedy(one_of(&held))
            });
        }
        match held.as_slice() {
            [] => Err(nothing_there(store.label())),
            [one] => Ok(one.clone()),
            [_, _, ..] => Err(Failure::new(Code::USAGE, "the store has several collections")
                .remedy(one_of(&held))),
        }
    }

    fn vector(
        &self,
        store: &dyn VectorRepository,
        collection: &CollectionName,
    ) -> Result<Vec<f32>, Failure> {
        if let Some(id) = &self.vector_of {
            let records = store.fetch(collection, &[id])?;
            let record = records.iter().next().ok_or_else(|| {
                Failure::new(Code::STORE_NOT_FOUND, format!("there is no record {id:?}"))
                    .place(format!("collection {collection}"))
                    .remedy("check the id")
            })?;
            return Ok(record.vector.to_vec());
        }
        let path = self.vector_file.clone().unwrap_or_default();
        let shown = path.display();
        let text = std::fs::read_to_string(&path)
            .map_err(|error| Failure::io(format!("cannot read {shown}"), error))?;
        serde_json::from_str(&text).map_err(|error| {
            Failure::from_error(&error, Code::USAGE)
                .while_doing(format!("{shown} is not a JSON list of numbers"))
                .remedy("write, for example, [0.25, -0.5, 1]")
        })
    }
}

fn one_of(held: &[CollectionName]) -> String {
    let names: Vec<_> = held.iter().map(CollectionName::as_str).collect();
    format!("choose one with --collection: {}", names.join(", "))
}

fn add_metadata(
    store: &dyn VectorRepository,
    collection: &CollectionName,
    hits: &mut [HitView],
) -> Result<(), Failure> {
    let ids: Vec<String> = hits.iter().map(|hit| hit.id.clone()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let records = store.fetch(collection, &ids)?;
    for record in records.iter() {
        if let Some(hit) = hits.iter_mut().find(|hit| hit.id == record.id) {
            hit.metadata = Some(record.metadata.to_owned());
        }
    }
    Ok(())
}

/// An id as a terminal may see it: one with control characters is shown as JSON.
fn shown(id: &str) -> String {
    if id.contains(char::is_control) { Value::from(id).to_string() } else { id.to_owned() }
}

fn text(view: &View) -> String {
    let mut sheet = Sheet::default();
    let rank_width = view.hits.len().to_string().len();
    sheet.line(format_args!("{:rank_width$}  {:<11}  id", "#", "distance"));
    for (rank, hit) in (1..).zip(&view.hits) {
        let distance = format!("{:.7}", hit.distance);
        sheet.line(format_args!("{rank:rank_width$}  {distance:<11}  {}", shown(&hit.id)));
        if let Some(metadata) = &hit.metadata {
            sheet.line(format_args!("{:rank_width$}  {metadata}", ""));
        }
    }
    sheet.text()
}
