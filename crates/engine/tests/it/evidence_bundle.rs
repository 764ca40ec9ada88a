//! Bundles of evidence: what is in them, that they are the same bytes again, and what is refused.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use carnet_connect::NoProgress;
use carnet_engine::{
    Engine, EvidenceError, EvidenceRequest, ExportedEvidence, Faults, Journal, JournalError,
    LogProfile, LogReader, Receipt,
};
use carnet_ledger::audit::{AuditRequest, CheckId, CheckVerdict, Material, Overall, audit_bundle};
use carnet_ledger::trust::LogKey;
use carnet_ledger::{
    Checkpoint, CompactRange, Digest, Event, EventDraft, EventType, EvidenceProfile, Object,
    Outcome, SegmentProof, SignatureAnswer, SigningKey, leaf_hash,
};
use carnet_model::Code;

use super::world::Ticks;

/// A state directory with a log, and a place for bundles.
struct Yard {
    folder: tempfile::TempDir,
    ticks: Arc<Ticks>,
    key: Arc<SigningKey>,
}

fn draft(event_type: EventType, pointer: Digest) -> EventDraft {
    EventDraft {
        event_type,
        actor: "test".into(),
        actor_details: None,
        tenant_id: "lab".into(),
        outcome: Outcome::Accepted,
        evidence_pointer: pointer,
        correlation_id: "run".into(),
        resource_id: None,
        action: None,
        authority_snapshot_id: Digest::of(b"authority"),
        policy_snapshot_id: Digest::of(b"policy"),
        jurisdiction: None,
        classification: None,
        context: Object::new(),
        fields: Object::new(),
    }
}

impl Yard {
    /// A log of so many events; of the first ones, each third has an object of its own.
    fn new(profile: EvidenceProfile, events: u64) -> Self {
        let key = SigningKey::generate("lab".parse().unwrap(), &[7; 32]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let yard = Self { folder, ticks: Ticks::new(), key: Arc::new(key) };
        let journal = yard.journal(profile);
        for bytes in [b"authority".as_slice(), b"policy"] {
            journal.put(bytes).unwrap();
        }
        let plan = journal.put(br#"{"migration":"m","owner":"the owner"}"#).unwrap();
        let mut drafts = vec![draft(EventType::ProcessStart, plan)];
        drafts.push(draft(EventType::AuthorityCheck, plan));
        drafts.push(draft(EventType::PolicyEvaluate, plan));
        for number in 3..events {
            let object = if number < 20 && number % 3 == 0 {
                journal.put(format!("{{\"seen\":{number}}}").as_bytes()).unwrap()
            } else {
                plan
            };
            drafts.push(draft(EventType::ProcessIntent, object));
        }
        drafts.truncate(usize::try_from(events).unwrap());
        journal.append(drafts).unwrap();
        drop(journal);
        yard
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn journal(&self, evidence: EvidenceProfile) -> Journal {
        let profile = LogProfile { evidence: Some(evidence), ..LogProfile::default() };
        let (clock, ids) = (self.ticks.clone(), self.ticks.clone());
        let mut nothing = |_: &Event| Ok::<_, JournalError>(());
        Journal::open(&self.state(), profile, None, clock, ids, &mut nothing).unwrap()
    }

    fn export(
        &self,
        out: &str,
        change: impl FnOnce(&mut EvidenceRequest<'_>),
    ) -> Result<ExportedEvidence, EvidenceError> {
        self.export_with(out, Faults::default(), change)
    }

    fn export_with(
        &self,
        out: &str,
        faults: Faults,
        change: impl FnOnce(&mut EvidenceRequest<'_>),
    ) -> Result<ExportedEvidence, EvidenceError> {
        let out = self.folder.path().join(out);
        let mut request = EvidenceRequest {
            out: &out,
            archive: None,
            from: 0,
            to: None,
            signer: Some(Arc::clone(&self.key)),
            signers: &[],
            tiles: false,
            incomplete: false,
            created: None,
            progress: &NoProgress,
        };
        change(&mut request);
        let engine = Engine::new(self.state(), self.ticks.clone(), self.ticks.clone(), "test");
        engine.with_faults(faults).export_evidence(&request)
    }

    fn events(&self) -> u64 {
        LogReader::open(&self.state()).unwrap().map_or(0, |log| log.size())
    }

    /// The last event of the log.
    fn last(&self) -> Event {
        let log = LogReader::open(&self.state()).unwrap().unwrap();
        Event::parse(&log.event(log.size() - 1).unwrap()).unwrap()
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(path)).unwrap()
    }

    fn json(&self, path: &str) -> serde_json::Value {
        serde_json::from_str(&self.read(path)).unwrap()
    }

    /// What is in the folder beside the state.
    fn beside(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name != "state").collect();
        names.sort();
        names
    }
}

/// Every file of a folder, by its path.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(dir) = waiting.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn a_bundle_holds_what_it_names_and_nothing_else() {
    let yard = Yard::new(EvidenceProfile::Baseline, 20);
    let exported = yard.export("bundle", |_| {}).unwrap();
    assert_eq!((exported.from, exported.to, exported.tree_size), (0, 20, 21));
    let held = files(&yard.folder.path().join("bundle"));
    let names: Vec<_> = held.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "artifacts/index.jsonl",
            "artifacts/pack-0",
            "chain-segment.json",
            "checkpoint",
            "events.jsonl",
            "manifest.json",
            "profile-claim.json",
            "proofs/segment.json",
            "verifier-inputs.json",
        ]
    );
    let manifest = yard.json("bundle/manifest.json");
    let listed = manifest["carnet"]["files"].as_array().unwrap();
    assert_eq!(listed.len(), names.len() - 1);
    for file in listed {
        let bytes = &held[file["path"].as_str().unwrap()];
        assert_eq!(file["sha256"], Digest::of(bytes).to_string());
        assert_eq!(file["bytes"], bytes.len());
    }
    assert_eq!(manifest["provider_id"], "the owner");
    assert_eq!(manifest["tenant_id"], "lab");
    assert_eq!(manifest["carnet"]["missing_families"], serde_json::json!([]));
    // Events, the plan, both snapshots, an object of its own for 3, 6, … 18, and the export's.
    assert_eq!(manifest["carnet"]["counts"]["objects"], 1 + 2 + 6 + 1);
    let last: serde_json::Value =
        serde_json::from_str(yard.read("bundle/events.jsonl").lines().last().unwrap()).unwrap();
    assert_eq!(last["event_type"], "evidence.export");
    assert_eq!(last["context"]["to_sequence"], 20);
    assert_eq!(yard.beside(), ["bundle"]);
}

