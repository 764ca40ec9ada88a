//! One signed request.

use std::time::Duration;

use carnet_connect::{Header, HeaderValue, HttpRequest, HttpResponse, StoreError};
use carnet_model::Code;
use rusty_s3::{Credentials, Method, S3Action};

/// How long a signature is good for. It is used at once; the clocks of both sides may differ.
const SIGNED_FOR: Duration = Duration::from_mins(15);

/// How long a service may take for one request: it copies up to 5 GiB in one.
const LIMIT: Duration = Duration::from_mins(30);

/// The most of an answer that is read: a list of 1,000 keys of 1,024 bytes, each byte escaped, fits.
pub(super) const ANSWER_BYTES_MAX: usize = 8 << 20;

/// What a request is given beside its action. Headers whose names begin with `x-amz-` are signed.
#[derive(Default)]
pub(super) struct Given<'a> {
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: &'a [u8],
    pub(super) body_bytes_max: Option<usize>,
}

/// The keys, as the signer takes them.
pub(super) fn credentials(keys: &super::S3Keys) -> Result<Option<Credentials>, StoreError> {
    let half = |missing: &str| {
        StoreError::new(Code::STORE_DENIED, format!("{missing} is not set"))
            .remedy("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or none of both")
    };
    match (&keys.id, &keys.secret, &keys.token) {
        (None, None, _) => Ok(None),
        (None, Some(_), _) => Err(half("AWS_ACCESS_KEY_ID")),
        (Some(_), None, _) => Err(half("AWS_SECRET_ACCESS_KEY")),
        (Some(id), Some(secret), None) => Ok(Some(Credentials::new(id.reveal(), secret.reveal()))),
        (Some(id), Some(secret), Some(token)) => {
            Ok(Some(Credentials::new_with_token(id.reveal(), secret.reveal(), token.reveal())))
        }
    }
}

/// Signs and sends. Gives the answer, whatever its status.
pub(super) fn send<'a, A: S3Action<'a>>(
    mut action: A,
    given: Given<'_>,
) -> Result<HttpResponse, StoreError> {
    let mut headers = Vec::new();
    for (name, value) in given.headers {
        if name.starts_with("x-amz-") {
            action.headers_mut().insert(name, value.clone());
        }
        headers.push(Header { name: name.to_owned(), value: HeaderValue::Plain(value) });
    }
    if matches!(A::METHOD, Method::Put | Method::Post) && given.body.is_empty() {
        let value = HeaderValue::Plain("0".to_owned());
        headers.push(Header { name: "content-length".to_owned(), value });
    }
    let request = HttpRequest {
        method: A::METHOD.to_str().to_owned(),
        url: action.sign(SIGNED_FOR).to_string(),
        headers,
        body: given.body.to_vec(),
        limit: LIMIT,
        body_bytes_max: given.body_bytes_max.unwrap_or(ANSWER_BYTES_MAX),
        roots: None,
    };
    crate::http::http(&request)
}

#[cfg(test)]
mod tests {
    use super::super::S3Keys;
    use super::*;
    use carnet_model::Secret;

    #[expect(clippy::unnecessary_wraps, reason = "as the environment gives it")]
    fn secret(text: &str) -> Option<Secret> {
        Some(Secret::new(text))
    }

    #[test]
    fn half_a_pair_of_keys_is_refused() {
        let keys = |id: Option<Secret>, key: Option<Secret>| {
            credentials(&S3Keys { id, secret: key, token: None }).map(|it| it.is_some())
        };
        assert!(!keys(None, None).unwrap());
        assert!(keys(secret("a"), secret("s3cr3t")).unwrap());
        for error in
            [keys(secret("a"), None).unwrap_err(), keys(None, secret("s3cr3t")).unwrap_err()]
        {
            assert_eq!(error.code(), Code::STORE_DENIED);
            assert!(!format!("{error:?}").contains("s3cr3t"));
        }
        let keys = S3Keys { id: secret("a"), secret: secret("s3cr3t"), token: secret("s3cr3t") };
        assert!(!format!("{keys:?}").contains("s3cr3t"));
    }
}
