//! Bundles that hold, and how each way of damaging one is told.

mod damage;
mod damaged_chain;
mod damaged_files;
mod foreign;
mod maker;
mod replayed;

use super::*;
use maker::{Files, Log, Memory, key};

/// The audit of files in memory, by somebody who has these public keys.
fn audit_with(files: &Files, keys: &[LogKey], request: AuditRequest<'_>) -> Report {
    audit_bundle(&Memory::new(files), &AuditRequest { keys, workers: 2, ..request }).unwrap()
}

fn trusted(keys: &[&crate::SigningKey]) -> Vec<LogKey> {
    keys.iter().map(|key| key.verifying_key().clone().into()).collect()
}

/// The audit by somebody who has the public key of the sample log.
fn audit(files: &Files) -> Report {
    audit_with(files, &trusted(&[&key("operator", 1)]), AuditRequest::default())
}

fn verdict(report: &Report, id: CheckId) -> CheckVerdict {
    report.row(id).unwrap().verdict
}

fn reason(report: &Report, id: CheckId) -> Option<Reason> {
    report.row(id).unwrap().reason_word
}

/// The rows that do not simply pass.
fn odd(report: &Report) -> Vec<(&'static str, &'static str, Option<&'static str>)> {
    let rows = report.checks.iter().filter(|row| row.verdict != CheckVerdict::Pass);
    rows.map(|row| (row.id.name(), row.verdict.name(), row.reason_word.map(Reason::name))).collect()
}

const OPEN: [(&str, &str, Option<&str>); 7] = [
    ("manifest.others", "not_applicable", None),
    ("checkpoint.witnesses", "not_applicable", None),
    ("key.succession", "not_applicable", None),
    ("ncp.artifacts", "not_applicable", None),
    ("policy.replay", "not_applicable", None),
    ("history.since", "not_applicable", None),
    ("freshness", "not_checked", Some("not_given")),
];

#[test]
fn a_whole_log_is_verified() {
    let report = audit(&Log::sample().whole(Some(&key("operator", 1))));
    assert_eq!(odd(&report), OPEN);
    assert_eq!(report.overall(), Overall::Verified);
    assert_eq!(report.checks.len(), CheckId::ALL.len());
    assert_eq!(report.subject.events, 12);
    assert_eq!(report.subject.refusals, 1);
    assert_eq!((report.subject.from_sequence, report.subject.to_sequence), (Some(0), Some(11)));
    assert!(report.checks.iter().all(|row| !row.reason.is_empty() && row.reason.len() < 300));
}

#[test]
fn the_other_hash_profile_is_verified_too() {
    let mut log = Log::sample();
    log.hash_profile = crate::HashProfile::Rfc8785Sha256V1;
    for draft in &mut log.drafts {
        draft.insert("hash_profile_id".to_owned(), "rfc8785-sha256-v1".into());
    }
    assert_eq!(audit(&log.whole(Some(&key("operator", 1)))).overall(), Overall::Verified);
}

#[test]
fn a_range_is_verified_by_its_proof() {
    let log = Log::sample();
    let signer = key("operator", 1);
    for from in 0..12 {
        for to in from..12 {
            let files = log.range(from, to, Some(&signer));
            let report = audit(&files);
            let fails = report.checks.iter().filter(|row| row.verdict == CheckVerdict::Fail);
            assert_eq!(fails.collect::<Vec<_>>(), Vec::<&Row>::new(), "{from} {to}");
            assert_eq!(verdict(&report, CheckId::TreeRoot), CheckVerdict::Pass);
        }
    }
    // A range cannot show that the rest of the log has what it lacks itself.
    let report = audit(&log.range(6, 8, Some(&signer)));
    assert_eq!(reason(&report, CheckId::ProfileFamilies), Some(Reason::RangeOnly));
    assert_eq!(report.overall(), Overall::Incomplete);
}

