//! Ids and leaf hashes in memory, and how they become a collection root.

use std::cmp::Ordering;

use carnet_connect::{RecordStream, StoreError, shorten};
use carnet_ledger::{CompactRange, Digest, NotAdjacent, root_of};
use carnet_model::Code;
use serde::{Deserialize, Serialize};

use crate::error::BundleError;
use crate::record::record_leaf;
use crate::work::Work;

/// Leaves of one tree that are folded as a unit by one thread.
const FOLD_LEAVES: usize = 8_192;

/// What is known of the records of one id range: enough to compare it with the same range
/// elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RangeDigest {
    /// How many records.
    pub records: u64,
    /// The RFC 6962 root over their leaves, in byte order of id.
    pub root: Digest,
}

/// The leaf hashes of the records of one id range, in byte order of id: 32 bytes a record. Those of
/// adjacent ranges put together give the collection root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RangeLeaves {
    leaves: Vec<Digest>,
}

impl RangeLeaves {
    /// How many records.
    pub fn records(&self) -> u64 {
        self.leaves.len() as u64
    }

    /// The digest of this range alone.
    pub fn digest(&self) -> RangeDigest {
        RangeDigest { records: self.records(), root: root_of(self.leaves.iter().copied()) }
    }

    pub(crate) fn push(&mut self, leaf: Digest) {
        self.leaves.push(leaf);
    }
}

/// Reads a stream to its end and keeps its leaf hashes.
pub fn digest_range(stream: &mut dyn RecordStream) -> Result<RangeLeaves, StoreError> {
    let mut range = RangeLeaves::default();
    while let Some(batch) = stream.next()? {
        batch.iter().for_each(|record| range.push(record_leaf(&record)));
    }
    Ok(range)
}

/// The collection root of adjacent ranges, in order.
pub fn root_of_ranges(ranges: &[RangeLeaves], work: &Work<'_>) -> Result<Digest, BundleError> {
    fold(ranges.iter().map(|range| range.leaves.as_slice()).collect(), work)
}

/// The root over slices of leaves that follow one another: each slice is folded by itself.
fn fold(slices: Vec<&[Digest]>, work: &Work<'_>) -> Result<Digest, BundleError> {
    let mut begin = 0;
    let mut parts = Vec::new();
    for chunk in slices.into_iter().flat_map(|slice| slice.chunks(FOLD_LEAVES)) {
        parts.push((begin, chunk));
        begin += chunk.len() as u64;
    }
    let folded = work.each(parts, |_, (begin, chunk)| {
        let mut range = CompactRange::new(begin);
        for leaf in chunk {
            range.append(*leaf);
        }
        Ok::<_, BundleError>(range)
    })?;
    join(folded)
}

/// The root of compact ranges that follow one another from leaf 0.
pub(crate) fn join(ranges: impl IntoIterator<Item = CompactRange>) -> Result<Digest, BundleError> {
    let mut whole = CompactRange::new(0);
    for range in ranges {
        whole.merge(&range).map_err(|gap: NotAdjacent| {
            StoreError::new(Code::BUG, "ranges of leaves do not follow one another").because(gap)
        })?;
    }
    whole.root().ok_or_else(|| StoreError::new(Code::BUG, "a tree does not begin at 0").into())
}

/// Ids and leaves of one shard, in the shard's order; ids lie end to end.
#[derive(Debug, Default)]
pub(crate) struct ShardLeaves {
    ids: String,
    ends: Vec<usize>,
    leaves: Vec<Digest>,
    unordered: bool,
}

impl ShardLeaves {
    pub(crate) fn push(&mut self, id: &str, leaf: Digest) {
        self.unordered |= self.last().is_some_and(|last| last >= id);
        self.ids.push_str(id);
        self.ends.push(self.ids.len());
        self.leaves.push(leaf);
    }

    fn id(&self, row: usize) -> &str {
        let end_of = |row: usize| self.ends.get(row).copied().unwrap_or(0);
        let begin = row.checked_sub(1).map_or(0, end_of);
        self.ids.get(begin..end_of(row)).unwrap_or_default()
    }

    fn last(&self) -> Option<&str> {
        Some(self.id(self.ends.len().checked_sub(1)?))
    }
}

/// The root over all shards in byte order of id. An id that stands twice is `record.duplicate`.
pub(crate) fn root_of_shards(
    mut shards: Vec<ShardLeaves>,
    work: &Work<'_>,
) -> Result<Digest, BundleError> {
    shards.retain(|shard| !shard.ends.is_empty());
    let follow = shards.iter().zip(shards.iter().skip(1));
    let ordered = shards.iter().all(|shard| !shard.unordered)
        && follow.into_iter().all(|(left, right)| left.last() < Some(right.id(0)));
    if ordered {
        return fold(shards.iter().map(|shard| shard.leaves.as_slice()).collect(), work);
    }
    let places = in_order(&shards, work)?;
    let parts = places.chunks(FOLD_LEAVES).enumerate().collect();
    let folded = work.each(parts, |_, (n, chunk): (usize, &[Place])| {
        let mut range = CompactRange::new((n * FOLD_LEAVES) as u64);
        for place in chunk {
            let leaf = shards.get(place.shard()).and_then(|s| s.leaves.get(place.row()));
            range.append(*leaf.ok_or_else(|| StoreError::new(Code::BUG, "a leaf is lost"))?);
        }
        Ok::<_, BundleError>(range)
    })?;
    join(folded)
}

