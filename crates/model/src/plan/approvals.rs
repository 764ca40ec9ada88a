//! Who may approve what, and which gates are set aside for a while, as the plan has it.

use schemars::JsonSchema;
use serde::Serialize;

use super::compiled::{ApprovalRule, Assurance};
use super::written::{Duration, Label, Moment, NodeName};

/// Who may approve, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Approval {
    /// The people who may, as the trust file names them.
    #[schemars(length(min = 1))]
    pub any_of: Vec<Label>,
    /// How many of them must.
    #[schemars(default = "once", range(min = 1, max = 100))]
    pub count: u32,
    /// Who may not, though named: `initiator` is who started the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not: Option<NotBy>,
    /// How long an approval holds: an ISO 8601 duration such as PT4H; a day if nothing is said.
    #[schemars(with = "Option<Duration>")]
    pub expires: Duration,
    /// What counts as an approval: a signature by a key of the trust file, or a mere name.
    #[schemars(default)]
    pub assurance: Assurance,
}

/// Who may not approve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum NotBy {
    /// Who started the run.
    Initiator,
}

/// The approval that lets a run go on under an amended plan. Where a plan does not define it, one of
/// all those who may approve anything must give it.
pub const AMENDMENT: &str = "amendment";

/// A gate that may stay closed until a moment, if somebody approves of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Exception {
    /// The gate, as PHASE/NODE.
    pub gate: String,
    /// What it is called, such as split-dns.
    pub label: Label,
    /// Who answers for it.
    pub owner: Label,
    /// Why it must be.
    pub reason: Label,
    /// Until when, with the distance from UTC.
    pub expires_at: Moment,
    /// The approval that it needs.
    pub approval: NodeName,
}

/// One approval, if nothing is said.
pub(super) const fn once() -> u32 {
    1
}

/// How long an approval holds if nothing is said: a day.
pub(super) const EXPIRES: Duration = Duration::of_seconds(86_400);

impl Approval {
    /// The rule that it comes to.
    pub(super) fn rule(&self) -> ApprovalRule {
        ApprovalRule {
            any_of: self.any_of.iter().map(|name| name.as_str().to_owned()).collect(),
            count: self.count,
            not_initiator: self.not == Some(NotBy::Initiator),
            expires_s: self.expires.seconds(),
            assurance: self.assurance,
        }
    }
}
