//! Evidence that anyone can check: what an auditor reads and builds.

mod digest;

pub use digest::{Digest, Hasher, NotADigest};
