//! The document that names every part of a policy by digest: two sides with the same document ask
//! the same rules.

use std::collections::BTreeMap;

use carnet_document::{canonical_value, digest_of};
use carnet_ledger::{Digest, HashProfile};
use serde::{Deserialize, Serialize};

use super::error::PolicyError;
use super::files::SNAPSHOT;

/// The version of the document that is written and read.
pub const POLICY_VERSION: &str = "carnet-policy-1";
/// What is asked if nothing else is said: a package with `allow` and `deny`.
pub const ENTRY: &str = "data.carnet.admission";

/// The builtin functions that a module may call: those whose answer follows from what they are
/// given. Nothing here knows the time, the network, the machine or chance.
pub const ALLOWED_BUILTINS: &[&str] = &[
    "abs",
    "array.concat",
    "array.reverse",
    "array.slice",
    "bits.and",
    "bits.negate",
    "bits.or",
    "bits.rsh",
    "bits.xor",
    "ceil",
    "concat",
    "contains",
    "count",
    "endswith",
    "floor",
    "format_int",
    "indexof",
    "indexof_n",
    "intersection",
    "is_array",
    "is_boolean",
    "is_null",
    "is_number",
    "is_object",
    "is_set",
    "is_string",
    "json.filter",
    "json.is_valid",
    "json.marshal",
    "json.remove",
    "json.unmarshal",
    "lower",
    "max",
    "min",
    "numbers.range",
    "numbers.range_step",
    "object.filter",
    "object.get",
    "object.keys",
    "object.remove",
    "object.subset",
    "object.union",
    "object.union_n",
    "product",
    "regex.find_n",
    "regex.is_valid",
    "regex.match",
    "regex.replace",
    "regex.split",
    "replace",
    "round",
    "semver.compare",
    "semver.is_valid",
    "sort",
    "split",
    "sprintf",
    "startswith",
    "strings.any_prefix_match",
    "strings.any_suffix_match",
    "strings.count",
    "strings.replace_n",
    "strings.reverse",
    "substring",
    "sum",
    "to_number",
    "trim",
    "trim_left",
    "trim_prefix",
    "trim_right",
    "trim_space",
    "trim_suffix",
    "type_name",
    "union",
    "units.parse",
    "units.parse_bytes",
    "upper",
    "walk",
];

/// A policy snapshot: `snapshot.json`, in RFC 8785 form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicySnapshot {
    /// [`POLICY_VERSION`].
    pub version: String,
    /// The engine that its self-tests were decided by.
    pub engine: String,
    /// The language of its modules.
    pub language: String,
    /// The package that is asked.
    pub entry: String,
    /// Each module, by its path below `modules/`, with the digest of its bytes.
    pub modules: BTreeMap<String, Digest>,
    /// The digest of `data.json`, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Digest>,
    /// The digest of `self-tests.json`.
    pub self_tests: Digest,
    /// What an evaluation may take.
    pub limits: PolicyLimits,
    /// The builtin functions that its modules may call, sorted.
    pub builtins: Vec<String>,
}

/// What an evaluation may take. A snapshot may ask for less than this build allows, not for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyLimits {
    /// How long an evaluation may take, in milliseconds.
    pub time_ms: u64,
    /// How much memory it may take beyond what was in use, in bytes.
    pub memory_bytes: u64,
    /// How many bytes all modules may have together.
    pub modules_bytes: u64,
    /// How many bytes `data.json` may have.
    pub data_bytes: u64,
    /// How many bytes an input may have.
    pub input_bytes: u64,
    /// How many reasons an answer may have.
    pub reasons: u64,
}

impl Default for PolicyLimits {
    fn default() -> Self {
        Self {
            time_ms: 1_000,
            memory_bytes: 64 << 20,
            modules_bytes: 1 << 20,
            data_bytes: 1 << 20,
            input_bytes: 1 << 20,
            reasons: 256,
        }
    }
}

impl PolicyLimits {
    /// The most that this build allows.
    pub const MAX: Self = Self {
        time_ms: 30_000,
        memory_bytes: 1 << 30,
        modules_bytes: 4 << 20,
        data_bytes: 4 << 20,
        input_bytes: 4 << 20,
        reasons: 4_096,
    };

