//! One signed request, and what a service refuses.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use carnet_connect::{
    AwsChange, AwsPlace, Header, HeaderValue, HttpRequest, HttpResponse, StoreError,
};
use carnet_model::{Code, Secret};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::s3::S3Keys;

/// The most of an answer that is read: a hundred definitions of tasks fit.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// How many pages a list may have.
pub(super) const PAGES_MAX: usize = 1_000;

const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// A service: what it is called in signatures, in names of hosts, and before its actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    /// Parameters.
    Ssm,
    /// Containers.
    Ecs,
    /// Images.
    Ecr,
    /// Budgets: one service for all regions.
    Budgets,
}

impl Service {
    const fn name(self) -> &'static str {
        match self {
            Self::Ssm => "ssm",
            Self::Ecs => "ecs",
            Self::Ecr => "ecr",
            Self::Budgets => "budgets",
        }
    }

    /// Amazon's own place for it.
    fn url(self, region: &str) -> String {
        match self {
            Self::Ssm => format!("https://ssm.{region}.amazonaws.com/"),
            Self::Ecs => format!("https://ecs.{region}.amazonaws.com/"),
            Self::Ecr => format!("https://api.ecr.{region}.amazonaws.com/"),
            Self::Budgets => "https://budgets.amazonaws.com/".to_owned(),
        }
    }

    const fn target(self) -> &'static str {
        match self {
            Self::Ssm => "AmazonSSM",
            Self::Ecs => "AmazonEC2ContainerServiceV20141113",
            Self::Ecr => "AmazonEC2ContainerRegistry_V20150921",
            Self::Budgets => "AWSBudgetServiceGateway",
        }
    }
}

/// The services of one place, asked with one pair of keys.
pub(super) struct Account {
    endpoint: Option<String>,
    region: String,
    limit: Duration,
    id: Secret,
    secret: Secret,
    token: Option<Secret>,
}

/// Why there is no answer.
pub(super) enum Failed {
    /// The service says no, in its own word.
    Refused(Refusal),
    /// There is no such word.
    Error(StoreError),
}

/// What a service refuses.
pub(super) struct Refusal {
    /// Its word, such as `AccessDeniedException`. What it says beside it is left out: it may repeat
    /// what it was sent, and that may be a secret.
    pub(super) word: String,
    /// Whether the service says that it is not its own fault: then it has done nothing.
    pub(super) is_callers: bool,
    pub(super) error: StoreError,
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Error(error)
    }
}

impl From<Failed> for StoreError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Refused(refusal) => refusal.error,
            Failed::Error(error) => error,
        }
    }
}

/// An answer; `None` if the service says by one of these words that there is no such thing.
pub(super) fn unless<T>(
    answer: Result<T, Failed>,
    words: &[&str],
) -> Result<Option<T>, StoreError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(Failed::Refused(refusal)) if words.contains(&refusal.word.as_str()) => Ok(None),
        Err(failed) => Err(failed.into()),
    }
}

/// What came of asking for a change: it was taken, or refused as the fault of who asks. An error says
/// that nobody knows.
pub(super) fn taken<T>(answer: Result<T, Failed>) -> Result<AwsChange<T>, StoreError> {
    match answer {
        Ok(answer) => Ok(AwsChange::Taken(answer)),
        Err(Failed::Refused(refusal)) if refusal.is_callers => {
            Ok(AwsChange::Refused(refusal.error))
        }
        Err(failed) => Err(failed.into()),
    }
}

/// Makes a question one for the next page.
pub(super) fn go_on(input: &mut Value, key: &str, token: String) {
    if let Some(members) = input.as_object_mut() {
        members.insert(key.to_owned(), token.into());
    }
}

