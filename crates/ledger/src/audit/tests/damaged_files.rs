//! Each way of damaging what stands beside the events, and its own answer. The bundle holds before.

use proptest::prelude::*;

use super::damage::{fails, signer, text, told, whole};
use super::maker::{Log, document, edit_manifest, key, list_anew, number, object, parsed};
use super::{audit, audit_with, odd, reason, trusted, verdict};
use crate::audit::{AuditRequest, CheckId, CheckVerdict, Overall, Reason};
use crate::event::EvidenceProfile;
use crate::value::Value;

#[test]
fn a_swapped_object() {
    let mut files = whole();
    files.get_mut("artifacts/pack-0").unwrap()[3] ^= 1;
    let report = fails(&files, CheckId::Artifacts, Reason::ArtifactSwapped);
    assert_eq!(reason(&report, CheckId::BundleFiles), Some(Reason::FileChanged));
    // Listed anew, the object still does not have its own name.
    list_anew(&mut files, None);
    let report = fails(&files, CheckId::Artifacts, Reason::ArtifactSwapped);
    assert_eq!(verdict(&report, CheckId::BundleFiles), CheckVerdict::Pass);
}

#[test]
fn packs_and_their_index() {
    let index = |edit: fn(&mut Vec<String>)| {
        let mut files = whole();
        let held = text(&files["artifacts/index.jsonl"]);
        let mut held: Vec<String> = held.lines().map(str::to_owned).collect();
        edit(&mut held);
        files.insert("artifacts/index.jsonl".to_owned(), (held.join("\n") + "\n").into_bytes());
        list_anew(&mut files, Some(&signer()));
        let report = audit(&files);
        (reason(&report, CheckId::Artifacts), reason(&report, CheckId::Pointers), report.overall())
    };
    let malformed = |edit| {
        let told = index(edit);
        let unread = Some(Reason::Unread);
        assert_eq!(told, (Some(Reason::Malformed), unread, Overall::Malformed));
    };
    malformed(|held| held.swap(1, 2));
    malformed(|held| held.insert(1, held[0].clone()));
    malformed(|held| held[1].push(' '));
    malformed(|held| held[1] = held[1].replace("\"bytes\":", "\"bytes\":0"));
    // The last object is in its pack, and in no line.
    let told = index(|held| drop(held.pop()));
    let unresolved = Some(Reason::PointerUnresolved);
    assert_eq!(told, (Some(Reason::FileChanged), unresolved, Overall::Refused));
    let told = index(|held| held[0] = held[0].replace("pack-0", "pack-7"));
    assert_eq!((told.0, told.2), (Some(Reason::Malformed), Overall::Malformed));
    let told = index(|held| held[0] = held[0].replace("artifacts/pack-0", "events.jsonl"));
    assert_eq!(told.0, Some(Reason::Malformed));
    let mut files = whole();
    files.remove("artifacts/index.jsonl");
    let report = fails(&files, CheckId::Artifacts, Reason::FileMissing);
    assert_eq!(reason(&report, CheckId::BundleFiles), Some(Reason::FileMissing));
    let mut files = whole();
    files.remove("artifacts/pack-0");
    fails(&files, CheckId::Artifacts, Reason::FileMissing);
}

#[test]
fn a_pointer_that_leads_to_nothing() {
    let mut log = Log::sample();
    let gone = *log.objects.keys().next().unwrap();
    log.objects.remove(&gone);
    let files = log.whole(Some(&signer()));
    let report = fails(&files, CheckId::Pointers, Reason::PointerUnresolved);
    assert!(report.row(CheckId::Pointers).unwrap().reason.contains(&gone.to_string()));
    let mut log = Log::sample();
    log.drafts[3].insert("evidence_pointer".to_owned(), "eosc://evidence/nothing".into());
    let report = audit(&log.whole(Some(&signer())));
    assert_eq!(reason(&report, CheckId::Pointers), Some(Reason::PointerUnresolved));
    // An artifact that only the manifest names.
    let mut files = whole();
    edit_manifest(&mut files, Some(&signer()), |manifest| {
        let gone = format!("eosc://artifact/sha256:{}", crate::Digest::of(b"gone")).into();
        let list = object([("policy_snapshots", Value::List(vec![gone]))]);
        manifest.insert("artifacts".to_owned(), list.into());
    });
    fails(&files, CheckId::Pointers, Reason::PointerUnresolved);
}

