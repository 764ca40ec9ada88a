//! What is wrong with the inputs of a gate or a capability, as a person wrote them.

use std::fmt;

use jsonschema::PatternOptions;
use jsonschema::error::ValidationErrorKind;
use serde_json::Value;

/// One thing that is wrong with inputs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct InputError {
    /// Where: a JSON pointer (RFC 6901) into the inputs; empty for all of them.
    pub pointer: String,
    /// What is wrong: a lowercase fragment. It never repeats a value, which may be a secret.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl InputError {
    /// Something wrong at a place.
    pub fn new(
        pointer: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { pointer: pointer.into(), what: what.into(), remedy: remedy.into() }
    }

    /// The same below a key: for inputs inside of others.
    #[must_use]
    pub fn below(mut self, pointer: &str) -> Self {
        self.pointer.insert_str(0, pointer);
        self
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pointer.is_empty() {
            return f.write_str(&self.what);
        }
        write!(f, "{}: {}", self.pointer, self.what)
    }
}

/// What of the inputs does not follow a JSON Schema; not empty if the schema itself is none.
pub fn input_errors(schema: &Value, inputs: &Value) -> Vec<InputError> {
    let validator = match compiled(schema) {
        Ok(validator) => validator,
        Err(what) => return vec![InputError::new("", what, "correct the schema")],
    };
    validator.iter_errors(inputs).flat_map(|error| told(&error)).collect()
}

/// Options under which patterns are matched in linear time, so that no text can make them run away.
pub fn linear<'i>() -> jsonschema::ValidationOptions<'i> {
    jsonschema::options().with_pattern_options(PatternOptions::regex())
}

/// A schema made ready. Nothing is fetched for it: a reference to another document is an error.
pub fn compiled(schema: &Value) -> Result<jsonschema::Validator, String> {
    linear().build(schema).map_err(|error| {
        let place = error.instance_path().to_string();
        let place = if place.is_empty() { "its root".to_owned() } else { place };
        format!("the JSON Schema is not one, at {place}: {}", error.masked())
    })
}

/// Each wrong thing in our own words; what is rare, in those of the validator without the value.
pub fn told(error: &jsonschema::ValidationError<'_>) -> Vec<InputError> {
    let pointer = error.instance_path().to_string();
    #[expect(clippy::wildcard_enum_match_arm, reason = "the validator's own list, which grows")]
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => unexpected
            .iter()
            .map(|key| {
                let pointer = format!("{pointer}/{}", pointer_token(key));
                InputError::new(pointer, format!("there is no key `{key}` here"), "take it out")
            })
            .collect(),
        ValidationErrorKind::Required { property } => {
            let key = property.as_str().unwrap_or_default();
            vec![InputError::new(pointer, format!("the key `{key}` is missing"), "add it")]
        }
        _ => {
            let what = error.masked().to_string();
            vec![InputError::new(pointer, what, "write what the schema of this key demands")]
        }
    }
}

/// A key as a part of a JSON pointer.
pub fn pointer_token(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_wrong_thing_is_told_with_its_place_and_without_its_value() {
        let schema = json!({
            "type": "object",
            "required": ["program"],
            "additionalProperties": false,
            "properties": {"program": {"type": "string"}, "args": {"items": {"type": "string"}}},
        });
        let told = |inputs: &Value| -> Vec<String> {
            input_errors(&schema, inputs).iter().map(ToString::to_string).collect()
        };
        assert_eq!(told(&json!({"program": "true", "args": ["x"]})), Vec::<String>::new());
        assert_eq!(told(&json!({})), ["the key `program` is missing"]);
        let wrong = told(&json!({"program": "true", "args": ["x", 71_077], "a/b": 1}));
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        assert!(wrong.contains(&"/a~1b: there is no key `a/b` here".to_owned()), "{wrong:?}");
        assert!(wrong.iter().any(|it| it.starts_with("/args/1: ")), "{wrong:?}");
        assert!(!wrong.concat().contains("71077"), "{wrong:?}");
    }

    #[test]
    fn a_schema_that_is_none_or_lies_elsewhere_is_refused() {
        for schema in [
            json!({"type": "nothing"}),
            json!({"$ref": "https://example.org/schema.json"}),
            json!({"$ref": "file:///etc/hostname"}),
            json!({"pattern": "("}),
        ] {
            let errors = input_errors(&schema, &json!("x"));
            assert_eq!(errors.len(), 1, "{schema}: {errors:?}");
            assert!(errors.iter().all(|it| it.what.contains("JSON Schema")), "{errors:?}");
        }
    }

    #[test]
    fn inputs_inside_of_others_keep_their_place() {
        let error = InputError::new("/url", "not a URL", "write one").below("/from/sql");
        assert_eq!(error.to_string(), "/from/sql/url: not a URL");
    }
}
