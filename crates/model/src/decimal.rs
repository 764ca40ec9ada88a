//! Fractions without floats in what is hashed: a double as its shortest decimal text.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A finite double, written as the shortest decimal text that reads back to it (the form of
/// RFC 8785). Serialised as a string, so that no float stands in canonical JSON. −0 is 0.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
pub struct Decimal(f64);

/// The text is not a finite decimal number of at most 64 characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a decimal number: {0:?}")]
pub struct NotADecimal(String);

impl Decimal {
    /// 0.
    pub const ZERO: Self = Self(0.0);

    /// Takes a number; `None` if it is infinite or not a number.
    pub fn new(number: f64) -> Option<Self> {
        // Adding +0 turns −0 into 0 and changes nothing else.
        number.is_finite().then_some(Self(number + 0.0))
    }

    /// The number.
    pub const fn value(self) -> f64 {
        self.0
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ryu_js::Buffer::new().format_finite(self.0))
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

// Never NaN, so equality is total.
impl Eq for Decimal {}

impl FromStr for Decimal {
    type Err = NotADecimal;

    /// Reads digits with an optional sign, fraction and exponent.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || NotADecimal(text.chars().take(64).collect());
        let shape = text.len() <= 64
            && text.starts_with(|c: char| c.is_ascii_digit() || c == '-')
            && text.ends_with(|c: char| c.is_ascii_digit())
            && text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
        let number = if shape { text.parse().map_err(|_| wrong())? } else { f64::NAN };
        Self::new(number).ok_or_else(wrong)
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Decimal {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Decimal".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$",
            "maxLength": 64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_one_form() {
        for (text, form) in [
            ("0.00001", "0.00001"),
            ("0.0000100", "0.00001"),
            ("1e-7", "1e-7"),
            ("-0", "0"),
            ("12", "12"),
            ("0.1", "0.1"),
        ] {
            assert_eq!(text.parse::<Decimal>().unwrap().to_string(), form, "{text}");
        }
        assert_eq!(Decimal::new(-0.0).unwrap().to_string(), "0");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "-", ".5", "5.", "1e999", "nan", "inf", "1_0", " 1", "0x1", "+1", "1e"] {
            assert!(text.parse::<Decimal>().is_err(), "{text}");
        }
        assert!(Decimal::new(f64::NAN).is_none());
    }
}
