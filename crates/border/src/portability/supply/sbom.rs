//! Lists of parts: `CycloneDX` 1.5 and 1.6 by the published schema, SPDX 2.3 by its members.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use carnet_document::{InputError, linear, told};
use carnet_ledger::Digest;
use jsonschema::{Registry, Validator};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The size that such a document has at most.
const BYTES_MAX: usize = 64 << 20;
/// How many mistakes of one document are told.
const MISTAKES_MAX: usize = 20;

/// The form of a list of parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SbomFormat {
    /// `CycloneDX` 1.5.
    #[serde(rename = "CycloneDX 1.5")]
    CycloneDx15,
    /// `CycloneDX` 1.6.
    #[serde(rename = "CycloneDX 1.6")]
    CycloneDx16,
    /// SPDX 2.3.
    #[serde(rename = "SPDX 2.3")]
    Spdx23,
}

impl SbomFormat {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CycloneDx15 => "CycloneDX 1.5",
            Self::CycloneDx16 => "CycloneDX 1.6",
            Self::Spdx23 => "SPDX 2.3",
        }
    }
}

/// A part, or what the list is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// How the document refers to it.
    pub reference: String,
    /// Its name.
    pub name: String,
    /// Its version, if one is said.
    pub version: Option<String>,
    /// SHA-256 of its bytes, if said.
    pub sha256: Option<Digest>,
    /// Its package URL, if said.
    pub purl: Option<String>,
}

/// A list of parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sbom {
    /// Its form.
    pub format: SbomFormat,
    /// What the list is about.
    pub subject: Option<Part>,
    /// The parts.
    pub parts: Vec<Part>,
    /// Which part needs which, by reference.
    pub needs: Vec<(String, String)>,
    /// What the document itself says is not complete.
    pub incomplete: Option<String>,
}

impl Sbom {
    /// Reads a document: all that is wrong is told, up to a bound.
    pub fn read(bytes: &[u8]) -> Result<Self, Vec<InputError>> {
        let wrong = |what: String, remedy: &str| vec![InputError::new("", what, remedy)];
        if bytes.len() > BYTES_MAX {
            return Err(wrong(format!("it has {} bytes", bytes.len()), "write a shorter one"));
        }
        let value: Value = serde_json::from_slice(bytes)
            .map_err(|error| wrong(format!("it is not JSON: {error}"), "write one document"))?;
        let Some(format) = format_of(&value) else {
            let what = "it is neither CycloneDX 1.5 or 1.6 nor SPDX 2.3";
            return Err(wrong(what.to_owned(), "write one of these, as JSON"));
        };
        let Some(validator) = validator(format) else {
            return Err(wrong("its schema cannot be used".to_owned(), "report a defect"));
        };
        let errors: Vec<_> =
            validator.iter_errors(&value).flat_map(|it| told(&it)).take(MISTAKES_MAX).collect();
        if !errors.is_empty() {
            return Err(errors);
        }
        let sbom = match format {
            SbomFormat::CycloneDx15 | SbomFormat::CycloneDx16 => cyclonedx(format, &value),
            SbomFormat::Spdx23 => spdx(&value),
        };
        let errors = sbom.check();
        if errors.is_empty() { Ok(sbom) } else { Err(errors) }
    }

    /// What a schema does not see: references that lead nowhere or stand twice.
    fn check(&self) -> Vec<InputError> {
        let mut known = BTreeSet::new();
        let mut errors = Vec::new();
        for part in self.parts.iter().chain(&self.subject) {
            if !part.reference.is_empty() && !known.insert(part.reference.as_str()) {
                let what = format!("the reference {} stands for two parts", part.reference);
                errors.push(InputError::new("", what, "give each part a reference of its own"));
            }
        }
        let named = self.needs.iter().flat_map(|(from, to)| [from, to]);
        if let Some(lost) = named.into_iter().find(|it| !known.contains(it.as_str())) {
            let what = format!("the reference {lost} leads to no part");
            errors.push(InputError::new("", what, "list the part, or take the reference out"));
        }
        errors
    }