    /// Each limit by its name.
    fn named(&self) -> [(&'static str, u64); 6] {
        [
            ("time_ms", self.time_ms),
            ("memory_bytes", self.memory_bytes),
            ("modules_bytes", self.modules_bytes),
            ("data_bytes", self.data_bytes),
            ("input_bytes", self.input_bytes),
            ("reasons", self.reasons),
        ]
    }

    /// Refuses limits beyond the most, and those that let nothing be decided.
    pub fn check(&self, file: &str) -> Result<(), PolicyError> {
        for ((name, found), (_, max)) in self.named().into_iter().zip(Self::MAX.named()) {
            if found == 0 {
                return Err(PolicyError::form(file, format!("limits.{name} is 0")));
            }
            if found > max {
                let what = format!("limits.{name} of {file}");
                return Err(PolicyError::Limit { what, found, max });
            }
        }
        Ok(())
    }
}

/// What the author of a policy may choose: `policy.json` beside the modules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyDefinition {
    /// The package that is asked.
    pub entry: String,
    /// What an evaluation may take.
    pub limits: PolicyLimits,
}

impl Default for PolicyDefinition {
    fn default() -> Self {
        Self { entry: ENTRY.to_owned(), limits: PolicyLimits::default() }
    }
}

impl PolicySnapshot {
    /// The engine of this version of Carnet.
    pub const ENGINE: &'static str = "regorus";
    /// The language of this version of Carnet.
    pub const LANGUAGE: &'static str = "rego-v1";

    /// SHA-256 of the RFC 8785 form: what gates, bundles and evidence name it by.
    pub fn digest(&self) -> Digest {
        digest_of(self)
    }

    /// The RFC 8785 form.
    pub fn bytes(&self) -> Vec<u8> {
        HashProfile::Rfc8785Sha256V1.canonical(&canonical_value(self)).into_bytes()
    }

    /// Reads `snapshot.json`. Only the one form of it is read, so that its digest is that of its
    /// bytes.
    pub fn read(bytes: &[u8]) -> Result<Self, PolicyError> {
        let form = |what: &dyn std::fmt::Display| PolicyError::form(SNAPSHOT, what.to_string());
        let seen: Seen = serde_json::from_slice(bytes).map_err(|error| form(&error))?;
        if seen.version != POLICY_VERSION {
            return Err(PolicyError::Version { file: SNAPSHOT, found: seen.version });
        }
        let snapshot: Self = serde_json::from_slice(bytes).map_err(|error| form(&error))?;
        if snapshot.bytes() != bytes {
            return Err(form(&"it is not in RFC 8785 form"));
        }
        snapshot.check()?;
        Ok(snapshot)
    }

    /// What of it is refused whatever the modules say.
    pub fn check(&self) -> Result<(), PolicyError> {
        let refused = |what: String| Err(PolicyError::form(SNAPSHOT, what));
        if self.language != Self::LANGUAGE {
            return refused(format!("the language {:?} is not known", self.language));
        }
        if !is_entry(&self.entry) {
            return refused(format!("{:?} is no package such as {ENTRY}", self.entry));
        }
        if self.modules.is_empty() {
            return refused("it has no modules".to_owned());
        }
        if let Some(path) = self.modules.keys().find(|path| !super::is_module(path)) {
            return refused(format!("{path:?} is no path of a module"));
        }
        if !self.builtins.is_sorted_by(|one, other| one < other) {
            return refused("its builtins are not sorted, or stand twice".to_owned());
        }
        let unknown = |name: &&String| !ALLOWED_BUILTINS.contains(&name.as_str());
        if let Some(name) = self.builtins.iter().find(unknown) {
            return refused(format!("the builtin {name:?} is not one that may be called"));
        }
        self.limits.check(SNAPSHOT)
    }
}

/// What is looked at before the rest is read.
#[derive(Deserialize)]
struct Seen {
    version: String,
}

/// Whether this names a package: `data.` and names of letters, digits and `_`.
pub(super) fn is_entry(entry: &str) -> bool {
    let name = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && part.chars().all(|it| it.is_ascii_alphanumeric() || it == '_')
    };
    entry.len() <= 256 && entry.strip_prefix("data.").is_some_and(|rest| rest.split('.').all(name))
}