/// Where an id is, with eight of its bytes to compare first.
#[derive(Clone, Copy)]
struct Place {
    key: u64,
    shard: u32,
    row: u32,
}

impl Place {
    fn shard(self) -> usize {
        self.shard as usize
    }

    fn row(self) -> usize {
        self.row as usize
    }
}

/// All ids in byte order. Each shard is sorted by a worker; joining sorted stretches is then cheap.
fn in_order(shards: &[ShardLeaves], work: &Work<'_>) -> Result<Vec<Place>, BundleError> {
    let common = common_prefix(shards);
    let id_of = |place: &Place| shards.get(place.shard()).map_or("", |s| s.id(place.row()));
    let compare = |a: &Place, b: &Place| match a.key.cmp(&b.key) {
        Ordering::Equal => id_of(a).cmp(id_of(b)),
        Ordering::Less => Ordering::Less,
        Ordering::Greater => Ordering::Greater,
    };
    let many = |_| StoreError::new(Code::STORE_UNSUPPORTED, "more records than 32 bits count");
    let sorted = work.each(shards.iter().collect(), |n, shard| {
        let mut places = Vec::with_capacity(shard.ends.len());
        for row in 0..shard.ends.len() {
            places.push(Place {
                key: key_of(shard.id(row), common),
                shard: u32::try_from(n).map_err(many)?,
                row: u32::try_from(row).map_err(many)?,
            });
        }
        places.sort_unstable_by(compare);
        Ok::<_, BundleError>(places)
    })?;
    let mut places = Vec::with_capacity(sorted.iter().map(Vec::len).sum());
    for part in sorted {
        places.extend_from_slice(&part);
    }
    places.sort_by(compare);
    let twice = places.iter().zip(places.iter().skip(1)).find(|(a, b)| compare(a, b).is_eq());
    match twice {
        None => Ok(places),
        Some((place, _)) => Err(StoreError::new(
            Code::RECORD_DUPLICATE,
            format!("the id {:?} stands twice", shorten(id_of(place))),
        )
        .remedy("give each record an id of its own")
        .into()),
    }
}

/// How many leading bytes all ids share.
fn common_prefix(shards: &[ShardLeaves]) -> usize {
    let Some(first) = shards.first().map(|shard| shard.id(0).as_bytes()) else { return 0 };
    let mut common = first.len();
    for shard in shards {
        for row in 0..shard.ends.len() {
            let id = shard.id(row).as_bytes();
            common = first.iter().take(common).zip(id).take_while(|(a, b)| a == b).count();
        }
    }
    common
}

/// The eight bytes behind the common prefix, as a number that orders as they do.
fn key_of(id: &str, common: usize) -> u64 {
    let mut key = [0; 8];
    for (to, from) in key.iter_mut().zip(id.as_bytes().iter().skip(common)) {
        *to = *from;
    }
    u64::from_be_bytes(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn leaf(id: &str) -> Digest {
        Digest::of(id.as_bytes())
    }

    proptest! {
        #[test]
        fn any_split_and_order_gives_the_same_root(
            ids in prop::collection::btree_set("[ab\u{0}é]{1,12}", 0..60),
            cuts in prop::collection::vec(0usize..7, 60),
            workers in 1usize..4,
        ) {
            let expected = root_of(ids.iter().map(|id| leaf(id)));
            let mut shards: Vec<ShardLeaves> = (0..7).map(|_| ShardLeaves::default()).collect();
            for (id, cut) in ids.iter().rev().zip(&cuts) {
                shards[*cut].push(id, leaf(id));
            }
            prop_assert_eq!(root_of_shards(shards, &Work::quiet(workers)).unwrap(), expected);
        }

        #[test]
        fn an_id_in_two_places_is_named(
            ids in prop::collection::btree_set("x[a-d]{1,9}", 1..30), twice in any::<prop::sample::Index>(),
        ) {
            let ids: Vec<_> = ids.into_iter().collect();
            let doubled = &ids[twice.index(ids.len())];
            let (mut one, mut two) = (ShardLeaves::default(), ShardLeaves::default());
            for id in &ids {
                one.push(id, leaf(id));
            }
            two.push(doubled, leaf(doubled));
            let error = root_of_shards(vec![two, one], &Work::quiet(2)).unwrap_err();
            prop_assert_eq!(error.code(), Code::RECORD_DUPLICATE);
            prop_assert!(error.to_string().contains(doubled.as_str()));
        }
    }

    #[test]
    fn ranges_give_the_root_of_the_whole() {
        let ids: BTreeSet<String> = (0..20_000).map(|n| format!("{n:06}")).collect();
        let expected = root_of(ids.iter().map(|id| leaf(id)));
        for cut in [0, 1, 8_191, 8_193, 20_000] {
            let (mut left, mut right) = (RangeLeaves::default(), RangeLeaves::default());
            for (n, id) in ids.iter().enumerate() {
                if n < cut { left.push(leaf(id)) } else { right.push(leaf(id)) }
            }
            assert_eq!(left.records(), cut as u64);
            assert_eq!(root_of_ranges(&[left, right], &Work::quiet(2)).unwrap(), expected);
        }
    }

    #[test]
    fn one_shard_with_an_id_twice_is_refused() {
        let mut shard = ShardLeaves::default();
        shard.push("a", leaf("a"));
        shard.push("a", leaf("a"));
        assert!(root_of_shards(vec![shard], &Work::quiet(1)).is_err());
    }
}
