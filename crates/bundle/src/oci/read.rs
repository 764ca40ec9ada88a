//! A bundle that is read where it is: a folder, or a tar that is not unpacked.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use carnet_ledger::audit::Material;
use carnet_ledger::{Digest, Hasher};
use carnet_model::portability::{BundleContent, BundleManifest, MANIFEST_BYTES_MAX, MANIFEST_PATH};

use super::encryption::Identities;
use super::fault::BundleFault;
use super::image::{
    BUNDLE_MANIFEST_TYPE, BundleImage, DOCUMENT_BYTES_MAX, INDEX_FILE, LAYOUT_FILE, Layer,
    blob_path, check_layout, read_image, read_index,
};
use super::limits::BundleLimits;
use super::seal::layer_of;
use crate::error::BundleError;
use crate::files::FileSum;
use crate::package::Package;
use crate::signature::is_signature;

/// An index names no more manifests than this.
const MANIFESTS_MAX: usize = 64;

/// The blobs of a bundle and its image manifest; nothing that the manifest says is believed yet.
pub(super) struct Layout {
    package: Package,
    path: PathBuf,
    pub(super) manifest_digest: Digest,
    pub(super) image_text: Vec<u8>,
    pub(super) image: BundleImage,
}

impl Layout {
    pub(super) fn open(path: &Path, limits: &BundleLimits) -> Result<Self, BundleError> {
        // A path that is not there is no matter of the bundle.
        path.metadata().map_err(|error| BundleError::io("read", path, error))?;
        let package = Package::open(path, &limits.archive()).map_err(of_bundle)?;
        let at = |fault: BundleFault| fault.at(path);
        let entries = package.entries();
        let total = entries.iter().try_fold(0_u64, |sum, (_, size)| sum.checked_add(*size));
        if entries.len() as u64 > limits.entries || total.is_none_or(|it| it > limits.bytes) {
            let what = format!(
                "it has {} files of together {} bytes; the limits are {} and {}",
                entries.len(),
                total.unwrap_or(u64::MAX),
                limits.entries,
                limits.bytes,
            );
            return Err(at(BundleFault::Limit(what)));
        }
        let (manifest_digest, image_text, image) = find_image(&package).map_err(at)?;
        Ok(Self { package, path: path.to_owned(), manifest_digest, image_text, image })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Each blob that the image names, once, with the titles under which it goes; the image manifest
    /// and the config among them.
    pub(super) fn blobs(&self) -> Vec<(Digest, u64, String)> {
        named_blobs(self.manifest_digest, self.image_text.len() as u64, &self.image)
    }

    /// The size of a blob as it is, whatever is said of it.
    pub(super) fn size_of(&self, digest: &Digest) -> Option<u64> {
        size_in(&self.package, &blob_path(digest))
    }

    /// Opens a blob that is there and has this size.
    pub(super) fn open_blob(
        &self,
        digest: &Digest,
        size: u64,
        title: &str,
    ) -> Result<Box<dyn Read + Send + '_>, BundleFault> {
        open_sized(&self.package, &blob_path(digest), size, title)
    }

    /// Reads the manifest, and checks that it is what the layers are.
    pub(super) fn manifest(&self) -> Result<BundleManifest, BundleFault> {
        let first = self.image.layers.first();
        let first = first
            .filter(|it| it.title == MANIFEST_PATH && it.media_type == BUNDLE_MANIFEST_TYPE)
            .ok_or_else(|| {
                BundleFault::Malformed(format!("its first layer is not {MANIFEST_PATH}"))
            })?;
        let bytes = read_blob(&self.package, first, MANIFEST_BYTES_MAX as u64)?;
        let manifest = BundleManifest::read(&bytes)?;
        if manifest.canonical().as_bytes() != bytes {
            let what = format!("{MANIFEST_PATH} is not in its one canonical form (RFC 8785)");
            return Err(BundleFault::Malformed(what));
        }
        Ok(manifest)
    }