impl Account {
    pub(super) fn new(place: &AwsPlace, keys: &S3Keys) -> Result<Self, StoreError> {
        let missing = |name: &str| {
            StoreError::new(Code::STORE_DENIED, format!("{name} is not set"))
                .remedy("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
        };
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if place.region.is_empty() || !place.region.chars().all(plain) {
            return Err(StoreError::new(Code::STORE_URL, "the name of the region is none")
                .remedy("write it as AWS does, such as eu-west-2"));
        }
        Ok(Self {
            endpoint: place.endpoint.as_ref().map(|it| it.trim_end_matches('/').to_owned()),
            region: place.region.clone(),
            limit: place.limit,
            id: keys.id.clone().ok_or_else(|| missing("AWS_ACCESS_KEY_ID"))?,
            secret: keys.secret.clone().ok_or_else(|| missing("AWS_SECRET_ACCESS_KEY"))?,
            token: keys.token.clone(),
        })
    }

    /// Asks a service for one thing.
    pub(super) fn call<T: DeserializeOwned>(
        &self,
        service: Service,
        action: &str,
        input: &Value,
    ) -> Result<T, Failed> {
        #[expect(
            clippy::disallowed_methods,
            reason = "a signature is good for the minutes in which it is made; nothing replays it"
        )]
        let now = SystemTime::now();
        let answer = crate::http::http(&self.signed(service, action, input, now)?)?;
        read(service, action, &answer)
    }

    /// The request with its signature.
    fn signed(
        &self,
        service: Service,
        action: &str,
        input: &Value,
        now: SystemTime,
    ) -> Result<HttpRequest, StoreError> {
        let url = match &self.endpoint {
            Some(endpoint) => format!("{endpoint}/"),
            None => service.url(&self.region),
        };
        let body = input.to_string().into_bytes();
        let target = format!("{}.{action}", service.target());
        let said = [("content-type", CONTENT_TYPE), ("x-amz-target", target.as_str())];
        let mut credentials = Credentials::builder()
            .access_key_id(self.id.reveal())
            .secret_access_key(self.secret.reveal())
            .provider_name("carnet");
        if let Some(token) = &self.token {
            credentials = credentials.session_token(token.reveal());
        }
        let identity = credentials.build().into();
        // Nothing of what it says is shown: it may hold what is signed.
        let unsigned = || {
            StoreError::new(Code::STORE_URL, "the request cannot be signed")
                .remedy("check the endpoint, and that the keys hold no line breaks")
        };
        let parameters = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(service.name())
            .time(now)
            .settings(SigningSettings::default())
            .build()
            .map_err(|_| unsigned())?
            .into();
        let asked =
            SignableRequest::new("POST", &url, said.into_iter(), SignableBody::Bytes(&body));
        let asked = asked.map_err(|_| unsigned())?;
        let signed = sign(asked, &parameters).map_err(|_| unsigned())?;
        let plain = said.into_iter().map(|(name, value)| Header {
            name: name.to_owned(),
            value: HeaderValue::Plain(value.to_owned()),
        });
        let secret = signed.output().headers().map(|(name, value)| Header {
            name: name.to_owned(),
            value: HeaderValue::Secret(Secret::new(value)),
        });
        Ok(HttpRequest {
            method: "POST".to_owned(),
            headers: plain.chain(secret).collect(),
            url,
            body,
            limit: self.limit,
            body_bytes_max: ANSWER_BYTES_MAX,
            roots: None,
        })
    }
}

fn read<T: DeserializeOwned>(
    service: Service,
    action: &str,
    answer: &HttpResponse,
) -> Result<T, Failed> {
    let asked = format!("{}:{action}", service.name());
    if answer.cut {
        let what = format!("the answer to {asked} is longer than {ANSWER_BYTES_MAX} bytes");
        return Err(StoreError::new(Code::STORE_UNSUPPORTED, what).into());
    }
    if answer.status != 200 {
        return Err(refused(&asked, answer));
    }
    // What cannot be read is not repeated: it may hold a secret.
    serde_json::from_slice(&answer.body).map_err(|_| {
        let what = format!("the answer to {asked} is not in the form that AWS gives it");
        let remedy = "check the endpoint";
        StoreError::new(Code::STORE_MALFORMED, what).remedy(remedy).into()
    })
}