#[test]
fn the_checkpoint_is_signed_and_the_segment_leads_to_it() {
    let yard = Yard::new(EvidenceProfile::Baseline, 300);
    yard.export("bundle", |request| {
        (request.from, request.to, request.incomplete) = (41, Some(277), true);
    })
    .unwrap();
    let note = carnet_ledger::Note::parse(yard.read("bundle/checkpoint").as_bytes()).unwrap();
    assert_eq!(note.check(yard.key.verifying_key()), SignatureAnswer::Good);
    let checkpoint = Checkpoint::parse(&note.text).unwrap();
    assert_eq!(checkpoint.size, 301);
    let proof: SegmentProof =
        serde_json::from_str(&yard.read("bundle/proofs/segment.json")).unwrap();
    let mut leaves = CompactRange::new(41);
    yard.read("bundle/events.jsonl").lines().for_each(|it| leaves.append(leaf_hash(it.as_bytes())));
    assert_eq!(proof.root(&leaves), Ok(checkpoint.root));
    let manifest = yard.json("bundle/manifest.json");
    assert_eq!(manifest["carnet"]["tree"]["root"], checkpoint.root.to_string());
    assert_eq!(manifest["scope"]["from_sequence"], 41);
}

#[test]
fn the_same_log_gives_the_same_bytes() {
    let all = |archive| {
        let yard = Yard::new(EvidenceProfile::Baseline, 700);
        yard.export("bundle", |request| {
            request.archive = archive;
            request.tiles = true;
        })
        .unwrap();
        let place = yard.folder.path().join("bundle");
        if archive.is_some() {
            BTreeMap::from([(String::new(), std::fs::read(place).unwrap())])
        } else {
            files(&place)
        }
    };
    for archive in
        [None, Some(carnet_bundle::ArchiveKind::Tar), Some(carnet_bundle::ArchiveKind::Zip)]
    {
        assert!(all(archive) == all(archive), "{archive:?}");
    }
    let names: Vec<_> = all(None).into_keys().filter(|name| name.starts_with("tile/")).collect();
    assert_eq!(
        names,
        [
            "tile/0/000",
            "tile/0/001",
            "tile/0/002.p/189",
            "tile/1/000.p/2",
            "tile/entries/000",
            "tile/entries/001",
            "tile/entries/002.p/189",
        ]
    );
}

