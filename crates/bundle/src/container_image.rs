//! The image of a container on its way into a bundle: read from a layout of OCI or a docker archive,
//! every blob compared with its digest, and nothing taken along that the image does not name.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use carnet_connect::StoreError;
use carnet_ledger::Digest;
use carnet_model::Code;
use carnet_model::workload::ImageReference;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::error::BundleError;
use crate::files::{HashedFile, hash_file, read_small, write_file};
use crate::oci::{RegistryPlace, pull_image};

/// The folder of an image in a bundle.
pub const IMAGE_FOLDER: &str = "image";

/// The longest index, manifest or config in bytes.
const DOCUMENT_BYTES_MAX: u64 = 4 << 20;
/// How many blobs an image has at most.
pub(crate) const BLOBS_MAX: usize = 10_000;
/// How deep an index may name another one.
pub(crate) const DEPTH_MAX: usize = 2;

pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// What an image may be described by, in a layout and in a registry.
#[cfg(feature = "registry")]
pub(crate) const IMAGE_TYPES: [&str; 4] = [MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_INDEX];
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// What an image may be at most.
#[derive(Debug, Clone, Copy)]
pub struct ImageLimits {
    /// The bytes of all its blobs together.
    pub bytes: u64,
}

impl Default for ImageLimits {
    fn default() -> Self {
        Self { bytes: 1 << 40 }
    }
}

/// An image whose blobs all have their digests.
#[derive(Debug, Clone)]
pub struct ContainerImage {
    /// The digest of its manifest, or of its index where it is for several machines.
    pub manifest: Digest,
    /// All its files, in byte order of path.
    pub files: Vec<ImageFile>,
}

