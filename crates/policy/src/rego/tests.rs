use carnet_ledger::RefusalClass;
use carnet_model::policy::{PolicyDecision, PolicyLimits, PolicyReason};
use proptest::prelude::*;

use super::*;
use crate::testing::{json, policy, timed, try_policy};

fn ask(policy: &PolicyFiles, input: &str) -> PolicyAnswer {
    Rego.decide(&PolicyQuestion { policy, input: &json(input) }).unwrap()
}

fn refused(body: &str) -> Code {
    Rego.compile(&policy(body)).unwrap_err().code
}

const DENY: &str = r#"deny contains {
    "class": "jurisdiction_denied", "code": "c", "subject": input.s, "message": "m", "remedy": "r",
} if input.s"#;

#[test]
fn only_true_without_a_reason_by_a_rule_is_allowed() {
    let cases = [
        ("allow if input.x == 1", r#"{"x":1}"#, PolicyVerdict::Allow),
        ("allow := true", "{}", PolicyVerdict::Allow),
        ("default allow := false\nallow if input.x == 1", "{}", PolicyVerdict::Deny),
        ("allow if input.x == 1", r#"{"x":2}"#, PolicyVerdict::Undefined),
        ("allow if input.x == 1", "{}", PolicyVerdict::Undefined),
        ("deny contains 1 if input.x", "{}", PolicyVerdict::Undefined),
        ("default allow := true", "{}", PolicyVerdict::NoRules),
        ("other := true", "{}", PolicyVerdict::NoRules),
        (r#"allow := "yes""#, "{}", PolicyVerdict::Error),
        ("allow := 1", "{}", PolicyVerdict::Error),
        ("allow := true\ndeny := [1]", "{}", PolicyVerdict::Error),
        ("allow := true\ndeny contains 1", "{}", PolicyVerdict::Error),
        (
            r#"allow := true
            deny contains {"code": "c"}"#,
            "{}",
            PolicyVerdict::Error,
        ),
        (
            r#"allow := true
            deny contains {"class": "no_such", "code": "c", "subject": "s", "message": "m", "remedy": "r"}"#,
            "{}",
            PolicyVerdict::Error,
        ),
        (
            r#"allow := true
            deny contains {"class": "policy_denied", "code": "c", "subject": "", "message": "m", "remedy": "r"}"#,
            "{}",
            PolicyVerdict::Error,
        ),
        // An error in a builtin is no missing value, also not under `not`.
        (r#"allow if to_number("x") == 1"#, "{}", PolicyVerdict::Error),
        (r#"allow if not to_number("x") == 1"#, "{}", PolicyVerdict::Error),
        ("allow := 1 if input.x\nallow := 2 if input.x", r#"{"x":1}"#, PolicyVerdict::Error),
        ("a if b\nb if a\nallow if a", "{}", PolicyVerdict::Error),
    ];
    for (body, input, wanted) in cases {
        let answer = ask(&policy(body), input);
        assert_eq!(answer.decision.verdict, wanted, "{body}: {answer:?}");
        assert_eq!(answer.allows(), wanted == PolicyVerdict::Allow, "{body}: {answer:?}");
        assert_eq!(answer.refusal().is_none(), answer.allows(), "{body}");
    }
}

#[test]
fn reasons_are_sorted_and_each_stands_once() {
    let body = format!("allow := true\n{DENY}\n{}", DENY.replace("\"c\"", "\"b\""));
    let answer = ask(&policy(&format!("{body}\n{DENY}")), r#"{"s":"t"}"#);
    assert_eq!(answer.decision.verdict, PolicyVerdict::Deny);
    let codes: Vec<&str> = answer.decision.reasons.iter().map(|it| it.code.as_str()).collect();
    assert_eq!(codes, ["b", "c"]);
    assert_eq!(answer.refusal().unwrap().class, RefusalClass::JurisdictionDenied);
    assert!(!answer.allows() && answer.rules == 4, "{answer:?}");
    assert!(ask(&policy(&body), "{}").allows());
}

#[test]
fn rules_are_counted_as_they_are_evaluated() {
    let body =
        "allow if {\n\tinput.x == 1\n\thelp(input.x)\n}\n\nhelp(x) if x > 0\n\nidle if input.y";
    assert_eq!(ask(&policy(body), r#"{"x":1}"#).rules, 2);
    assert_eq!(ask(&policy(body), r#"{"x":2}"#).rules, 1);
}

#[test]
fn what_takes_too_long_is_cut_off() {
    let body = "allow if {\n\tsome i in numbers.range(1, 3000)\n\tsome j in numbers.range(1, 3000)\n\
                \ti * j == -1\n}";
    let answer = ask(&timed(body, 50), "{}");
    assert_eq!(answer.decision, PolicyDecision::bare(PolicyVerdict::TimedOut));
    assert_eq!(answer.code(), Code::POLICY_UNDECIDED);
}

#[test]
fn what_knows_more_than_it_is_told_does_not_compile() {
    for call in [
        "time.now_ns() > 0",
        r#"rand.intn("x", 5) == 1"#,
        r#"http.send({"method": "get", "url": "http://h"}).status_code == 200"#,
        "opa.runtime().env",
        r#"uuid.rfc4122("x") == "y""#,
        r#"net.lookup_ip_addr("h")"#,
        r#"print("x")"#,
        r#"trace("x")"#,
        "bits.lsh(1, 100000) > 0",
        "no_such_function(1)",
        "count([1 | rand.intn(\"x\", 5) == 1]) > 0",
        "some x in [rand.intn(\"x\", 2)]",
        "every x in [time.now_ns()] { x > 0 }",
        r#"{"a": time.now_ns()}.a > 0"#,
        "count(input.x) == 1 with count as rand.intn",
        "f(1) with data.carnet.admission.f as time.now_ns",
    ] {
        let body = format!("f(x) := x\nallow if {{ {call} }}");
        assert_eq!(refused(&body), Code::POLICY_BUILTIN, "{call}");
        let body = format!("f(x) := x\nallow := true\nunused if {{ {call} }}");
        assert_eq!(refused(&body), Code::POLICY_BUILTIN, "{call}, never evaluated");
    }
    for call in [
        "count(input.x) == 1 with input.x as [1]",
        "f(1) == 1",
        "data.carnet.admission.f(1) == 1",
        "lib.g(1) == 1",
        "renamed(1) == 1",
        "count(set()) == 0",
        r#"sprintf("%d", [1]) == "1""#,
    ] {
        let text = format!(
            "package carnet.admission\nimport data.other.lib\nimport data.other.lib.g as renamed\n\
             f(x) := x\nallow if {{ {call} }}"
        );
        let modules = [("m.rego", text.as_str()), ("lib.rego", "package other.lib\ng(x) := x\n")];
        let policy = try_policy(&modules, PolicyLimits::default()).unwrap();
        let answer = Rego.decide(&PolicyQuestion { policy: &policy, input: &json("{}") });
        assert!(answer.as_ref().is_ok_and(PolicyAnswer::allows), "{call}: {answer:?}");
    }
}

#[test]
fn what_is_no_policy_does_not_compile() {
    for body in
        ["allow if {", "allow if x > 1", "this is not rego", "allow = 1 {", "import nothing"]
    {
        let failure = Rego.compile(&policy(body)).unwrap_err();
        assert_eq!(failure.code, Code::POLICY_COMPILE, "{body}");
        assert!(!failure.what.contains('\n') && !failure.remedy.is_empty(), "{failure:?}");
    }
}

#[test]
fn what_is_too_large_is_not_asked() {
    let limits = PolicyLimits { modules_bytes: 40, ..PolicyLimits::default() };
    let text = "package carnet.admission\n\nallow if input.x == 1\n";
    assert_eq!(try_policy(&[("m.rego", text)], limits).unwrap_err().code(), Code::POLICY_LIMIT);
    let limits = PolicyLimits { input_bytes: 10, reasons: 1, ..PolicyLimits::default() };
    let body = format!("{text}{}", DENY.replace("input.s", "input.t[_]"));
    let policy = try_policy(&[("m.rego", &body)], limits).unwrap();
    let large = json(r#"{"x":"0123456789"}"#);
    let failure = Rego.decide(&PolicyQuestion { policy: &policy, input: &large }).unwrap_err();
    assert_eq!(failure.code, Code::POLICY_LIMIT);
    let limits = PolicyLimits { reasons: 1, ..PolicyLimits::default() };
    let policy = try_policy(&[("m.rego", &body)], limits).unwrap();
    let input = json(r#"{"t":["a","b"]}"#);
    let answer = Rego.decide(&PolicyQuestion { policy: &policy, input: &input }).unwrap();
    assert_eq!(answer.decision.verdict, PolicyVerdict::Error, "{answer:?}");
}

#[test]
fn self_tests_hold_or_are_told() {
    let good = policy("default allow := false\nallow if input.x == 1");
    let results = Rego.self_test(&good).unwrap();
    assert!(
        results.len() == 2 && results.iter().all(carnet_model::policy::SelfTestResult::holds),
        "{results:?}"
    );
    let bad = policy("default allow := false\nallow if input.x == 2");
    let results = Rego.self_test(&bad).unwrap();
    assert!(results.iter().all(|it| !it.holds()), "{results:?}");
    assert!(results[0].told().contains("\"yes\" must be allow, and is deny"), "{results:?}");
}

#[test]
fn the_version_in_the_evidence_is_that_of_the_engine() {
    let lock = include_str!("../../../../Cargo.lock");
    let (name, version) = ENGINE.split_once(' ').unwrap();
    assert!(lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"\n")), "{ENGINE}");
    assert_eq!(name, carnet_model::policy::PolicySnapshot::ENGINE);
}

/// Parts that modules are put together from, right and wrong ones.
fn part() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "input.x",
        "input.y[_]",
        "data.ok",
        "1",
        "-1",
        "\"a\"",
        "true",
        "null",
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
        "==",
        ":=",
        "=",
        "!=",
        "not",
        "some i in",
        "every x in",
        "if",
        "contains",
        "else",
        "count(",
        "sum(",
        "to_number(",
        "sprintf(\"%d\", [",
        "\n",
        "with",
        "as",
        "|",
        "/",
        "%",
        "in",
        ",",
        ":",
        "import",
        "package p",
        "#",
        "`",
        "\"",
        "\\",
        "é",
        "_",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever modules and inputs are, nothing panics, and nothing passes but what a module that
    /// says so allows.
    #[test]
    fn nothing_passes_by_accident(parts in prop::collection::vec(part(), 0..24), x in any::<i32>()) {
        let body = parts.join(" ");
        let text = format!("package carnet.admission\n\nallow if {{ false }}\n\nhelper if {{ {body} }}\n");
        let policy = try_policy(&[("m.rego", &text)], PolicyLimits { time_ms: 200, ..PolicyLimits::default() });
        let policy = policy.unwrap();
        let input = json(&format!(r#"{{"x":{x},"y":[{x}]}}"#));
        if let Ok(answer) = Rego.decide(&PolicyQuestion { policy: &policy, input: &input }) {
            prop_assert!(!answer.allows(), "{text}: {answer:?}");
            let again = Rego.decide(&PolicyQuestion { policy: &policy, input: &input }).unwrap();
            prop_assert_eq!(again.decision, answer.decision);
        }
    }
}

fn reason(class: RefusalClass, code: &str) -> PolicyReason {
    let text = |text: &str| text.to_owned();
    PolicyReason {
        class,
        code: text(code),
        subject: text("s"),
        message: text("m"),
        remedy: text("r"),
    }
}

#[test]
fn the_order_of_reasons_is_that_of_their_words() {
    let reasons = vec![
        reason(RefusalClass::PolicyDenied, "b"),
        reason(RefusalClass::JurisdictionDenied, "z"),
        reason(RefusalClass::PolicyDenied, "a"),
        reason(RefusalClass::PolicyDenied, "a"),
    ];
    let decision = PolicyDecision::new(PolicyVerdict::Deny, reasons);
    let codes: Vec<&str> = decision.reasons.iter().map(|it| it.code.as_str()).collect();
    assert_eq!(codes, ["z", "a", "b"]);
}
