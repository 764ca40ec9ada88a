//! Two records side by side: whether they are the same, and where they are not.

use carnet_connect::RecordRef;
use carnet_model::{CollectionContract, Metric};
use serde::Serialize;

/// Characters shown before and after the place where two texts part.
const SHOWN_BEFORE: usize = 40;
const SHOWN_AFTER: usize = 100;

/// One field that differs, with both values as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldDifference {
    /// The field: `vector[17]`, `metadata`, `version`, …
    pub field: String,
    /// The value on the first side.
    pub a: String,
    /// The value on the second side.
    pub b: String,
}

/// Whether two records are the same in every bit.
pub(crate) fn same(a: &RecordRef<'_>, b: &RecordRef<'_>) -> bool {
    a.id == b.id
        && same_bits(a.vector, b.vector)
        && a.metadata == b.metadata
        && a.version == b.version
        && a.source_hash == b.source_hash
        && a.created_ts == b.created_ts
        && a.updated_ts == b.updated_ts
}

fn same_bits(a: &[f32], b: &[f32]) -> bool {
    use arrow_buffer::ToByteSlice;
    a.to_byte_slice() == b.to_byte_slice()
}

/// Every field in which two records differ.
pub(crate) fn differences(a: &RecordRef<'_>, b: &RecordRef<'_>) -> Vec<FieldDifference> {
    let mut found = Vec::new();
    let mut note = |field: &str, a: String, b: String| {
        found.push(FieldDifference { field: field.to_owned(), a, b });
    };
    if a.vector.len() != b.vector.len() {
        let length = |vector: &[f32]| format!("{} dimensions", vector.len());
        note("vector", length(a.vector), length(b.vector));
    } else if let Some((n, (a, b))) =
        a.vector.iter().zip(b.vector).enumerate().find(|(_, (a, b))| a.to_bits() != b.to_bits())
    {
        note(&format!("vector[{n}]"), element(*a), element(*b));
    }
    if a.metadata != b.metadata {
        let (a, b) = around(a.metadata, b.metadata);
        note("metadata", a, b);
    }
    if a.source_hash != b.source_hash {
        let text = |hash: Option<&str>| hash.map_or_else(absent, |hash| format!("{hash:?}"));
        note("source_hash", text(a.source_hash), text(b.source_hash));
    }
    let numbers = [
        ("version", a.version, b.version),
        ("created_ts", a.created_ts, b.created_ts),
        ("updated_ts", a.updated_ts, b.updated_ts),
    ];
    for (field, a, b) in numbers {
        if a != b {
            let text = |n: Option<i64>| n.map_or_else(absent, |n| n.to_string());
            note(field, text(a), text(b));
        }
    }
    found
}

/// In what the declared contracts differ, apart from name and index. Silence is a value, too.
pub(crate) fn contract_differences(
    a: &CollectionContract,
    b: &CollectionContract,
) -> Vec<FieldDifference> {
    let model = |contract: &CollectionContract| {
        contract.embedding_model.as_ref().map(|model| match &model.revision {
            Some(revision) => format!("{} at {revision}", model.name),
            None => model.name.clone(),
        })
    };
    let metric = |contract: &CollectionContract| contract.metric.map(|m: Metric| m.to_string());
    let normalisation = |contract: &CollectionContract| {
        contract.normalisation.map(|kind| match kind {
            carnet_model::Normalisation::None => "none".to_owned(),
            carnet_model::Normalisation::UnitLength => "unit_length".to_owned(),
        })
    };
    let dimensions = |contract: &CollectionContract| Some(contract.dimensions.to_string());
    [
        ("dimensions", dimensions(a), dimensions(b)),
        ("metric", metric(a), metric(b)),
        ("normalisation", normalisation(a), normalisation(b)),
        ("embedding_model", model(a), model(b)),
    ]
    .into_iter()
    .filter(|(_, a, b)| a != b)
    .map(|(field, a, b)| {
        let text = |value: Option<String>| value.unwrap_or_else(|| "undeclared".to_owned());
        FieldDifference { field: field.to_owned(), a: text(a), b: text(b) }
    })
    .collect()
}

fn absent() -> String {
    "absent".to_owned()
}

/// The shortest text that gives the number back, and its bits: −0.0 and NaNs are told apart.
fn element(value: f32) -> String {
    format!("{value:?} (0x{:08x})", value.to_bits())
}

/// Both texts around the first character in which they differ.
fn around(a: &str, b: &str) -> (String, String) {
    let common = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
    let begin = common.saturating_sub(SHOWN_BEFORE);
    let cut = |text: &str| {
        let mut shown = String::new();
        if begin > 0 {
            shown.push('…');
        }
        let mut rest = text.chars().skip(begin);
        shown.extend(rest.by_ref().take(common - begin + SHOWN_AFTER));
        if rest.next().is_some() {
            shown.push('…');
        }
        shown
    };
    (cut(a), cut(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record<'a>() -> RecordRef<'a> {
        RecordRef {
            id: "a",
            vector: &[1.0, 0.0],
            metadata: "{}",
            version: None,
            source_hash: None,
            created_ts: None,
            updated_ts: None,
        }
    }

    #[test]
    fn each_field_is_shown_with_both_values() {
        let next = [f32::from_bits(1.0f32.to_bits() + 1), 0.0];
        let cases = [
            (
                RecordRef { vector: &[1.0, -0.0], ..record() },
                "vector[1]",
                "0.0 (0x00000000)",
                "-0.0 (0x80000000)",
            ),
            (
                RecordRef { vector: &next, ..record() },
                "vector[0]",
                "1.0 (0x3f800000)",
                "1.0000001 (0x3f800001)",
            ),
            (RecordRef { vector: &[1.0], ..record() }, "vector", "2 dimensions", "1 dimensions"),
            (RecordRef { metadata: r#"{"a":1}"#, ..record() }, "metadata", "{}", r#"{"a":1}"#),
            (RecordRef { version: Some(0), ..record() }, "version", "absent", "0"),
            (RecordRef { source_hash: Some(""), ..record() }, "source_hash", "absent", "\"\""),
            (RecordRef { created_ts: Some(-1), ..record() }, "created_ts", "absent", "-1"),
            (RecordRef { updated_ts: Some(1), ..record() }, "updated_ts", "absent", "1"),
        ];
        for (other, field, a, b) in cases {
            assert!(!same(&record(), &other), "{field}");
            let shown = FieldDifference { field: field.into(), a: a.into(), b: b.into() };
            assert_eq!(differences(&record(), &other), [shown]);
        }
        assert!(same(&record(), &record()) && differences(&record(), &record()).is_empty());
        let nan = RecordRef { vector: &[f32::NAN], ..record() };
        assert!(same(&nan, &nan));
    }

    #[test]
    fn long_texts_are_cut_around_the_difference() {
        let left = format!("{}1{}", "é".repeat(500), "x".repeat(500));
        let right = left.replace('1', "2");
        let (a, b) = around(&left, &right);
        assert!(a.starts_with('…') && a.ends_with('…') && a.contains("é1x"));
        assert!(b.contains("é2x") && b.chars().count() < 200);
    }
}
