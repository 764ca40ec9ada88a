//! Detached signatures of a manifest: files beside it, made and checked by those who hold keys.

use carnet_connect::StoreError;
use carnet_ledger::detached::SignatureForm;

use crate::manifest::MANIFEST;

/// Somebody who signs manifests.
pub trait ManifestSigner {
    /// In which form.
    fn form(&self) -> SignatureForm;

    /// The signature of these bytes, as its file holds it.
    fn sign(&self, manifest: &[u8]) -> Result<Vec<u8>, StoreError>;
}

/// The name of the file with the signature of `manifest.json`.
pub fn signature_file(form: SignatureForm) -> String {
    format!("{MANIFEST}{}", form.suffix())
}

/// Whether a path at the top of a directory is that of a detached signature of its manifest.
pub(crate) fn is_signature(path: &str) -> bool {
    SignatureForm::ALL.into_iter().any(|form| signature_file(form) == path)
}
