//! What is in the layers of an image: each is read to its end, and nothing of it is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::path::Path;

use carnet_ledger::Digest;
use carnet_model::workload::{
    ImageContents, ImageSecret, LayerPath, SECRETS_MAX, SecretScan, SecretSign,
};
use flate2::bufread::MultiGzDecoder;

use super::{
    DOCKER_INDEX, DOCKER_LAYER, DOCUMENT_BYTES_MAX, Descriptor, INDEX, ImageLimits, Index, LAYER,
    Manifest, Walk, refused,
};
use crate::error::BundleError;
use crate::files::read_small;

/// What an image may be at most.
#[derive(Debug, Clone, Copy)]
pub struct LookLimits {
    /// The bytes of its layers, decompressed.
    pub bytes: u64,
    /// The files in its layers.
    pub files: u64,
}

/// The digests of the images that a layout names so.
pub fn tagged_so(folder: &Path, tag: &str) -> Result<Vec<Digest>, BundleError> {
    let named = Walk::new(folder, ImageLimits::default()).named(Some(tag))?;
    let digest = |one: &Descriptor| {
        let digest = one.digest.strip_prefix("sha256:").and_then(|hex| hex.parse().ok());
        digest.ok_or_else(|| refused(folder, format!("{:?} is no SHA-256", one.digest)))
    };
    named.iter().map(digest).collect()
}

/// Reads the image with this tag: each blob is compared with its digest, each layer is looked into.
/// `paths` are looked for in the layers as they lie on each other.
pub fn look_into_layout(
    folder: &Path,
    tag: &str,
    paths: &[String],
    limits: LookLimits,
) -> Result<ImageContents, BundleError> {
    let mut walk = Walk::new(folder, ImageLimits { bytes: limits.bytes });
    let top = walk.top(Some(tag))?;
    let digest = walk.take(&top, 0)?;
    let mut look = Look {
        walk: &walk,
        left: limits,
        seen: BTreeSet::new(),
        contents: ImageContents {
            digest,
            machines: 0,
            layers: 0,
            files: 0,
            paths: paths.iter().map(|path| (path.clone(), LayerPath::File)).collect(),
            secrets: Vec::new(),
        },
    };
    look.manifest(&top)?;
    let mut contents = look.contents;
    if contents.machines == 0 {
        contents.paths.values_mut().for_each(|at| *at = LayerPath::Missing);
    }
    Ok(contents)
}

/// The secret that is found in a layer that holds nothing else: whether the search finds anything.
pub fn canary_secret() -> Result<Option<ImageSecret>, BundleError> {
    let text = format!("-----BEGIN PRIVATE KEY-----\n{}\n", "carnetcanary".repeat(8));
    let failed = |error| BundleError::io("write", Path::new("the canary"), error);
    let mut made = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o600);
    made.append_data(&mut header, "canary", text.as_bytes()).map_err(failed)?;
    let bytes = made.into_inner().map_err(failed)?;
    let mut layer = Layer::new(Digest::of(&bytes), LookLimits { bytes: 1 << 20, files: 1 });
    layer.read(Cursor::new(bytes)).map_err(|fault| fault.told(Path::new("the canary")))?;
    Ok(layer.secrets.into_iter().next())
}

struct Look<'a> {
    walk: &'a Walk<'a>,
    left: LookLimits,
    /// Blobs whose secrets are told already: machines share layers.
    seen: BTreeSet<Digest>,
    contents: ImageContents,
}

