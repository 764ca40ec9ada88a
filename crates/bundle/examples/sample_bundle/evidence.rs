//! A small log and its export, whose last event names a content root. Made without the engine, by
//! the public parts of the ledger.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64ct::{Base64, Encoding};
use carnet_ledger::{
    Checkpoint, Digest, HashProfile, Integer, Object, SigningKey, Value, leaf_hash, root_of,
};

/// The files of an export, by name.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// The last event of the log.
pub(crate) const LAST: u64 = 3;
pub(crate) const PROFILE: &str = "ecs-evidence-baseline";
pub(crate) const HASH_PROFILE: HashProfile = HashProfile::EcsHashV1;
pub(crate) const TENANT: &str = "lab";

const CHAIN: &str = "chain-of-the-sample";
const POLICY: &[u8] = b"the rules";
const AUTHORITY: &[u8] = b"the approvers";

/// The key of the log, which is no secret.
pub(crate) fn key() -> SigningKey {
    let name = "sample-log".parse().expect("a name of a key");
    SigningKey::generate(name, &[7; 32]).expect("a key")
}

/// The export of the whole log.
pub(crate) fn export(content_root: Digest) -> Files {
    let events = events(content_root);
    let key = key();
    let mut files = Files::new();
    let lines: Vec<u8> = events.iter().flat_map(|(line, _)| line.bytes().chain([b'\n'])).collect();
    files.insert("events.jsonl".to_owned(), lines);
    let leaves: Vec<Digest> = events.iter().map(|(line, _)| leaf_hash(line.as_bytes())).collect();
    let root = root_of(leaves.iter().copied());
    let size = leaves.len() as u64;
    let checkpoint = Checkpoint { origin: Checkpoint::origin_of(CHAIN), size, root };
    let note = checkpoint.sign(&[&key]).expect("a note");
    files.insert("checkpoint".to_owned(), note.to_string().into_bytes());
    let no_hashes = || Value::List(Vec::new());
    let proof = object([
        ("size", number(size)),
        ("from", number(0)),
        ("to", number(size)),
        ("left", no_hashes()),
        ("right", no_hashes()),
    ]);
    files.insert("proofs/segment.json".to_owned(), document(proof));
    pack(&mut files);
    let segment = segment(&events, &key);
    let segment_ref = format!("eosc://evidence/chain/sha256:{}", Digest::of(&segment));
    files.insert("chain-segment.json".to_owned(), segment);
    documents(&mut files, &events, &segment_ref, (size, root), &key);
    files
}

/// Each event as it is stored, with its hash.
fn events(content_root: Digest) -> Vec<(String, Digest)> {
    let mut events: Vec<(String, Digest)> = Vec::new();
    let context = object([("content_root", content_root.into())]);
    for (event_type, more) in [
        ("policy.evaluate", Object::new()),
        ("authority.check", Object::new()),
        ("evidence.export", Object::new()),
        ("process.intent", object([("context", context.into())])),
    ] {
        let sequence = events.len() as u64;
        let mut event = object([
            ("id", format!("00000000-0000-4000-8000-{sequence:012}").into()),
            ("event_type", event_type.into()),
            ("occurred_at", format!("2026-11-21T10:00:{sequence:02}.000Z").into()),
            ("actor", "tester".into()),
            ("tenant_id", TENANT.into()),
            ("outcome", "accepted".into()),
            ("evidence_pointer", pointer(Digest::of(POLICY)).into()),
            ("sequence", number(sequence)),
            ("correlation_id", "run-1".into()),
            ("authority_snapshot_id", format!("sha256:{}", Digest::of(AUTHORITY)).into()),
            ("policy_snapshot_id", format!("sha256:{}", Digest::of(POLICY)).into()),
            ("chain_id", CHAIN.into()),
            ("evidence_profile_id", PROFILE.into()),
            ("hash_profile_id", HASH_PROFILE.name().into()),
        ]);
        event.extend(more);
        if let Some((_, before)) = events.last() {
            event.insert("prev_hash".to_owned(), (*before).into());
        }
        let hash = HASH_PROFILE.digest(&Value::Object(event.clone()));
        event.insert("event_hash".to_owned(), hash.into());
        events.push((HASH_PROFILE.canonical(&Value::Object(event)), hash));
    }
    events
}

fn pack(files: &mut Files) {
    let objects = BTreeMap::from([POLICY, AUTHORITY].map(|bytes| (Digest::of(bytes), bytes)));
    let (mut index, mut pack) = (String::new(), Vec::new());
    for (digest, bytes) in objects {
        let (size, offset) = (bytes.len(), pack.len());
        let _ = writeln!(
            index,
            "{{\"bytes\":{size},\"offset\":{offset},\"pack\":\"artifacts/pack-0\",\
             \"sha256\":\"{digest}\"}}"
        );
        pack.extend_from_slice(bytes);
    }
    files.insert("artifacts/index.jsonl".to_owned(), index.into_bytes());
    files.insert("artifacts/pack-0".to_owned(), pack);
}

