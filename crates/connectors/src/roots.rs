//! Whom to trust: the authorities of the machine, or those of one file.

use std::path::Path;
use std::sync::OnceLock;

use carnet_connect::StoreError;
use carnet_model::Code;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// How many certificates a file may hold.
const ROOTS_MAX: usize = 10_000;

/// The certificates of the authorities.
pub(crate) fn roots(file: Option<&Path>) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    static MACHINE: OnceLock<Vec<CertificateDer<'static>>> = OnceLock::new();
    let Some(file) = file else {
        let machine = MACHINE.get_or_init(|| rustls_native_certs::load_native_certs().certs);
        return Ok(machine.clone());
    };
    let unusable = |error: Box<dyn std::error::Error + Send + Sync>| {
        let what = format!("cannot use the roots in {}", file.display());
        StoreError::new(Code::STORE_URL, what)
            .because(error)
            .remedy("name a PEM file with the certificate of the authority")
    };
    let mut found = Vec::new();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|it| unusable(it.into()))? {
        found.push(certificate.map_err(|error| unusable(error.into()))?);
        if found.len() > ROOTS_MAX {
            return Err(unusable(format!("more than {ROOTS_MAX} certificates").into()));
        }
    }
    if found.is_empty() {
        return Err(unusable("there is no certificate in it".into()));
    }
    Ok(found)
}
