//! A store whose failures say which store it is: two are open at a time, and both have an
//! `index.faiss`.

use carnet_connect::{
    Capabilities, Description, Hit, IdRange, Load, LoadRequest, Progress, Query, RecordStream,
    Records, Shard, StoreError, StoreSnapshot, VectorRepository,
};
use carnet_model::CollectionName;

/// A store under the name that its failures bear.
pub(crate) struct Named {
    inner: Box<dyn VectorRepository>,
}

impl Named {
    /// Gives the store's failures its label.
    pub(crate) fn store(inner: Box<dyn VectorRepository>) -> Box<dyn VectorRepository> {
        Box::new(Self { inner })
    }
}

/// What was done to which store. The failure so far, with its remedy, is the cause.
fn failed(doing: &'static str, label: &str) -> impl Fn(StoreError) -> StoreError {
    let what = format!("cannot {doing} {label}");
    move |error| StoreError::new(error.code(), what.clone()).because(error)
}

impl Named {
    fn read(&self) -> impl Fn(StoreError) -> StoreError {
        failed("read", self.label())
    }

    fn write(&self) -> impl Fn(StoreError) -> StoreError {
        failed("write to", self.label())
    }
}

impl VectorRepository for Named {
    fn label(&self) -> &str {
        self.inner.label()
    }

    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    fn snapshot(&self) -> Result<Box<dyn StoreSnapshot + '_>, StoreError> {
        let inner = self.inner.snapshot().map_err(self.read())?;
        Ok(Box::new(View { inner, label: self.label() }))
    }

    fn upsert(&self, collection: &CollectionName, records: &Records) -> Result<(), StoreError> {
        self.inner.upsert(collection, records).map_err(self.write())
    }

    fn query(
        &self,
        collection: &CollectionName,
        query: &Query<'_>,
    ) -> Result<Vec<Hit>, StoreError> {
        self.inner.query(collection, query).map_err(failed("search", self.label()))
    }

    fn fetch(&self, collection: &CollectionName, ids: &[&str]) -> Result<Records, StoreError> {
        self.inner.fetch(collection, ids).map_err(self.read())
    }

    fn delete(&self, collection: &CollectionName, ids: &[&str]) -> Result<u64, StoreError> {
        self.inner.delete(collection, ids).map_err(self.write())
    }

    fn begin_load(&self, request: &LoadRequest) -> Result<Box<dyn Load + '_>, StoreError> {
        let inner = self.inner.begin_load(request).map_err(self.write())?;
        Ok(Box::new(NamedLoad { inner, label: self.label() }))
    }

    fn drop_collection(&self, collection: &CollectionName) -> Result<bool, StoreError> {
        self.inner.drop_collection(collection).map_err(self.write())
    }
}

/// One view of it.
struct View<'s> {
    inner: Box<dyn StoreSnapshot + 's>,
    label: &'s str,
}

impl View<'_> {
    fn read(&self) -> impl Fn(StoreError) -> StoreError {
        failed("read", self.label)
    }

    fn stream<'v>(
        &'v self,
        inner: Result<Box<dyn RecordStream + 'v>, StoreError>,
    ) -> Result<Box<dyn RecordStream + 'v>, StoreError> {
        Ok(Box::new(Stream { inner: inner.map_err(self.read())?, label: self.label }))
    }
}

