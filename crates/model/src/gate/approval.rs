//! Enough people have approved this very plan, having seen these very gates.

use std::collections::BTreeSet;

use carnet_document::InputError;
use carnet_ledger::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::damaged::{Copies, flipped, spots};
use super::finding::{Judgement, counted};
use super::limits::{check_range, check_text, once, yes};

/// Who must approve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The name of the approval, as people type it.
    pub name: String,
    /// Who may approve.
    #[schemars(length(min = 1))]
    pub any_of: BTreeSet<String>,
    /// How many of them must.
    #[serde(default = "once")]
    #[schemars(range(min = 1, max = 100))]
    pub count: u32,
    /// Whether who started the run may not approve.
    #[serde(default = "yes")]
    pub not_initiator: bool,
    /// How long an approval holds, in seconds.
    #[schemars(range(min = 1))]
    pub expires_s: u64,
    /// What an approval must be.
    #[serde(default)]
    pub assurance: Assurance,
}

/// What an approval must be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Assurance {
    /// Signed by the approver's key.
    #[default]
    Signed,
    /// A name, recorded as unsigned.
    Named,
}

/// The approvals that there are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// What is to be approved; absent if nothing was asked yet.
    pub asked: Option<Asked>,
    /// All that were given, in the order in which they were given.
    pub approvals: Vec<Approval>,
}

/// What is to be approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The plan.
    pub plan: Digest,
    /// The gates as they were judged.
    pub table: Digest,
    /// Who started the run.
    pub initiator: String,
    /// The time, in seconds since 1970, UTC.
    pub at_s: i64,
}

/// An approval, with what was verified of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Which approval it is for.
    pub gate: String,
    /// Who gave it.
    pub approver: String,
    /// The key that signed it.
    pub key: Option<String>,
    /// The plan that it names.
    pub plan: Digest,
    /// The gates that were seen.
    pub table: Digest,
    /// When it was given, in seconds since 1970, UTC.
    pub at_s: i64,
    /// Until when it holds by its own word, in seconds since 1970, UTC.
    pub expires_at_s: Option<i64>,
    /// Whether its signature was verified with a key that is trusted for this person.
    pub signed: bool,
    /// Whether it was taken back.
    pub withdrawn: bool,
}

