//! Copies of a JSON document that a schema must refuse.
//!
//! They follow from what the schema says of the places of the document, so that a validator that
//! forgets a keyword, or a judge that does not ask it, is caught. Only keywords that stand beside
//! each other, and so all hold, are used; what stands under `anyOf` and its like is left out.

use carnet_document::{compiled, pointer_token};
use serde_json::{Value, json};

use super::content::probes;
use super::damaged::spots;

/// How many copies at most.
const COPIES_MAX: usize = 48;

/// How deep a schema is followed.
const DEPTH_MAX: u32 = 16;

enum Change {
    Replace(Value),
    Remove(String),
    Add(String),
}

struct Walk<'a> {
    root: &'a Value,
    found: Vec<(&'static str, String, Change)>,
}

/// Texts that must be refused, each with the name of its damage.
pub(super) fn violations(schema: &Value, text: &str) -> Vec<(&'static str, String)> {
    let mut copies = vec![("json_broken", format!("{text}{{"))];
    let Ok(document) = serde_json::from_str::<Value>(text) else { return copies };
    if let Ok(validator) = compiled(schema)
        && let Some(other) = probes().into_iter().find(|probe| !validator.is_valid(probe))
    {
        copies.push(("json_other", other.to_string()));
    }
    let mut walk = Walk { root: schema, found: Vec::new() };
    walk.at(schema, &document, "", 0);
    for (name, pointer, change) in walk.found {
        let mut copy = document.clone();
        if let Some(place) = copy.pointer_mut(&pointer) {
            change.make(place);
        }
        if copy != document {
            copies.push((name, copy.to_string()));
        }
    }
    copies
}

impl Change {
    fn make(self, place: &mut Value) {
        match (self, place) {
            (Self::Replace(value), place) => *place = value,
            (Self::Remove(key), Value::Object(members)) => drop(members.remove(&key)),
            (Self::Add(key), Value::Object(members)) => {
                members.insert(key, Value::Null);
            }
            (Self::Remove(_) | Self::Add(_), _) => {}
        }
    }
}

impl<'a> Walk<'a> {
    fn add(&mut self, name: &'static str, pointer: &str, change: Change) {
        if self.found.len() < COPIES_MAX {
            self.found.push((name, pointer.to_owned(), change));
        }
    }

