//! A bundle: what crosses a border, as an OCI image layout in a folder or a tar.
//!
//! Reading order: what can be wrong (`fault`), the documents of OCI (`image`), what goes in (`item`),
//! writing (`blobs`, `encryption`, `write`, `seal`), reading (`place`, `read`), what is known of it
//! (`rows`, `evidence`, `expand`, `verify`), what is done with it (`transfer`, `unpack`, `pack`, `registry`).

mod blobs;
mod encryption;
mod evidence;
mod expand;
mod fault;
mod image;
mod item;
mod limits;
mod pack;
mod read;
mod registry;
mod rows;
mod seal;
mod tally;
mod transfer;
mod unpack;
mod verify;
mod write;

pub use self::encryption::{Identities, Recipients};
pub use self::fault::BundleFault;
pub use self::image::{BUNDLE_ARTIFACT_TYPE, BUNDLE_MANIFEST_TYPE, ENCRYPTED_TYPE};
pub use self::item::{BundleItem, ItemSource};
pub use self::limits::BundleLimits;
pub use self::pack::pack_bundle;
pub use self::read::Bundle;
pub(crate) use self::registry::pull_image;
pub use self::registry::{RegistryPlace, pull_bundle, push_bundle};
pub use self::rows::{BundleCheckId, BundleReport, BundleRow};
pub use self::seal::{BundleMembers, Sealed, seal};
pub use self::tally::Tally;
pub use self::transfer::{Transferred, transfer};
pub use self::unpack::{Unpacked, unpack_contents};
pub use self::verify::{BundleRequest, verify_bundle};
pub use self::write::{Laid, lay_out};
