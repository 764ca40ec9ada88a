//! How long the audit of a large export takes, and how much memory.
//!
//!     cargo bench -p carnet-ledger --bench verify [-- [EVENTS] [--json]]
//!
//! It writes an export of so many events (1,000,000 if nothing is said) into a temporary folder,
//! each event with an object of its own, and audits it as `carnet evidence verify` does. The goals
//! are those for a million events on two cores: 10 seconds, 256 MiB. The export is written by a
//! process of its own, so that the peak memory is that of the audit alone.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use base64ct::{Base64, Encoding};
use carnet_ledger::audit::{AuditRequest, Material, Overall, audit_bundle};
use carnet_ledger::trust::LogKey;
use carnet_ledger::{
    Chain, Checkpoint, CompactRange, Digest, EventDraft, EventId, EventTime, EventType,
    EvidenceProfile, HashProfile, Hasher, Object, Outcome, Refusal, RefusalClass, SigningKey,
    Value, leaf_hash,
};
use serde_json::json;

const EVENTS: u32 = 1_000_000;
const ROUNDS: usize = 3;
const GOAL_SECONDS: f64 = 10.0;
const GOAL_MIB: f64 = 256.0;
const POLICY: &[u8] = b"the rules";
const AUTHORITY: &[u8] = b"the approvers";

type Outcomes<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcomes<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let as_json = words.iter().any(|word| word == "--json");
    let count = words.iter().find_map(|word| word.parse().ok()).unwrap_or(EVENTS);
    if let Some(at) = words.iter().position(|word| word == "--write") {
        let folder = words.get(at + 1).ok_or("--write takes a folder")?;
        return write(Path::new(folder), count);
    }
    let folder = std::env::temp_dir().join(format!("carnet-bench-{}", std::process::id()));
    fs::create_dir(&folder)?;
    let measured = measure(&folder, count);
    fs::remove_dir_all(&folder)?;
    report(&measured?, as_json);
    Ok(())
}

struct Measured {
    events: u32,
    bytes: u64,
    seconds: Vec<f64>,
    peak_mib: f64,
}

fn measure(folder: &Path, events: u32) -> Outcomes<Measured> {
    let written = Command::new(std::env::current_exe()?)
        .args(["--write".as_ref(), folder.as_os_str(), events.to_string().as_ref()])
        .status()?;
    if !written.success() {
        return Err("the export could not be written".into());
    }
    let material = Folder::open(folder)?;
    let keys = [LogKey::from(key()?.verifying_key().clone())];
    let workers = std::thread::available_parallelism()?.get();
    let request = AuditRequest { keys: &keys, workers, ..AuditRequest::default() };
    let mut seconds = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let report = audit_bundle(&material, &request)?;
        seconds.push(began.elapsed().as_secs_f64());
        if report.overall() != Overall::Verified {
            return Err(format!("not verified: {}", serde_json::to_string(&report)?).into());
        }
    }
    seconds.sort_by(f64::total_cmp);
    let bytes = material.entries.iter().map(|(_, bytes)| bytes).sum();
    Ok(Measured { events, bytes, seconds, peak_mib: peak_mib()? })
}

/// The most memory that this process has had, as the kernel counts it.
fn peak_mib() -> Outcomes<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).ok_or("no VmHWM")?;
    Ok(kib.parse::<f64>()? / 1024.0)
}

