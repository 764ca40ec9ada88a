use std::collections::BTreeMap;

use carnet_ledger::trust::TrustFile;
use carnet_ledger::{Digest, EventTime};

use super::*;
use carnet_document::Code;

const MODULE: &str = "package carnet.admission\n\nallow := true\n";

fn tests(verdicts: &[(&str, &str)]) -> Vec<u8> {
    let one = |(name, verdict): &(&str, &str)| {
        format!(r#"{{"name":"{name}","input":{{}},"decision":{{"verdict":"{verdict}"}}}}"#)
    };
    let all: Vec<String> = verdicts.iter().map(one).collect();
    format!(r#"{{"tests":[{}]}}"#, all.join(",")).into_bytes()
}

fn made(
    definition: PolicyDefinition,
    modules: &[(&str, &str)],
    self_tests: &[(&str, &str)],
) -> Result<PolicyFiles, PolicyError> {
    let modules: BTreeMap<String, String> =
        modules.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    PolicyFiles::of(definition, modules, Some(b"{}".to_vec()), tests(self_tests))
}

fn whole() -> PolicyFiles {
    let both = [("yes", "allow"), ("no", "deny")];
    made(PolicyDefinition::default(), &[("a/m.rego", MODULE)], &both).unwrap()
}

#[test]
fn a_snapshot_is_read_as_it_was_written_and_named_by_its_bytes() {
    let policy = whole();
    let files = policy.files();
    assert_eq!(PolicyFiles::read(&files).unwrap(), policy);
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(names, ["data.json", "modules/a/m.rego", "self-tests.json", "snapshot.json"]);
    assert_eq!(Digest::of(&files["snapshot.json"]), policy.snapshot().digest());
    let text = std::str::from_utf8(&files["snapshot.json"]).unwrap();
    assert!(text.starts_with(r#"{"builtins":["abs","#), "{text}");
}

#[test]
fn a_file_that_is_changed_missing_or_added_is_told() {
    let files = whole().files();
    for name in files.keys() {
        let mut changed = files.clone();
        changed.get_mut(name).unwrap().push(b' ');
        let error = PolicyFiles::read(&changed).unwrap_err();
        let wanted = if name == SNAPSHOT { Code::POLICY_MALFORMED } else { Code::POLICY_DAMAGED };
        assert_eq!(error.code(), wanted, "{name}: {error}");
        let mut missing = files.clone();
        missing.remove(name);
        let error = PolicyFiles::read(&missing).unwrap_err();
        assert_eq!(error, PolicyError::Missing { file: name.clone() });
    }
    let mut added = files;
    added.insert("modules/more.rego".to_owned(), MODULE.into());
    let error = PolicyFiles::read(&added).unwrap_err();
    assert_eq!(error, PolicyError::Added { file: "modules/more.rego".to_owned() });
}

#[test]
fn a_document_that_is_no_snapshot_is_refused() {
    let snapshot = whole().snapshot().clone();
    let read = |change: &dyn Fn(&mut PolicySnapshot)| {
        let mut changed = snapshot.clone();
        change(&mut changed);
        PolicySnapshot::read(&changed.bytes()).map_err(|error| error.code())
    };
    assert_eq!(read(&|_| {}), Ok(snapshot.clone()));
    let malformed = Err(Code::POLICY_MALFORMED);
    assert_eq!(read(&|it| "carnet-policy-2".clone_into(&mut it.version)), malformed);
    assert_eq!(read(&|it| "rego-v0".clone_into(&mut it.language)), malformed);
    assert_eq!(read(&|it| it.builtins.push("time.now_ns".to_owned())), malformed);
    assert_eq!(read(&|it| it.builtins.swap(0, 1)), malformed);
    assert_eq!(read(&|it| it.modules.clear()), malformed);
    assert_eq!(read(&|it| it.limits.time_ms = 0), malformed);
    assert_eq!(read(&|it| it.limits.time_ms = 30_001), Err(Code::POLICY_LIMIT));
    for entry in ["", "data", "data.", "carnet.admission", "data.a-b", "data.a[0]", "data.1"] {
        assert_eq!(read(&|it| entry.clone_into(&mut it.entry)), malformed, "{entry}");
    }
    for path in ["../m.rego", "/m.rego", "m", "a//m.rego", ".m.rego", "a\\m.rego", "ä.rego"] {
        let change = |it: &mut PolicySnapshot| {
            it.modules.insert(path.to_owned(), Digest::of(b"x"));
        };
        assert_eq!(read(&change), malformed, "{path}");
    }
    let pretty = serde_json::to_vec_pretty(&snapshot).unwrap();
    assert!(PolicySnapshot::read(&pretty).is_err());
}

#[test]
fn self_tests_that_could_not_turn_red_are_refused() {
    let refused = |self_tests: &[(&str, &str)]| {
        made(PolicyDefinition::default(), &[("m.rego", MODULE)], self_tests).unwrap_err().code()
    };
    let code = Code::POLICY_SELF_TEST;
    assert_eq!(refused(&[]), code);
    assert_eq!(refused(&[("yes", "allow")]), code);
    assert_eq!(refused(&[("no", "deny"), ("too", "undefined")]), code);
    assert_eq!(refused(&[("same", "allow"), ("same", "deny")]), code);
    assert_eq!(refused(&[("yes", "allow"), ("slow", "timed_out")]), code);
    assert_eq!(refused(&[("yes", "allow"), ("no", "perhaps")]), Code::POLICY_MALFORMED);
}

#[test]
fn what_is_larger_than_its_limits_is_refused() {
    let both = [("yes", "allow"), ("no", "deny")];
    let limits = |change: fn(&mut PolicyLimits)| {
        let mut definition = PolicyDefinition::default();
        change(&mut definition.limits);
        made(definition, &[("m.rego", MODULE)], &both).map(|_| ()).map_err(|it| it.code())
    };
    assert_eq!(limits(|_| {}), Ok(()));
    assert_eq!(limits(|it| it.modules_bytes = 10), Err(Code::POLICY_LIMIT));
    assert_eq!(limits(|it| it.data_bytes = 1), Err(Code::POLICY_LIMIT));
    assert_eq!(limits(|it| it.memory_bytes = 1 << 31), Err(Code::POLICY_LIMIT));
}

fn answer(verdict: PolicyVerdict, rules: u64) -> PolicyAnswer {
    PolicyAnswer {
        snapshot: Digest::of(b"s"),
        input: Digest::of(b"i"),
        decision: PolicyDecision::bare(verdict),
        rules,
        problem: None,
        engine: "test".to_owned(),
        duration_us: 1,
    }
}

#[test]
fn only_allow_by_a_rule_allows_and_all_else_has_a_reason() {
    for verdict in PolicyVerdict::ALL {
        for rules in [0, 1] {
            let answer = answer(verdict, rules);
            let allows = verdict == PolicyVerdict::Allow && rules == 1;
            assert_eq!(answer.allows(), allows, "{verdict} {rules}");
            assert_eq!(answer.refusal().is_none(), allows);
            let whole = |it: &PolicyReason| !it.code.is_empty() && !it.remedy.is_empty();
            assert!(allows || answer.refusal().as_ref().is_some_and(whole));
        }
    }
}

const KEY: &str = "openpgp 0123456789ABCDEF0123456789ABCDEF01234567";

fn authority() -> AuthoritySnapshot {
    AuthoritySnapshot {
        version: AUTHORITY_VERSION.to_owned(),
        owner: "lab".to_owned(),
        principals: vec![Principal {
            principal: "ops@example.org".to_owned(),
            roles: vec![Role::Signer],
            keys: vec![AuthorityKey(KEY.to_owned())],
        }],
    }
}

#[test]
fn who_has_authority_is_known_by_name_key_and_time_or_not() {
    let now = EventTime::from_unix_millis(1_800_000_000_000).unwrap();
    let standing = |trust: &str| {
        let trust = TrustFile::parse(trust.as_bytes()).unwrap();
        authority().standing(&trust, now).remove(0).standing
    };
    assert_eq!(standing(&format!("ops@example.org {KEY}\n")), KeyStanding::Known);
    assert_eq!(standing(&format!("*@example.org {KEY}\n")), KeyStanding::Known);
    assert_eq!(standing(""), KeyStanding::Unknown);
    assert_eq!(
        standing(&format!("ops@example.org {}\n", KEY.replace("012", "112"))),
        KeyStanding::Unknown
    );
    assert_eq!(standing(&format!("jo@example.org {KEY}\n")), KeyStanding::OtherPrincipal);
    let late = format!("ops@example.org valid-before=\"20200101Z\" {KEY}\n");
    assert_eq!(standing(&late), KeyStanding::NotValid);
    let both = format!("{late}ops@example.org {KEY}\n");
    assert_eq!(standing(&both), KeyStanding::Known);
}

#[test]
fn an_authority_snapshot_names_somebody_by_a_key() {
    let read = |change: &dyn Fn(&mut AuthoritySnapshot)| {
        let mut changed = authority();
        change(&mut changed);
        AuthoritySnapshot::read(&changed.bytes()).map_err(|error| error.code())
    };
    assert_eq!(read(&|_| {}), Ok(authority()));
    let malformed = Err(Code::POLICY_MALFORMED);
    assert_eq!(read(&|it| it.principals.clear()), malformed);
    assert_eq!(read(&|it| it.principals[0].keys.clear()), malformed);
    assert_eq!(read(&|it| it.principals[0].roles.clear()), malformed);
    assert_eq!(read(&|it| it.principals[0].keys[0].0 = "a key".to_owned()), malformed);
    assert_eq!(read(&|it| it.principals[0].keys[0].0.push_str("\n* x y")), malformed);
    assert_eq!(read(&|it| it.principals.push(it.principals[0].clone())), malformed);
    assert_eq!(read(&|it| it.version.push('0')), malformed);
    assert!(AuthoritySnapshot::read(&serde_json::to_vec_pretty(&authority()).unwrap()).is_err());
}
