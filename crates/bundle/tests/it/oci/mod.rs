//! Bundles: made, damaged in every way that has an answer of its own, moved, encrypted.

mod archive;
mod damage;
#[cfg(feature = "age")]
mod encryption;
#[path = "../../../examples/sample_bundle/evidence.rs"]
mod evidence;
mod golden;
mod limits;
mod moved;
mod property;
#[path = "../../../examples/sample_bundle/sample.rs"]
mod sample;

use std::fs;
use std::path::{Path, PathBuf};

use carnet_bundle::{
    BundleCheckId, BundleError, BundleItem, BundleReport, BundleRequest, Sealed, Work,
    verify_bundle,
};
use carnet_ledger::audit::CheckVerdict;
use carnet_ledger::trust::LogKey;
use carnet_ledger::{Digest, VerifyingKey};
use carnet_model::Code;
use carnet_model::portability::ContentType;
use serde_json::Value;

/// Two files of data, one of them empty.
pub(super) fn data() -> Vec<BundleItem> {
    let kind = ContentType::DataSnapshot;
    let item =
        |path: &str, bytes: &[u8]| BundleItem::bytes(kind, path, "application/octet-stream", bytes);
    vec![item("data/one.bin", &[7; 5_000]), item("data/two/empty", b""), item("data/text", b"abc")]
}

/// A whole bundle in a folder of its own.
pub(super) struct Made {
    pub(super) folder: tempfile::TempDir,
    pub(super) sealed: Sealed,
}

impl Made {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("bundle");
        let sealed = sample::make(&out, data(), None, &Work::quiet(2)).unwrap();
        Self { folder, sealed }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("bundle")
    }

    pub(super) fn blob(&self, path: &str) -> PathBuf {
        let content = self.sealed.manifest.content(path).unwrap();
        let (digest, _) = content.blob();
        self.path().join("blobs/sha256").join(digest.trim_start_matches("sha256:"))
    }

    pub(super) fn verify(&self) -> Result<BundleReport, BundleError> {
        verify(&self.path())
    }
}

/// Checks a bundle with the key of the sample.
pub(super) fn verify(path: &Path) -> Result<BundleReport, BundleError> {
    let key = VerifyingKey::clone(evidence::key().verifying_key());
    let keys = [LogKey::from(key)];
    verify_bundle(path, &BundleRequest { keys: &keys, ..Default::default() }, &Work::quiet(2))
}

/// The one check that fails, and its code.
pub(super) fn failing(report: &BundleReport) -> Vec<(BundleCheckId, Code)> {
    let failed = report.checks.iter().filter(|row| row.verdict == CheckVerdict::Fail);
    failed.map(|row| (row.id, row.code.unwrap())).collect()
}

/// The documents of a bundle, to be changed and written again with digests that fit.
pub(super) struct Documents {
    root: PathBuf,
    pub(super) index: Value,
    pub(super) image: Value,
    pub(super) manifest: Value,
}

impl Documents {
    pub(super) fn of(root: &Path) -> Self {
        let index: Value =
            serde_json::from_slice(&fs::read(root.join("index.json")).unwrap()).unwrap();
        let read = |descriptor: &Value| -> Value {
            let digest = descriptor["digest"].as_str().unwrap().trim_start_matches("sha256:");
            serde_json::from_slice(&fs::read(root.join("blobs/sha256").join(digest)).unwrap())
                .unwrap()
        };
        let image = read(&index["manifests"][0]);
        let manifest = read(&image["layers"][0]);
        Self { root: root.to_owned(), index, image, manifest }
    }

    /// Writes a blob; gives its digest with `sha256:`.
    pub(super) fn blob(&self, bytes: &[u8]) -> String {
        let digest = Digest::of(bytes);
        fs::write(self.root.join("blobs/sha256").join(digest.to_string()), bytes).unwrap();
        format!("sha256:{digest}")
    }

    /// Writes all of them.
    pub(super) fn save(mut self) {
        let manifest = carnet_model::canonical_json(&self.manifest);
        let first = &mut self.image["layers"][0];
        first["size"] = manifest.len().into();
        let digest = self.blob(manifest.as_bytes());
        self.image["layers"][0]["digest"] = digest.into();
        self.save_image();
    }

    /// Writes all but `manifest.json`.
    pub(super) fn save_image(mut self) {
        let image = self.image.to_string();
        let digest = self.blob(image.as_bytes());
        self.index["manifests"][0]["size"] = image.len().into();
        self.index["manifests"][0]["digest"] = digest.into();
        self.save_index();
    }

    pub(super) fn save_index(self) {
        fs::write(self.root.join("index.json"), self.index.to_string()).unwrap();
    }

    /// The place of a content in the manifest.
    pub(super) fn at(&self, path: &str) -> usize {
        let contents = self.manifest["contents"].as_array().unwrap();
        contents.iter().position(|content| content["path"] == path).unwrap()
    }

    /// Puts other bytes in the place of a content, everywhere: what somebody does who covers up.
    pub(super) fn replace(&mut self, path: &str, bytes: &[u8]) {
        let at = self.at(path);
        let digest = self.blob(bytes);
        let content = &mut self.manifest["contents"][at];
        content["integrity_hash"] = digest.clone().into();
        content["size"] = bytes.len().into();
        let layer = &mut self.image["layers"][at + 1];
        layer["digest"] = digest.into();
        layer["size"] = bytes.len().into();
    }

    /// Computes the content root again.
    pub(super) fn root_again(&mut self) {
        let contents = serde_json::from_value::<Vec<_>>(self.manifest["contents"].clone()).unwrap();
        let root = carnet_model::portability::content_root(&contents);
        self.manifest["content_root"] = root.to_string().into();
    }
}