#[expect(clippy::print_stdout, reason = "a measurement is for people and programs to read")]
fn report(measured: &Measured, as_json: bool) {
    let Measured { events, bytes, seconds, peak_mib } = measured;
    let median = seconds.get(seconds.len() / 2).copied().unwrap_or_default();
    if as_json {
        let report = json!({
            "events": events, "bytes": bytes, "seconds": seconds, "median_seconds": median,
            "peak_mib": peak_mib, "goal_seconds": GOAL_SECONDS, "goal_mib": GOAL_MIB,
        });
        println!("{report}");
        return;
    }
    #[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
    let gib = *bytes as f64 / f64::from(1 << 30);
    println!(
        "{events} events, {gib:.2} GiB: {median:.2} s (median of {seconds:.2?}), peak {peak_mib:.0} MiB"
    );
    if *events == EVENTS {
        let met = median <= GOAL_SECONDS && *peak_mib <= GOAL_MIB;
        let word = if met { "met" } else { "MISSED" };
        println!("goal: {GOAL_SECONDS} s and {GOAL_MIB} MiB: {word}");
    }
}

fn key() -> Outcomes<SigningKey> {
    Ok(SigningKey::generate("bench".parse()?, &[7; 32])?)
}

/// A directory as material: nothing in it is a link or a folder that a stranger made.
struct Folder {
    root: PathBuf,
    entries: Vec<(String, u64)>,
}

impl Folder {
    fn open(root: &Path) -> Outcomes<Self> {
        let mut entries = Vec::new();
        for part in ["", "artifacts", "proofs"] {
            for entry in fs::read_dir(root.join(part))? {
                let entry = entry?;
                let name = Path::new(part).join(entry.file_name());
                let metadata = entry.metadata()?;
                if metadata.is_file() {
                    entries.push((name.display().to_string(), metadata.len()));
                }
            }
        }
        entries.sort();
        Ok(Self { root: root.to_owned(), entries })
    }
}

impl Material for Folder {
    fn entries(&self) -> &[(String, u64)] {
        &self.entries
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(File::open(self.root.join(name))?))
    }
}

/// A file of the export, hashed as it is written.
struct Out {
    name: String,
    file: BufWriter<File>,
    hasher: Hasher,
    bytes: u64,
}

impl Out {
    fn new(folder: &Path, name: &str) -> Outcomes<Self> {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().ok_or("no parent")?)?;
        let file = BufWriter::with_capacity(1 << 20, File::create(path)?);
        Ok(Self { name: name.to_owned(), file, hasher: Hasher::new(), bytes: 0 })
    }

    fn put(&mut self, bytes: &[u8]) -> Outcomes<()> {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(self.file.write_all(bytes)?)
    }

    /// The line in the manifest.
    fn end(mut self, files: &mut BTreeMap<String, (Digest, u64)>) -> Outcomes<Digest> {
        self.file.flush()?;
        let digest = self.hasher.finish();
        files.insert(self.name, (digest, self.bytes));
        Ok(digest)
    }
}

type Files = BTreeMap<String, (Digest, u64)>;

/// What the event of this number points to.
fn object(number: u32) -> String {
    format!(
        "{{\"gate\":\"content_root\",\"number\":{number},\"observed\":\"{}\"}}\n",
        "0123456789abcdef".repeat(12)
    )
}

fn draft(number: u32, last: bool) -> EventDraft {
    let mut fields = Object::new();
    let mut outcome = Outcome::Accepted;
    let event_type = match number {
        0 => EventType::PolicyEvaluate,
        1 => EventType::AuthorityCheck,
        2 => {
            fields.insert("exit_plan_id".to_owned(), "exit-1".into());
            EventType::ExitPathDeclare
        }
        _ if last => EventType::EvidenceExport,
        _ if number.is_multiple_of(100) => {
            outcome = Outcome::Refused(Refusal {
                class: RefusalClass::PolicyDenied,
                code: "loss".to_owned(),
                subject: "embeddings".to_owned(),
                reason: Some("the target cannot hold all of the content".to_owned()),
            });
            EventType::PolicyRefusal
        }
        _ if number.is_multiple_of(2) => EventType::ProcessIntent,
        _ => EventType::ProcessOutcome,
    };
    let mut context = Object::new();
    context.insert("step".to_owned(), "import".into());
    context.insert("key".to_owned(), format!("run-{number}/import/1").into());
    EventDraft {
        event_type,
        actor: "operator@example.org".to_owned(),
        actor_details: None,
        tenant_id: "lab".to_owned(),
        outcome,
        evidence_pointer: Digest::of(object(number).as_bytes()),
        correlation_id: format!("run-{}", number / 200),
        resource_id: Some("collection/embeddings".to_owned()),
        action: Some("write".to_owned()),
        authority_snapshot_id: Digest::of(AUTHORITY),
        policy_snapshot_id: Digest::of(POLICY),
        jurisdiction: Some("DE".to_owned()),
        classification: Some("internal".to_owned()),
        context,
        fields,
    }
}

