//! A view whose contracts are stated by the plan rather than by the store.

use carnet_connect::{
    Description, IdRange, RecordStream, Shard, StoreError, StoreSnapshot, shorten,
};
use carnet_model::{Code, CollectionContract, CollectionName};

/// A view with stated contracts: what a foreign store does not say, its owner does.
pub struct DeclaredView<'v> {
    view: &'v dyn StoreSnapshot,
    contracts: &'v [CollectionContract],
}

impl<'v> DeclaredView<'v> {
    /// Lays contracts over a view. Dimensions are a fact of the store: a contract that states
    /// others makes `describe` fail (`contract.differs`).
    pub fn new(view: &'v dyn StoreSnapshot, contracts: &'v [CollectionContract]) -> Self {
        Self { view, contracts }
    }
}

impl StoreSnapshot for DeclaredView<'_> {
    fn collections(&self) -> Result<Vec<CollectionName>, StoreError> {
        self.view.collections()
    }

    fn describe(&self, name: &CollectionName) -> Result<Description, StoreError> {
        let mut described = self.view.describe(name)?;
        if let Some(stated) = self.contracts.iter().find(|contract| contract.name == *name) {
            if stated.dimensions != described.contract.dimensions {
                return Err(StoreError::new(
                    Code::CONTRACT_DIFFERS,
                    format!(
                        "collection {} has {} dimensions, the plan states {}",
                        shorten(name.as_str()),
                        described.contract.dimensions,
                        stated.dimensions
                    ),
                )
                .remedy("state the contract of this collection as it is"));
            }
            described.contract = stated.clone();
        }
        Ok(described)
    }

    fn ranges(&self, name: &CollectionName, parts: usize) -> Result<Vec<IdRange>, StoreError> {
        self.view.ranges(name, parts)
    }

    fn scan(
        &self,
        name: &CollectionName,
        range: &IdRange,
    ) -> Result<Box<dyn RecordStream + '_>, StoreError> {
        self.view.scan(name, range)
    }

    fn shards(&self, name: &CollectionName, parts: usize) -> Result<Vec<Shard>, StoreError> {
        self.view.shards(name, parts)
    }

    fn scan_shard(
        &self,
        name: &CollectionName,
        shard: &Shard,
    ) -> Result<Box<dyn RecordStream + '_>, StoreError> {
        self.view.scan_shard(name, shard)
    }
}
