//! Bytes that were read, and JSON in them.

use carnet_document::{InputError, compiled};
use carnet_ledger::Digest;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::damaged::flipped;
use super::finding::Verdict;
use super::violation::violations;

/// How much of what was read is kept and judged as JSON, in bytes.
pub const CONTENT_BYTES_MAX: usize = 64 * 1024;

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// How many bytes.
    pub bytes: u64,
    /// SHA-256 of all of them.
    pub sha256: Digest,
    /// The bytes themselves, if they are to be judged, are UTF-8 and no more than
    /// [`CONTENT_BYTES_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl Content {
    /// All that was read.
    pub fn of(bytes: &[u8]) -> Self {
        let kept = bytes.len() <= CONTENT_BYTES_MAX;
        let text = kept.then(|| std::str::from_utf8(bytes).ok().map(str::to_owned)).flatten();
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Self { bytes: length, sha256: Digest::of(bytes), text }
    }

    /// The same without the bytes, where nothing looks into them.
    #[must_use]
    pub fn without_text(mut self) -> Self {
        self.text = None;
        self
    }
}

/// What is demanded of bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Demand<'a> {
    pub(super) sha256: Option<Digest>,
    pub(super) bytes_min: Option<u64>,
    pub(super) bytes_max: Option<u64>,
    pub(super) schema: Option<&'a Value>,
}

/// What is wrong, with its verdict. The text follows the name of what was read.
pub(super) type Wrong = (Verdict, String);

impl Demand<'_> {
    /// What is wrong with bytes.
    pub(super) fn wrong(&self, content: &Content) -> Option<Wrong> {
        let fail = |what: String| Some((Verdict::Fail, what));
        let bytes = content.bytes;
        if bytes == 0 {
            return Some((Verdict::NoData, "is empty".to_owned()));
        }
        if let Some(text) = &content.text
            && (Digest::of(text.as_bytes()) != content.sha256
                || Content::of(text.as_bytes()).bytes != bytes)
        {
            return fail("is recorded with other bytes than its digest was made of".to_owned());
        }
        if let Some(min) = self.bytes_min.filter(|min| bytes < *min) {
            return fail(format!("has {bytes} bytes, and must have at least {min}"));
        }
        if let Some(max) = self.bytes_max.filter(|max| bytes > *max) {
            return fail(format!("has {bytes} bytes, and must have at most {max}"));
        }
        if let Some(sha256) = self.sha256.filter(|sha256| *sha256 != content.sha256) {
            let (seen, must) =
                (super::finding::short(content.sha256), super::finding::short(sha256));
            return fail(format!("has the SHA-256 {seen}…, and must have {must}…"));
        }
        self.schema.and_then(|schema| wrong_json(schema, content))
    }

    /// Copies of the content that must be refused.
    pub(super) fn damage(&self, content: &Content) -> Vec<(&'static str, Content)> {
        let with = |change: fn(&mut Content)| {
            let mut copy = content.clone();
            change(&mut copy);
            copy
        };
        let mut copies = vec![("empty", Content::of(b""))];
        if content.text.is_some() {
            copies.push(("kept_bytes_other", with(|it| it.sha256 = flipped(it.sha256))));
            copies.push(("length_other", with(|it| it.bytes += 1)));
        }
        if self.sha256.is_some() {
            copies.push((
                "digest_other",
                with(|it| {
                    it.sha256 = flipped(it.sha256);
                    it.text = None;
                }),
            ));
        }
        let sized = |bytes| Content { bytes, sha256: content.sha256, text: None };
        if let Some(min) = self.bytes_min.filter(|min| *min > 0) {
            copies.push(("too_short", sized(min - 1)));
        }
        if let Some(max) = self.bytes_max.filter(|max| *max < u64::MAX) {
            copies.push(("too_long", sized(max + 1)));
        }
        if let (Some(schema), Some(text)) = (self.schema, &content.text) {
            let texts = violations(schema, text).into_iter();
            copies.extend(texts.map(|(name, text)| (name, Content::of(text.as_bytes()))));
            copies.push(("json_not_kept", with(|it| it.text = None)));
        }
        copies
    }

    /// In words, after the name of what is read.
    pub(super) fn words(&self) -> String {
        let words = [
            self.bytes_min.map(|min| format!("has at least {min} bytes")),
            self.bytes_max.map(|max| format!("has at most {max} bytes")),
            self.sha256.map(|sha256| format!("has the SHA-256 {}…", super::finding::short(sha256))),
            self.schema.map(|_| "is JSON that follows the schema".to_owned()),
        ];
        let words: Vec<String> = words.into_iter().flatten().collect();
        if words.is_empty() { "is there and not empty".to_owned() } else { words.join(", ") }
    }
}

/// The JSON document in the content.
pub(super) fn json_of(content: &Content) -> Result<Value, Wrong> {
    if content.bytes == 0 {
        return Err((Verdict::NoData, "is empty".to_owned()));
    }
    let Some(text) = &content.text else {
        let what =
            format!("cannot be judged: it is no UTF-8, or longer than {CONTENT_BYTES_MAX} bytes");
        return Err((Verdict::NoData, what));
    };
    serde_json::from_str(text).map_err(|error| {
        (Verdict::Fail, format!("is no JSON, at line {} column {}", error.line(), error.column()))
    })
}

fn wrong_json(schema: &Value, content: &Content) -> Option<Wrong> {
    let value = match json_of(content) {
        Ok(value) => value,
        Err(wrong) => return Some(wrong),
    };
    let validator = match compiled(schema) {
        Ok(validator) => validator,
        Err(what) => return Some((Verdict::Error, format!("cannot be judged: {what}"))),
    };
    let error = validator.iter_errors(&value).next()?;
    let place = error.instance_path().to_string();
    let place = if place.is_empty() { "its root".to_owned() } else { place };
    let told: String = error.masked().to_string().chars().take(200).collect();
    Some((Verdict::Fail, format!("does not follow the schema at {place}: {told}")))
}

/// What is wrong with a schema of a rule.
pub(super) fn check_schema(pointer: &str, schema: Option<&Value>) -> Vec<InputError> {
    let Some(schema) = schema else { return Vec::new() };
    let validator = match compiled(schema) {
        Ok(validator) => validator,
        Err(what) => return vec![InputError::new(pointer, what, "correct the schema")],
    };
    if probes().iter().all(|probe| validator.is_valid(probe)) {
        let what = "the JSON Schema accepts anything, so that it demands nothing";
        return vec![InputError::new(pointer, what, "say at least which `type` there must be")];
    }
    Vec::new()
}

/// A document of each type.
pub(super) fn probes() -> [Value; 6] {
    use serde_json::json;
    [Value::Null, json!(true), json!(0), json!(""), json!([]), json!({})]
}

/// The schema of a SHA-256 in hexadecimal.
pub(super) fn sha256_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "pattern": "^[0-9a-f]{64}$"})
}

/// The schema of a JSON Schema that stands in a rule.
pub(super) fn schema_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "description": "A JSON Schema. References to other documents are refused."})
}
