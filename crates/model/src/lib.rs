//! Nouns and pure decisions. No I/O, no clock, no randomness, no environment.

#![forbid(unsafe_code)]

mod canonical;
pub mod capability;
mod code;
mod contract;
mod decimal;
pub mod gate;
mod input;
mod layout;
mod loss;
mod metadata;
mod name;
pub mod plan;
pub mod policy;
pub mod portability;
mod store_url;
mod text;
pub mod workload;

pub use canonical::canonical_json;
pub use code::{Code, Exit};
pub use contract::{CollectionContract, EmbeddingModel, IndexSpec, Metric, Normalisation};
pub use decimal::{Decimal, NotADecimal};
pub use input::{InputError, input_errors};
pub use layout::{ColumnMap, TableLayout};
pub use loss::LossName;
pub use metadata::{
    MAX_METADATA_BYTES, MAX_METADATA_DEPTH, MetadataError, canonical_metadata,
    is_canonical_metadata, metadata_holds_nul, write_canonical_metadata,
};
pub use name::{BadName, CollectionName};
pub use store_url::{PostgresUrl, Secret, StoreUrl, StoreUrlError};
pub use text::{NamedSecret, Text};
