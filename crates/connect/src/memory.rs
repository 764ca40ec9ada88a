//! A store in memory: the reference for what the traits mean, and the target of dry runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use carnet_model::{Code, CollectionContract, CollectionName, Metric};

use crate::capability::{Capabilities, ReadConsistency, WriteCapability};
use crate::distance::{Nearest, distance};
use crate::error::StoreError;
use crate::merge::MergedStream;
use crate::progress::Progress;
use crate::range::IdRange;
use crate::records::{Records, RecordsBuilder};
use crate::repository::{
    Description, Hit, Load, LoadMode, LoadRequest, Query, RecordStream, StoreSnapshot,
    VectorRepository,
};

const BATCH_RECORDS: usize = 1_024;

/// Batches that are already in memory, as a stream.
pub fn batches(batches: Vec<Records>) -> impl RecordStream {
    struct Batches(std::vec::IntoIter<Records>);
    impl RecordStream for Batches {
        fn next(&mut self) -> Result<Option<Records>, StoreError> {
            Ok(self.0.next())
        }
    }
    Batches(batches.into_iter())
}

/// Records by id: each a batch of one.
type Rows = BTreeMap<String, Records>;

#[derive(Debug, Clone)]
struct Collection {
    contract: CollectionContract,
    rows: Rows,
}

#[derive(Debug, Clone, Default)]
struct Staged {
    ranges: Vec<(IdRange, Rows)>,
}

#[derive(Debug, Default)]
struct State {
    collections: BTreeMap<CollectionName, Arc<Collection>>,
    staged: BTreeMap<(CollectionName, String), Staged>,
}

/// A store in memory.
#[derive(Debug)]
pub struct MemoryStore {
    capabilities: Capabilities,
    state: Mutex<State>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self {
            capabilities: Capabilities {
                write: WriteCapability::WholeCollection,
                read: ReadConsistency::Snapshot,
                metrics: vec![Metric::L2, Metric::InnerProduct, Metric::Cosine],
                unit_length_only: Vec::new(),
                indexes: vec!["flat"],
                dimensions_max: 65_535,
                indexed_dimensions_max: Vec::new(),
                id_bytes_max: crate::records::ID_BYTES_MAX,
                nul_in_text: true,
                non_finite: true,
                collections: true,
            },
            state: Mutex::default(),
        }
    }
}

impl MemoryStore {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn collection(&self, name: &CollectionName) -> Result<Arc<Collection>, StoreError> {
        self.state().collections.get(name).cloned().ok_or_else(|| missing(name))
    }

    fn change<T>(
        &self,
        name: &CollectionName,
        change: impl FnOnce(&mut Collection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut state = self.state();
        let held = state.collections.get_mut(name).ok_or_else(|| missing(name))?;
        let mut changed = Collection::clone(held);
        let answer = change(&mut changed)?;
        *held = Arc::new(changed);
        Ok(answer)
    }
}

fn missing(name: &CollectionName) -> StoreError {
    StoreError::new(Code::STORE_NOT_FOUND, format!("there is no collection {name}"))
}

fn rows_of(records: &Records) -> Result<Rows, StoreError> {
    (0..records.len())
        .map(|row| {
            let one = records.slice(row, 1)?;
            let id = one.get(0).map(|record| record.id.to_owned()).unwrap_or_default();
            Ok((id, one))
        })
        .collect()
}

fn stream_of(rows: &Rows, range: &IdRange, dimensions: u32) -> Result<Vec<Records>, StoreError> {
    let mut out = Vec::new();
    let mut builder = RecordsBuilder::new(dimensions);
    for record in rows.values().filter_map(|one| one.get(0)).filter(|r| range.contains(r.id)) {
        builder.push(&record)?;
        if builder.len() == BATCH_RECORDS {
            out.push(builder.finish()?);
        }
    }
    if !builder.is_empty() {
        out.push(builder.finish()?);
    }
    Ok(out)
}

struct MemorySnapshot(BTreeMap<CollectionName, Arc<Collection>>);

impl MemorySnapshot {
    fn get(&self, name: &CollectionName) -> Result<&Collection, StoreError> {
        self.0.get(name).map(Arc::as_ref).ok_or_else(|| missing(name))
    }
}

impl StoreSnapshot for MemorySnapshot {
    fn collections(&self) -> Result<Vec<CollectionName>, StoreError> {
        Ok(self.0.keys().cloned().collect())
    }

    fn describe(&self, name: &CollectionName) -> Result<Description, StoreError> {
        let held = self.get(name)?;
        Ok(Description {
            contract: held.contract.clone(),
            records: held.rows.len() as u64,
            index: None,
            place: format!("memory collection {name}"),
            carried_columns: Vec::new(),
        })
    }

    fn ranges(&self, name: &CollectionName, parts: usize) -> Result<Vec<IdRange>, StoreError> {
        let rows = &self.get(name)?.rows;
        let step = rows.len().div_ceil(parts.max(1)).max(1);
        Ok(IdRange::split_at(rows.keys().step_by(step).skip(1).cloned()))
    }

    fn scan(
        &self,
        name: &CollectionName,
        range: &IdRange,
    ) -> Result<Box<dyn RecordStream + '_>, StoreError> {
        let held = self.get(name)?;
        Ok(Box::new(batches(stream_of(&held.rows, range, held.contract.dimensions)?)))
    }
}

