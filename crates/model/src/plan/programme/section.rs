//! What a programme says for all its phases. The section is read by its own JSON Schema: these types
//! carry it.

use std::collections::BTreeMap;

use carnet_document::{InputError, input_errors};
use carnet_ledger::Digest;
use carnet_programme::{Run, Template};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::plan::schema;

/// What holds for all phases of a programme.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Programme {
    /// What the programme moves, and what it leaves alone.
    pub scope: Scope,
    /// The files that it is bound to, the one that decides first. The digest of the plan covers them,
    /// and a change of one stops the run.
    #[schemars(length(min = 1))]
    pub authority: Vec<Pinned>,
    /// Paths that no step and no gate may execute: files, or folders with all that is in them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(length(min = 1, max = 4096)))]
    pub legacy: Vec<String>,
    /// What the run is pinned to: written as `run.json` before the first step.
    pub run: RunPins,
    /// Where evidence files are: a folder, or `s3://BUCKET/PREFIX?endpoint=URL&region=NAME`.
    #[schemars(length(min = 1, max = 4096))]
    pub evidence_root: String,
}

/// What a programme moves, and what it leaves alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// The planes that are moved.
    #[serde(rename = "in")]
    #[schemars(length(min = 1), inner(length(min = 1, max = 200)))]
    pub within: Vec<String>,
    /// The planes that are left alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(length(min = 1, max = 200)))]
    pub out: Vec<String>,
}

/// A file with the digest that it had when the plan was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "String")]
#[schemars(with = "String", extend("minLength" = 1, "maxLength" = 4096))]
pub struct Pinned {
    /// The path, from the folder of the plan.
    pub file: String,
    /// SHA-256 of its content; known once the file was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// What the run is pinned to. A change of any of it needs another run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunPins {
    /// The id of the run on the platform.
    #[schemars(regex(pattern = r"^platform_[0-9]{8}T[0-9]{6}Z$"))]
    pub platform_run_id: String,
    /// The id of the scenario that it runs: 32 hex digits.
    #[schemars(regex(pattern = r"^[0-9a-f]{32}$"))]
    pub scenario_run_id: String,
    /// The environment, such as `dev_min`.
    #[serde(default = "dev_min")]
    #[schemars(regex(pattern = r"^[a-z0-9][a-z0-9_-]{0,62}$"))]
    pub env: String,
    /// The file with the configuration: a JSON object.
    pub config: Pinned,
    /// The image that services and jobs are started from.
    pub image: ImagePin,
    /// The revision of the source that the image was built from: 7 to 40 hex digits.
    #[schemars(regex(pattern = r"^[0-9a-f]{7,40}$"))]
    pub source_revision: String,
}

/// An image, by a name that does not move and by its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImagePin {
    /// The tag: `git-` and the revision of the source.
    #[schemars(regex(pattern = r"^git-[0-9a-f]{7,40}$"))]
    pub tag: String,
    /// The digest of its manifest.
    #[schemars(regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub digest: String,
}

fn dev_min() -> String {
    "dev_min".to_owned()
}

impl From<String> for Pinned {
    fn from(file: String) -> Self {
        Self { file, digest: None }
    }
}

impl Programme {
    /// The JSON Schema of the section.
    pub fn schema() -> Value {
        schema::of::<Self>()
    }

    /// Reads what stands in a plan under `programme`: all that is wrong is told.
    pub fn read_value(value: &Value) -> Result<Self, Vec<InputError>> {
        let errors = input_errors(&Self::schema(), value);
        if !errors.is_empty() {
            return Err(errors);
        }
        Self::deserialize(value).map_err(|error| {
            let remedy = "`carnet schema programme` shows what stands here";
            vec![InputError::new("", error.to_string(), remedy)]
        })
    }

    /// The files that are pinned, each with the keys below `programme` that lead to it.
    pub(in crate::plan) fn pinned(&self) -> impl Iterator<Item = (&Pinned, Vec<String>)> {
        let key = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
        let authority = self.authority.iter().enumerate();
        let authority =
            authority.map(move |(at, pin)| (pin, key(&["authority", at.to_string().as_str()])));
        authority.chain([(&self.run.config, vec!["run".to_owned(), "config".to_owned()])])
    }

    /// Takes the digests of the files that were looked at.
    pub(in crate::plan) fn pin(&mut self, files: &BTreeMap<String, Digest>) {
        for pin in self.authority.iter_mut().chain([&mut self.run.config]) {
            pin.digest = files.get(&pin.file).copied();
        }
    }

    /// A path of the evidence contract with its tokens filled in for a phase; `None` if a token has no
    /// value that the plan knows.
    pub fn evidence_path(&self, path: &str, phase_id: &str) -> Option<String> {
        let run = Run {
            platform_run_id: self.run.platform_run_id.clone(),
            scenario_run_id: Some(self.run.scenario_run_id.clone()),
            phase_id: Some(phase_id.to_owned()),
            ..Run::default()
        };
        Template::parse(path).and_then(|path| path.expand(&run)).ok()
    }
}
