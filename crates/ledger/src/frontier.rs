//! The proof that a stretch of events is what a log holds at that place.

use serde::{Deserialize, Serialize};

use crate::checkpoint::{Checkpoint, MAX_LOG_SIZE};
use crate::digest::Digest;
use crate::merkle::CompactRange;
use crate::tile::{HashTiles, Nodes, TileError};

/// Proves that a log of `size` events holds a given segment at `from..to`: with the hashes of the
/// whole subtrees before and behind it, the segment leads to the log's root.
///
/// It needs at most two hashes for each binary digit of the size. As JSON its hashes are in
/// lowercase hex digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentProof {
    /// The size of the log.
    pub size: u64,
    /// The index of the segment's first event.
    pub from: u64,
    /// The index behind its last event.
    pub to: u64,
    /// The hashes of the fewest whole subtrees over `0..from`, from left to right.
    pub left: Vec<Digest>,
    /// The same over `to..size`.
    pub right: Vec<Digest>,
}

/// Why a segment's proof does not lead to a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    /// The sizes cannot belong to any proof.
    #[error("no segment has these sizes")]
    Sizes,
    /// The proof has more or fewer hashes than its sizes ask for.
    #[error("the segment's proof has the wrong number of hashes")]
    Length,
    /// The events are those of another stretch than the proof.
    #[error(
        "the segment holds the events from {begin} on below {end}, and its proof is for others"
    )]
    Segment {
        /// The index of the first event.
        begin: u64,
        /// The index behind the last event.
        end: u64,
    },
    /// The segment leads to another root, or the proof is for a log of another size.
    #[error("the segment is not what the log holds at its place")]
    Root,
}

/// Makes the proof for the segment `from..to` of a log's first `size` events.
pub fn segment_proof<T: HashTiles>(
    tiles: &T,
    size: u64,
    from: u64,
    to: u64,
) -> Result<SegmentProof, TileError<T::Error>> {
    if from > to || to > size {
        return Err(TileError::Sizes { size });
    }
    let mut nodes = Nodes::new(tiles, size)?;
    let (left, right) = (nodes.cover(0, from)?, nodes.cover(to, size)?);
    Ok(SegmentProof { size, from, to, left, right })
}

impl SegmentProof {
    /// Checks that the log of this checkpoint holds this segment at this place.
    pub fn verify(
        &self,
        segment: &CompactRange,
        checkpoint: &Checkpoint,
    ) -> Result<(), SegmentError> {
        let same = self.root(segment)? == checkpoint.root && self.size == checkpoint.size;
        if same { Ok(()) } else { Err(SegmentError::Root) }
    }

