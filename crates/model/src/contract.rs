//! The collection contract: what must be true of a collection's vectors wherever they are.

use std::collections::BTreeMap;
use std::fmt;

use carnet_ledger::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::CollectionName;

/// How two vectors are compared. It belongs to the data and is never rewritten by a move.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Euclidean distance.
    L2,
    /// Inner product; the larger, the nearer. Distances are shown negated.
    InnerProduct,
    /// 1 − cosine similarity.
    Cosine,
}

impl Metric {
    /// The word used in plans, manifests and stores.
    pub const fn name(self) -> &'static str {
        match self {
            Self::L2 => "l2",
            Self::InnerProduct => "inner_product",
            Self::Cosine => "cosine",
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether vectors were scaled before they were stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Normalisation {
    /// Stored as the model gave them.
    None,
    /// Scaled to unit length.
    UnitLength,
}

/// Which model made the vectors. Two models of one dimension do not share a space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EmbeddingModel {
    /// The model's name, as its publisher writes it.
    pub name: String,
    /// Its revision: a commit, a tag, a date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
}

/// A search index, as it is declared: kind and parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IndexSpec {
    /// `flat`, `hnsw`, `ivf_flat`, …
    pub kind: String,
    /// Build parameters by the store's own names, such as `m` and `ef_construction`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, i64>,
}

/// What must be true of a collection wherever it is. A field that nobody declared is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectionContract {
    /// The collection's name. Not part of the contract's digest.
    pub name: CollectionName,
    /// The length of each vector.
    pub dimensions: u32,
    /// How vectors are compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<Metric>,
    /// Whether vectors were scaled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalisation: Option<Normalisation>,
    /// The model that made the vectors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding_model: Option<EmbeddingModel>,
    /// The declared search index. How a store searches is not what it holds, and the same records
    /// may have another index on each side: not part of the contract's digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<IndexSpec>,
}

impl CollectionContract {
    /// A contract of which only the dimensions are known.
    pub fn unknown(name: CollectionName, dimensions: u32) -> Self {
        Self {
            name,
            dimensions,
            metric: None,
            normalisation: None,
            embedding_model: None,
            index: None,
        }
    }

    /// The names of the fields that nobody has declared yet. The contract gate says `no_data`
    /// until there are none.
    pub fn undeclared(&self) -> Vec<&'static str> {
        let mut missing = Vec::new();
        if self.metric.is_none() {
            missing.push("metric");
        }
        if self.normalisation.is_none() {
            missing.push("normalisation");
        }
        if self.embedding_model.is_none() {
            missing.push("embedding_model");
        }
        missing
    }

    /// SHA-256 of the canonical JSON (RFC 8785) of dimensions, metric, normalisation and embedding
    /// model, absent fields as `null`. `docs/formats.md` specifies it.
    pub fn digest(&self) -> Digest {
        let value = serde_json::json!({
            "dimensions": self.dimensions,
            "embedding_model": self.embedding_model.as_ref().map(|model| serde_json::json!({
                "name": model.name, "revision": model.revision,
            })),
            "metric": self.metric.map(Metric::name),
            "normalisation": self.normalisation,
        });
        // Keys of `serde_json::Map` are sorted, all of these are ASCII, and the only number is a
        // small integer: the plain text is the RFC 8785 form but for the strings' escapes, which
        // `serde_json` writes the same way.
        Digest::of(value.to_string().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contract() -> CollectionContract {
        CollectionContract::unknown(CollectionName::standard(), 384)
    }

    #[test]
    fn the_digest_sees_each_declared_fact_and_not_the_name() {
        let plain = contract();
        let renamed =
            CollectionContract { name: CollectionName::new("other").unwrap(), ..contract() };
        assert_eq!(plain.digest(), renamed.digest());
        let changed = [
            CollectionContract { dimensions: 385, ..contract() },
            CollectionContract { metric: Some(Metric::Cosine), ..contract() },
            CollectionContract { normalisation: Some(Normalisation::None), ..contract() },
            CollectionContract {
                embedding_model: Some(EmbeddingModel { name: "m".into(), revision: None }),
                ..contract()
            },
        ];
        for other in changed {
            assert_ne!(plain.digest(), other.digest(), "{other:?}");
        }
    }

    #[test]
    fn the_digest_is_that_of_canonical_json() {
        let text =
            r#"{"dimensions":384,"embedding_model":null,"metric":null,"normalisation":null}"#;
        assert_eq!(contract().digest(), Digest::of(text.as_bytes()));
    }
}
