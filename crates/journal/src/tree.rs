//! The Merkle tree over the events of a log, kept as the tiles of its hashes.

use carnet_ledger::{Digest, empty_root, root_of};

const TILE_WIDTH: usize = carnet_ledger::TILE_WIDTH as usize;

/// The hashes `256·index ..` of a level. A hash of level 0 is a leaf's; one of level `n + 1` is the
/// root over a full tile of level `n`. A tile that is full never changes again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tile {
    pub(crate) level: u8,
    pub(crate) index: u64,
    pub(crate) hashes: Vec<Digest>,
}

impl Tile {
    /// The bytes that are stored: the hashes, one after another.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.hashes.iter().flat_map(|hash| hash.0).collect()
    }
}

/// The growing edge of the tree: of each level, the hashes of the tile that is not full yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    size: u64,
    open: Vec<Vec<Digest>>,
}

impl Tree {
    /// How many leaves there are.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Adds the next leaf, and hands out the tiles that it completes.
    pub(crate) fn append(&mut self, leaf_hash: Digest, full: &mut Vec<Tile>) {
        let mut hash = leaf_hash;
        let mut index = self.size;
        for level in 0..u8::MAX {
            let place = usize::from(level);
            if self.open.len() <= place {
                self.open.push(Vec::with_capacity(TILE_WIDTH));
            }
            let Some(open) = self.open.get_mut(place) else { break };
            open.push(hash);
            if open.len() < TILE_WIDTH {
                break;
            }
            index /= TILE_WIDTH as u64;
            hash = root_of(open.iter().copied());
            full.push(Tile { level, index, hashes: std::mem::take(open) });
        }
        self.size += 1;
    }

    /// The RFC 6962 root over all leaves. What is open of a level, and behind it the root over what
    /// is open below, are the leaves of a tree of their own.
    pub(crate) fn root(&self) -> Digest {
        let mut below = None;
        for open in self.open.iter().filter(|open| !open.is_empty()) {
            below = Some(root_of(open.iter().copied().chain(below)));
        }
        below.unwrap_or_else(empty_root)
    }

    /// The tiles above level 0 that are not full yet. They change only with a tile that is full,
    /// and whoever wants a proof would have to put them together from all that are below.
    pub(crate) fn open_above(&self) -> impl Iterator<Item = Tile> {
        let levels = (0u8..).zip(&self.open).skip(1).filter(|(_, open)| !open.is_empty());
        levels.map(|(level, open)| {
            let index = self.size >> (8 * (u32::from(level) + 1));
            Tile { level, index, hashes: open.clone() }
        })
    }

    /// How many tiles are full, over all levels.
    pub(crate) fn full_tiles(size: u64) -> u64 {
        std::iter::successors(Some(size / 256), |above| Some(above / 256))
            .take_while(|tiles| *tiles > 0)
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnet_ledger::leaf_hash;

    #[test]
    fn roots_are_those_of_the_plain_tree() {
        let mut tree = Tree::default();
        let mut full = Vec::new();
        let mut leaves = Vec::new();
        assert_eq!(tree.root(), empty_root());
        for number in 0..70_000u64 {
            let leaf = leaf_hash(&number.to_be_bytes());
            leaves.push(leaf);
            tree.append(leaf, &mut full);
            let near = |middle: u64| number.abs_diff(middle) < 3;
            if number < 600 || near(65_535) || near(65_791) || number == 69_999 {
                assert_eq!(tree.root(), root_of(leaves.iter().copied()), "{number}");
                assert_eq!(full.len() as u64, Tree::full_tiles(number + 1), "{number}");
            }
        }
        assert_eq!(tree.size(), 70_000);
        let level_0: Vec<_> = full.iter().filter(|tile| tile.level == 0).collect();
        assert_eq!(level_0.len(), 273);
        assert_eq!(level_0[7].hashes, leaves[7 * 256..8 * 256]);
        let level_1: Vec<_> = full.iter().filter(|tile| tile.level == 1).collect();
        assert_eq!((level_1.len(), level_1[0].index), (1, 0));
        assert_eq!(level_1[0].hashes[9], root_of(leaves[9 * 256..10 * 256].iter().copied()));
        assert_eq!(level_1[0].bytes().len(), 256 * 32);
        let open: Vec<_> = tree.open_above().collect();
        let places: Vec<_> = open.iter().map(|tile| (tile.level, tile.index)).collect();
        assert_eq!(places, [(1, 1), (2, 0)]);
        assert_eq!(open[0].hashes.len(), 17);
        assert_eq!(open[1].hashes, [root_of(leaves[..65_536].iter().copied())]);
    }
}
