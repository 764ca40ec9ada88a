//! The certificate of a server is good, for its name, and for long enough.

use carnet_document::InputError;
use carnet_ledger::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::content::sha256_schema;
use super::damaged::{Copies, flipped};
use super::finding::{Judgement, short};
use super::limits::{check_range, check_text, limit_s, yes};

const DAY_S: i64 = 86_400;

/// Whom to ask, and what is demanded of the certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// A name or an IP address.
    pub host: String,
    /// The TCP port.
    #[serde(default = "https")]
    #[schemars(range(min = 1, max = 65_535))]
    pub port: u16,
    /// The name that the certificate must be for; the host if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// A PEM file with the roots to trust, relative to the plan's folder; those of the machine if
    /// nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roots: Option<String>,
    /// How many days it must still be good.
    #[schemars(range(min = 0, max = 36_500))]
    pub days_min: u32,
    /// Whether it must be trusted for the name. If not, `sha256` must name it.
    #[serde(default = "yes")]
    pub trusted: bool,
    /// SHA-256 of the very certificate, in lower-case hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "sha256_schema")]
    pub sha256: Option<Digest>,
    /// How long the server may take, in seconds.
    #[serde(default = "limit_s")]
    #[schemars(range(min = 1, max = 3_600))]
    pub limit_s: u64,
}

const fn https() -> u16 {
    443
}

/// What the server showed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// When, in seconds since 1970, UTC.
    pub at_s: i64,
    /// The certificate; absent if it showed none.
    pub shown: Option<Shown>,
}

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Whose it is, as it says.
    pub subject: String,
    /// Who signed it, as it says.
    pub issuer: String,
    /// SHA-256 of its bytes.
    pub sha256: Digest,
    /// From when on it is good, in seconds since 1970, UTC.
    pub not_before_s: i64,
    /// Until when it is good, in seconds since 1970, UTC.
    pub not_after_s: i64,
    /// Why it is not trusted for the name; absent if it is.
    pub distrust: Option<String>,
}

const REMEDY: &str = "give the server a good certificate, and run again";

impl Rule {
    fn days_s(&self) -> i64 {
        i64::from(self.days_min) * DAY_S
    }

    pub(super) fn judge(&self, facts: &Facts) -> Judgement {
        let place = format!("{}:{}", self.host, self.port);
        let Some(shown) = &facts.shown else {
            return Judgement::no_data(0, format!("{place} showed no certificate"), REMEDY);
        };
        let left_s = shown.not_after_s.saturating_sub(facts.at_s);
        let days = left_s.div_euclid(DAY_S);
        let wrong = if left_s < 0 {
            "is no longer good".to_owned()
        } else if facts.at_s < shown.not_before_s {
            "is not good yet".to_owned()
        } else if left_s < self.days_s() {
            format!("is good for {days} more days, and must be for {}", self.days_min)
        } else if self.sha256.is_some_and(|sha256| sha256 != shown.sha256) {
            format!("is another one, with the SHA-256 {}…", short(shown.sha256))
        } else if let Some(distrust) = shown.distrust.as_ref().filter(|_| self.trusted) {
            format!("is not trusted: {distrust}")
        } else {
            let subject: String = shown.subject.chars().take(60).collect();
            let reason =
                format!("the certificate of {place} ({subject}) is good for {days} more days");
            return Judgement::pass(1, reason);
        };
        Judgement::fail(1, format!("the certificate of {place} {wrong}"), REMEDY)
    }

    pub(super) fn damage(&self, facts: &Facts) -> Vec<(&'static str, Facts)> {
        let mut copies = Copies::of(facts);
        let at_s = facts.at_s;
        let mut add = |name, damage: &dyn Fn(&mut Shown)| {
            copies.add(name, |facts: &mut Facts| {
                if let Some(shown) = &mut facts.shown {
                    damage(shown);
                }
            });
        };
        add("expired", &|shown| shown.not_after_s = at_s.saturating_sub(1));
        add("too_few_days", &|shown| {
            shown.not_after_s = at_s.saturating_add(self.days_s()).saturating_sub(1);
        });
        add("not_good_yet", &|shown| shown.not_before_s = at_s.saturating_add(1));
        if self.trusted {
            add("not_trusted", &|shown| shown.distrust = Some("made by nobody known".to_owned()));
        }
        if self.sha256.is_some() {
            add("another_one", &|shown| shown.sha256 = flipped(shown.sha256));
        }
        copies.add("nothing_seen", |facts| facts.shown = None);
        copies.done()
    }

    pub(super) fn check(&self) -> Vec<InputError> {
        let mut errors = check_text("/host", &self.host);
        errors.extend(check_range("/port", self.port.into(), 1, 65_535));
        errors.extend(check_range("/days_min", self.days_min.into(), 0, 36_500));
        errors.extend(check_range("/limit_s", self.limit_s, 1, 3_600));
        if !self.trusted && self.sha256.is_none() {
            let what = "a certificate that need not be trusted could be anybody's";
            let remedy = "name it by `sha256`, or trust its maker with `roots`";
            errors.push(InputError::new("/trusted", what, remedy));
        }
        errors
    }

    pub(super) fn demands(&self) -> String {
        let trusted = if self.trusted { "trusted and " } else { "" };
        let (host, port, days) = (&self.host, self.port, self.days_min);
        format!("the certificate of {host}:{port} is {trusted}good for {days} more days")
    }
}