/// What the events amount to.
struct Written {
    leaves: CompactRange,
    joined: Digest,
    last: Digest,
    segment: Digest,
    refusals: u32,
}

/// Writes an export in the form of `docs/formats.md`.
fn write(folder: &Path, count: u32) -> Outcomes<()> {
    let mut files = Files::new();
    let written = write_events(folder, count, &mut files)?;
    let index = write_objects(folder, count, &mut files)?;
    let size = u64::from(count);
    let root = written.leaves.root().ok_or("no root")?;
    let origin = Checkpoint::origin_of("bench-log");
    let note = Checkpoint { origin, size, root }.sign(&[&key()?])?;
    let mut put = |name: &str, bytes: &[u8]| {
        let mut out = Out::new(folder, name)?;
        out.put(bytes)?;
        out.end(&mut files)
    };
    put("checkpoint", note.to_string().as_bytes())?;
    let proof = json!({"size": size, "from": 0, "to": size, "left": [], "right": []});
    put("proofs/segment.json", proof.to_string().as_bytes())?;
    let segment_ref = format!("eosc://evidence/chain/sha256:{}", written.segment);
    let common = json!({
        "evidence_profile_id": EvidenceProfile::Admissible.name(),
        "hash_profile_id": HashProfile::EcsHashV1.name(),
        "profile_version": "1.0",
    });
    put("verifier-inputs.json", common.to_string().as_bytes())?;
    put("profile-claim.json", common.to_string().as_bytes())?;
    let list: Vec<_> = files
        .iter()
        .map(|(path, (sha256, bytes))| json!({"path": path, "sha256": sha256, "bytes": bytes}))
        .collect();
    let manifest = json!({
        "evidence_profile_id": EvidenceProfile::Admissible.name(),
        "hash_profile_id": HashProfile::EcsHashV1.name(),
        "profile_version": "1.0",
        "tenant_id": "lab",
        "chain_id": "bench-log",
        "scope": {"from_sequence": 0, "to_sequence": size - 1},
        "chain_segment_ref": segment_ref,
        "bundle_hash": format!("sha256:{}", written.joined),
        "artifacts": {"evidence_artifacts": [format!("eosc://artifact/sha256:{index}")]},
        "carnet": {
            "format": "carnet-evidence-bundle-1",
            "last_event_hash": written.last,
            "segment_root": root,
            "tree": {"size": size, "root": root},
            "counts": {"events": size, "refusals": written.refusals, "objects": size + 2},
            "files": list,
        },
    });
    sign(folder, manifest)
}

fn sign(folder: &Path, mut manifest: serde_json::Value) -> Outcomes<()> {
    let value = Value::parse(manifest.to_string().as_bytes(), 1 << 24)?;
    let message = HashProfile::Rfc8785Sha256V1.canonical(&value);
    let key = key()?;
    let signature = Base64::encode_string(&key.sign(message.as_bytes()));
    let members = manifest.as_object_mut().ok_or("no object")?;
    let signatures = json!([{"key_id": key.verifying_key().key_id(), "signature": signature}]);
    members.insert("signatures".to_owned(), signatures);
    Ok(fs::write(folder.join("manifest.json"), format!("{manifest:#}\n"))?)
}

