//! A snapshot under the name that the person gave it, wherever it was unpacked: the evidence names
//! it so, and an import that was cut off finds its journal again.

use carnet_bundle::SnapshotStore;
use carnet_connect::{
    Capabilities, Hit, Load, LoadRequest, Query, Records, StoreError, StoreSnapshot,
    VectorRepository,
};
use carnet_model::CollectionName;

/// A snapshot with another label.
pub(super) struct Labelled {
    pub(super) label: String,
    pub(super) store: SnapshotStore,
}

impl VectorRepository for Labelled {
    fn label(&self) -> &str {
        &self.label
    }

    fn kind(&self) -> &'static str {
        self.store.kind()
    }

    fn capabilities(&self) -> &Capabilities {
        self.store.capabilities()
    }

    fn snapshot(&self) -> Result<Box<dyn StoreSnapshot + '_>, StoreError> {
        self.store.snapshot()
    }

    fn upsert(&self, collection: &CollectionName, records: &Records) -> Result<(), StoreError> {
        self.store.upsert(collection, records)
    }

    fn query(
        &self,
        collection: &CollectionName,
        query: &Query<'_>,
    ) -> Result<Vec<Hit>, StoreError> {
        self.store.query(collection, query)
    }

    fn fetch(&self, collection: &CollectionName, ids: &[&str]) -> Result<Records, StoreError> {
        self.store.fetch(collection, ids)
    }

    fn delete(&self, collection: &CollectionName, ids: &[&str]) -> Result<u64, StoreError> {
        self.store.delete(collection, ids)
    }

    fn begin_load(&self, request: &LoadRequest) -> Result<Box<dyn Load + '_>, StoreError> {
        self.store.begin_load(request)
    }

    fn drop_collection(&self, collection: &CollectionName) -> Result<bool, StoreError> {
        self.store.drop_collection(collection)
    }
}
