//! What is in the layers of an image.

use std::collections::BTreeMap;

use carnet_ledger::Digest;
use serde::{Deserialize, Serialize};

use super::secrets::SecretSign;

/// How many secrets of an image are told.
pub const SECRETS_MAX: usize = 100;

/// What was found in the layers of an image, all of them read to their end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageContents {
    /// The digest of its manifest, or of its index where it is for several machines.
    pub digest: Digest,
    /// For how many machines it is.
    pub machines: u64,
    /// How many layers were read.
    pub layers: u64,
    /// How many plain files they hold.
    pub files: u64,
    /// Of each path that was asked for, what stands there at the end; of several machines, what is
    /// least of a file.
    pub paths: BTreeMap<String, LayerPath>,
    /// What looks like a secret; [`SECRETS_MAX`] at most.
    pub secrets: Vec<ImageSecret>,
}

/// What stands at a path when all layers lie on each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerPath {
    /// Nothing: never put there, or taken away by a later layer.
    Missing,
    /// A folder, a link, a device.
    Other,
    /// A file without a byte.
    Empty,
    /// A plain file.
    File,
}

/// Something that looks like a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ImageSecret {
    /// The digest of the blob that it is in: a layer, or the config.
    pub blob: Digest,
    /// The path in the layer; `config` in the config.
    pub path: String,
    /// What it looks like.
    pub sign: SecretSign,
}