#[test]
fn a_weaker_profile() {
    // The manifest promises less than the events keep.
    let mut files = whole();
    edit_manifest(&mut files, Some(&signer()), |manifest| {
        manifest.insert("evidence_profile_id".to_owned(), "ecs-evidence-baseline".into());
    });
    fails(&files, CheckId::ProfileDeclared, Reason::ProfileDowngrade);
    // The part that only Carnet writes is gone, and with it the list of files.
    let mut files = whole();
    edit_manifest(&mut files, None, |manifest| drop(manifest.remove("carnet")));
    fails(&files, CheckId::ProfileDeclared, Reason::ProfileDowngrade);
    // With everything gone that only Carnet writes it is a bundle that nobody signed.
    for name in ["checkpoint", "proofs/segment.json"] {
        files.remove(name);
    }
    let report = audit(&files);
    assert!(matches!(report.overall(), Overall::Refused | Overall::Incomplete));
    // More is asked for than was made.
    let mut log = Log::sample();
    log.profile = "ecs-evidence-baseline";
    for draft in &mut log.drafts {
        draft.insert("evidence_profile_id".to_owned(), log.profile.into());
    }
    let files = log.whole(Some(&signer()));
    assert_eq!(audit(&files).overall(), Overall::Verified);
    let profile = Some(EvidenceProfile::Admissible);
    let request = AuditRequest { profile, ..AuditRequest::default() };
    let report = audit_with(&files, &trusted(&[&signer()]), request);
    let (id, fail) = (CheckId::ProfileDeclared, CheckVerdict::Fail);
    told(&report, id, fail, Reason::ProfileDowngrade, Overall::Refused);
    let profile = Some(EvidenceProfile::Baseline);
    let request = AuditRequest { profile, ..AuditRequest::default() };
    assert_eq!(audit_with(&whole(), &trusted(&[&signer()]), request).overall(), Overall::Verified);
}

#[test]
fn documents_that_disagree() {
    for (name, member, value) in [
        ("verifier-inputs.json", "evidence_profile_id", "ecs-evidence-ncp"),
        ("verifier-inputs.json", "chain_id", "other"),
        ("profile-claim.json", "hash_profile_id", "rfc8785-sha256-v1"),
        ("chain-segment.json", "evidence_profile_id", "ecs-evidence-ncp"),
    ] {
        let mut files = whole();
        let mut changed = parsed(&files[name]);
        changed.insert(member.to_owned(), value.into());
        files.insert(name.to_owned(), document(changed));
        list_anew(&mut files, Some(&signer()));
        fails(&files, CheckId::ProfileDeclared, Reason::ProfileDrift);
    }
    for (name, id) in [
        ("verifier-inputs.json", CheckId::ProfileDeclared),
        ("profile-claim.json", CheckId::ProfileDeclared),
        ("chain-segment.json", CheckId::ChainSegment),
        ("checkpoint", CheckId::CheckpointSignature),
        ("proofs/segment.json", CheckId::TreeRoot),
        ("keys/succession.jsonl", CheckId::KeySuccession),
        ("proofs/consistency.json", CheckId::HistorySince),
    ] {
        let mut files = whole();
        files.insert(name.to_owned(), b"{\"a\":1,\"a\":2".to_vec());
        list_anew(&mut files, Some(&signer()));
        if name == "chain-segment.json" {
            edit_manifest(&mut files, Some(&signer()), |manifest| {
                manifest.remove("chain_segment_ref");
            });
            files.insert("verifier-inputs.json".to_owned(), b"{}\n".to_vec());
            list_anew(&mut files, Some(&signer()));
        }
        let report = audit(&files);
        told(&report, id, CheckVerdict::Fail, Reason::Malformed, Overall::Malformed);
    }
}

#[test]
fn files_more_and_less() {
    let mut files = whole();
    files.insert("artifacts/more".to_owned(), b"more".to_vec());
    fails(&files, CheckId::BundleFiles, Reason::FileAdded);
    for name in ["verifier-inputs.json", "proofs/segment.json", "checkpoint", "events.jsonl"] {
        let mut files = whole();
        files.remove(name);
        fails(&files, CheckId::BundleFiles, Reason::FileMissing);
    }
}