    fn at(&mut self, schema: &'a Value, value: &Value, pointer: &str, depth: u32) {
        let is_resource = depth > 0 && schema.get("$id").is_some();
        if depth > DEPTH_MAX || is_resource {
            return;
        }
        if let Some(reference) = schema.get("$ref") {
            // Older drafts ignore what stands beside a reference.
            let target = reference.as_str().and_then(|it| it.strip_prefix('#'));
            if let Some(target) = target.and_then(|it| self.root.pointer(it)) {
                self.at(target, value, pointer, depth + 1);
            }
            return;
        }
        self.types(schema, pointer);
        self.choices(schema, pointer);
        match value {
            Value::Number(_) => self.numbers(schema, pointer),
            Value::String(_) => self.texts(schema, pointer),
            Value::Array(items) => self.items(schema, items, pointer, depth),
            Value::Object(members) => self.members(schema, members, pointer, depth),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn types(&mut self, schema: &Value, pointer: &str) {
        let types: Vec<&str> = match schema.get("type") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
            Some(_) | None => return,
        };
        let names = ["null", "boolean", "number", "string", "array", "object"];
        let is_allowed =
            |name: &str| types.contains(&name) || (name == "number" && types.contains(&"integer"));
        let other = names.into_iter().zip(probes()).find(|(name, _)| !is_allowed(name));
        if let Some((_, other)) = other {
            self.add("json_type", pointer, Change::Replace(other));
        }
    }

    fn choices(&mut self, schema: &Value, pointer: &str) {
        let one = schema.get("const").map(std::slice::from_ref);
        let many = schema.get("enum").and_then(Value::as_array).map(Vec::as_slice);
        let Some(choices) = one.or(many) else { return };
        let mut other = "other".to_owned();
        while choices.iter().any(|choice| choice.as_str() == Some(&other)) {
            other.push('x');
        }
        self.add("json_value", pointer, Change::Replace(Value::String(other)));
    }

    fn numbers(&mut self, schema: &Value, pointer: &str) {
        let bound = |key: &str| schema.get(key).and_then(Value::as_i64);
        let steps =
            [("minimum", -1), ("maximum", 1), ("exclusiveMinimum", 0), ("exclusiveMaximum", 0)];
        for (key, step) in steps {
            if let Some(number) = bound(key).and_then(|bound| bound.checked_add(step)) {
                self.add("json_number", pointer, Change::Replace(json!(number)));
            }
        }
    }

    fn texts(&mut self, schema: &Value, pointer: &str) {
        let bound = |key: &str| schema.get(key).and_then(Value::as_u64);
        if bound("minLength").is_some_and(|min| min > 0) {
            self.add("json_length", pointer, Change::Replace(json!("")));
        }
        let longer = bound("maxLength").and_then(|max| usize::try_from(max).ok());
        if let Some(max) = longer.filter(|max| *max < 1_000) {
            self.add("json_length", pointer, Change::Replace(json!("x".repeat(max + 1))));
        }
    }

    fn items(&mut self, schema: &'a Value, items: &[Value], pointer: &str, depth: u32) {
        if schema.get("minItems").and_then(Value::as_u64).is_some_and(|min| min > 0) {
            self.add("json_items", pointer, Change::Replace(json!([])));
        }
        let each = schema.get("items").filter(|it| it.is_object());
        let Some(each) = each.filter(|_| schema.get("prefixItems").is_none()) else { return };
        for spot in spots(items.len()) {
            if let Some(item) = items.get(spot) {
                self.at(each, item, &format!("{pointer}/{spot}"), depth + 1);
            }
        }
    }

    fn members(
        &mut self,
        schema: &'a Value,
        members: &serde_json::Map<String, Value>,
        pointer: &str,
        depth: u32,
    ) {
        let required = schema.get("required").and_then(Value::as_array);
        let required: Vec<&str> =
            required.into_iter().flatten().filter_map(Value::as_str).collect();
        for spot in spots(required.len()) {
            if let Some(key) = required.get(spot) {
                self.add("json_key_missing", pointer, Change::Remove((*key).to_owned()));
            }
        }
        let is_closed = schema.get("additionalProperties") == Some(&Value::Bool(false))
            && schema.get("patternProperties").is_none();
        let properties = schema.get("properties").and_then(Value::as_object);
        if is_closed {
            let mut key = "unknown".to_owned();
            while properties.is_some_and(|it| it.contains_key(&key)) {
                key.push('_');
            }
            self.add("json_key_unknown", pointer, Change::Add(key));
        }
        for (key, schema) in properties.into_iter().flatten() {
            if let Some(value) = members.get(key) {
                let pointer = format!("{pointer}/{}", pointer_token(key));
                self.at(schema, value, &pointer, depth + 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each copy is refused by the real validator, for schemas with all keywords that are used.
    #[test]
    fn every_copy_breaks_the_schema() {
        let schema = json!({
            "$defs": {"level": {"type": "integer", "minimum": 0, "exclusiveMaximum": 11}},
            "type": "object",
            "required": ["name", "level", "tags"],
            "additionalProperties": false,
            "properties": {
                "name": {"type": "string", "minLength": 2, "maxLength": 8},
                "level": {"$ref": "#/$defs/level"},
                "state": {"enum": ["other", "ready"]},
                "kind": {"const": 7},
                "tags": {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}},
            },
        });
        let text =
            r#"{"name": "disk", "level": 3, "state": "ready", "kind": 7, "tags": ["a", "b", "c"]}"#;
        let validator = compiled(&schema).unwrap();
        assert!(validator.is_valid(&serde_json::from_str(text).unwrap()));
        let copies = violations(&schema, text);
        assert!(copies.len() > 20, "{copies:?}");
        for (name, copy) in copies {
            let value = serde_json::from_str::<Value>(&copy);
            assert!(value.is_err() || !validator.is_valid(&value.unwrap()), "{name}: {copy}");
        }
    }

    #[test]
    fn a_schema_of_alternatives_has_copies_too() {
        let schema = json!({"anyOf": [{"type": "null"}, {"type": "string"}]});
        let names: Vec<_> = violations(&schema, "null").into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["json_broken", "json_other"]);
    }
}
