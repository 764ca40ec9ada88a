//! Proofs from stored tiles instead of from every leaf (c2sp.org/tlog-tiles).
//!
//! A tile holds up to 256 neighbouring hashes of every eighth level of the tree: those of level 0
//! are leaf hashes, those of level 1 the roots over 256 leaves each, and so on. Any proof needs a
//! few tiles, however large the log is.

use std::error::Error;

use crate::checkpoint::MAX_LOG_SIZE;
use crate::digest::Digest;
use crate::merkle::{empty_root, node_hash, root_of, subtrees};

/// How many hashes a full tile has.
pub const TILE_WIDTH: u16 = 256;
/// How many levels of the tree one level of tiles spans.
const TILE_LEVELS: u32 = 8;

/// Where the hashes of a tree are kept.
pub trait HashTiles {
    /// Why a tile cannot be given.
    type Error: Error + 'static;

    /// The first `width` (1 to 256) hashes of a tile: the roots over the leaves
    /// `(index·256 + i)·256^level .. (index·256 + i + 1)·256^level`.
    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<Digest>, Self::Error>;
}

/// Why a proof cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TileError<E: Error + 'static> {
    /// No proof has these sizes.
    #[error("a log of {size} events has no such proof")]
    Sizes {
        /// The size of the log.
        size: u64,
    },
    /// A tile has another number of hashes than was asked for.
    #[error("tile {index} of level {level} has {found} hashes instead of {wanted}")]
    Width {
        /// The tile's level.
        level: u8,
        /// Its place in the level.
        index: u64,
        /// How many hashes there must be.
        wanted: u16,
        /// How many there are.
        found: usize,
    },
    /// A tile cannot be read.
    #[error("cannot read tile {index} of level {level}")]
    Read {
        /// The tile's level.
        level: u8,
        /// Its place in the level.
        index: u64,
        /// Why.
        #[source]
        source: E,
    },
}

/// The root of the tree over the first `size` leaves.
pub fn root_from_tiles<T: HashTiles>(tiles: &T, size: u64) -> Result<Digest, TileError<T::Error>> {
    Nodes::new(tiles, size)?.range(0, size)
}

