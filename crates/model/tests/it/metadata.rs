//! Canonical numbers against exact decimal arithmetic in Python.

use std::io::Write as _;
use std::process::{Command, Stdio};

use carnet_model::{MetadataError, canonical_metadata};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

/// The rule as `docs/formats.md` states it, with Python's `decimal` for the exact value and its
/// `repr` for the shortest digits of a double; only their layout is ECMAScript's.
const SCRIPT: &str = r"
import decimal, math, sys
decimal.getcontext().prec = 5000

def ecmascript(f):
    sign, digits, exponent = decimal.Decimal(repr(f)).as_tuple()
    digits = ''.join(map(str, digits))
    stripped = digits.rstrip('0')
    exponent += len(digits) - len(stripped)
    digits, point = stripped, len(stripped) + exponent
    if len(digits) <= point <= 21:
        text = digits + '0' * (point - len(digits))
    elif 0 < point <= 21:
        text = digits[:point] + '.' + digits[point:]
    elif -6 < point <= 0:
        text = '0.' + '0' * -point + digits
    else:
        e = point - 1
        text = digits[0] + ('.' + digits[1:] if len(digits) > 1 else '')
        text += 'e' + ('+' if e >= 0 else '-') + str(abs(e))
    return ('-' if sign else '') + text

for line in sys.stdin:
    d = decimal.Decimal(line.strip())
    if d == d.to_integral_value():
        text = format(d.to_integral_value(), 'f') if d else '0'
        print('refused' if len(text.lstrip('-')) > 400 else text)
        continue
    f = float(line)
    same = math.isfinite(f) and f != 0 and decimal.Decimal(repr(f)) == d
    print(ecmascript(f) if same else 'refused')
";

#[expect(clippy::disallowed_methods, reason = "the test environment says where Python is")]
pub(crate) fn python() -> String {
    std::env::var("CARNET_TEST_PYTHON")
        .expect("CARNET_TEST_PYTHON is not set: run the tests with ./test")
}

fn any_token() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,24})?([eE][-+]?[0-9]{1,3})?",
        "-?(0|[1-9][0-9]{0,3})\\.[0-9]{1,15}",
        "-?0\\.0{0,8}[0-9]{1,8}",
        "-?[1-9][0-9]{390,402}(\\.0{1,3})?",
        any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(|n| format!("{n:e}")),
        any::<f32>().prop_filter("finite", |n| n.is_finite()).prop_map(|n| format!("{n}")),
        (any::<i64>(), -30..30i32).prop_map(|(n, e)| format!("{n}e{e}")),
    ]
}

#[test]
fn five_thousand_numbers_are_those_of_exact_arithmetic() {
    let mut runner = TestRunner::deterministic();
    let tokens: Vec<String> =
        (0..5_000).map(|_| any_token().new_tree(&mut runner).unwrap().current()).collect();
    let mut child = Command::new(python())
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = tokens.join("\n");
    let feeder = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    assert!(output.status.success());

    let theirs = String::from_utf8(output.stdout).unwrap();
    assert_eq!(theirs.lines().count(), tokens.len());
    let (mut kept, mut refused) = (0, 0);
    for (token, theirs) in tokens.iter().zip(theirs.lines()) {
        let text = format!("{{\"n\":{token}}}");
        let ours = match canonical_metadata(&text) {
            Ok(form) => form[5..form.len() - 1].to_owned(),
            Err(MetadataError::Number { .. }) => "refused".to_owned(),
            Err(other) => panic!("{token}: {other}"),
        };
        assert_eq!(ours, theirs, "{token}");
        *(if theirs == "refused" { &mut refused } else { &mut kept }) += 1;
    }
    assert!(kept > 1_000 && refused > 300, "{kept} kept, {refused} refused");
}
