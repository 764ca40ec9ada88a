//! Each way of damaging the chain of a bundle, and its own answer. The bundle holds before.

use super::damage::{covered_up, fails, signer, text, told, whole, with_events};
use super::maker::{Log, key, list_anew, note, number, parsed};
use super::{audit, audit_with, reason, trusted, verdict};
use crate::audit::{AuditRequest, CheckId, CheckVerdict, Overall, Reason};
use crate::value::{HashProfile, Object, Value};

#[test]
fn a_cut_tail() {
    let files = with_events(|stored| stored.truncate(9));
    let report = fails(&files, CheckId::ChainSequence, Reason::TailTruncated);
    let row = report.row(CheckId::ChainSequence).unwrap();
    assert_eq!(row.reason, "the last events were cut off: events 9 to 11");
    assert_eq!(reason(&report, CheckId::BundleFiles), Some(Reason::FileChanged));
    // Covered up, the signed root still knows better.
    let mut log = Log::sample();
    let stored = log.seal().0;
    log.drafts.truncate(9);
    let files = covered_up(&log, &stored[..9], (0, 8));
    fails(&files, CheckId::CheckpointSignature, Reason::RootDiffers);
}

#[test]
fn a_cut_head() {
    let files = with_events(|stored| drop(stored.drain(..3)));
    let report = fails(&files, CheckId::ChainSequence, Reason::HeadTruncated);
    assert_eq!(verdict(&report, CheckId::ChainLinks), CheckVerdict::Pass);
    // The rest as a log of its own: its first event has no one before it, and is not the first.
    let mut log = Log::sample();
    log.drafts.drain(..3);
    let stored = log.seal().0;
    let files = covered_up(&log, &stored, (3, 11));
    let report = fails(&files, CheckId::ChainLinks, Reason::HeadTruncated);
    assert_eq!(verdict(&report, CheckId::ChainSequence), CheckVerdict::Pass);
    // Or as the beginning, by its numbers, while the first event still names one before it.
    let mut first = Log::sample();
    first.drafts.drain(..3);
    let stored: Vec<_> = Log::sample().seal().0.drain(3..).collect();
    let files = covered_up(&first, &stored, (0, 8));
    fails(&files, CheckId::ChainSequence, Reason::HeadTruncated);
}

#[test]
fn a_missing_middle() {
    let files = with_events(|stored| drop(stored.drain(4..6)));
    let report = fails(&files, CheckId::ChainSequence, Reason::Gap);
    assert_eq!(report.row(CheckId::ChainSequence).unwrap().reason, "events 4 to 5 missing");
    assert_eq!(reason(&report, CheckId::ChainLinks), Some(Reason::Unread));
    // Closed up and linked anew.
    let mut log = Log::sample();
    log.drafts.drain(4..6);
    for (place, draft) in log.drafts.iter_mut().enumerate() {
        draft.insert("sequence".to_owned(), number(place as u64));
    }
    let files = covered_up(&log, &log.seal().0, (0, 9));
    let report = fails(&files, CheckId::CheckpointSignature, Reason::RootDiffers);
    assert_eq!(verdict(&report, CheckId::ChainSequence), CheckVerdict::Pass);
    assert_eq!(verdict(&report, CheckId::ChainLinks), CheckVerdict::Pass);
}

/// A log of the same length in which something else happened.
fn other_log() -> Log {
    let mut log = Log::sample();
    log.drafts[6].insert("actor".to_owned(), "somebody else".into());
    log
}

#[test]
fn a_chain_replaced_without_a_key() {
    let log = other_log();
    let files = covered_up(&log, &log.seal().0, (0, 11));
    let report = fails(&files, CheckId::TreeRoot, Reason::ChainReplaced);
    for id in [CheckId::EventsHash, CheckId::ChainLinks, CheckId::ChainSequence] {
        assert_eq!(verdict(&report, id), CheckVerdict::Pass);
    }
    assert_eq!(reason(&report, CheckId::ManifestSignature), Some(Reason::Unsigned));
}