#[test]
fn signatures_of_people_are_judged_for_those_who_ask() {
    use crate::detached::{Believed, MANIFEST_NAMESPACE};
    use crate::trust::TrustFile;
    const PERSON: &str = "ops ssh-ed25519 \
        AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n";
    let mut files = whole();
    files.insert("manifest.json.sig".to_owned(), b"a signature".to_vec());
    let keys = trusted(&[&signer()]);
    let audited = |people: &str| {
        let trust = TrustFile::parse(people.as_bytes()).unwrap();
        let now = crate::EventTime::from_unix_millis(1_795_000_000_000).unwrap();
        let namespace = MANIFEST_NAMESPACE;
        let people = Some(Believed { trust: &trust, openpgp_keys: None, namespace, by: None, now });
        audit_with(&files, &keys, AuditRequest { people, ..AuditRequest::default() })
    };
    for report in
        [audit(&files), audited(""), audited(&format!("log vkey {}\n", signer().verifying_key()))]
    {
        assert_eq!(report.overall(), Overall::Verified);
        assert_eq!(verdict(&report, CheckId::ManifestOthers), CheckVerdict::NotApplicable);
    }
    let report = audited(PERSON);
    let id = CheckId::ManifestOthers;
    if cfg!(feature = "ssh") {
        told(&report, id, CheckVerdict::Fail, Reason::SignatureBad, Overall::Refused);
    } else {
        told(&report, id, CheckVerdict::NotChecked, Reason::CannotCheck, Overall::Incomplete);
    }
}

#[test]
fn signatures_that_are_not_good() {
    let mut files = whole();
    let mut manifest = parsed(&files["manifest.json"]);
    manifest.insert("provider_id".to_owned(), "somebody".into());
    files.insert("manifest.json".to_owned(), document(manifest));
    fails(&files, CheckId::ManifestSignature, Reason::SignatureBad);
    let mut files = whole();
    edit_manifest(&mut files, None, |_| {});
    let report = audit(&files);
    let (id, open) = (CheckId::ManifestSignature, CheckVerdict::NotChecked);
    told(&report, id, open, Reason::Unsigned, Overall::Incomplete);
    let mut files = whole();
    let mut segment = parsed(&files["chain-segment.json"]);
    segment.insert("signature".to_owned(), "AAAA".into());
    let segment = document(segment);
    let reference = format!("eosc://evidence/chain/sha256:{}", crate::Digest::of(&segment));
    files.insert("chain-segment.json".to_owned(), segment);
    let mut inputs = parsed(&files["verifier-inputs.json"]);
    inputs.insert("chain_segment_ref".to_owned(), reference.as_str().into());
    files.insert("verifier-inputs.json".to_owned(), document(inputs));
    edit_manifest(&mut files, None, |manifest| {
        manifest.insert("chain_segment_ref".to_owned(), reference.into());
    });
    list_anew(&mut files, Some(&signer()));
    fails(&files, CheckId::ChainSegment, Reason::SignatureBad);
}

#[test]
fn a_checkpoint_of_another_log() {
    let mut other = Log::sample();
    other.chain_id = "chain-2".to_owned();
    let mut files = whole();
    let theirs = other.checkpoint(12).sign(&[&signer()]).unwrap();
    files.insert("checkpoint".to_owned(), theirs.to_string().into_bytes());
    list_anew(&mut files, Some(&signer()));
    fails(&files, CheckId::CheckpointSignature, Reason::OtherLog);
    // An event of another log among these.
    let mut log = Log::sample();
    log.drafts[4].insert("chain_id".to_owned(), "chain-2".into());
    fails(&log.whole(Some(&signer())), CheckId::ChainLinks, Reason::OtherLog);
}