fn write_events(folder: &Path, count: u32, files: &mut Files) -> Outcomes<Written> {
    let mut chain = Chain::new("bench-log", HashProfile::EcsHashV1, EvidenceProfile::Admissible);
    let mut events = Out::new(folder, "events.jsonl")?;
    let mut segment = Out::new(folder, "chain-segment.json")?;
    let (mut leaves, mut joined) = (CompactRange::new(0), Hasher::new());
    let mut refusals = 0;
    segment.put(b"{\n  \"algorithm\": \"sha256\",\n  \"events\": [\n")?;
    for number in 0..count {
        let id = EventId(u128::from(number).to_be_bytes());
        let time = EventTime::from_unix_millis(1_800_000_000_000 + i64::from(number))?;
        let sealed = chain.seal(draft(number, number + 1 == count), id, time)?;
        refusals += u32::from(matches!(sealed.event.draft.outcome, Outcome::Refused(_)));
        let hash = sealed.event.event_hash;
        let entry = json!({
            "event_hash": hash,
            "event_ref": format!("eosc://evidence/sha256:{}", Digest::of(&sealed.bytes)),
            "evidence_profile_id": EvidenceProfile::Admissible.name(),
            "id": id.to_string(),
            "prev_hash": sealed.event.prev_hash,
            "sequence": number,
        });
        segment.put(if number > 0 { b",\n    " } else { b"    " })?;
        segment.put(entry.to_string().as_bytes())?;
        joined.update(if number > 0 { b"\n" } else { b"" });
        joined.update(hash.to_string().as_bytes());
        leaves.append(leaf_hash(&sealed.bytes));
        events.put(&sealed.bytes)?;
        events.put(b"\n")?;
        chain.accept(&sealed.event)?;
    }
    let joined = joined.finish();
    let last = count - 1;
    let end = format!(
        "\n  ],\n  \"evidence_profile_id\": \"{}\",\n  \"from_sequence\": 0,\n  \
         \"segment_hash\": \"sha256:{joined}\",\n  \"tenant_id\": \"lab\",\n  \
         \"to_sequence\": {last}\n}}\n",
        EvidenceProfile::Admissible.name()
    );
    segment.put(end.as_bytes())?;
    events.end(files)?;
    let segment = segment.end(files)?;
    let last = chain.last_hash.ok_or("no events")?;
    Ok(Written { leaves, joined, last, segment, refusals })
}

/// Gives the digest of the index.
fn write_objects(folder: &Path, count: u32, files: &mut Files) -> Outcomes<Digest> {
    const PACK_BYTES_MAX: u64 = 64 << 20;
    let numbered = |number: Option<u32>, fixed: &[u8]| match number {
        Some(number) => object(number).into_bytes(),
        None => fixed.to_vec(),
    };
    let mut order: Vec<(Digest, Option<u32>, &[u8])> =
        vec![(Digest::of(POLICY), None, POLICY), (Digest::of(AUTHORITY), None, AUTHORITY)];
    order.extend((0..count).map(|n| (Digest::of(object(n).as_bytes()), Some(n), &[][..])));
    order.sort_unstable();
    let mut index = Out::new(folder, "artifacts/index.jsonl")?;
    let (mut number, mut pack) = (0, Out::new(folder, "artifacts/pack-0")?);
    for (digest, event, fixed) in order {
        let bytes = numbered(event, fixed);
        if pack.bytes + bytes.len() as u64 > PACK_BYTES_MAX {
            number += 1;
            let next = Out::new(folder, &format!("artifacts/pack-{number}"))?;
            std::mem::replace(&mut pack, next).end(files)?;
        }
        let line = format!(
            "{{\"bytes\":{},\"offset\":{},\"pack\":\"artifacts/pack-{number}\",\"sha256\":\"{digest}\"}}\n",
            bytes.len(),
            pack.bytes
        );
        index.put(line.as_bytes())?;
        pack.put(&bytes)?;
    }
    pack.end(files)?;
    index.end(files)
}