#[test]
fn a_chain_replaced_with_another_key() {
    // Another key of the same name is another key.
    for thief in [key("thief", 9), key("operator", 9)] {
        let report = audit(&other_log().whole(Some(&thief)));
        let (id, verdict) = (CheckId::CheckpointSignature, CheckVerdict::NotChecked);
        told(&report, id, verdict, Reason::KeyUnknown, Overall::Incomplete);
        assert_eq!(reason(&report, CheckId::ManifestSignature), Some(Reason::KeyUnknown));
        // Whoever kept a checkpoint knows more.
        let since = Log::sample().checkpoint(8);
        let request = AuditRequest { since: Some(&since), ..AuditRequest::default() };
        let report = audit_with(&other_log().whole(Some(&thief)), &[], request);
        let (id, verdict) = (CheckId::HistorySince, CheckVerdict::Fail);
        told(&report, id, verdict, Reason::ChainReplaced, Overall::Refused);
    }
    // Under the name and id of the right one.
    let mut files = other_log().whole(Some(&key("thief", 9)));
    let mut forged = note(&files);
    forged.signatures[0].name = "operator".parse().unwrap();
    forged.signatures[0].id = signer().verifying_key().id();
    files.insert("checkpoint".to_owned(), forged.to_string().into_bytes());
    list_anew(&mut files, Some(&key("thief", 9)));
    let report = fails(&files, CheckId::CheckpointSignature, Reason::SignatureBad);
    assert_eq!(reason(&report, CheckId::ManifestSignature), Some(Reason::KeyUnknown));
}

#[test]
fn events_in_another_order() {
    let files = with_events(|stored| stored.swap(4, 5));
    let report = fails(&files, CheckId::ChainSequence, Reason::Reordered);
    let row = report.row(CheckId::ChainSequence).unwrap();
    assert_eq!(row.reason, "event 5 stands before event 4, which it follows");
    for edit in [
        (|stored: &mut Vec<Vec<u8>>| stored.reverse()) as fn(&mut Vec<Vec<u8>>),
        |stored| stored.rotate_left(3),
        |stored| {
            let first = stored.remove(0);
            stored.push(first);
        },
    ] {
        fails(&with_events(edit), CheckId::ChainSequence, Reason::Reordered);
    }
}

#[test]
fn an_event_twice() {
    let files = with_events(|stored| stored.insert(6, stored[5].clone()));
    fails(&files, CheckId::ChainSequence, Reason::Duplicated);
}

#[test]
fn an_event_more() {
    let mut longer = Log::sample();
    longer.add("gate.verdict", Object::new());
    let last = longer.seal().0.pop().unwrap();
    let files = with_events(|stored| stored.push(last));
    let report = fails(&files, CheckId::ChainSequence, Reason::EventsAdded);
    assert_eq!(reason(&report, CheckId::ChainSegment), Some(Reason::SegmentDiffers));
}

#[test]
fn a_fork() {
    let files = whole();
    let since = other_log().checkpoint(12);
    let request = AuditRequest { since: Some(&since), ..AuditRequest::default() };
    let report = audit_with(&files, &trusted(&[&signer()]), request);
    let (id, verdict) = (CheckId::HistorySince, CheckVerdict::Fail);
    told(&report, id, verdict, Reason::Forked, Overall::Refused);
}

#[test]
fn an_old_export_shown_again() {
    let old = whole();
    let mut log = Log::sample();
    log.add("policy.refusal", super::maker::refused());
    let since = log.checkpoint(13);
    let request = AuditRequest { since: Some(&since), ..AuditRequest::default() };
    let report = audit_with(&old, &trusted(&[&signer()]), request);
    let (id, fail) = (CheckId::HistorySince, CheckVerdict::Fail);
    told(&report, id, fail, Reason::OlderThanKnown, Overall::Refused);
    // Without it nobody can tell, and the report says so.
    let report = audit(&old);
    let fresh = report.row(CheckId::Freshness).unwrap();
    assert_eq!(fresh.verdict, CheckVerdict::NotChecked);
    assert_eq!(fresh.reason, "nothing is known after event 11");
    assert_eq!(report.overall(), Overall::Verified);
    // A checkpoint of another log says nothing of this one.
    let mut since = log.checkpoint(12);
    since.origin = "carnet/other".to_owned();
    let request = AuditRequest { since: Some(&since), ..AuditRequest::default() };
    let report = audit_with(&old, &trusted(&[&signer()]), request);
    assert_eq!(reason(&report, id), Some(Reason::OtherLog));
}