#[test]
fn proofs_that_do_not_hold() {
    let log = Log::sample();
    let base = || {
        let mut files = log.range(5, 11, Some(&signer()));
        files.insert("proofs/consistency.json".to_owned(), log.consistency(3));
        list_anew(&mut files, Some(&signer()));
        files
    };
    assert_eq!(verdict(&audit(&base()), CheckId::HistorySince), CheckVerdict::Pass);
    let damaged = |name: &str, from: &str, to: &str| {
        let mut files = base();
        let changed = text(&files[name]).replacen(from, to, 1);
        assert_ne!(changed.as_bytes(), files[name]);
        files.insert(name.to_owned(), changed.into_bytes());
        list_anew(&mut files, Some(&signer()));
        files
    };
    let name = "proofs/consistency.json";
    let broken = Reason::ProofBroken;
    let report = audit(&damaged(name, "\"hashes\":[\"", "\"hashes\":[\"00"));
    let (id, fail) = (CheckId::HistorySince, CheckVerdict::Fail);
    told(&report, id, fail, Reason::Malformed, Overall::Malformed);
    let zero = crate::Digest([0; 32]);
    let more = format!("\"hashes\":[\"{zero}\",");
    fails(&damaged(name, "\"hashes\":[", &more), CheckId::HistorySince, broken);
    fails(&damaged(name, "\"size\":3", "\"size\":4"), CheckId::HistorySince, broken);
    fails(&damaged(name, "\"size\":12", "\"size\":13"), CheckId::HistorySince, broken);
    let name = "proofs/segment.json";
    fails(&damaged(name, "\"size\":12", "\"size\":13"), CheckId::TreeRoot, broken);
    fails(&damaged(name, "\"from\":5", "\"from\":4"), CheckId::TreeRoot, Reason::RootDiffers);
    fails(
        &damaged(name, "\"left\":[", "\"left\":[],\"more\":["),
        CheckId::TreeRoot,
        Reason::RootDiffers,
    );
    let mut files = base();
    files.remove(name);
    list_anew(&mut files, Some(&signer()));
    fails(&files, CheckId::TreeRoot, Reason::ProofMissing);
}

#[test]
fn successions_that_do_not_hold() {
    let (first, second) = (signer(), key("operator", 2));
    let mut log = Log::sample();
    log.hand_over(&first, &second);
    let whole = log.whole(Some(&second));
    assert_eq!(audit(&whole).overall(), Overall::Verified);
    let name = "keys/succession.jsonl";
    for (from, to) in [
        ("\"index\":12", "\"index\":11"),
        (
            "\"hashes\":[\"",
            "\"hashes\":[\"0000000000000000000000000000000000000000000000000000000000000000\",\"",
        ),
        ("key.succeeded", "process.start"),
        ("operator+", "operator-"),
    ] {
        let mut files = whole.clone();
        let changed = text(&files[name]).replacen(from, to, 1);
        assert_ne!(changed.as_bytes(), files[name]);
        files.insert(name.to_owned(), changed.into_bytes());
        list_anew(&mut files, Some(&second));
        fails(&files, CheckId::KeySuccession, Reason::SuccessionBroken);
    }
    // Left out, to hide that the old key counts no more.
    let mut files = log.whole(Some(&first));
    files.remove(name);
    list_anew(&mut files, Some(&first));
    fails(&files, CheckId::KeySuccession, Reason::SuccessionBroken);
}

#[test]
fn actions_refusals_and_lineage() {
    let changed = |place: usize, member: &str, value: Value| {
        let mut log = Log::sample();
        log.drafts[place].insert(member.to_owned(), value);
        log.whole(Some(&signer()))
    };
    let other = format!("sha256:{}", crate::Digest::of(super::maker::AUTHORITY));
    let files = changed(7, "policy_snapshot_id", other.into());
    fails(&files, CheckId::SnapshotsConsistent, Reason::SnapshotsDiffer);
    let package = crate::Digest::of(b"another package").to_string();
    let files = changed(6, "artifact_manifest_hash", package.into());
    fails(&files, CheckId::Lineage, Reason::LineageBroken);
    for member in ["refusal_reason_class", "refusal_reason_code", "refusal_subject"] {
        let mut log = Log::sample();
        log.drafts[5].remove(member);
        let files = log.whole(Some(&signer()));
        fails(&files, CheckId::Refusals, Reason::RefusalIncomplete);
    }
    let files = changed(5, "refusal_reason_class", "because".into());
    fails(&files, CheckId::Refusals, Reason::RefusalIncomplete);
    let files = changed(2, "exit_plan_id", Value::Null);
    fails(&files, CheckId::ProfileFields, Reason::FieldMissing);
    let files = changed(2, "id", "evt-2".into());
    fails(&files, CheckId::ProfileFields, Reason::FieldForm);
    let files = changed(2, "occurred_at", "yesterday".into());
    fails(&files, CheckId::ProfileFields, Reason::FieldForm);
    // A refusal that is left out of the count is missed.
    let mut files = whole();
    edit_manifest(&mut files, Some(&signer()), |manifest| {
        let Some(Value::Object(own)) = manifest.get_mut("carnet") else { panic!("not ours") };
        let counts =
            object([("events", number(12)), ("refusals", number(2)), ("objects", number(8))]);
        own.insert("counts".to_owned(), counts.into());
    });
    fails(&files, CheckId::Refusals, Reason::RefusalsDiffer);
    // No event of a family.
    let mut log = Log::sample();
    log.drafts[2].insert("event_type".to_owned(), "process.start".into());
    fails(&log.whole(Some(&signer())), CheckId::ProfileFamilies, Reason::FamilyMissing);
}

