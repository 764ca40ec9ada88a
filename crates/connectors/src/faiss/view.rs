//! One view of the store: the collections as they were when it was opened.

use std::collections::BTreeMap;
use std::sync::Arc;

use carnet_connect::{Description, IdRange, RecordStream, Shard, StoreError, StoreSnapshot};
use carnet_model::{Code, CollectionName};

use super::collection::Collection;
use super::place::Place;

/// Shards begin at multiples of this, so that the row groups of our own files stay whole.
pub(super) const GROUP_ROWS: usize = 8_192;

/// A view. A collection that could not be opened is there without content.
pub(super) struct FaissSnapshot<'s> {
    pub(super) drop: &'s [String],
    pub(super) collections: BTreeMap<CollectionName, (Place, Option<Arc<Collection>>)>,
}

impl FaissSnapshot<'_> {
    fn get(&self, name: &CollectionName) -> Result<(&Place, &Collection), StoreError> {
        match self.collections.get(name) {
            None => Err(missing(name)),
            Some((place, Some(collection))) => Ok((place, collection)),
            Some((place, None)) => match Collection::open(name, place, self.drop) {
                Err(error) => Err(error),
                Ok(_) => Err(StoreError::new(
                    Code::STORE_CHANGED,
                    format!("{} became readable after the store was opened", place.dir().display()),
                )),
            },
        }
    }
}

/// There is no such collection.
pub(super) fn missing(name: &CollectionName) -> StoreError {
    StoreError::new(Code::STORE_NOT_FOUND, format!("there is no collection {name}"))
}

impl StoreSnapshot for FaissSnapshot<'_> {
    fn collections(&self) -> Result<Vec<CollectionName>, StoreError> {
        Ok(self.collections.keys().cloned().collect())
    }

    fn describe(&self, name: &CollectionName) -> Result<Description, StoreError> {
        let (place, collection) = self.get(name)?;
        Ok(collection.describe(place))
    }

    fn ranges(&self, name: &CollectionName, parts: usize) -> Result<Vec<IdRange>, StoreError> {
        let order = self.get(name)?.1.order()?;
        let step = order.len().div_ceil(parts.max(1)).max(1);
        let borders = (0..order.len()).step_by(step).skip(1);
        Ok(IdRange::split_at(borders.map(|rank| order.id(order.row(rank)).to_owned())))
    }

    fn scan(
        &self,
        name: &CollectionName,
        range: &IdRange,
    ) -> Result<Box<dyn RecordStream + '_>, StoreError> {
        Ok(Box::new(self.get(name)?.1.scan(range)?))
    }

    fn shards(&self, name: &CollectionName, parts: usize) -> Result<Vec<Shard>, StoreError> {
        let len = self.get(name)?.1.index.len();
        let mut step = len.div_ceil(parts.max(1)).max(1);
        if step > GROUP_ROWS {
            step = step.next_multiple_of(GROUP_ROWS);
        }
        let spans = (0..len).step_by(step);
        Ok(spans.map(|at| Shard::Span(at as u64, len.min(at + step) as u64)).collect())
    }

    fn scan_shard(
        &self,
        name: &CollectionName,
        shard: &Shard,
    ) -> Result<Box<dyn RecordStream + '_>, StoreError> {
        let rows = match shard {
            Shard::Range(range) => return self.scan(name, range),
            Shard::Span(start, end) => usize::try_from(*start).ok().zip(usize::try_from(*end).ok()),
        };
        let (start, end) = rows.unwrap_or((usize::MAX, usize::MAX));
        Ok(Box::new(self.get(name)?.1.scan_rows(start..end)?))
    }
}
