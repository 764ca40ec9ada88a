//! A file is there, and is what it must be.

use carnet_document::InputError;
use carnet_ledger::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::content::{Content, Demand, check_schema, schema_schema, sha256_schema};
use super::damaged::Copies;
use super::finding::{Judgement, Verdict};
use super::limits::check_text;

/// The file and what is demanded of it. Without any demand it must be there and not be empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its path, relative to the plan's folder.
    pub path: String,
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
}

/// The file as it was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// What is at the path; absent if nothing is.
    pub found: Option<Found>,
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// What it is.
    pub kind: Kind,
    /// What is in it; nothing if it is no file.
    pub content: Content,
}

/// What can be at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A plain file.
    File,
    /// A folder.
    Folder,
    /// A device, a socket and the like.
    Other,
}

const REMEDY: &str = "put the right file there, and run again";

impl Rule {
    /// What is demanded of the content.
    fn demand(&self) -> Demand<'_> {
        Demand {
            sha256: self.sha256,
            bytes_min: self.bytes_min,
            bytes_max: self.bytes_max,
            schema: self.schema.as_ref(),
        }
    }

    pub(super) fn judge(&self, facts: &Facts) -> Judgement {
        let path = &self.path;
        let Some(found) = &facts.found else {
            return Judgement::no_data(0, format!("there is no file {path}"), REMEDY);
        };
        if found.kind != Kind::File {
            return Judgement::fail(1, format!("{path} is no plain file"), REMEDY);
        }
        if let Some((verdict, wrong)) = self.demand().wrong(&found.content) {
            let sample = usize::from(verdict != Verdict::NoData);
            let judgement = Judgement::fail(sample, format!("{path} {wrong}"), REMEDY);
            return Judgement { verdict, ..judgement };
        }
        let bytes = found.content.bytes;
        Judgement::pass(1, format!("{path} is there with {bytes} bytes, as demanded"))
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
        add("folder_instead", &|found| found.kind = Kind::Folder);
        add("device_instead", &|found| found.kind = Kind::Other);
        let content = facts.found.as_ref().map(|found| self.demand().damage(&found.content));
        for (name, content) in content.unwrap_or_default() {
            add(name, &|found| found.content = content.clone());
        }
        copies.add("nothing_seen", |facts| facts.found = None);
        copies.done()
    }

    pub(super) fn check(&self) -> Vec<InputError> {
        let mut errors = check_text("/path", &self.path);
        errors.extend(check_sizes(self.bytes_min, self.bytes_max));
        errors.extend(check_schema("/schema", self.schema.as_ref()));
        errors
    }

    pub(super) fn demands(&self) -> String {
        format!("the file {} {}", self.path, self.demand().words())
    }
}

/// What is wrong with two limits on a length.
pub(super) fn check_sizes(min: Option<u64>, max: Option<u64>) -> Vec<InputError> {
    let wrong = match (min, max) {
        (_, Some(0)) => "an empty file is never a pass",
        (Some(min), Some(max)) if min > max => "no length is in this range",
        _ => return Vec::new(),
    };
    vec![InputError::new("/bytes_max", wrong, "write a larger number")]
}
