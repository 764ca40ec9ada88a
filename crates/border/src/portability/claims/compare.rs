//! What a bundle needs against what an environment claims.

use std::fmt;

use carnet_document::Code;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ANY, AlternativePath, Claims, Needs};

/// Which claim is missing.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Claim {
    /// The scenario.
    Scenario,
    /// The version of bundles.
    BundleVersion,
    /// A type of content.
    ContentType,
    /// The evidence profile.
    EvidenceProfile,
    /// The way of hashing events.
    HashProfile,
    /// The language of policies.
    Policy,
    /// An encryption scheme.
    Encryption,
    /// The jurisdiction.
    Jurisdiction,
    /// The classification.
    Classification,
    /// The format of a disk.
    DiskFormat,
    /// The size of a disk.
    DiskSize,
    /// A TPM.
    Tpm,
    /// What runs it.
    Runtime,
    /// A stateful asset.
    Stateful,
}

impl Claim {
    /// The word in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scenario => "scenario",
            Self::BundleVersion => "bundle_version",
            Self::ContentType => "content_type",
            Self::EvidenceProfile => "evidence_profile",
            Self::HashProfile => "hash_profile",
            Self::Policy => "policy",
            Self::Encryption => "encryption",
            Self::Jurisdiction => "jurisdiction",
            Self::Classification => "classification",
            Self::DiskFormat => "disk_format",
            Self::DiskSize => "disk_size",
            Self::Tpm => "tpm",
            Self::Runtime => "runtime",
            Self::Stateful => "stateful",
        }
    }
}

/// Why an environment does not take a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct ClaimRefusal {
    /// Which claim is missing.
    pub claim: Claim,
    /// What is refused: the scenario, the volume, the database.
    pub subject: String,
    /// Why.
    pub why: String,
    /// What to do about it.
    pub remedy: String,
    /// Another way, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alternative: Option<AlternativePath>,
}

impl ClaimRefusal {
    /// The code of every such refusal.
    pub const fn code(&self) -> Code {
        Code::CLAIMS_REFUSED
    }

    fn new(claim: Claim, subject: impl Into<String>, why: String, remedy: &str) -> Self {
        let (subject, remedy) = (subject.into(), remedy.to_owned());
        Self { claim, subject, why, remedy, alternative: None }
    }

    /// The same, with another way.
    fn or(mut self, alternative: AlternativePath) -> Self {
        self.alternative = Some(alternative);
        self
    }
}

impl fmt::Display for ClaimRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.why)
    }
}

/// All reasons for which the environment does not take the bundle; none if it does.
pub fn compare(needs: &Needs, claims: &Claims) -> Vec<ClaimRefusal> {
    let mut refused = Vec::new();
    form(needs, claims, &mut refused);
    rules(needs, claims, &mut refused);
    place(needs, claims, &mut refused);
    stateful(needs, claims, &mut refused);
    refused
}

/// Whether a list of words holds this one, or stands for any.
fn takes(list: &[String], word: &str) -> bool {
    list.iter().any(|it| it == word || it == ANY)
}

fn form(needs: &Needs, claims: &Claims, refused: &mut Vec<ClaimRefusal>) {
    let target = &claims.environment;
    if !claims.import.contains(&needs.scenario) {
        let name = needs.scenario.name();
        let why = format!("{target} does not import the scenario {name}");
        let remedy = "choose another target, or another scenario that it claims";
        let refusal = ClaimRefusal::new(Claim::Scenario, name, why, remedy);
        let others = [AlternativePath::ObjectExport, AlternativePath::EvidenceOnly];
        let other = others.into_iter().find(|it| claims.import.contains(&it.scenario()));
        refused.push(match other {
            Some(other) => refusal.or(other),
            None => refusal,
        });
    }
    if !claims.bundle_versions.contains(&needs.bundle_version) {
        let why = format!("{target} does not read bundles of version {}", needs.bundle_version);
        let remedy = "export with a build that writes a version which the target reads";
        refused.push(ClaimRefusal::new(Claim::BundleVersion, &needs.bundle_version, why, remedy));
    }
    for kind in needs.content_types.iter().filter(|it| !claims.content_types.contains(it)) {
        let why = format!("{target} does not take contents of the type {kind}");
        let remedy = "leave these contents out, or choose another target";
        refused.push(ClaimRefusal::new(Claim::ContentType, kind.name(), why, remedy));
    }
}

