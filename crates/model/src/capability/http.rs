//! `http.request`.

use std::collections::BTreeMap;

use carnet_document::{InputError, pointer_token};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ApprovalMode, Descriptor, Fencing, Repeat, Safety, UndoKind, UndoReach, checked};
use crate::text::Text;

pub(super) const NAME: &str = "http.request";

/// One request. Redirects are not followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpCall {
    /// The method.
    pub method: HttpMethod,
    /// The URL, without user and password.
    #[schemars(
        regex(pattern = r"^https?://[^\u0000-\u0020@/?#]+([/?#][^\u0000-\u0020]*)?$"),
        length(max = 8192)
    )]
    pub url: String,
    /// The headers. A secret is named: `Authorization: {secret: API_TOKEN, before: "Bearer "}`.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"pattern": "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"}))]
    pub headers: BTreeMap<String, Text>,
    /// What is sent.
    pub body: Option<HttpBody>,
    /// The statuses that mean success; any from 200 to 299 if nothing is said.
    #[serde(default)]
    #[schemars(length(max = 100), inner(range(min = 100, max = 599)))]
    pub succeeds_with: Vec<u16>,
    /// How many seconds all of it may take.
    #[serde(default = "half_a_minute")]
    #[schemars(range(min = 1, max = 3_600))]
    pub time_limit_s: u32,
    /// How many bytes of the answer are kept.
    #[serde(default = "kept")]
    #[schemars(range(min = 0, max = 1_048_576))]
    pub body_bytes_max: u32,
    /// A PEM file with the roots to trust; those of the system if nothing is said.
    #[schemars(length(min = 1, max = 4096))]
    pub roots: Option<String>,
    /// A header in which the server is given the key of this step, by which it does a repeated
    /// request only once. The request is then repeated after a crash; without it a person decides.
    #[schemars(regex(pattern = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"))]
    pub idempotency_header: Option<String>,
}

/// The methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpMethod {
    /// Looks.
    Get,
    /// Looks at the headers alone.
    Head,
    /// Adds or does something.
    Post,
    /// Puts something in a place.
    Put,
    /// Changes a part.
    Patch,
    /// Removes.
    Delete,
}

impl HttpMethod {
    /// The word on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HttpBody {
    /// JSON; `Content-Type` is set where the headers do not say it.
    Json(Value),
    /// Text as it is.
    Text(Text),
    /// The bytes of a file, from the folder of the plan; 64 MiB at most.
    File(String),
}

const fn half_a_minute() -> u32 {
    30
}

const fn kept() -> u32 {
    65_536
}

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    name: NAME,
    does: "send one HTTP request",
    safety: Safety::Mutating,
    repeat: Repeat::Manual,
    undo: UndoKind::ByPlan,
    undo_reach: UndoReach::BeforeCommit,
    fencing: Fencing::None,
    approval: ApprovalMode::None,
    gates: &[],
    inputs: super::schema_of::<HttpCall>,
    check: |with| checked::<HttpCall>(with, check),
};

fn check(call: &HttpCall, errors: &mut Vec<InputError>) {
    let mut secret = |pointer: String| {
        errors.push(InputError::new(
            pointer,
            "must name its secret, not hold it",
            "write {secret: NAME}, with NAME a variable of the environment",
        ));
    };
    for (name, value) in &call.headers {
        let Text::Plain(value) = value else { continue };
        let lower = name.to_ascii_lowercase();
        if ["authorization", "proxy-authorization", "cookie"].contains(&lower.as_str()) {
            secret(format!("/headers/{}", pointer_token(name)));
        }
        if value.contains(['\r', '\n', '\0']) {
            errors.push(InputError::new(
                format!("/headers/{}", pointer_token(name)),
                "must be one line",
                "take the line breaks out",
            ));
            return;
        }
    }
    let idempotency = call.idempotency_header.as_deref();
    let twice = |header: &str| call.headers.keys().any(|name| name.eq_ignore_ascii_case(header));
    if idempotency.is_some_and(twice) {
        errors.push(InputError::new(
            "/idempotency_header",
            "stands among the headers as well",
            "take it out there: the step gives it its value",
        ));
    }
    let bodiless = matches!(call.method, HttpMethod::Get | HttpMethod::Head);
    if bodiless && call.body.is_some() {
        let what = format!("is of no use with {}", call.method.name());
        errors.push(InputError::new("/body", what, "take it out, or use another method"));
    }
}
