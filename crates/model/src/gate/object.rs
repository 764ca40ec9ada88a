//! An object in S3 is there, and is what it must be.

use carnet_document::InputError;
use carnet_ledger::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::content::{Content, Demand, check_schema, schema_schema, sha256_schema};
use super::damaged::{Copies, flipped};
use super::file::check_sizes;
use super::finding::{Judgement, Verdict};
use super::limits::{check_objects_url, check_range, check_text};

/// The object and what is demanded of it. Its content is read and hashed, whatever the service
/// says of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The place: `s3://BUCKET/PREFIX?endpoint=URL&region=NAME`.
    pub url: String,
    /// The key below the prefix.
    pub key: String,
    /// The SHA-256 that it must have, in lower-case hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "sha256_schema")]
    pub sha256: Option<Digest>,
    /// How many bytes it must have at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_min: Option<u64>,
    /// How many bytes it must have at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_max: Option<u64>,
    /// A JSON Schema that it must follow. It must be JSON of at most 64 KiB then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema_schema")]
    pub schema: Option<Value>,
    /// How many bytes are read at most; a larger object is an error.
    #[serde(default = "read_bytes_max")]
    #[schemars(range(min = 1))]
    pub read_bytes_max: u64,
}

/// A GiB.
const fn read_bytes_max() -> u64 {
    1 << 30
}

/// The object as it was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// What is under the key; absent if nothing is.
    pub found: Option<Found>,
}

/// What the service says of an object, and what was read of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Its length, as the service says.
    pub bytes: u64,
    /// Its content's name, as the service says.
    pub etag: String,
    /// Its SHA-256, where the service keeps it.
    pub service_sha256: Option<Digest>,
    /// What was read.
    pub content: Content,
}

const REMEDY: &str = "put the right object there, and run again";

impl Rule {
    fn demand(&self) -> Demand<'_> {
        Demand {
            sha256: self.sha256,
            bytes_min: self.bytes_min,
            bytes_max: self.bytes_max,
            schema: self.schema.as_ref(),
        }
    }

    pub(super) fn judge(&self, facts: &Facts) -> Judgement {
        let key = &self.key;
        let Some(found) = &facts.found else {
            return Judgement::no_data(0, format!("there is no object {key}"), REMEDY);
        };
        let content = &found.content;
        if found.bytes != content.bytes {
            let (said, read) = (found.bytes, content.bytes);
            let reason = format!("{key} has {said} bytes by the service, and {read} were read");
            return Judgement::fail(1, reason, REMEDY);
        }
        if found.service_sha256.is_some_and(|sha256| sha256 != content.sha256) {
            let reason = format!("{key} has another SHA-256 by the service than was read");
            return Judgement::fail(1, reason, REMEDY);
        }
        if let Some((verdict, wrong)) = self.demand().wrong(content) {
            let sample = usize::from(verdict != Verdict::NoData);
            let judgement = Judgement::fail(sample, format!("{key} {wrong}"), REMEDY);
            return Judgement { verdict, ..judgement };
        }
        let bytes = content.bytes;
        Judgement::pass(1, format!("{key} is there with {bytes} bytes, as demanded"))
    }

    pub(super) fn damage(&self, facts: &Facts) -> Vec<(&'static str, Facts)> {
        let mut copies = Copies::of(facts);
        let mut add = |name, damage: &dyn Fn(&mut Found)| {
            copies.add(name, |facts: &mut Facts| {
                if let Some(found) = &mut facts.found {
                    damage(found);
                }
            });
        };
        add("service_length_other", &|found| found.bytes = found.bytes.saturating_add(1));
        add("service_digest_other", &|found| {
            found.service_sha256 = Some(flipped(found.content.sha256));
        });
        let content = facts.found.as_ref().map(|found| self.demand().damage(&found.content));
        for (name, content) in content.unwrap_or_default() {
            // The service tells the same, so that the content itself must be refused.
            add(name, &|found| {
                found.bytes = content.bytes;
                found.service_sha256 = found.service_sha256.map(|_| content.sha256);
                found.content = content.clone();
            });
        }
        copies.add("nothing_seen", |facts| facts.found = None);
        copies.done()
    }

    pub(super) fn check(&self) -> Vec<InputError> {
        let mut errors = check_objects_url("/url", &self.url);
        errors.extend(check_text("/key", &self.key));
        errors.extend(check_sizes(self.bytes_min, self.bytes_max));
        errors.extend(check_schema("/schema", self.schema.as_ref()));
        errors.extend(check_range("/read_bytes_max", self.read_bytes_max, 1, 1 << 50));
        errors
    }

    pub(super) fn demands(&self) -> String {
        format!("the object {} {}", self.key, self.demand().words())
    }
}
