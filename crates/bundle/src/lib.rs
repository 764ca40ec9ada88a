//! Content that can be compared and moved. Reading order: record digests and collection roots,
//! snapshots and their parts, what stands on both.

mod artifacts;
mod checksums;
mod collection;
mod columns;
mod encode;
mod error;
mod export;
mod facts;
mod files;
mod leaves;
mod manifest;
mod ordered;
mod record;
mod snapshot_store;
mod table;
mod time;
mod work;

pub use artifacts::ARTIFACT_KINDS;
pub use collection::{CollectionDigest, digest_collection, digest_store};
pub use error::BundleError;
pub use export::{ExportRequest, Exported, IndexWriter, export_snapshot, export_view};
pub use files::FileSum;
pub use leaves::{RangeDigest, RangeLeaves, digest_range, root_of_ranges};
pub use manifest::{MANIFEST, Manifest, ManifestCollection, SCHEMA_VERSION, TREE};
pub use record::{RECORD_DIGEST, record_digest};
pub use snapshot_store::SnapshotStore;
pub use time::SnapshotTime;
pub use work::Work;