impl Look<'_> {
    fn manifest(&mut self, named: &Descriptor) -> Result<(), BundleError> {
        let folder = self.walk.folder;
        let bytes = read_small(&self.walk.place(named), DOCUMENT_BYTES_MAX)?;
        if matches!(named.media_type.as_str(), INDEX | DOCKER_INDEX) {
            let index: Index = self.walk.json(&bytes)?;
            return index.manifests.iter().try_for_each(|one| self.manifest(one));
        }
        let manifest: Manifest = self.walk.json(&bytes)?;
        self.config(&manifest.config)?;
        let wanted = self.contents.paths.keys().cloned();
        let mut paths: BTreeMap<String, LayerPath> =
            wanted.map(|path| (path, LayerPath::Missing)).collect();
        for named in &manifest.layers {
            let digest =
                named.hex().parse().map_err(|_| refused(folder, "a layer has no digest"))?;
            let mut layer = Layer::new(digest, self.left);
            let file = self.walk.place(named);
            let opened =
                File::open(&file).map_err(|error| BundleError::io("read", &file, error))?;
            let blob = BufReader::new(opened);
            layer.read_as(&named.media_type, blob).map_err(|fault| fault.told(folder))?;
            layer.lay_on(&mut paths);
            self.left = layer.left;
            self.contents.layers += 1;
            self.contents.files += layer.files;
            if self.seen.insert(digest) {
                self.contents.secrets.extend(layer.secrets);
            }
        }
        self.contents.secrets.truncate(SECRETS_MAX);
        self.contents.machines += 1;
        for (path, at) in &mut self.contents.paths {
            *at = paths.get(path).map_or(LayerPath::Missing, |found| (*at).min(*found));
        }
        Ok(())
    }

    /// The config names variables, and how each layer was made.
    fn config(&mut self, named: &Descriptor) -> Result<(), BundleError> {
        let bytes = read_small(&self.walk.place(named), DOCUMENT_BYTES_MAX)?;
        let blob = Digest::of(&bytes);
        let mut scan = SecretScan::default();
        scan.feed(&bytes);
        if let Some(sign) = scan.finish().filter(|_| self.seen.insert(blob)) {
            self.contents.secrets.push(ImageSecret { blob, path: "config".to_owned(), sign });
        }
        Ok(())
    }
}

impl Walk<'_> {
    /// Where a blob is that was taken.
    fn place(&self, named: &Descriptor) -> std::path::PathBuf {
        self.folder.join("blobs/sha256").join(named.hex())
    }
}

/// Why a layer cannot be read.
enum LayerFault {
    Kind(String),
    Path(String),
    Limit,
    Io(std::io::Error),
}

impl LayerFault {
    fn told(self, image: &Path) -> BundleError {
        match self {
            Self::Kind(kind) => refused(image, format!("a layer of the type {kind} is not read")),
            Self::Path(path) => refused(image, format!("a layer holds the path {path:?}")),
            Self::Limit => refused(image, "its layers have more bytes or files than are read"),
            Self::Io(error) => refused(image, format!("a layer cannot be read: {error}")),
        }
    }
}

impl From<std::io::Error> for LayerFault {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

/// One layer.
struct Layer {
    digest: Digest,
    left: LookLimits,
    files: u64,
    /// What it puts at a path.
    put: BTreeMap<String, LayerPath>,
    /// Paths of lower layers that it takes away.
    removed: Vec<String>,
    /// Folders of which it takes away all that lower layers put there.
    emptied: Vec<String>,
    secrets: Vec<ImageSecret>,
}

impl Layer {
    fn new(digest: Digest, left: LookLimits) -> Self {
        let (put, removed, emptied, secrets) =
            (BTreeMap::new(), Vec::new(), Vec::new(), Vec::new());
        Self { digest, left, files: 0, put, removed, emptied, secrets }
    }

    fn read_as(&mut self, kind: &str, blob: impl std::io::BufRead) -> Result<(), LayerFault> {
        let plain = kind.strip_prefix(LAYER).or_else(|| kind.strip_prefix(DOCKER_LAYER));
        match plain {
            Some("") => self.read(blob),
            Some("+gzip" | ".gzip") => self.read(MultiGzDecoder::new(blob)),
            Some("+zstd" | ".zstd") => self.read(zstd::stream::read::Decoder::with_buffer(blob)?),
            Some(_) | None => Err(LayerFault::Kind(kind.to_owned())),
        }
    }