    /// The parts that nothing says the subject to need, straight or by others.
    pub fn unreached(&self) -> Vec<&Part> {
        let Some(subject) = &self.subject else { return self.parts.iter().collect() };
        let mut below: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (from, to) in &self.needs {
            below.entry(from).or_default().push(to);
        }
        let mut reached = BTreeSet::from([subject.reference.as_str()]);
        let mut open = vec![subject.reference.as_str()];
        while let Some(one) = open.pop() {
            for next in below.get(one).into_iter().flatten() {
                if reached.insert(next) {
                    open.push(next);
                }
            }
        }
        self.parts.iter().filter(|part| !reached.contains(part.reference.as_str())).collect()
    }

    /// The parts that could be anything: without a digest and without a package URL of a version.
    pub fn unidentified(&self) -> Vec<&Part> {
        let versioned = |purl: &String| purl.rsplit('/').next().is_some_and(|it| it.contains('@'));
        let known =
            |part: &&Part| part.sha256.is_some() || part.purl.as_ref().is_some_and(versioned);
        self.parts.iter().filter(|part| !known(part)).collect()
    }

    /// Whether the list names something of this digest or package URL.
    pub fn names(&self, sha256: Option<Digest>, uri: &str) -> bool {
        self.parts.iter().chain(&self.subject).any(|part| {
            (sha256.is_some() && part.sha256 == sha256)
                || part.purl.as_deref().is_some_and(|purl| purl == uri)
        })
    }
}

fn format_of(value: &Value) -> Option<SbomFormat> {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    match (text("bomFormat"), text("specVersion"), text("spdxVersion")) {
        (Some("CycloneDX"), Some("1.5"), None) => Some(SbomFormat::CycloneDx15),
        (Some("CycloneDX"), Some("1.6"), None) => Some(SbomFormat::CycloneDx16),
        (None, None, Some("SPDX-2.3")) => Some(SbomFormat::Spdx23),
        (_, _, _) => None,
    }
}

const CYCLONEDX_15: &str = include_str!("../../../schemas/cyclonedx/bom-1.5.SNAPSHOT.schema.json");
const CYCLONEDX_16: &str = include_str!("../../../schemas/cyclonedx/bom-1.6.SNAPSHOT.schema.json");
const LICENCES: &str = include_str!("../../../schemas/cyclonedx/spdx.SNAPSHOT.schema.json");
const SIGNATURES: &str = include_str!("../../../schemas/cyclonedx/jsf-0.82.SNAPSHOT.schema.json");
const SPDX_23: &str = include_str!("../../../schemas/spdx-2.3-members.json");
/// Where the schemas of `CycloneDX` look for one another.
const NEAR: &str = "http://cyclonedx.org/schema/";

/// Made once each: the schemas are large.
fn validator(format: SbomFormat) -> Option<&'static Validator> {
    static V15: LazyLock<Option<Validator>> = LazyLock::new(|| made(CYCLONEDX_15));
    static V16: LazyLock<Option<Validator>> = LazyLock::new(|| made(CYCLONEDX_16));
    static SPDX: LazyLock<Option<Validator>> = LazyLock::new(|| made(SPDX_23));
    match format {
        SbomFormat::CycloneDx15 => V15.as_ref(),
        SbomFormat::CycloneDx16 => V16.as_ref(),
        SbomFormat::Spdx23 => SPDX.as_ref(),
    }
}

fn made(schema: &str) -> Option<Validator> {
    let read = |text: &str| serde_json::from_str::<Value>(text).ok();
    let registry = Registry::new()
        .add(format!("{NEAR}spdx.SNAPSHOT.schema.json"), read(LICENCES)?)
        .ok()?
        .add(format!("{NEAR}jsf-0.82.SNAPSHOT.schema.json"), read(SIGNATURES)?)
        .ok()?
        .prepare()
        .ok()?;
    linear().with_registry(&registry).build(&read(schema)?).ok()
}

fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn list<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// The SHA-256 among digests whose members have these names.
fn sha256_of(value: &Value, list_key: &str, name: (&str, &str), hex: &str) -> Option<Digest> {
    let (key, wanted) = name;
    let found = list(value, list_key).find(|it| text(it, key).as_deref() == Some(wanted))?;
    text(found, hex)?.to_lowercase().parse().ok()
}

