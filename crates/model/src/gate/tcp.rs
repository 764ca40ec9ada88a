//! A server takes connections.

use carnet_document::InputError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::damaged::{Copies, spots};
use super::finding::{Judgement, counted};
use super::limits::{check_range, check_text, limit_s, once};

/// Whom to ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// A name or an IP address.
    pub host: String,
    /// The TCP port.
    #[schemars(range(min = 1, max = 65_535))]
    pub port: u16,
    /// How long a connection may take, in seconds.
    #[serde(default = "limit_s")]
    #[schemars(range(min = 1, max = 3_600))]
    pub limit_s: u64,
    /// How many connections are tried, one after the other. All must succeed.
    #[serde(default = "once")]
    #[schemars(range(min = 1, max = 1_000))]
    pub attempts: u32,
}

/// What came of asking.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// One for each attempt.
    pub attempts: Vec<Attempt>,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// How long it took, in milliseconds, if it was taken.
    pub open_ms: Option<u64>,
    /// Why not, if it was not.
    pub why: Option<String>,
}

const REMEDY: &str = "see that the server runs and can be reached, and run again";

impl Rule {
    pub(super) fn judge(&self, facts: &Facts) -> Judgement {
        let (sample, demanded) = (facts.attempts.len(), self.attempts);
        let place = format!("{}:{}", self.host, self.port);
        if sample == 0 {
            return Judgement::no_data(0, format!("{place} was not asked"), REMEDY);
        }
        let refused = facts.attempts.iter().find(|attempt| attempt.open_ms.is_none());
        if let Some(refused) = refused {
            let why = refused.why.as_deref().unwrap_or("no reason is known");
            let reason = format!("{place} takes no connection: {why}");
            return Judgement::fail(sample, reason, REMEDY);
        }
        if u32::try_from(sample).is_ok_and(|sample| sample < demanded) {
            let reason = format!("{place} was asked {sample} times, and {demanded} are demanded");
            return Judgement::no_data(sample, reason, REMEDY);
        }
        let limit_ms = self.limit_s.saturating_mul(1_000);
        let slowest = facts.attempts.iter().filter_map(|it| it.open_ms).max().unwrap_or(0);
        if slowest > limit_ms {
            let reason = format!("{place} took {slowest} ms to take a connection");
            return Judgement::fail(sample, reason, REMEDY);
        }
        let taken = counted(sample, "connection", "connections");
        Judgement::pass(sample, format!("{place} took {taken}, the slowest in {slowest} ms"))
    }

    pub(super) fn damage(&self, facts: &Facts) -> Vec<(&'static str, Facts)> {
        let mut copies = Copies::of(facts);
        for spot in spots(facts.attempts.len()) {
            let mut add = |name, open_ms| {
                copies.add(name, |facts: &mut Facts| {
                    if let Some(attempt) = facts.attempts.get_mut(spot) {
                        attempt.open_ms = open_ms;
                    }
                });
            };
            add("refused", None);
            add("too_slow", Some(self.limit_s.saturating_mul(1_000).saturating_add(1)));
        }
        if usize::try_from(self.attempts).is_ok_and(|demanded| demanded == facts.attempts.len()) {
            copies.add("one_attempt_less", |facts| drop(facts.attempts.pop()));
        }
        copies.add("nothing_seen", |facts| facts.attempts.clear());
        copies.done()
    }

    pub(super) fn check(&self) -> Vec<InputError> {
        let mut errors = check_text("/host", &self.host);
        errors.extend(check_range("/port", self.port.into(), 1, 65_535));
        errors.extend(check_range("/limit_s", self.limit_s, 1, 3_600));
        errors.extend(check_range("/attempts", self.attempts.into(), 1, 1_000));
        errors
    }

    pub(super) fn demands(&self) -> String {
        let taken = counted(
            usize::try_from(self.attempts).unwrap_or(usize::MAX),
            "connection",
            "connections",
        );
        format!("{}:{} takes {taken}", self.host, self.port)
    }
}
