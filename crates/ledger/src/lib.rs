//! Evidence that anyone can check: what an auditor reads and builds.

#![forbid(unsafe_code)]

mod digest;

pub use digest::{Digest, Hasher, NotADigest};
