//! Nouns and pure decisions. No I/O, no clock, no randomness, no environment.

#![forbid(unsafe_code)]

mod code;
mod contract;
mod decimal;
mod layout;
mod loss;
mod name;
pub mod plan;
mod store_url;

pub use code::{Code, Exit};
pub use contract::{CollectionContract, EmbeddingModel, IndexSpec, Metric, Normalisation};
pub use decimal::{Decimal, NotADecimal};
pub use layout::{ColumnMap, TableLayout};
pub use loss::LossName;
pub use name::{BadName, CollectionName};
pub use store_url::{PostgresUrl, Secret, StoreUrl, StoreUrlError};
