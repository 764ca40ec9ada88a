//! Numbers that are counted with are written whole.
//!
//! JSON Schema takes 2.0 for an integer, and a number of too many digits is rounded by whoever reads
//! it. Who counts with either would find no number, or another one.

use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::fault::Fault;
use crate::form::Form;

/// The first number that is not written whole where the form has a whole one.
pub(crate) fn not_whole(form: Form, value: &Value) -> Option<Fault> {
    // Files have many lines, and hardly any of them has such a number.
    if !has_fraction(value) {
        return None;
    }
    let at = places(form, value).into_iter().find(|at| value.pointer(at).is_some_and(has_fraction));
    let what = "a whole number is written without a point and without an exponent, and fits into 64 bits; \
                a longer one is written as text";
    at.map(|at| Fault::WrongType { at, what: what.to_owned() })
}

/// Copies of a file in which a whole number is written as a fraction: the first, the middle and the last
/// one.
pub fn with_fractions(form: Form, value: &Value) -> Vec<Value> {
    let places = places(form, value);
    let mut spots = vec![0, places.len() / 2, places.len().saturating_sub(1)];
    spots.dedup();
    let copies = spots.into_iter().filter_map(|spot| {
        let mut copy = value.clone();
        let number = copy.pointer_mut(places.get(spot)?)?;
        *number = json!(number.as_f64()?);
        Some(copy)
    });
    copies.collect()
}

fn has_fraction(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(has_fraction),
        Value::Object(members) => members.values().any(has_fraction),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

/// Where the form has a whole number, and there is a number: JSON pointers.
fn places(form: Form, value: &Value) -> Vec<String> {
    static SCHEMAS: LazyLock<Vec<Value>> =
        LazyLock::new(|| Form::ALL.iter().map(|form| form.schema()).collect());
    let spot = Form::ALL.iter().position(|other| *other == form);
    let mut found = Vec::new();
    if let Some(schema) = spot.and_then(|spot| SCHEMAS.get(spot)) {
        walk((schema, schema), value, String::new(), &mut found);
    }
    found
}

/// Follows a schema, the second beside the whole of it, as far as it says what a place holds.
fn walk((whole, schema): (&Value, &Value), value: &Value, at: String, found: &mut Vec<String>) {
    let named = schema.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix('#'));
    if let Some(schema) = named.and_then(|name| whole.pointer(name)) {
        return walk((whole, schema), value, at, found);
    }
    for schema in schema.get("anyOf").and_then(Value::as_array).into_iter().flatten() {
        walk((whole, schema), value, at.clone(), found);
    }
    match value {
        Value::Number(_) if is_integer(schema) => found.push(at),
        Value::Object(members) => {
            for (key, value) in members {
                let own = schema.get("properties").and_then(|own| own.get(key));
                if let Some(schema) = own.or_else(|| schema.get("additionalProperties")) {
                    let at = format!("{at}/{}", carnet_document::pointer_token(key));
                    walk((whole, schema), value, at, found);
                }
            }
        }
        Value::Array(items) => {
            let Some(schema) = schema.get("items") else { return };
            for (spot, value) in items.iter().enumerate() {
                walk((whole, schema), value, format!("{at}/{spot}"), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn is_integer(schema: &Value) -> bool {
    match schema.get("type") {
        Some(Value::Array(types)) => types.iter().any(|name| name == "integer"),
        Some(name) => name == "integer",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read;

    /// Each schema is followed to each number that is counted with.
    #[test]
    fn every_number_of_a_form_is_found() {
        fn numbers(value: &Value) -> usize {
            match value {
                Value::Number(_) => 1,
                Value::Array(items) => items.iter().map(numbers).sum(),
                Value::Object(members) => members.values().map(numbers).sum(),
                Value::Null | Value::Bool(_) | Value::String(_) => 0,
            }
        }
        for form in Form::ALL {
            let example = form.example();
            // A configuration is what the run says it is.
            let free = usize::from(*form == Form::Run);
            assert_eq!(places(*form, &example).len() + free, numbers(&example), "{form}");
            for copy in with_fractions(*form, &example) {
                let fault = read(*form, copy.to_string().as_bytes()).unwrap_err();
                assert_eq!(fault.name(), "wrong_type", "{form} {copy}");
            }
        }
    }
}
