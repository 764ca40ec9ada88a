//! Bundles in a registry of containers, by the distribution protocol of OCI: pushed and pulled by
//! digest, blob by blob.

#[cfg(feature = "registry")]
mod client;
#[cfg(feature = "registry")]
mod image;
#[cfg(not(feature = "registry"))]
mod left_out;
mod place;
#[cfg(feature = "registry")]
mod travel;

#[cfg(feature = "registry")]
pub(crate) use self::image::pull_image;
#[cfg(not(feature = "registry"))]
pub(crate) use self::left_out::pull_image;
#[cfg(not(feature = "registry"))]
pub use self::left_out::{pull_bundle, push_bundle};
pub use self::place::RegistryPlace;
#[cfg(feature = "registry")]
pub use self::travel::{pull_bundle, push_bundle};
