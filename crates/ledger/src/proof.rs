//! Inclusion and consistency proofs (RFC 9162, sections 2.1.3 and 2.1.4).

use crate::digest::Digest;
use crate::merkle::{node_hash, root_of};

/// Why a proof does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The index or the sizes cannot belong to any proof.
    #[error("no proof has these sizes")]
    Sizes,
    /// The proof has more or fewer hashes than its sizes ask for.
    #[error("the proof has the wrong number of hashes")]
    Length,
    /// The hashes lead to another root.
    #[error("the proof leads to another root")]
    Root,
}

/// The proof that the leaf `index` belongs to the tree over `leaves`. None if there is no such
/// leaf.
pub fn inclusion_proof(leaves: &[Digest], index: usize) -> Option<Vec<Digest>> {
    leaves.get(index)?;
    let mut proof = Vec::new();
    let (mut leaves, mut index) = (leaves, index);
    while let Some(middle) = split(leaves.len()) {
        let (left, right) = leaves.split_at(middle);
        if index < middle {
            proof.push(root_of(right.iter().copied()));
            leaves = left;
        } else {
            proof.push(root_of(left.iter().copied()));
            leaves = right;
            index -= middle;
        }
    }
    proof.reverse();
    Some(proof)
}

/// The proof that the first `size` leaves were the whole tree before. None for a size of 0 or
/// beyond the tree.
pub fn consistency_proof(leaves: &[Digest], size: usize) -> Option<Vec<Digest>> {
    if size == 0 || size > leaves.len() {
        return None;
    }
    let mut proof = Vec::new();
    let (mut leaves, mut size) = (leaves, size);
    // Whether the old tree is a whole subtree of the new one, so that the verifier has its root.
    let mut known = true;
    while size < leaves.len() {
        let Some(middle) = split(leaves.len()) else { break };
        let (left, right) = leaves.split_at(middle);
        if size <= middle {
            proof.push(root_of(right.iter().copied()));
            leaves = left;
        } else {
            proof.push(root_of(left.iter().copied()));
            leaves = right;
            size -= middle;
            known = false;
        }
    }
    if !known {
        proof.push(root_of(leaves.iter().copied()));
    }
    proof.reverse();
    Some(proof)
}

/// Where a tree of this many leaves splits: the largest power of two below. None below 2.
fn split(leaves: usize) -> Option<usize> {
    (leaves > 1).then(|| 1 << (leaves - 1).ilog2())
}

/// Checks that the leaf with this hash is leaf `index` of the tree with this size and root.
pub fn verify_inclusion(
    leaf_hash: Digest,
    index: u64,
    size: u64,
    proof: &[Digest],
    root: Digest,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Sizes);
    }
    let mut path = Path { node: index, last: size - 1 };
    let mut hash = leaf_hash;
    for sibling in proof {
        hash = match path.climb()? {
            Side::Left => node_hash(*sibling, hash),
            Side::Right => node_hash(hash, *sibling),
        };
    }
    path.at_root()?;
    if hash == root { Ok(()) } else { Err(ProofError::Root) }
}

/// Checks that the tree of `size2` leaves begins with the whole tree of `size1` leaves.
///
/// A proof from size 0 is refused: every tree begins with nothing, so it proves nothing.
pub fn verify_consistency(
    size1: u64,
    root1: Digest,
    size2: u64,
    root2: Digest,
    proof: &[Digest],
) -> Result<(), ProofError> {
    if size1 == 0 || size1 > size2 {
        return Err(ProofError::Sizes);
    }
    if size1 == size2 {
        return match proof {
            [] if root1 == root2 => Ok(()),
            [] => Err(ProofError::Root),
            [..] => Err(ProofError::Length),
        };
    }
    // A whole subtree is its own start; otherwise the proof begins with the start's hash.
    let (start, rest) = if size1.is_power_of_two() {
        (root1, proof)
    } else {
        let (first, rest) = proof.split_first().ok_or(ProofError::Length)?;
        (*first, rest)
    };
    let mut path = Path { node: size1 - 1, last: size2 - 1 };
    while path.node & 1 == 1 {
        path.node >>= 1;
        path.last >>= 1;
    }
    let (mut hash1, mut hash2) = (start, start);
    for sibling in rest {
        match path.climb()? {
            Side::Left => {
                hash1 = node_hash(*sibling, hash1);
                hash2 = node_hash(*sibling, hash2);
            }
            Side::Right => hash2 = node_hash(hash2, *sibling),
        }
    }
    path.at_root()?;
    if hash1 == root1 && hash2 == root2 { Ok(()) } else { Err(ProofError::Root) }
}

