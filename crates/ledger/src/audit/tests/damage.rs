//! How bundles are damaged, and what is asked of the answer.

use super::maker::{Files, Log, events, key, lines};
use super::{audit, odd};
use crate::SigningKey;
use crate::audit::{CheckId, CheckVerdict, Overall, Reason, Report};

pub(super) fn signer() -> SigningKey {
    key("operator", 1)
}

pub(super) fn whole() -> Files {
    let files = Log::sample().whole(Some(&signer()));
    assert_eq!(audit(&files).overall(), Overall::Verified);
    files
}

/// What is said of a row after a whole bundle was damaged.
pub(super) fn told(
    report: &Report,
    id: CheckId,
    verdict: CheckVerdict,
    word: Reason,
    overall: Overall,
) {
    let row = report.row(id).unwrap();
    assert_eq!((row.verdict, row.reason_word), (verdict, Some(word)), "{row:?}\n{:?}", odd(report));
    assert_eq!(report.overall(), overall, "{:?}", odd(report));
}

pub(super) fn fails(files: &Files, id: CheckId, word: Reason) -> Report {
    let report = audit(files);
    told(&report, id, CheckVerdict::Fail, word, Overall::Refused);
    report
}

/// Damages the events as they stand, and nothing else.
pub(super) fn with_events(edit: impl FnOnce(&mut Vec<Vec<u8>>)) -> Files {
    let mut files = whole();
    let mut stored = events(&files);
    edit(&mut stored);
    files.insert("events.jsonl".to_owned(), lines(&stored));
    files
}

/// Damages the events, and covers it up as far as anybody can who has no key: every digest and
/// every document is made anew, and only signatures stay, or go.
pub(super) fn covered_up(log: &Log, stored: &[Vec<u8>], range: (usize, usize)) -> Files {
    let mut files = whole();
    files.insert("events.jsonl".to_owned(), lines(stored));
    log.finish(&mut files, range, None);
    files
}

pub(super) fn text(line: &[u8]) -> String {
    String::from_utf8(line.to_vec()).unwrap()
}
