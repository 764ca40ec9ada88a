//! What an evaluation leaves as evidence: all that somebody needs to evaluate again.

use std::collections::BTreeMap;

use carnet_ledger::Value;
use serde::{Deserialize, Serialize};

use super::answer::{PolicyAnswer, PolicyQuestion};
use super::error::PolicyError;
use super::files::PolicyFiles;

/// What the object calls itself.
pub const EVALUATION_KIND: &str = "carnet-policy-evaluation-1";
/// The `action` of the events that point to such an object: who verifies evidence evaluates those
/// again.
pub const EVALUATION_ACTION: &str = carnet_ledger::audit::EVALUATE;

/// One evaluation: the object that an event `policy.evaluate` or `policy.refusal` points to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyEvaluation {
    /// [`EVALUATION_KIND`].
    pub kind: String,
    /// The files of the snapshot, by path, as text: `snapshot.json` names each by digest.
    pub files: BTreeMap<String, String>,
    /// What was decided about.
    pub input: Value,
    /// What was answered.
    pub answer: PolicyAnswer,
}

impl PolicyEvaluation {
    /// An evaluation as it was.
    pub fn of(question: &PolicyQuestion<'_>, answer: &PolicyAnswer) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let files = question.policy.files().into_iter().map(|(path, bytes)| (path, text(bytes)));
        Self {
            kind: EVALUATION_KIND.to_owned(),
            files: files.collect(),
            input: question.input.clone(),
            answer: answer.clone(),
        }
    }

    /// The policy, each file with the digest that its snapshot names.
    pub fn policy(&self) -> Result<PolicyFiles, PolicyError> {
        let files = self.files.iter().map(|(path, text)| (path.clone(), text.clone().into_bytes()));
        PolicyFiles::read(&files.collect())
    }
}
