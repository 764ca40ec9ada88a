//! Stores that Carnet reads and writes, a folder and a feature each.
#![deny(unsafe_code)]

#[cfg(feature = "faiss")]
mod faiss;

#[cfg(feature = "faiss")]
pub use faiss::{
    FaissFlatWriter, FaissFormatError, FaissIndex, FaissLayout, FaissMetric, FaissRefused,
};