impl Rule {
    /// What is wrong with an approval.
    fn wrong(&self, asked: &Asked, it: &Approval) -> Option<&'static str> {
        let expires_s = i64::try_from(self.expires_s).unwrap_or(i64::MAX);
        let holds_until = it.at_s.saturating_add(expires_s);
        let holds_until = it.expires_at_s.map_or(holds_until, |own| own.min(holds_until));
        if it.gate != self.name {
            Some("is for another approval")
        } else if it.withdrawn {
            Some("was withdrawn")
        } else if it.plan != asked.plan {
            Some("names another plan")
        } else if it.table != asked.table {
            Some("was given before the gates changed")
        } else if it.at_s > asked.at_s {
            Some("lies in the future")
        } else if asked.at_s >= holds_until {
            Some("has expired")
        } else if !self.any_of.contains(&it.approver) {
            Some("is by somebody who may not approve")
        } else if self.not_initiator && it.approver == asked.initiator {
            Some("is by who started the run")
        } else if self.assurance == Assurance::Signed && !(it.signed && it.key.is_some()) {
            Some("is not signed by a trusted key")
        } else {
            None
        }
    }

    /// The approvals that count: one for each person, and one for each key.
    fn counted(&self, asked: &Asked, approvals: &[Approval]) -> Vec<Approval> {
        let (mut people, mut keys) = (BTreeSet::new(), BTreeSet::new());
        let mut counted = Vec::new();
        for it in approvals.iter().filter(|it| self.wrong(asked, it).is_none()) {
            let is_key_new = it.key.as_ref().is_none_or(|key| !keys.contains(key));
            if is_key_new && people.insert(it.approver.clone()) {
                keys.extend(it.key.clone());
                counted.push(it.clone());
            }
        }
        counted
    }

    pub(super) fn judge(&self, facts: &Facts) -> Judgement {
        let remedy = format!("have it approved: `carnet approve PLAN {}`", self.name);
        let of_this = facts.approvals.iter().filter(|it| it.gate == self.name).count();
        let Some(asked) = facts.asked.as_ref().filter(|_| of_this > 0) else {
            let reason = format!("nobody has approved {}", self.name);
            return Judgement::no_data(0, reason, &remedy);
        };
        let counted_ones = self.counted(asked, &facts.approvals);
        let (sample, demanded) = (counted_ones.len(), self.count);
        let is_enough = u32::try_from(sample).map_or(true, |sample| sample >= demanded);
        if !is_enough || sample == 0 {
            let wrong = facts.approvals.iter().find_map(|it| {
                let wrong = self.wrong(asked, it)?;
                Some(format!("; the one of {} {wrong}", it.approver))
            });
            let wrong = wrong.unwrap_or_default();
            let reason = format!("{sample} of {demanded} approvals count{wrong}");
            return Judgement::fail(sample, reason, &remedy);
        }
        let names: Vec<&str> = counted_ones.iter().map(|it| it.approver.as_str()).collect();
        Judgement::pass(sample, format!("approved by {}", names.join(", ")))
    }

    pub(super) fn damage(&self, facts: &Facts) -> Vec<(&'static str, Facts)> {
        let Some(asked) = &facts.asked else { return Vec::new() };
        // With no approval to spare, each damaged one must be missed.
        let mut approvals = self.counted(asked, &facts.approvals);
        approvals.truncate(usize::try_from(self.count).unwrap_or(usize::MAX));
        let exact = Facts { asked: facts.asked.clone(), approvals };
        let mut copies = Copies::of(&exact);
        let expires_s = i64::try_from(self.expires_s).unwrap_or(i64::MAX);
        for spot in spots(exact.approvals.len()) {
            let mut add = |name, damage: &dyn Fn(&mut Approval)| {
                copies.add(name, |facts: &mut Facts| {
                    if let Some(approval) = facts.approvals.get_mut(spot) {
                        damage(approval);
                    }
                });
            };
            add("another_plan", &|it| it.plan = flipped(it.plan));
            add("other_gates_seen", &|it| it.table = flipped(it.table));
            add("another_approval", &|it| it.gate.push('x'));
            add("expired", &|it| it.at_s = asked.at_s.saturating_sub(expires_s));
            add("expired_by_its_word", &|it| it.expires_at_s = Some(asked.at_s));
            add("from_the_future", &|it| it.at_s = asked.at_s.saturating_add(1));
            add("withdrawn", &|it| it.withdrawn = true);
            add("by_a_stranger", &|it| it.approver.push_str(" (stranger)"));
            if self.assurance == Assurance::Signed {
                add("not_signed", &|it| it.signed = false);
                add("without_key", &|it| it.key = None);
            }
            self.damage_group(&mut copies, spot);
        }
        copies.add("nothing_seen", |facts| facts.approvals.clear());
        copies.add("nothing_asked", |facts| facts.asked = None);
        copies.done()
    }

    /// Damage that concerns more than the approval itself.
    fn damage_group(&self, copies: &mut Copies<'_, Facts>, spot: usize) {
        copies.add("one_missing", |facts| drop(facts.approvals.remove(spot)));
        if self.not_initiator {
            copies.add("by_the_initiator", |facts| {
                let approver = facts.approvals.get(spot).map(|it| it.approver.clone());
                if let (Some(asked), Some(approver)) = (&mut facts.asked, approver) {
                    asked.initiator = approver;
                }
            });
        }
        copies.add("one_person_twice", |facts| {
            let neighbour = facts.approvals.iter().enumerate().find(|(index, _)| *index != spot);
            let neighbour = neighbour.map(|(_, it)| it.clone());
            if let (Some(it), Some(neighbour)) = (facts.approvals.get_mut(spot), neighbour) {
                it.approver = neighbour.approver;
            }
        });
        copies.add("one_key_twice", |facts| {
            let neighbour = facts.approvals.iter().enumerate().find(|(index, _)| *index != spot);
            let key = neighbour.and_then(|(_, it)| it.key.clone());
            if let (Some(it), Some(key)) = (facts.approvals.get_mut(spot), key) {
                it.key = Some(key);
            }
        });
    }

    pub(super) fn check(&self) -> Vec<InputError> {
        let mut errors = check_text("/name", &self.name);
        errors.extend(check_range("/count", self.count.into(), 1, 100));
        errors.extend(check_range("/expires_s", self.expires_s, 1, 10 * 365 * 86_400));
        if usize::try_from(self.count).is_ok_and(|count| count > self.any_of.len()) {
            let what = format!("{} approvals of {} people", self.count, self.any_of.len());
            errors.push(InputError::new("/any_of", what, "name more people, or demand fewer"));
        }
        errors
    }

    pub(super) fn demands(&self) -> String {
        let count = usize::try_from(self.count).unwrap_or(usize::MAX);
        let approvals = counted(count, "approval", "approvals");
        let signed = match self.assurance {
            Assurance::Signed => "signed ",
            Assurance::Named => "",
        };
        let initiator = if self.not_initiator { ", not by who started" } else { "" };
        format!("{signed}{approvals} of {} people{initiator}", self.any_of.len())
    }
}
