//! The direction of dependencies is a list that shows in review, between crates and between the
//! modules where it matters.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use super::{root, sources};

#[test]
fn crates_depend_only_as_the_list_says() {
    let listed = std::fs::read_to_string(root().join("architecture.edges")).unwrap();
    let listed: BTreeSet<String> =
        listed.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let ours: BTreeSet<&str> = packages.iter().map(|p| p["name"].as_str().unwrap()).collect();
    let mut seen = BTreeSet::new();
    for package in packages {
        for dependency in package["dependencies"].as_array().unwrap() {
            let to = dependency["name"].as_str().unwrap();
            // A crate may see itself in its own tests.
            let tests_only = dependency["kind"] == "dev";
            if ours.contains(to) && !tests_only {
                seen.insert(format!("{} -> {to}", package["name"].as_str().unwrap()));
            }
        }
    }
    assert_eq!(seen, listed, "change architecture.edges only with a reason");
}

#[test]
fn modules_keep_their_direction() {
    let rules = [
        ("crates/process/src", "std::fs"),
        ("crates/process/src", "std::time"),
        // The planner's output is checked by code that is not the planner.
        ("crates/model/src/plan/check", "crate::plan::compile"),
        // Clock and environment are inputs everywhere but in `app`.
        ("crates/document/src", "std::fs"),
        ("crates/border/src", "std::fs"),
        ("crates/border/src", "std::net"),
        ("crates/programme/src", "std::fs"),
        ("crates/programme/src", "std::net"),
        ("crates/programme/src", "std::time"),
        ("crates/model/src", "std::fs"),
        ("crates/model/src", "std::net"),
        ("crates/ledger/src", "std::fs"),
    ];
    for (folder, word) in rules {
        for (name, text) in sources().iter().filter(|(name, _)| name.starts_with(folder)) {
            assert!(!text.contains(word), "{name} must not use {word}");
        }
    }
}

#[test]
fn only_connectors_may_hold_unsafe_code() {
    for (name, text) in sources() {
        let is_root = name.ends_with("src/lib.rs") || name.ends_with("src/main.rs");
        if is_root && !name.starts_with("crates/connectors") {
            assert!(text.contains("#![forbid(unsafe_code)]"), "{name} must forbid unsafe code");
        }
    }
}
