//! The documents of OCI that make a folder of blobs a bundle.

use std::collections::BTreeMap;

use carnet_ledger::Digest;
use carnet_model::canonical_json;
use serde::{Deserialize, Serialize};

use super::fault::BundleFault;

/// The type of a bundle among the artifacts of OCI.
pub const BUNDLE_ARTIFACT_TYPE: &str = "application/vnd.carnet.bundle.v1";
/// The media type of `manifest.json` in a bundle.
pub const BUNDLE_MANIFEST_TYPE: &str = "application/vnd.carnet.bundle.manifest.v1+json";
/// The media type of a blob that age has encrypted.
pub const ENCRYPTED_TYPE: &str = "application/vnd.age";
/// What the types of bundles of any version begin with.
const ARTIFACT_TYPE_STEM: &str = "application/vnd.carnet.bundle.v";
/// The config that artifacts have, and its type.
pub(super) const EMPTY_CONFIG: &[u8] = b"{}";
const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
const LAYOUT_VERSION: &str = "1.0.0";
/// The annotation with the path of a layer.
const TITLE: &str = "org.opencontainers.image.title";
/// A registry takes no larger manifest, and no layout of ours has a larger index.
pub(super) const DOCUMENT_BYTES_MAX: u64 = 4 << 20;

/// The names of the files of a layout.
pub(super) const LAYOUT_FILE: &str = "oci-layout";
pub(super) const INDEX_FILE: &str = "index.json";
pub(super) const BLOBS_FOLDER: &str = "blobs/sha256";

/// One blob of a bundle, as the image manifest names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layer {
    pub(super) title: String,
    pub(super) media_type: String,
    pub(super) digest: Digest,
    pub(super) size: u64,
}

/// The image manifest of a bundle, and its layers in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BundleImage {
    pub(super) config: (Digest, u64),
    pub(super) layers: Vec<Layer>,
}

/// The path of a blob in its layout.
pub(super) fn blob_path(digest: &Digest) -> String {
    format!("{BLOBS_FOLDER}/{digest}")
}

/// The version of image manifests and indexes.
const SCHEMA: u32 = 2;
const IMAGE_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";

/// What leads to a blob. Members that are not named here are passed over, as OCI demands.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    artifact_type: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ImageManifest {
    schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    artifact_type: Option<String>,
    config: Descriptor,
    layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject: Option<Descriptor>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ImageIndex {
    schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    manifests: Vec<Descriptor>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OciLayout {
    image_layout_version: String,
}

fn descriptor(media_type: &str, digest: Digest, size: u64) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        digest: format!("sha256:{digest}"),
        size,
        annotations: BTreeMap::new(),
        artifact_type: None,
    }
}

/// The text of `oci-layout`.
pub(super) fn layout_text() -> String {
    canonical_json(&OciLayout { image_layout_version: LAYOUT_VERSION.to_owned() })
}

/// The image manifest of a bundle with these layers.
pub(super) fn image_text(layers: &[Layer]) -> String {
    let described = layers.iter().map(|layer| Descriptor {
        annotations: BTreeMap::from([(TITLE.to_owned(), layer.title.clone())]),
        ..descriptor(&layer.media_type, layer.digest, layer.size)
    });
    canonical_json(&ImageManifest {
        schema_version: SCHEMA,
        media_type: Some(IMAGE_TYPE.to_owned()),
        artifact_type: Some(BUNDLE_ARTIFACT_TYPE.to_owned()),
        config: descriptor(EMPTY_TYPE, Digest::of(EMPTY_CONFIG), EMPTY_CONFIG.len() as u64),
        layers: described.collect(),
        subject: None,
    })
}

/// The text of `index.json`, which names one image manifest.
pub(super) fn index_text(manifest: Digest, size: u64) -> String {
    let entry = Descriptor {
        artifact_type: Some(BUNDLE_ARTIFACT_TYPE.to_owned()),
        ..descriptor(IMAGE_TYPE, manifest, size)
    };
    canonical_json(&ImageIndex {
        schema_version: SCHEMA,
        media_type: Some(INDEX_TYPE.to_owned()),
        manifests: vec![entry],
    })
}

/// Whether `oci-layout` is one that is known.
pub(super) fn check_layout(bytes: &[u8]) -> Result<(), BundleFault> {
    let layout: OciLayout = parse(LAYOUT_FILE, bytes)?;
    let found = layout.image_layout_version;
    if found == LAYOUT_VERSION {
        return Ok(());
    }
    Err(BundleFault::Version(format!(
        "the layout is of version {found:?}; this build reads {LAYOUT_VERSION}"
    )))
}

