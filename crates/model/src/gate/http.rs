//! A server answers a request as it must, and refuses it without its credential.

use std::collections::{BTreeMap, BTreeSet};

use carnet_document::{InputError, pointer_token};
use carnet_ledger::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::content::{Content, Demand, check_schema, json_of, schema_schema, sha256_schema};
use super::damaged::Copies;
use super::expected::{Expected, Scalar};
use super::finding::{Judgement, Verdict, counted};
use super::limits::{check_http_url, check_range, limit_s};
use crate::text::Text;

/// The request and what is demanded of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// An `http:` or `https:` URL without user and password.
    pub url: String,
    /// The method. Gates only look: GET, HEAD, OPTIONS, or POST where a server is asked that way.
    #[serde(default)]
    pub method: Method,
    /// Headers of the request: text, or the name of a secret in the environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Text>,
    /// What is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// A PEM file with the roots to trust, relative to the plan's folder; those of the machine if
    /// nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roots: Option<String>,
    /// The statuses that the answer may have. Redirects are not followed.
    #[serde(default = "ok")]
    #[schemars(length(min = 1), inner(range(min = 100, max = 599)))]
    pub status: BTreeSet<u16>,
    /// Headers that the answer must have, with these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub answer_headers: BTreeMap<String, String>,
    /// Values of the JSON document in the answer, by JSON pointer (RFC 6901).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub json: BTreeMap<String, Expected>,
    /// A JSON Schema that the answer must follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema_schema")]
    pub schema: Option<Value>,
    /// The SHA-256 of the answer, in lower-case hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "sha256_schema")]
    pub sha256: Option<Digest>,
    /// A header of the request that holds the credential. Without it, and with a bogus one, the
    /// server must refuse with 401 or 403.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_without: Option<String>,
    /// How long all of it may take, in seconds.
    #[serde(default = "limit_s")]
    #[schemars(range(min = 1, max = 3_600))]
    pub limit_s: u64,
}

fn ok() -> BTreeSet<u16> {
    BTreeSet::from([200])
}

/// A method of HTTP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(inline)]
pub enum Method {
    /// GET.
    #[default]
    Get,
    /// HEAD.
    Head,
    /// OPTIONS.
    Options,
    /// POST.
    Post,
}

impl Method {
    /// As it is sent.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Post => "POST",
        }
    }
}

/// The answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// What the server said; absent if it was not asked.
    pub answer: Option<Answer>,
}

/// What a server said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers that the rule asks about, by name in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body, as far as it was read.
    pub content: Content,
    /// Whether there was more.
    pub cut: bool,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

const REMEDY: &str = "ask the server by hand, and remove the cause";
const CREDENTIALS: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "x-api-key"];

