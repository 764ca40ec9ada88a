//! Merkle trees of RFC 6962 over leaf hashes that arrive in order, whole or in ranges.

use sha2::{Digest as _, Sha256};

use crate::digest::Digest;

/// The hash of a leaf: SHA-256(0x00 ‖ bytes).
pub fn leaf_hash(bytes: &[u8]) -> Digest {
    Digest(Sha256::new().chain_update([0x00]).chain_update(bytes).finalize().into())
}

/// The hash of an inner node: SHA-256(0x01 ‖ left ‖ right).
pub fn node_hash(left: Digest, right: Digest) -> Digest {
    let mut bytes = [0x01; 65];
    let (_, children) = bytes.split_at_mut(1);
    let (first, second) = children.split_at_mut(32);
    first.copy_from_slice(&left.0);
    second.copy_from_slice(&right.0);
    Digest::of(&bytes)
}

/// The root of a tree without leaves: SHA-256 of nothing.
pub fn empty_root() -> Digest {
    Digest::of(&[])
}

/// The root over leaf hashes, in memory that grows with the logarithm of their number.
pub fn root_of(leaf_hashes: impl IntoIterator<Item = Digest>) -> Digest {
    let mut range = CompactRange::new(0);
    for leaf in leaf_hashes {
        range.append(leaf);
    }
    range.fold()
}

/// A stretch of neighbouring leaves `begin..end` of a tree, held as the hashes of the fewest whole
/// subtrees that cover it: about two for each bit of its length.
///
/// Ranges are built independently, by several threads if wanted, and merged in order; the merged
/// range from 0 gives the same root as one that saw every leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactRange {
    begin: u64,
    end: u64,
    nodes: Vec<Node>,
}

/// The whole subtree over the leaves `index·2^level .. (index+1)·2^level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Node {
    level: u32,
    index: u64,
    hash: Digest,
}

/// Only neighbours merge: the right range must begin where the left one ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a range that begins at {begin} cannot follow one that ends at {end}")]
pub struct NotAdjacent {
    /// The end of the left range.
    pub end: u64,
    /// The begin of the right range.
    pub begin: u64,
}

impl CompactRange {
    /// A range without leaves, before the leaf of this index.
    pub fn new(begin: u64) -> Self {
        Self { begin, end: begin, nodes: Vec::new() }
    }

    /// The leaves `begin..end` from the hashes of the fewest whole subtrees that cover them, from
    /// left to right: what `hashes` gives. None if there are more or fewer of them than that.
    pub fn from_hashes(begin: u64, end: u64, hashes: &[Digest]) -> Option<Self> {
        let places = subtrees(begin, end);
        if begin > end || places.len() != hashes.len() {
            return None;
        }
        let node = |((level, index), hash): (_, &Digest)| Node { level, index, hash: *hash };
        Some(Self { begin, end, nodes: places.into_iter().zip(hashes).map(node).collect() })
    }

    /// The hashes of the fewest whole subtrees that cover the leaves, from left to right.
    pub fn hashes(&self) -> Vec<Digest> {
        self.nodes.iter().map(|node| node.hash).collect()
    }

    /// The index of the first leaf.
    pub fn begin(&self) -> u64 {
        self.begin
    }

    /// The index behind the last leaf.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// How many leaves there are.
    pub fn count(&self) -> u64 {
        self.end - self.begin
    }

    /// Adds the next leaf, by its leaf hash.
    pub fn append(&mut self, leaf_hash: Digest) {
        self.push(Node { level: 0, index: self.end, hash: leaf_hash });
        self.end += 1;
    }

    /// Adds the leaves of the range that follows.
    pub fn merge(&mut self, right: &Self) -> Result<(), NotAdjacent> {
        if right.begin != self.end {
            return Err(NotAdjacent { end: self.end, begin: right.begin });
        }
        for node in &right.nodes {
            self.push(*node);
        }
        self.end = right.end;
        Ok(())
    }

    /// The root of the tree. None unless the range begins at 0.
    pub fn root(&self) -> Option<Digest> {
        (self.begin == 0).then(|| self.fold())
    }

    /// Two neighbours of one level whose left one has an even index are the halves of a subtree.
    fn push(&mut self, node: Node) {
        let mut node = node;
        while let Some(left) = self.nodes.pop_if(|left| {
            left.level == node.level && left.index % 2 == 0 && left.index + 1 == node.index
        }) {
            node = Node {
                level: node.level + 1,
                index: node.index / 2,
                hash: node_hash(left.hash, node.hash),
            };
        }
        self.nodes.push(node);
    }

    fn fold(&self) -> Digest {
        let hashes = self.nodes.iter().rev().map(|node| node.hash);
        hashes.reduce(|right, left| node_hash(left, right)).unwrap_or_else(empty_root)
    }
}