#[test]
fn ranges_are_exported_alone_and_wrong_ones_are_refused() {
    let yard = Yard::new(EvidenceProfile::Baseline, 20);
    let mut number = 0;
    let mut export = |from, to| {
        number += 1;
        yard.export(&format!("bundle{number}"), |request| {
            (request.from, request.to, request.incomplete) = (from, to, true);
        })
    };
    for (from, to) in [(0, 0), (0, 9), (5, 5), (5, 19), (3, 21)] {
        let exported = export(from, Some(to)).unwrap();
        assert_eq!((exported.from, exported.to), (from, to));
    }
    let last = export(25, None).unwrap();
    assert_eq!((last.from, last.to), (25, 25));
    for (from, to) in
        [(6, Some(5)), (0, Some(27)), (27, None), (u64::MAX, None), (0, Some(u64::MAX))]
    {
        let refused = export(from, to).unwrap_err();
        assert!(matches!(refused, EvidenceError::Range { .. }), "{refused}");
        assert_eq!(refused.code(), Code::USAGE);
    }
    assert_eq!(yard.events(), 26, "what is refused so is not recorded");
}

#[test]
fn an_export_proves_that_it_goes_on_from_the_last_one() {
    let yard = Yard::new(EvidenceProfile::Baseline, 20);
    assert_eq!(yard.export("first", |_| {}).unwrap().previous, None);
    assert_eq!(
        yard.export("unsigned", |request| request.signer = None).unwrap().previous,
        Some(21)
    );
    let third = yard.export("third", |_| {}).unwrap();
    assert_eq!((third.previous, third.tree_size), (Some(21), 23));
    assert_eq!(yard.read("third/proofs/previous-checkpoint"), yard.read("first/checkpoint"));
    let proof = yard.json("third/proofs/consistency.json");
    assert_eq!(proof["old"]["size"], 21);
    assert_eq!(proof["new"], yard.json("third/manifest.json")["carnet"]["tree"]);
    assert_eq!(yard.export("fourth", |_| {}).unwrap().previous, Some(23));
}

#[test]
fn without_a_key_nothing_is_signed_and_the_manifest_says_so() {
    let yard = Yard::new(EvidenceProfile::Baseline, 20);
    let exported = yard.export("bundle", |request| request.signer = None).unwrap();
    assert_eq!(exported.key_id, None);
    let manifest = yard.json("bundle/manifest.json");
    assert_eq!(manifest["signatures"], serde_json::json!([]));
    assert!(manifest.get("trust_services").is_none());
    assert!(yard.json("bundle/chain-segment.json").get("signature").is_none());
    assert!(!yard.folder.path().join("bundle/checkpoint").exists());
    let refused = yard.export("tiles", |request| {
        (request.signer, request.tiles) = (None, true);
    });
    assert!(matches!(refused, Err(EvidenceError::Tiles(_))));
    let refused = yard.export("tiles", |request| (request.from, request.tiles) = (1, true));
    assert!(matches!(refused, Err(EvidenceError::Tiles(_))));
}

#[test]
fn what_the_profile_demands_is_refused_where_it_is_missing() {
    let yard = Yard::new(EvidenceProfile::Admissible, 20);
    let refused = yard.export("bundle", |_| {}).unwrap_err();
    assert_eq!(refused.code(), Code::EVIDENCE_PROFILE);
    assert!(refused.to_string().ends_with("ecs-evidence-admissible demands: EXIT"), "{refused}");
    assert_eq!(yard.beside(), [""; 0]);
    let event = yard.last();
    assert_eq!(event.draft.event_type, EventType::EvidenceExport);
    let Outcome::Refused(refusal) = event.draft.outcome else { panic!("{event:?}") };
    assert_eq!(refusal.code, "evidence.profile");
    let exported = yard.export("bundle", |request| request.incomplete = true).unwrap();
    assert_eq!(exported.refusals, 1);
    let missing = &yard.json("bundle/manifest.json")["carnet"]["missing_families"];
    assert_eq!(*missing, serde_json::json!(["EXIT"]));
}