fn joined(events: &[(String, Digest)]) -> Digest {
    let hashes: Vec<String> = events.iter().map(|(_, hash)| hash.to_string()).collect();
    Digest::of(hashes.join("\n").as_bytes())
}

fn segment(events: &[(String, Digest)], key: &SigningKey) -> Vec<u8> {
    let entries = events.iter().map(|(line, _)| {
        let Ok(Value::Object(event)) = Value::parse(line.as_bytes(), line.len()) else {
            panic!("an event of ours is an object")
        };
        let mut entry = Object::new();
        for name in ["id", "sequence", "prev_hash", "event_hash", "evidence_profile_id"] {
            entry.insert(name.to_owned(), event.get(name).cloned().unwrap_or(Value::Null));
        }
        let stored = format!("eosc://evidence/sha256:{}", Digest::of(line.as_bytes()));
        entry.insert("event_ref".to_owned(), stored.into());
        Value::Object(entry)
    });
    let joined = joined(events);
    let signature = key.sign(format!("carnet/segment/v1\n{joined}").as_bytes());
    document(object([
        ("segment_id", "segment-1".into()),
        ("tenant_id", TENANT.into()),
        ("evidence_profile_id", PROFILE.into()),
        ("from_sequence", number(0)),
        ("to_sequence", number(LAST)),
        ("algorithm", "sha256".into()),
        ("events", Value::List(entries.collect())),
        ("segment_hash", format!("sha256:{joined}").into()),
        ("signature", Base64::encode_string(&signature).into()),
    ]))
}

fn documents(
    files: &mut Files,
    events: &[(String, Digest)],
    segment_ref: &str,
    (size, root): (u64, Digest),
    key: &SigningKey,
) {
    let profile = object([
        ("evidence_profile_id", PROFILE.into()),
        ("profile_version", "1.0".into()),
        ("hash_profile_id", HASH_PROFILE.name().into()),
    ]);
    let mut inputs = profile.clone();
    inputs.extend(object([
        ("chain_id", CHAIN.into()),
        ("from_sequence", number(0)),
        ("to_sequence", number(LAST)),
        ("chain_segment_ref", segment_ref.into()),
    ]));
    files.insert("verifier-inputs.json".to_owned(), document(inputs));
    let mut claim = profile.clone();
    let implements = object([("evidence_profiles", Value::List(vec![PROFILE.into()]))]);
    claim.insert("implements".to_owned(), implements.into());
    files.insert("profile-claim.json".to_owned(), document(claim));
    let artifact =
        |digest: Digest| Value::List(vec![format!("eosc://artifact/sha256:{digest}").into()]);
    let artifacts = object([
        ("policy_snapshots", artifact(Digest::of(POLICY))),
        ("evidence_artifacts", artifact(Digest::of(&files["artifacts/pack-0"]))),
    ]);
    let last = events.last().expect("there are events").1;
    let counts =
        object([("events", number(size)), ("refusals", number(0)), ("objects", number(2))]);
    let listed = files.iter().map(|(name, bytes)| {
        Value::Object(object([
            ("path", name.as_str().into()),
            ("sha256", Digest::of(bytes).into()),
            ("bytes", number(bytes.len() as u64)),
        ]))
    });
    let own = object([
        ("format", "carnet-evidence-bundle-1".into()),
        ("last_event_hash", last.into()),
        ("segment_root", root.into()),
        ("tree", object([("size", number(size)), ("root", root.into())]).into()),
        ("counts", counts.into()),
        ("files", Value::List(listed.collect())),
    ]);
    let scope = object([("from_sequence", number(0)), ("to_sequence", number(LAST))]);
    let mut manifest = profile;
    manifest.extend(object([
        ("schema_version", "1.0".into()),
        ("tenant_id", TENANT.into()),
        ("scope", scope.into()),
        ("chain_id", CHAIN.into()),
        ("chain_segment_ref", segment_ref.into()),
        ("bundle_hash", format!("sha256:{}", joined(events)).into()),
        ("artifacts", artifacts.into()),
        ("carnet", own.into()),
    ]));
    let message = HashProfile::Rfc8785Sha256V1.canonical(&Value::Object(manifest.clone()));
    let signature = object([
        ("key_id", key.verifying_key().key_id().into()),
        ("signature", Base64::encode_string(&key.sign(message.as_bytes())).into()),
    ]);
    manifest.insert("signatures".to_owned(), Value::List(vec![signature.into()]));
    files.insert("manifest.json".to_owned(), document(manifest));
}

fn pointer(digest: Digest) -> String {
    format!("eosc://evidence/sha256:{digest}")
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Object {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn number(number: u64) -> Value {
    Integer::try_from(number).expect("a small number").into()
}

fn document(object: Object) -> Vec<u8> {
    format!("{}\n", HashProfile::Rfc8785Sha256V1.canonical(&Value::Object(object))).into_bytes()
}
