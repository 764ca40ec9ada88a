//! Self-tests: the decisions that a snapshot is known by, wherever it is evaluated.

use std::collections::BTreeSet;

use carnet_ledger::Value;
use serde::{Deserialize, Serialize};

use super::answer::{PolicyAnswer, PolicyDecision, PolicyQuestion, PolicyVerdict};
use super::error::PolicyError;
use super::files::{PolicyFiles, SELF_TESTS};

/// How many self-tests a snapshot may have.
const TESTS_MAX: usize = 1_000;

/// An input, and what must be decided about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelfTest {
    /// Its name.
    pub name: String,
    /// What is decided about.
    pub input: Value,
    /// What must come out, in every environment.
    pub decision: PolicyDecision,
}

/// What came of one self-test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelfTestResult {
    /// Its name.
    pub name: String,
    /// What must come out.
    pub expected: PolicyDecision,
    /// What was answered.
    pub answer: PolicyAnswer,
}

impl SelfTestResult {
    /// Whether it came out as it must: the same decision, by at least one rule unless none is
    /// expected.
    pub fn holds(&self) -> bool {
        let silent = self.expected.verdict == PolicyVerdict::NoRules;
        self.expected == self.answer.decision && (silent || self.answer.rules > 0)
    }

    /// In words, where it does not.
    pub fn told(&self) -> String {
        let (wanted, found) = (self.expected.verdict, self.answer.decision.verdict);
        let why = match &self.answer.problem {
            Some(problem) => format!(" ({problem})"),
            None if wanted == found => " for other reasons".to_owned(),
            None => String::new(),
        };
        format!("the self-test {:?} must be {wanted}, and is {found}{why}", self.name)
    }
}

impl PolicyFiles {
    /// Asks each self-test, and gives what came of it.
    pub fn self_test<E>(
        &self,
        mut ask: impl FnMut(&PolicyQuestion<'_>) -> Result<PolicyAnswer, E>,
    ) -> Result<Vec<SelfTestResult>, E> {
        let asked = self.tests().iter().map(|test| {
            let answer = ask(&PolicyQuestion { policy: self, input: &test.input })?;
            let (name, expected) = (test.name.clone(), test.decision.clone());
            Ok(SelfTestResult { name, expected, answer })
        });
        asked.collect()
    }
}

/// The self-tests of a snapshot: `self-tests.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelfTests {
    /// One by one.
    pub tests: Vec<SelfTest>,
}

impl SelfTests {
    /// Reads `self-tests.json`. Tests that could not tell a policy from one that always says the
    /// same are refused: at least one must be allowed, and at least one must not.
    pub fn read(bytes: &[u8]) -> Result<Self, PolicyError> {
        let read: Self = serde_json::from_slice(bytes)
            .map_err(|error| PolicyError::form(SELF_TESTS, error.to_string()))?;
        read.check()?;
        Ok(read)
    }

    fn check(&self) -> Result<(), PolicyError> {
        let refused = |what: String| Err(PolicyError::SelfTests(what));
        if self.tests.len() > TESTS_MAX {
            return Err(PolicyError::Limit {
                what: format!("{SELF_TESTS} (tests)"),
                found: self.tests.len() as u64,
                max: TESTS_MAX as u64,
            });
        }
        let mut names = BTreeSet::new();
        for test in &self.tests {
            if test.name.trim().is_empty() || !names.insert(test.name.as_str()) {
                return refused(format!("the name {:?} is empty, or stands twice", test.name));
            }
            let decision = &test.decision;
            let sorted = PolicyDecision::new(decision.verdict, decision.reasons.clone());
            if sorted != *decision {
                return refused(format!("the reasons of {:?} are not sorted", test.name));
            }
            // Whether it comes out so depends on the machine, not on the rules.
            if decision.verdict == PolicyVerdict::TimedOut {
                return refused(format!("{:?} expects a time-out", test.name));
            }
        }
        let allowed = |test: &&SelfTest| test.decision.verdict == PolicyVerdict::Allow;
        let allows = self.tests.iter().filter(allowed).count();
        if allows == 0 {
            return refused("none of them must be allowed".to_owned());
        }
        if allows == self.tests.len() {
            return refused("all of them must be allowed".to_owned());
        }
        Ok(())
    }
}
