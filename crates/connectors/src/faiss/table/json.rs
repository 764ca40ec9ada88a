//! Metadata text: the one place where it is made canonical, and where columns without a field of
//! their own are put into it.

use std::borrow::Cow;

use carnet_connect::{StoreError, shorten};
use carnet_model::{Code, canonical_metadata};

/// The key in the metadata under which a store's other columns travel.
pub(in super::super) const COLUMNS: &str = "_columns";

/// The canonical form of a metadata object. `id` and `row` are for errors.
pub(super) fn canonical<'t>(
    text: &'t str,
    id: &str,
    row: usize,
) -> Result<Cow<'t, str>, StoreError> {
    canonical_metadata(text).map_err(|error| {
        let what = format!("the metadata of record {:?} in row {row}", shorten(id));
        StoreError::new(error.code(), what).because(error)
    })
}

/// Canonical metadata with further columns (`"name":value` pairs, comma-separated) under
/// `_columns`. A column that is there already must be equal.
pub(super) fn with_columns(
    metadata: &str,
    columns: &[(String, String)],
    id: &str,
    row: usize,
) -> Result<String, StoreError> {
    let unusual = || {
        StoreError::new(
            Code::STORE_UNSUPPORTED,
            format!("the metadata of record {:?} has its own key {COLUMNS}", shorten(id)),
        )
        .remedy("rename the key, or leave out the columns that have no field of their own")
    };
    // The new columns in canonical form, so that they can be compared with those that are there.
    let added = columns.iter().map(|(name, value)| format!("{name}:{value}")).collect::<Vec<_>>();
    let added = format!("{{{}}}", added.join(","));
    let added = canonical(&added, id, row)?;
    let mut outer = Vec::new();
    let mut inner = members(&added).ok_or_else(unusual)?;
    let key = format!("\"{COLUMNS}\"");
    for (name, value) in members(metadata).ok_or_else(unusual)? {
        if name != key {
            outer.push(format!("{name}:{value}"));
            continue;
        }
        for (held, value) in members(value).ok_or_else(unusual)? {
            match inner.iter().find(|(name, _)| *name == held) {
                Some((_, column)) if *column == value => {}
                Some(_) => {
                    return Err(StoreError::new(
                        Code::STORE_UNSUPPORTED,
                        format!(
                            "the column {held} and the metadata of record {:?} differ",
                            shorten(id)
                        ),
                    )
                    .remedy("keep one of the two"));
                }
                None => inner.push((held, value)),
            }
        }
    }
    let inner: Vec<_> = inner.iter().map(|(name, value)| format!("{name}:{value}")).collect();
    outer.push(format!("{key}:{{{}}}", inner.join(",")));
    canonical(&format!("{{{}}}", outer.join(",")), id, row).map(Cow::into_owned)
}

/// The FAISS id that travels in canonical metadata, if one does.
pub(in super::super) fn faiss_id(metadata: &str) -> Option<i64> {
    // Most records have none: do not take the text apart for them.
    if !metadata.contains("\"_columns\":{") {
        return None;
    }
    let (_, columns) = members(metadata)?.into_iter().find(|(name, _)| *name == "\"_columns\"")?;
    let (_, id) = members(columns)?.into_iter().find(|(name, _)| *name == "\"faiss_id\"")?;
    id.parse().ok()
}

/// Names and values of a JSON object without spaces, as they stand. `None` for anything else.
fn members(object: &str) -> Option<Vec<(&str, &str)>> {
    let mut rest = object.strip_prefix('{')?.strip_suffix('}')?;
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (name, after) = rest.split_at_checked(value_end(rest)?)?;
        let after = after.strip_prefix(':')?;
        let (value, after) = after.split_at_checked(value_end(after)?)?;
        found.push((name, value));
        rest = match after.strip_prefix(',') {
            Some(more) => more,
            None if after.is_empty() => after,
            None => return None,
        };
    }
    Some(found)
}

/// Where the value at the start of `text` ends: at the next comma or colon outside of strings and
/// brackets.
fn value_end(text: &str) -> Option<usize> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            b',' | b':' if depth == 0 => return Some(at),
            _ => {}
        }
    }
    (depth == 0 && !in_string).then_some(text.len())
}

/// Text as a JSON string.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn members_are_found_where_they_stand() {
        let text = r#"{"a":{"x":[1,2]},"b":"},\"{","c":12345678901234567890}"#;
        let found = members(text).unwrap();
        assert_eq!(found[0], ("\"a\"", r#"{"x":[1,2]}"#));
        assert_eq!(found[1], ("\"b\"", r#""},\"{""#));
        assert_eq!(found[2], ("\"c\"", "12345678901234567890"));
        assert_eq!(members("{}").unwrap(), []);
        for other in ["[]", "{\"a\"}", "{\"a\":[}", "", "{\"a\":1\"b\":2", "{\"a\":\"}"] {
            assert!(members(other).is_none(), "{other}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_scan_panic(text in "[{}\\[\\]\":,a\\\\é ]{0,40}") {
            let _ = members(&text);
            let _ = faiss_id(&format!("{{\"_columns\":{{{text}}}"));
        }
    }

    #[test]
    fn columns_join_those_that_travelled_before() {
        let columns = vec![("\"b\"".to_owned(), "2".to_owned())];
        let text = with_columns(r#"{"_columns":{"a":1},"z":0}"#, &columns, "id", 0).unwrap();
        let seen: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(seen, serde_json::json!({"_columns": {"a": 1, "b": 2}, "z": 0}));
        assert!(with_columns(r#"{"_columns":{"b":2}}"#, &columns, "id", 0).is_ok());
        let error = with_columns(r#"{"_columns":{"b":3}}"#, &columns, "id", 0).unwrap_err();
        assert_eq!(error.code(), Code::STORE_UNSUPPORTED);
        assert!(with_columns(r#"{"_columns":3}"#, &columns, "id", 0).is_err());
    }

    #[test]
    fn faiss_ids_are_found_only_where_they_belong() {
        assert_eq!(faiss_id(r#"{"_columns":{"faiss_id":-7}}"#), Some(-7));
        assert_eq!(faiss_id(r#"{"a":{"_columns":{"faiss_id":7}}}"#), None);
        assert_eq!(faiss_id(r#"{"_columns":{"faiss_id":"7"}}"#), None);
        assert_eq!(faiss_id(r#"{"faiss_id":7}"#), None);
    }
}
