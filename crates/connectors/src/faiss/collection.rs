//! One open collection: an index file and a table of metadata that belong together.

use std::path::PathBuf;
use std::sync::Arc;

use carnet_connect::{Description, IdRange, RecordStream, Records, RecordsBuilder, StoreError};
use carnet_model::{Code, CollectionContract, CollectionName, IndexSpec, Metric, Normalisation};

use super::format::{FormatError, Index, Metric as FileMetric};
use super::mapped::{Mapped, unchanged};
use super::once::Once;
use super::order::Order;
use super::place::{CONTRACT, INDEX, Identity, Place, cannot};
use super::scan::Scan;
use super::slots::Slots;
use super::table::Table;

/// A collection as it was when it was opened.
#[derive(Debug)]
pub(super) struct Collection {
    pub(super) contract: CollectionContract,
    pub(super) index: Index,
    pub(super) vectors: Mapped,
    pub(super) table: Table,
    contract_file: (PathBuf, Option<Identity>),
    order: Once<Order>,
    slots: Once<Slots>,
}

impl Collection {
    /// Opens the files of a collection and compares what they say of each other.
    pub(super) fn open(
        name: &CollectionName,
        place: &Place,
        drop: &[String],
    ) -> Result<Self, StoreError> {
        place.ensure_whole()?;
        let path = place.file(CONTRACT);
        let identity =
            Identity::at(&path).map_err(|error| StoreError::io(cannot("look at", &path), error))?;
        let declared = place.contract()?;
        if !place.file(INDEX).exists() {
            let what = format!("{} has metadata, but no {INDEX}", place.dir().display());
            return Err(StoreError::new(Code::STORE_NOT_FOUND, what)
                .remedy("put the index that belongs to the metadata beside it"));
        }
        let vectors = Mapped::open(&place.file(INDEX))?;
        let table = Table::open(place, drop)?;
        let index = Index::parse(&vectors).map_err(|error| unreadable(place, error))?;
        let contract = contract(name, declared, &index).map_err(|error| {
            StoreError::new(error.code(), cannot("use", &place.file(INDEX)))
                .because(error)
                .remedy("correct collection.json, or take the index that belongs to it")
        })?;
        let collection = Self {
            contract,
            index,
            vectors,
            table,
            contract_file: (path, identity),
            order: Once::default(),
            slots: Once::default(),
        };
        // The files were opened one after another: they may have been exchanged in between.
        place.ensure_whole()?;
        collection.ensure_unchanged()?;
        if collection.table.len() != collection.index.len() {
            return Err(StoreError::new(
                Code::FAISS_ROWS,
                format!(
                    "{} has {} vectors, but {} rows of metadata",
                    place.dir().display(),
                    collection.index.len(),
                    collection.table.len()
                ),
            )
            .remedy("take index and metadata from the same moment: each row belongs to a vector"));
        }
        Ok(collection)
    }

    /// What the collection says of itself.
    pub(super) fn describe(&self, place: &Place) -> Description {
        let mut parameters = self.index.parameters().clone();
        if self.index.has_map() {
            parameters.insert("id_map".to_owned(), 1);
        }
        let kind = self.index.kind().to_owned();
        let plain = kind == "flat" && parameters.is_empty();
        Description {
            contract: self.contract.clone(),
            records: self.index.len() as u64,
            index: (!plain).then_some(IndexSpec { kind, parameters }),
            place: place.file(INDEX).display().to_string(),
            carried_columns: self.table.carried_columns().to_vec(),
        }
    }

    /// The ids and their order.
    pub(super) fn order(&self) -> Result<Arc<Order>, StoreError> {
        self.checked(self.order.get_or_try(|| Order::read(&self.table)))
    }

    /// Which vector belongs to which row.
    pub(super) fn slots(&self) -> Result<Arc<Slots>, StoreError> {
        self.checked(self.slots.get_or_try(|| {
            let ids = self.table.faiss_ids()?;
            Slots::find(&self.index, &self.vectors, ids.as_deref())
        }))
    }

    /// Appends the vector of a slot.
    pub(super) fn gather(&self, slot: usize, out: &mut Vec<f32>) -> Result<(), StoreError> {
        self.index.gather(&self.vectors, slot, out).ok_or_else(|| {
            StoreError::new(Code::FAISS_MALFORMED, format!("the index has no vector {slot}"))
        })
    }