    /// The layers with signatures of the manifest.
    pub(super) fn signatures(&self) -> impl Iterator<Item = &Layer> {
        self.image.layers.iter().skip(1).take_while(|layer| is_signature(&layer.title))
    }

    /// Whether the layers are what the manifest lists, in its order.
    pub(super) fn match_titles(&self, manifest: &BundleManifest) -> Result<u64, BundleFault> {
        let mut layers = self.image.layers.iter().skip(1 + self.signatures().count());
        for content in &manifest.contents {
            let expected =
                layer_of(content).map_err(|error| BundleFault::Malformed(error.to_string()))?;
            let Some(found) = layers.next() else {
                return Err(missing_layer(&content.path));
            };
            if *found == expected {
                continue;
            }
            if found.title != expected.title {
                let listed = manifest.content(&found.title).is_some();
                let elsewhere = self.image.layers.iter().any(|layer| layer.title == expected.title);
                return Err(match (listed, elsewhere) {
                    (_, false) => missing_layer(&content.path),
                    (true, true) => BundleFault::Malformed(format!(
                        "the layer {:?} is not in the order of the manifest",
                        found.title
                    )),
                    (false, true) => added_layer(&found.title),
                });
            }
            return Err(BundleFault::Damaged(if found.digest == expected.digest {
                format!(
                    "the layer {:?} is of {} bytes and type {}; the manifest says {} and {}",
                    found.title, found.size, found.media_type, expected.size, expected.media_type
                )
            } else {
                format!(
                    "the layer {:?} is the blob {}; the manifest says {}",
                    found.title, found.digest, expected.digest
                )
            }));
        }
        match layers.next() {
            Some(layer) => Err(added_layer(&layer.title)),
            None => Ok(manifest.contents.len() as u64),
        }
    }
}

/// Each blob that an image manifest names, once, and itself.
pub(super) fn named_blobs(
    manifest: Digest,
    manifest_size: u64,
    image: &BundleImage,
) -> Vec<(Digest, u64, String)> {
    let own = (manifest, manifest_size, "the image manifest");
    let config = (image.config.0, image.config.1, "the config");
    let layers = image.layers.iter();
    let layers = layers.map(|layer| (layer.digest, layer.size, layer.title.as_str()));
    let mut seen = BTreeSet::new();
    [own, config]
        .into_iter()
        .chain(layers)
        .filter(|(digest, size, _)| seen.insert((*digest, *size)))
        .map(|(digest, size, title)| (digest, size, title.to_owned()))
        .collect()
}

fn missing_layer(path: &str) -> BundleFault {
    BundleFault::Missing(format!("no layer has the content {path:?}"))
}

fn added_layer(title: &str) -> BundleFault {
    BundleFault::Malformed(format!("the layer {title:?} is not in the manifest"))
}

/// Finds the one image manifest of a bundle in a layout. Manifests of other artifacts beside it, such
/// as referrers that others have added, are passed over: nothing that is needed is in one.
fn find_image(package: &Package) -> Result<(Digest, Vec<u8>, BundleImage), BundleFault> {
    let small = |name: &str| {
        let size = size_in(package, name);
        let size = size.ok_or_else(|| {
            BundleFault::Malformed(format!("it is no layout of OCI: there is no {name}"))
        })?;
        read_small(package, name, size, name, DOCUMENT_BYTES_MAX)
    };
    check_layout(&small(LAYOUT_FILE)?)?;
    let manifests = read_index(&small(INDEX_FILE)?)?;
    if manifests.len() > MANIFESTS_MAX {
        return Err(BundleFault::Limit(format!("its index names {} manifests", manifests.len())));
    }
    let mut found = None;
    for (digest, size) in manifests {
        let title = "the image manifest";
        let text = read_small(package, &blob_path(&digest), size, title, DOCUMENT_BYTES_MAX)?;
        let sum = Digest::of(&text);
        if sum != digest {
            let what = format!("the image manifest is named {digest}, and its SHA-256 is {sum}");
            return Err(BundleFault::Damaged(what));
        }
        let Some(image) = read_image(&text)? else { continue };
        if found.replace((digest, text, image)).is_some() {
            return Err(BundleFault::Malformed("it holds more than one bundle".to_owned()));
        }
    }
    found.ok_or_else(|| BundleFault::Malformed("no manifest in it is that of a bundle".to_owned()))
}

