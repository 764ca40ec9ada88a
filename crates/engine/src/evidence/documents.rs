//! The JSON documents of a bundle, in their one byte form.

use std::collections::BTreeMap;

use base64ct::{Base64, Encoding};
use carnet_bundle::FileSum;
use carnet_ledger::{
    Digest, EventId, EventTime, EvidenceProfile, Family, HashProfile, Integer, Object, SigningKey,
    Value,
};

use super::events::Seen;
use carnet_journal::LogMade;

/// What `carnet.format` in a manifest says.
const FORMAT: &str = "carnet-evidence-bundle-1";
const PROFILE_VERSION: &str = "1.0";
const EXPECTATIONS: &str = "carnet:evidence-bundle/v1";
const JOINED: &str = "sha256(newline-joined event_hash values)";

/// What several documents say.
pub(super) struct Head<'a> {
    pub(super) made: &'a LogMade,
    pub(super) tenant: &'a str,
    /// The owner of what moves.
    pub(super) provider: &'a str,
    /// Who exports.
    pub(super) producer: &'a str,
    /// The first event.
    pub(super) from: u64,
    /// The last event.
    pub(super) to: u64,
    pub(super) signer: Option<&'a SigningKey>,
}

/// What only the manifest says.
pub(super) struct Inventory<'a> {
    pub(super) export_id: EventId,
    pub(super) created: EventTime,
    pub(super) seen: &'a Seen,
    /// The digest of `chain-segment.json`.
    pub(super) segment_file: Digest,
    /// How many events the log has, and the root over them.
    pub(super) tree: (u64, Digest),
    pub(super) objects: u64,
    /// The digests of the index and of the packs.
    pub(super) packs: &'a [Digest],
    pub(super) missing: &'a [Family],
    pub(super) files: &'a BTreeMap<String, FileSum>,
}

/// The members of an object.
pub(super) fn object<const N: usize>(members: [(&str, Value); N]) -> Object {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A count or a sequence number: they stay far below 2^53.
pub(super) fn number(number: u64) -> Value {
    Integer::try_from(number).map_or(Value::Null, Value::Integer)
}

pub(super) fn hex(digests: &[Digest]) -> Value {
    Value::List(digests.iter().map(|digest| (*digest).into()).collect())
}

/// The bytes of a document: indented by two, members sorted, a line break at the end.
pub(super) fn pretty(document: Object) -> String {
    let mut out = String::new();
    indented(&Value::Object(document), 0, &mut out);
    out.push('\n');
    out
}

fn indented(value: &Value, depth: usize, out: &mut String) {
    let mut list = |open: char, close: char, items: Vec<(Option<&str>, &Value)>| {
        out.push(open);
        for (place, (name, item)) in items.into_iter().enumerate() {
            out.push_str(if place == 0 { "\n" } else { ",\n" });
            out.extend(std::iter::repeat_n("  ", depth + 1));
            if let Some(name) = name {
                compact(&name.into(), out);
                out.push_str(": ");
            }
            indented(item, depth + 1, out);
        }
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
        out.push(close);
    };
    match value {
        Value::List(items) if !items.is_empty() => {
            list('[', ']', items.iter().map(|item| (None, item)).collect());
        }
        Value::Object(members) if !members.is_empty() => {
            list(
                '{',
                '}',
                members.iter().map(|(name, item)| (Some(name.as_str()), item)).collect(),
            );
        }
        Value::Null
        | Value::Bool(_)
        | Value::Integer(_)
        | Value::Text(_)
        | Value::List(_)
        | Value::Object(_) => compact(value, out),
    }
}

/// Appends the form without spaces.
pub(super) fn compact(value: &Value, out: &mut String) {
    HashProfile::Rfc8785Sha256V1.write(value, out);
}

/// Base64 of the key's signature.
pub(super) fn signature(key: &SigningKey, message: &[u8]) -> String {
    Base64::encode_string(&key.sign(message))
}

fn artifacts<'d>(digests: impl IntoIterator<Item = &'d Digest>) -> Value {
    let reference = |digest: &Digest| format!("eosc://artifact/sha256:{digest}").into();
    Value::List(digests.into_iter().map(reference).collect())
}

fn chain_segment_ref(file: Digest) -> Value {
    format!("eosc://evidence/chain/sha256:{file}").into()
}

