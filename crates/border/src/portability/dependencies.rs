//! What a bundle depends on (`dependency-manifest.json`): each item with its version, whether
//! something else could take its place, and who accepted it if not.

use std::collections::BTreeSet;

use carnet_document::{InputError, digest_of};
use carnet_ledger::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::invariant::{Assessed, Invariant, Shown, Standing};
use super::reading;

/// The version of the document.
pub const DEPENDENCIES_VERSION: &str = "carnet-dependencies-1";

/// What a service or its data depend on. It stands in the plan under `dependencies`, and in a
/// bundle as `dependency-manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Carnet dependency manifest")]
pub struct DependencyManifest {
    /// The version of the document: carnet-dependencies-1.
    #[serde(default = "version")]
    #[schemars(schema_with = "version_schema")]
    pub version: String,
    /// What depends on them: the service or the data set.
    #[schemars(length(min = 1, max = 256))]
    pub service_id: String,
    /// The dependencies.
    pub dependencies: Vec<Dependency>,
    /// Why there are none; must be said if the list is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1_024))]
    pub none_because: Option<String>,
    /// What belongs to the service and cannot be exported.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_exportable: Vec<NotExportable>,
}

/// One dependency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Dependency {
    /// Its id, unique in the document.
    #[schemars(regex(pattern = "^[a-z0-9][a-z0-9._-]{0,127}$"))]
    pub id: String,
    /// What it is.
    #[schemars(length(min = 1, max = 1_024))]
    pub what: String,
    /// Its version.
    #[schemars(length(min = 1, max = 256))]
    pub version: String,
    /// Who provides it, if one actor does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub provider: Option<String>,
    /// Whether nothing works without it.
    pub critical: bool,
    /// Whether something else can take its place.
    pub substitutable: bool,
    /// Which facet of portability or interoperability fails if something else takes its place; must
    /// be said of what is not substitutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facet: Option<Facet>,
    /// What can take its place, or what can be done instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1_024))]
    pub alternative: Option<String>,
    /// Who accepted that nothing can take its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<Acceptance>,
}

/// Somebody accepted a dependency that cannot be substituted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Acceptance {
    /// Who.
    #[schemars(length(min = 1, max = 256))]
    pub accepted_by: String,
    /// What makes up for it.
    #[schemars(length(min = 1, max = 1_024))]
    pub compensation: String,
}

/// Something that belongs to the service and cannot be exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct NotExportable {
    /// Its id, unique among these.
    #[schemars(regex(pattern = "^[a-z0-9][a-z0-9._-]{0,127}$"))]
    pub id: String,
    /// What it is.
    #[schemars(length(min = 1, max = 1_024))]
    pub what: String,
    /// Why it cannot be exported.
    #[schemars(length(min = 1, max = 1_024))]
    pub why: String,
    /// What is exported instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1_024))]
    pub alternative: Option<String>,
}

/// A facet of interoperability or portability (the words of ISO/IEC 19941, as labels).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Facet {
    /// Interoperability: how data get from one to the other.
    Transport,
    /// Interoperability: the form of messages.
    Syntactic,
    /// Interoperability: the meaning of messages.
    Semantic,
    /// Interoperability: what is done in answer to them.
    Behavioural,
    /// Interoperability: law, rules, contracts.
    Policy,
    /// Portability of data: their form.
    DataSyntactic,
    /// Portability of data: their meaning.
    DataSemantic,
    /// Portability of data: law, rules, contracts.
    DataPolicy,
    /// Portability of an application: what the machine executes.
    ApplicationInstruction,
    /// Portability of an application: how it is described and set up.
    ApplicationMetadata,
    /// Portability of an application: what it does elsewhere.
    ApplicationBehaviour,
    /// Portability of an application: law, rules, contracts.
    ApplicationPolicy,
}

fn version() -> String {
    DEPENDENCIES_VERSION.to_owned()
}

fn version_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "string", "const": DEPENDENCIES_VERSION })
}

impl DependencyManifest {
    /// The JSON Schema of the document.
    pub fn schema() -> Value {
        reading::schema_of::<Self>()
    }

    /// Reads a document: all that is wrong is told.
    pub fn read(bytes: &[u8]) -> Result<Self, Vec<InputError>> {
        reading::read::<Self>(bytes)?.checked()
    }

    /// Reads what stands in a plan under `dependencies`: all that is wrong is told.
    pub fn read_value(value: &Value) -> Result<Self, Vec<InputError>> {
        reading::read_value::<Self>(value)?.checked()
    }

    fn checked(self) -> Result<Self, Vec<InputError>> {
        let errors = self.check();
        if errors.is_empty() { Ok(self) } else { Err(errors) }
    }

