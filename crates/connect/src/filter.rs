//! Metadata filters: which records a query may find.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Every named top-level key must be there and equal this value. Numbers are compared by value
/// (1 equals 1.0), lists and objects as a whole. An empty filter fits every record.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Filter(pub BTreeMap<String, Value>);

impl Filter {
    /// Fits every record.
    pub fn none() -> Self {
        Self::default()
    }

    /// Whether there is nothing to test.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a record with this canonical metadata fits. Metadata that is not JSON never fits.
    pub fn fits(&self, metadata: &str) -> bool {
        if self.is_empty() {
            return true;
        }
        let Ok(Value::Object(held)) = serde_json::from_str(metadata) else { return false };
        self.0.iter().all(|(key, wanted)| held.get(key).is_some_and(|value| equal(value, wanted)))
    }
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            a == b
                || (a.is_f64() || b.is_f64())
                    && a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| a.total_cmp(&b).is_eq())
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_must_be_there_and_equal_by_value() {
        let fits = |filter: &str, metadata: &str| {
            serde_json::from_str::<Filter>(filter).unwrap().fits(metadata)
        };
        let metadata = r#"{"a":1,"l":[1,{"x":2}],"n":null,"s":"é"}"#;
        for good in
            [r"{}", r#"{"a":1.0}"#, r#"{"s":"é","a":1}"#, r#"{"l":[1,{"x":2.0}]}"#, r#"{"n":null}"#]
        {
            assert!(fits(good, metadata), "{good}");
        }
        for bad in [r#"{"a":2}"#, r#"{"b":1}"#, r#"{"l":[1]}"#, r#"{"a":"1"}"#, r#"{"a":1,"b":1}"#]
        {
            assert!(!fits(bad, metadata), "{bad}");
        }
        assert!(!fits(r#"{"a":9007199254740993}"#, r#"{"a":9007199254740992}"#));
        assert!(!fits(r#"{"a":1}"#, "not json"));
    }
}
