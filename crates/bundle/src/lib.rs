//! Content that can be compared: record digests and collection roots.

mod collection;
mod error;
mod facts;
mod leaves;
mod record;
mod work;

pub use collection::{CollectionDigest, digest_collection, digest_store};
pub use error::BundleError;
pub use leaves::{RangeDigest, RangeLeaves, digest_range, root_of_ranges};
pub use record::{RECORD_DIGEST, record_digest};
pub use work::Work;