fn rules(needs: &Needs, claims: &Claims, refused: &mut Vec<ClaimRefusal>) {
    let target = &claims.environment;
    let mut lacks = |claim, word: &str, why: &str, remedy| {
        refused.push(ClaimRefusal::new(claim, word, format!("{target} {why} {word}"), remedy));
    };
    let profile = &needs.evidence_profile;
    if !claims.evidence_profiles.contains(profile) {
        let remedy = "choose an evidence profile that the target claims";
        lacks(Claim::EvidenceProfile, profile, "does not read evidence of the profile", remedy);
    }
    let hash = &needs.hash_profile;
    if !claims.hash_profiles.contains(hash) {
        let remedy = "choose a hash profile that the target claims";
        lacks(Claim::HashProfile, hash, "does not check events that are hashed by", remedy);
    }
    if let Some(language) = &needs.policy_language
        && !claims.policies.iter().any(|it| it.language == *language)
    {
        let remedy = "choose a target that can enforce the policies of the bundle";
        lacks(Claim::Policy, language, "does not enforce policies in", remedy);
    }
    for scheme in needs.encryption.iter().filter(|it| !claims.encryption.contains(it)) {
        let remedy = "export without encryption, or with a scheme that the target claims";
        lacks(Claim::Encryption, scheme, "does not open contents that are encrypted by", remedy);
    }
    if !takes(&claims.jurisdictions, &needs.jurisdiction) {
        let remedy = "choose a target that takes content of this jurisdiction";
        let word = &needs.jurisdiction;
        lacks(Claim::Jurisdiction, word, "takes no content of the jurisdiction", remedy);
    }
    if !takes(&claims.classifications, &needs.classification) {
        let remedy = "choose a target that takes content of this classification";
        let word = &needs.classification;
        lacks(Claim::Classification, word, "takes no content of the classification", remedy);
    }
}

fn place(needs: &Needs, claims: &Claims, refused: &mut Vec<ClaimRefusal>) {
    let target = &claims.environment;
    if let Some(runtime) = needs.runtime
        && !claims.runtimes.contains(&runtime)
    {
        let name = runtime.name();
        let why = format!("{target} has no {name} to run it");
        let remedy = "install it there, or choose another target";
        refused.push(ClaimRefusal::new(Claim::Runtime, name, why, remedy));
    }
    let Some(disk) = needs.disk else { return };
    if !claims.disk.formats.contains(&disk.format) {
        let name = disk.format.name();
        let why = format!("{target} takes no disks in the format {name}");
        let remedy = "convert the disk to a format that the target claims";
        refused.push(ClaimRefusal::new(Claim::DiskFormat, name, why, remedy));
    }
    let most = claims.disk.virtual_bytes_max;
    if disk.virtual_bytes > most {
        let bytes = disk.virtual_bytes;
        let why = format!("the machine sees {bytes} bytes, and {target} takes at most {most}");
        let remedy = "make the disk smaller, or export its data with the scenario data_only";
        let refusal = ClaimRefusal::new(Claim::DiskSize, "disk", why, remedy);
        refused.push(refusal.or(AlternativePath::ObjectExport));
    }
    if disk.tpm && !claims.disk.tpm {
        let why = format!("the machine has a TPM, and {target} cannot take its state");
        let remedy = "install swtpm there, or choose another target";
        refused.push(ClaimRefusal::new(Claim::Tpm, "tpm", why, remedy));
    }
}

fn stateful(needs: &Needs, claims: &Claims, refused: &mut Vec<ClaimRefusal>) {
    for part in &needs.stateful {
        let subject = format!("{}:{}", part.asset, part.name);
        // Nothing claims to take a stateful asset as it is: what has no limit is not known either.
        let limit = claims.limits.iter().find(|limit| limit.asset == part.asset);
        let refusal = if let Some(limit) = limit {
            let remedy = limit.alternative.does();
            ClaimRefusal::new(Claim::Stateful, subject, limit.why.clone(), remedy)
                .or(limit.alternative)
        } else {
            let why = format!("{} says nothing about assets of this kind", claims.environment);
            let remedy = AlternativePath::ObjectExport.does();
            ClaimRefusal::new(Claim::Stateful, subject, why, remedy)
                .or(AlternativePath::ObjectExport)
        };
        refused.push(refusal);
    }
}