#[test]
fn links_that_hold_over_hashes_that_do_not() {
    let files = with_events(|stored| {
        stored[5] = text(&stored[5]).replace("\"loss\"", "\"none\"").into_bytes();
    });
    let report = fails(&files, CheckId::EventsHash, Reason::HashWrong);
    let row = report.row(CheckId::EventsHash).unwrap();
    assert_eq!(row.reason, "event 5 was changed: its hash is that of other content");
    assert_eq!(verdict(&report, CheckId::ChainLinks), CheckVerdict::Pass);
    assert_eq!(verdict(&report, CheckId::ChainSequence), CheckVerdict::Pass);
    assert_eq!(reason(&report, CheckId::TreeRoot), Some(Reason::RootDiffers));
    assert_eq!(reason(&report, CheckId::ChainSegment), Some(Reason::SegmentDiffers));
}

#[test]
fn a_link_to_another_event() {
    let mut log = Log::sample();
    let other = log.seal().1[2];
    let mut stored = log.seal().0;
    let mut event = parsed(&stored[6]);
    event.insert("prev_hash".to_owned(), other.into());
    event.remove("event_hash");
    let hash = HashProfile::EcsHashV1.digest(&Value::Object(event.clone()));
    event.insert("event_hash".to_owned(), hash.into());
    stored[6] = HashProfile::EcsHashV1.canonical(&Value::Object(event)).into_bytes();
    log.chain_id = "chain-1".to_owned();
    let report =
        fails(&covered_up(&log, &stored, (0, 11)), CheckId::ChainLinks, Reason::LinkBroken);
    assert_eq!(verdict(&report, CheckId::EventsHash), CheckVerdict::Pass);
}

#[test]
fn bytes_that_are_no_event() {
    let changed = |from: &str, to: &str| {
        let (from, to) = (from.to_owned(), to.to_owned());
        with_events(move |stored| {
            let changed = text(&stored[4]).replacen(&from, &to, 1);
            assert_ne!(changed.as_bytes(), stored[4]);
            stored[4] = changed.into_bytes();
        })
    };
    for (from, to, word) in [
        ("\"actor\":", "\"actor\":\"x\",\"actor\":", Reason::DuplicateKey),
        ("\"sequence\":4", "\"sequence\":9007199254740992", Reason::IntegerRange),
        ("\"sequence\":4", "\"sequence\":4.0", Reason::Fraction),
        ("\"sequence\":4", "\"sequence\":4e0", Reason::Fraction),
        ("\"sequence\":4", "\"sequence\": 4", Reason::NotCanonical),
        ("\"tester\"", "\"\\u0074ester\"", Reason::NotCanonical),
        ("{\"actor\"", "{\"actor", Reason::NotJson),
        ("{\"actor\"", "[{\"actor\"", Reason::NotJson),
    ] {
        fails(&changed(from, to), CheckId::EventsForm, word);
    }
    let files = with_events(|stored| stored[4] = b"[]".to_vec());
    fails(&files, CheckId::EventsForm, Reason::NotJson);
    let files = with_events(|stored| stored.insert(4, Vec::new()));
    fails(&files, CheckId::EventsForm, Reason::NotJson);
    for size in [70_000, 3 << 20] {
        let files = with_events(|stored| stored[4] = vec![b'1'; size]);
        fails(&files, CheckId::EventsForm, Reason::TooLarge);
    }
    // A key out of order is another order of the same members.
    let files = with_events(|stored| {
        let event = text(&stored[4]);
        let (first, rest) = event[1..].split_once(',').unwrap();
        stored[4] = format!("{{{},{first}}}", rest.strip_suffix('}').unwrap()).into_bytes();
    });
    let report = fails(&files, CheckId::EventsForm, Reason::NotCanonical);
    assert_eq!(verdict(&report, CheckId::EventsHash), CheckVerdict::Pass);
}