#[test]
fn the_place_must_be_free_and_the_log_must_be_there() {
    let yard = Yard::new(EvidenceProfile::Baseline, 20);
    let root = yard.folder.path();
    std::fs::write(root.join("file"), "x").unwrap();
    std::fs::create_dir_all(root.join("full/x")).unwrap();
    std::fs::create_dir(root.join("empty")).unwrap();
    for taken in ["file", "full"] {
        let refused = yard.export(taken, |_| {}).unwrap_err();
        assert_eq!(refused.code(), Code::EVIDENCE_EXISTS);
    }
    let tar = Some(carnet_bundle::ArchiveKind::Tar);
    let refused = yard.export("empty", |request| request.archive = tar).unwrap_err();
    assert_eq!(refused.code(), Code::EVIDENCE_EXISTS);
    assert_eq!(yard.events(), 20);
    yard.export("empty", |_| {}).unwrap();
    yard.export("new/folders/bundle", |_| {}).unwrap();
    std::fs::remove_dir_all(yard.state()).unwrap();
    let refused = yard.export("other", |_| {}).unwrap_err();
    assert_eq!(refused.code(), Code::RUN_NOT_FOUND);
    drop(yard.journal(EvidenceProfile::Baseline));
    let refused = yard.export("other", |_| {}).unwrap_err();
    assert_eq!(refused.code(), Code::RUN_NOT_FOUND, "a log without events is none");
}

#[test]
fn a_log_at_work_is_not_exported() {
    let yard = Yard::new(EvidenceProfile::Baseline, 20);
    let writer = yard.journal(EvidenceProfile::Baseline);
    let refused = yard.export("bundle", |_| {}).unwrap_err();
    assert_eq!(refused.code(), Code::RUN_LOCKED);
    drop(writer);
    yard.export("bundle", |_| {}).unwrap();
}

#[test]
fn an_export_that_fails_leaves_nothing_that_looks_whole_and_says_so() {
    let yard = Yard::new(EvidenceProfile::Baseline, 20);
    for archive in [None, Some(carnet_bundle::ArchiveKind::Zip)] {
        for point in ["evidence/events", "evidence/manifest"] {
            let before = yard.events();
            let faults = Faults::parse(&format!("{point}:1:fail")).unwrap();
            let failed = yard.export_with("bundle", faults, |request| request.archive = archive);
            assert_eq!(failed.unwrap_err().code(), Code::IO);
            assert_eq!(yard.beside(), [""; 0], "{point}");
            assert_eq!(yard.events(), before + 2);
            assert_eq!(yard.last().draft.outcome, Outcome::Failed);
        }
    }
    // A process that is killed leaves a folder that has no whole bundle's name.
    let faults = Faults::parse("evidence/manifest:1:crash").unwrap();
    std::fs::create_dir(yard.folder.path().join("bundle.partial")).unwrap();
    yard.export_with("bundle", faults, |_| {}).unwrap_err();
    let exported = yard.export("bundle", |_| {}).unwrap();
    assert_eq!(exported.previous, None, "only what came to its end counts as exported");
    assert_eq!(yard.beside(), ["bundle"]);
}

#[test]
fn a_missing_object_stops_the_export() {
    let yard = Yard::new(EvidenceProfile::Baseline, 20);
    let name = Digest::of(b"{\"seen\":9}").to_string();
    let object = yard.state().join("objects/sha256").join(&name[..2]).join(&name[2..]);
    let bytes = std::fs::read(&object).unwrap();
    std::fs::write(&object, b"{\"seen\":0}").unwrap();
    assert_eq!(yard.export("bundle", |_| {}).unwrap_err().code(), Code::EVIDENCE_DAMAGED);
    std::fs::remove_file(&object).unwrap();
    assert_eq!(yard.export("bundle", |_| {}).unwrap_err().code(), Code::EVIDENCE_DAMAGED);
    assert_eq!(yard.beside(), [""; 0]);
    std::fs::write(&object, bytes).unwrap();
    yard.export("bundle", |_| {}).unwrap();
}

