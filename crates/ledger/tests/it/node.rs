//! A million doubles against the number printing of Node: the reference of RFC 8785.

use std::io::Write as _;
use std::process::{Command, Stdio};

use carnet_ledger::write_rfc8785_number;

/// Reads doubles of 8 bytes, prints each as ECMAScript does, which is what RFC 8785 asks for.
const SCRIPT: &str = r"
const bytes = require('fs').readFileSync(0);
const lines = [];
for (let at = 0; at < bytes.length; at += 8) lines.push(JSON.stringify(bytes.readDoubleLE(at)));
process.stdout.write(lines.join('\n') + '\n');
";

const COUNT: usize = 1_000_000;

/// Pseudo-random numbers that are the same in each run (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

#[expect(clippy::cast_precision_loss, reason = "any double will do")]
fn as_double(number: u64) -> f64 {
    number as f64
}

/// The borders of the forms and of the doubles, what lies beside them, and random bits.
fn doubles() -> Vec<f64> {
    let borders = [
        0.0,
        5e-324,
        2.225_073_858_507_201e-308,
        f64::MIN_POSITIVE,
        1e-7,
        1e-6,
        1e-5,
        0.1,
        0.5,
        1.0,
        4.35,
        333_333_333.333_333_3,
        4_294_967_295.0,
        9_007_199_254_740_991.0,
        9_007_199_254_740_992.0,
        1e20,
        1e21,
        1e22,
        1e23,
        f64::MAX,
    ];
    let powers = (-323..=308).map(|power| format!("1e{power}").parse().unwrap());
    let mut found = Vec::with_capacity(COUNT);
    for border in borders.into_iter().chain(powers) {
        for beside in -8..=8_i64 {
            let bits = border.to_bits().saturating_add_signed(beside);
            found.extend([f64::from_bits(bits), -f64::from_bits(bits)]);
        }
    }
    let mut random = Random(8785);
    while found.len() < COUNT {
        let (bits, choice) = (random.next(), random.next());
        let number = match choice % 4 {
            // Any bits: mostly numbers with long exponents.
            0 | 1 => f64::from_bits(bits),
            // Integers of all lengths.
            2 => as_double(bits >> (choice >> 58)),
            // Short decimal fractions.
            _ => {
                as_double(bits >> 40)
                    / as_double(10_u64.pow(u32::try_from((choice >> 32) % 12).unwrap()))
            }
        };
        if number.is_finite() {
            found.push(number);
        }
    }
    found.retain(|number| number.is_finite());
    found
}

fn node(doubles: &[f64]) -> Vec<String> {
    let mut child = Command::new("node")
        .args(["-e", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node does not start: run the tests with ./test, which installs Debian's nodejs");
    let mut stdin = child.stdin.take().unwrap();
    let input: Vec<u8> = doubles.iter().flat_map(|number| number.to_le_bytes()).collect();
    let feeder = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// The first number that the two sides write differently.
fn first_difference<'a>(
    ours: &'a [String],
    theirs: &'a [String],
) -> Option<(usize, &'a str, &'a str)> {
    assert_eq!(ours.len(), theirs.len(), "one side has fewer numbers");
    let mut pairs = ours.iter().zip(theirs).enumerate();
    pairs
        .find(|(_, (ours, theirs))| ours != theirs)
        .map(|(at, (ours, theirs))| (at, ours.as_str(), theirs.as_str()))
}

#[test]
fn a_million_doubles_are_printed_as_node_prints_them() {
    let doubles = doubles();
    assert!(doubles.len() >= COUNT - 100, "{}", doubles.len());
    let mut ours: Vec<String> = doubles
        .iter()
        .map(|number| {
            let mut text = String::new();
            write_rfc8785_number(*number, &mut text).unwrap();
            text
        })
        .collect();
    let theirs = node(&doubles);
    assert_eq!(first_difference(&ours, &theirs), None);

    // One wrong digit in a million numbers does not pass.
    let at = COUNT / 2;
    let last = ours[at].pop().and_then(|digit| digit.to_digit(10)).unwrap();
    ours[at].push(char::from_digit((last + 1) % 10, 10).unwrap());
    let found = Some((at, ours[at].as_str(), theirs[at].as_str()));
    assert_eq!(first_difference(&ours, &theirs), found);
}