/// A file of an image, with its path in a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFile {
    /// Its path: `image/…`.
    pub path: String,
    /// Its media type.
    pub media_type: String,
    /// Where its bytes are.
    pub file: PathBuf,
    /// Its digest.
    pub digest: Digest,
    /// Its size.
    pub size: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Descriptor {
    #[serde(rename = "mediaType", default)]
    media_type: String,
    pub(crate) digest: String,
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// The digest without the name of its algorithm, as a blob is called.
    pub(crate) fn hex(&self) -> &str {
        self.digest.trim_start_matches("sha256:")
    }
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

fn refused(place: &Path, what: impl Into<String>) -> BundleError {
    let what = format!("the image {}: {}", place.display(), what.into());
    StoreError::new(Code::WORKLOAD_IMAGE, what)
        .remedy("get the image again from where it was built, or name another one")
        .into()
}

/// Reads the image that a reference names. `scratch` is an empty folder of the caller for what has to
/// be written anew; it must last as long as the files are used. An image in a registry is first
/// pulled into a layout.
pub fn read_image(
    reference: &ImageReference,
    scratch: &Path,
    limits: ImageLimits,
) -> Result<ContainerImage, BundleError> {
    match reference {
        ImageReference::Layout { folder, tag } => {
            read_layout(folder, tag.as_deref(), scratch, limits)
        }
        ImageReference::DockerArchive { file } => {
            let layout = scratch.join("unpacked");
            unpack_docker(file, &layout, limits)?;
            read_layout(&layout, None, scratch, limits)
        }
        ImageReference::Registry { host, repository, digest } => {
            let place = RegistryPlace::of_image(host, repository)
                .map_err(|what| BundleError::Request { what: format!("{reference}: {what}") })?;
            let layout = scratch.join("pulled");
            pull_image(&place, *digest, &layout, limits)?;
            read_layout(&layout, None, scratch, limits)
        }
    }
}

/// Compares every blob of an image that lies alone in a folder, such as `image/` of a bundle, with its
/// digest. Gives the digest of its manifest.
pub fn verify_image(folder: &Path, limits: ImageLimits) -> Result<Digest, BundleError> {
    let mut walk = Walk::new(folder, limits);
    let top = walk.top(None)?;
    walk.take(&top, 0)
}

fn read_layout(
    folder: &Path,
    tag: Option<&str>,
    scratch: &Path,
    limits: ImageLimits,
) -> Result<ContainerImage, BundleError> {
    let mut walk = Walk::new(folder, limits);
    let mut top = walk.top(tag)?;
    let manifest = walk.take(&top, 0)?;
    // What is written beside the blobs depends on the image alone, not on the layout that it is in.
    top.annotations = BTreeMap::from([(REF_NAME.to_owned(), "workload".to_owned())]);
    let index = json!({"manifests": [top], "mediaType": INDEX, "schemaVersion": 2}).to_string();
    let layout = json!({"imageLayoutVersion": "1.0.0"}).to_string();
    let mut files: Vec<ImageFile> = walk.blobs.into_values().collect();
    for (name, text) in [("index.json", index), ("oci-layout", layout)] {
        let file = scratch.join(name);
        let sum = write_file(&file, text.as_bytes())?;
        files.push(ImageFile {
            path: format!("{IMAGE_FOLDER}/{name}"),
            media_type: "application/json".to_owned(),
            file,
            digest: sum.sha256,
            size: sum.bytes,
        });
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(ContainerImage { manifest, files })
}

/// Follows an image from its index to its layers.
struct Walk<'a> {
    folder: &'a Path,
    limits: ImageLimits,
    bytes: u64,
    blobs: BTreeMap<Digest, ImageFile>,
}

impl<'a> Walk<'a> {
    fn new(folder: &'a Path, limits: ImageLimits) -> Self {
        Self { folder, limits, bytes: 0, blobs: BTreeMap::new() }
    }

    /// The images that a layout names so, or all of them.
    fn named(&self, tag: Option<&str>) -> Result<Vec<Descriptor>, BundleError> {
        let version = read_small(&self.folder.join("oci-layout"), DOCUMENT_BYTES_MAX)?;
        let version: serde_json::Value = self.json(&version)?;
        if version.get("imageLayoutVersion").and_then(|it| it.as_str()) != Some("1.0.0") {
            return Err(refused(self.folder, "it is no image layout of version 1.0.0"));
        }
        let index = read_small(&self.folder.join("index.json"), DOCUMENT_BYTES_MAX)?;
        let index: Index = self.json(&index)?;
        let tagged = |it: &Descriptor| {
            tag.is_none_or(|tag| it.annotations.get(REF_NAME).map(String::as_str) == Some(tag))
        };
        Ok(index.manifests.into_iter().filter(tagged).collect())
    }

    /// The image that a layout names so, or the only one.
    fn top(&self, tag: Option<&str>) -> Result<Descriptor, BundleError> {
        let mut found = self.named(tag)?.into_iter();
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one),
            (None, _) => Err(refused(self.folder, "it has no such image")),
            (Some(_), Some(_)) => Err(refused(self.folder, "it has several: name one by its tag")),
        }
    }

    fn json<T: for<'de> Deserialize<'de>>(&self, bytes: &[u8]) -> Result<T, BundleError> {
        serde_json::from_slice(bytes)
            .map_err(|error| refused(self.folder, format!("a document is not readable: {error}")))
    }

    /// Takes a manifest, or an index of manifests, with all that it names.
    fn take(&mut self, top: &Descriptor, depth: usize) -> Result<Digest, BundleError> {
        let digest = self.blob(top)?;
        let Some(file) = self.blobs.get(&digest).map(|it| it.file.clone()) else {
            return Err(refused(self.folder, "a blob was lost on the way"));
        };
        match top.media_type.as_str() {
            INDEX | DOCKER_INDEX if depth < DEPTH_MAX => {
                let index: Index = self.json(&read_small(&file, DOCUMENT_BYTES_MAX)?)?;
                for one in &index.manifests {
                    self.take(one, depth + 1)?;
                }
            }
            MANIFEST | DOCKER_MANIFEST => {
                let manifest: Manifest = self.json(&read_small(&file, DOCUMENT_BYTES_MAX)?)?;
                self.blob(&manifest.config)?;
                for layer in &manifest.layers {
                    self.blob(layer)?;
                }
            }
            other => {
                let what = format!("it names a thing of the type {other}, which is no image");
                return Err(refused(self.folder, what));
            }
        }
        Ok(digest)
    }

    /// Takes a blob, once its bytes have the digest and the size that are said of it.
    fn blob(&mut self, named: &Descriptor) -> Result<Digest, BundleError> {
        let digest: Option<Digest> =
            named.digest.strip_prefix("sha256:").and_then(|hex| hex.parse().ok());
        let Some(digest) = digest else {
            return Err(refused(self.folder, format!("{:?} is no SHA-256", named.digest)));
        };
        if self.blobs.contains_key(&digest) {
            return Ok(digest);
        }
        let file = self.folder.join("blobs/sha256").join(digest.to_string());
        let found = std::fs::symlink_metadata(&file)
            .map_err(|error| BundleError::io("read", &file, error))?;
        self.bytes = self.bytes.saturating_add(found.len());
        if self.bytes > self.limits.bytes || self.blobs.len() >= BLOBS_MAX {
            let what = format!("it has more than {} bytes or too many blobs", self.limits.bytes);
            return Err(refused(self.folder, what));
        }
        // The size is compared first: nothing is read of what is larger than it says.
        if !found.is_file() || found.len() != named.size {
            let what = format!("the blob {digest} does not have the size that is said of it");
            return Err(refused(self.folder, what));
        }
        if hash_file(&file, |_| ())?.sha256 != digest {
            return Err(refused(self.folder, format!("the blob {digest} has another digest")));
        }
        let path = format!("{IMAGE_FOLDER}/blobs/sha256/{digest}");
        let media_type = named.media_type.clone();
        self.blobs.insert(digest, ImageFile { path, media_type, file, digest, size: named.size });
        Ok(digest)
    }
}

/// One image of what `docker save` writes.
#[derive(Deserialize)]
struct Saved {
    #[serde(rename = "Config")]
    config: String,
    #[serde(rename = "Layers")]
    layers: Vec<String>,
}

