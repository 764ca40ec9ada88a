//! Values through serde, with the same refusals as in [`Value::parse`].

use std::fmt;

use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Integer, Object, Value};

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => to.serialize_unit(),
            Self::Bool(word) => to.serialize_bool(*word),
            Self::Integer(number) => to.serialize_i64(number.get()),
            Self::Text(text) => to.serialize_str(text),
            Self::List(list) => list.serialize(to),
            Self::Object(members) => members.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without fractions")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, word: bool) -> Result<Value, E> {
        Ok(Value::Bool(word))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Integer::try_from(number).map(Value::Integer).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        Integer::try_from(number).map(Value::Integer).map_err(E::custom)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = from.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut members = Object::new();
        while let Some((key, value)) = from.next_entry::<String, Value>()? {
            if members.contains_key(&key) {
                return Err(A::Error::custom(format!("the key {key:?} stands twice")));
            }
            members.insert(key, value);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_through_serde_unchanged_or_not_at_all() {
        let text = r#"{"a":[1,-2,null,true,"é"],"b":{}}"#;
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(value, Value::parse(text.as_bytes(), 100).unwrap());
        assert_eq!(serde_json::to_string(&value).unwrap(), text);
        for wrong in ["1.0", "1.5", "9007199254740992", r#"{"a":1,"a":2}"#, "1e3"] {
            assert!(serde_json::from_str::<Value>(wrong).is_err(), "{wrong}");
        }
    }
}
