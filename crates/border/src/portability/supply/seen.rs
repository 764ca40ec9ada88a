//! What was seen of the supply chain of a bundle: facts, small enough to be evidence.

use carnet_document::InputError;
use carnet_ledger::Digest;
use carnet_ledger::projection::Envelope;
use serde::{Deserialize, Serialize};

use super::provenance::Provenance;
use super::sbom::{Part, Sbom, SbomFormat};

/// How many names of a kind are kept.
const NAMES_MAX: usize = 20;

/// What must be described: an image or a disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// What it is: its path in the bundle.
    pub what: String,
    /// The digest of its bytes; of an image, that of its manifest.
    pub sha256: Digest,
}

/// A document as it lies in the bundle.
#[derive(Debug, Clone, Copy)]
pub struct SupplyDocument<'a> {
    /// Its path.
    pub path: &'a str,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// What was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupplyChain {
    /// What must be described.
    pub subjects: Vec<Subject>,
    /// The lists of parts.
    pub sboms: Vec<SbomSeen>,
    /// The statements.
    pub provenance: Vec<ProvenanceSeen>,
}

/// A list of parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SbomSeen {
    /// Its path.
    pub path: String,
    /// The digest of its bytes.
    pub sha256: Digest,
    /// Its form; absent if it cannot be read.
    pub format: Option<SbomFormat>,
    /// The first thing that is wrong with it.
    pub wrong: Option<String>,
    /// The digest of what it is about.
    pub subject: Option<Digest>,
    /// How many parts it lists.
    pub parts: u64,
    /// Parts that could be anything.
    pub unidentified: Vec<String>,
    /// Parts that nothing is said to need.
    pub unreached: Vec<String>,
    /// What it says itself is not complete.
    pub incomplete: Option<String>,
}

/// A statement on the making of content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProvenanceSeen {
    /// Its path.
    pub path: String,
    /// The digest of its bytes.
    pub sha256: Digest,
    /// What is wrong with it.
    pub wrong: Option<String>,
    /// The digests of what it is about.
    pub subjects: Vec<Digest>,
    /// Who made it.
    pub builder: String,
    /// Who signed it.
    pub signed: Signed,
    /// What the content was made from, and no list of parts names, or that has no digest.
    pub undeclared: Vec<String>,
    /// How many things it was made from.
    pub from: u64,
}

/// Who signed a statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signed {
    /// A key that the trust file believes.
    By {
        /// Whose.
        principal: String,
        /// Which.
        key: String,
    },
    /// Nobody who is believed.
    ByNobodyKnown {
        /// Why not.
        why: String,
    },
    /// It carries no signature.
    Not,
}

impl SupplyChain {
    /// Looks at the documents. `signer` says who signed an envelope.
    pub fn look(
        subjects: Vec<Subject>,
        sboms: &[SupplyDocument<'_>],
        provenance: &[SupplyDocument<'_>],
        signer: &dyn Fn(&Envelope) -> Signed,
    ) -> Self {
        let read: Vec<_> = sboms.iter().map(|it| (it, Sbom::read(it.bytes))).collect();
        let lists: Vec<&Sbom> = read.iter().filter_map(|(_, sbom)| sbom.as_ref().ok()).collect();
        let statement = |it: &SupplyDocument<'_>| ProvenanceSeen::of(it, &lists, signer);
        let provenance = provenance.iter().map(statement).collect();
        let sboms = read.iter().map(|(it, sbom)| SbomSeen::of(it, sbom.as_ref())).collect();
        Self { subjects, sboms, provenance }
    }
}

fn names(parts: Vec<&Part>) -> Vec<String> {
    parts.into_iter().take(NAMES_MAX).map(|part| part.name.clone()).collect()
}

impl SbomSeen {
    fn of(document: &SupplyDocument<'_>, read: Result<&Sbom, &Vec<InputError>>) -> Self {
        let seen = Self {
            path: document.path.to_owned(),
            sha256: Digest::of(document.bytes),
            format: None,
            wrong: None,
            subject: None,
            parts: 0,
            unidentified: Vec::new(),
            unreached: Vec::new(),
            incomplete: None,
        };
        match read {
            Ok(sbom) => Self {
                format: Some(sbom.format),
                subject: sbom.subject.as_ref().and_then(|it| it.sha256),
                parts: u64::try_from(sbom.parts.len()).unwrap_or(u64::MAX),
                unidentified: names(sbom.unidentified()),
                unreached: names(sbom.unreached()),
                incomplete: sbom.incomplete.clone(),
                ..seen
            },
            Err(errors) => {
                let first = errors.first().map_or_else(String::new, ToString::to_string);
                let more = errors.len().saturating_sub(1);
                let more = if more > 0 { format!(", and {more} more") } else { String::new() };
                Self { wrong: Some(format!("{first}{more}")), ..seen }
            }
        }
    }
}

impl ProvenanceSeen {
    fn of(
        document: &SupplyDocument<'_>,
        lists: &[&Sbom],
        signer: &dyn Fn(&Envelope) -> Signed,
    ) -> Self {
        let seen = Self {
            path: document.path.to_owned(),
            sha256: Digest::of(document.bytes),
            wrong: None,
            subjects: Vec::new(),
            builder: String::new(),
            signed: Signed::Not,
            undeclared: Vec::new(),
            from: 0,
        };
        let statement = match Provenance::read(document.bytes) {
            Ok(statement) => statement,
            Err(error) => return Self { wrong: Some(error.to_string()), ..seen },
        };
        let declared = |uri: &str, sha256| lists.iter().any(|sbom| sbom.names(sha256, uri));
        let undeclared = statement
            .from
            .iter()
            .filter(|it| it.sha256.is_none() || !declared(&it.uri, it.sha256))
            .map(|it| it.uri.clone());
        Self {
            subjects: statement.subjects.iter().map(|(_, sha256)| *sha256).collect(),
            builder: statement.builder.clone(),
            signed: statement.envelope.as_ref().map_or(Signed::Not, signer),
            undeclared: undeclared.take(NAMES_MAX).collect(),
            from: u64::try_from(statement.from.len()).unwrap_or(u64::MAX),
            ..seen
        }
    }
}

/// The images that an `index.json` of an OCI layout names, by the digests of their manifests.
pub fn image_subjects(index: &[u8]) -> Vec<Digest> {
    let Ok(index) = serde_json::from_slice::<serde_json::Value>(index) else { return Vec::new() };
    let manifests = index.get("manifests").and_then(serde_json::Value::as_array);
    let digests = manifests.into_iter().flatten().filter_map(|it| it.get("digest")?.as_str());
    digests.filter_map(|it| it.strip_prefix("sha256:")?.parse().ok()).collect()
}
