//! A store in memory that can be narrower than it is, and that can fail like a killed process.

use std::sync::atomic::{AtomicUsize, Ordering};

use carnet_connect::{
    Capabilities, Hit, IdRange, Load, LoadRequest, MemoryStore, Progress, Query, RecordStream,
    Records, StoreError, StoreSnapshot, VectorRepository,
};
use carnet_model::{Code, CollectionName};

pub(crate) struct TestStore {
    pub(crate) inner: MemoryStore,
    pub(crate) capabilities: Capabilities,
    /// Calls of `load_range` and `commit` that still succeed.
    pub(crate) fuel: AtomicUsize,
    /// Whether a failed load can clean up after itself.
    pub(crate) abandons: bool,
}

impl TestStore {
    pub(crate) fn new(inner: MemoryStore) -> Self {
        let capabilities = inner.capabilities().clone();
        Self { inner, capabilities, fuel: AtomicUsize::new(usize::MAX), abandons: true }
    }

    fn burn(&self) -> Result<(), StoreError> {
        let spent =
            self.fuel.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        spent.map(drop).map_err(|_| StoreError::new(Code::STORE_LOST, "the connection was lost"))
    }
}

impl VectorRepository for TestStore {
    fn label(&self) -> &'static str {
        "test"
    }

    fn kind(&self) -> &'static str {
        "memory"
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn snapshot(&self) -> Result<Box<dyn StoreSnapshot + '_>, StoreError> {
        self.inner.snapshot()
    }

    fn upsert(&self, name: &CollectionName, records: &Records) -> Result<(), StoreError> {
        self.inner.upsert(name, records)
    }

    fn query(&self, name: &CollectionName, query: &Query<'_>) -> Result<Vec<Hit>, StoreError> {
        self.inner.query(name, query)
    }

    fn fetch(&self, name: &CollectionName, ids: &[&str]) -> Result<Records, StoreError> {
        self.inner.fetch(name, ids)
    }

    fn delete(&self, name: &CollectionName, ids: &[&str]) -> Result<u64, StoreError> {
        self.inner.delete(name, ids)
    }

    fn begin_load(&self, request: &LoadRequest) -> Result<Box<dyn Load + '_>, StoreError> {
        Ok(Box::new(TestLoad { store: self, inner: self.inner.begin_load(request)? }))
    }

    fn drop_collection(&self, name: &CollectionName) -> Result<bool, StoreError> {
        self.inner.drop_collection(name)
    }
}

struct TestLoad<'s> {
    store: &'s TestStore,
    inner: Box<dyn Load + 's>,
}

impl Load for TestLoad<'_> {
    fn load_range(
        &self,
        range: &IdRange,
        records: &mut dyn RecordStream,
    ) -> Result<u64, StoreError> {
        self.store.burn()?;
        self.inner.load_range(range, records)
    }

    fn read_back(&self, range: &IdRange) -> Result<Option<Box<dyn RecordStream + '_>>, StoreError> {
        self.inner.read_back(range)
    }

    fn commit(&self, progress: &dyn Progress) -> Result<(), StoreError> {
        self.store.burn()?;
        self.inner.commit(progress)
    }

    fn abandon(&self) -> Result<Vec<String>, StoreError> {
        if self.store.abandons {
            self.inner.abandon()
        } else {
            Ok(vec!["a staged load".to_owned()])
        }
    }
}
