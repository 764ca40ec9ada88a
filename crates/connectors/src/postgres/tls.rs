//! TLS as `sslmode` asks for it, by rustls.
//!
//! | `sslmode` | encrypted | certificate |
//! |---|---|---|
//! | `disable` | no | |
//! | `prefer` (default) | if the server offers it | not checked |
//! | `require` | yes | not checked, as libpq does without a root file |
//! | `verify-ca` | yes | from a trusted authority; the name is not compared |
//! | `verify-full` | yes | from a trusted authority, and made for this host |
//!
//! Trusted are the authorities of the machine, or those of `sslrootcert=FILE` (PEM) alone. A
//! `sslrootcert` with `require` is read as `verify-ca`, as libpq does. `allow` is not offered: it
//! sends the password in the open first.

use std::path::Path;
use std::sync::Arc;

use carnet_connect::StoreError;
use carnet_model::Code;
use postgres::config::SslMode;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How a server proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    Nothing,
    Authority,
    AuthorityAndName,
}

/// The driver's mode and connector for an `sslmode` word.
pub(super) fn connector(
    mode: Option<&str>,
    root_file: Option<&Path>,
) -> Result<(SslMode, MakeRustlsConnect), StoreError> {
    let (ssl_mode, check) = match (mode.unwrap_or("prefer"), root_file) {
        ("disable", _) => (SslMode::Disable, Check::Nothing),
        ("prefer", _) => (SslMode::Prefer, Check::Nothing),
        ("require", None) => (SslMode::Require, Check::Nothing),
        ("require" | "verify-ca", _) => (SslMode::Require, Check::Authority),
        ("verify-full", _) => (SslMode::Require, Check::AuthorityAndName),
        _ => {
            return Err(StoreError::new(Code::STORE_URL, "unknown sslmode in the store URL")
                .remedy("use disable, prefer, require, verify-ca or verify-full"));
        }
    };
    Ok((ssl_mode, MakeRustlsConnect::new(client_config(check, root_file)?)))
}

fn client_config(check: Check, root_file: Option<&Path>) -> Result<ClientConfig, StoreError> {
    let broken = |error| StoreError::new(Code::BUG, "cannot set up TLS").because(error);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(broken)?;
    if check == Check::Nothing {
        let verifier = Arc::new(Encrypted(provider));
        return Ok(builder
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth());
    }
    let roots = Arc::new(roots(root_file)?);
    let web = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
    let web = web.map_err(|error| {
        StoreError::new(Code::STORE_URL, "no trusted certificate authority")
            .because(error)
            .remedy("name a PEM file with sslrootcert=FILE")
    })?;
    let verifier: Arc<dyn ServerCertVerifier> =
        if check == Check::AuthorityAndName { web } else { Arc::new(AnyName(web)) };
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

fn roots(file: Option<&Path>) -> Result<RootCertStore, StoreError> {
    let mut store = RootCertStore::empty();
    let Some(file) = file else {
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(store);
    };
    let unusable = |error: Box<dyn std::error::Error + Send + Sync>| {
        StoreError::new(Code::STORE_URL, format!("cannot use sslrootcert {}", file.display()))
            .because(error)
            .remedy("name a PEM file with the certificate of the authority")
    };
    for certificate in CertificateDer::pem_file_iter(file).map_err(|e| unusable(e.into()))? {
        let certificate = certificate.map_err(|error| unusable(error.into()))?;
        store.add(certificate).map_err(|error| unusable(error.into()))?;
    }
    Ok(store)
}

/// Encrypts without asking who the server is.
#[derive(Debug)]
struct Encrypted(Arc<CryptoProvider>);

impl ServerCertVerifier for Encrypted {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Checks the authority, and lets the certificate name any host.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let checked =
            self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match checked {
            // The name is compared last, after the chain was found good.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mode_is_known_and_no_other() {
        for (mode, wanted) in [
            (None, SslMode::Prefer),
            (Some("disable"), SslMode::Disable),
            (Some("prefer"), SslMode::Prefer),
            (Some("require"), SslMode::Require),
        ] {
            assert_eq!(connector(mode, None).unwrap().0, wanted, "{mode:?}");
        }
        for mode in ["allow", "on", "verify"] {
            let Err(error) = connector(Some(mode), None) else { panic!("{mode} was taken") };
            assert_eq!(error.code(), Code::STORE_URL);
        }
    }

    #[test]
    fn a_root_file_that_is_not_there_is_refused() {
        let Err(error) = connector(Some("verify-full"), Some(Path::new("/no/such.pem"))) else {
            panic!("taken")
        };
        assert_eq!(error.code(), Code::STORE_URL);
    }
}
