//! Who may approve what, and which gates are set aside for a while, as the plan has it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

/// The approvals in the canonical text of a plan, as a log keeps it.
pub(super) fn kept(canonical: &[u8]) -> Option<BTreeMap<String, ApprovalRule>> {
    #[derive(Deserialize)]
    struct Text {
        #[serde(default)]
        approvals: BTreeMap<String, Kept>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Kept {
        any_of: Vec<String>,
        count: u32,
        #[serde(default)]
        not: Option<NotBy>,
        expires: u64,
        assurance: Assurance,
    }
    let text: Text = serde_json::from_slice(canonical).ok()?;
    let rules = text.approvals.into_iter().map(|(name, kept)| {
        let rule = ApprovalRule {
            any_of: kept.any_of,
            count: kept.count,
            not_initiator: kept.not == Some(NotBy::Initiator),
            expires_s: kept.expires,
            assurance: kept.assurance,
        };
        (name, rule)
    });
    Some(rules.collect())
}

#[cfg(test)]
mod tests {
    use crate::plan::{Around, Plan};

    #[test]
    fn approvals_are_read_back_from_the_text_that_a_log_keeps() {
        let text = "
carnet: v1
migration: m
owner: o
trust: trust
approvals:
  go: { any_of: [a, b], count: 2, not: initiator, expires: PT4H }
  amendment: { any_of: [c], assurance: named }
phases:
  - name: p
    steps: [ { approval: go }, { name: s, capability: file.copy, with: { from: a, to: b } } ]
    exit: [ { gate: file, name: g, with: { path: b } } ]
";
        let around = Around { now_s: None, file: &|_| Ok(carnet_ledger::Digest([1; 32])) };
        let (plan, _) = Plan::open_with("plan.yaml", text, &around).unwrap();
        let kept = Plan::approvals_in(plan.canonical().as_bytes()).unwrap();
        assert_eq!(kept, *plan.approvals());
        assert_eq!(kept.len(), 2);
        assert_eq!(Plan::approvals_in(b"{}").map(|kept| kept.len()), Some(0));
        assert_eq!(Plan::approvals_in(b"{\"approvals\":3}"), None);
    }
}
