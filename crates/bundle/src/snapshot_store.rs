//! A snapshot directory as a store that can be read: `snapshot:DIR`.

use std::path::{Path, PathBuf};

use carnet_connect::{
    Capabilities, Description, Filter, Hit, ID_BYTES_MAX, IdRange, Load, LoadRequest, Nearest,
    Query, ReadConsistency, RecordStream, Records, RecordsBuilder, Shard, StoreError,
    StoreSnapshot, VectorRepository, WriteCapability, distance,
};
use carnet_model::{Code, CollectionName, Metric};

use crate::columns::Table;
use crate::error::BundleError;
use crate::manifest::{Manifest, ManifestCollection};
use crate::table::TableReader;
use crate::work::Work;

/// A snapshot, read as a store. It cannot be written.
pub struct SnapshotStore {
    dir: PathBuf,
    label: String,
    manifest: Manifest,
    capabilities: Capabilities,
}

impl SnapshotStore {
    /// Opens a snapshot directory. Only its manifest is read now; what the files hold is compared
    /// with it by `verify_snapshot`.
    pub fn open(dir: &Path) -> Result<Self, BundleError> {
        Ok(Self {
            dir: dir.to_owned(),
            label: format!("snapshot:{}", dir.display()),
            manifest: Manifest::read(dir)?,
            capabilities: Capabilities {
                write: WriteCapability::None,
                read: ReadConsistency::Snapshot,
                metrics: vec![Metric::L2, Metric::InnerProduct, Metric::Cosine],
                unit_length_only: Vec::new(),
                indexes: vec!["flat"],
                dimensions_max: u32::try_from(i32::MAX).unwrap_or(0),
                indexed_dimensions_max: Vec::new(),
                id_bytes_max: ID_BYTES_MAX,
                nul_in_text: true,
                non_finite: true,
                collections: true,
            },
        })
    }

    /// The inventory.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn entry(&self, name: &CollectionName) -> Result<&ManifestCollection, StoreError> {
        let missing = || {
            StoreError::new(
                Code::STORE_NOT_FOUND,
                format!("{} has no collection {name}", self.dir.display()),
            )
        };
        self.manifest.collections.iter().find(|entry| entry.name == *name).ok_or_else(missing)
    }

    fn table(&self, name: &CollectionName) -> Result<TableReader, StoreError> {
        let entry = self.entry(name)?;
        let path = self.dir.join(&entry.embeddings);
        let table = TableReader::open(&path, Table::Embeddings, entry.dimensions)?;
        if table.rows() == entry.record_count {
            return Ok(table);
        }
        Err(StoreError::new(
            Code::SNAPSHOT_DAMAGED,
            format!(
                "{} holds {} records, the manifest says {}",
                path.display(),
                table.rows(),
                entry.record_count
            ),
        ))
    }

    fn read_only(&self) -> StoreError {
        StoreError::new(Code::STORE_READ_ONLY, format!("{} cannot be written", self.label))
            .remedy("a snapshot is immutable: import it into a store")
    }
}

impl StoreSnapshot for SnapshotStore {
    fn collections(&self) -> Result<Vec<CollectionName>, StoreError> {
        let mut names: Vec<_> =
            self.manifest.collections.iter().map(|entry| entry.name.clone()).collect();
        names.sort_unstable();
        Ok(names)
    }

    fn describe(&self, name: &CollectionName) -> Result<Description, StoreError> {
        let entry = self.entry(name)?;
        Ok(Description {
            contract: entry.contract.clone(),
            records: entry.record_count,
            index: None,
            place: self.dir.join(&entry.embeddings).display().to_string(),
            carried_columns: Vec::new(),
        })
    }

    fn ranges(&self, name: &CollectionName, parts: usize) -> Result<Vec<IdRange>, StoreError> {
        let table = self.table(name)?;
        let step = table.groups().div_ceil(parts.max(1)).max(1);
        let lowest = |group: usize| table.bounds(group).map(|(min, _)| min.to_owned());
        Ok(IdRange::split_at((0..table.groups()).step_by(step).skip(1).filter_map(lowest)))
    }

    fn scan(
        &self,
        name: &CollectionName,
        range: &IdRange,
    ) -> Result<Box<dyn RecordStream + '_>, StoreError> {
        let table = self.table(name)?;
        Ok(Box::new(table.records(table.groups_of(range), range.clone())?))
    }

    fn shards(&self, name: &CollectionName, parts: usize) -> Result<Vec<Shard>, StoreError> {
        let groups = self.table(name)?.groups();
        let step = groups.div_ceil(parts.max(1)).max(1);
        let span = |from: usize| Shard::Span(from as u64, (from + step).min(groups) as u64);
        Ok((0..groups).step_by(step).map(span).collect())
    }

    fn scan_shard(
        &self,
        name: &CollectionName,
        shard: &Shard,
    ) -> Result<Box<dyn RecordStream + '_>, StoreError> {
        match shard {
            Shard::Range(range) => self.scan(name, range),
            Shard::Span(from, to) => {
                let place = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
                let table = self.table(name)?;
                let groups = (place(*from)..place(*to).min(table.groups())).collect();
                Ok(Box::new(table.records(groups, IdRange::all())?))
            }
        }
    }
}

