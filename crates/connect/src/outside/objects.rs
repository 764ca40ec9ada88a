//! Places for objects, such as a bucket.

use std::io::Write;

use crate::error::StoreError;

/// One object in a place, named so that another place of the same service can copy it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectPlace {
    /// The bucket.
    pub bucket: String,
    /// The whole key in it.
    pub key: String,
}

/// What is known of an object without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectHead {
    /// Its length.
    pub bytes: u64,
    /// What the service calls this content of it, with its quotes.
    pub etag: String,
    /// SHA-256 of the content, where the service keeps it.
    pub sha256: Option<[u8; 32]>,
    /// When it was last written, in seconds since 1970, UTC.
    pub modified_s: Option<i64>,
}

/// A part of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectPage {
    /// Keys below the prefix of the place, with their lengths, in byte order of key.
    pub objects: Vec<(String, u64)>,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// Under which condition an object is written. The service itself keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutIf {
    /// There is none yet.
    Absent,
    /// It still has this content.
    Etag(String),
}

/// A bucket with a prefix. Keys are below the prefix.
pub trait Objects: Send + Sync {
    /// The service that holds it (scheme, host and port): a copy between places of one service
    /// never leaves it.
    fn service(&self) -> &str;

    /// The bucket and the whole key of an object.
    fn place(&self, key: &str) -> ObjectPlace;

    /// Looks at an object; `None` if there is none.
    fn head(&self, key: &str) -> Result<Option<ObjectHead>, StoreError>;

    /// Reads an object into `out`; gives how many bytes. More than `bytes_max` is an error.
    fn get(&self, key: &str, bytes_max: u64, out: &mut dyn Write) -> Result<u64, StoreError>;

    /// Writes an object. `object.changed` if the condition does not hold.
    fn put(&self, key: &str, bytes: &[u8], condition: &PutIf) -> Result<ObjectHead, StoreError>;

    /// Lets the service copy an object of another place of it, in parts where it is large. The
    /// source must still have this etag, the target must be absent: else `object.changed`.
    fn copy_from(
        &self,
        source: &ObjectPlace,
        source_head: &ObjectHead,
        key: &str,
    ) -> Result<ObjectHead, StoreError>;

    /// Whether an object is a copy of this one: the service itself hashes both, range by range, and
    /// nothing of them passes through here. For objects whose etags cannot be compared.
    fn same_content(
        &self,
        source: &ObjectPlace,
        source_head: &ObjectHead,
        key: &str,
    ) -> Result<bool, StoreError>;

    /// Removes an object that still has this etag: `object.changed` if it has another. Gives
    /// whether there was one.
    fn delete(&self, key: &str, etag: &str) -> Result<bool, StoreError>;

    /// Lists objects whose key starts so, a page at a time, from `next` of the page before.
    fn list(&self, starts_with: &str, next: Option<&str>) -> Result<ObjectPage, StoreError>;
}