#[test]
fn long_logs_are_verified_by_many_threads() {
    let mut log = Log::sample();
    for _ in 0..3_000 {
        log.add("gate.verdict", crate::Object::new());
    }
    let files = log.whole(Some(&key("operator", 1)));
    for workers in [0, 1, 3, 8] {
        let keys = trusted(&[&key("operator", 1)]);
        let request = AuditRequest { keys: &keys, workers, ..AuditRequest::default() };
        let report = audit_bundle(&Memory::new(&files), &request).unwrap();
        assert_eq!(report.overall(), Overall::Verified, "{:?}", odd(&report));
        assert_eq!(report.subject.events, 3_012);
    }
}

#[test]
fn nothing_is_verified_without_a_key_or_a_signature() {
    let log = Log::sample();
    let signed = log.whole(Some(&key("operator", 1)));
    let report = audit_with(&signed, &[], AuditRequest::default());
    assert_eq!(report.overall(), Overall::Incomplete);
    assert_eq!(reason(&report, CheckId::ManifestSignature), Some(Reason::KeyUnknown));
    assert_eq!(reason(&report, CheckId::CheckpointSignature), Some(Reason::KeyUnknown));
    let unsigned = audit(&log.whole(None));
    assert_eq!(unsigned.overall(), Overall::Incomplete);
    assert_eq!(reason(&unsigned, CheckId::ManifestSignature), Some(Reason::Unsigned));
    assert_eq!(reason(&unsigned, CheckId::CheckpointSignature), Some(Reason::Unsigned));
    assert_eq!(verdict(&unsigned, CheckId::TreeRoot), CheckVerdict::Pass);
}

#[test]
fn a_log_is_followed_through_its_keys() {
    let (first, second, third) = (key("operator", 1), key("operator", 2), key("operator", 3));
    let mut log = Log::sample();
    log.hand_over(&first, &second);
    log.add("process.outcome", crate::Object::new());
    log.hand_over(&second, &third);
    let files = log.whole(Some(&third));
    for (known, text) in [(&first, "each signed"), (&third, "before the key")] {
        let report = audit_with(&files, &trusted(&[known]), AuditRequest::default());
        assert_eq!(report.overall(), Overall::Verified, "{:?}", odd(&report));
        let row = report.row(CheckId::KeySuccession).unwrap();
        assert!(row.reason.contains("2 successions") && row.reason.contains(text), "{row:?}");
    }
    // The same in a range that does not hold the events by which the keys changed.
    let report =
        audit_with(&log.range(0, 3, Some(&third)), &trusted(&[&first]), AuditRequest::default());
    assert_eq!(verdict(&report, CheckId::CheckpointSignature), CheckVerdict::Pass);
    assert_eq!(verdict(&report, CheckId::KeySuccession), CheckVerdict::Pass);
    // Nobody knows the key in the middle from the key of another log.
    let report = audit_with(&files, &trusted(&[&key("other", 9)]), AuditRequest::default());
    assert_eq!(reason(&report, CheckId::KeySuccession), Some(Reason::KeyUnknown));
    assert_eq!(report.overall(), Overall::Incomplete);
}

#[test]
fn a_key_counts_up_to_its_retirement() {
    let (first, second) = (key("operator", 1), key("operator", 2));
    let mut log = Log::sample();
    let before = log.whole(Some(&first));
    log.hand_over(&first, &second);
    // Signed by the old key after it was retired.
    let report = audit(&log.whole(Some(&first)));
    assert_eq!(report.overall(), Overall::Refused);
    assert_eq!(reason(&report, CheckId::CheckpointSignature), Some(Reason::KeyRetired));
    assert_eq!(reason(&report, CheckId::ManifestSignature), Some(Reason::KeyRetired));
    // An export from before says nothing of the retirement, and is good.
    assert_eq!(audit(&before).overall(), Overall::Verified);
}

