use serde_json::json;

use super::*;

fn terms() -> Value {
    json!({
        "notice_date": "2026-01-01T00:00:00+01:00",
        "transition_starts": "2026-03-01T00:00:00+01:00",
        "transition_deadline": "2026-03-31T00:00:00+01:00",
        "retrieval_until": "2026-04-30T00:00:00+01:00",
        "erasure_due": "2026-05-14T00:00:00+01:00",
    })
}

/// The places of what is wrong.
fn wrong(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut value = terms();
    change(&mut value);
    let errors = Terms::read_value(&value).err().unwrap_or_default();
    errors.into_iter().map(|it| it.pointer).collect()
}

#[test]
fn the_bounds_of_the_law_are_taken_to_the_second_and_not_beyond() {
    assert!(wrong(|_| {}).is_empty());
    // Two months from 1 January in its own offset end on 1 March, 00:00.
    let moved = |key: &'static str, to: &'static str| wrong(move |it| it[key] = json!(to));
    assert_eq!(moved("transition_starts", "2026-03-01T00:00:01+01:00"), ["/transition_starts"],);
    assert_eq!(
        moved("transition_deadline", "2026-03-31T00:00:01+01:00"),
        ["/transition_deadline", "/retrieval_until"],
    );
    assert_eq!(moved("retrieval_until", "2026-04-29T23:59:59+01:00"), ["/retrieval_until"]);
    assert_eq!(moved("erasure_due", "2026-04-29T23:59:59+01:00"), ["/erasure_due"]);
}

#[test]
fn months_are_counted_where_the_notice_was_written() {
    // In UTC this notice is of 28 February, and two months later would be 28 April, 23:00.
    let kept = wrong(|it| {
        it["notice_date"] = json!("2026-03-01T00:00:00+01:00");
        it["transition_starts"] = json!("2026-05-01T00:00:00+01:00");
        it["transition_deadline"] = json!("2026-05-31T00:00:00+01:00");
        it["retrieval_until"] = json!("2026-06-30T00:00:00+01:00");
        it["erasure_due"] = json!("2026-07-14T00:00:00+01:00");
    });
    assert!(kept.is_empty(), "{kept:?}");
}

#[test]
fn a_longer_transition_needs_a_reason_and_ends_after_seven_months() {
    let longer = |because: Option<&str>, until: &str| {
        let (because, until) = (because.map(str::to_owned), until.to_owned());
        wrong(move |it| {
            if let Some(because) = because {
                it["longer_because"] = json!(because);
            }
            it["transition_deadline"] = json!(until);
            it["retrieval_until"] = json!("2026-12-31T00:00:00+01:00");
            it["erasure_due"] = json!("2027-01-31T00:00:00+01:00");
        })
    };
    assert_eq!(longer(None, "2026-10-01T00:00:00+01:00"), ["/transition_deadline"]);
    assert!(longer(Some("800 TB"), "2026-10-01T00:00:00+01:00").is_empty());
    let late = longer(Some("800 TB"), "2026-10-01T00:00:01+01:00");
    assert_eq!(late, ["/transition_deadline"]);
    let asked = wrong(|it| {
        it["extended_by_customer"] = json!("our own release comes first");
        it["transition_deadline"] = json!("2027-03-31T00:00:00+01:00");
        it["retrieval_until"] = json!("2027-04-30T00:00:00+01:00");
        it["erasure_due"] = json!("2027-05-14T00:00:00+01:00");
    });
    assert!(asked.is_empty(), "{asked:?}");
}

#[test]
fn order_and_form_are_checked() {
    let swapped = wrong(|it| {
        it["notice_date"] = json!("2026-03-02T00:00:00+01:00");
    });
    assert_eq!(swapped, ["/transition_starts"]);
    for bad in ["2026-01-01", "2026-01-01T00:00:00", "2026-02-30T00:00:00Z", "soon"] {
        assert!(!wrong(|it| it["notice_date"] = json!(bad)).is_empty(), "{bad}");
    }
    assert_eq!(wrong(|it| it["due"] = json!("x")), ["/due"]);
}

#[test]
fn days_left_are_whole_and_below_zero_once_past() {
    let terms = Terms::read_value(&terms()).unwrap();
    let at = terms.transition_deadline.unix_seconds();
    let left = |now_s| {
        let left = terms.left(now_s);
        assert_eq!(left.len(), TermName::ALL.len());
        left.iter().find(|it| it.term == TermName::TransitionDeadline).unwrap().days_left
    };
    assert_eq!(left(at), 0);
    assert_eq!(left(at - DAY_S), 1);
    assert_eq!(left(at - DAY_S + 1), 0);
    assert_eq!(left(at + 1), -1);
}
