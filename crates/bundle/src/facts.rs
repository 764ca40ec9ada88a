//! What a pass over records finds out for the question whether a target can hold them.

use carnet_connect::{ContentFacts, RecordRef, shorten};
use carnet_model::metadata_holds_nul;

/// Takes note of one record. Records may come in any order; "first" is by id.
pub(crate) fn note(facts: &mut ContentFacts, record: &RecordRef<'_>) {
    facts.records += 1;
    facts.id_bytes_max = facts.id_bytes_max.max(record.id.len());
    if record.id.contains('\0') || holds_nul(record.metadata) {
        keep_first(&mut facts.first_nul, record.id);
    }
    if holds_non_finite(record.vector) {
        keep_first(&mut facts.first_non_finite, record.id);
    }
}

fn keep_first(first: &mut Option<String>, id: &str) {
    let id = shorten(id);
    if first.as_ref().is_none_or(|first| id < *first) {
        *first = Some(id);
    }
}

/// Looks at all elements without branching: vectors are nearly always finite. NaNs and infinities
/// have every bit of the exponent set.
fn holds_non_finite(vector: &[f32]) -> bool {
    const EXPONENT: u32 = 0x7f80_0000;
    vector.iter().fold(false, |any, element| any | (element.to_bits() & EXPONENT == EXPONENT))
}

/// Metadata without any backslash, which is most, is looked at only once and fast.
fn holds_nul(metadata: &str) -> bool {
    metadata.as_bytes().contains(&b'\\') && metadata_holds_nul(metadata)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nul_and_non_finite_are_found_where_they_are() {
        assert!(holds_non_finite(&[0.0, f32::NAN]) && holds_non_finite(&[f32::NEG_INFINITY]));
        assert!(!holds_non_finite(&[f32::MAX, -f32::MAX, -0.0]) && !holds_non_finite(&[]));
        let mut facts = ContentFacts::default();
        for (id, vector) in [("b", [f32::NAN]), ("a\0", [f32::INFINITY]), ("c", [0.0])] {
            let record = RecordRef {
                id,
                vector: &vector,
                metadata: "{}",
                version: None,
                source_hash: None,
                created_ts: None,
                updated_ts: None,
            };
            note(&mut facts, &record);
        }
        let first = |id: &str| Some(id.to_owned());
        assert_eq!(
            facts,
            ContentFacts {
                records: 3,
                id_bytes_max: 2,
                first_nul: first("a\0"),
                first_non_finite: first("a\0"),
            }
        );
    }
}
