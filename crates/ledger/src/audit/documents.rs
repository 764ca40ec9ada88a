//! The JSON documents of a bundle, read with limits.

use std::io::Read;

use super::AuditError;
use super::material::{FileSum, Hashed, Material};
use crate::digest::Digest;
use crate::frontier::SegmentProof;
use crate::value::{Object, Value};

/// No document but the lists that are streamed is larger.
const DOCUMENT_BYTES_MAX: usize = 64 << 20;

pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const EVENTS: &str = "events.jsonl";
pub(super) const CHAIN_SEGMENT: &str = "chain-segment.json";
pub(super) const VERIFIER_INPUTS: &str = "verifier-inputs.json";
pub(super) const PROFILE_CLAIM: &str = "profile-claim.json";
pub(super) const CHECKPOINT: &str = "checkpoint";
pub(super) const SEGMENT_PROOF: &str = "proofs/segment.json";
pub(super) const CONSISTENCY: &str = "proofs/consistency.json";
pub(super) const SUCCESSION: &str = "keys/succession.jsonl";
pub(super) const INDEX: &str = "artifacts/index.jsonl";

/// The form of bundles that this build reads, beside the contract's own.
pub(super) const FORMAT: &str = "carnet-evidence-bundle-1";

/// A document that may be missing, or not be of its form.
#[derive(Debug)]
pub(super) enum Held<T> {
    Absent,
    Malformed(String),
    Read(T),
}

/// A document, and the sum of its file if there is one.
pub(super) type Found<T> = Result<(Held<T>, Option<FileSum>), AuditError>;

impl<T> Held<T> {
    /// The document, if it could be read.
    pub(super) fn read(&self) -> Option<&T> {
        match self {
            Self::Read(document) => Some(document),
            Self::Absent | Self::Malformed(_) => None,
        }
    }
}

/// The bytes of a small entry with their sum. None if there is no such entry.
pub(super) fn bytes_of(
    material: &dyn Material,
    name: &str,
) -> Result<Option<(Vec<u8>, FileSum)>, AuditError> {
    if !material.has(name) {
        return Ok(None);
    }
    let read = || {
        let mut hashed = Hashed::new(material.open(name)?);
        let mut bytes = Vec::new();
        (&mut hashed).take(DOCUMENT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
        Ok((bytes, hashed.finish()?))
    };
    read().map(Some).map_err(|source| AuditError::Read { name: name.to_owned(), source })
}

/// Reads a JSON object and decodes it.
pub(super) fn read<T>(
    material: &dyn Material,
    name: &'static str,
    decode: impl FnOnce(Members<'_>) -> Result<T, String>,
) -> Found<T> {
    let Some((bytes, sum)) = bytes_of(material, name)? else { return Ok((Held::Absent, None)) };
    let held = match Value::parse(&bytes, DOCUMENT_BYTES_MAX) {
        Ok(Value::Object(object)) => match decode(Members { object: &object }) {
            Ok(document) => Held::Read(document),
            Err(what) => Held::Malformed(what),
        },
        Ok(_) => Held::Malformed("not a JSON object".to_owned()),
        Err(error) => Held::Malformed(in_full(&error)),
    };
    Ok((held, Some(sum)))
}

/// An error and what caused it.
pub(super) fn in_full(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", in_full(source)),
        None => error.to_string(),
    }
}

/// The members of a JSON object by name. What is there must have the form that is asked for.
#[derive(Clone, Copy)]
pub(super) struct Members<'a> {
    pub(super) object: &'a Object,
}

