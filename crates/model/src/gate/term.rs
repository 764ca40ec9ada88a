//! A term of a switch: something is done before a moment, or not before it.

use carnet_document::InputError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::damaged::Copies;
use super::finding::Judgement;
use super::limits::check_text;
use crate::portability::TermMoment;

/// Which moment, and on which side of it the run must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What the term is called, such as `transition_deadline`.
    pub term: String,
    /// The moment, with its distance from UTC.
    pub at: TermMoment,
    /// On which side of it the run must be.
    pub must: Side,
}

/// A side of a moment. The moment itself belongs to both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Side {
    /// It must not be later.
    Before,
    /// It must not be earlier.
    After,
}

/// What the clock showed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The time, in seconds since 1970, UTC; absent if no clock was read.
    pub now_s: Option<i64>,
    /// The time of the last event of the log, in seconds since 1970, UTC; absent without a log.
    pub last_event_s: Option<i64>,
}

impl Rule {
    pub(super) fn judge(&self, facts: &Facts) -> Judgement {
        let Some(now_s) = facts.now_s else {
            return Judgement::no_data(0, "no clock was read", "run again");
        };
        let (term, at) = (&self.term, &self.at);
        if facts.last_event_s.is_some_and(|last| last > now_s) {
            let reason = "the clock shows a time before the last event of the log";
            return Judgement::fail(1, reason, "set the clock of this machine, and run again");
        }
        let at_s = at.unix_seconds();
        match self.must {
            Side::Before if now_s > at_s => {
                let reason = format!("{term} was {at}, and is past");
                Judgement::fail(1, reason, "agree on another date, and amend the plan")
            }
            Side::After if now_s < at_s => {
                let reason = format!("{term} is {at}, and is not reached");
                Judgement::fail(1, reason, "wait until then, and run again")
            }
            Side::Before | Side::After => {
                let days = at_s.abs_diff(now_s) / 86_400;
                let reason = match self.must {
                    Side::Before => format!("{term} is {at}: {days} days are left"),
                    Side::After => format!("{term} was {at}, {days} days ago"),
                };
                Judgement::pass(1, reason)
            }
        }
    }

    pub(super) fn damage(&self, facts: &Facts) -> Vec<(&'static str, Facts)> {
        let mut copies = Copies::of(facts);
        let at_s = self.at.unix_seconds();
        match self.must {
            Side::Before => copies.add("just_late", |it| {
                it.now_s = Some(at_s.saturating_add(1));
                it.last_event_s = None;
            }),
            Side::After => copies.add("just_early", |it| {
                it.now_s = Some(at_s.saturating_sub(1));
                it.last_event_s = None;
            }),
        }
        copies.add("clock_went_back", |it| {
            it.last_event_s = it.now_s.map(|now| now.saturating_add(1));
        });
        copies.add("nothing_seen", |it| *it = Facts::default());
        copies.done()
    }

    pub(super) fn check(&self) -> Vec<InputError> {
        check_text("/term", &self.term)
    }

    pub(super) fn demands(&self) -> String {
        let (term, at) = (&self.term, &self.at);
        match self.must {
            Side::Before => format!("{term}, {at}, is not past"),
            Side::After => format!("{term}, {at}, is reached"),
        }
    }
}
