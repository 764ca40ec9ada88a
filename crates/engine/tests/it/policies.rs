//! Policies under the engine: which are put in force, what of it a crash leaves and an undo takes
//! back, and what is recorded at each decision. The rules are a toy of the test; the real ones are
//! asked by `scenarios/policy.py`.

use carnet_connect::StoreError;
use carnet_ledger::{Event, EventType, Outcome, RefusalClass, Value};
use carnet_model::Code;
use carnet_model::policy::{
    EVALUATION_ACTION, PolicyAnswer, PolicyDecision, PolicyEvaluation, PolicyQuestion,
    PolicyReason, PolicyVerdict,
};

use super::capabilities::Bench;
use super::world::read;

/// The toy: the one module is a number, and allowed is what has it as `x`.
pub(super) fn toy(question: &PolicyQuestion<'_>) -> Result<PolicyAnswer, StoreError> {
    let module = question.policy.modules().values().next().unwrap();
    let Ok(number) = module.trim().parse::<i64>() else {
        return Err(StoreError::new(Code::POLICY_COMPILE, "no number").remedy("write one"));
    };
    let Value::Object(input) = question.input else { unreachable!("no object") };
    let allowed = input.get("x") == Some(&Value::try_from(number).unwrap());
    let reason = || PolicyReason {
        class: RefusalClass::JurisdictionDenied,
        code: "toy.other".to_owned(),
        subject: "x".to_owned(),
        message: "another number".to_owned(),
        remedy: "take the number".to_owned(),
    };
    let decision = if allowed {
        PolicyDecision::bare(PolicyVerdict::Allow)
    } else {
        PolicyDecision::new(PolicyVerdict::Deny, vec![reason()])
    };
    Ok(PolicyAnswer {
        snapshot: question.policy.snapshot().digest(),
        input: question.input_digest(),
        decision,
        rules: 1,
        problem: None,
        engine: "toy".to_owned(),
        duration_us: 1,
    })
}

const KEY: &str = "openpgp 0123456789ABCDEF0123456789ABCDEF01234567";

/// A policy of this number, in this folder; gives its digest.
fn policy(bench: &Bench, folder: &str, number: &str) -> String {
    std::fs::create_dir_all(bench.path(folder)).unwrap();
    bench.write(&format!("{folder}/m.rego"), number);
    let reason = r#"{"class":"jurisdiction_denied","code":"toy.other","subject":"x",
        "message":"another number","remedy":"take the number"}"#;
    let tests = format!(
        r#"{{"tests":[{{"name":"yes","input":{{"x":1}},"decision":{{"verdict":"allow"}}}},
        {{"name":"no","input":{{"x":2}},"decision":{{"verdict":"deny","reasons":[{reason}]}}}}]}}"#
    );
    bench.write(&format!("{folder}/self-tests.json"), &tests);
    let read = carnet_bundle::read_policy(&bench.path(folder)).unwrap();
    read.snapshot().digest().to_string()
}

fn named(bench: &Bench) {
    let authority = format!(
        r#"{{"owner":"lab","principals":[{{"keys":["{KEY}"],"principal":"ops@example.org","roles":["signer"]}}],"version":"carnet-authority-1"}}"#
    );
    bench.write("authority.json", &authority);
    bench.write("trust", &format!("ops@example.org {KEY}\n"));
}

/// The digest that a policy of this number has.
fn digest_of(number: &str) -> String {
    let any = "      - { name: w, capability: file.copy, with: { from: a, to: b } }\n";
    policy(&Bench::new(any), "rules", number)
}

/// A plan that puts the policy in `arrived` in force.
fn enforcing(number: &str, declared: Option<&str>) -> Bench {
    let digest = digest_of(number);
    let digest = declared.unwrap_or(&digest);
    let step = format!(
        "      - name: enforce\n        capability: policy.enforce\n        with: {{ snapshot: \
         arrived, sha256: \"{digest}\", authority: authority.json, trust: trust, place: policy }}\n"
    );
    let bench = Bench::new(&step);
    named(&bench);
    policy(&bench, "arrived", number);
    bench
}

const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

fn events(bench: &Bench, event_type: EventType) -> Vec<Event> {
    let (_, events) = read(&bench.state()).unwrap();
    events.into_iter().filter(|event| event.draft.event_type == event_type).collect()
}

