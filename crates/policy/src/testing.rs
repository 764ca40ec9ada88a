//! Policies for the tests of this crate.

#![cfg(feature = "rego")]

use std::collections::BTreeMap;

use carnet_ledger::Value;
use carnet_model::policy::{PolicyDefinition, PolicyError, PolicyFiles, PolicyLimits};

/// Self-tests that any policy may carry: they are only asked where a test asks them.
const TESTS: &str = r#"{"tests":[
    {"name":"yes","input":{"x":1},"decision":{"verdict":"allow"}},
    {"name":"no","input":{"x":2},"decision":{"verdict":"deny"}}]}"#;

/// A policy with these modules.
pub(crate) fn try_policy(
    modules: &[(&str, &str)],
    limits: PolicyLimits,
) -> Result<PolicyFiles, PolicyError> {
    let modules: BTreeMap<String, String> =
        modules.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    let definition = PolicyDefinition { limits, ..PolicyDefinition::default() };
    let data = br#"{"ok":["a","b"]}"#.to_vec();
    PolicyFiles::of(definition, modules, Some(data), TESTS.as_bytes().to_vec())
}

/// A policy with one module in the package that is asked.
pub(crate) fn policy(body: &str) -> PolicyFiles {
    let text = format!("package carnet.admission\n\n{body}\n");
    try_policy(&[("m.rego", &text)], PolicyLimits::default()).unwrap()
}

/// The same with so many milliseconds.
pub(crate) fn timed(body: &str, time_ms: u64) -> PolicyFiles {
    let text = format!("package carnet.admission\n\n{body}\n");
    let limits = PolicyLimits { time_ms, ..PolicyLimits::default() };
    try_policy(&[("m.rego", &text)], limits).unwrap()
}

pub(crate) fn json(text: &str) -> Value {
    Value::parse(text.as_bytes(), 1 << 20).unwrap()
}
