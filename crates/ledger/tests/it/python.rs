//! `ecs-hash-v1` against Python's `json.dumps`, which the reference adapter uses.

use std::io::Write as _;
use std::process::{Command, Stdio};

use carnet_ledger::{HashProfile, Value};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

const SCRIPT: &str = r"
import json, sys
for line in sys.stdin:
    print(json.dumps(json.loads(line), sort_keys=True, separators=(',', ':'), ensure_ascii=True))
";

#[expect(clippy::disallowed_methods, reason = "the test environment says where Python is")]
fn python() -> String {
    std::env::var("CARNET_TEST_PYTHON")
        .expect("CARNET_TEST_PYTHON is not set: run the tests with ./test")
}

/// Any value, as JSON text on one line.
fn any_text() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        (-9_007_199_254_740_991..=9_007_199_254_740_991i64).prop_map(Into::into),
        any::<String>().prop_map(Into::into),
        "[\\x00-\\x7f]{0,8}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::vec((any::<String>(), inner), 0..6)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

#[test]
fn a_thousand_values_have_the_bytes_of_python() {
    let mut runner = TestRunner::deterministic();
    let mut texts: Vec<String> = (0..1_000)
        .map(|_| any_text().new_tree(&mut runner).unwrap().current().to_string())
        .collect();
    // Every ASCII character, and the keys whose UTF-16 order differs.
    let ascii: String = (0..=0x7fu8).map(char::from).collect();
    texts.push(serde_json::json!({ "\u{ff61}": ascii, "\u{1f600}": 1, "z": 2 }).to_string());

    let mut child = Command::new(python())
        .args(["-c", SCRIPT])
        .env("PYTHONIOENCODING", "utf-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = texts.join("\n");
    let feeder = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    assert!(output.status.success());

    let theirs = String::from_utf8(output.stdout).unwrap();
    assert_eq!(theirs.lines().count(), texts.len());
    for (text, theirs) in texts.iter().zip(theirs.lines()) {
        let value = Value::parse(text.as_bytes(), 1 << 20).unwrap();
        assert_eq!(HashProfile::EcsHashV1.canonical(&value), theirs);
    }
}