/// The word that stands for what is refused: in a header, or in the body; after the name of a space,
/// or before an address.
fn word_of(answer: &HttpResponse) -> Option<String> {
    let header = answer.headers.iter().find(|(name, _)| name == "x-amzn-errortype");
    let body = || -> Option<String> {
        let body: Value = serde_json::from_slice(&answer.body).ok()?;
        let word = ["__type", "code", "Code"].iter().find_map(|key| body.get(key)?.as_str());
        word.map(str::to_owned)
    };
    let whole = header.map(|(_, value)| value.clone()).or_else(body)?;
    let word = whole.rsplit('#').next()?.split(':').next()?.trim();
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '.';
    (!word.is_empty() && word.len() <= 100 && word.chars().all(plain)).then(|| word.to_owned())
}

fn refused(asked: &str, answer: &HttpResponse) -> Failed {
    let status = answer.status;
    let Some(word) = word_of(answer) else {
        let what = format!("the service answers {status} to {asked}, and does not say why");
        let (code, remedy) = match status {
            401 | 403 => meaning(status, "AccessDenied"),
            _ => (Code::STORE_FAILED, "check the endpoint, and see the log of the service"),
        };
        return StoreError::new(code, what).remedy(remedy).into();
    };
    let (code, remedy) = meaning(status, &word);
    let error = StoreError::new(code, format!("the service refuses {asked}: {word}"));
    // 408: it may have come in, and be done later (RFC 9110, 15.5.9).
    let is_callers = (400..500).contains(&status) && status != 408;
    Failed::Refused(Refusal { word, is_callers, error: error.remedy(remedy) })
}

