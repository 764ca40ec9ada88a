//! Our own values as canonical JSON.

use carnet_ledger::{Digest, HashProfile, Object, Value};
use serde::Serialize;

/// The value as JSON without fractions. A number that canonical JSON does not take (an integer
/// beyond 2^53 − 1) becomes text, as such numbers must be written.
pub fn canonical_value(value: &impl Serialize) -> Value {
    // Only maps with keys that are not text, and writers that fail, are errors; neither occurs.
    serde_json::to_value(value).map_or(Value::Null, convert)
}

/// The RFC 8785 form of a value of ours.
pub fn canonical_json(value: &impl Serialize) -> String {
    HashProfile::Rfc8785Sha256V1.canonical(&canonical_value(value))
}

/// SHA-256 of the RFC 8785 form.
pub fn digest_of(value: &impl Serialize) -> Digest {
    HashProfile::Rfc8785Sha256V1.digest(&canonical_value(value))
}

fn convert(value: serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(word) => Value::Bool(word),
        serde_json::Value::Number(number) => {
            let integer = number.as_i64().and_then(|integer| Value::try_from(integer).ok());
            integer.unwrap_or_else(|| Value::Text(number.to_string()))
        }
        serde_json::Value::String(text) => Value::Text(text),
        serde_json::Value::Array(items) => Value::List(items.into_iter().map(convert).collect()),
        serde_json::Value::Object(members) => {
            let members = members.into_iter().map(|(key, value)| (key, convert(value)));
            Value::Object(members.collect::<Object>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_and_large_numbers_are_text() {
        let value = serde_json::json!({"b": [1, u64::MAX, null], "a": {"y": true, "x": "ä"}});
        let text = HashProfile::Rfc8785Sha256V1.canonical(&canonical_value(&value));
        assert_eq!(text, r#"{"a":{"x":"ä","y":true},"b":[1,"18446744073709551615",null]}"#);
        assert_eq!(digest_of(&value), Digest::of(text.as_bytes()));
    }
}