fn refusals(bench: &Bench, event_type: EventType) -> Vec<(RefusalClass, String, String)> {
    let refused = events(bench, event_type).into_iter().filter_map(|it| match it.draft.outcome {
        Outcome::Refused(refusal) => Some((refusal.class, refusal.code, refusal.subject)),
        Outcome::Accepted | Outcome::Failed => None,
    });
    refused.collect()
}

#[test]
fn a_policy_is_in_force_or_not_wherever_it_is_cut_off() {
    for point in ["before/use/enforce", "policy/written", "policy/placed", "after/use/enforce"] {
        for older in [None, Some(format!("sha256:{ZEROS}\n"))] {
            let bench = enforcing("1", None);
            if let Some(older) = &older {
                std::fs::create_dir(bench.path("policy")).unwrap();
                bench.write("policy/current", older);
            }
            assert_eq!(bench.run("", true).unwrap().status, "done");
            assert_eq!(bench.text("policy/current"), older, "a dry run put something in force");
            assert_eq!(bench.status(&format!("{point}:1:crash")), "crashed", "{point}");
            bench.write("bad", "");
            assert_eq!(bench.status(""), "refused", "{point}");
            assert_eq!(bench.text("policy/current"), older, "{point}");
            assert!(!bench.path("policy/snapshots").exists(), "{point}");
            assert_eq!(bench.path("policy").exists(), older.is_some(), "{point}");
            std::fs::remove_file(bench.path("bad")).unwrap();
            assert_eq!(bench.status(&format!("{point}:1:crash")), "crashed", "{point}");
            assert_eq!(bench.status(""), "done", "{point}");
            let held = carnet_bundle::read_policy(&bench.path("policy")).unwrap();
            let arrived = carnet_bundle::read_policy(&bench.path("arrived")).unwrap();
            assert_eq!(held, arrived, "{point}");
            assert!(!events(&bench, EventType::AuthorityCheck).is_empty());
        }
    }
}

#[test]
fn a_policy_that_decides_otherwise_here_is_not_put_in_force() {
    let bench = enforcing("2", None);
    assert_eq!(bench.code(), "policy.self_test");
    let digest = carnet_bundle::read_policy(&bench.path("arrived")).unwrap().snapshot().digest();
    let said = refusals(&bench, EventType::PolicyRefusal);
    let subject = format!("sha256:{digest}");
    let wanted = (RefusalClass::EvidencePreconditionFailed, "policy.self_test".to_owned(), subject);
    assert!(said.contains(&wanted), "{said:?}");
    assert!(!bench.path("policy").exists());
}

#[test]
fn a_policy_that_does_not_compile_is_not_put_in_force() {
    let bench = enforcing("no number", None);
    assert_eq!(bench.code(), "policy.compile");
    let said = refusals(&bench, EventType::PolicyRefusal);
    let (class, code) = (RefusalClass::DependencyUnavailableFailClosed, "policy.compile");
    assert!(said.iter().any(|it| it.0 == class && it.1 == code), "{said:?}");
    assert!(!bench.path("policy").exists());
}

#[test]
fn an_unknown_authority_is_refused_with_its_event() {
    let bench = enforcing("1", None);
    bench.write("trust", &format!("jo@example.org {KEY}\n"));
    assert_eq!(bench.run("", true).unwrap().status, "refused", "a dry run shows the refusal");
    assert_eq!(bench.code(), "authority.unknown");
    let (class, code) = (RefusalClass::AuthorityMissingOrInvalid, "authority.unknown".to_owned());
    let said = refusals(&bench, EventType::AuthorityRefusal);
    assert!(said.contains(&(class, code, "ops@example.org".to_owned())), "{said:?}");
    assert!(!bench.path("policy").exists());
}

#[test]
fn another_policy_than_is_declared_is_not_put_in_force() {
    let bench = enforcing("1", Some(ZEROS));
    assert_eq!(bench.code(), "policy.damaged");
    assert!(!bench.path("policy").exists());
}

#[test]
fn what_somebody_else_put_in_force_stays() {
    let bench = enforcing("1", None);
    assert_eq!(bench.status("policy/placed:1:crash"), "crashed");
    bench.write("policy/current", "sha256:other\n");
    bench.write("bad", "");
    bench.run("", false).unwrap();
    assert_eq!(bench.text("policy/current").as_deref(), Some("sha256:other\n"));
}