#[test]
fn no_control_events_name_their_artifact() {
    let make = |whole: bool| {
        let mut log = Log::sample();
        log.profile = "ecs-evidence-ncp";
        log.add(
            "dependency.graph.publish",
            object([("service_id", "embeddings".into()), ("graph_ref", "graph-1".into())]),
        );
        let digest = crate::Digest::of(b"a package");
        for draft in &mut log.drafts {
            draft.insert("evidence_profile_id".to_owned(), "ecs-evidence-ncp".into());
            if draft["event_type"] == Value::from("migration.import") && !whole {
                continue;
            }
            draft.extend(object([
                ("artifact_type", "data_snapshot".into()),
                ("artifact_ref", format!("eosc://artifact/sha256:{digest}").into()),
                ("artifact_hash", format!("sha256:{digest}").into()),
            ]));
        }
        log.whole(Some(&signer()))
    };
    let report = audit(&make(true));
    assert_eq!(report.overall(), Overall::Verified, "{:?}", odd(&report));
    assert_eq!(verdict(&report, CheckId::NcpArtifacts), CheckVerdict::Pass);
    fails(&make(false), CheckId::NcpArtifacts, Reason::FieldMissing);
}

#[test]
fn each_changed_byte_of_a_small_bundle_is_noticed() {
    let files = whole();
    for (name, bytes) in &files {
        for at in (0..bytes.len()).step_by(if bytes.len() > 2_000 { 397 } else { 41 }) {
            let mut damaged = files.clone();
            damaged.get_mut(name).unwrap()[at] ^= 1;
            let keys = trusted(&[&signer()]);
            let request = AuditRequest { keys: &keys, workers: 1, ..AuditRequest::default() };
            let memory = super::Memory::new(&damaged);
            match crate::audit::audit_bundle(&memory, &request) {
                Ok(report) => {
                    assert_ne!(report.overall(), Overall::Verified, "byte {at} of {name}");
                }
                Err(error) => assert!(name == "manifest.json", "{error}"),
            }
        }
    }
}

proptest! {
    /// Whatever stands in a file, the audit ends with an answer, and never with a good one.
    #[test]
    fn any_bytes_in_any_file(
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"{}[]\",:\n09".to_vec())], 1..40),
    ) {
        let mut log = Log::sample();
        log.hand_over(&signer(), &key("operator", 2));
        let mut files = log.range(2, 9, Some(&key("operator", 2)));
        files.insert("proofs/consistency.json".to_owned(), log.consistency(3));
        let names: Vec<_> = files.keys().cloned().collect();
        let file = files.get_mut(&names[which.index(names.len())]).unwrap();
        let at = at.index(file.len());
        let end = (at + bytes.len()).min(file.len());
        file.splice(at..end, bytes);
        let keys = trusted(&[&signer()]);
        let request = AuditRequest { keys: &keys, workers: 1, ..AuditRequest::default() };
        if let Ok(report) = crate::audit::audit_bundle(&super::Memory::new(&files), &request) {
            prop_assert_ne!(report.overall(), Overall::Verified);
        }
    }
}
