//! Servers, and the controls of each: no credential, a bogus one, a closed port, another name.

use std::collections::BTreeMap;
use std::net::TcpListener;

use carnet_connect::{
    Address, CertificateRequest, Header, HeaderValue, HttpRequest, HttpResponse, StoreError,
};
use carnet_model::gate::{
    BOGUS_CREDENTIAL, CLOSED_PORT, CONTENT_BYTES_MAX, Content, Control, Facts, OTHER_NAME,
    WITHOUT_CREDENTIAL, http, tcp, tls_expiry,
};
use carnet_model::{Code, Text};

use super::{Looked, Surroundings, millis, seconds};
use crate::capability::secrets::resolve;
use crate::error::StepError;

/// A credential that nobody gave out.
const BOGUS: &str = "carnet-control-that-nobody-gave-out";

/// A name for which nobody can have a certificate (RFC 6761).
const OTHER: &str = "carnet-control.invalid";

/// How much of an answer is read that is only hashed.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Sends the request, and, where a credential is demanded, sends it again without and with a bogus
/// one.
pub(super) fn http(around: &Surroundings<'_>, rule: &http::Rule) -> Result<Looked, StepError> {
    let request = request(around, rule)?;
    let answer = answer(rule, around.outside.http(&request)?);
    let mut looked = Looked::new(Facts::Http(http::Facts { answer: Some(answer) }));
    if let Some(name) = &rule.refused_without {
        for (control, bogus) in [(WITHOUT_CREDENTIAL, false), (BOGUS_CREDENTIAL, true)] {
            looked =
                looked.control(refused_credential(around, rule, &request, name, control, bogus)?);
        }
    }
    Ok(looked)
}

fn request(around: &Surroundings<'_>, rule: &http::Rule) -> Result<HttpRequest, StepError> {
    let keeps_text = rule.schema.is_some() || !rule.json.is_empty();
    // One byte more than is kept: a longer document is told from one that just fits.
    let most = if keeps_text { CONTENT_BYTES_MAX + 1 } else { BODY_BYTES_MAX };
    Ok(HttpRequest {
        method: rule.method.name().to_owned(),
        url: rule.url.clone(),
        headers: headers(around, &rule.headers)?,
        body: rule.body.clone().unwrap_or_default().into_bytes(),
        limit: seconds(rule.limit_s),
        body_bytes_max: most,
        roots: rule.roots.as_ref().map(|path| around.path(path)),
    })
}

/// The headers with their secrets.
pub(super) fn headers(
    around: &Surroundings<'_>,
    said: &BTreeMap<String, Text>,
) -> Result<Vec<Header>, StepError> {
    let header = |(name, text): (&String, &Text)| {
        let value = match text {
            Text::Plain(text) => HeaderValue::Plain(text.clone()),
            Text::Secret(_) => HeaderValue::Secret(resolve(around.outside, text)?.whole),
        };
        Ok(Header { name: name.clone(), value })
    };
    said.iter().map(header).collect()
}

fn answer(rule: &http::Rule, answer: HttpResponse) -> http::Answer {
    let asked = |name: &String| rule.answer_headers.keys().any(|it| it.eq_ignore_ascii_case(name));
    let keeps_text = rule.schema.is_some() || !rule.json.is_empty();
    let content = Content::of(&answer.body);
    let mut headers = BTreeMap::new();
    // A header that stands twice is one with both values (RFC 9110, 5.3).
    for (name, value) in answer.headers.into_iter().filter(|(name, _)| asked(name)) {
        let values: &mut String = headers.entry(name).or_default();
        if !values.is_empty() {
            values.push_str(", ");
        }
        values.push_str(&value);
    }
    http::Answer {
        status: answer.status,
        headers,
        content: if keeps_text { content } else { content.without_text() },
        cut: answer.cut,
        took_ms: millis(answer.took),
    }
}