#[test]
fn a_snapshot_is_written_whole_and_taken_back() {
    let step = "      - { name: write, capability: policy.snapshot, with: { policy: rules, into: out/it } }\n";
    for point in ["before/use/write", "policy/written", "after/use/write"] {
        let bench = Bench::new(step);
        let digest = policy(&bench, "rules", "1");
        assert_eq!(bench.status(&format!("{point}:1:crash")), "crashed", "{point}");
        bench.write("bad", "");
        assert_eq!(bench.status(""), "refused", "{point}");
        assert!(!bench.path("out").exists(), "{point}");
        std::fs::remove_file(bench.path("bad")).unwrap();
        assert_eq!(bench.status(""), "done", "{point}");
        let written = carnet_bundle::read_policy(&bench.path("out/it")).unwrap();
        assert_eq!(written.snapshot().digest().to_string(), digest);
    }
    let bench = Bench::new(step);
    policy(&bench, "rules", "2");
    assert_eq!(bench.code(), "policy.self_test");
    assert!(!bench.path("out").exists());
}

/// A plan whose gate asks the policy about `input.json`.
fn gated(digest: &str) -> Bench {
    let steps = format!(
        "      - {{ name: copy, capability: file.copy, with: {{ from: new, to: here }} }}\n    \
         entry:\n      - {{ gate: policy, with: {{ policy: rules, snapshot: \"{digest}\", input: \
         input.json }} }}\n      - {{ gate: authority, with: {{ authority: authority.json, trust: \
         trust }} }}\n"
    );
    let bench = Bench::new(&steps);
    policy(&bench, "rules", "1");
    named(&bench);
    bench.write("new", "new");
    bench.write("input.json", r#"{"x":1}"#);
    bench
}

#[test]
fn what_a_policy_decides_is_recorded_so_that_it_can_be_decided_again() {
    let digest = digest_of("1");
    let bench = gated(&digest);
    assert_eq!(bench.status(""), "done");
    let action = |it: &&Event| it.draft.action.as_deref() == Some(EVALUATION_ACTION);
    let decided = events(&bench, EventType::PolicyEvaluate);
    let decided: Vec<&Event> = decided.iter().filter(action).collect();
    assert_eq!(decided.len(), 1);
    let (log, _) = read(&bench.state()).unwrap();
    let object = log.object(decided[0].draft.evidence_pointer).unwrap();
    let evaluation: PolicyEvaluation = serde_json::from_slice(&object).unwrap();
    assert!(evaluation.answer.allows());
    let policy = evaluation.policy().unwrap();
    let again = toy(&PolicyQuestion { policy: &policy, input: &evaluation.input }).unwrap();
    assert_eq!(again.decision, evaluation.answer.decision);
    assert!(
        events(&bench, EventType::AuthorityCheck)
            .iter()
            .any(|it| { it.draft.action.as_deref() == Some("check_authority") })
    );
}

#[test]
fn what_a_policy_denies_is_refused_on_its_ground() {
    let digest = digest_of("1");
    let bench = gated(&digest);
    bench.write("input.json", r#"{"x":2}"#);
    let report = bench.run("", false).unwrap();
    let stop = report.stop.or(report.waits_for).unwrap();
    assert_eq!(
        (stop.class, stop.code.as_str()),
        (RefusalClass::JurisdictionDenied.name(), "policy.denied")
    );
    assert!(stop.reason.contains("toy.other") && stop.remedy == "take the number", "{stop:?}");
    let said = refusals(&bench, EventType::PolicyRefusal);
    let wanted = (RefusalClass::JurisdictionDenied, "toy.other".to_owned(), "x".to_owned());
    assert!(said.contains(&wanted), "{said:?}");
    assert!(!bench.path("here").exists());
    let bench = gated(ZEROS);
    assert_eq!(bench.code(), "gate.closed");
    let bench = gated(&digest);
    bench.write("trust", "");
    assert_eq!(bench.code(), "authority.unknown");
    let bench = gated(&digest);
    bench.write("input.json", r#"{"x":1.5}"#);
    assert_eq!(bench.code(), "gate.closed");
    assert!(!bench.path("here").exists());
}
