//! Bundles that others wrote in the contract's form.

use std::collections::BTreeMap;

use super::maker::{Files, Memory, document, number, object, parsed};
use super::{audit, odd, reason, verdict};
use crate::audit::{AuditRequest, CheckId, CheckVerdict, Overall, Reason, audit_bundle};
use crate::digest::Digest;
use crate::value::{HashProfile, Object, Value};

const TYPES: [&str; 5] = [
    "authority.check",
    "policy.evaluate",
    "workload.admit",
    "evidence.export",
    "exit.path.declare",
];
const ARTIFACT: &[u8] = b"{\"decision\": \"admit\"}\n";

/// Events with ids of another form, without actors; the second is the hash of the first one's
/// members.
fn events(pointer: &str, chained: bool) -> (Vec<Object>, Vec<Digest>) {
    let (mut events, mut hashes): (Vec<_>, Vec<Digest>) = (Vec::new(), Vec::new());
    for (sequence, event_type) in (0_u64..).zip(TYPES) {
        let mut event = object([
            ("id", format!("evt-{sequence}").into()),
            ("event_type", event_type.into()),
            ("occurred_at", "2026-02-01T10:00:00Z".into()),
            ("tenant_id", "tenant-é".into()),
            ("outcome", "accepted".into()),
            ("evidence_pointer", pointer.into()),
            ("sequence", number(sequence)),
            ("policy_snapshot_id", "policy-v1".into()),
            ("authority_snapshot_id", "authority-v1".into()),
        ]);
        if chained {
            event.insert("chain_id".to_owned(), "theirs".into());
            if let Some(before) = hashes.last() {
                event.insert("prev_hash".to_owned(), (*before).into());
            }
            let hash = HashProfile::EcsHashV1.digest(&Value::Object(event.clone()));
            event.insert("event_hash".to_owned(), hash.into());
            hashes.push(hash);
        }
        events.push(event);
    }
    (events, hashes)
}

/// An event as Python's json.dumps writes it without further ado, in some order of its members.
fn spaced(event: &Object) -> String {
    let line = HashProfile::EcsHashV1.canonical(&Value::Object(event.clone()));
    let line: BTreeMap<String, serde_json::Value> = serde_json::from_str(&line).unwrap();
    let members: Vec<_> =
        line.iter().rev().map(|(name, value)| format!("\"{name}\": {value}")).collect();
    format!("{{{}}}\n", members.join(", "))
}

fn entry(event: &Object) -> Value {
    let mut entry = Object::new();
    for name in ["id", "sequence", "prev_hash", "event_hash"] {
        entry.insert(name.to_owned(), event.get(name).cloned().unwrap_or(Value::Null));
    }
    entry.insert("event_ref".to_owned(), "eosc://evidence/somewhere".into());
    Value::Object(entry)
}

/// A bundle as the contract's own adapters write it: lines with spaces, artifacts as files, nothing
/// of Carnet's.
fn bundle(profile: &str, chained: bool) -> Files {
    let mut files = Files::new();
    let pointer = format!("eosc://artifact/sha256:{}", Digest::of(ARTIFACT));
    files.insert("artifacts/decision.json".to_owned(), ARTIFACT.to_vec());
    let (events, hashes) = events(&pointer, chained);
    let entries = events.iter().map(entry).collect();
    let lines: String = events.iter().map(spaced).collect();
    files.insert("events.jsonl".to_owned(), lines.into_bytes());
    let joined: Vec<_> = hashes.iter().map(ToString::to_string).collect();
    let joined = format!("sha256:{}", Digest::of(joined.join("\n").as_bytes()));
    let segment = document(object([
        ("segment_id", "s".into()),
        ("tenant_id", "tenant-é".into()),
        ("evidence_profile_id", profile.into()),
        ("from_sequence", number(0)),
        ("to_sequence", number(4)),
        ("algorithm", "sha256".into()),
        ("events", Value::List(entries)),
        ("segment_hash", joined.as_str().into()),
        ("signature", "not of any form that the contract fixes".into()),
    ]));
    let segment_ref = format!("eosc://evidence/chain/sha256:{}", Digest::of(&segment));
    files.insert("chain-segment.json".to_owned(), segment);
    let profile = object([
        ("evidence_profile_id", profile.into()),
        ("profile_version", "1.0".into()),
        ("hash_profile_id", "ecs-hash-v1".into()),
    ]);
    let scope = object([("from_sequence", number(0)), ("to_sequence", number(4))]);
    let mut manifest = profile.clone();
    manifest.extend(object([
        ("schema_version", "1.0".into()),
        ("tenant_id", "tenant-é".into()),
        ("scope", scope.into()),
        ("chain_id", "theirs".into()),
        ("chain_segment_ref", segment_ref.into()),
        ("bundle_hash", joined.into()),
        ("artifacts", object([("evidence_artifacts", Value::List(vec![pointer.into()]))]).into()),
    ]));
    files.insert("manifest.json".to_owned(), document(manifest));
    files.insert("verifier-inputs.json".to_owned(), document(profile.clone()));
    files.insert("profile-claim.json".to_owned(), document(profile));
    files
}

