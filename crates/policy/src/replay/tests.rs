#![cfg(feature = "rego")]

use carnet_ledger::{Digest, Refusal, RefusalClass};
use carnet_model::policy::{PolicyDecision, PolicyReason};

use super::*;
use crate::Rego;
use crate::testing::{json, policy, timed};

fn evaluation(body: &str, input: &str) -> PolicyEvaluation {
    recorded(&policy(body), input)
}

fn recorded(policy: &carnet_model::policy::PolicyFiles, input: &str) -> PolicyEvaluation {
    let input = json(input);
    let question = PolicyQuestion { policy, input: &input };
    let answer = Rego.decide(&question).unwrap();
    PolicyEvaluation::of(&question, &answer)
}

/// What an event says that records this evaluation as it is.
fn said(evaluation: &PolicyEvaluation) -> PolicySaid {
    let refusal = evaluation.answer.refusal().map(|reason| Refusal {
        class: reason.class,
        code: reason.code,
        subject: reason.subject,
        reason: None,
    });
    PolicySaid { refusal }
}

fn replay(evaluation: &PolicyEvaluation, said: &PolicySaid) -> Replayed {
    Replayer(Rego).replay(&serde_json::to_vec(evaluation).unwrap(), said)
}

fn differs(evaluation: &PolicyEvaluation) {
    let came = replay(evaluation, &said(evaluation));
    assert!(matches!(came, Replayed::Other(_)), "{came:?} of {:?}", evaluation.answer);
}

const BODY: &str = r#"default allow := false
allow if count(deny) == 0
deny contains {
    "class": "policy_denied", "code": "c", "subject": "s", "message": "m", "remedy": "r",
} if input.x == 2"#;

#[test]
fn what_was_decided_is_decided_again() {
    for input in [r#"{"x":1}"#, r#"{"x":2}"#] {
        let recorded = evaluation(BODY, input);
        assert_eq!(replay(&recorded, &said(&recorded)), Replayed::Same, "{input}");
    }
    let silent = evaluation("allow if input.x == 1", "{}");
    assert_eq!(replay(&silent, &said(&silent)), Replayed::Same);
}

#[test]
fn a_result_that_was_changed_is_not_reached_again() {
    let allowed = evaluation(BODY, r#"{"x":1}"#);
    let denied = evaluation(BODY, r#"{"x":2}"#);
    let mut made_allowed = denied.clone();
    made_allowed.answer.decision = PolicyDecision::bare(PolicyVerdict::Allow);
    differs(&made_allowed);
    let mut made_denied = allowed.clone();
    made_denied.answer.decision = denied.answer.decision.clone();
    differs(&made_denied);
    for verdict in PolicyVerdict::ALL {
        let mut changed = allowed.clone();
        changed.answer.decision = PolicyDecision::bare(verdict);
        // A time-out cannot be told from a slow machine, and lets nothing pass.
        if !matches!(verdict, PolicyVerdict::Allow | PolicyVerdict::TimedOut) {
            differs(&changed);
        }
    }
    let mut other_reason = denied.clone();
    other_reason.answer.decision.reasons = vec![PolicyReason {
        code: "other".to_owned(),
        ..denied.answer.decision.reasons[0].clone()
    }];
    differs(&other_reason);
    let mut no_rules = allowed.clone();
    no_rules.answer.rules = 0;
    differs(&no_rules);
}

#[test]
fn what_was_asked_cannot_be_changed_either() {
    let allowed = evaluation(BODY, r#"{"x":1}"#);
    let mut other_input = allowed.clone();
    other_input.input = json(r#"{"x":2}"#);
    differs(&other_input);
    let mut other_module = allowed.clone();
    let text = other_module.files.get_mut("modules/m.rego").unwrap();
    *text = text.replace("== 2", "== 3");
    differs(&other_module);
    let mut other_snapshot = allowed.clone();
    other_snapshot.answer.snapshot = Digest::of(b"x");
    differs(&other_snapshot);
    let mut other_kind = allowed.clone();
    other_kind.kind = "something".to_owned();
    differs(&other_kind);
    let mut no_module = allowed;
    no_module.files.remove("modules/m.rego");
    differs(&no_module);
    let came = Replayer(Rego).replay(b"{}", &PolicySaid { refusal: None });
    assert!(matches!(came, Replayed::Other(_)));
}

#[test]
fn an_event_says_what_the_answer_says() {
    let (allowed, denied) = (evaluation(BODY, r#"{"x":1}"#), evaluation(BODY, r#"{"x":2}"#));
    let crossed = [(&allowed, said(&denied)), (&denied, said(&allowed))];
    for (recorded, said) in crossed {
        assert!(matches!(replay(recorded, &said), Replayed::Other(_)));
    }
    let refusal = said(&denied).refusal.unwrap();
    for other in [
        Refusal { class: RefusalClass::JurisdictionDenied, ..refusal.clone() },
        Refusal { code: "d".to_owned(), ..refusal.clone() },
        Refusal { subject: "t".to_owned(), ..refusal },
    ] {
        let said = PolicySaid { refusal: Some(other) };
        assert!(matches!(replay(&denied, &said), Replayed::Other(_)), "{said:?}");
    }
}

#[test]
fn time_alone_is_no_proof_of_anything() {
    let body = "allow if {\n\tsome i in numbers.range(1, 2000)\n\tsome j in numbers.range(1, 2000)\n\
                \ti * j == -1\n}";
    let slow = recorded(&timed(body, 20), "{}");
    assert_eq!(slow.answer.decision.verdict, PolicyVerdict::TimedOut);
    assert_eq!(replay(&slow, &said(&slow)), Replayed::Same);
    let mut quick = evaluation(BODY, r#"{"x":1}"#);
    quick.answer.decision = PolicyDecision::bare(PolicyVerdict::TimedOut);
    let came = replay(&quick, &said(&quick));
    assert!(matches!(came, Replayed::Unknown(_)), "{came:?}");
}