impl Rule {
    fn demand(&self) -> Demand<'_> {
        Demand { sha256: self.sha256, schema: self.schema.as_ref(), ..Demand::default() }
    }

    fn wants_body(&self) -> bool {
        self.sha256.is_some() || self.schema.is_some() || !self.json.is_empty()
    }

    pub(super) fn judge(&self, facts: &Facts) -> Judgement {
        let Some(answer) = &facts.answer else {
            return Judgement::no_data(0, "the server was not asked", REMEDY);
        };
        let status = answer.status;
        if !self.status.contains(&status) {
            return Judgement::fail(1, format!("the server answered with status {status}"), REMEDY);
        }
        if let Some(wrong) = self.wrong_header(answer) {
            return Judgement::fail(1, wrong, REMEDY);
        }
        if self.wants_body()
            && let Some((verdict, wrong)) = self.wrong_body(answer)
        {
            let sample = usize::from(verdict != Verdict::NoData);
            let judgement = Judgement::fail(sample, format!("the answer {wrong}"), REMEDY);
            return Judgement { verdict, ..judgement };
        }
        let checks = 1 + self.answer_headers.len() + self.json.len();
        let checks =
            checks + usize::from(self.schema.is_some()) + usize::from(self.sha256.is_some());
        let things = counted(checks, "check holds", "checks hold");
        Judgement::pass(checks, format!("the server answered with status {status}; {things}"))
    }

    fn wrong_header(&self, answer: &Answer) -> Option<String> {
        self.answer_headers.iter().find_map(|(name, must)| {
            match answer.headers.get(&name.to_ascii_lowercase()) {
                None => Some(format!("the answer has no header {name}")),
                Some(seen) if seen != must => Some(format!("the header {name} has another value")),
                Some(_) => None,
            }
        })
    }

    fn wrong_body(&self, answer: &Answer) -> Option<(Verdict, String)> {
        if answer.cut {
            return Some((Verdict::NoData, "is longer than what is read of it".to_owned()));
        }
        if let Some(wrong) = self.demand().wrong(&answer.content) {
            return Some(wrong);
        }
        if self.json.is_empty() {
            return None;
        }
        let document = match json_of(&answer.content) {
            Ok(document) => document,
            Err(wrong) => return Some(wrong),
        };
        self.json.iter().find_map(|(pointer, expected)| {
            let Some(value) = document.pointer(pointer).and_then(Scalar::of_json) else {
                return Some((Verdict::Fail, format!("has no single value at {pointer}")));
            };
            let wrong = expected.wrong(&value)?;
            Some((Verdict::Fail, format!("at {pointer} {wrong}")))
        })
    }

    pub(super) fn damage(&self, facts: &Facts) -> Vec<(&'static str, Facts)> {
        let mut copies = Copies::of(facts);
        let mut add = |name, damage: &dyn Fn(&mut Answer)| {
            copies.add(name, |facts: &mut Facts| {
                if let Some(answer) = &mut facts.answer {
                    damage(answer);
                }
            });
        };
        for status in [500, 404, 302].into_iter().filter(|it| !self.status.contains(it)) {
            add("status_other", &|answer| answer.status = status);
        }
        for name in self.answer_headers.keys().map(|name| name.to_ascii_lowercase()) {
            add("header_missing", &|answer| drop(answer.headers.remove(&name)));
            add("header_other", &|answer| {
                if let Some(value) = answer.headers.get_mut(&name) {
                    value.push('x');
                }
            });
        }
        if let Some(answer) = facts.answer.as_ref().filter(|_| self.wants_body()) {
            add("cut", &|answer| answer.cut = true);
            let damaged = self.demand().damage(&answer.content).into_iter();
            for (name, content) in damaged.chain(self.damage_json(&answer.content)) {
                add(name, &|answer| answer.content = content.clone());
            }
        }
        copies.add("nothing_seen", |facts| facts.answer = None);
        copies.done()
    }

    /// Copies of the JSON document in which one of the values that are asked for is damaged.
    fn damage_json(&self, content: &Content) -> Vec<(&'static str, Content)> {
        let Ok(document) = json_of(content) else { return Vec::new() };
        let mut copies = Vec::new();
        for (pointer, expected) in &self.json {
            let value = document.pointer(pointer).and_then(Scalar::of_json);
            let mut values = value.map(|value| expected.damage(&value)).unwrap_or_default();
            values.push(("value_missing", Scalar::Null));
            for (name, value) in values {
                let mut copy = document.clone();
                if let Some(place) = copy.pointer_mut(pointer) {
                    *place = match (name, value) {
                        ("value_missing", _) => Value::Array(Vec::new()),
                        (_, value) => serde_json::to_value(value).unwrap_or(Value::Null),
                    };
                }
                copies.push((name, Content::of(copy.to_string().as_bytes())));
            }
        }
        if !self.json.is_empty() {
            copies.push(("json_other", Content::of(b"[]")));
        }
        copies
    }

    pub(super) fn check(&self) -> Vec<InputError> {
        let mut errors = check_http_url("/url", &self.url);
        errors.extend(check_range("/limit_s", self.limit_s, 1, 3_600));
        errors.extend(check_schema("/schema", self.schema.as_ref()));
        if self.status.is_empty() {
            errors.push(InputError::new(
                "/status",
                "no status is allowed",
                "write one, such as 200",
            ));
        }
        for (name, text) in &self.headers {
            let pointer = format!("/headers/{}", pointer_token(name));
            let is_secret = CREDENTIALS.contains(&name.to_ascii_lowercase().as_str());
            match text {
                Text::Plain(_) if is_secret => {
                    let what = "a credential stands in the open";
                    let remedy = "write {secret: NAME}, with NAME a variable of the environment";
                    errors.push(InputError::new(pointer, what, remedy));
                }
                Text::Plain(_) | Text::Secret(_) => {}
            }
        }
        for (pointer, expected) in &self.json {
            let place = format!("/json/{}", pointer_token(pointer));
            errors.extend(expected.check(&place));
            if !pointer.is_empty() && !pointer.starts_with('/') {
                let remedy = "begin it with `/`, such as /status";
                errors.push(InputError::new(place, "not a JSON pointer", remedy));
            }
        }
        let is_sent = |name: &str| self.headers.keys().any(|it| it.eq_ignore_ascii_case(name));
        if self.refused_without.as_deref().is_some_and(|name| !is_sent(name)) {
            let what = "the request has no such header";
            errors.push(InputError::new("/refused_without", what, "name one of `headers`"));
        }
        if self.method == Method::Head && self.wants_body() {
            let remedy = "ask with GET";
            errors.push(InputError::new("/method", "an answer to HEAD has no body", remedy));
        }
        errors
    }

    pub(super) fn demands(&self) -> String {
        let statuses: Vec<String> = self.status.iter().map(ToString::to_string).collect();
        let body = if self.wants_body() { " and the body demanded" } else { "" };
        let refused = match &self.refused_without {
            Some(name) => format!(", and refuses without {name}"),
            None => String::new(),
        };
        format!("the server answers with {}{body}{refused}", statuses.join(" or "))
    }
}
