//! The certificate that a server shows, whether it is trusted or not.

use std::sync::{Arc, Mutex, PoisonError};

use carnet_connect::{Certificate, CertificateRequest, StoreError};
use carnet_model::Code;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use super::connection;
use crate::roots::roots;

/// How much of a name is kept.
const NAME_CHARS_MAX: usize = 500;

/// Asks a server for its certificate. It must prove that it holds the key of it.
pub fn certificate(request: &CertificateRequest) -> Result<Certificate, StoreError> {
    let address = &request.address;
    let place = format!("{}:{}", address.host, address.port);
    let host = address.host.trim_start_matches('[').trim_end_matches(']');
    let name = request.server_name.as_deref().unwrap_or(host).to_owned();
    let name = ServerName::try_from(name).map_err(|error| {
        StoreError::new(Code::STORE_URL, "the server name is no DNS name and no IP address")
            .because(error)
            .remedy("write the name that the certificate is made for")
    })?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let watcher = Arc::new(Watcher::new(roots(request.roots.as_deref())?, provider)?);
    let broken = |error| StoreError::new(Code::BUG, "cannot set up TLS").because(error);
    let config = ClientConfig::builder_with_provider(Arc::clone(&watcher.provider))
        .with_safe_default_protocol_versions()
        .map_err(broken)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::<Watcher>::clone(&watcher))
        .with_no_client_auth();
    let mut connection = ClientConnection::new(Arc::new(config), name).map_err(broken)?;
    let mut stream = connection::open(address)?;
    let mut ended = Ok(());
    while connection.is_handshaking() && ended.is_ok() {
        ended = connection.complete_io(&mut stream).map(|_| ());
    }
    // A server that wants a certificate from us ends the connection after it has shown its own.
    let seen = watcher.seen.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (seen, ended) {
        (Some(seen), _) if seen.is_proven => read(&seen, &place),
        (_, Err(error)) => {
            Err(StoreError::new(Code::STORE_UNREACHABLE, format!("{place} shows no certificate"))
                .because(error)
                .remedy("check that the server speaks TLS on this port"))
        }
        (_, Ok(())) => {
            let what = format!("{place} does not hold the key of its certificate");
            Err(StoreError::new(Code::STORE_UNREACHABLE, what).remedy("check the server"))
        }
    }
}

fn read(seen: &Seen, place: &str) -> Result<Certificate, StoreError> {
    let malformed = || {
        let what = format!("the certificate of {place} cannot be read");
        StoreError::new(Code::STORE_MALFORMED, what).remedy("give the server another certificate")
    };
    let (rest, parsed) = x509_parser::parse_x509_certificate(&seen.der).map_err(|_| malformed())?;
    if !rest.is_empty() {
        return Err(malformed());
    }
    let short = |name: String| name.chars().take(NAME_CHARS_MAX).collect::<String>();
    let validity = parsed.validity();
    Ok(Certificate {
        subject: short(parsed.subject().to_string()),
        issuer: short(parsed.issuer().to_string()),
        sha256: *carnet_model::gate::Content::of(&seen.der).sha256.as_bytes(),
        not_before_s: validity.not_before.timestamp(),
        not_after_s: validity.not_after.timestamp(),
        distrust: seen.distrust.clone().map(short),
    })
}

/// What was shown.
#[derive(Debug)]
struct Seen {
    der: Vec<u8>,
    distrust: Option<String>,
    is_proven: bool,
}

/// Notes the certificate and what the usual verifier says of it, and lets the handshake go on.
#[derive(Debug)]
struct Watcher {
    provider: Arc<CryptoProvider>,
    verifier: Option<Arc<WebPkiServerVerifier>>,
    seen: Mutex<Option<Seen>>,
}

impl Watcher {
    fn new(
        roots: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, StoreError> {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(roots);
        let verifier = if store.is_empty() {
            None
        } else {
            let web =
                WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(&provider));
            let broken = |error| StoreError::new(Code::BUG, "cannot set up TLS").because(error);
            Some(web.build().map_err(broken)?)
        };
        Ok(Self { provider, verifier, seen: Mutex::new(None) })
    }

    fn proven(
        &self,
        valid: Result<HandshakeSignatureValid, Error>,
    ) -> Result<HandshakeSignatureValid, Error> {
        if valid.is_ok()
            && let Some(seen) = &mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
        {
            seen.is_proven = true;
        }
        valid
    }
}

impl ServerCertVerifier for Watcher {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let distrust = match &self.verifier {
            None => Some("no certificate authority is trusted here".to_owned()),
            Some(verifier) => verifier
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
                .err()
                .map(|error| error.to_string()),
        };
        let seen = Seen { der: end_entity.to_vec(), distrust, is_proven: false };
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        self.proven(rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        self.proven(rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
