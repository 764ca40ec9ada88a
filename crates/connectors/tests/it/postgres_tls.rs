//! `sslmode` against a server that speaks TLS: a small gate in front of the real server, because the
//! test servers are built without it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use carnet_connectors::{OpenOptions, open};
use carnet_model::{Code, StoreUrl};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};

use super::postgres::{Database, SERVERS};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls").join(name)
}

fn config() -> Arc<ServerConfig> {
    let chain = vec![CertificateDer::from_pem_file(fixture("server.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(fixture("server.key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    Arc::new(config)
}

/// Opens the gate; gives its port. Its threads end with their connections.
fn gate(server: String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = config();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (config, server) = (Arc::clone(&config), server.clone());
            // A client that refuses the certificate just leaves.
            std::thread::spawn(move || client.and_then(|client| pass(client, &server, config)));
        }
    });
    port
}

/// Answers the request for TLS, then passes bytes both ways.
fn pass(mut client: TcpStream, server: &str, config: Arc<ServerConfig>) -> io::Result<()> {
    const REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
    let mut request = [0; 8];
    client.read_exact(&mut request)?;
    assert_eq!(request, REQUEST, "the client did not ask for TLS");
    client.write_all(b"S")?;
    let mut tls = ServerConnection::new(config).map_err(io::Error::other)?;
    while tls.is_handshaking() {
        tls.complete_io(&mut client)?;
    }
    let mut server = TcpStream::connect(server)?;
    let moment = Some(Duration::from_millis(1));
    client.set_read_timeout(moment)?;
    server.set_read_timeout(moment)?;
    let mut buffer = [0; 16_384];
    loop {
        match tls.read_tls(&mut client) {
            Ok(0) => return server.shutdown(Shutdown::Both),
            Ok(_) => {}
            Err(error) if quiet(&error) => {}
            Err(error) => return Err(error),
        }
        // Bytes may also have come along with the end of the handshake.
        let state = tls.process_new_packets().map_err(io::Error::other)?;
        let mut plain = vec![0; state.plaintext_bytes_to_read()];
        tls.reader().read_exact(&mut plain)?;
        server.write_all(&plain)?;
        match server.read(&mut buffer) {
            Ok(0) => return client.shutdown(Shutdown::Both),
            Ok(length) => tls.writer().write_all(&buffer[..length])?,
            Err(error) if quiet(&error) => {}
            Err(error) => return Err(error),
        }
        while tls.wants_write() {
            tls.write_tls(&mut client)?;
        }
    }
}

fn quiet(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

#[test]
fn each_mode_checks_what_it_says() {
    let database = Database::new(SERVERS[0]);
    let (place, name) =
        database.url.split_once('@').and_then(|(_, place)| place.split_once('/')).unwrap();
    let port = gate(place.to_owned());
    let authority = fixture("authority.pem");
    let stranger = fixture("stranger.pem");
    let try_to = |host: &str, mode: &str, root: Option<&Path>| {
        let root = root.map(|root| format!("&sslrootcert={}", root.display())).unwrap_or_default();
        let url = format!("postgres://postgres@{host}:{port}/{name}?sslmode={mode}{root}");
        let store = open(&StoreUrl::parse(&url).unwrap(), &OpenOptions::default()).unwrap();
        store.snapshot().map(|_| ()).map_err(|error| error.code())
    };
    for (host, mode, root) in [
        ("127.0.0.1", "prefer", None),
        ("127.0.0.1", "require", None),
        ("127.0.0.1", "verify-ca", Some(authority.as_path())),
        ("localhost", "verify-full", Some(authority.as_path())),
    ] {
        assert_eq!(try_to(host, mode, root), Ok(()), "{mode} {host}");
    }
    for (host, mode, root) in [
        // The certificate is for another name, from nobody that is trusted, or from a stranger.
        ("127.0.0.1", "verify-full", Some(authority.as_path())),
        ("localhost", "verify-full", None),
        ("localhost", "verify-full", Some(stranger.as_path())),
        ("localhost", "verify-ca", Some(stranger.as_path())),
        // As libpq has it, a root file makes `require` a check.
        ("localhost", "require", Some(stranger.as_path())),
    ] {
        assert_eq!(try_to(host, mode, root), Err(Code::STORE_UNREACHABLE), "{mode} {host}");
    }
}
