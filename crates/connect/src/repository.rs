//! The contract of a store: read one consistent view in id order, search, and load atomically.

use carnet_model::{CollectionContract, CollectionName, IndexSpec};
use serde::{Deserialize, Serialize};

use crate::capability::Capabilities;
use crate::error::StoreError;
use crate::filter::Filter;
use crate::progress::Progress;
use crate::range::IdRange;
use crate::records::Records;

/// What a store says about one collection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Description {
    /// The contract: declared by the owner, or what the store's own form tells.
    pub contract: CollectionContract,
    /// How many records, exactly.
    pub records: u64,
    /// The index that the store really has now; `None` when search is a scan.
    pub index: Option<IndexSpec>,
    /// Where the collection is, for people: a table, a file. Without secrets.
    pub place: String,
    /// Columns that travel in the metadata under `_columns`, by name.
    pub carried_columns: Vec<String>,
}

/// Batches of records in ascending byte order of id, none empty.
pub trait RecordStream: Send {
    /// The next batch; `None` at the end. After an error the stream is over.
    fn next(&mut self) -> Result<Option<Records>, StoreError>;
}

/// A part of a collection for work that needs no order: which part is the store's own affair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shard {
    /// The records of an id range.
    Range(IdRange),
    /// A span of the store's own storage order (positions, row ids, blocks): `start..end`.
    Span(u64, u64),
}

/// One consistent view of a store, shared by parallel workers.
///
/// Every method reads the same moment (`ReadConsistency::Snapshot`), or fails with
/// `store.changed` when the store was written meanwhile (`ReadConsistency::ChangeDetected`).
pub trait StoreSnapshot: Send + Sync {
    /// The collections, by name.
    fn collections(&self) -> Result<Vec<CollectionName>, StoreError>;

    /// What the store says about a collection.
    fn describe(&self, collection: &CollectionName) -> Result<Description, StoreError>;

    /// About `parts` adjacent ranges of about equal size that together hold every id. Drawn anew
    /// on each call: a caller that resumes must store them.
    fn ranges(&self, collection: &CollectionName, parts: usize)
    -> Result<Vec<IdRange>, StoreError>;

    /// The records of a range, in byte order of id. Duplicate ids are an error
    /// (`record.duplicate`), as is whatever is not a record.
    fn scan(
        &self,
        collection: &CollectionName,
        range: &IdRange,
    ) -> Result<Box<dyn RecordStream + '_>, StoreError>;

    /// About `parts` shards that together hold every record exactly once.
    fn shards(&self, collection: &CollectionName, parts: usize) -> Result<Vec<Shard>, StoreError> {
        Ok(self.ranges(collection, parts)?.into_iter().map(Shard::Range).collect())
    }

    /// The records of a shard, in any order. A store whose shards are spans may give an id twice
    /// where it holds it twice: the caller that joins the shards refuses that.
    fn scan_shard(
        &self,
        collection: &CollectionName,
        shard: &Shard,
    ) -> Result<Box<dyn RecordStream + '_>, StoreError> {
        match shard {
            Shard::Range(range) => self.scan(collection, range),
            Shard::Span(..) => {
                Err(StoreError::new(carnet_model::Code::BUG, "a store without spans was given one"))
            }
        }
    }
}

/// A search.
#[derive(Debug, Clone, PartialEq)]
pub struct Query<'a> {
    /// The vector to compare with.
    pub vector: &'a [f32],
    /// How many records to find at most.
    pub k: usize,
    /// Only records whose metadata fits.
    pub filter: &'a Filter,
    /// `true`: compare with every record. `false`: the store's index may be used.
    pub exact: bool,
}

/// One found record.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// The record.
    pub id: String,
    /// Smaller is nearer: Euclidean distance (not squared), negated inner product, or
    /// 1 − cosine similarity.
    pub distance: f64,
}

/// How a load treats what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadMode {
    /// The collection holds exactly the loaded records afterwards. What was there stays whole and
    /// readable until `commit`.
    Replace,
    /// The loaded records are added or overwrite those of the same id; others stay.
    Upsert,
}

/// What a load is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadRequest {
    /// The collection and its contract, which `commit` publishes beside the records.
    pub contract: CollectionContract,
    /// What happens to records that are there.
    pub mode: LoadMode,
    /// Names the load; the same again after a crash continues it. `a-z 0-9`, at most 32.
    pub token: String,
}

/// A load in progress. `load_range` may be called by several threads at once, with disjoint
/// ranges.
pub trait Load: Send + Sync {
    /// Writes one range. `Replace`: the range then holds exactly these records. `Upsert`: these
    /// records are added or overwritten. Atomic and durable: after `Ok` it survives a crash, after
    /// an error nothing of the range has changed. The stream's ids must lie in the range.
    /// Loading a range again replaces the earlier attempt. Gives the number of records.
    fn load_range(
        &self,
        range: &IdRange,
        records: &mut dyn RecordStream,
    ) -> Result<u64, StoreError>;

    /// What `load_range` has durably written of a range, read from the store itself; `None` if
    /// that range was never finished. For `Upsert` into a store written in place: what is there
    /// now.
    fn read_back(&self, range: &IdRange) -> Result<Option<Box<dyn RecordStream + '_>>, StoreError>;

    /// Makes the load visible as a whole, publishes the contract and builds the declared index.
    /// Repeating it after a crash ends in the same state.
    fn commit(&self, progress: &dyn Progress) -> Result<(), StoreError>;

    /// Removes what was written and not yet committed. What cannot be removed (an `Upsert` into a
    /// store that is written in place) is named in the answer.
    fn abandon(&self) -> Result<Vec<String>, StoreError>;
}

/// A store of embedding records. Made for one URL; every method may be called by many threads.
///
/// The operations are those of the knowledge-portability requirements, section 2; their
/// `export_snapshot` and `import_snapshot` are functions of `carnet-bundle` over this trait, so
/// that every store exports and imports by the same code.
pub trait VectorRepository: Send + Sync {
    /// The URL without its password, for people and evidence.
    fn label(&self) -> &str;

    /// The kind: `faiss`, `sqlite`, `pgvector`, `snapshot`, `memory`.
    fn kind(&self) -> &'static str;

    /// What it can hold and do.
    fn capabilities(&self) -> &Capabilities;

    /// Opens one consistent view. A store that does not exist yet has no collections; one that
    /// cannot be reached is an error.
    fn snapshot(&self) -> Result<Box<dyn StoreSnapshot + '_>, StoreError>;

    /// Adds or overwrites records of an existing collection, in one transaction where the store
    /// has them.
    fn upsert(&self, collection: &CollectionName, records: &Records) -> Result<(), StoreError>;

    /// The nearest records, nearest first; equal distances in byte order of id.
    fn query(&self, collection: &CollectionName, query: &Query<'_>)
    -> Result<Vec<Hit>, StoreError>;

    /// The records of these ids that exist, in byte order of id.
    fn fetch(&self, collection: &CollectionName, ids: &[&str]) -> Result<Records, StoreError>;

    /// Deletes the records of these ids; gives how many existed.
    fn delete(&self, collection: &CollectionName, ids: &[&str]) -> Result<u64, StoreError>;

    /// Begins a load, or continues the one of the same token.
    fn begin_load(&self, request: &LoadRequest) -> Result<Box<dyn Load + '_>, StoreError>;

    /// Removes a collection and its contract. Gives whether it existed.
    fn drop_collection(&self, collection: &CollectionName) -> Result<bool, StoreError>;
}
