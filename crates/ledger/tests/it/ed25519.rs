//! Every edge case of Ed25519, and which of them our keys accept.

use std::collections::BTreeMap;
use std::fs;

use carnet_ledger::VerifyingKey;
use serde_json::Value as Json;

/// What the flags of the vectors must say for a signature to be refused. Points that only have a
/// part of low order are accepted if the equation without cofactor holds, as RFC 8032 allows.
const REFUSED: [&str; 6] = [
    "low_order_A",
    "low_order_R",
    "non_canonical_A",
    "non_canonical_R",
    "low_order_residue",
    "reencoded_k",
];

fn bytes(hex: &Json) -> Vec<u8> {
    let digits = hex.as_str().unwrap().as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

#[test]
fn each_edge_case_is_judged_as_the_policy_says() {
    let file = crate::vectors("ed25519").join("ed25519vectors.json");
    let cases: Vec<Json> = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    assert_eq!(cases.len(), 914);
    let mut counts = BTreeMap::new();
    for case in &cases {
        let public: [u8; 32] = bytes(&case["key"]).try_into().unwrap();
        let key = VerifyingKey::new("vectors".parse().unwrap(), &public);
        let message = case["msg"].as_str().unwrap().as_bytes();
        let accepted = key.as_ref().is_ok_and(|key| key.verify(message, &bytes(&case["sig"])));
        let flags: Vec<_> = case["flags"].as_array().into_iter().flatten().collect();
        let expected = !flags.iter().any(|flag| REFUSED.contains(&flag.as_str().unwrap()));
        assert_eq!(accepted, expected, "vector {}", case["number"]);
        let verdict = match (&key, accepted) {
            (Err(_), _) => "no key",
            (Ok(_), false) => "refused",
            (Ok(_), true) => "accepted",
        };
        *counts.entry(verdict).or_insert(0) += 1;
    }
    assert_eq!(counts, BTreeMap::from([("accepted", 43), ("no key", 526), ("refused", 345)]));
}
