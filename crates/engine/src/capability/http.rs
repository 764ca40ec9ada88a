//! `http.request`.

use std::time::Duration;

use carnet_connect::{Address, Header, HeaderValue, HttpRequest, HttpResponse};
use carnet_ledger::Object;
use carnet_model::capability::{HttpBody, HttpCall};
use carnet_model::{Code, Secret, Text};

use super::{Act, Capability, Probed, secrets, unknown};
use crate::error::StepError;
use crate::step::{Done, files, number};

pub(super) struct Request;

/// The largest file that is sent.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// The request, and the secrets in it.
fn request(act: &Act<'_>, call: &HttpCall) -> Result<(HttpRequest, Vec<Secret>), StepError> {
    let (mut headers, mut hidden) = (Vec::new(), Vec::new());
    for (name, text) in &call.headers {
        let resolved = secrets::resolve(act.cx.outside, text)?;
        hidden.extend(resolved.secret);
        let value = match text {
            Text::Plain(text) => HeaderValue::Plain(text.clone()),
            Text::Secret(_) => HeaderValue::Secret(resolved.whole),
        };
        headers.push(Header { name: name.clone(), value });
    }
    if let Some(name) = &call.idempotency_header {
        let value = HeaderValue::Plain(act.key.to_owned());
        headers.push(Header { name: name.clone(), value });
    }
    let said = headers.iter().any(|header| header.name.eq_ignore_ascii_case("content-type"));
    if matches!(call.body, Some(HttpBody::Json(_))) && !said {
        let value = HeaderValue::Plain("application/json".to_owned());
        headers.push(Header { name: "Content-Type".to_owned(), value });
    }
    let body = match &call.body {
        None => Vec::new(),
        Some(HttpBody::Json(value)) => value.to_string().into_bytes(),
        Some(HttpBody::Text(text)) => {
            let resolved = secrets::resolve(act.cx.outside, text)?;
            hidden.extend(resolved.secret);
            resolved.whole.reveal().as_bytes().to_vec()
        }
        Some(HttpBody::File(path)) => file(act, path)?,
    };
    let request = HttpRequest {
        method: call.method.name().to_owned(),
        url: call.url.clone(),
        headers,
        body,
        limit: Duration::from_secs(call.time_limit_s.into()),
        body_bytes_max: usize::try_from(call.body_bytes_max).unwrap_or(0),
        roots: call.roots.as_ref().map(|path| act.cx.folder.join(path)),
    };
    Ok((request, hidden))
}

fn file(act: &Act<'_>, path: &str) -> Result<Vec<u8>, StepError> {
    let path = act.cx.folder.join(path);
    let length = std::fs::metadata(&path).map_or(0, |found| found.len());
    if length > FILE_BYTES_MAX {
        let what = format!("{} has {length} bytes, and 64 MiB are the most", path.display());
        return Err(StepError::new(Code::HTTP_FAILED, what).remedy("send it by a command"));
    }
    files::read(&path)?.ok_or_else(|| {
        StepError::new(Code::HTTP_FAILED, format!("there is no file {}", path.display()))
    })
}

/// The URL without its query, which may hold what is not for everybody.
fn shown(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

/// Where the server listens.
fn address(call: &HttpCall) -> Result<Address, StepError> {
    let wrong = || {
        StepError::new(Code::STORE_URL, "the URL of the request is not understood")
            .remedy("write http://HOST:PORT/PATH or https://HOST:PORT/PATH")
    };
    let (scheme, rest) = call.url.split_once("://").ok_or_else(wrong)?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        // A colon within brackets is part of an IPv6 address.
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| wrong())?),
        Some(_) | None => (authority, if scheme == "https" { 443 } else { 80 }),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok(Address { host, port, limit: Duration::from_secs(call.time_limit_s.into()) })
}

fn succeeded(call: &HttpCall, status: u16) -> bool {
    if call.succeeds_with.is_empty() {
        (200..300).contains(&status)
    } else {
        call.succeeds_with.contains(&status)
    }
}

impl Capability for Request {
    fn prepare(&self, act: &Act<'_>) -> Result<Object, StepError> {
        let call: HttpCall = act.inputs()?;
        let (request, _) = request(act, &call)?;
        Ok(Object::from([
            ("method".to_owned(), request.method.into()),
            ("url".to_owned(), shown(&request.url).into()),
            ("body_bytes".to_owned(), number(request.body.len() as u64)),
        ]))
    }

    fn act(&self, act: &Act<'_>, _: &Object) -> Result<Done, StepError> {
        let call: HttpCall = act.inputs()?;
        let (request, hidden) = request(act, &call)?;
        let place = format!("{} {}", request.method, shown(&request.url));
        // Asked again with its key, the server does it once: what is not known is then a failure
        // that may be repeated.
        let repeatable = call.idempotency_header.is_some();
        let unclear = |what: String| {
            if repeatable {
                StepError::new(Code::HTTP_FAILED, what).remedy("run the plan again")
            } else {
                unknown(what, "look whether the server has done it, and settle the step")
            }
        };
        // Where nothing listens, nothing was sent. From here on that is not certain any more.
        act.cx.outside.connect(&address(&call)?)?;
        let HttpResponse { status, body, cut, .. } = match act.cx.outside.http(&request) {
            Ok(response) => response,
            Err(error) if error.code() == Code::STORE_URL => return Err(error.into()),
            Err(error) => {
                let error = StepError::from(error);
                return Err(unclear(format!("{place} had no answer: {}", error.told())));
            }
        };
        act.pass("http/answered")?;
        let kept = act.cx.recorder.put(&secrets::masked(&body, &hidden))?;
        if !succeeded(&call, status) {
            let what = format!("{place} was answered with status {status}");
            return Err(match status {
                408 | 500..=599 => unclear(what),
                _ => StepError::new(Code::HTTP_FAILED, what).remedy(
                    "see what the server says, correct the request, and run the plan again",
                ),
            });
        }
        Ok(Done::default().count("status", status.into()).fact("body", kept).fact("cut", cut))
    }

    fn probe(&self, act: &Act<'_>, _: &Object) -> Result<Probed, StepError> {
        let call: HttpCall = act.inputs()?;
        Ok(match call.idempotency_header {
            Some(_) => Probed::NotApplied,
            None => Probed::Unknown(format!(
                "{} {} may have been sent, and the plan names no header for its key",
                call.method.name(),
                shown(&call.url)
            )),
        })
    }

    fn undo(&self, _: &Act<'_>, _: &Object) -> Result<Vec<String>, StepError> {
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_off_urls() {
        let of = |url: &str| {
            let call = serde_json::json!({"method": "GET", "url": url});
            let address = address(&carnet_model::capability::read(&call).unwrap()).ok()?;
            Some(format!("{} {}", address.host, address.port))
        };
        assert_eq!(of("http://h/a:1").as_deref(), Some("h 80"));
        assert_eq!(of("https://h?x").as_deref(), Some("h 443"));
        assert_eq!(of("http://[::1]:8080/").as_deref(), Some("::1 8080"));
        assert_eq!(of("http://[::1]").as_deref(), Some("::1 80"));
        assert_eq!(of("http://h:x/"), None);
    }
}