fn size_in(package: &Package, name: &str) -> Option<u64> {
    let entries = package.entries();
    let found = entries.binary_search_by(|(entry, _)| entry.as_str().cmp(name)).ok()?;
    entries.get(found).map(|(_, size)| *size)
}

fn open_sized<'p>(
    package: &'p Package,
    name: &str,
    size: u64,
    title: &str,
) -> Result<Box<dyn Read + Send + 'p>, BundleFault> {
    match size_in(package, name) {
        None => Err(BundleFault::Missing(format!("{title}: the blob {name} is not there"))),
        Some(found) if found != size => Err(BundleFault::Damaged(format!(
            "{title}: the blob {name} has {found} bytes; {size} were announced"
        ))),
        Some(_) => package
            .open(name)
            .map_err(|error| BundleFault::Damaged(format!("{title}: cannot be read: {error}"))),
    }
}

fn read_small(
    package: &Package,
    name: &str,
    size: u64,
    title: &str,
    most: u64,
) -> Result<Vec<u8>, BundleFault> {
    if size > most {
        let what = format!("{title} has {size} bytes; the limit is {most}");
        return Err(BundleFault::Limit(what));
    }
    let mut bytes = Vec::new();
    let mut reader = open_sized(package, name, size, title)?.take(size);
    reader
        .read_to_end(&mut bytes)
        .map_err(|error| BundleFault::Damaged(format!("{title}: cannot be read: {error}")))?;
    Ok(bytes)
}

/// Reads a small layer whose digest must hold.
fn read_blob(package: &Package, layer: &Layer, most: u64) -> Result<Vec<u8>, BundleFault> {
    let bytes = read_small(package, &blob_path(&layer.digest), layer.size, &layer.title, most)?;
    let sum = Digest::of(&bytes);
    if sum == layer.digest {
        return Ok(bytes);
    }
    let what = format!("{:?} is named by the digest {}, and has {sum}", layer.title, layer.digest);
    Err(BundleFault::Damaged(what))
}

/// What a package says of its own entries, as the fault of a bundle.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "only what archives are refused for is told anew"
)]
fn of_bundle(error: BundleError) -> BundleError {
    match error {
        BundleError::Archive { path, what } | BundleError::Artifact { path, what } => {
            BundleFault::Malformed(what).at(&path)
        }
        BundleError::ArchiveLimit { path, what } => BundleFault::Limit(what).at(&path),
        other => other,
    }
}

/// A bundle that can be read: its manifest is in its form, and its layers are those that it lists.
/// That the blobs hold what they say is checked as each is read; `verify_bundle` reads all.
pub struct Bundle {
    layout: Layout,
    manifest: BundleManifest,
}

impl Bundle {
    /// Opens a folder or a tar.
    pub fn open(path: &Path, limits: &BundleLimits) -> Result<Self, BundleError> {
        let layout = Layout::open(path, limits)?;
        let read = || {
            let manifest = layout.manifest()?;
            layout.match_titles(&manifest)?;
            check_depth(&manifest, limits)?;
            for (digest, size, title) in layout.blobs() {
                layout.open_blob(&digest, size, &title)?;
            }
            Ok(manifest)
        };
        let manifest = read().map_err(|fault: BundleFault| fault.at(path))?;
        Ok(Self { layout, manifest })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.layout.path()
    }

    /// What it says about itself.
    pub fn manifest(&self) -> &BundleManifest {
        &self.manifest
    }

    /// The digest of its OCI manifest, which is its id.
    pub fn manifest_digest(&self) -> Digest {
        self.layout.manifest_digest
    }

    /// The content at a path.
    pub fn content(&self, path: &str) -> Option<&BundleContent> {
        self.manifest.content(path)
    }

