//! Records as bytes, one after another: how records wait in files of our own, the staged parts of
//! a load and the spool of a table that is not in id order.
//!
//! One record: its length in bytes (u32, without this field), then a byte of presence bits, the
//! lengths of id, metadata and source hash (u32 each), version, created and updated (i64 each, 0
//! where absent), the three texts, and the vector. Little-endian throughout.

use carnet_connect::{RecordRef, StoreError};
use carnet_model::Code;

const VERSION: u8 = 1;
const SOURCE_HASH: u8 = 2;
const CREATED: u8 = 4;
const UPDATED: u8 = 8;
const FIXED: usize = 1 + 3 * 4 + 3 * 8;

/// Appends a record.
pub(super) fn encode(record: &RecordRef<'_>, out: &mut Vec<u8>) -> Result<(), StoreError> {
    let hash = record.source_hash.unwrap_or_default();
    let texts = record.id.len() + record.metadata.len() + hash.len();
    let size = FIXED + texts + record.vector.len() * 4;
    let length = |bytes: usize| u32::try_from(bytes).map(u32::to_le_bytes);
    let too_long = |_| {
        StoreError::new(
            Code::METADATA_LIMIT,
            format!("record {:?} has more than 4 GiB", carnet_connect::shorten(record.id)),
        )
    };
    out.extend(length(size).map_err(too_long)?);
    let mut present = 0;
    for (bit, there) in [
        (VERSION, record.version.is_some()),
        (SOURCE_HASH, record.source_hash.is_some()),
        (CREATED, record.created_ts.is_some()),
        (UPDATED, record.updated_ts.is_some()),
    ] {
        present |= if there { bit } else { 0 };
    }
    out.push(present);
    for text in [record.id, record.metadata, hash] {
        out.extend(length(text.len()).map_err(too_long)?);
    }
    for value in [record.version, record.created_ts, record.updated_ts] {
        out.extend(value.unwrap_or_default().to_le_bytes());
    }
    for text in [record.id, record.metadata, hash] {
        out.extend_from_slice(text.as_bytes());
    }
    out.extend(record.vector.iter().flat_map(|value| value.to_le_bytes()));
    Ok(())
}

/// One record in a run of encoded bytes; its vector is still bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Row<'a> {
    /// All but the vector, which is empty here.
    pub(super) record: RecordRef<'a>,
    /// The vector, as little-endian floats.
    pub(super) vector: &'a [u8],
}

/// Takes the record at the start of `bytes` off it. `None` if the bytes are not a record: they are
/// then not what we wrote.
pub(super) fn decode<'a>(bytes: &mut &'a [u8]) -> Option<Row<'a>> {
    let mut rest = *bytes;
    let size = u32::from_le_bytes(take(&mut rest)?) as usize;
    let (mut row, after) = rest.split_at_checked(size)?;
    let [present] = take(&mut row)?;
    let mut lengths = [0_usize; 3];
    for length in &mut lengths {
        *length = u32::from_le_bytes(take(&mut row)?) as usize;
    }
    let [id, metadata, hash] = lengths;
    let version = i64::from_le_bytes(take(&mut row)?);
    let created = i64::from_le_bytes(take(&mut row)?);
    let updated = i64::from_le_bytes(take(&mut row)?);
    let mut text = |length: usize| {
        let (text, after) = row.split_at_checked(length)?;
        row = after;
        std::str::from_utf8(text).ok()
    };
    let (id, metadata, hash) = (text(id)?, text(metadata)?, text(hash)?);
    *bytes = after;
    Some(Row {
        record: RecordRef {
            id,
            vector: &[],
            metadata,
            version: (present & VERSION != 0).then_some(version),
            source_hash: (present & SOURCE_HASH != 0).then_some(hash),
            created_ts: (present & CREATED != 0).then_some(created),
            updated_ts: (present & UPDATED != 0).then_some(updated),
        },
        vector: row,
    })
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = bytes.split_first_chunk::<N>()?;
    *bytes = tail;
    Some(*head)
}

/// Little-endian floats as values, appended to `out`.
pub(super) fn floats(bytes: &[u8], out: &mut Vec<f32>) {
    out.extend(bytes.as_chunks::<4>().0.iter().map(|chunk| f32::from_le_bytes(*chunk)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_record_comes_back(
            id in ".{1,40}",
            metadata in ".*",
            version in any::<Option<i64>>(),
            source_hash in prop::option::of(".*"),
            created_ts in any::<Option<i64>>(),
            updated_ts in any::<Option<i64>>(),
            vector in prop::collection::vec(any::<f32>(), 0..9),
        ) {
            let record = RecordRef {
                id: &id, vector: &vector, metadata: &metadata, version,
                source_hash: source_hash.as_deref(), created_ts, updated_ts,
            };
            let mut bytes = Vec::new();
            encode(&record, &mut bytes).unwrap();
            encode(&record, &mut bytes).unwrap();
            let mut rest = bytes.as_slice();
            for _ in 0..2 {
                let row = decode(&mut rest).unwrap();
                let mut held = Vec::new();
                floats(row.vector, &mut held);
                let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                prop_assert_eq!(bits(&held), bits(&vector));
                prop_assert_eq!(row.record, RecordRef { vector: &[], ..record });
            }
            prop_assert!(rest.is_empty());
            for end in 0..bytes.len() / 2 {
                prop_assert!(decode(&mut &bytes[..end]).is_none());
            }
        }

        #[test]
        fn other_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = decode(&mut bytes.as_slice());
        }
    }
}
