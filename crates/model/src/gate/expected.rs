//! What a single value must be.

use carnet_document::InputError;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::decimal::Decimal;

/// A single value of a database row or of a JSON document. Fractions are text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum Scalar {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Text, or a number with a fraction.
    Text(String),
}

impl Scalar {
    /// The number that it is, as the nearest double; text counts if it is a decimal number.
    pub fn number(&self) -> Option<Decimal> {
        match self {
            Self::Integer(number) => number.to_string().parse().ok(),
            Self::Text(text) => text.parse().ok(),
            Self::Null | Self::Bool(_) => None,
        }
    }

    /// A value of a JSON document; `None` for lists and objects.
    pub fn of_json(value: &serde_json::Value) -> Option<Self> {
        match value {
            serde_json::Value::Null => Some(Self::Null),
            serde_json::Value::Bool(word) => Some(Self::Bool(*word)),
            serde_json::Value::Number(number) => {
                Some(number.as_i64().map_or_else(|| Self::Text(number.to_string()), Self::Integer))
            }
            serde_json::Value::String(text) => Some(Self::Text(text.clone())),
            serde_json::Value::Array(_) | serde_json::Value::Object(_) => None,
        }
    }

    /// Another value of the same kind.
    pub(super) fn other(&self) -> Self {
        match self {
            Self::Null => Self::Text("something".to_owned()),
            Self::Bool(word) => Self::Bool(!word),
            Self::Integer(i64::MAX) => Self::Integer(i64::MAX - 1),
            Self::Integer(number) => Self::Integer(number + 1),
            Self::Text(text) => Self::Text(format!("{text}x")),
        }
    }
}

impl std::fmt::Display for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(word) => write!(f, "{word}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Text(text) => {
                let short: String = text.chars().take(40).collect();
                let more = if short.len() < text.len() { "…" } else { "" };
                write!(f, "{short:?}{more}")
            }
        }
    }
}

/// What a value must be: at least one of the keys. Numbers are compared as doubles.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Expected {
    /// Exactly this value: true or false, a whole number, or text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "equals_schema")]
    pub equals: Option<Scalar>,
    /// A number that is no smaller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<Decimal>,
    /// A number that is no larger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<Decimal>,
}

fn equals_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": ["boolean", "integer", "string"]})
}

impl Expected {
    /// What is wrong with it at this place of the inputs.
    pub(super) fn check(&self, pointer: &str) -> Vec<InputError> {
        let remedy = "write `equals`, `at_least` or `at_most`";
        if self.equals.is_none() && self.at_least.is_none() && self.at_most.is_none() {
            return vec![InputError::new(pointer, "nothing is demanded of the value", remedy)];
        }
        if let (Some(least), Some(most)) = (self.at_least, self.at_most)
            && least > most
        {
            let what = format!("no number is at least {least} and at most {most}");
            return vec![InputError::new(pointer, what, "exchange the two")];
        }
        Vec::new()
    }

    /// What is wrong with a value: a fragment that follows its name.
    pub(super) fn wrong(&self, seen: &Scalar) -> Option<String> {
        if let Some(equals) = &self.equals
            && equals != seen
        {
            return Some(format!("is {seen}, and must be {equals}"));
        }
        let (least, most) = (self.at_least, self.at_most);
        if least.is_none() && most.is_none() {
            return None;
        }
        let Some(number) = seen.number() else {
            return Some(format!("is {seen}, which is no number"));
        };
        match (least, most) {
            (Some(least), _) if number < least => {
                Some(format!("is {number}, and must be at least {least}"))
            }
            (_, Some(most)) if number > most => {
                Some(format!("is {number}, and must be at most {most}"))
            }
            _ => None,
        }
    }

    /// Values that must be refused.
    pub(super) fn damage(&self, seen: &Scalar) -> Vec<(&'static str, Scalar)> {
        let mut copies = vec![("value_null", Scalar::Null)];
        if self.equals.is_some() {
            copies.push(("value_other", seen.other()));
        }
        if let Some(below) = self.at_least.and_then(|it| Decimal::new(it.value().next_down())) {
            copies.push(("value_below", Scalar::Text(below.to_string())));
        }
        if let Some(above) = self.at_most.and_then(|it| Decimal::new(it.value().next_up())) {
            copies.push(("value_above", Scalar::Text(above.to_string())));
        }
        if self.at_least.is_some() || self.at_most.is_some() {
            copies.push(("value_no_number", Scalar::Text("many".to_owned())));
        }
        copies
    }

    /// In words, after the name of the value.
    pub(super) fn words(&self) -> String {
        let equals = self.equals.as_ref().map(|it| format!("is {it}"));
        let least = self.at_least.map(|it| format!("is at least {it}"));
        let most = self.at_most.map(|it| format!("is at most {it}"));
        let words: Vec<String> = [equals, least, most].into_iter().flatten().collect();
        words.join(" and ")
    }
}