impl VectorRepository for MemoryStore {
    fn label(&self) -> &'static str {
        "memory"
    }

    fn kind(&self) -> &'static str {
        "memory"
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn snapshot(&self) -> Result<Box<dyn StoreSnapshot + '_>, StoreError> {
        Ok(Box::new(MemorySnapshot(self.state().collections.clone())))
    }

    fn upsert(&self, name: &CollectionName, records: &Records) -> Result<(), StoreError> {
        let added = rows_of(records)?;
        self.change(name, |collection| {
            if records.dimensions() != collection.contract.dimensions as usize {
                return Err(StoreError::new(
                    Code::RECORD_VECTOR,
                    format!("collection {name} does not have {} dimensions", records.dimensions()),
                ));
            }
            collection.rows.extend(added);
            Ok(())
        })
    }

    fn query(&self, name: &CollectionName, query: &Query<'_>) -> Result<Vec<Hit>, StoreError> {
        let held = self.collection(name)?;
        let metric = held.contract.metric.ok_or_else(|| {
            StoreError::new(Code::STORE_UNSUPPORTED, format!("{name} declares no metric"))
        })?;
        let mut nearest = Nearest::new(query.k);
        for record in held.rows.values().filter_map(|one| one.get(0)) {
            if query.filter.fits(record.metadata) {
                nearest.offer(record.id, distance(metric, query.vector, record.vector));
            }
        }
        Ok(nearest.into_hits())
    }

    fn fetch(&self, name: &CollectionName, ids: &[&str]) -> Result<Records, StoreError> {
        let held = self.collection(name)?;
        let mut wanted: Vec<_> = ids.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        Records::collect(
            held.contract.dimensions,
            wanted.iter().filter_map(|id| held.rows.get(*id)?.get(0)),
        )
    }

    fn delete(&self, name: &CollectionName, ids: &[&str]) -> Result<u64, StoreError> {
        self.change(name, |collection| {
            Ok(ids.iter().filter(|id| collection.rows.remove(**id).is_some()).count() as u64)
        })
    }

    fn begin_load(&self, request: &LoadRequest) -> Result<Box<dyn Load + '_>, StoreError> {
        Ok(Box::new(MemoryLoad { store: self, request: request.clone() }))
    }

    fn drop_collection(&self, name: &CollectionName) -> Result<bool, StoreError> {
        Ok(self.state().collections.remove(name).is_some())
    }
}

struct MemoryLoad<'s> {
    store: &'s MemoryStore,
    request: LoadRequest,
}

impl MemoryLoad<'_> {
    fn key(&self) -> (CollectionName, String) {
        (self.request.contract.name.clone(), self.request.token.clone())
    }
}

impl Load for MemoryLoad<'_> {
    fn load_range(
        &self,
        range: &IdRange,
        records: &mut dyn RecordStream,
    ) -> Result<u64, StoreError> {
        let mut rows = Rows::new();
        while let Some(batch) = records.next()? {
            if let Some(outside) = batch.iter().find(|record| !range.contains(record.id)) {
                return Err(StoreError::new(
                    Code::BUG,
                    format!("record {:?} is outside of the range {range}", outside.id),
                ));
            }
            rows.extend(rows_of(&batch)?);
        }
        let count = rows.len() as u64;
        let mut state = self.store.state();
        let staged = state.staged.entry(self.key()).or_default();
        staged.ranges.retain(|(held, _)| held != range);
        staged.ranges.push((range.clone(), rows));
        Ok(count)
    }

    fn read_back(&self, range: &IdRange) -> Result<Option<Box<dyn RecordStream + '_>>, StoreError> {
        let state = self.store.state();
        let Some(staged) = state.staged.get(&self.key()) else { return Ok(None) };
        let Some((_, rows)) = staged.ranges.iter().find(|(held, _)| held == range) else {
            return Ok(None);
        };
        let dimensions = self.request.contract.dimensions;
        let over = batches(stream_of(rows, range, dimensions)?);
        if self.request.mode == LoadMode::Replace {
            return Ok(Some(Box::new(over)));
        }
        let base = state.collections.get(&self.request.contract.name);
        let base = base.map_or(Ok(Vec::new()), |c| stream_of(&c.rows, range, dimensions))?;
        let merged = MergedStream::new(Box::new(batches(base)), Box::new(over), dimensions)?;
        Ok(Some(Box::new(merged)))
    }

    fn commit(&self, _progress: &dyn Progress) -> Result<(), StoreError> {
        let mut state = self.store.state();
        let Some(staged) = state.staged.remove(&self.key()) else { return Ok(()) };
        let contract = self.request.contract.clone();
        let held = state.collections.get(&contract.name);
        let mut rows = match (self.request.mode, held) {
            (LoadMode::Upsert, Some(held)) => held.rows.clone(),
            (LoadMode::Upsert | LoadMode::Replace, _) => Rows::new(),
        };
        rows.extend(staged.ranges.into_iter().flat_map(|(_, rows)| rows));
        state.collections.insert(contract.name.clone(), Arc::new(Collection { contract, rows }));
        Ok(())
    }

    fn abandon(&self) -> Result<Vec<String>, StoreError> {
        self.store.state().staged.remove(&self.key());
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_store_conforms() {
        crate::conformance::run(&mut || Ok(Box::new(MemoryStore::default()))).unwrap();
    }
}