    fn read(&mut self, plain: impl Read) -> Result<(), LayerFault> {
        let most = self.left.bytes;
        let mut archive = tar::Archive::new(plain.take(most.saturating_add(1)));
        let told = self.entries(&mut archive);
        let mut rest = archive.into_inner();
        if rest.limit() == 0 {
            // What is cut off by us is not broken.
            return Err(LayerFault::Limit);
        }
        told?;
        // What stands behind the archive is unpacked by nobody and read by everybody.
        let sign = scan(&mut rest)?;
        self.tell("(behind the archive)", sign);
        self.left.bytes = rest.limit().checked_sub(1).ok_or(LayerFault::Limit)?;
        Ok(())
    }

    fn entries(&mut self, archive: &mut tar::Archive<impl Read>) -> Result<(), LayerFault> {
        for entry in archive.entries()? {
            let mut entry = entry?;
            self.left.files = self.left.files.checked_sub(1).ok_or(LayerFault::Limit)?;
            let raw = entry.path_bytes();
            let path = normal(&raw)
                .ok_or_else(|| LayerFault::Path(String::from_utf8_lossy(&raw).into_owned()))?;
            drop(raw);
            let kind = entry.header().entry_type();
            if kind.is_file() || kind.is_hard_link() || kind.is_contiguous() || kind.is_gnu_sparse()
            {
                let size = entry.size();
                self.file(&path, &mut entry)?;
                // The bytes of a hard link stand where it leads.
                let is_empty = size == 0 && !kind.is_hard_link();
                self.put_at(path, if is_empty { LayerPath::Empty } else { LayerPath::File });
            } else {
                self.put_at(path, LayerPath::Other);
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &str, content: &mut impl Read) -> Result<(), LayerFault> {
        self.files += 1;
        let found = scan(content)?;
        self.tell(path, SecretSign::of_path(path).or(found));
        Ok(())
    }

    fn tell(&mut self, path: &str, sign: Option<SecretSign>) {
        let Some(sign) = sign.filter(|_| self.secrets.len() < SECRETS_MAX) else { return };
        self.secrets.push(ImageSecret { blob: self.digest, path: path.to_owned(), sign });
    }

    fn put_at(&mut self, path: String, what: LayerPath) {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
        match name.strip_prefix(".wh.") {
            Some(".wh..opq") => self.emptied.push(folder.to_owned()),
            Some(gone) if folder.is_empty() => self.removed.push(gone.to_owned()),
            Some(gone) => self.removed.push(format!("{folder}/{gone}")),
            None => {
                self.put.insert(path, what);
            }
        }
    }

    /// Lays it on the layers below, for the paths that are asked for.
    fn lay_on(&self, paths: &mut BTreeMap<String, LayerPath>) {
        for (asked, at) in paths {
            let path = asked.trim_start_matches('/');
            let within = |folder: &String| {
                folder.is_empty()
                    || path.strip_prefix(folder.as_str()).is_some_and(|it| it.starts_with('/'))
            };
            // A file or a link in the place of a folder above takes away what was in it.
            let covered = || {
                let ends = path.match_indices('/').map(|(end, _)| end);
                let mut above = ends.filter_map(|end| self.put.get(path.get(..end)?));
                above.any(|what| matches!(what, LayerPath::File | LayerPath::Empty))
            };
            let is_gone = |gone: &String| gone == path || within(gone);
            if self.emptied.iter().any(within) || self.removed.iter().any(is_gone) || covered() {
                *at = LayerPath::Missing;
            }
            if let Some(put) = self.put.get(path) {
                *at = *put;
            }
        }
    }
}

/// A path as it stands in a tar, from the root of the image; `None` if it leads out of it or is no
/// text.
fn normal(raw: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(raw).ok()?;
    let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    (!parts.contains(&"..")).then(|| parts.join("/"))
}

/// Reads to the end, and tells the first sign of a secret.
fn scan(content: &mut impl Read) -> std::io::Result<Option<SecretSign>> {
    let mut scan = SecretScan::default();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match content.read(&mut buffer)? {
            0 => return Ok(scan.finish()),
            count => scan.feed(buffer.get(..count).unwrap_or_default()),
        }
    }
}