fn meaning(status: u16, word: &str) -> (Code, &'static str) {
    let word = word.strip_suffix("Exception").unwrap_or(word);
    match word {
        "AccessDenied"
        | "UnauthorizedOperation"
        | "NotAuthorized"
        | "UnrecognizedClient"
        | "InvalidClientTokenId"
        | "InvalidSignature"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "AuthFailure"
        | "MissingAuthenticationToken"
        | "ExpiredToken"
        | "RequestExpired"
        | "OptInRequired" => (
            Code::STORE_DENIED,
            "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, what they may \
             do, and the clock",
        ),
        "Throttling"
        | "Throttled"
        | "RequestLimitExceeded"
        | "TooManyRequests"
        | "RequestThrottled"
        | "SlowDown"
        | "ServiceUnavailable" => {
            (Code::STORE_BUSY, "the service asks for patience: run again later")
        }
        _ if word.ends_with("NotFound") => {
            (Code::STORE_NOT_FOUND, "correct the name, the region or the endpoint")
        }
        _ if status >= 500 => (Code::STORE_FAILED, "the service has trouble: run again later"),
        _ => (Code::STORE_FAILED, "correct what is asked for"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn answer(status: u16, header: Option<&str>, body: &str) -> HttpResponse {
        let header = header.map(|it| ("x-amzn-errortype".to_owned(), it.to_owned()));
        HttpResponse {
            status,
            headers: header.into_iter().collect(),
            body: body.as_bytes().to_vec(),
            cut: false,
            took: Duration::ZERO,
        }
    }

    #[test]
    fn what_is_refused_is_named_and_nothing_of_it_is_repeated() {
        let said = r#"{"__type": "com.amazonaws.ssm#AccessDeniedException", "message": "s3cr3t"}"#;
        let throttled = "ThrottlingException:http://internal.amazon.com/s3cr3t";
        for (answer, code, word) in [
            (answer(400, None, said), Code::STORE_DENIED, "AccessDeniedException"),
            (answer(400, Some(throttled), "s3cr3t"), Code::STORE_BUSY, "ThrottlingException"),
            (answer(400, Some("ClusterNotFoundException"), "{}"), Code::STORE_NOT_FOUND, "Cluster"),
            (answer(400, Some("InvalidSignatureException"), ""), Code::STORE_DENIED, "Signature"),
            (answer(400, Some("ValidationException"), said), Code::STORE_FAILED, "Validation"),
            (answer(500, None, "<html>s3cr3t"), Code::STORE_FAILED, "answers 500 to ssm:A"),
            (answer(400, Some("s3cr3t or not"), ""), Code::STORE_FAILED, "answers 400"),
            (answer(403, None, "<Error>s3cr3t"), Code::STORE_DENIED, "answers 403"),
            (answer(200, None, "[\"s3cr3t\"]"), Code::STORE_MALFORMED, "form"),
        ] {
            let failed = read::<BTreeMap<String, String>>(Service::Ssm, "A", &answer);
            let error = StoreError::from(failed.err().unwrap());
            assert_eq!(error.code(), code, "{error}");
            assert!(error.to_string().contains(word), "{error}");
            assert!(!format!("{error:?}").contains("s3cr3t"), "{error:?}");
        }
        let cut = HttpResponse { cut: true, ..answer(200, None, "{}") };
        assert!(read::<Value>(Service::Ssm, "A", &cut).is_err());
    }

    /// The example of AWS's own documents for this signature has another protocol: what was signed by
    /// `botocore` 1.44.8 for this very request stands here.
    #[test]
    fn the_signature_is_the_one_that_others_make() {
        let place = AwsPlace {
            endpoint: Some("http://127.0.0.1:5000".to_owned()),
            region: "eu-west-2".to_owned(),
            limit: Duration::from_secs(1),
        };
        let secret = |text: &str| Some(Secret::new(text));
        let keys = S3Keys {
            id: secret("AKIDEXAMPLE"),
            secret: secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            token: secret("a-token"),
        };
        let account = Account::new(&place, &keys).unwrap();
        let now = SystemTime::UNIX_EPOCH + Duration::from_hours(500_000);
        let input = serde_json::json!({"Path": "/carnet/dev_min"});
        let request = account.signed(Service::Ssm, "GetParametersByPath", &input, now).unwrap();
        let header = request.headers.iter().find(|it| it.name == "authorization").unwrap();
        let HeaderValue::Secret(value) = &header.value else { panic!("in the open") };
        assert_eq!(value.reveal(), BOTOCORE);
        assert!(!format!("{request:?}").contains("Signature="));
    }

    const BOTOCORE: &str = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20270115/eu-west-2/ssm/aws4_request, \
        SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, \
        Signature=c91de535afb8d17c8e46017f071f1efe5ed25c306bd6ac30dfa2c987cb553c81";

    #[test]
    fn each_service_has_its_own_place() {
        let region = "eu-west-2";
        assert_eq!(Service::Ssm.url(region), "https://ssm.eu-west-2.amazonaws.com/");
        assert_eq!(Service::Ecr.url(region), "https://api.ecr.eu-west-2.amazonaws.com/");
        assert_eq!(Service::Budgets.url(region), "https://budgets.amazonaws.com/");
    }

    #[test]
    fn keys_and_a_region_are_needed() {
        let place = |region: &str| AwsPlace {
            endpoint: None,
            region: region.to_owned(),
            limit: Duration::from_secs(1),
        };
        let secret = || Some(Secret::new("s3cr3t"));
        let keys = |id, secret| S3Keys { id, secret, token: None };
        assert!(Account::new(&place("eu-west-2"), &keys(secret(), secret())).is_ok());
        for keys in [keys(None, secret()), keys(secret(), None)] {
            let error = Account::new(&place("eu-west-2"), &keys).err().unwrap();
            assert_eq!(error.code(), Code::STORE_DENIED);
        }
        for region in ["", "h/", "evil.example"] {
            let error = Account::new(&place(region), &keys(secret(), secret())).err().unwrap();
            assert_eq!(error.code(), Code::STORE_URL);
        }
    }
}