impl Head<'_> {
    /// What says by which rules a document is to be read.
    fn profile(&self) -> Object {
        let identity =
            object([("issuer_id", self.provider.into()), ("producer_id", self.producer.into())]);
        object([
            ("evidence_profile_id", self.made.evidence_profile.name().into()),
            ("hash_profile_id", self.made.hash_profile.name().into()),
            ("producer_identity", identity.into()),
            ("profile_version", PROFILE_VERSION.into()),
            ("verifier_expectations_ref", EXPECTATIONS.into()),
        ])
    }

    /// How often a checkpoint is signed, where there is a key.
    fn trust_services(&self, document: &mut Object) {
        if self.signer.is_some() {
            let services = object([("anchor_interval", "PT1S".into())]);
            document.insert("trust_services".to_owned(), services.into());
        }
    }

    /// `verifier-inputs.json`.
    pub(super) fn verifier_inputs(&self, segment_file: Digest) -> Object {
        let mut document = self.profile();
        document.extend(object([
            ("bundle_hash_method", JOINED.into()),
            ("chain_id", self.made.chain_id.as_str().into()),
            ("chain_segment_ref", chain_segment_ref(segment_file)),
            ("event_hash_method", "sha256(canonical_json(event) without event_hash)".into()),
            ("from_sequence", number(self.from)),
            ("segment_hash_method", JOINED.into()),
            ("to_sequence", number(self.to)),
        ]));
        self.trust_services(&mut document);
        document
    }

    /// `profile-claim.json`.
    pub(super) fn profile_claim(&self) -> Object {
        let names = |names: Vec<&str>| Value::List(names.into_iter().map(Into::into).collect());
        let profiles = EvidenceProfile::ALL.iter().map(|profile| profile.name()).collect();
        let hashes = [HashProfile::EcsHashV1, HashProfile::Rfc8785Sha256V1];
        let implements = object([
            ("default_evidence_profile", EvidenceProfile::Baseline.name().into()),
            ("evidence_profiles", names(profiles)),
            ("export_endpoints", Value::List(Vec::new())),
            ("hash_profiles", names(hashes.map(HashProfile::name).to_vec())),
            ("verifier_inputs_supported", names(vec!["chain_id", "event_hash", "prev_hash"])),
        ]);
        let mut document = self.profile();
        document.insert("implements".to_owned(), implements.into());
        document
    }

    /// `manifest.json`, signed where there is a key.
    pub(super) fn manifest(&self, inventory: &Inventory<'_>) -> Object {
        let seen = inventory.seen;
        let scope =
            object([("from_sequence", number(self.from)), ("to_sequence", number(self.to))]);
        let references = object([
            ("authority_bindings", artifacts(&seen.authorities)),
            ("evidence_artifacts", artifacts(inventory.packs)),
            ("policy_snapshots", artifacts(&seen.policies)),
        ]);
        let mut document = self.profile();
        document.extend(object([
            ("artifacts", references.into()),
            ("bundle_hash", format!("sha256:{}", seen.joined).into()),
            ("carnet", inventory.own().into()),
            ("chain_id", self.made.chain_id.as_str().into()),
            ("chain_segment_ref", chain_segment_ref(inventory.segment_file)),
            ("created_at", inventory.created.to_string().into()),
            ("export_id", inventory.export_id.to_string().into()),
            ("provider_id", self.provider.into()),
            ("schema_version", "1.0".into()),
            ("scope", scope.into()),
            ("tenant_id", self.tenant.into()),
        ]));
        self.trust_services(&mut document);
        let signatures = self.signer.map(|key| {
            let mut message = String::new();
            compact(&Value::Object(document.clone()), &mut message);
            let signature = signature(key, message.as_bytes());
            let key_id = key.verifying_key().key_id();
            object([("key_id", key_id.into()), ("signature", signature.into())]).into()
        });
        document.insert("signatures".to_owned(), Value::List(signatures.into_iter().collect()));
        document
    }
}

impl Inventory<'_> {
    /// The member `carnet`: what the contract has no words for.
    fn own(&self) -> Object {
        let (size, root) = self.tree;
        let counts = object([
            ("events", number(self.seen.events)),
            ("objects", number(self.objects)),
            ("refusals", number(self.seen.refusals)),
        ]);
        let files = self.files.iter().map(|(path, sum)| {
            let (bytes, sha256) = (number(sum.bytes), sum.sha256.into());
            object([("bytes", bytes), ("path", path.as_str().into()), ("sha256", sha256)]).into()
        });
        let missing = self.missing.iter().map(|family| family.name().into()).collect();
        object([
            ("counts", counts.into()),
            ("files", Value::List(files.collect())),
            ("format", FORMAT.into()),
            ("last_event_hash", self.seen.last_hash.into()),
            ("missing_families", Value::List(missing)),
            ("segment_root", self.seen.segment_root.into()),
            ("tree", object([("root", root.into()), ("size", number(size))]).into()),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_the_bytes_of_python() {
        // json.dumps(x, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        let document = object([
            ("b", Value::List(vec![number(1), Value::Null, Value::List(Vec::new())])),
            ("a", object([("é\u{1}", "\"\\\n\u{7f}😀".into())]).into()),
            ("c", Object::new().into()),
        ]);
        let wanted = "{\n  \"a\": {\n    \"é\\u0001\": \"\\\"\\\\\\n\u{7f}😀\"\n  },\n  \"b\": [\n    \
                      1,\n    null,\n    []\n  ],\n  \"c\": {}\n}\n";
        assert_eq!(pretty(document), wanted);
    }
}