    /// The records of a range in byte order of id.
    pub(super) fn scan(&self, range: &IdRange) -> Result<Scan<'_>, StoreError> {
        let order = self.order()?;
        let ranks = order.ranks(range);
        if order.is_sorted()
            && let Some(rows) = self.checked(self.table.rows(ranks.clone()))?
        {
            return Ok(Scan::of_table(self, self.slots()?, rows, ranks));
        }
        let spool = self.checked(self.table.spool())?;
        Ok(Scan::of_spool(self, self.slots()?, spool, Some(order), ranks))
    }

    /// The records of consecutive rows in the table's order.
    pub(super) fn scan_rows(&self, rows: std::ops::Range<usize>) -> Result<Scan<'_>, StoreError> {
        let rows = rows.start.min(self.index.len())..rows.end.min(self.index.len());
        if let Some(batches) = self.checked(self.table.rows(rows.clone()))? {
            return Ok(Scan::of_table(self, self.slots()?, batches, rows));
        }
        let spool = self.checked(self.table.spool())?;
        Ok(Scan::of_spool(self, self.slots()?, spool, None, rows))
    }

    /// The records of these ids that exist, in byte order of id.
    pub(super) fn fetch(&self, ids: &[&str]) -> Result<Records, StoreError> {
        let order = self.order()?;
        let mut rows: Vec<usize> = ids.iter().filter_map(|id| order.find(id)).collect();
        rows.sort_unstable();
        rows.dedup();
        let mut found = Vec::new();
        if let Some(batches) = self.checked(self.table.picked(&rows))? {
            let mut scan = Scan::of_table(self, self.slots()?, batches, rows);
            while let Some(batch) = scan.next()? {
                found.push(batch);
            }
        } else {
            let spool = self.checked(self.table.spool())?;
            for row in rows {
                let slots = self.slots()?;
                let mut one = Scan::of_spool(self, slots, Arc::clone(&spool), None, row..row + 1);
                found.extend(one.next()?);
            }
        }
        let mut records: Vec<_> = found.iter().flat_map(Records::iter).collect();
        records.sort_unstable_by(|a, b| a.id.cmp(b.id));
        let mut builder = RecordsBuilder::new(self.contract.dimensions);
        records.iter().try_for_each(|record| builder.push(record))?;
        builder.finish()
    }

    /// Whether this is the collection of that place.
    pub(super) fn is_of(&self, place: &Place) -> bool {
        self.contract_file.0 == place.file(CONTRACT)
    }

    /// Fails with `store.changed` if the files are not what they were.
    pub(super) fn ensure_unchanged(&self) -> Result<(), StoreError> {
        self.vectors.ensure_unchanged()?;
        self.table.ensure_unchanged()?;
        unchanged(&self.contract_file.0, self.contract_file.1)
    }

    /// A failure of a file that changed meanwhile says nothing but that.
    pub(super) fn checked<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        result.map_err(|error| self.ensure_unchanged().err().unwrap_or(error))
    }
}

fn unreadable(place: &Place, error: FormatError) -> StoreError {
    let remedy = error.remedy();
    StoreError::new(error.code(), cannot("read", &place.file(INDEX))).because(error).remedy(remedy)
}

/// The contract: what `collection.json` declares, and what the index tells. FAISS has no cosine:
/// a declared cosine stands over an inner product of vectors of unit length.
fn contract(
    name: &CollectionName,
    declared: Option<CollectionContract>,
    index: &Index,
) -> Result<CollectionContract, StoreError> {
    let differs = |what| Err(StoreError::new(Code::STORE_MALFORMED, what));
    let dimensions = u32::try_from(index.dimensions()).unwrap_or(u32::MAX);
    let told = match index.metric() {
        FileMetric::L2 => Metric::L2,
        FileMetric::InnerProduct => Metric::InnerProduct,
    };
    let mut contract =
        declared.unwrap_or_else(|| CollectionContract::unknown(name.clone(), dimensions));
    if contract.name != *name {
        return differs(format!("collection.json names {}, its directory {name}", contract.name));
    }
    if contract.dimensions != dimensions {
        let declared = contract.dimensions;
        return differs(format!(
            "collection.json says {declared} dimensions, the index {dimensions}"
        ));
    }
    let metric = *contract.metric.get_or_insert(told);
    let unit = contract.normalisation == Some(Normalisation::UnitLength);
    if metric == told || (file_metric(metric, unit) == Some(index.metric())) {
        return Ok(contract);
    }
    differs(format!("collection.json says the metric {metric}, the index {told}"))
}

/// The metric that an index file gets; `None` if FAISS has none that gives the same order.
pub(super) fn file_metric(metric: Metric, unit_length: bool) -> Option<FileMetric> {
    match metric {
        Metric::L2 => Some(FileMetric::L2),
        Metric::InnerProduct => Some(FileMetric::InnerProduct),
        Metric::Cosine => unit_length.then_some(FileMetric::InnerProduct),
    }
}
