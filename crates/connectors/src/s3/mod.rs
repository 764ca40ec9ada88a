//! Objects in S3 and in what speaks like it: `s3://BUCKET/PREFIX?endpoint=URL&region=NAME`.
//!
//! Requests are signed here and sent like every other one; nothing is kept between them. Conditions
//! (`If-Match`, `If-None-Match`) are for the service to keep, and what it answers is looked at again.
//!
//! Reading order: `place` reads the URL, `call` sends one request, `answer` reads what comes back,
//! `objects` is the trait, `parts` copies what is large.

mod answer;
mod call;
mod objects;
mod parts;
mod place;

use carnet_connect::{Objects, StoreError};
use carnet_model::Secret;

/// The keys of an account, as the environment has them. Never shown.
#[derive(Debug, Clone, Default)]
pub struct S3Keys {
    /// `AWS_ACCESS_KEY_ID`.
    pub id: Option<Secret>,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret: Option<Secret>,
    /// `AWS_SESSION_TOKEN`, of keys that expire.
    pub token: Option<Secret>,
}

/// Opens a place for objects. Nothing is asked of the service yet.
pub fn open_objects(url: &str, keys: &S3Keys) -> Result<Box<dyn Objects>, StoreError> {
    Ok(Box::new(objects::Bucket::open(url, keys)?))
}