impl StoreSnapshot for View<'_> {
    fn collections(&self) -> Result<Vec<CollectionName>, StoreError> {
        self.inner.collections().map_err(self.read())
    }

    fn describe(&self, collection: &CollectionName) -> Result<Description, StoreError> {
        self.inner.describe(collection).map_err(self.read())
    }

    fn ranges(
        &self,
        collection: &CollectionName,
        parts: usize,
    ) -> Result<Vec<IdRange>, StoreError> {
        self.inner.ranges(collection, parts).map_err(self.read())
    }

    fn scan(
        &self,
        collection: &CollectionName,
        range: &IdRange,
    ) -> Result<Box<dyn RecordStream + '_>, StoreError> {
        self.stream(self.inner.scan(collection, range))
    }

    fn shards(&self, collection: &CollectionName, parts: usize) -> Result<Vec<Shard>, StoreError> {
        self.inner.shards(collection, parts).map_err(self.read())
    }

    fn scan_shard(
        &self,
        collection: &CollectionName,
        shard: &Shard,
    ) -> Result<Box<dyn RecordStream + '_>, StoreError> {
        self.stream(self.inner.scan_shard(collection, shard))
    }
}

/// Its records.
struct Stream<'s> {
    inner: Box<dyn RecordStream + 's>,
    label: &'s str,
}

impl RecordStream for Stream<'_> {
    fn next(&mut self) -> Result<Option<Records>, StoreError> {
        self.inner.next().map_err(failed("read", self.label))
    }
}

/// A load into it.
struct NamedLoad<'s> {
    inner: Box<dyn Load + 's>,
    label: &'s str,
}

/// The records that are loaded. Where they fail, the store that they come from has said so.
struct Incoming<'r> {
    inner: &'r mut dyn RecordStream,
    failed: bool,
}

impl RecordStream for Incoming<'_> {
    fn next(&mut self) -> Result<Option<Records>, StoreError> {
        let next = self.inner.next();
        self.failed |= next.is_err();
        next
    }
}

impl Load for NamedLoad<'_> {
    fn load_range(
        &self,
        range: &IdRange,
        records: &mut dyn RecordStream,
    ) -> Result<u64, StoreError> {
        let mut records = Incoming { inner: records, failed: false };
        let loaded = self.inner.load_range(range, &mut records);
        if records.failed { loaded } else { loaded.map_err(failed("write to", self.label)) }
    }

    fn read_back(&self, range: &IdRange) -> Result<Option<Box<dyn RecordStream + '_>>, StoreError> {
        let inner = self.inner.read_back(range).map_err(failed("read", self.label))?;
        let named =
            |inner| Box::new(Stream { inner, label: self.label }) as Box<dyn RecordStream + '_>;
        Ok(inner.map(named))
    }

    fn commit(&self, progress: &dyn Progress) -> Result<(), StoreError> {
        self.inner.commit(progress).map_err(failed("write to", self.label))
    }

    fn abandon(&self) -> Result<Vec<String>, StoreError> {
        self.inner.abandon().map_err(failed("write to", self.label))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnet_connect::MemoryStore;
    use carnet_model::Code;

    /// A stream that fails at once.
    struct Broken;

    impl RecordStream for Broken {
        fn next(&mut self) -> Result<Option<Records>, StoreError> {
            Err(StoreError::new(Code::RECORD_ID, "a record has no id").remedy("give it one"))
        }
    }

    #[test]
    fn a_failure_names_the_store_that_failed_and_keeps_code_and_remedy() {
        let mut stream = Stream { inner: Box::new(Broken), label: "faiss:b" };
        let error = stream.next().unwrap_err();
        assert_eq!(error.to_string(), "cannot read faiss:b");
        assert_eq!((error.code(), error.remedy_text()), (Code::RECORD_ID, Some("give it one")));
    }

    #[test]
    fn a_load_does_not_take_the_blame_for_its_source() {
        let store = Named::store(Box::new(MemoryStore::default()));
        let contract = carnet_model::CollectionContract::unknown(CollectionName::standard(), 3);
        let mode = carnet_connect::LoadMode::Replace;
        let request = LoadRequest { contract, mode, token: "t".to_owned() };
        let load = store.begin_load(&request).unwrap();
        let mut source = Stream { inner: Box::new(Broken), label: "faiss:a" };
        let error = load.load_range(&IdRange::all(), &mut source).unwrap_err();
        assert_eq!(error.to_string(), "cannot read faiss:a");
    }
}
