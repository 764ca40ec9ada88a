//! The digest of one record (`docs/formats.md`, "Record digest").

use arrow_buffer::ToByteSlice;
use carnet_connect::RecordRef;
use carnet_ledger::{Digest, Hasher, leaf_hash};

/// The name of this digest, as manifests and reports state it.
pub const RECORD_DIGEST: &str = "carnet-record-v1";

const DOMAIN: &[u8] = b"carnet-record-v1\0";

/// The digest of a record: SHA-256 over its fields in a fixed layout, every bit of the vector
/// included. It does not depend on the store that holds the record.
pub fn record_digest(record: &RecordRef<'_>) -> Digest {
    let mut hasher = Hasher::new();
    lay_out(record, &mut |bytes| hasher.update(bytes));
    hasher.finish()
}

/// The hash of the record as a leaf of its collection's tree.
pub(crate) fn record_leaf(record: &RecordRef<'_>) -> Digest {
    leaf_hash(record_digest(record).as_bytes())
}

/// Gives the bytes that are hashed, piece by piece.
fn lay_out(record: &RecordRef<'_>, put: &mut impl FnMut(&[u8])) {
    put(DOMAIN);
    put_text(record.id, put);
    put(&length(record.vector.len()));
    if cfg!(target_endian = "little") {
        put(record.vector.to_byte_slice());
    } else {
        record.vector.iter().for_each(|element| put(&element.to_bits().to_le_bytes()));
    }
    put_text(record.metadata, put);
    put_integer(record.version, put);
    match record.source_hash {
        None => put(&[0x00]),
        Some(hash) => {
            put(&[0x01]);
            put_text(hash, put);
        }
    }
    put_integer(record.created_ts, put);
    put_integer(record.updated_ts, put);
}

fn put_text(text: &str, put: &mut impl FnMut(&[u8])) {
    put(&length(text.len()));
    put(text.as_bytes());
}

fn put_integer(value: Option<i64>, put: &mut impl FnMut(&[u8])) {
    match value {
        None => put(&[0x00]),
        Some(value) => {
            put(&[0x01]);
            put(&value.to_le_bytes());
        }
    }
}

/// Arrow columns address text with 31 bits and vectors have at most 2^31 elements: no length
/// exceeds 32 bits.
fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record<'a>() -> RecordRef<'a> {
        RecordRef {
            id: "a",
            vector: &[1.0, -0.0],
            metadata: "{}",
            version: None,
            source_hash: None,
            created_ts: None,
            updated_ts: None,
        }
    }

    #[test]
    fn the_layout_is_the_specified_one() {
        let mut bytes = Vec::new();
        let full = RecordRef { version: Some(-2), source_hash: Some(""), ..record() };
        lay_out(&full, &mut |piece| bytes.extend_from_slice(piece));
        let expected: Vec<u8> = [
            b"carnet-record-v1\0".as_slice(),
            &[1, 0, 0, 0, b'a'],
            &[2, 0, 0, 0, 0, 0, 0x80, 0x3f, 0, 0, 0, 0x80],
            &[2, 0, 0, 0, b'{', b'}'],
            &[1, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[1, 0, 0, 0, 0],
            &[0],
            &[0],
        ]
        .concat();
        assert_eq!(bytes, expected);
        assert_eq!(record_digest(&full), Digest::of(&expected));
    }

    #[test]
    fn each_field_counts() {
        let plain = record_digest(&record());
        let next = f32::from_bits(1.0f32.to_bits() + 1);
        let changed = [
            RecordRef { id: "b", ..record() },
            RecordRef { vector: &[1.0, 0.0], ..record() },
            RecordRef { vector: &[next, -0.0], ..record() },
            RecordRef { vector: &[1.0, -0.0, 0.0], ..record() },
            RecordRef { metadata: "{ }", ..record() },
            RecordRef { version: Some(0), ..record() },
            RecordRef { source_hash: Some(""), ..record() },
            RecordRef { created_ts: Some(0), ..record() },
            RecordRef { updated_ts: Some(0), ..record() },
        ];
        let mut seen = vec![plain];
        for other in changed {
            let digest = record_digest(&other);
            assert!(!seen.contains(&digest), "{other:?}");
            seen.push(digest);
        }
    }
}
