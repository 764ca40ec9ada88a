//! Statements on the making of content: in-toto statements (v1) with the predicate of SLSA
//! provenance v1, plain or in a DSSE envelope.

use carnet_document::InputError;
use carnet_ledger::Digest;
use carnet_ledger::projection::Envelope;
use serde::Deserialize;

/// The size that such a document has at most.
const BYTES_MAX: usize = 16 << 20;
const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const PREDICATE: &str = "https://slsa.dev/provenance/v1";
const PAYLOAD: &str = "application/vnd.in-toto+json";

/// A statement on the making of content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// What was made: name and SHA-256.
    pub subjects: Vec<(String, Digest)>,
    /// Who made it: `builder.id`.
    pub builder: String,
    /// How it was made: `buildType`.
    pub build_type: String,
    /// What it was made from.
    pub from: Vec<ResolvedDependency>,
    /// The envelope around it, whose signatures are not checked here.
    pub envelope: Option<Envelope>,
}

/// Something that the content was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedDependency {
    /// Where it came from.
    pub uri: String,
    /// Its SHA-256, if said.
    pub sha256: Option<Digest>,
}

#[derive(Deserialize)]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: serde_json::Value,
}

#[derive(Deserialize)]
struct Subject {
    #[serde(default)]
    name: String,
    digest: Digests,
}

#[derive(Deserialize, Default)]
struct Digests {
    sha256: Option<Digest>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Predicate {
    build_definition: BuildDefinition,
    run_details: RunDetails,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BuildDefinition {
    build_type: String,
    #[serde(rename = "externalParameters")]
    _external_parameters: serde_json::Map<String, serde_json::Value>,
    #[serde(default)]
    resolved_dependencies: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    #[serde(default)]
    uri: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    digest: Digests,
}

#[derive(Deserialize)]
struct RunDetails {
    builder: Builder,
}

#[derive(Deserialize)]
struct Builder {
    id: String,
}

impl Provenance {
    /// Reads a document.
    pub fn read(bytes: &[u8]) -> Result<Self, InputError> {
        let wrong = |what: String| {
            let remedy = "write an in-toto statement v1 with SLSA provenance v1";
            InputError::new("", what, remedy)
        };
        if bytes.len() > BYTES_MAX {
            return Err(wrong(format!("it has {} bytes", bytes.len())));
        }
        let envelope = match Envelope::parse(bytes) {
            Ok(envelope) if envelope.payload_type == PAYLOAD => Some(envelope),
            Ok(envelope) => {
                let kind = &envelope.payload_type;
                return Err(wrong(format!("its envelope holds {kind}, and no statement")));
            }
            Err(_) => None,
        };
        let text = envelope.as_ref().map_or(bytes, |envelope| &envelope.payload);
        let form = |error: serde_json::Error| wrong(format!("it is not in this form: {error}"));
        let statement: Statement = serde_json::from_slice(text).map_err(form)?;
        if statement.kind != STATEMENT {
            return Err(wrong(format!("it is of the type {}", statement.kind)));
        }
        if statement.predicate_type != PREDICATE {
            return Err(wrong(format!("its predicate is {}", statement.predicate_type)));
        }
        let predicate: Predicate = serde_json::from_value(statement.predicate).map_err(form)?;
        let subjects = statement.subject.into_iter().map(|it| Some((it.name, it.digest.sha256?)));
        let subjects: Option<Vec<_>> = subjects.collect();
        let subjects = subjects
            .filter(|it| !it.is_empty())
            .ok_or_else(|| wrong("it names no subject, or one without a SHA-256".to_owned()))?;
        let from = predicate.build_definition.resolved_dependencies.into_iter().map(|it| {
            let uri = if it.uri.is_empty() { it.name } else { it.uri };
            ResolvedDependency { uri, sha256: it.digest.sha256 }
        });
        Ok(Self {
            subjects,
            builder: predicate.run_details.builder.id,
            build_type: predicate.build_definition.build_type,
            from: from.collect(),
            envelope,
        })
    }
}
