//! One connection to one broker: TLS and a login where they are asked for, then questions and answers.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use carnet_connect::{BrokerLogin, BrokerPlace, BrokerTls, StoreError};
use carnet_model::Code;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, RequestHeader, ResponseHeader,
    SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::roots::roots;

/// No answer to what is asked here is longer.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// The only mechanism of SASL that is spoken.
const PLAIN: &str = "PLAIN";

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

pub(super) struct Connection {
    address: String,
    stream: Box<dyn Stream>,
    /// By question, the versions that the broker speaks.
    versions: BTreeMap<i16, RangeInclusive<i16>>,
    number: i32,
}

impl Connection {
    pub(super) fn open(address: &str, place: &BrokerPlace) -> Result<Self, StoreError> {
        let limit = place.limit;
        let unreachable = |error: std::io::Error| {
            let what = format!("the broker {address} cannot be reached");
            StoreError::new(Code::STORE_UNREACHABLE, what)
                .remedy("check that it runs and that this machine can reach it")
                .because(error)
        };
        let mut stream = Err(std::io::Error::from(std::io::ErrorKind::NotFound));
        for found in address.to_socket_addrs().map_err(unreachable)? {
            stream = TcpStream::connect_timeout(&found, limit);
            if stream.is_ok() {
                break;
            }
        }
        let stream = stream.map_err(unreachable)?;
        stream.set_read_timeout(Some(limit)).map_err(unreachable)?;
        stream.set_write_timeout(Some(limit)).map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let stream: Box<dyn Stream> = match &place.tls {
            Some(tls) => Box::new(encrypted(stream, address, tls)?),
            None => Box::new(stream),
        };
        let versions = BTreeMap::from([(ApiKey::ApiVersions as i16, 0..=0)]);
        let mut made = Self { address: address.to_owned(), stream, versions, number: 0 };
        let request = ApiVersionsRequest::default();
        let answer: ApiVersionsResponse = made.ask(ApiKey::ApiVersions, 0..=0, &request)?;
        let spoken = answer.api_keys.into_iter();
        made.versions = spoken.map(|it| (it.api_key, it.min_version..=it.max_version)).collect();
        if let Some(login) = &place.login {
            made.log_in(login)?;
        }
        Ok(made)
    }

    /// Says who asks: SASL's PLAIN, in messages of Kafka's protocol.
    fn log_in(&mut self, login: &BrokerLogin) -> Result<(), StoreError> {
        let denied = |address: &str, why: &str| {
            let what = format!("the broker {address} does not let this user in: {why}");
            StoreError::new(Code::STORE_DENIED, what)
                .remedy("check the user and the password, and what the broker lets them do")
        };
        let wanted =
            SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str(PLAIN));
        let answer: SaslHandshakeResponse = self.ask(ApiKey::SaslHandshake, 1..=1, &wanted)?;
        if answer.error_code != 0 {
            let known: Vec<&str> = answer.mechanisms.iter().map(StrBytes::as_str).collect();
            let why = format!("it takes no {PLAIN}, but {}", known.join(", "));
            return Err(denied(&self.address, &why));
        }
        let said = format!("\0{}\0{}", login.user.reveal(), login.password.reveal());
        let request = SaslAuthenticateRequest::default().with_auth_bytes(said.into());
        let answer: SaslAuthenticateResponse =
            self.ask(ApiKey::SaslAuthenticate, 0..=2, &request)?;
        // Its message is not repeated: it may hold what it was sent.
        match ResponseError::try_from_code(answer.error_code) {
            None => Ok(()),
            Some(error) => Err(denied(&self.address, &error.to_string())),
        }
    }

    /// Asks a question in the highest of these versions that the broker speaks too, and waits for
    /// the answer.
    pub(super) fn ask<Q, A>(
        &mut self,
        key: ApiKey,
        versions: RangeInclusive<i16>,
        request: &Q,
    ) -> Result<A, StoreError>
    where
        Q: Encodable + HeaderVersion,
        A: Decodable + HeaderVersion,
    {
        let address = &self.address;
        let spoken = self.versions.get(&(key as i16));
        let version = spoken.map(|it| *it.end().min(versions.end()));
        let Some(version) = version
            .filter(|it| versions.contains(it) && spoken.is_some_and(|spoken| spoken.contains(it)))
        else {
            let what = format!("the broker {address} does not speak {key:?} as it is asked here");
            return Err(StoreError::new(Code::STORE_UNSUPPORTED, what)
                .remedy("use a broker of Kafka 1.0 or later"));
        };
        self.number = self.number.wrapping_add(1);
        let header = RequestHeader::default()
            .with_request_api_key(key as i16)
            .with_request_api_version(version)
            .with_correlation_id(self.number)
            .with_client_id(Some(StrBytes::from_static_str("carnet")));
        let mut message = BytesMut::new();
        header
            .encode(&mut message, Q::header_version(version))
            .and_then(|()| request.encode(&mut message, version))
            .map_err(|error| self.broken(key, &error.to_string()))?;
        let mut answer = self.exchange(&message).map_err(|error| {
            let what = format!("the broker {} does not answer", self.address);
            StoreError::new(Code::STORE_UNREACHABLE, what)
                .remedy("see its log; give it more time if it is busy")
                .because(error)
        })?;
        let told = ResponseHeader::decode(&mut answer, A::header_version(version))
            .map_err(|error| self.broken(key, &error.to_string()))?;
        if told.correlation_id != self.number {
            return Err(self.broken(key, "it answers another question"));
        }
        let told = A::decode(&mut answer, version);
        let told = told.map_err(|error| self.broken(key, &error.to_string()))?;
        if answer.has_remaining() {
            return Err(self.broken(key, "there is more than the answer"));
        }
        Ok(told)
    }

    fn exchange(&mut self, message: &[u8]) -> std::io::Result<Bytes> {
        let invalid = || std::io::Error::from(std::io::ErrorKind::InvalidData);
        let length = i32::try_from(message.len()).map_err(|_| invalid())?;
        self.stream.write_all(&[&length.to_be_bytes(), message].concat())?;
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = usize::try_from(i32::from_be_bytes(length)).map_err(|_| invalid())?;
        if length > ANSWER_BYTES_MAX {
            return Err(invalid());
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer)?;
        Ok(answer.into())
    }

    fn broken(&self, key: ApiKey, why: &str) -> StoreError {
        let what = format!("the broker {} and {key:?} do not fit: {why}", self.address);
        StoreError::new(Code::STORE_UNREACHABLE, what)
            .remedy("check that it speaks Kafka's protocol")
    }
}

/// The stream, once the broker has shown who it is.
fn encrypted(
    mut stream: TcpStream,
    address: &str,
    tls: &BrokerTls,
) -> Result<StreamOwned<ClientConnection, TcpStream>, StoreError> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        let what = format!("no TLS with the broker {address}");
        StoreError::new(Code::STORE_UNREACHABLE, what)
            .remedy("check its certificate, and the roots that the plan names")
            .because(error)
    };
    let mut trusted = RootCertStore::empty();
    trusted.add_parsable_certificates(roots(tls.roots.as_deref())?);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(error.into()))?
        .with_root_certificates(trusted)
        .with_no_client_auth();
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(host).map_err(|error| failed(error.into()))?;
    let mut session =
        ClientConnection::new(Arc::new(config), name).map_err(|error| failed(error.into()))?;
    while session.is_handshaking() {
        session.complete_io(&mut stream).map_err(|error| failed(error.into()))?;
    }
    Ok(StreamOwned::new(session, stream))
}
