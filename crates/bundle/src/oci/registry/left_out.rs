//! Without the feature: nothing is pushed or pulled.

use std::path::Path;

use carnet_ledger::Digest;

use super::RegistryPlace;
use crate::container_image::ImageLimits;
use crate::error::BundleError;
use crate::oci::fault::left_out;
use crate::oci::limits::BundleLimits;
use crate::oci::transfer::Transferred;
use crate::work::Work;

/// Always an error: this build leaves registries out.
pub fn push_bundle(
    _from: &Path,
    _to: &RegistryPlace,
    _limits: &BundleLimits,
    _work: &Work<'_>,
) -> Result<Transferred, BundleError> {
    Err(left_out("registry"))
}

/// Always an error: this build leaves registries out.
pub fn pull_bundle(
    _from: &RegistryPlace,
    _to: &Path,
    _limits: &BundleLimits,
    _work: &Work<'_>,
) -> Result<Transferred, BundleError> {
    Err(left_out("registry"))
}

/// Always an error: this build leaves registries out.
pub(crate) fn pull_image(
    _from: &RegistryPlace,
    _digest: Digest,
    _to: &Path,
    _limits: ImageLimits,
) -> Result<(), BundleError> {
    Err(left_out("registry"))
}