#[test]
fn history_goes_on_from_every_checkpoint_that_was_kept() {
    let log = Log::sample();
    let signer = key("operator", 1);
    let keys = trusted(&[&signer]);
    for (from, to) in [(0, 11), (5, 11), (4, 8), (11, 11)] {
        let mut files = log.range(from, to, Some(&signer));
        files.insert("proofs/consistency.json".to_owned(), log.consistency(3));
        maker::list_anew(&mut files, Some(&signer));
        for size in 0..=12 {
            let since = log.checkpoint(size);
            let request = AuditRequest { since: Some(&since), ..AuditRequest::default() };
            let report = audit_with(&files, &keys, request);
            let reached = (from..=to + 1).contains(&size) || matches!(size, 0 | 3 | 12);
            let wanted = if reached { CheckVerdict::Pass } else { CheckVerdict::NotChecked };
            let row = report.row(CheckId::HistorySince).unwrap();
            assert_eq!(row.verdict, wanted, "{from} {to} {size} {row:?}");
            assert_eq!(verdict(&report, CheckId::Freshness), CheckVerdict::Pass);
            // Another past of that size.
            let mut since = since;
            since.root.0[0] ^= 1;
            let request = AuditRequest { since: Some(&since), ..AuditRequest::default() };
            let report = audit_with(&files, &keys, request);
            let wanted = match size {
                12 => Some(Reason::Forked),
                _ if reached => Some(Reason::ChainReplaced),
                _ => Some(Reason::ProofMissing),
            };
            assert_eq!(reason(&report, CheckId::HistorySince), wanted, "{from} {to} {size}");
            let overall = if reached { Overall::Refused } else { Overall::Incomplete };
            assert_eq!(report.overall(), overall);
        }
    }
}

#[test]
fn witnesses_are_counted_where_they_are_asked_for() {
    let (signer, witness) = (key("operator", 1), key("witness", 7));
    let log = Log::sample();
    let mut files = log.whole(Some(&signer));
    let public = crate::WitnessKey::new(witness.verifying_key().clone());
    let policy = format!("witness W {public}\nquorum W\n");
    let policy = WitnessPolicy::parse(policy.as_bytes()).unwrap();
    let keys = trusted(&[&signer]);
    let request = || AuditRequest { witnesses: Some(&policy), ..AuditRequest::default() };
    let report = audit_with(&files, &keys, request());
    assert_eq!(reason(&report, CheckId::CheckpointWitnesses), Some(Reason::QuorumMissing));
    assert_eq!(report.overall(), Overall::Incomplete);
    let mut note = maker::note(&files);
    note.signatures.push(crate::witness_policy::cosign(&witness, &note.text, 1_800_000_000));
    files.insert("checkpoint".to_owned(), note.to_string().into_bytes());
    maker::list_anew(&mut files, Some(&signer));
    let report = audit_with(&files, &keys, request());
    assert_eq!(report.overall(), Overall::Verified);
    assert_eq!(verdict(&report, CheckId::CheckpointWitnesses), CheckVerdict::Pass);
    let fresh = report.row(CheckId::Freshness).unwrap();
    assert!(fresh.reason.contains("2027-01-15T08:00:00.000Z"), "{fresh:?}");
    *note.signatures.last_mut().unwrap().signature.last_mut().unwrap() ^= 1;
    files.insert("checkpoint".to_owned(), note.to_string().into_bytes());
    maker::list_anew(&mut files, Some(&signer));
    let report = audit_with(&files, &keys, request());
    assert_eq!(reason(&report, CheckId::CheckpointWitnesses), Some(Reason::SignatureBad));
    assert_eq!(report.overall(), Overall::Refused);
}