    /// What a schema cannot say.
    fn check(&self) -> Vec<InputError> {
        let mut errors = Vec::new();
        let lists = [
            ("dependencies", self.dependencies.iter().map(|it| &it.id).collect::<Vec<_>>()),
            ("not_exportable", self.not_exportable.iter().map(|it| &it.id).collect()),
        ];
        for (list, ids) in lists {
            let mut seen = BTreeSet::new();
            for (at, id) in ids.into_iter().enumerate() {
                if !seen.insert(id) {
                    let what = format!("the id {id} stands twice");
                    let pointer = format!("/{list}/{at}/id");
                    errors.push(InputError::new(pointer, what, "give each an id of its own"));
                }
            }
        }
        for (at, one) in self.dependencies.iter().enumerate() {
            if !one.substitutable && one.facet.is_none() {
                let what =
                    format!("{} cannot be substituted, and no facet is said to fail", one.id);
                let pointer = format!("/dependencies/{at}");
                errors.push(InputError::new(pointer, what, "add `facet`"));
            }
        }
        match (&self.none_because, self.dependencies.is_empty()) {
            (None, true) => {
                let remedy = "name the dependencies, or say why there are none in `none_because`";
                errors.push(InputError::new("/dependencies", "none is named", remedy));
            }
            (Some(_), false) => {
                let what = "dependencies are named, and why there are none";
                errors.push(InputError::new("/none_because", what, "take one of the two out"));
            }
            (None, false) | (Some(_), true) => {}
        }
        errors
    }

    /// Its bytes in a bundle: the RFC 8785 form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let value = carnet_document::canonical_value(self);
        carnet_ledger::HashProfile::Rfc8785Sha256V1.canonical(&value).into_bytes()
    }

    /// The digest of these bytes: `graph_ref` of the events names it.
    pub fn digest(&self) -> Digest {
        digest_of(self)
    }

    /// DEP-01 to DEP-04. `published` is the event that made this very document known, if there is
    /// one.
    pub fn assess(&self, published: Option<Shown>) -> Vec<Assessed> {
        let document =
            || Shown::Object { what: "dependency manifest".to_owned(), sha256: self.digest() };
        let published = published.map_or_else(
            || {
                let why = "no event dependency.graph.publish names this dependency manifest";
                Standing::violated(why, "export with the plan's `dependencies`, which publishes it")
            },
            |event| Standing::shown(vec![event, document()]),
        );
        let dep04 = Assessed::new(Invariant::Dep04, published);
        if let Some(reason) = &self.none_because {
            let none = || Standing::not_applicable(format!("there are no dependencies: {reason}"));
            let lines = [Invariant::Dep01, Invariant::Dep02, Invariant::Dep03];
            let mut lines = lines.map(|it| Assessed::new(it, none())).to_vec();
            lines.push(dep04);
            return lines;
        }
        let standing = |why: Option<(String, &str)>| match why {
            Some((why, remedy)) => Standing::violated(why, remedy),
            None => Standing::shown(vec![document()]),
        };
        vec![
            Assessed::new(Invariant::Dep01, standing(self.without_critical_path())),
            Assessed::new(Invariant::Dep02, standing(self.not_declared())),
            Assessed::new(Invariant::Dep03, standing(self.held_by_one())),
            dep04,
        ]
    }

    fn without_critical_path(&self) -> Option<(String, &'static str)> {
        if self.dependencies.iter().any(|one| one.critical) {
            return None;
        }
        let why = "no dependency is said to be critical".to_owned();
        Some((why, "mark what nothing works without with `critical: true`"))
    }

    fn not_declared(&self) -> Option<(String, &'static str)> {
        if let Some(one) = self
            .dependencies
            .iter()
            .find(|it| !it.substitutable && it.alternative.is_none() && it.accepted.is_none())
        {
            let why = format!(
                "{} cannot be substituted, has no alternative, and nobody accepted that",
                one.id
            );
            return Some((
                why,
                "name an `alternative`, or who `accepted` it with what compensation",
            ));
        }
        let empty_word = |it: &&Dependency| it.substitutable && it.alternative.is_none();
        let one = self.dependencies.iter().find(empty_word)?;
        let why = format!("{} is said to be substitutable, and nothing is named for it", one.id);
        Some((why, "name what can take its place as `alternative`"))
    }

    fn held_by_one(&self) -> Option<(String, &'static str)> {
        let held = |it: &&Dependency| it.critical && !it.substitutable && it.accepted.is_none();
        let one = self.dependencies.iter().find(held)?;
        let why = format!(
            "{} is critical, cannot be substituted, and nobody accepted that with a compensation",
            one.id
        );
        Some((why, "say under `accepted` who accepted it, and what makes up for it"))
    }
}

#[cfg(test)]
mod tests;
