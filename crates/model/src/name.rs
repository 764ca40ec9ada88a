//! Names and ids: each its own type.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The name of a collection: 1 to 63 of `a-z A-Z 0-9 _ -`, not starting with `-`.
///
/// 63 bytes is what PostgreSQL keeps of a table's name; the alphabet is safe in file names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CollectionName(String);

/// The text cannot name a collection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot name a collection: use 1 to 63 of a-z A-Z 0-9 _ -, not starting with -")]
pub struct BadName(String);

impl CollectionName {
    /// Checks and takes a name.
    pub fn new(name: impl Into<String>) -> Result<Self, BadName> {
        let name = name.into();
        let fits = (1..=63).contains(&name.len())
            && !name.starts_with('-')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if fits { Ok(Self(name)) } else { Err(BadName(name.chars().take(80).collect())) }
    }

    /// The name that a store uses when nothing else is said.
    pub fn standard() -> Self {
        Self("embeddings".to_owned())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CollectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for CollectionName {
    type Error = BadName;

    fn try_from(name: String) -> Result<Self, BadName> {
        Self::new(name)
    }
}

impl From<CollectionName> for String {
    fn from(name: CollectionName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_are_safe_everywhere() {
        for good in ["embeddings", "a", "das_384", "A-b", &"x".repeat(63)] {
            assert!(CollectionName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a.b", "a/b", "..", "a b", "é", &"x".repeat(64), "a\"b"] {
            assert!(CollectionName::new(bad).is_err(), "{bad}");
        }
    }
}