fn cyclonedx(format: SbomFormat, value: &Value) -> Sbom {
    let part = |it: &Value| Part {
        reference: text(it, "bom-ref").unwrap_or_default(),
        name: text(it, "name").unwrap_or_default(),
        version: text(it, "version"),
        sha256: sha256_of(it, "hashes", ("alg", "SHA-256"), "content"),
        purl: text(it, "purl"),
    };
    let mut parts = Vec::new();
    let mut needs = Vec::new();
    // Parts stand in parts; an outer one needs what stands in it.
    let mut open: Vec<(Option<String>, &Value)> =
        list(value, "components").map(|it| (None, it)).collect();
    let subject = value.pointer("/metadata/component");
    if let Some(subject) = subject {
        open.extend(list(subject, "components").map(|it| (text(subject, "bom-ref"), it)));
    }
    while let Some((outer, it)) = open.pop() {
        let found = part(it);
        needs.extend(outer.map(|outer| (outer, found.reference.clone())));
        open.extend(list(it, "components").map(|inner| (text(it, "bom-ref"), inner)));
        parts.push(found);
    }
    for dependency in list(value, "dependencies") {
        let Some(from) = text(dependency, "ref") else { continue };
        let on = list(dependency, "dependsOn").chain(list(dependency, "provides"));
        needs.extend(on.filter_map(Value::as_str).map(|to| (from.clone(), to.to_owned())));
    }
    let incomplete = list(value, "compositions")
        .filter_map(|it| text(it, "aggregate"))
        .find(|word| word != "complete" && word != "not_specified");
    Sbom { format, subject: subject.map(part), parts, needs, incomplete }
}

fn spdx(value: &Value) -> Sbom {
    let purl = |it: &Value| {
        let of_kind = |it: &&Value| text(it, "referenceType").as_deref() == Some("purl");
        list(it, "externalRefs").find(of_kind).and_then(|it| text(it, "referenceLocator"))
    };
    let part = |it: &Value, name: &str| Part {
        reference: text(it, "SPDXID").unwrap_or_default(),
        name: text(it, name).unwrap_or_default(),
        version: text(it, "versionInfo"),
        sha256: sha256_of(it, "checksums", ("algorithm", "SHA256"), "checksumValue"),
        purl: purl(it),
    };
    let packages = list(value, "packages").map(|it| part(it, "name"));
    let mut parts: Vec<Part> =
        packages.chain(list(value, "files").map(|it| part(it, "fileName"))).collect();
    let mut described: Vec<String> =
        list(value, "documentDescribes").filter_map(Value::as_str).map(str::to_owned).collect();
    let mut needs = Vec::new();
    let mut incomplete = None;
    for it in list(value, "relationships") {
        let ends = (text(it, "spdxElementId"), text(it, "relatedSpdxElement"));
        let (Some(from), Some(to)) = ends else { continue };
        let kind = text(it, "relationshipType").unwrap_or_default();
        if to == "NOASSERTION" {
            incomplete = Some(format!("{from} {kind} NOASSERTION"));
        } else if to == "NONE" {
            // Said to have none.
        } else if kind == "DESCRIBES" && from == "SPDXRef-DOCUMENT" {
            described.push(to);
        } else if kind == "DESCRIBED_BY" && to == "SPDXRef-DOCUMENT" {
            described.push(from);
        } else if ["CONTAINS", "DEPENDS_ON"].contains(&kind.as_str()) || kind == "GENERATED_FROM" {
            needs.push((from, to));
        } else if ["CONTAINED_BY", "DEPENDENCY_OF"].contains(&kind.as_str())
            || kind.ends_with("_DEPENDENCY_OF")
        {
            needs.push((to, from));
        }
    }
    let at = parts.iter().position(|it| described.contains(&it.reference));
    let subject = at.map(|at| parts.remove(at));
    Sbom { format: SbomFormat::Spdx23, subject, parts, needs, incomplete }
}