/// The manifests that an index names, with their sizes.
pub(super) fn read_index(bytes: &[u8]) -> Result<Vec<(Digest, u64)>, BundleFault> {
    let index: ImageIndex = parse(INDEX_FILE, bytes)?;
    check_schema(INDEX_FILE, index.schema_version)?;
    let of_images = index.manifests.iter().filter(|one| one.media_type == IMAGE_TYPE);
    of_images.map(|one| Ok((sha256_of(one)?, one.size))).collect()
}

/// Reads an image manifest. None if it is that of something else, or only refers to another one.
pub(super) fn read_image(bytes: &[u8]) -> Result<Option<BundleImage>, BundleFault> {
    let manifest: ImageManifest = parse("the image manifest", bytes)?;
    let kind = manifest.artifact_type.as_deref().unwrap_or_default();
    if manifest.subject.is_some() || !kind.starts_with(ARTIFACT_TYPE_STEM) {
        return Ok(None);
    }
    check_schema("the image manifest", manifest.schema_version)?;
    if kind != BUNDLE_ARTIFACT_TYPE {
        return Err(BundleFault::Version(format!(
            "it is of the type {kind}; this build reads {BUNDLE_ARTIFACT_TYPE}"
        )));
    }
    let layers = manifest.layers.iter().map(|one| {
        let title = one.annotations.get(TITLE).ok_or_else(|| {
            BundleFault::Malformed(format!("the layer {} has no title", one.digest))
        })?;
        Ok(Layer {
            title: title.clone(),
            media_type: one.media_type.clone(),
            digest: sha256_of(one)?,
            size: one.size,
        })
    });
    let layers = layers.collect::<Result<Vec<_>, BundleFault>>()?;
    let config = (sha256_of(&manifest.config)?, manifest.config.size);
    Ok(Some(BundleImage { config, layers }))
}

fn check_schema(what: &str, version: u32) -> Result<(), BundleFault> {
    if version == SCHEMA {
        return Ok(());
    }
    Err(BundleFault::Version(format!("{what} is of schema {version}; this build reads {SCHEMA}")))
}

fn sha256_of(one: &Descriptor) -> Result<Digest, BundleFault> {
    let digest = one.digest.strip_prefix("sha256:").and_then(|hex| hex.parse().ok());
    digest.ok_or_else(|| BundleFault::Malformed(format!("{:?} is no SHA-256", one.digest)))
}

fn parse<T: serde::de::DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, BundleFault> {
    serde_json::from_slice(bytes)
        .map_err(|error| BundleFault::Malformed(format!("{what} cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers() -> Vec<Layer> {
        ["manifest.json", "config/a"]
            .map(|title| Layer {
                title: title.to_owned(),
                media_type: "text/plain".to_owned(),
                digest: Digest::of(title.as_bytes()),
                size: title.len() as u64,
            })
            .into()
    }

    #[test]
    fn what_is_written_is_read_and_is_canonical() {
        let layout = layout_text();
        check_layout(layout.as_bytes()).unwrap();
        let manifest = image_text(&layers());
        let digest = Digest::of(manifest.as_bytes());
        let index = index_text(digest, manifest.len() as u64);
        assert_eq!(read_index(index.as_bytes()), Ok(vec![(digest, manifest.len() as u64)]));
        let image = read_image(manifest.as_bytes()).unwrap().unwrap();
        assert_eq!(image.layers, layers());
        assert_eq!(image.config, (Digest::of(b"{}"), 2));
        for text in [layout, index, manifest] {
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(canonical_json(&value), text);
        }
    }

    #[test]
    fn another_version_another_artifact_and_a_referrer_are_told_apart() {
        let manifest = image_text(&layers());
        let newer = manifest.replace("carnet.bundle.v1\"", "carnet.bundle.v2\"");
        assert!(matches!(read_image(newer.as_bytes()), Err(BundleFault::Version(_))));
        let other = manifest.replace(BUNDLE_ARTIFACT_TYPE, "application/vnd.example");
        assert_eq!(read_image(other.as_bytes()), Ok(None));
        let mut referrer: serde_json::Value = serde_json::from_str(&manifest).unwrap();
        referrer["subject"] = referrer["config"].clone();
        assert_eq!(read_image(referrer.to_string().as_bytes()), Ok(None));
        let md5 = manifest.replace("sha256:", "sha512:");
        assert!(matches!(read_image(md5.as_bytes()), Err(BundleFault::Malformed(_))));
    }
}