/// The level and the index of each of the fewest whole subtrees that cover `begin..end`, from left
/// to right.
pub(crate) fn subtrees(begin: u64, end: u64) -> Vec<(u32, u64)> {
    let mut places = Vec::new();
    let mut at = begin;
    while at < end {
        let level = at.trailing_zeros().min((end - at).ilog2());
        places.push((level, at >> level));
        at += 1 << level;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn leaves(count: usize) -> Vec<Digest> {
        (0..count).map(|number| leaf_hash(&number.to_be_bytes())).collect()
    }

    /// The definition in RFC 6962, section 2.1.
    fn by_definition(leaves: &[Digest]) -> Digest {
        match leaves {
            [] => Digest::of(b""),
            [leaf] => *leaf,
            _ => {
                let mut middle = 1;
                while middle * 2 < leaves.len() {
                    middle *= 2;
                }
                let (left, right) = leaves.split_at(middle);
                node_hash(by_definition(left), by_definition(right))
            }
        }
    }

    #[test]
    fn hashes_are_those_of_certificate_transparency() {
        // From the reference implementation of Certificate Transparency.
        for (digest, hex) in [
            (empty_root(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (leaf_hash(b""), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
            (
                node_hash(leaf_hash(b""), leaf_hash(b"\x00")),
                "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            ),
        ] {
            assert_eq!(digest.to_string(), hex);
        }
    }

    #[test]
    fn every_small_tree_has_the_defined_root() {
        let all = leaves(70);
        for count in 0..=all.len() {
            let some = &all[..count];
            assert_eq!(root_of(some.iter().copied()), by_definition(some), "{count}");
        }
    }

    #[test]
    fn order_and_number_of_leaves_change_the_root() {
        let all = leaves(5);
        let mut swapped = all.clone();
        swapped.swap(1, 2);
        let root = root_of(all.iter().copied());
        assert_ne!(root, root_of(swapped));
        assert_ne!(root, root_of(all.iter().copied().chain([all[4]])));
    }

    #[test]
    fn only_neighbours_merge_and_only_whole_starts_have_a_root() {
        let mut left = CompactRange::new(0);
        left.append(leaf_hash(b"a"));
        let mut right = CompactRange::new(2);
        right.append(leaf_hash(b"c"));
        assert_eq!(right.root(), None);
        let before = left.clone();
        assert_eq!(left.merge(&right), Err(NotAdjacent { end: 1, begin: 2 }));
        assert_eq!(left, before);
        assert_eq!((right.begin(), right.end(), right.count()), (2, 3, 1));
    }

    #[test]
    fn a_range_is_made_again_from_its_hashes() {
        let all = leaves(40);
        for begin in 0..=all.len() {
            let mut range = CompactRange::new(begin as u64);
            for end in begin..=all.len() {
                let (from, to) = (begin as u64, end as u64);
                let hashes = range.hashes();
                assert_eq!(CompactRange::from_hashes(from, to, &hashes).as_ref(), Some(&range));
                let more = [hashes.as_slice(), &[all[0]]].concat();
                assert_eq!(CompactRange::from_hashes(from, to, &more), None);
                if let Some((_, fewer)) = hashes.split_first() {
                    assert_eq!(CompactRange::from_hashes(from, to, fewer), None);
                }
                if let Some(leaf) = all.get(end) {
                    range.append(*leaf);
                }
            }
        }
        assert_eq!(CompactRange::from_hashes(2, 1, &[]), None);
        assert_eq!(CompactRange::from_hashes(1, u64::MAX, &[]), None);
    }

    proptest! {
        #[test]
        fn ranges_merge_to_the_defined_root(
            count in 0..600usize,
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
            leftmost_first in any::<bool>(),
        ) {
            let all = leaves(count);
            let mut borders: Vec<usize> = cuts.iter().map(|cut| cut.index(count + 1)).collect();
            borders.extend([0, count]);
            borders.sort_unstable();
            let mut ranges: Vec<CompactRange> = borders
                .windows(2)
                .map(|pair| {
                    let mut range = CompactRange::new(pair[0] as u64);
                    all[pair[0]..pair[1]].iter().for_each(|leaf| range.append(*leaf));
                    prop_assert!(range.nodes.len() <= 2 * 10);
                    Ok(range)
                })
                .collect::<Result<_, _>>()?;
            // Merging is associative: from the left, or from the right.
            while ranges.len() > 1 {
                let at = if leftmost_first { 0 } else { ranges.len() - 2 };
                let right = ranges.remove(at + 1);
                ranges[at].merge(&right).unwrap();
            }
            prop_assert_eq!(ranges[0].root(), Some(by_definition(&all)));
            prop_assert_eq!(ranges[0].count(), count as u64);
        }
    }
}