/// The same request with the credential left out, or replaced.
fn refused_credential(
    around: &Surroundings<'_>,
    rule: &http::Rule,
    request: &HttpRequest,
    name: &str,
    control: &str,
    bogus: bool,
) -> Result<Control, StepError> {
    let mut damaged = request.clone();
    damaged.headers.retain(|header| !header.name.eq_ignore_ascii_case(name));
    if bogus {
        let said = rule.headers.iter().find(|(it, _)| it.eq_ignore_ascii_case(name));
        let before = match said {
            Some((_, Text::Secret(named))) => named.before.as_str(),
            Some((_, Text::Plain(_))) | None => "",
        };
        let value = HeaderValue::Plain(format!("{before}{BOGUS}"));
        damaged.headers.push(Header { name: name.to_owned(), value });
    }
    let status = around.outside.http(&damaged)?.status;
    let how = if bogus { "with a bogus" } else { "without" };
    Ok(Control::new(
        control,
        format!("the request {how} {name} got status {status}"),
        matches!(status, 401 | 403),
    ))
}

/// Opens connections, and one to a port of this machine on which nobody listens.
pub(super) fn tcp(around: &Surroundings<'_>, rule: &tcp::Rule) -> Result<Looked, StepError> {
    let (host, limit) = (rule.host.clone(), seconds(rule.limit_s));
    let address = Address { host, port: rule.port, limit };
    let mut attempts = Vec::new();
    for _ in 0..rule.attempts {
        attempts.push(match around.outside.connect(&address) {
            Ok(took) => tcp::Attempt { open_ms: Some(millis(took)), why: None },
            Err(error) if error.code() == Code::STORE_UNREACHABLE => {
                tcp::Attempt { open_ms: None, why: Some(StepError::from(error).told()) }
            }
            Err(error) => return Err(error.into()),
        });
    }
    let closed = closed_port()?;
    let host = "127.0.0.1".to_owned();
    let asked = around.outside.connect(&Address { host, port: closed, limit });
    let control = match asked {
        Ok(_) => Control::new(CLOSED_PORT, "a closed port took a connection", false),
        Err(error) if error.code() == Code::STORE_UNREACHABLE => {
            Control::new(CLOSED_PORT, "a closed port was refused", true)
        }
        Err(error) => return Err(error.into()),
    };
    Ok(Looked::new(Facts::Tcp(tcp::Facts { attempts })).control(control))
}

/// A port of this machine on which nobody listens: it was just taken, and let go.
fn closed_port() -> Result<u16, StepError> {
    let taken = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let taken = taken.map_err(|error| {
        StepError::new(Code::IO, format!("no port of this machine can be taken: {error}"))
    })?;
    Ok(taken.port())
}

/// Asks for the certificate, and, where it must be trusted, for one of another name.
pub(super) fn tls_expiry(
    around: &Surroundings<'_>,
    rule: &tls_expiry::Rule,
) -> Result<Looked, StepError> {
    let (host, limit) = (rule.host.clone(), seconds(rule.limit_s));
    let request = CertificateRequest {
        address: Address { host, port: rule.port, limit },
        server_name: rule.server_name.clone(),
        roots: rule.roots.as_ref().map(|path| around.path(path)),
    };
    let shown = around.outside.certificate(&request)?;
    let facts = tls_expiry::Facts {
        at_s: around.now_us().div_euclid(1_000_000),
        shown: Some(tls_expiry::Shown {
            subject: shown.subject,
            issuer: shown.issuer,
            sha256: carnet_ledger::Digest(shown.sha256),
            not_before_s: shown.not_before_s,
            not_after_s: shown.not_after_s,
            distrust: shown.distrust,
        }),
    };
    let looked = Looked::new(Facts::TlsExpiry(facts));
    if !rule.trusted {
        return Ok(looked);
    }
    let other = CertificateRequest { server_name: Some(OTHER.to_owned()), ..request };
    let control = match around.outside.certificate(&other) {
        Ok(shown) => {
            let refused = shown.distrust.is_some();
            let said = if refused { "was not trusted" } else { "was trusted" };
            Control::new(OTHER_NAME, format!("the certificate {said} for another name"), refused)
        }
        Err(error) => unanswered(error)?,
    };
    Ok(looked.control(control))
}

/// A server that shows nothing for a name that is not its own.
fn unanswered(error: StoreError) -> Result<Control, StepError> {
    if error.code() != Code::STORE_UNREACHABLE {
        return Err(error.into());
    }
    Ok(Control::new(OTHER_NAME, "the server showed no certificate for another name", true))
}