/// The same directory for each caller: it does not change.
struct View<'s>(&'s SnapshotStore);

impl StoreSnapshot for View<'_> {
    fn collections(&self) -> Result<Vec<CollectionName>, StoreError> {
        self.0.collections()
    }

    fn describe(&self, name: &CollectionName) -> Result<Description, StoreError> {
        self.0.describe(name)
    }

    fn ranges(&self, name: &CollectionName, parts: usize) -> Result<Vec<IdRange>, StoreError> {
        self.0.ranges(name, parts)
    }

    fn scan(
        &self,
        name: &CollectionName,
        range: &IdRange,
    ) -> Result<Box<dyn RecordStream + '_>, StoreError> {
        self.0.scan(name, range)
    }

    fn shards(&self, name: &CollectionName, parts: usize) -> Result<Vec<Shard>, StoreError> {
        self.0.shards(name, parts)
    }

    fn scan_shard(
        &self,
        name: &CollectionName,
        shard: &Shard,
    ) -> Result<Box<dyn RecordStream + '_>, StoreError> {
        self.0.scan_shard(name, shard)
    }
}

impl VectorRepository for SnapshotStore {
    fn label(&self) -> &str {
        &self.label
    }

    fn kind(&self) -> &'static str {
        "snapshot"
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn snapshot(&self) -> Result<Box<dyn StoreSnapshot + '_>, StoreError> {
        Ok(Box::new(View(self)))
    }

    fn upsert(&self, _name: &CollectionName, _records: &Records) -> Result<(), StoreError> {
        Err(self.read_only())
    }

    fn query(&self, name: &CollectionName, query: &Query<'_>) -> Result<Vec<Hit>, StoreError> {
        let entry = self.entry(name)?;
        let metric = entry.contract.metric.ok_or_else(|| {
            StoreError::new(Code::STORE_UNSUPPORTED, format!("{name} declares no metric"))
                .remedy("state the metric in the contract")
        })?;
        if query.vector.len() != entry.dimensions as usize {
            return Err(StoreError::new(
                Code::RECORD_VECTOR,
                format!(
                    "the query has {} dimensions, {name} {}",
                    query.vector.len(),
                    entry.dimensions
                ),
            ));
        }
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let parts = Work::quiet(threads).each(self.shards(name, threads)?, |_, shard| {
            let mut stream = self.scan_shard(name, &shard)?;
            nearest_of(stream.as_mut(), metric, query)
        })?;
        let mut nearest = Nearest::new(query.k);
        for part in parts {
            nearest.join(part);
        }
        Ok(nearest.into_hits())
    }

    fn fetch(&self, name: &CollectionName, ids: &[&str]) -> Result<Records, StoreError> {
        let mut wanted: Vec<&str> = ids.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        let table = self.table(name)?;
        let mut found = RecordsBuilder::new(self.entry(name)?.dimensions);
        for group in 0..table.groups() {
            let may_hold = match table.bounds(group) {
                None => true,
                Some((min, max)) => wanted.iter().any(|id| min <= *id && *id <= max),
            };
            if !may_hold {
                continue;
            }
            let mut stream = table.records(vec![group], IdRange::all())?;
            while let Some(batch) = stream.next()? {
                for record in batch.iter().filter(|r| wanted.binary_search(&r.id).is_ok()) {
                    found.push(&record)?;
                }
            }
        }
        found.finish()
    }

    fn delete(&self, _name: &CollectionName, _ids: &[&str]) -> Result<u64, StoreError> {
        Err(self.read_only())
    }

    fn begin_load(&self, _request: &LoadRequest) -> Result<Box<dyn Load + '_>, StoreError> {
        Err(self.read_only())
    }

    fn drop_collection(&self, _name: &CollectionName) -> Result<bool, StoreError> {
        Err(self.read_only())
    }
}

fn nearest_of(
    stream: &mut dyn RecordStream,
    metric: Metric,
    query: &Query<'_>,
) -> Result<Nearest, StoreError> {
    let filter: &Filter = query.filter;
    let mut nearest = Nearest::new(query.k);
    while let Some(batch) = stream.next()? {
        for record in batch.iter().filter(|record| filter.fits(record.metadata)) {
            nearest.offer(record.id, distance(metric, query.vector, record.vector));
        }
    }
    Ok(nearest)
}
