//! `faiss:DIR`: index files with tables of metadata beside them.
//!
//! ```text
//! DIR/index.faiss                   the vectors
//! DIR/metadata.parquet              or metadata.sqlite: row i belongs to vector i, or to the vector
//!                                   of the id in its column faiss_id
//! DIR/collection.json               the contract, where it is declared
//! DIR/collections/NAME/…            further collections, with the same files
//! ```

mod assemble;
mod collection;
mod format;
mod load;
mod mapped;
mod once;
mod order;
mod parts;
mod place;
mod rows;
mod scan;
mod search;
mod slots;
mod store;
mod table;
mod view;

pub use format::{
    FlatWriter as FaissFlatWriter, FormatError as FaissFormatError, Index as FaissIndex,
    Layout as FaissLayout, Metric as FaissMetric, Refused as FaissRefused,
};
pub use store::FaissStore;

/// How many threads work at once.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