    /// The root of the log that holds this segment at this place. It says nothing until root and
    /// size were compared with those of a signed checkpoint, which `verify` does: trees of two
    /// sizes can share a root.
    pub fn root(&self, segment: &CompactRange) -> Result<Digest, SegmentError> {
        if self.from > self.to || self.to > self.size || self.size > MAX_LOG_SIZE {
            return Err(SegmentError::Sizes);
        }
        let (begin, end) = (segment.begin(), segment.end());
        if (begin, end) != (self.from, self.to) {
            return Err(SegmentError::Segment { begin, end });
        }
        let range = |begin, end, hashes: &[Digest]| {
            CompactRange::from_hashes(begin, end, hashes).ok_or(SegmentError::Length)
        };
        let mut whole = range(0, self.from, &self.left)?;
        whole.merge(segment).map_err(|_| SegmentError::Sizes)?;
        whole.merge(&range(self.to, self.size, &self.right)?).map_err(|_| SegmentError::Sizes)?;
        whole.root().ok_or(SegmentError::Sizes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::{leaf_hash, root_of};
    use std::convert::Infallible;

    struct Small(Vec<Digest>);

    impl HashTiles for Small {
        type Error = Infallible;
        fn tile(&self, _: u8, index: u64, width: u16) -> Result<Vec<Digest>, Infallible> {
            let first = usize::try_from(index).unwrap() * 256;
            Ok(self.0[first..first + usize::from(width)].to_vec())
        }
    }

    fn segment(leaves: &[Digest], from: usize, to: usize) -> CompactRange {
        let mut range = CompactRange::new(from as u64);
        leaves[from..to].iter().for_each(|leaf| range.append(*leaf));
        range
    }

    /// Each change of one thing in a proof.
    fn damaged(proof: &SegmentProof) -> Vec<SegmentProof> {
        let mut all = Vec::new();
        let sides: [fn(&mut SegmentProof) -> &mut Vec<Digest>; 2] =
            [|proof| &mut proof.left, |proof| &mut proof.right];
        for side in sides {
            let count = side(&mut proof.clone()).len();
            for at in 0..count {
                let mut flipped = proof.clone();
                side(&mut flipped)[at].0[0] ^= 1;
                let mut shorter = proof.clone();
                side(&mut shorter).remove(at);
                let mut doubled = proof.clone();
                let hash = side(&mut doubled)[at];
                side(&mut doubled).insert(at, hash);
                all.extend([flipped, shorter, doubled]);
                if at > 0 {
                    let mut swapped = proof.clone();
                    side(&mut swapped).swap(at - 1, at);
                    all.push(swapped);
                }
            }
            let mut longer = proof.clone();
            side(&mut longer).push(Digest([7; 32]));
            all.push(longer);
        }
        let SegmentProof { size, from, to, .. } = *proof;
        for (size, from, to) in [
            (size + 1, from, to),
            (size.wrapping_sub(1), from, to),
            (size, from + 1, to),
            (size, from.wrapping_sub(1), to),
            (size, from, to + 1),
            (size, from, to.wrapping_sub(1)),
            (u64::MAX, from, to),
            (u64::MAX, u64::MAX, u64::MAX),
        ] {
            all.push(SegmentProof { size, from, to, ..proof.clone() });
        }
        all
    }

    #[test]
    fn every_small_segment_leads_to_the_root_and_no_damaged_proof_does() {
        let all: Vec<_> = (0..40u64).map(|number| leaf_hash(&number.to_be_bytes())).collect();
        let tiles = Small(all.clone());
        for size in 0..=all.len() {
            let root = root_of(all[..size].iter().copied());
            for from in 0..=size {
                for to in from..=size {
                    let sizes = (size as u64, from as u64, to as u64);
                    let proof = segment_proof(&tiles, sizes.0, sizes.1, sizes.2).unwrap();
                    let events = segment(&all, from, to);
                    assert_eq!(proof.root(&events), Ok(root), "{sizes:?}");
                    let checkpoint = Checkpoint { origin: "log".to_owned(), size: sizes.0, root };
                    assert_eq!(proof.verify(&events, &checkpoint), Ok(()), "{sizes:?}");
                    for wrong in damaged(&proof) {
                        let verdict = wrong.verify(&events, &checkpoint);
                        assert!(verdict.is_err(), "{sizes:?} {wrong:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn other_events_do_not_lead_to_the_root() {
        let all: Vec<_> = (0..300u64).map(|number| leaf_hash(&number.to_be_bytes())).collect();
        let root = root_of(all.iter().copied());
        let proof = segment_proof(&Small(all.clone()), 300, 100, 280).unwrap();
        assert_eq!(proof.root(&segment(&all, 100, 280)), Ok(root));
        let mut changed = all.clone();
        changed.swap(150, 151);
        assert_ne!(proof.root(&segment(&changed, 100, 280)), Ok(root));
        for (from, to) in [(100, 279), (101, 280), (0, 180), (100, 281)] {
            let (begin, end) = (from as u64, to as u64);
            let refused = Err(SegmentError::Segment { begin, end });
            assert_eq!(proof.root(&segment(&all, from, to)), refused);
        }
    }

    #[test]
    fn sizes_without_a_segment_are_refused() {
        let tiles = Small(vec![Digest([1; 32]); 4]);
        for (size, from, to) in [(4, 3, 2), (4, 0, 5), (4, 5, 5)] {
            let refused = TileError::Sizes { size };
            assert_eq!(segment_proof(&tiles, size, from, to), Err(refused));
        }
    }

    #[test]
    fn as_json_it_comes_back_and_holds_nothing_else() {
        let tiles = Small(vec![Digest([1; 32]); 4]);
        let proof = segment_proof(&tiles, 4, 1, 3).unwrap();
        let text = serde_json::to_string(&proof).unwrap();
        assert_eq!(serde_json::from_str::<SegmentProof>(&text).unwrap(), proof);
        let more = text.replace("{\"size\"", "{\"more\":1,\"size\"");
        assert!(serde_json::from_str::<SegmentProof>(&more).is_err());
    }
}