/// The way from a leaf to the root, one sibling at a time.
struct Path {
    node: u64,
    last: u64,
}

/// On which side of the node its sibling is.
enum Side {
    Left,
    Right,
}

impl Path {
    fn climb(&mut self) -> Result<Side, ProofError> {
        if self.last == 0 {
            return Err(ProofError::Length);
        }
        let side = if self.node & 1 == 1 || self.node == self.last {
            // A last node without a right sibling moves up unhashed until it is a right child.
            while self.node & 1 == 0 && self.node != 0 {
                self.node >>= 1;
                self.last >>= 1;
            }
            Side::Left
        } else {
            Side::Right
        };
        self.node >>= 1;
        self.last >>= 1;
        Ok(side)
    }

    fn at_root(&self) -> Result<(), ProofError> {
        if self.last == 0 { Ok(()) } else { Err(ProofError::Length) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::leaf_hash;

    fn leaves(count: usize) -> Vec<Digest> {
        (0..count).map(|number| leaf_hash(&number.to_be_bytes())).collect()
    }

    fn root(leaves: &[Digest]) -> Digest {
        root_of(leaves.iter().copied())
    }

    /// Each change of one thing in a proof.
    fn damaged(proof: &[Digest]) -> Vec<Vec<Digest>> {
        let mut all = Vec::new();
        for at in 0..proof.len() {
            let mut flipped = proof.to_vec();
            flipped[at].0[31] ^= 1;
            all.push(flipped);
            let mut shorter = proof.to_vec();
            shorter.remove(at);
            all.push(shorter);
        }
        all.push([proof, &[Digest([7; 32])]].concat());
        all.push([&[Digest([7; 32])], proof].concat());
        all
    }

    #[test]
    fn inclusion_proofs_hold_for_their_leaf_and_no_other() {
        for count in 1..=33 {
            let all = leaves(count);
            let root = root(&all);
            for index in 0..count {
                let proof = inclusion_proof(&all, index).unwrap();
                for (other, leaf) in all.iter().enumerate() {
                    let verdict = verify_inclusion(*leaf, index as u64, count as u64, &proof, root);
                    assert_eq!(verdict.is_ok(), other == index, "{count} {index} {other}");
                }
                for wrong in damaged(&proof) {
                    let verdict =
                        verify_inclusion(all[index], index as u64, count as u64, &wrong, root);
                    assert!(verdict.is_err(), "{count} {index}");
                }
            }
            assert_eq!(inclusion_proof(&all, count), None);
        }
    }

    #[test]
    fn consistency_proofs_hold_for_their_sizes_and_no_other_past() {
        for count in 1..=33 {
            let all = leaves(count);
            let root2 = root(&all);
            for size in 1..=count {
                let root1 = root(&all[..size]);
                let proof = consistency_proof(&all, size).unwrap();
                let verify = |root1, proof: &[Digest]| {
                    verify_consistency(size as u64, root1, count as u64, root2, proof)
                };
                assert_eq!(verify(root1, &proof), Ok(()), "{size} {count}");
                assert!(verify(Digest([1; 32]), &proof).is_err(), "{size} {count}");
                for wrong in damaged(&proof) {
                    assert!(verify(root1, &wrong).is_err(), "{size} {count}");
                }
            }
            assert_eq!(consistency_proof(&all, 0), None);
            assert_eq!(consistency_proof(&all, count + 1), None);
        }
    }

    #[test]
    fn sizes_at_the_limit_do_not_overflow() {
        let hash = Digest([1; 32]);
        let proof = vec![hash; 64];
        assert!(verify_inclusion(hash, u64::MAX - 1, u64::MAX, &proof, hash).is_err());
        assert!(verify_consistency(1 << 63, hash, u64::MAX, hash, &proof).is_err());
        assert!(verify_consistency(u64::MAX - 1, hash, u64::MAX, hash, &proof).is_err());
    }
}
