//! A target whose URL names its tables: which collection goes into which of them.

use carnet_connect::{
    Capabilities, Description, Hit, IdRange, Load, LoadRequest, Query, RecordStream, Records,
    Shard, StoreError, StoreSnapshot, VectorRepository,
};
use carnet_model::{Code, CollectionContract, CollectionName, StoreUrl};

/// The target as the source's collections need it. A collection goes into the table of its name;
/// the only collection goes into the only table, whatever both are called.
pub(crate) fn aim(
    target: Box<dyn VectorRepository>,
    url: &StoreUrl,
    collections: &[CollectionName],
) -> Result<Box<dyn VectorRepository>, StoreError> {
    let tables = match url {
        StoreUrl::Postgres(url) => url.tables.as_slice(),
        StoreUrl::Faiss(_) | StoreUrl::Sqlite(_) | StoreUrl::Snapshot(_) => &[],
    };
    let all_named = collections.iter().all(|name| tables.contains(name));
    match (collections, tables) {
        _ if all_named || tables.is_empty() => Ok(target),
        ([outside], [inside]) => {
            let (outside, inside) = (outside.clone(), inside.clone());
            Ok(Box::new(Renamed { inner: target, names: Names { outside, inside } }))
        }
        _ => Err(StoreError::new(
            Code::USAGE,
            format!(
                "the target names the tables {}, the source has the collections {}",
                listed(tables),
                listed(collections)
            ),
        )
        .remedy("name a table for each collection, by its name, or leave `?table=` out")),
    }
}

fn listed(names: &[CollectionName]) -> String {
    names.iter().map(CollectionName::as_str).collect::<Vec<_>>().join(", ")
}

/// What the collection is called out here, and in the store.
#[derive(Clone)]
struct Names {
    outside: CollectionName,
    inside: CollectionName,
}

impl Names {
    fn within<'n>(&'n self, name: &'n CollectionName) -> &'n CollectionName {
        if *name == self.outside { &self.inside } else { name }
    }

    fn without(&self, name: CollectionName) -> CollectionName {
        if name == self.inside { self.outside.clone() } else { name }
    }
}

/// A store with one collection under another name.
struct Renamed {
    inner: Box<dyn VectorRepository>,
    names: Names,
}

/// One view of it.
struct RenamedView<'v> {
    inner: Box<dyn StoreSnapshot + 'v>,
    names: Names,
}

impl VectorRepository for Renamed {
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
        Ok(Box::new(RenamedView { inner: self.inner.snapshot()?, names: self.names.clone() }))
    }

    fn upsert(&self, collection: &CollectionName, records: &Records) -> Result<(), StoreError> {
        self.inner.upsert(self.names.within(collection), records)
    }

    fn query(
        &self,
        collection: &CollectionName,
        query: &Query<'_>,
    ) -> Result<Vec<Hit>, StoreError> {
        self.inner.query(self.names.within(collection), query)
    }

    fn fetch(&self, collection: &CollectionName, ids: &[&str]) -> Result<Records, StoreError> {
        self.inner.fetch(self.names.within(collection), ids)
    }

    fn delete(&self, collection: &CollectionName, ids: &[&str]) -> Result<u64, StoreError> {
        self.inner.delete(self.names.within(collection), ids)
    }

    fn begin_load(&self, request: &LoadRequest) -> Result<Box<dyn Load + '_>, StoreError> {
        let name = self.names.within(&request.contract.name).clone();
        let contract = CollectionContract { name, ..request.contract.clone() };
        self.inner.begin_load(&LoadRequest { contract, ..request.clone() })
    }

    fn drop_collection(&self, collection: &CollectionName) -> Result<bool, StoreError> {
        self.inner.drop_collection(self.names.within(collection))
    }
}

impl StoreSnapshot for RenamedView<'_> {
    fn collections(&self) -> Result<Vec<CollectionName>, StoreError> {
        let names = self.inner.collections()?.into_iter();
        Ok(names.map(|name| self.names.without(name)).collect())
    }

    fn describe(&self, collection: &CollectionName) -> Result<Description, StoreError> {
        let described = self.inner.describe(self.names.within(collection))?;
        let name = self.names.without(described.contract.name.clone());
        let contract = CollectionContract { name, ..described.contract };
        Ok(Description { contract, ..described })
    }

    fn ranges(
        &self,
        collection: &CollectionName,
        parts: usize,
    ) -> Result<Vec<IdRange>, StoreError> {
        self.inner.ranges(self.names.within(collection), parts)
    }

    fn scan(
        &self,
        collection: &CollectionName,
        range: &IdRange,
    ) -> Result<Box<dyn RecordStream + '_>, StoreError> {
        self.inner.scan(self.names.within(collection), range)
    }

    fn shards(&self, collection: &CollectionName, parts: usize) -> Result<Vec<Shard>, StoreError> {
        self.inner.shards(self.names.within(collection), parts)
    }

    fn scan_shard(
        &self,
        collection: &CollectionName,
        shard: &Shard,
    ) -> Result<Box<dyn RecordStream + '_>, StoreError> {
        self.inner.scan_shard(self.names.within(collection), shard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnet_connect::{LoadMode, MemoryStore, NoProgress, batches};

    fn name(text: &str) -> CollectionName {
        CollectionName::new(text).unwrap()
    }

    fn aimed(url: &str, collections: &[&str]) -> Result<Box<dyn VectorRepository>, StoreError> {
        let names: Vec<_> = collections.iter().map(|text| name(text)).collect();
        aim(Box::new(MemoryStore::default()), &StoreUrl::parse(url).unwrap(), &names)
    }

    #[test]
    fn the_only_collection_goes_into_the_only_table() {
        let store = aimed("postgres://h/d?table=docs", &["embeddings"]).unwrap();
        let contract = CollectionContract::unknown(name("embeddings"), 3);
        let request = LoadRequest { contract, mode: LoadMode::Replace, token: "t".to_owned() };
        let load = store.begin_load(&request).unwrap();
        load.load_range(&IdRange::all(), &mut batches(Vec::new())).unwrap();
        load.commit(&NoProgress).unwrap();
        let view = store.snapshot().unwrap();
        assert_eq!(view.collections().unwrap(), [name("embeddings")]);
        assert_eq!(view.describe(&name("embeddings")).unwrap().contract.name, name("embeddings"));
        drop((view, load));
        assert!(store.drop_collection(&name("embeddings")).unwrap());
    }

    #[test]
    fn several_go_by_their_names_or_not_at_all() {
        assert!(aimed("postgres://h/d?table=a,b", &["b"]).is_ok());
        assert!(aimed("postgres://h/d", &["a", "b"]).is_ok());
        for (url, collections) in
            [("postgres://h/d?table=a,b", vec!["c"]), ("postgres://h/d?table=a", vec!["a", "b"])]
        {
            let refused = aimed(url, &collections).err().unwrap();
            assert_eq!(refused.code(), Code::USAGE, "{url}");
        }
    }
}
