//! RFC 8785: the public pairs, and an independent implementation.

use std::fs;

use carnet_ledger::{
    EventCheck, HashProfile, ParseError, Value, cmp_utf16, write_rfc8785_number,
    write_rfc8785_string,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::Value as Json;

use crate::events::any_sealed;

/// RFC 8785 over any JSON, put together from the parts that the ledger offers. The ledger's own
/// values have no fractions, the public pairs do.
fn canonical(value: &Json, out: &mut String) {
    match value {
        Json::Null | Json::Bool(_) => out.push_str(&value.to_string()),
        Json::Number(number) => write_rfc8785_number(number.as_f64().unwrap(), out).unwrap(),
        Json::String(text) => write_rfc8785_string(text, out),
        Json::Array(list) => {
            out.push('[');
            for (index, item) in list.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                canonical(item, out);
            }
            out.push(']');
        }
        Json::Object(object) => {
            let mut members: Vec<_> = object.iter().collect();
            members.sort_by(|(a, _), (b, _)| cmp_utf16(a, b));
            out.push('{');
            for (index, (key, item)) in members.into_iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                write_rfc8785_string(key, out);
                out.push(':');
                canonical(item, out);
            }
            out.push('}');
        }
    }
}

#[test]
fn every_public_pair_agrees() {
    let folder = crate::vectors("jcs");
    let mut pairs = 0;
    for entry in fs::read_dir(folder.join("input")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        let input: Json = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let output = fs::read_to_string(folder.join("output").join(name)).unwrap();
        let hex = folder.join("outhex").join(path.with_extension("txt").file_name().unwrap());
        let bytes: Vec<u8> = fs::read_to_string(hex)
            .unwrap()
            .split_whitespace()
            .map(|byte| u8::from_str_radix(byte, 16).unwrap())
            .collect();
        let mut ours = String::new();
        canonical(&input, &mut ours);
        assert_eq!(ours, output.trim_end(), "{}", path.display());
        assert_eq!(ours.as_bytes(), bytes, "{}", path.display());
        pairs += 1;
    }
    assert_eq!(pairs, 6);
}

/// What stands in a pair, as text.
fn pair(name: &str) -> (String, String) {
    let read = |side| fs::read_to_string(crate::vectors("jcs").join(side).join(name)).unwrap();
    (read("input"), read("output").trim_end().to_owned())
}

/// Two of the pairs hold fractions, which the ledger's values do not admit.
fn without_fractions(name: &str, text: &str) -> String {
    match name {
        "structures.json" => text.replace("56.0", "56"),
        "values.json" => {
            let (before, numbers) = text.split_once("[333").unwrap();
            format!("{before}[1{}", &numbers[numbers.find(']').unwrap()..])
        }
        _ => text.to_owned(),
    }
}

#[test]
fn every_pair_goes_through_values_and_events_as_far_as_they_admit_it() {
    let profile = HashProfile::Rfc8785Sha256V1;
    for (name, admitted) in [
        ("arrays.json", true),
        ("french.json", true),
        ("structures.json", false),
        ("unicode.json", true),
        ("values.json", false),
        ("weird.json", true),
    ] {
        let (input, output) = pair(name);
        match Value::parse(input.as_bytes(), 1 << 20) {
            Ok(_) => assert!(admitted, "{name}"),
            Err(error) => {
                assert!(!admitted && matches!(error, ParseError::Number(_)), "{name}: {error}");
            }
        }
        let input = without_fractions(name, &input);
        let output = without_fractions(name, &output);
        let value = Value::parse(input.as_bytes(), 1 << 20).unwrap();
        assert_eq!(profile.canonical(&value), output, "{name}");

        let mut runner = TestRunner::deterministic();
        let mut event = any_sealed(profile).new_tree(&mut runner).unwrap().current().event;
        event.draft.context = [("pair".to_owned(), value)].into();
        let stored = event.canonical();
        let check = EventCheck::of(profile, stored.as_bytes()).unwrap();
        let context = format!("{{\"pair\":{output}}}");
        assert_eq!(check.member("context"), Some(context.as_str()), "{name}");
    }
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(Json::from),
        any::<i32>().prop_map(Json::from),
        any::<String>().prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
            prop::collection::vec((any::<String>(), inner), 0..6)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn another_implementation_agrees(value in any_json()) {
        let mut ours = String::new();
        canonical(&value, &mut ours);
        prop_assert_eq!(&ours, &serde_json_canonicalizer::to_string(&value).unwrap());
        prop_assert_eq!(&ours, &serde_jcs::to_string(&value).unwrap());
    }

    #[test]
    fn another_implementation_agrees_on_any_double(bits in any::<u64>()) {
        let number = f64::from_bits(bits);
        let mut ours = String::new();
        match write_rfc8785_number(number, &mut ours) {
            Ok(()) => {
                prop_assert_eq!(&ours, &serde_json_canonicalizer::to_string(&number).unwrap());
                // By value: −0 is written as 0.
                prop_assert!(ours.parse::<f64>().unwrap().partial_cmp(&number).unwrap().is_eq());
            }
            Err(_) => prop_assert!(!number.is_finite()),
        }
    }

    #[test]
    fn values_without_fractions_agree_too(value in any_json()) {
        let text = value.to_string();
        if let Ok(parsed) = Value::parse(text.as_bytes(), 1 << 20) {
            let ours = HashProfile::Rfc8785Sha256V1.canonical(&parsed);
            prop_assert_eq!(ours, serde_json_canonicalizer::to_string(&value).unwrap());
        }
    }
}