#[test]
fn a_receipt_proves_its_event_and_no_other() {
    let yard = Yard::new(EvidenceProfile::Baseline, 700);
    let open = || LogReader::open(&yard.state()).unwrap().unwrap();
    let refused = Receipt::of(&open(), 3).unwrap_err();
    assert_eq!(refused.code(), Code::EVIDENCE_UNSIGNED);
    yard.export("bundle", |_| {}).unwrap();
    yard.export("unsigned", |request| request.signer = None).unwrap();
    let log = open();
    for number in [0, 1, 255, 256, 699, 700] {
        let receipt = Receipt::of(&log, number).unwrap();
        assert_eq!(receipt.event, log.event(number).unwrap());
        assert!(receipt.proof.verify(&receipt.event).is_ok());
        assert!(receipt.proof.verify(&log.event(number ^ 1).unwrap()).is_err());
        assert_eq!(receipt.proof.checkpoint.check(yard.key.verifying_key()), SignatureAnswer::Good);
        assert!(receipt.proof.to_string().len() <= 4_096);
    }
    assert!(matches!(
        Receipt::of(&log, 701),
        Err(EvidenceError::NotCovered { sequence: 701, covered: Some(701) })
    ));
    assert!(matches!(Receipt::of(&log, 702), Err(EvidenceError::Range { .. })));
}

/// A bundle in memory, as an auditor reads it.
struct Held {
    files: BTreeMap<String, Vec<u8>>,
    entries: Vec<(String, u64)>,
}

impl Held {
    fn new(files: BTreeMap<String, Vec<u8>>) -> Self {
        let entries =
            files.iter().map(|(name, bytes)| (name.clone(), bytes.len() as u64)).collect();
        Self { files, entries }
    }
}

impl Material for Held {
    fn entries(&self) -> &[(String, u64)] {
        &self.entries
    }

    fn open(&self, name: &str) -> std::io::Result<Box<dyn std::io::Read + Send + '_>> {
        let bytes = self.files.get(name).ok_or(std::io::ErrorKind::NotFound)?;
        Ok(Box::new(bytes.as_slice()))
    }
}

#[test]
fn the_audit_passes_what_is_exported_and_nothing_that_was_changed() {
    let yard = Yard::new(EvidenceProfile::Baseline, 600);
    let keys = [LogKey::from(yard.key.verifying_key().clone())];
    let request = AuditRequest { keys: &keys, workers: 1, ..AuditRequest::default() };
    let audit = |files: BTreeMap<String, Vec<u8>>| audit_bundle(&Held::new(files), &request);
    yard.export("first", |_| {}).unwrap();
    yard.export("tiles", |request| request.tiles = true).unwrap();
    for name in ["first", "tiles"] {
        let files = files(&yard.folder.path().join(name));
        let report = audit(files.clone()).unwrap();
        let bad = report.checks.iter().filter(|row| row.verdict == CheckVerdict::Fail);
        assert_eq!(report.overall(), Overall::Verified, "{:#?}", bad.collect::<Vec<_>>());
        for changed in files.keys() {
            let mut files = files.clone();
            let bytes = files.get_mut(changed).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            if let Ok(report) = audit(files) {
                assert_ne!(report.overall(), Overall::Verified, "{name}/{changed}");
            }
        }
    }
    // A part of the log passes for what it is; that the profile asks for more is said.
    yard.export("part", |request| {
        (request.from, request.to, request.incomplete) = (100, Some(300), true);
    })
    .unwrap();
    let report = audit(files(&yard.folder.path().join("part"))).unwrap();
    assert_eq!(report.overall(), Overall::Incomplete);
    let families = report.row(CheckId::ProfileFamilies).unwrap();
    assert_eq!(families.verdict, CheckVerdict::NotChecked);
    assert!(report.checks.iter().all(|it| it.verdict != CheckVerdict::Fail), "{report:#?}");
}