/// The proof that the leaf `index` belongs to the tree over the first `size` leaves; the same as
/// `inclusion_proof` makes from the leaves.
pub fn inclusion_from_tiles<T: HashTiles>(
    tiles: &T,
    size: u64,
    index: u64,
) -> Result<Vec<Digest>, TileError<T::Error>> {
    if index >= size {
        return Err(TileError::Sizes { size });
    }
    let mut nodes = Nodes::new(tiles, size)?;
    let mut proof = Vec::new();
    let (mut begin, mut end) = (0, size);
    while let Some(middle) = split(begin, end) {
        if index < middle {
            proof.push(nodes.range(middle, end)?);
            end = middle;
        } else {
            proof.push(nodes.range(begin, middle)?);
            begin = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// The proof that the tree over the first `new` leaves begins with the one over the first `old`;
/// the same as `consistency_proof` makes from the leaves.
pub fn consistency_from_tiles<T: HashTiles>(
    tiles: &T,
    old: u64,
    new: u64,
) -> Result<Vec<Digest>, TileError<T::Error>> {
    if old == 0 || old > new {
        return Err(TileError::Sizes { size: new });
    }
    let mut nodes = Nodes::new(tiles, new)?;
    let mut proof = Vec::new();
    let (mut begin, mut end) = (0, new);
    while old < end {
        let Some(middle) = split(begin, end) else { break };
        if old <= middle {
            proof.push(nodes.range(middle, end)?);
            end = middle;
        } else {
            proof.push(nodes.range(begin, middle)?);
            begin = middle;
        }
    }
    // The verifier has the old root itself where the old tree is a whole subtree of the new one.
    if begin != 0 {
        proof.push(nodes.range(begin, end)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Where the subtree over `begin..end` splits: the largest power of two below its length. None
/// below two leaves.
fn split(begin: u64, end: u64) -> Option<u64> {
    let leaves = end - begin;
    (leaves > 1).then(|| begin + (1 << (leaves - 1).ilog2()))
}

/// The nodes of a tree of one size. Each tile is read once.
pub(crate) struct Nodes<'t, T> {
    tiles: &'t T,
    size: u64,
    read: Vec<((u8, u64), Vec<Digest>)>,
}

impl<'t, T: HashTiles> Nodes<'t, T> {
    pub(crate) fn new(tiles: &'t T, size: u64) -> Result<Self, TileError<T::Error>> {
        if size > MAX_LOG_SIZE {
            return Err(TileError::Sizes { size });
        }
        Ok(Self { tiles, size, read: Vec::new() })
    }

    /// The RFC 6962 root over `begin..end`, whose begin is where such a subtree can begin.
    fn range(&mut self, begin: u64, end: u64) -> Result<Digest, TileError<T::Error>> {
        let hashes = self.cover(begin, end)?.into_iter().rev();
        Ok(hashes.reduce(|right, left| node_hash(left, right)).unwrap_or_else(empty_root))
    }

    /// The hashes of the fewest whole subtrees that cover `begin..end`, from left to right.
    pub(crate) fn cover(
        &mut self,
        begin: u64,
        end: u64,
    ) -> Result<Vec<Digest>, TileError<T::Error>> {
        subtrees(begin, end).into_iter().map(|(level, index)| self.node(level, index)).collect()
    }

    /// The root of the whole subtree over `index·2^level .. (index+1)·2^level`: hashed from those
    /// hashes of one tile that it covers.
    fn node(&mut self, level: u32, index: u64) -> Result<Digest, TileError<T::Error>> {
        let (tile_level, inner) = (level / TILE_LEVELS, level % TILE_LEVELS);
        let first = index << inner;
        let (tile, offset) = (first / u64::from(TILE_WIDTH), first % u64::from(TILE_WIDTH));
        let hashes = self.tile(tile_level, tile)?;
        let skip = usize::try_from(offset).unwrap_or(usize::MAX);
        Ok(root_of(hashes.iter().skip(skip).take(1 << inner).copied()))
    }

    /// As much of a tile as a log of this size has.
    fn tile(&mut self, level: u32, index: u64) -> Result<&[Digest], TileError<T::Error>> {
        let wanted = width_of(self.size, level, index);
        let level = u8::try_from(level).unwrap_or(u8::MAX);
        let place = (level, index);
        if !self.read.iter().any(|(other, _)| *other == place) {
            let failed = |source| TileError::Read { level, index, source };
            let hashes = self.tiles.tile(level, index, wanted).map_err(failed)?;
            let found = hashes.len();
            if found != usize::from(wanted) {
                return Err(TileError::Width { level, index, wanted, found });
            }
            self.read.push((place, hashes));
        }
        let found = self.read.iter().find(|(other, _)| *other == place);
        Ok(found.map_or(&[], |(_, hashes)| hashes))
    }
}

/// How many hashes this tile has in a log of this size: 256, or fewer at its end.
fn width_of(size: u64, level: u32, index: u64) -> u16 {
    let hashes = size.checked_shr(level * TILE_LEVELS).unwrap_or(0);
    let before = index.saturating_mul(u64::from(TILE_WIDTH));
    let left = hashes.saturating_sub(before).min(u64::from(TILE_WIDTH));
    u16::try_from(left).unwrap_or(TILE_WIDTH)
}

/// Each tile of a log of this size, full or not: level, index and width. They come level by level,
/// from left to right, and none is empty.
pub fn tiles_of(size: u64) -> impl Iterator<Item = (u8, u64, u16)> {
    let levels = 0..u64::BITS / TILE_LEVELS;
    levels.flat_map(move |level| {
        let hashes = size >> (level * TILE_LEVELS);
        (0..hashes.div_ceil(u64::from(TILE_WIDTH))).filter_map(move |index| {
            Some((u8::try_from(level).ok()?, index, width_of(size, level, index)))
        })
    })
}

/// What a file of tiles holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TileKind {
    /// Hashes of this level.
    Hashes(u8),
    /// The events themselves, each behind its length in two bytes.
    Entries,
}

/// Where a tile stands below a log's prefix: `tile/0/x001/x234/067`, and with `.p/112` behind it if
/// it has only 112 hashes.
pub fn tile_path(kind: TileKind, index: u64, width: u16) -> String {
    let mut parts = vec![format!("{:03}", index % 1_000)];
    let mut rest = index / 1_000;
    while rest > 0 {
        parts.push(format!("x{:03}", rest % 1_000));
        rest /= 1_000;
    }
    parts.reverse();
    let index = parts.join("/");
    let partial = if width < TILE_WIDTH { format!(".p/{width}") } else { String::new() };
    match kind {
        TileKind::Hashes(level) => format!("tile/{level}/{index}{partial}"),
        TileKind::Entries => format!("tile/entries/{index}{partial}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::leaf_hash;
    use crate::proof::{consistency_proof, inclusion_proof};
    use proptest::prelude::*;
    use std::cell::Cell;

    /// All tiles of a tree, each level made from the one below.
    struct Stored {
        levels: Vec<Vec<Digest>>,
        reads: Cell<usize>,
    }

    #[derive(Debug, PartialEq, Eq, thiserror::Error)]
    #[error("no such tile")]
    struct NoTile;

    impl Stored {
        fn over(leaves: &[Digest]) -> Self {
            let mut levels = vec![leaves.to_vec()];
            while levels.last().unwrap().len() >= 256 {
                let above = levels.last().unwrap().chunks_exact(256);
                levels.push(above.map(|tile| root_of(tile.iter().copied())).collect());
            }
            Self { levels, reads: Cell::new(0) }
        }
    }

    impl HashTiles for Stored {
        type Error = NoTile;

        fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<Digest>, NoTile> {
            self.reads.set(self.reads.get() + 1);
            let level = self.levels.get(usize::from(level)).ok_or(NoTile)?;
            let first = usize::try_from(index).unwrap() * 256;
            level.get(first..first + usize::from(width)).map(<[_]>::to_vec).ok_or(NoTile)
        }
    }

    fn leaves(count: usize) -> Vec<Digest> {
        (0..count).map(|number| leaf_hash(&number.to_be_bytes())).collect()
    }

    fn root(leaves: &[Digest]) -> Digest {
        root_of(leaves.iter().copied())
    }

    #[test]
    fn every_small_size_gives_the_proofs_of_the_leaves() {
        let all = leaves(700);
        let stored = Stored::over(&all);
        for size in 0..=all.len() {
            assert_eq!(root_from_tiles(&stored, size as u64), Ok(root(&all[..size])), "{size}");
        }
        // All places of small trees; of the others the ends, the middle and the borders of tiles.
        for size in 1..=all.len() {
            let some = &all[..size];
            let border = |at: usize| matches!(at, 0 | 1 | 255..=257 | 511..=513);
            for at in 0..size {
                if size > 20 && !border(at) && at + 1 != size && at != size / 2 {
                    continue;
                }
                let made = inclusion_from_tiles(&stored, size as u64, at as u64);
                assert_eq!(made.ok(), inclusion_proof(some, at), "{size} {at}");
                let made = consistency_from_tiles(&stored, at as u64 + 1, size as u64);
                assert_eq!(made.ok(), consistency_proof(some, at + 1), "{size} {at}");
            }
        }
    }

    #[test]
    fn sizes_that_have_no_proof_are_refused() {
        let stored = Stored::over(&leaves(300));
        let sizes = |size| Err(TileError::Sizes { size });
        assert_eq!(inclusion_from_tiles(&stored, 300, 300), sizes(300));
        assert_eq!(inclusion_from_tiles(&stored, 0, 0), sizes(0));
        assert_eq!(consistency_from_tiles(&stored, 0, 300), sizes(300));
        assert_eq!(consistency_from_tiles(&stored, 301, 300), sizes(300));
        assert_eq!(root_from_tiles(&stored, 1 << 53), Err(TileError::Sizes { size: 1 << 53 }));
        assert!(matches!(
            root_from_tiles(&stored, 301),
            Err(TileError::Read { level: 0, index: 1, .. })
        ));
    }

    #[test]
    fn a_tile_of_another_width_is_refused() {
        struct Short(Stored);
        impl HashTiles for Short {
            type Error = NoTile;
            fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<Digest>, NoTile> {
                let mut tile = self.0.tile(level, index, width)?;
                tile.pop();
                Ok(tile)
            }
        }
        let short = Short(Stored::over(&leaves(300)));
        let refused = TileError::Width { level: 1, index: 0, wanted: 1, found: 0 };
        assert_eq!(inclusion_from_tiles(&short, 300, 299), Err(refused));
    }

    #[test]
    fn a_proof_reads_each_tile_once() {
        let all = leaves(70_000);
        let stored = Stored::over(&all);
        let proof = inclusion_from_tiles(&stored, 70_000, 12_345).unwrap();
        assert_eq!(Some(proof), inclusion_proof(&all, 12_345));
        // Its own tile of each level, and the unfinished ones at the end.
        assert!(stored.reads.get() <= 5, "{}", stored.reads.get());
    }

    #[test]
    fn the_tiles_of_a_log_are_those_of_the_specification() {
        let tiles: Vec<_> = tiles_of(70_000).collect();
        assert_eq!(
            tiles.iter().filter(|(level, _, width)| (*level, *width) == (0, 256)).count(),
            273
        );
        assert_eq!(tiles[273..], [(0, 273, 112), (1, 0, 256), (1, 1, 17), (2, 0, 1)]);
        assert_eq!(tiles_of(256).collect::<Vec<_>>(), [(0, 0, 256), (1, 0, 1)]);
        assert_eq!(tiles_of(1).collect::<Vec<_>>(), [(0, 0, 1)]);
        assert_eq!(tiles_of(0).count(), 0);
    }

    #[test]
    fn paths_are_those_of_the_specification() {
        let hashes = TileKind::Hashes(0);
        assert_eq!(tile_path(hashes, 1_234_067, 256), "tile/0/x001/x234/067");
        assert_eq!(tile_path(TileKind::Hashes(2), 0, 1), "tile/2/000.p/1");
        assert_eq!(tile_path(TileKind::Entries, 1_000, 112), "tile/entries/x001/000.p/112");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(6))]
        #[test]
        fn large_trees_give_the_proofs_of_the_leaves(
            size in 1..70_000usize,
            index in any::<prop::sample::Index>(),
        ) {
            let all = leaves(size);
            let stored = Stored::over(&all);
            let at = index.index(size);
            prop_assert_eq!(root_from_tiles(&stored, size as u64), Ok(root(&all)));
            prop_assert_eq!(
                inclusion_from_tiles(&stored, size as u64, at as u64).ok(),
                inclusion_proof(&all, at)
            );
            prop_assert_eq!(
                consistency_from_tiles(&stored, at as u64 + 1, size as u64).ok(),
                consistency_proof(&all, at + 1)
            );
        }
    }
}
