//! Schemas of what is printed, in which every object says all of its members.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

/// What stands beside the members of an object and adds to them.
const BESIDE: [&str; 4] = ["$ref", "allOf", "anyOf", "oneOf"];

/// Where the definitions of a schema stand.
const DEFINED: &str = "#/$defs/";

/// The schema of a type as it is written out.
pub(super) fn schema_of<T: JsonSchema>() -> Value {
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut schema = generator.into_root_schema_for::<T>().to_value();
    let mut parts = Parts::default();
    parts.find(&schema, false);
    parts.close(&mut schema, false);
    schema
}

/// The definitions that are a part of an object: they are closed where they are used, with the rest of
/// that object.
#[derive(Default)]
struct Parts(BTreeSet<String>);

impl Parts {
    fn find(&mut self, schema: &Value, part: bool) {
        let Value::Object(schema) = schema else { return };
        let part = part || is_whole(schema);
        if let (Some(name), true) = (defined(schema), part) {
            self.0.insert(name.to_owned());
        }
        for (key, value) in schema {
            match (key.as_str(), value) {
                ("properties" | "$defs", Value::Object(members)) => {
                    for member in members.values() {
                        self.find(member, false);
                    }
                }
                ("items" | "additionalProperties", one) => self.find(one, false),
                ("allOf" | "anyOf" | "oneOf", Value::Array(all)) => {
                    for one in all {
                        self.find(one, part);
                    }
                }
                _ => {}
            }
        }
    }

    /// Closes each object that names its members.
    fn close(&self, schema: &mut Value, part: bool) {
        let Value::Object(schema) = schema else { return };
        let whole = is_whole(schema);
        let open = defined(schema).is_some_and(|name| self.0.contains(name));
        if (schema.contains_key("properties") || open) && !part {
            let key = if whole || open { "unevaluatedProperties" } else { "additionalProperties" };
            schema.entry(key).or_insert(Value::Bool(false));
        }
        for (key, value) in schema.iter_mut() {
            match (key.as_str(), value) {
                ("properties", Value::Object(members)) => self.close_all(members, |_| false),
                ("$defs", Value::Object(all)) => self.close_all(all, |name| self.0.contains(name)),
                ("items" | "additionalProperties", one) => self.close(one, false),
                ("allOf" | "anyOf" | "oneOf", Value::Array(all)) => {
                    for one in all {
                        self.close(one, part || whole);
                    }
                }
                _ => {}
            }
        }
    }

    fn close_all(&self, all: &mut Map<String, Value>, is_part: impl Fn(&str) -> bool) {
        for (name, one) in all {
            self.close(one, is_part(name));
        }
    }
}

/// Whether an object has members here and parts beside them.
fn is_whole(schema: &Map<String, Value>) -> bool {
    schema.contains_key("properties") && BESIDE.iter().any(|beside| schema.contains_key(*beside))
}

/// The definition that stands here.
fn defined(schema: &Map<String, Value>) -> Option<&str> {
    schema.get("$ref").and_then(Value::as_str)?.strip_prefix(DEFINED)
}
