//! One request, one answer.

use std::io::Read;
use std::path::Path;
use std::time::Instant;

use carnet_connect::{Header, HeaderValue, HttpRequest, HttpResponse, StoreError};
use carnet_model::Code;
use ureq::http::{self as forms, Request, Response, Uri};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body};

use crate::roots::roots;

/// How many bytes the headers of an answer may have.
const HEADERS_BYTES_MAX: usize = 64 * 1024;

/// Sends one request and reads the answer. Any status is an answer.
pub fn http(request: &HttpRequest) -> Result<HttpResponse, StoreError> {
    let started = Instant::now();
    let uri = uri_of(&request.url)?;
    let place = format!(
        "{}://{}",
        uri.scheme_str().unwrap_or_default(),
        uri.authority().map(forms::uri::Authority::as_str).unwrap_or_default()
    );
    let is_https = uri.scheme_str() == Some("https");
    let roots = if is_https { Some(root_certs(request.roots.as_deref())?) } else { None };
    let agent = agent(request, roots);
    let built = built(request, uri)?;
    let answer =
        if request.body.is_empty() { agent.run(built.map(|_| ())) } else { agent.run(built) };
    let mut answer = answer.map_err(|error| told(error, &place))?;
    let (body, cut) = body_of(&mut answer, request.body_bytes_max, &place)?;
    let headers = answer.headers().iter().map(|(name, value)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    Ok(HttpResponse {
        status: answer.status().as_u16(),
        headers: headers.collect(),
        body,
        cut,
        took: started.elapsed(),
    })
}

fn uri_of(url: &str) -> Result<Uri, StoreError> {
    // The URL is not repeated: it may hold a token.
    let wrong = |what| {
        StoreError::new(Code::STORE_URL, what)
            .remedy("write http://HOST:PORT/PATH or https://HOST:PORT/PATH, without a user")
    };
    let uri: Uri = url.parse().map_err(|_| wrong("the URL of the request is not understood"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(wrong("the URL of the request is no http: or https: URL"));
    }
    match uri.authority() {
        Some(authority) if authority.as_str().contains('@') => {
            Err(wrong("a user or a password stands in the URL of the request"))
        }
        Some(_) => Ok(uri),
        None => Err(wrong("the URL of the request names no host")),
    }
}

fn root_certs(file: Option<&Path>) -> Result<RootCerts, StoreError> {
    let found = roots(file)?;
    Ok(found
        .iter()
        .map(|der| Certificate::from_der(der.as_ref()).to_owned())
        .collect::<Vec<_>>()
        .into())
}

fn agent(request: &HttpRequest, roots: Option<RootCerts>) -> Agent {
    let mut tls = TlsConfig::builder();
    if let Some(roots) = roots {
        tls = tls.root_certs(roots);
    }
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .user_agent("carnet")
        .accept_encoding("identity")
        .allow_non_standard_methods(true)
        .max_response_header_size(HEADERS_BYTES_MAX)
        .max_idle_connections(0)
        .timeout_global(Some(request.limit))
        .tls_config(tls.build())
        .build()
        .new_agent()
}

fn built(request: &HttpRequest, uri: Uri) -> Result<Request<Vec<u8>>, StoreError> {
    let wrong = |what: String| StoreError::new(Code::STORE_URL, what).remedy("correct the request");
    let method = forms::Method::from_bytes(request.method.as_bytes());
    let method = method.map_err(|_| wrong("the method of the request is none".to_owned()))?;
    let mut built = Request::new(request.body.clone());
    *built.method_mut() = method;
    *built.uri_mut() = uri;
    for Header { name, value } in &request.headers {
        let bad = || wrong(format!("the header {:?} cannot be sent", shortened(name)));
        let (text, is_secret) = match value {
            HeaderValue::Plain(text) => (text.as_str(), false),
            HeaderValue::Secret(secret) => (secret.reveal(), true),
        };
        let name = forms::HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
        let mut value = forms::HeaderValue::from_str(text).map_err(|_| bad())?;
        value.set_sensitive(is_secret);
        built.headers_mut().append(name, value);
    }
    Ok(built)
}

fn shortened(name: &str) -> String {
    name.chars().take(60).collect()
}

fn body_of(
    answer: &mut Response<Body>,
    bytes_max: usize,
    place: &str,
) -> Result<(Vec<u8>, bool), StoreError> {
    let mut body = Vec::new();
    let one_more = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    let reader = answer.body_mut().as_reader();
    let read = reader.take(one_more).read_to_end(&mut body);
    read.map_err(|error| told(ureq::Error::from(error), place))?;
    let cut = body.len() > bytes_max;
    body.truncate(bytes_max);
    Ok((body, cut))
}

/// What went wrong, in our own words. Nothing of the request is repeated but its host.
fn told(error: ureq::Error, place: &str) -> StoreError {
    let (code, what, remedy) = kind_of(&error, place);
    StoreError::new(code, what).because(error).remedy(remedy)
}

fn kind_of(error: &ureq::Error, place: &str) -> (Code, String, &'static str) {
    use ureq::Error;
    let reach = "check host and port, and that the server runs and may be reached from here";
    let trust = "give the server a good certificate, or name its authority with `roots`";
    let unreachable = |what: String, remedy| (Code::STORE_UNREACHABLE, what, remedy);
    let is_tls = |error: &std::io::Error| {
        error.get_ref().and_then(|it| it.downcast_ref::<rustls::Error>()).is_some()
    };
    #[expect(clippy::wildcard_enum_match_arm, reason = "the client's own list, which grows")]
    match error {
        Error::Timeout(_) => {
            let remedy = "see why the server is slow, or give it more time";
            unreachable(format!("{place} did not answer in time"), remedy)
        }
        Error::Io(error) if is_tls(error) => unreachable(format!("no TLS with {place}"), trust),
        Error::Rustls(_) | Error::Tls(_) => unreachable(format!("no TLS with {place}"), trust),
        Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            unreachable(format!("{place} refuses connections"), reach)
        }
        Error::Io(_) | Error::HostNotFound | Error::ConnectionFailed => {
            unreachable(format!("no answer from {place}"), reach)
        }
        _ => {
            let remedy = "check that the server speaks HTTP on this port";
            (Code::STORE_MALFORMED, format!("{place} gave no answer that HTTP knows"), remedy)
        }
    }
}
