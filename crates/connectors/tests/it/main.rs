//! The connectors against the real things.

#[cfg(test)]
#[cfg(feature = "faiss")]
mod allocations;
#[cfg(test)]
#[cfg(feature = "faiss")]
mod faiss_crash;
#[cfg(test)]
#[cfg(feature = "faiss")]
mod faiss_foreign;
#[cfg(test)]
#[cfg(feature = "faiss")]
mod faiss_format;
#[cfg(test)]
#[cfg(feature = "faiss")]
mod faiss_store;
#[cfg(test)]
#[cfg(feature = "http")]
mod http;
#[cfg(test)]
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(test)]
#[cfg(feature = "postgres")]
mod postgres_faults;
#[cfg(test)]
#[cfg(feature = "postgres")]
mod postgres_foreign;
#[cfg(test)]
#[cfg(feature = "postgres")]
mod postgres_tls;
#[cfg(test)]
#[cfg(feature = "faiss")]
mod python;
#[cfg(test)]
#[cfg(feature = "s3")]
mod s3;
#[cfg(test)]
#[cfg(all(feature = "sqlite", feature = "postgres"))]
mod sql;
#[cfg(test)]
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(test)]
#[cfg(feature = "sqlite")]
mod sqlite_bad;
#[cfg(test)]
#[cfg(feature = "sqlite")]
mod sqlite_places;
#[cfg(test)]
#[cfg(feature = "sqlite")]
mod sqlite_speed;