#[test]
fn cosignatures_that_came_later_count_for_the_same_checkpoint_alone() {
    let (signer, witness) = (key("operator", 1), key("witness", 7));
    let log = Log::sample();
    let files = log.whole(Some(&signer));
    let public = crate::WitnessKey::new(witness.verifying_key().clone());
    let policy = WitnessPolicy::parse(format!("witness W {public}\nquorum W\n").as_bytes());
    let policy = policy.unwrap();
    let keys = trusted(&[&signer]);
    let told = |note: &Note| {
        let cosigned = (note.clone(), Checkpoint::parse(&note.text).unwrap());
        let request = AuditRequest {
            witnesses: Some(&policy),
            cosigned: Some(&cosigned),
            ..AuditRequest::default()
        };
        let report = audit_with(&files, &keys, request);
        let fresh = verdict(&report, CheckId::Freshness) == CheckVerdict::Pass;
        (report.overall(), reason(&report, CheckId::CheckpointWitnesses), fresh)
    };
    // Under the text alone, as a witness gives it; not even the log's signature is there again.
    let cosign = |text: String| {
        let signature = crate::witness_policy::cosign(&witness, &text, 1_800_000_000);
        Note { text, signatures: vec![signature] }
    };
    let held = maker::note(&files);
    let mut good = cosign(held.text.clone());
    assert_eq!(told(&good), (Overall::Verified, None, true));
    *good.signatures.last_mut().unwrap().signature.last_mut().unwrap() ^= 1;
    assert_eq!(told(&good), (Overall::Refused, Some(Reason::SignatureBad), false));
    assert_eq!(told(&held), (Overall::Incomplete, Some(Reason::QuorumMissing), false));

    let is = Checkpoint::parse(&held.text).unwrap();
    let (incomplete, refused) = (Overall::Incomplete, Overall::Refused);
    for (other, overall, word) in [
        (Checkpoint { size: is.size - 1, ..is.clone() }, incomplete, Reason::QuorumMissing),
        (Checkpoint { root: crate::Digest([1; 32]), ..is.clone() }, refused, Reason::Forked),
        (Checkpoint { origin: "carnet/other".to_owned(), ..is.clone() }, refused, Reason::OtherLog),
    ] {
        assert_eq!(told(&cosign(other.to_string())), (overall, Some(word), false), "{other}");
    }
    let extended = cosign(format!("{}more\n", held.text));
    assert_eq!(told(&extended), (incomplete, Some(Reason::QuorumMissing), false));
}

#[test]
fn a_receipt_is_verified_with_its_event_and_no_other() {
    let signer = key("operator", 1);
    let log = Log::sample();
    let (stored, _) = log.seal();
    let leaves = log.leaves();
    let keys = trusted(&[&signer]);
    let request = AuditRequest { keys: &keys, ..AuditRequest::default() };
    for index in 0..12 {
        let receipt = crate::TlogProof {
            extra: None,
            index: index as u64,
            hashes: crate::inclusion_proof(&leaves, index).unwrap(),
            checkpoint: log.checkpoint(12).sign(&[&signer]).unwrap(),
        };
        let text = receipt.to_string();
        for (other, event) in stored.iter().enumerate() {
            let report = audit_receipt(text.as_bytes(), event, &request).unwrap();
            let wanted = if other == index { Overall::Verified } else { Overall::Refused };
            assert_eq!(report.overall(), wanted, "{:?}", odd(&report));
        }
        let mut changed = stored[index].clone();
        let place = changed.windows(6).position(|it| it == b"tester").unwrap();
        changed[place] ^= 1;
        let report = audit_receipt(text.as_bytes(), &changed, &request).unwrap();
        assert_eq!(reason(&report, CheckId::EventsHash), Some(Reason::HashWrong));
        assert_eq!(reason(&report, CheckId::TreeRoot), Some(Reason::ProofBroken));
        let cut = &text[..text.len() - 10];
        assert!(audit_receipt(cut.as_bytes(), &stored[index], &request).is_err());
        let nobody = AuditRequest { keys: &[], ..request };
        let report = audit_receipt(text.as_bytes(), &stored[index], &nobody).unwrap();
        assert_eq!(report.overall(), Overall::Incomplete);
    }
}

#[test]
fn what_is_no_bundle_is_said() {
    let mut files = Log::sample().whole(None);
    let error =
        |files: &Files| audit_bundle(&Memory::new(files), &AuditRequest::default()).unwrap_err();
    for wrong in [&b"{"[..], b"[]", b"{\"a\":1,\"a\":2}", b"{\"carnet\":{\"format\":\"x\"}}"] {
        files.insert("manifest.json".to_owned(), wrong.to_vec());
        assert!(matches!(error(&files), AuditError::Malformed { .. }));
    }
    files.remove("manifest.json");
    assert!(matches!(error(&files), AuditError::NotABundle));
}
