//! Encryption of single blobs, by age: everything else in a bundle stays readable.

#[cfg(feature = "age")]
mod by_age;
#[cfg(not(feature = "age"))]
mod left_out;

#[cfg(feature = "age")]
pub use self::by_age::{Identities, Recipients};
#[cfg(not(feature = "age"))]
pub use self::left_out::{Identities, Recipients};

/// The name of the scheme in manifests.
pub(super) const SCHEME: &str = "age-v1";