/// Makes a layout of a docker archive. Its layers stay as they are: uncompressed, so that their
/// digests are those which the config names.
fn unpack_docker(archive: &Path, layout: &Path, limits: ImageLimits) -> Result<(), BundleError> {
    let blobs = layout.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).map_err(|error| BundleError::io("make", &blobs, error))?;
    let mut files = docker_files(archive, &blobs, limits)?;
    let saved = files
        .remove("manifest.json")
        .ok_or_else(|| refused(archive, "it holds no manifest.json"))?;
    let saved: Vec<Saved> =
        read_small(&blobs.join(saved.hex()), DOCUMENT_BYTES_MAX).and_then(|bytes| {
            serde_json::from_slice(&bytes)
                .map_err(|error| refused(archive, format!("manifest.json is unreadable: {error}")))
        })?;
    let [saved] = saved.as_slice() else {
        return Err(refused(archive, "it holds not exactly one image"));
    };
    let described = |name: &String, media_type: &str| {
        let found = files.get(name).ok_or_else(|| refused(archive, format!("{name} is not there")));
        found.map(|found| Descriptor { media_type: media_type.to_owned(), ..found.clone() })
    };
    let config = described(&saved.config, CONFIG)?;
    let layers: Result<Vec<_>, _> = saved.layers.iter().map(|it| described(it, LAYER)).collect();
    let layers = layers?;
    diff_ids_fit(archive, &blobs, &config, &layers)?;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers,
    });
    let manifest = manifest.to_string();
    let digest = Digest::of(manifest.as_bytes());
    write_file(&blobs.join(digest.to_string()), manifest.as_bytes())?;
    let top = json!({
        "mediaType": MANIFEST, "digest": format!("sha256:{digest}"), "size": manifest.len(),
    });
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [top]}).to_string();
    write_file(&layout.join("index.json"), index.as_bytes())?;
    write_file(&layout.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    Ok(())
}

/// The layers that the config names by digest are those that the archive holds.
fn diff_ids_fit(
    archive: &Path,
    blobs: &Path,
    config: &Descriptor,
    layers: &[Descriptor],
) -> Result<(), BundleError> {
    let text = read_small(&blobs.join(config.hex()), DOCUMENT_BYTES_MAX)?;
    let config: serde_json::Value = serde_json::from_slice(&text)
        .map_err(|error| refused(archive, format!("its config is not readable: {error}")))?;
    let ids = config.pointer("/rootfs/diff_ids").and_then(|it| it.as_array());
    let ids: Vec<_> = ids.into_iter().flatten().filter_map(|it| it.as_str()).collect();
    if ids.len() == layers.len() && ids.iter().zip(layers).all(|(id, it)| *id == it.digest) {
        return Ok(());
    }
    Err(refused(archive, "its layers are not those that its config names"))
}

/// The plain files of an archive, each as a blob.
fn docker_files(
    archive: &Path,
    blobs: &Path,
    limits: ImageLimits,
) -> Result<BTreeMap<String, Descriptor>, BundleError> {
    let failed = |error| BundleError::io("read", archive, error);
    let mut files: BTreeMap<String, Descriptor> = BTreeMap::new();
    let mut reader = tar::Archive::new(File::open(archive).map_err(failed)?);
    let mut left = limits.bytes;
    for (number, entry) in reader.entries().map_err(failed)?.enumerate() {
        let mut entry = entry.map_err(failed)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if number >= BLOBS_MAX {
            return Err(refused(archive, "it holds too many files"));
        }
        let kind = entry.header().entry_type();
        // Every layer has a second name that is a link, for readers of 2015. A link is never
        // followed: what manifest.json names has to be a file.
        if kind.is_dir() || kind.is_symlink() {
            continue;
        }
        if !kind.is_file() {
            return Err(refused(archive, format!("{name} is no plain file")));
        }
        let staged = blobs.join("staged");
        let mut file = HashedFile::create(&staged)
            .map_err(|error| BundleError::io("write", &staged, error))?;
        let copied = copy_at_most(&mut entry, &mut file, left).map_err(failed)?;
        let Some(copied) = copied else {
            return Err(refused(archive, format!("it has more than {} bytes", limits.bytes)));
        };
        left -= copied;
        let sum = file.finish().map_err(|error| BundleError::io("write", &staged, error))?;
        let place = blobs.join(sum.sha256.to_string());
        std::fs::rename(&staged, &place)
            .map_err(|error| BundleError::io("write", &place, error))?;
        let descriptor = Descriptor {
            media_type: String::new(),
            digest: format!("sha256:{}", sum.sha256),
            size: sum.bytes,
            annotations: BTreeMap::new(),
        };
        if files.insert(name.clone(), descriptor).is_some() {
            return Err(refused(archive, format!("{name} stands twice")));
        }
    }
    Ok(files)
}

/// Copies what is there; `None` if that is more than `most`.
fn copy_at_most(
    from: &mut impl Read,
    to: &mut impl Write,
    most: u64,
) -> std::io::Result<Option<u64>> {
    let copied = std::io::copy(&mut from.take(most.saturating_add(1)), to)?;
    Ok((copied <= most).then_some(copied))
}

mod layers;
#[cfg(test)]
mod tests;

pub use layers::{LookLimits, canary_secret, look_into_layout, tagged_so};
