//! How a table that others made maps onto records.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The layout of a table of embeddings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum TableLayout {
    /// The table that Carnet makes, or any table whose columns have those names.
    #[default]
    Carnet,
    /// `langchain_pg_embedding` of LangChain's `PGVector`.
    LangChain,
    /// The `data_…` table of LlamaIndex's `PGVectorStore`.
    LlamaIndex,
    /// Columns named one by one.
    Columns(ColumnMap),
}

/// Which column holds which part of a record. What is not named does not exist in the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ColumnMap {
    /// The id: text, an integer or a uuid; unique.
    pub id: String,
    /// The vector: `vector` or `halfvec`.
    pub vector: String,
    /// The metadata: `jsonb` or `json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<String>,
    /// The version: an integer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The source hash: text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_hash: Option<String>,
    /// The time of creation: `timestamptz`, or an integer of microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_ts: Option<String>,
    /// The time of the last change: as `created_ts`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_ts: Option<String>,
}
