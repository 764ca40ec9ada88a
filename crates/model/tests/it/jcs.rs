//! Canonical metadata against the public pairs of RFC 8785.

use std::path::PathBuf;

use carnet_model::{MetadataError, canonical_metadata};

fn pair(name: &str) -> (String, String) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/vectors/jcs");
    let read = |side| std::fs::read_to_string(folder.join(side).join(name)).unwrap();
    (read("input"), read("output").trim_end().to_owned())
}

#[test]
fn the_pairs_agree_but_for_the_numbers_that_metadata_keeps_exactly() {
    for name in ["french.json", "structures.json", "unicode.json", "weird.json"] {
        let (input, output) = pair(name);
        assert_eq!(canonical_metadata(&input).unwrap(), output, "{name}");
    }
    // Metadata is an object.
    let (input, output) = pair("arrays.json");
    assert!(matches!(canonical_metadata(&input), Err(MetadataError::Syntax { .. })));
    let member = |list: &str| format!("{{\"list\":{list}}}");
    assert_eq!(canonical_metadata(&member(&input)).unwrap(), member(&output));

    // RFC 8785 rounds the first of these numbers to the nearest double; metadata refuses to.
    let (input, output) = pair("values.json");
    let Err(MetadataError::Number { token, .. }) = canonical_metadata(&input) else {
        panic!("a number was rounded");
    };
    assert_eq!(token, "333333333.33333329");
    let exact = input.replace(&token, "333333333.3333333");
    // And it writes integers as plain digits.
    let plain = output.replace("1e+30", &format!("1{}", "0".repeat(30)));
    assert_eq!(canonical_metadata(&exact).unwrap(), plain);
}
