//! Policies: what is asked, what is answered, and the snapshot of rules that was asked. The engine
//! that evaluates them is elsewhere (crate `policy`); here is only what both sides of a border must
//! agree on.
//!
//! Reading order: the snapshot (`document`, `files`), question and answer (`answer`), the decisions
//! that a snapshot is known by (`self_test`), what is decided about (`input`), who has authority
//! (`authority`), and what an evaluation leaves as evidence (`record`).

mod answer;
mod authority;
mod document;
mod error;
mod files;
mod input;
mod of_trust;
mod record;
mod self_test;

pub use answer::{PolicyAnswer, PolicyDecision, PolicyQuestion, PolicyReason, PolicyVerdict};
pub use authority::{
    AUTHORITY_VERSION, AuthorityKey, AuthoritySnapshot, KeyStanding, NamedKey, Principal, Role,
};
pub use document::{
    ALLOWED_BUILTINS, ENTRY, POLICY_VERSION, PolicyDefinition, PolicyLimits, PolicySnapshot,
};
pub use error::PolicyError;
pub use files::{DATA, DEFINITION, MODULES, PolicyFiles, SELF_TESTS, SNAPSHOT, is_module};
pub use input::{AdmissionBundle, AdmissionInput, AdmissionTarget};
pub use record::{EVALUATION_ACTION, EVALUATION_KIND, PolicyEvaluation};
pub use self_test::{SelfTest, SelfTestResult, SelfTests};

#[cfg(test)]
mod tests;
