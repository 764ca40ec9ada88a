//! What is asked of a policy, and what it answers.

use carnet_document::Code;
use carnet_ledger::{Digest, HashProfile, RefusalClass, Value};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::files::PolicyFiles;

/// A question: these rules, about this.
#[derive(Debug, Clone, Copy)]
pub struct PolicyQuestion<'a> {
    /// The rules.
    pub policy: &'a PolicyFiles,
    /// What is decided about. Numbers are integers, so that it has one canonical form.
    pub input: &'a Value,
}

impl PolicyQuestion<'_> {
    /// SHA-256 of the RFC 8785 form of the input.
    pub fn input_digest(&self) -> Digest {
        HashProfile::Rfc8785Sha256V1.digest(self.input)
    }
}

/// How a policy answered. Only `allow` lets anything pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyVerdict {
    /// `allow` is true, nothing is denied, and at least one rule was evaluated.
    Allow,
    /// Something is denied, or nothing allows it.
    Deny,
    /// `allow` or `deny` has no value.
    Undefined,
    /// The evaluation went wrong, or the answer has another form than it must have.
    Error,
    /// The evaluation took longer than its limit.
    TimedOut,
    /// No rule was evaluated at all.
    NoRules,
}

impl PolicyVerdict {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Allow, Self::Deny, Self::Undefined, Self::Error, Self::TimedOut, Self::NoRules];

    /// The word in reports and evidence.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Undefined => "undefined",
            Self::Error => "error",
            Self::TimedOut => "timed_out",
            Self::NoRules => "no_rules",
        }
    }
}

impl std::fmt::Display for PolicyVerdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Why something is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyReason {
    /// On what ground: a refusal class of the evidence.
    #[serde(with = "class")]
    pub class: RefusalClass,
    /// A stable word of the policy, such as `jurisdiction.not_allowed`.
    pub code: String,
    /// What is refused.
    pub subject: String,
    /// Why, in words.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

impl PolicyReason {
    fn key(&self) -> [&str; 5] {
        [self.class.name(), &self.code, &self.subject, &self.message, &self.remedy]
    }
}

/// A refusal class as its name.
mod class {
    use super::{Deserialize, Deserializer, RefusalClass, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
    pub(super) fn serialize<S: Serializer>(class: &RefusalClass, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(class.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<RefusalClass, D::Error> {
        let name = String::deserialize(from)?;
        RefusalClass::parse(&name)
            .ok_or_else(|| serde::de::Error::custom(format!("no refusal class is named {name:?}")))
    }
}

/// What is compared when a question is asked again: two evaluations that agree in this decided the
/// same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyDecision {
    /// How it answered.
    pub verdict: PolicyVerdict,
    /// Why not, sorted, each once; empty unless something is denied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<PolicyReason>,
}

impl PolicyDecision {
    /// A decision without reasons.
    pub const fn bare(verdict: PolicyVerdict) -> Self {
        Self { verdict, reasons: Vec::new() }
    }

    /// Sorts the reasons by class, code, subject, message and remedy, each by its bytes, and keeps
    /// each once.
    pub fn new(verdict: PolicyVerdict, mut reasons: Vec<PolicyReason>) -> Self {
        reasons.sort_by(|one, other| one.key().cmp(&other.key()));
        reasons.dedup();
        Self { verdict, reasons }
    }
}

/// The whole answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyAnswer {
    /// The digest of the snapshot that was asked.
    pub snapshot: Digest,
    /// The digest of the input.
    pub input: Digest,
    /// What was decided.
    pub decision: PolicyDecision,
    /// How many rules were evaluated.
    pub rules: u64,
    /// What went wrong, in words of the engine; it is not compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The engine and its version.
    pub engine: String,
    /// How long it took, in microseconds; it is not compared.
    pub duration_us: u64,
}

impl PolicyAnswer {
    /// Whether it lets anything pass: `allow`, without a reason against it, by at least one rule.
    pub fn allows(&self) -> bool {
        self.decision.verdict == PolicyVerdict::Allow
            && self.decision.reasons.is_empty()
            && self.rules > 0
    }

    /// Why not, as one reason; `None` if it allows. The first reason of the policy, or what its
    /// silence means.
    pub fn refusal(&self) -> Option<PolicyReason> {
        if self.allows() {
            return None;
        }
        if let Some(first) = self.decision.reasons.first() {
            return Some(first.clone());
        }
        let problem = self.problem.as_deref().unwrap_or("it says no more");
        let (class, message, remedy) = match self.decision.verdict {
            PolicyVerdict::Allow | PolicyVerdict::NoRules => (
                RefusalClass::PolicyDenied,
                "no rule of the policy was evaluated".to_owned(),
                "write rules in the package that is asked, and a test for each",
            ),
            PolicyVerdict::Deny => (
                RefusalClass::PolicyDenied,
                "no rule of the policy allows it".to_owned(),
                "see which condition of `allow` does not hold, or ask whoever owns the policy",
            ),
            PolicyVerdict::Undefined => (
                RefusalClass::PolicyDenied,
                "the policy has no answer to this input".to_owned(),
                "give `allow` a default of false, and compare the input with docs/policy.md",
            ),
            PolicyVerdict::Error => (
                RefusalClass::DependencyUnavailableFailClosed,
                format!("the policy could not be evaluated: {problem}"),
                "put the policy right, and run again",
            ),
            PolicyVerdict::TimedOut => (
                RefusalClass::DependencyUnavailableFailClosed,
                "the policy took longer than its limit".to_owned(),
                "make its rules cheaper, or raise limits.time_ms in policy.json",
            ),
        };
        let (code, subject) = (self.code().name().to_owned(), "policy".to_owned());
        Some(PolicyReason { class, code, subject, message, remedy: remedy.to_owned() })
    }

    /// The stable code of a refusal: that the policy says no, or that it says nothing.
    pub const fn code(&self) -> Code {
        match self.decision.verdict {
            PolicyVerdict::Deny => Code::POLICY_DENIED,
            PolicyVerdict::Allow
            | PolicyVerdict::Undefined
            | PolicyVerdict::Error
            | PolicyVerdict::TimedOut
            | PolicyVerdict::NoRules => Code::POLICY_UNDECIDED,
        }
    }
}
