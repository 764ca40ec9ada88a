//! Nouns and pure decisions. No I/O, no clock, no randomness, no environment.

#![forbid(unsafe_code)]

pub mod capability;
mod contract;
mod decimal;
pub mod gate;
mod layout;
mod loss;
mod metadata;
mod name;
pub mod plan;
mod store_url;
mod text;

pub use carnet_border::{policy, portability, workload};
pub use carnet_document::{Code, Exit, InputError, canonical_json, input_errors};
pub use contract::{CollectionContract, EmbeddingModel, IndexSpec, Metric, Normalisation};
pub use decimal::{Decimal, NotADecimal};
pub use layout::{ColumnMap, TableLayout};
pub use loss::LossName;
pub use metadata::{
    MAX_METADATA_BYTES, MAX_METADATA_DEPTH, MetadataError, canonical_metadata,
    is_canonical_metadata, metadata_holds_nul, write_canonical_metadata,
};
pub use name::{BadName, CollectionName};
pub use store_url::{PostgresUrl, Secret, StoreUrl, StoreUrlError};
pub use text::{NamedSecret, Text};