    /// The whole bytes of a content that is small and not encrypted, once its digest was checked.
    pub fn read(&self, path: &str, most: u64) -> Result<Vec<u8>, BundleError> {
        self.read_with(path, most, None)
    }

    /// The same, of a content that may be encrypted.
    pub fn read_with(
        &self,
        path: &str,
        most: u64,
        identities: Option<&Identities>,
    ) -> Result<Vec<u8>, BundleError> {
        let at = |fault: BundleFault| fault.at(self.path());
        let content = self
            .content(path)
            .ok_or_else(|| at(BundleFault::Missing(format!("it has no content {path:?}"))))?;
        if content.size > most {
            let what = format!("{path:?} has {} bytes; the limit is {most}", content.size);
            return Err(at(BundleFault::Limit(what)));
        }
        let mut bytes = Vec::new();
        let mut source = self.open_content(content, identities).map_err(at)?.take(most + 1);
        source.read_to_end(&mut bytes).map_err(|error| {
            at(BundleFault::Damaged(format!("{path:?} cannot be read: {error}")))
        })?;
        let sum = FileSum { bytes: bytes.len() as u64, sha256: Digest::of(&bytes) };
        check_sum(content, sum).map_err(at)?;
        Ok(bytes)
    }

    /// The plain bytes of a content, as a stream: who reads them must check what they add up to.
    pub(super) fn open_content<'b>(
        &'b self,
        content: &BundleContent,
        identities: Option<&Identities>,
    ) -> Result<Box<dyn Read + 'b>, BundleFault> {
        open_plain(&self.layout, content, identities)
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }
}

/// Opens the plain bytes of a content.
pub(super) fn open_plain<'l>(
    layout: &'l Layout,
    content: &BundleContent,
    identities: Option<&Identities>,
) -> Result<Box<dyn Read + 'l>, BundleFault> {
    let layer = layer_of(content).map_err(|error| BundleFault::Malformed(error.to_string()))?;
    let blob = layout.open_blob(&layer.digest, layer.size, &content.path)?;
    match (&content.encryption, identities) {
        (None, _) => Ok(blob),
        (Some(_), Some(identities)) => identities.decrypt(&content.path, blob),
        (Some(_), None) => {
            let what = format!("{} is encrypted, and no identity was given", content.path);
            Err(BundleFault::Encrypted(what))
        }
    }
}

/// Whether plain bytes are those that the manifest names.
pub(super) fn check_sum(content: &BundleContent, sum: FileSum) -> Result<(), BundleFault> {
    let found = format!("sha256:{}", sum.sha256);
    if sum.bytes == content.size && found == content.integrity_hash {
        return Ok(());
    }
    Err(BundleFault::Damaged(format!(
        "{} has {} bytes and the digest {found}; the manifest says {} and {}",
        content.path, sum.bytes, content.size, content.integrity_hash
    )))
}

pub(super) fn check_depth(
    manifest: &BundleManifest,
    limits: &BundleLimits,
) -> Result<(), BundleFault> {
    let deep = |content: &&BundleContent| content.path.split('/').count() > limits.depth;
    match manifest.contents.iter().find(deep) {
        Some(content) => Err(BundleFault::Limit(format!(
            "{:?} is more than {} folders deep",
            content.path, limits.depth
        ))),
        None => Ok(()),
    }
}

/// Passes bytes on, hashing and counting them.
pub(super) struct Summed<R> {
    inner: R,
    hasher: Hasher,
    bytes: u64,
}

impl<R: Read> Summed<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, hasher: Hasher::new(), bytes: 0 }
    }

    /// Reads what is left.
    pub(super) fn drain(mut self) -> io::Result<FileSum> {
        let mut buffer = vec![0; 256 << 10];
        loop {
            match self.read(&mut buffer) {
                Ok(0) => return Ok(FileSum { bytes: self.bytes, sha256: self.hasher.finish() }),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl<R: Read> Read for Summed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..read).unwrap_or_default());
        self.bytes += read as u64;
        Ok(read)
    }
}
