//! What policies decided, decided again.

use super::*;
use crate::audit::replay::EVALUATE;
use crate::digest::Digest;
use maker::object;

/// Believes objects that say so, and cannot tell of those that say that.
#[derive(Debug)]
struct ByItsWord;

impl PolicyReplayer for ByItsWord {
    fn replay(&self, object: &[u8], said: &PolicySaid) -> Replayed {
        match (object, &said.refusal) {
            (b"allows", None) => Replayed::Same,
            (b"denies", Some(refusal)) if refusal.code == "c" => Replayed::Same,
            (b"time", _) => Replayed::Unknown("time decides".to_owned()),
            _ => Replayed::Other("another decision".to_owned()),
        }
    }
}

/// A log in which policies gave these answers, each an object that is allowed or refused.
fn log(answers: &[(&[u8], bool)]) -> Log {
    let mut log = Log::sample();
    for (bytes, allowed) in answers {
        let digest = Digest::of(bytes);
        log.objects.insert(digest, bytes.to_vec());
        let mut members = object([
            ("action", EVALUATE.into()),
            ("evidence_pointer", format!("eosc://evidence/sha256:{digest}").into()),
        ]);
        let event_type = if *allowed { "policy.evaluate" } else { "policy.refusal" };
        if !*allowed {
            members.extend(object([
                ("outcome", "refused".into()),
                ("refusal_reason_class", "policy_denied".into()),
                ("refusal_reason_code", "c".into()),
                ("refusal_subject", "s".into()),
            ]));
        }
        log.add(event_type, members);
    }
    log.add("evidence.export", crate::Object::new());
    log
}

fn row(log: &Log, replayer: Option<&dyn PolicyReplayer>) -> (CheckVerdict, String, Overall) {
    let files = log.whole(Some(&key("operator", 1)));
    let request = AuditRequest { replayer, ..AuditRequest::default() };
    let report = audit_with(&files, &trusted(&[&key("operator", 1)]), request);
    let row = report.row(CheckId::PolicyReplay).unwrap();
    (row.verdict, row.reason.clone(), report.overall())
}

#[test]
fn what_is_decided_again_passes_and_nothing_else_does() {
    let by = |answers: &[(&[u8], bool)]| row(&log(answers), Some(&ByItsWord));
    let (verdict, reason, overall) = by(&[(b"allows", true), (b"denies", false)]);
    assert_eq!((verdict, overall), (CheckVerdict::Pass, Overall::Verified), "{reason}");
    assert_eq!(reason, "2 decisions of policies reached again");
    for wrong in [(b"other".as_slice(), true), (b"denies", true), (b"allows", false)] {
        let (verdict, reason, overall) = by(&[(b"allows", true), wrong]);
        assert_eq!((verdict, overall), (CheckVerdict::Fail, Overall::Refused));
        assert_eq!(reason, "event 13: policy result not reproducible: another decision");
    }
    let (verdict, _, overall) = by(&[(b"time", false)]);
    assert_eq!((verdict, overall), (CheckVerdict::NotChecked, Overall::Incomplete));
    let (verdict, reason, _) = by(&[(b"allows", true), (b"time", false)]);
    assert_eq!(verdict, CheckVerdict::Pass, "{reason}");
}

#[test]
fn decisions_that_nobody_evaluates_again_are_not_checked() {
    let (verdict, _, overall) = row(&log(&[(b"allows", true)]), None);
    assert_eq!((verdict, overall), (CheckVerdict::NotChecked, Overall::Incomplete));
    let (verdict, _, overall) = row(&log(&[]), None);
    assert_eq!((verdict, overall), (CheckVerdict::NotApplicable, Overall::Verified));
    let (verdict, _, _) = row(&log(&[]), Some(&ByItsWord));
    assert_eq!(verdict, CheckVerdict::NotApplicable);
}
