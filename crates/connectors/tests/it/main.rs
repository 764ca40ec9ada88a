//! The connectors against the real things.

#[cfg(feature = "faiss")]
mod allocations;
#[cfg(feature = "faiss")]
mod faiss_format;
#[cfg(feature = "faiss")]
mod python;
#[cfg(test)]
#[cfg(feature = "sqlite")]
mod sqlite;