impl<'a> Members<'a> {
    pub(super) fn optional(self, name: &str) -> Result<Option<&'a str>, String> {
        match self.object.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(format!("{name} is not a string")),
        }
    }

    pub(super) fn text(self, name: &str) -> Result<&'a str, String> {
        self.optional(name)?.ok_or_else(|| format!("{name} is missing"))
    }

    pub(super) fn optional_number(self, name: &str) -> Result<Option<u64>, String> {
        match self.object.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Integer(number)) => {
                u64::try_from(number.get()).map(Some).map_err(|_| format!("{name} is below 0"))
            }
            Some(_) => Err(format!("{name} is not a whole number")),
        }
    }

    pub(super) fn number(self, name: &str) -> Result<u64, String> {
        self.optional_number(name)?.ok_or_else(|| format!("{name} is missing"))
    }

    pub(super) fn digest(self, name: &str) -> Result<Digest, String> {
        self.text(name)?.parse().map_err(|_| format!("{name} is not a SHA-256 in hex"))
    }

    pub(super) fn object(self, name: &str) -> Result<Option<Members<'a>>, String> {
        match self.object.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(object)) => Ok(Some(Members { object })),
            Some(_) => Err(format!("{name} is not an object")),
        }
    }

    /// The items of a list; none where the list is missing.
    pub(super) fn list(self, name: &str) -> Result<&'a [Value], String> {
        match self.object.get(name) {
            None | Some(Value::Null) => Ok(&[]),
            Some(Value::List(list)) => Ok(list),
            Some(_) => Err(format!("{name} is not a list")),
        }
    }

    pub(super) fn objects(self, name: &str) -> Result<Vec<Members<'a>>, String> {
        let items = self.list(name)?.iter().map(|item| match item {
            Value::Object(object) => Ok(Members { object }),
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Text(_) | Value::List(_) => {
                Err(format!("{name} holds something else than objects"))
            }
        });
        items.collect()
    }

    pub(super) fn texts(self, name: &str) -> Result<Vec<&'a str>, String> {
        let items = self.list(name)?.iter().map(|item| match item {
            Value::Text(text) => Ok(text.as_str()),
            Value::Null
            | Value::Bool(_)
            | Value::Integer(_)
            | Value::List(_)
            | Value::Object(_) => Err(format!("{name} holds something else than strings")),
        });
        items.collect()
    }

    pub(super) fn digests(self, name: &str) -> Result<Vec<Digest>, String> {
        let wrong = |_| format!("{name} holds something else than SHA-256 in hex");
        self.texts(name)?.into_iter().map(|text| text.parse().map_err(wrong)).collect()
    }
}

/// `manifest.json`.
#[derive(Debug)]
pub(super) struct Manifest {
    /// The whole document: what is signed is its RFC 8785 form without `signatures`.
    pub(super) object: Object,
    pub(super) tenant_id: Option<String>,
    pub(super) evidence_profile: Option<String>,
    pub(super) profile_version: Option<String>,
    pub(super) hash_profile: Option<String>,
    /// First and last sequence number.
    pub(super) scope: Option<(u64, u64)>,
    pub(super) chain_id: Option<String>,
    pub(super) chain_segment_ref: Option<String>,
    pub(super) bundle_hash: Option<String>,
    /// All references under `artifacts`.
    pub(super) artifacts: Vec<String>,
    pub(super) signatures: Vec<ManifestSignature>,
    /// What stands under `carnet`; absent in bundles that others wrote.
    pub(super) own: Option<Own>,
}

#[derive(Debug)]
pub(super) struct ManifestSignature {
    pub(super) key_id: String,
    pub(super) signature: String,
}

/// The member `carnet` of a manifest.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) last_event_hash: Digest,
    pub(super) segment_root: Digest,
    /// Size and root of the whole log at the export.
    pub(super) tree: (u64, Digest),
    pub(super) events: u64,
    pub(super) refusals: u64,
    pub(super) objects: u64,
    pub(super) files: Vec<FileRecord>,
}

#[derive(Debug)]
pub(super) struct FileRecord {
    pub(super) path: String,
    pub(super) sum: FileSum,
}

