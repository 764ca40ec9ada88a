//! What an engine of policies must do.

use carnet_model::Code;
use carnet_model::policy::{
    PolicyAnswer, PolicyError, PolicyFiles, PolicyQuestion, SelfTestResult,
};

/// Evaluates policies. The same question has the same decision, wherever and whenever it is asked.
pub trait PolicyEngine: Send + Sync {
    /// Compiles the modules of a policy, and refuses those that call what is not allowed.
    fn compile(&self, policy: &PolicyFiles) -> Result<(), PolicyFailure>;

    /// Compiles the rules and asks them. Whatever they answer is an answer, also that they went
    /// wrong; rules that cannot be asked at all are a failure.
    fn decide(&self, question: &PolicyQuestion<'_>) -> Result<PolicyAnswer, PolicyFailure>;

    /// Asks each self-test of a policy, and compares.
    fn self_test(&self, policy: &PolicyFiles) -> Result<Vec<SelfTestResult>, PolicyFailure> {
        policy.self_test(|question| self.decide(question))
    }
}

/// Why a policy cannot be asked at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFailure {
    /// The stable code.
    pub code: Code,
    /// What failed, as a lowercase fragment.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl std::fmt::Display for PolicyFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for PolicyFailure {}

impl PolicyFailure {
    /// A failure.
    pub fn new(code: Code, what: impl Into<String>, remedy: &str) -> Self {
        Self { code, what: what.into(), remedy: remedy.to_owned() }
    }
}

impl From<PolicyError> for PolicyFailure {
    fn from(error: PolicyError) -> Self {
        Self::new(error.code(), error.to_string(), error.remedy())
    }
}
