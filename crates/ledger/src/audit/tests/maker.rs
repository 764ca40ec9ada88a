//! Bundles in memory, made without any of the code that checks them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{self, Read};

use base64ct::{Base64, Encoding};

use crate::audit::Material;
use crate::checkpoint::Checkpoint;
use crate::digest::Digest;
use crate::key::SigningKey;
use crate::merkle::{CompactRange, leaf_hash, root_of};
use crate::note::Note;
use crate::proof::{consistency_proof, inclusion_proof};
use crate::trust::Succession;
use crate::value::{HashProfile, Integer, Object, Value};

/// The files of a bundle by name.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// Files offered for an audit.
pub(super) struct Memory {
    files: Files,
    entries: Vec<(String, u64)>,
}

impl Memory {
    pub(super) fn new(files: &Files) -> Self {
        let entries = files.iter().map(|(name, bytes)| (name.clone(), bytes.len() as u64));
        Self { entries: entries.collect(), files: files.clone() }
    }
}

impl Material for Memory {
    fn entries(&self) -> &[(String, u64)] {
        &self.entries
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(self.files.get(name).ok_or(io::ErrorKind::NotFound)?.as_slice()))
    }
}

pub(super) fn object<const N: usize>(members: [(&str, Value); N]) -> Object {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

pub(super) fn number(number: u64) -> Value {
    Integer::try_from(number).unwrap().into()
}

/// Any JSON document: the audit does not care about spaces.
pub(super) fn document(object: Object) -> Vec<u8> {
    format!("{}\n", HashProfile::Rfc8785Sha256V1.canonical(&Value::Object(object))).into_bytes()
}

pub(super) fn parsed(bytes: &[u8]) -> Object {
    let Value::Object(object) = Value::parse(bytes, 1 << 26).unwrap() else { panic!("no object") };
    object
}

pub(super) fn key(name: &str, seed: u8) -> SigningKey {
    SigningKey::generate(name.parse().unwrap(), &[seed; 32]).unwrap()
}

/// A log with the objects that its events point to.
#[derive(Clone)]
pub(super) struct Log {
    pub(super) chain_id: String,
    pub(super) profile: &'static str,
    pub(super) hash_profile: HashProfile,
    /// The events without their links.
    pub(super) drafts: Vec<Object>,
    pub(super) objects: BTreeMap<Digest, Vec<u8>>,
    /// Where in the log keys were handed over.
    successions: Vec<usize>,
}

pub(super) const POLICY: &[u8] = b"the rules";
pub(super) const AUTHORITY: &[u8] = b"the approvers";

impl Log {
    /// A log in which something of everything happened.
    pub(super) fn sample() -> Self {
        let mut log = Self {
            chain_id: "chain-1".to_owned(),
            profile: "ecs-evidence-admissible",
            hash_profile: HashProfile::EcsHashV1,
            drafts: Vec::new(),
            objects: BTreeMap::new(),
            successions: Vec::new(),
        };
        let package = Digest::of(b"a package").to_string();
        let moved = || {
            object([
                ("artifact_manifest_hash", package.as_str().into()),
                ("integrity_verified", true.into()),
            ])
        };
        log.add("policy.evaluate", Object::new());
        log.add("authority.check", Object::new());
        log.add("exit.path.declare", object([("exit_plan_id", "exit-1".into())]));
        log.add("migration.export", moved());
        log.add(
            "process.intent",
            object([("context", object([("naïve", "é😀\n".into())]).into())]),
        );
        log.add("policy.refusal", refused());
        log.add("migration.import", moved());
        log.add("process.outcome", Object::new());
        for _ in 0..3 {
            log.add("gate.verdict", Object::new());
        }
        log.add("evidence.export", Object::new());
        log
    }

    pub(super) fn add(&mut self, event_type: &str, more: Object) {
        let sequence = self.drafts.len() as u64;
        let details = format!("details of event {}", sequence / 2).into_bytes();
        let pointer = self.keep(&details);
        self.keep(POLICY);
        self.keep(AUTHORITY);
        let mut draft = object([
            ("id", format!("00000000-0000-4000-8000-{sequence:012}").into()),
            ("event_type", event_type.into()),
            ("occurred_at", format!("2026-11-21T10:00:{:02}.000Z", sequence % 60).into()),
            ("actor", "tester".into()),
            ("tenant_id", "lab".into()),
            ("outcome", "accepted".into()),
            ("evidence_pointer", self::pointer(pointer).into()),
            ("sequence", number(sequence)),
            ("correlation_id", format!("run-{}", sequence / 100).into()),
            ("authority_snapshot_id", format!("sha256:{}", Digest::of(AUTHORITY)).into()),
            ("policy_snapshot_id", format!("sha256:{}", Digest::of(POLICY)).into()),
            ("chain_id", self.chain_id.as_str().into()),
            ("evidence_profile_id", self.profile.into()),
            ("hash_profile_id", self.hash_profile.name().into()),
        ]);
        draft.extend(more);
        self.drafts.push(draft);
    }

    fn keep(&mut self, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        self.objects.insert(digest, bytes.to_vec());
        digest
    }

    /// Hands the log over to another key.
    pub(super) fn hand_over(&mut self, old: &SigningKey, new: &SigningKey) {
        let note = Succession::sign(old, new, &self.chain_id).unwrap().to_string();
        let pointer = self.keep(note.as_bytes());
        self.successions.push(self.drafts.len());
        self.add(
            "key.succeeded",
            object([
                ("old_key_id", old.verifying_key().key_id().into()),
                ("new_key_id", new.verifying_key().key_id().into()),
                ("evidence_pointer", self::pointer(pointer).into()),
            ]),
        );
    }

    /// The stored events, each linked to the one before, and their hashes.
    pub(super) fn seal(&self) -> (Vec<Vec<u8>>, Vec<Digest>) {
        let (mut stored, mut hashes): (Vec<_>, Vec<Digest>) = (Vec::new(), Vec::new());
        for draft in &self.drafts {
            let mut event = draft.clone();
            if let Some(before) = hashes.last() {
                event.insert("prev_hash".to_owned(), (*before).into());
            }
            let hash = self.hash_profile.digest(&Value::Object(event.clone()));
            event.insert("event_hash".to_owned(), hash.into());
            stored.push(self.hash_profile.canonical(&Value::Object(event)).into_bytes());
            hashes.push(hash);
        }
        (stored, hashes)
    }

    pub(super) fn leaves(&self) -> Vec<Digest> {
        self.seal().0.iter().map(|bytes| leaf_hash(bytes)).collect()
    }

    /// What the log says about itself at a size.
    pub(super) fn checkpoint(&self, size: usize) -> Checkpoint {
        Checkpoint {
            origin: Checkpoint::origin_of(&self.chain_id),
            size: size as u64,
            root: root_of(self.leaves().into_iter().take(size)),
        }
    }

    /// A bundle of the whole log.
    pub(super) fn whole(&self, signer: Option<&SigningKey>) -> Files {
        self.range(0, self.drafts.len() - 1, signer)
    }

    /// A bundle of the events `from` to `to`, both included.
    pub(super) fn range(&self, from: usize, to: usize, signer: Option<&SigningKey>) -> Files {
        let (stored, _) = self.seal();
        let leaves = self.leaves();
        let size = leaves.len();
        let mut files = Files::new();
        files.insert("events.jsonl".to_owned(), lines(&stored[from..=to]));
        if let Some(signer) = signer {
            let note = self.checkpoint(size).sign(&[signer]).unwrap();
            files.insert("checkpoint".to_owned(), note.to_string().into_bytes());
        }
        let cover = |begin: usize, end: usize| {
            let mut range = CompactRange::new(begin as u64);
            leaves[begin..end].iter().for_each(|leaf| range.append(*leaf));
            hex(&range.hashes())
        };
        let proof = object([
            ("size", number(size as u64)),
            ("from", number(from as u64)),
            ("to", number(to as u64 + 1)),
            ("left", cover(0, from)),
            ("right", cover(to + 1, size)),
        ]);
        files.insert("proofs/segment.json".to_owned(), document(proof));
        self.pack(&mut files, (from, to));
        self.successions(&mut files, &stored, &leaves);
        self.finish(&mut files, (from, to), signer);
        files
    }

    /// The consistency proof from an earlier size, as the export before it would have left it.
    pub(super) fn consistency(&self, old: usize) -> Vec<u8> {
        let leaves = self.leaves();
        let tree = |size: usize| {
            let root = root_of(leaves[..size].iter().copied());
            object([("size", number(size as u64)), ("root", root.into())])
        };
        document(object([
            ("old", tree(old).into()),
            ("new", tree(leaves.len()).into()),
            ("hashes", hex(&consistency_proof(&leaves, old).unwrap())),
        ]))
    }

    fn pack(&self, files: &mut Files, (from, to): (usize, usize)) {
        let handed = self.successions.iter().map(|place| &self.drafts[*place]);
        let pointed: BTreeSet<String> = self.drafts[from..=to]
            .iter()
            .chain(handed)
            .map(|draft| plain(&draft["evidence_pointer"]))
            .chain([POLICY, AUTHORITY].map(|bytes| pointer(Digest::of(bytes))))
            .collect();
        let (mut index, mut pack) = (String::new(), Vec::new());
        for (digest, bytes) in &self.objects {
            if pointed.contains(&pointer(*digest)) {
                let (size, offset) = (bytes.len(), pack.len());
                let _ = writeln!(
                    index,
                    "{{\"bytes\":{size},\"offset\":{offset},\"pack\":\"artifacts/pack-0\",\
                     \"sha256\":\"{digest}\"}}"
                );
                pack.extend_from_slice(bytes);
            }
        }
        files.insert("artifacts/index.jsonl".to_owned(), index.into_bytes());
        files.insert("artifacts/pack-0".to_owned(), pack);
    }

    fn successions(&self, files: &mut Files, stored: &[Vec<u8>], leaves: &[Digest]) {
        if self.successions.is_empty() {
            return;
        }
        let mut text = Vec::new();
        for place in &self.successions {
            text.extend(document(object([
                ("event", String::from_utf8(stored[*place].clone()).unwrap().into()),
                ("index", number(*place as u64)),
                ("hashes", hex(&inclusion_proof(leaves, *place).unwrap())),
            ])));
        }
        files.insert("keys/succession.jsonl".to_owned(), text);
    }

    /// Writes, or writes anew, every document that follows from the events: what somebody does who
    /// covers up a change, as far as the keys that he has go.
    pub(super) fn finish(
        &self,
        files: &mut Files,
        (from, to): (usize, usize),
        signer: Option<&SigningKey>,
    ) {
        let (joined, segment_ref) = self.segment(files, (from, to), signer);
        let profile = object([
            ("evidence_profile_id", self.profile.into()),
            ("profile_version", "1.0".into()),
            ("hash_profile_id", self.hash_profile.name().into()),
        ]);
        let mut inputs = profile.clone();
        inputs.extend(object([
            ("chain_id", self.chain_id.as_str().into()),
            ("from_sequence", number(from as u64)),
            ("to_sequence", number(to as u64)),
            ("chain_segment_ref", segment_ref.as_str().into()),
        ]));
        files.insert("verifier-inputs.json".to_owned(), document(inputs));
        let mut claim = profile.clone();
        let profiles = ["ecs-evidence-baseline", self.profile].map(Value::from).to_vec();
        let implements = object([("evidence_profiles", Value::List(profiles))]);
        claim.insert("implements".to_owned(), implements.into());
        files.insert("profile-claim.json".to_owned(), document(claim));
        let mut manifest = profile;
        let scope =
            object([("from_sequence", number(from as u64)), ("to_sequence", number(to as u64))]);
        let snapshots =
            |digest: Digest| Value::List(vec![format!("eosc://artifact/sha256:{digest}").into()]);
        let artifacts = object([
            ("policy_snapshots", snapshots(Digest::of(POLICY))),
            ("evidence_artifacts", snapshots(Digest::of(&files["artifacts/pack-0"]))),
        ]);
        manifest.extend(object([
            ("schema_version", "1.0".into()),
            ("tenant_id", "lab".into()),
            ("scope", scope.into()),
            ("chain_id", self.chain_id.as_str().into()),
            ("chain_segment_ref", segment_ref.into()),
            ("bundle_hash", format!("sha256:{joined}").into()),
            ("artifacts", artifacts.into()),
            ("carnet", self.own(files).into()),
        ]));
        sign(&mut manifest, signer);
        files.insert("manifest.json".to_owned(), document(manifest));
    }

    /// Writes the chain segment; gives the hash over the events and the reference to the file.
    fn segment(
        &self,
        files: &mut Files,
        (from, to): (usize, usize),
        signer: Option<&SigningKey>,
    ) -> (Digest, String) {
        let events: Vec<Object> = events(files).iter().map(|line| parsed(line)).collect();
        let text = |event: &Object, name: &str| event.get(name).cloned().unwrap_or(Value::Null);
        let hashes: Vec<String> =
            events.iter().map(|event| plain(&text(event, "event_hash"))).collect();
        let joined = Digest::of(hashes.join("\n").as_bytes());
        let entries = events.iter().zip(self::events(files)).map(|(event, line)| {
            let mut entry = Object::new();
            for name in ["id", "sequence", "prev_hash", "event_hash", "evidence_profile_id"] {
                entry.insert(name.to_owned(), text(event, name));
            }
            let stored = format!("eosc://evidence/sha256:{}", Digest::of(&line));
            entry.insert("event_ref".to_owned(), stored.into());
            Value::Object(entry)
        });
        let mut segment = object([
            ("segment_id", format!("seg-{from}-{to}").into()),
            ("tenant_id", "lab".into()),
            ("evidence_profile_id", self.profile.into()),
            ("from_sequence", number(from as u64)),
            ("to_sequence", number(to as u64)),
            ("algorithm", "sha256".into()),
            ("events", Value::List(entries.collect())),
            ("segment_hash", format!("sha256:{joined}").into()),
        ]);
        if let Some(signer) = signer {
            let signature = signer.sign(format!("carnet/segment/v1\n{joined}").as_bytes());
            segment.insert("signature".to_owned(), Base64::encode_string(&signature).into());
        }
        let segment = document(segment);
        let segment_ref = format!("eosc://evidence/chain/sha256:{}", Digest::of(&segment));
        files.insert("chain-segment.json".to_owned(), segment);
        (joined, segment_ref)
    }

    /// The member `carnet` of the manifest.
    fn own(&self, files: &Files) -> Object {
        let events: Vec<Object> = events(files).iter().map(|line| parsed(line)).collect();
        let refusals = events.iter().filter(|event| event["outcome"] == Value::from("refused"));
        let objects = std::str::from_utf8(&files["artifacts/index.jsonl"]).unwrap().lines();
        let counts = object([
            ("events", number(events.len() as u64)),
            ("refusals", number(refusals.count() as u64)),
            ("objects", number(objects.count() as u64)),
        ]);
        let last = events.last().and_then(|event| event.get("event_hash").cloned());
        let whole = self.checkpoint(self.drafts.len());
        let alone = root_of(self::events(files).iter().map(|line| leaf_hash(line)));
        object([
            ("format", "carnet-evidence-bundle-1".into()),
            ("last_event_hash", last.unwrap_or(Value::Null)),
            ("segment_root", alone.into()),
            ("tree", object([("size", number(whole.size)), ("root", whole.root.into())]).into()),
            ("counts", counts.into()),
            ("files", list(files)),
        ])
    }
}

/// A refusal with all that it must have.
pub(super) fn refused() -> Object {
    object([
        ("outcome", "refused".into()),
        ("refusal_reason_class", "policy_denied".into()),
        ("refusal_reason_code", "loss".into()),
        ("refusal_subject", "embeddings".into()),
    ])
}

fn pointer(digest: Digest) -> String {
    format!("eosc://evidence/sha256:{digest}")
}

fn plain(value: &Value) -> String {
    if let Value::Text(text) = value { text.clone() } else { String::new() }
}

fn hex(digests: &[Digest]) -> Value {
    Value::List(digests.iter().map(|digest| (*digest).into()).collect())
}

pub(super) fn lines(stored: &[Vec<u8>]) -> Vec<u8> {
    stored.iter().flat_map(|line| line.iter().copied().chain([b'\n'])).collect()
}

/// The events of a bundle as they stand.
pub(super) fn events(files: &Files) -> Vec<Vec<u8>> {
    let text = files["events.jsonl"].strip_suffix(b"\n").unwrap();
    text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

/// The list of all files but the manifest.
pub(super) fn list(files: &Files) -> Value {
    let others = files.iter().filter(|(name, _)| *name != "manifest.json");
    let listed = others.map(|(name, bytes)| {
        object([
            ("path", name.as_str().into()),
            ("sha256", Digest::of(bytes).into()),
            ("bytes", number(bytes.len() as u64)),
        ])
        .into()
    });
    Value::List(listed.collect())
}

/// Signs a manifest, or leaves it unsigned.
pub(super) fn sign(manifest: &mut Object, signer: Option<&SigningKey>) {
    manifest.remove("signatures");
    let signatures = signer.map(|signer| {
        let message = HashProfile::Rfc8785Sha256V1.canonical(&Value::Object(manifest.clone()));
        let signature = Base64::encode_string(&signer.sign(message.as_bytes()));
        object([
            ("key_id", signer.verifying_key().key_id().into()),
            ("signature", signature.into()),
        ])
        .into()
    });
    manifest.insert("signatures".to_owned(), Value::List(signatures.into_iter().collect()));
}

/// Changes the manifest and signs it anew with a key that is at hand, if any.
pub(super) fn edit_manifest(
    files: &mut Files,
    signer: Option<&SigningKey>,
    edit: impl FnOnce(&mut Object),
) {
    let mut manifest = parsed(&files["manifest.json"]);
    edit(&mut manifest);
    sign(&mut manifest, signer);
    files.insert("manifest.json".to_owned(), document(manifest));
}

/// Lists the files anew, after one was changed.
pub(super) fn list_anew(files: &mut Files, signer: Option<&SigningKey>) {
    let listed = list(files);
    edit_manifest(files, signer, |manifest| {
        let Some(Value::Object(own)) = manifest.get_mut("carnet") else { panic!("not ours") };
        own.insert("files".to_owned(), listed);
    });
}

/// The checkpoint of a bundle.
pub(super) fn note(files: &Files) -> Note {
    Note::parse(&files["checkpoint"]).unwrap()
}
