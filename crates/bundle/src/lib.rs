//! Content that can be compared and moved. Reading order: record digests and collection roots,
//! snapshots and their parts, what stands on both; `oci` is the bundle that carries any of it.

#![forbid(unsafe_code)]

mod archive;
mod artifacts;
mod checksums;
mod collection;
mod columns;
mod container_image;
mod copy;
mod declared;
mod diff;
mod difference;
mod encode;
mod error;
mod export;
mod facts;
mod files;
mod import;
mod install;
mod leaves;
mod manifest;
mod new_folder;
mod oci;
mod ordered;
mod package;
mod placed;
mod policy_folder;
mod record;
mod signature;
mod snapshot_store;
mod table;
mod time;
mod vectors;
mod verify;
mod work;

pub use archive::{ArchiveKind, ArchiveLimits, SnapshotPlace, pack, unpack};
pub use artifacts::{ARTIFACT_KINDS, beside_the_store};
pub use carnet_model::plan::ImportMode;
pub use collection::{CollectionDigest, digest_collection, digest_store};
pub use container_image::{
    ContainerImage, IMAGE_FOLDER, ImageFile, ImageLimits, LookLimits, canary_secret,
    look_into_layout, read_image, tagged_so, verify_image,
};
pub use copy::{Copied, CopyRequest, copy};
pub use declared::DeclaredView;
pub use diff::{CollectionDiff, DiffReport, Difference, DifferenceKind, diff, diff_collection};
pub use difference::FieldDifference;
pub use error::BundleError;
pub use export::{ExportRequest, Exported, IndexWriter, export_snapshot, export_view};
pub use files::{FileSum, HashedFile};
pub use import::{
    AcceptedLoss, CollectionPlan, Expected, ImportCounts, ImportJournal, ImportPlan, ImportRequest,
    Imported, MemoryJournal, NoJournal, RangePlan, VerifiedCollection, VerifiedImport, plan_import,
    run_import, verify_target,
};
pub use install::{ArtifactCounts, ArtifactInstall};
pub use leaves::{RangeDigest, RangeLeaves, digest_range, root_of_ranges};
pub use manifest::{MANIFEST, Manifest, ManifestCollection, SCHEMA_VERSION, TREE};
pub use new_folder::NewFolder;
pub use oci::{
    BUNDLE_ARTIFACT_TYPE, BUNDLE_MANIFEST_TYPE, Bundle, BundleCheckId, BundleFault, BundleItem,
    BundleLimits, BundleMembers, BundleReport, BundleRequest, BundleRow, ENCRYPTED_TYPE,
    Identities, ItemSource, Laid, Recipients, RegistryPlace, Sealed, Tally, Transferred, Unpacked,
    lay_out, pack_bundle, pull_bundle, push_bundle, seal, transfer, unpack_contents, verify_bundle,
};
pub use package::Package;
pub use placed::check_placed;
pub use policy_folder::{CURRENT_POLICY, POLICY_SNAPSHOTS, read_policy, write_policy};
pub use record::{RECORD_DIGEST, record_digest};
pub use signature::{ManifestSigner, signature_file};
pub use snapshot_store::SnapshotStore;
pub use time::SnapshotTime;
pub use verify::{Check, CheckVerdict, Verification, verify_snapshot};
pub use work::Work;