#[test]
fn they_are_verified_as_far_as_they_go() {
    let report = audit(&bundle("ecs-evidence-admissible", true));
    let fails = report.checks.iter().filter(|row| row.verdict == CheckVerdict::Fail);
    assert_eq!(fails.collect::<Vec<_>>(), Vec::<&crate::audit::Row>::new());
    assert_eq!(report.overall(), Overall::Incomplete);
    assert_eq!(reason(&report, CheckId::ManifestSignature), Some(Reason::Unsigned));
    assert_eq!(verdict(&report, CheckId::TreeRoot), CheckVerdict::NotApplicable);
    for id in [CheckId::EventsHash, CheckId::ChainLinks, CheckId::ChainSegment, CheckId::Pointers] {
        assert_eq!(verdict(&report, id), CheckVerdict::Pass, "{id:?}");
    }
    let form = report.row(CheckId::EventsForm).unwrap();
    assert!(form.reason.contains("5 written another way"), "{form:?}");
    // A baseline without a chain needs none.
    let report = audit(&bundle("ecs-evidence-baseline", false));
    assert_eq!(report.overall(), Overall::Incomplete, "{:?}", odd(&report));
    assert_eq!(verdict(&report, CheckId::ChainLinks), CheckVerdict::NotApplicable);
    assert_eq!(verdict(&report, CheckId::EventsHash), CheckVerdict::NotApplicable);
}

#[test]
fn damaged_ones_are_refused() {
    let base = bundle("ecs-evidence-admissible", true);
    let damaged = |name: &str, from: &str, to: &str| {
        let mut files = base.clone();
        let held = String::from_utf8(files[name].clone()).unwrap();
        let changed = held.replacen(from, to, 1);
        assert_ne!(changed, held);
        files.insert(name.to_owned(), changed.into_bytes());
        audit(&files)
    };
    let told = |report: &crate::audit::Report, id, word| {
        assert_eq!(reason(report, id), Some(word), "{:?}", odd(report));
        assert_eq!(report.overall(), Overall::Refused);
    };
    let report = damaged("events.jsonl", "accepted", "failed");
    told(&report, CheckId::EventsHash, Reason::HashWrong);
    let report = damaged("events.jsonl", "\"sequence\": 2", "\"sequence\": 3");
    told(&report, CheckId::ChainSequence, Reason::Gap);
    let report = damaged("events.jsonl", "\"id\"", "\"id\": \"evt-0\", \"id\"");
    told(&report, CheckId::EventsForm, Reason::DuplicateKey);
    let report = damaged("artifacts/decision.json", "admit", "deny");
    told(&report, CheckId::Pointers, Reason::PointerUnresolved);
    let report = damaged("chain-segment.json", "\"evt-3\"", "\"evt-9\"");
    told(&report, CheckId::ChainSegment, Reason::SegmentDiffers);
    let report = damaged("manifest.json", "ecs-evidence-admissible", "ecs-evidence-baseline");
    told(&report, CheckId::ProfileDeclared, Reason::ProfileDowngrade);
    let mut files = base.clone();
    files.remove("profile-claim.json");
    told(&audit(&files), CheckId::BundleFiles, Reason::FileMissing);
    let mut files = base;
    let mut manifest = parsed(&files["manifest.json"]);
    manifest.insert("evidence_profile_id".to_owned(), "somebody-elses".into());
    files.insert("manifest.json".to_owned(), document(manifest));
    let report = audit_bundle(&Memory::new(&files), &AuditRequest::default()).unwrap();
    assert_eq!(reason(&report, CheckId::ProfileFamilies), Some(Reason::ProfileUnknown));
}