impl Manifest {
    pub(super) fn decode(members: Members<'_>) -> Result<Self, String> {
        let owned = |name| members.optional(name).map(|text| text.map(str::to_owned));
        let scope = match members.object("scope")? {
            Some(scope) => Some((scope.number("from_sequence")?, scope.number("to_sequence")?)),
            None => None,
        };
        let mut artifacts = Vec::new();
        if let Some(kinds) = members.object("artifacts")? {
            for kind in kinds.object.keys() {
                artifacts.extend(kinds.texts(kind)?.into_iter().map(str::to_owned));
            }
        }
        let mut signatures = Vec::new();
        for signature in members.objects("signatures")? {
            signatures.push(ManifestSignature {
                key_id: signature.text("key_id")?.to_owned(),
                signature: signature.text("signature")?.to_owned(),
            });
        }
        Ok(Self {
            object: members.object.clone(),
            tenant_id: owned("tenant_id")?,
            evidence_profile: owned("evidence_profile_id")?,
            profile_version: owned("profile_version")?,
            hash_profile: owned("hash_profile_id")?,
            scope,
            chain_id: owned("chain_id")?,
            chain_segment_ref: owned("chain_segment_ref")?,
            bundle_hash: owned("bundle_hash")?,
            artifacts,
            signatures,
            own: members.object("carnet")?.map(Own::decode).transpose()?,
        })
    }
}

impl Own {
    fn decode(members: Members<'_>) -> Result<Self, String> {
        let format = members.text("format")?;
        if format != FORMAT {
            return Err(format!("the form {format:?} is not one that this build reads"));
        }
        let part = |name| members.object(name)?.ok_or_else(|| format!("{name} is missing"));
        let (counts, tree) = (part("counts")?, part("tree")?);
        let mut files = Vec::new();
        for file in members.objects("files")? {
            let sum = FileSum { sha256: file.digest("sha256")?, bytes: file.number("bytes")? };
            files.push(FileRecord { path: file.text("path")?.to_owned(), sum });
        }
        Ok(Self {
            last_event_hash: members.digest("last_event_hash")?,
            segment_root: members.digest("segment_root")?,
            tree: (tree.number("size")?, tree.digest("root")?),
            events: counts.number("events")?,
            refusals: counts.number("refusals")?,
            objects: counts.number("objects")?,
            files,
        })
    }
}

/// What `verifier-inputs.json` or `profile-claim.json` declares about profile and place.
#[derive(Debug)]
pub(super) struct Declared {
    pub(super) evidence_profile: Option<String>,
    pub(super) hash_profile: Option<String>,
    pub(super) profile_version: Option<String>,
    /// All evidence profiles that the maker of the bundle can keep to; empty if it does not say.
    pub(super) implements: Vec<String>,
    pub(super) chain_id: Option<String>,
    pub(super) scope: Option<(u64, u64)>,
    pub(super) chain_segment_ref: Option<String>,
}

impl Declared {
    pub(super) fn decode(members: Members<'_>) -> Result<Self, String> {
        let owned = |name| members.optional(name).map(|text| text.map(str::to_owned));
        let implements = match members.object("implements")? {
            Some(implements) => implements.texts("evidence_profiles")?,
            None => Vec::new(),
        };
        let from = members.optional_number("from_sequence")?;
        let to = members.optional_number("to_sequence")?;
        Ok(Self {
            evidence_profile: owned("evidence_profile_id")?,
            hash_profile: owned("hash_profile_id")?,
            profile_version: owned("profile_version")?,
            implements: implements.into_iter().map(str::to_owned).collect(),
            chain_id: owned("chain_id")?,
            scope: from.zip(to),
            chain_segment_ref: owned("chain_segment_ref")?,
        })
    }
}

/// Reads `proofs/segment.json`.
pub(super) fn segment_proof(members: Members<'_>) -> Result<SegmentProof, String> {
    Ok(SegmentProof {
        size: members.number("size")?,
        from: members.number("from")?,
        to: members.number("to")?,
        left: members.digests("left")?,
        right: members.digests("right")?,
    })
}

/// `proofs/consistency.json`.
#[derive(Debug)]
pub(super) struct Consistency {
    pub(super) old: (u64, Digest),
    pub(super) new: (u64, Digest),
    pub(super) hashes: Vec<Digest>,
}

impl Consistency {
    pub(super) fn decode(members: Members<'_>) -> Result<Self, String> {
        let tree = |name| {
            let tree = members.object(name)?.ok_or_else(|| format!("{name} is missing"))?;
            Ok::<_, String>((tree.number("size")?, tree.digest("root")?))
        };
        Ok(Self { old: tree("old")?, new: tree("new")?, hashes: members.digests("hashes")? })
    }
}
