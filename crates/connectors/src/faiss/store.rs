//! The store: `faiss:DIR`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use carnet_connect::{
    Capabilities, Hit, ID_BYTES_MAX, IdRange, Load, LoadRequest, MergedStream, Query,
    ReadConsistency, RecordStream, Records, StoreError, StoreSnapshot, VectorRepository,
    WriteCapability, batches, shorten,
};
use carnet_model::{Code, CollectionName, Metric};

use super::assemble::Source;
use super::collection::Collection;
use super::load::{FaissLoad, Without, edit};
use super::place::{CONTRACT, Exchange, INDEX, PARQUET, Place, Root, SQLITE, remove};
use super::search::search;
use super::view::{FaissSnapshot, missing};

/// FAISS index files with their metadata, in a directory. Vectors are read where they lie, memory
/// mapped; ids are held in memory to put them in order.
#[derive(Debug)]
pub struct FaissStore {
    root: Root,
    label: String,
    drop: Vec<String>,
    capabilities: Capabilities,
    /// Collections that were opened before, with the ids that were read then.
    opened: Mutex<BTreeMap<CollectionName, Arc<Collection>>>,
}

impl FaissStore {
    /// The store in a directory, which need not exist yet. Nothing is opened.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        let root = Root::new(dir.into());
        Self {
            label: format!("faiss:{}", root.dir().display()),
            root,
            drop: Vec::new(),
            capabilities: Capabilities {
                write: WriteCapability::WholeCollection,
                read: ReadConsistency::ChangeDetected,
                metrics: vec![Metric::L2, Metric::InnerProduct, Metric::Cosine],
                unit_length_only: vec![Metric::Cosine],
                indexes: vec!["flat"],
                dimensions_max: super::format::MAX_DIMENSIONS,
                indexed_dimensions_max: Vec::new(),
                id_bytes_max: ID_BYTES_MAX,
                nul_in_text: true,
                non_finite: true,
                collections: true,
            },
            opened: Mutex::default(),
        }
    }

    /// Leaves these columns of the metadata tables behind, as far as they have no field of their own
    /// in records. A column `faiss_id` that is dropped still says which vector a row belongs to.
    #[must_use]
    pub fn drop_columns(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.drop.extend(names);
        self
    }

    /// Opens a collection, or takes the one that was opened before if its files are the same.
    fn open(&self, name: &CollectionName, place: &Place) -> Result<Arc<Collection>, StoreError> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = opened.get(name)
            && held.is_of(place)
            && place.ensure_whole().is_ok()
            && held.ensure_unchanged().is_ok()
        {
            return Ok(Arc::clone(held));
        }
        opened.remove(name);
        let collection = Arc::new(Collection::open(name, place, &self.drop)?);
        opened.insert(name.clone(), Arc::clone(&collection));
        Ok(collection)
    }

    fn find(&self, name: &CollectionName) -> Result<Place, StoreError> {
        self.root.find(name)?.ok_or_else(|| missing(name))
    }

    fn collection(&self, name: &CollectionName) -> Result<Arc<Collection>, StoreError> {
        self.open(name, &self.find(name)?)
    }
}

impl VectorRepository for FaissStore {
    fn label(&self) -> &str {
        &self.label
    }

    fn kind(&self) -> &'static str {
        "faiss"
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn snapshot(&self) -> Result<Box<dyn StoreSnapshot + '_>, StoreError> {
        let collections = self.root.collections()?.into_iter().map(|(name, place)| {
            // One that cannot be opened says why when it is asked for, and does not hide others.
            let collection = self.open(&name, &place).ok();
            (name, (place, collection))
        });
        Ok(Box::new(FaissSnapshot { collections: collections.collect(), drop: &self.drop }))
    }

    fn upsert(&self, name: &CollectionName, records: &Records) -> Result<(), StoreError> {
        let place = self.find(name)?;
        let mut rows: Vec<_> = records.iter().collect();
        rows.sort_by(|a, b| a.id.cmp(b.id));
        let mut pairs = rows.iter().zip(rows.iter().skip(1));
        if let Some((twice, _)) = pairs.find(|(a, b)| a.id == b.id) {
            let what = format!("the id {:?} stands twice", shorten(twice.id));
            return Err(StoreError::new(Code::RECORD_DUPLICATE, what));
        }
        let dimensions = u32::try_from(records.dimensions()).unwrap_or(u32::MAX);
        let over = Records::collect(dimensions, rows)?;
        edit(&place, name, move |base| {
            if base.contract.dimensions != dimensions {
                let held = base.contract.dimensions;
                let what = format!("records of {dimensions} dimensions for {name} with {held}");
                return Err(StoreError::new(Code::RECORD_VECTOR, what));
            }
            let source: Box<Source<'_>> = Box::new(move || {
                let over = Box::new(batches(vec![over.clone()]));
                let base = Box::new(base.scan(&IdRange::all())?);
                Ok(Box::new(MergedStream::new(base, over, dimensions)?))
            });
            Ok(source)
        })
    }

    fn query(&self, name: &CollectionName, query: &Query<'_>) -> Result<Vec<Hit>, StoreError> {
        search(self.collection(name)?.as_ref(), query)
    }

    fn fetch(&self, name: &CollectionName, ids: &[&str]) -> Result<Records, StoreError> {
        self.collection(name)?.fetch(ids)
    }

    fn delete(&self, name: &CollectionName, ids: &[&str]) -> Result<u64, StoreError> {
        let place = self.find(name)?;
        let mut found = 0;
        let gone: BTreeSet<String> = ids.iter().map(|id| (*id).to_owned()).collect();
        edit(&place, name, |base| {
            let order = base.order()?;
            found = gone.iter().filter(|id| order.find(id).is_some()).count() as u64;
            let source: Box<Source<'_>> = Box::new(move || {
                let stream = Box::new(base.scan(&IdRange::all())?);
                let without: Box<dyn RecordStream> =
                    Box::new(Without { stream, ids: gone.clone() });
                Ok(without)
            });
            Ok(source)
        })?;
        Ok(found)
    }

    fn begin_load(&self, request: &LoadRequest) -> Result<Box<dyn Load + '_>, StoreError> {
        Ok(Box::new(FaissLoad::begin(&self.root, request)?))
    }

    fn drop_collection(&self, name: &CollectionName) -> Result<bool, StoreError> {
        let Some(place) = self.root.find(name)? else { return Ok(false) };
        if place.exchange()? != Some(Exchange::Drop) {
            place.ensure_whole()?;
            place.begin_exchange(&Exchange::Drop)?;
        }
        for file in [INDEX, PARQUET, SQLITE, CONTRACT] {
            remove(&place.file(file))?;
        }
        place.end_exchange()?;
        self.root.tidy(&place);
        Ok(true)
    }
}
