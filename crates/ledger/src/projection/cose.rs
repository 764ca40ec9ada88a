//! Receipts as COSE (RFC 9942): the proof that an event is in the log, for verifiers that read CBOR.

use coset::cbor::Value;
use coset::{CoseSign1Builder, HeaderBuilder, TaggedCborSerializable, iana};

use crate::digest::Digest;
use crate::key::SigningKey;
use crate::proof::{ProofError, verify_inclusion};

/// Header labels of RFC 9942 and RFC 9597.
const CWT_CLAIMS: i64 = 15;
const VERIFIABLE_DATA_STRUCTURE: i64 = 395;
const VERIFIABLE_DATA_PROOFS: i64 = 396;
/// The tree of RFC 9162 with SHA-256.
const RFC9162_SHA256: i64 = 1;
const INCLUSION_PROOFS: i64 = -1;
/// Claims of RFC 8392.
const ISSUER: i64 = 1;
const SUBJECT: i64 = 2;

/// What a receipt says: that a leaf is in the tree of this size and root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoseReceipt<'a> {
    /// Who vouches for the log: its origin, `carnet/<chain_id>`.
    pub issuer: &'a str,
    /// What the receipt is about, by a name that its reader knows.
    pub subject: &'a str,
    /// The leaf's hash: `leaf_hash` of the stored event.
    pub leaf: Digest,
    /// The leaf's index: the event's sequence.
    pub index: u64,
    /// How many leaves the tree has.
    pub size: u64,
    /// The tree's root.
    pub root: Digest,
    /// The inclusion proof.
    pub path: &'a [Digest],
}

/// Why a receipt cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CoseError {
    /// The proof does not lead from the leaf to the root: nothing is signed.
    #[error("the leaf is not in the tree")]
    Proof(#[from] ProofError),
    /// The structure could not be written.
    #[error("cannot write CBOR: {0}")]
    Cbor(String),
}

impl CoseReceipt<'_> {
    /// Signs the root and gives the bytes: a tagged `COSE_Sign1` whose payload, the root, is
    /// detached. The reader computes it from the leaf and the proof.
    pub fn sign(&self, key: &SigningKey) -> Result<Vec<u8>, CoseError> {
        verify_inclusion(self.leaf, self.index, self.size, self.path, self.root)?;
        let claims = vec![
            (Value::from(ISSUER), Value::from(self.issuer)),
            (Value::from(SUBJECT), Value::from(self.subject)),
        ];
        // In the order of deterministic CBOR: by label.
        let protected = HeaderBuilder::new()
            .algorithm(iana::Algorithm::EdDSA)
            .key_id(key.verifying_key().key_id().into_bytes())
            .value(CWT_CLAIMS, Value::Map(claims))
            .value(VERIFIABLE_DATA_STRUCTURE, Value::from(RFC9162_SHA256))
            .build();
        let proofs = Value::Array(vec![Value::Bytes(self.proof()?)]);
        let proofs = Value::Map(vec![(Value::from(INCLUSION_PROOFS), proofs)]);
        let unprotected = HeaderBuilder::new().value(VERIFIABLE_DATA_PROOFS, proofs).build();
        CoseSign1Builder::new()
            .protected(protected)
            .unprotected(unprotected)
            .create_detached_signature(self.root.as_bytes(), b"", |bytes| key.sign(bytes).to_vec())
            .build()
            .to_tagged_vec()
            .map_err(|error| CoseError::Cbor(error.to_string()))
    }

    /// `[tree_size, leaf_index, [hash, …]]`.
    fn proof(&self) -> Result<Vec<u8>, CoseError> {
        let path = self.path.iter().map(|hash| Value::Bytes(hash.0.to_vec())).collect();
        let proof = [Value::from(self.size), Value::from(self.index), Value::Array(path)];
        let mut bytes = Vec::new();
        coset::cbor::into_writer(&Value::Array(proof.into()), &mut bytes)
            .map_err(|error| CoseError::Cbor(error.to_string()))?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::{leaf_hash, root_of};
    use crate::proof::inclusion_proof;
    use coset::{CborSerializable, CoseSign1};

    fn key() -> SigningKey {
        SigningKey::generate("log".parse().unwrap(), &[1; 32]).unwrap()
    }

    #[test]
    fn a_receipt_is_a_signed_root_with_its_proof_beside_it() {
        let leaves: Vec<_> = (0..11u8).map(|n| leaf_hash(&[n])).collect();
        let root = root_of(leaves.iter().copied());
        let path = inclusion_proof(&leaves, 6).unwrap();
        let receipt = CoseReceipt {
            issuer: "carnet/1",
            subject: "event 6",
            leaf: leaves[6],
            index: 6,
            size: 11,
            root,
            path: &path,
        };
        let key = key();
        let bytes = receipt.sign(&key).unwrap();
        assert_eq!(bytes[0], 0xd2, "tag 18");
        let read = CoseSign1::from_tagged_slice(&bytes).unwrap();
        assert_eq!(read.payload, None);
        let public = key.verifying_key();
        let signed = read.verify_detached_signature(root.as_bytes(), b"", |signature, bytes| {
            if public.verify(bytes, signature) { Ok(()) } else { Err(()) }
        });
        assert_eq!(signed, Ok(()));
        let other = read.verify_detached_signature(&[0; 32], b"", |signature, bytes| {
            if public.verify(bytes, signature) { Ok(()) } else { Err(()) }
        });
        assert_eq!(other, Err(()));
        let header = &read.protected.header;
        assert_eq!(header.key_id, public.key_id().into_bytes());
        assert_eq!(header.alg, Some(coset::Algorithm::Assigned(iana::Algorithm::EdDSA)));
        let again = header.clone().to_vec().unwrap();
        assert_eq!(read.protected.original_data.as_deref(), Some(&again[..]));
        let proof = &read.unprotected.rest[0].1.as_map().unwrap()[0].1.as_array().unwrap()[0];
        let proof: Value = coset::cbor::from_reader(&proof.as_bytes().unwrap()[..]).unwrap();
        let proof = proof.as_array().unwrap();
        assert_eq!((&proof[0], &proof[1]), (&Value::from(11), &Value::from(6)));
        assert_eq!(proof[2].as_array().unwrap().len(), path.len());
    }

    #[test]
    fn what_is_not_in_the_tree_gets_no_receipt() {
        let leaves: Vec<_> = (0..4u8).map(|n| leaf_hash(&[n])).collect();
        let path = inclusion_proof(&leaves, 1).unwrap();
        let receipt = CoseReceipt {
            issuer: "i",
            subject: "s",
            leaf: leaves[2],
            index: 1,
            size: 4,
            root: root_of(leaves.iter().copied()),
            path: &path,
        };
        assert_eq!(receipt.sign(&key()), Err(CoseError::Proof(ProofError::Root)));
        let beyond = CoseReceipt { index: 4, ..receipt };
        assert_eq!(beyond.sign(&key()), Err(CoseError::Proof(ProofError::Sizes)));
    }
}
