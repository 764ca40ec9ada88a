//! How far something is behind stays below a maximum.

use carnet_document::InputError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::damaged::{Copies, spots};
use super::expected::Scalar;
use super::finding::{Judgement, counted};
use super::limits::{check_database, check_http_url, check_range, check_text, limit_s, once};
use crate::decimal::Decimal;
use crate::text::Text;

/// Where the number comes from, one of `sql`, `http` and `command`, and the most that it may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// A query that gives one number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sql: Option<FromSql>,
    /// A JSON document with a number in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<FromHttp>,
    /// A command that prints a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<FromCommand>,
    /// The most that it may be. Below 0 is a failure too: a clock or a count is wrong then.
    pub at_most: Decimal,
    /// How many times it is measured. Each must hold.
    #[serde(default = "once")]
    #[schemars(range(min = 1, max = 1_000))]
    pub samples: u32,
    /// How long to wait between two measurements, in milliseconds.
    #[serde(default)]
    #[schemars(range(min = 0, max = 60_000))]
    pub every_ms: u64,
    /// How long one measurement may take, in seconds.
    #[serde(default = "limit_s")]
    #[schemars(range(min = 1, max = 3_600))]
    pub limit_s: u64,
}

/// A query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct FromSql {
    /// The database: `sqlite:FILE` or `postgres://USER@HOST:PORT/DATABASE`.
    pub database: String,
    /// A query that gives one number.
    pub query: String,
    /// What `$1`, `$2` … stand for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Scalar>,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct FromHttp {
    /// An `http:` or `https:` URL without user and password.
    pub url: String,
    /// Headers of the request: text, or the name of a secret in the environment.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub headers: std::collections::BTreeMap<String, Text>,
    /// A PEM file with the roots to trust, relative to the plan's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roots: Option<String>,
    /// Where the number stands: a JSON pointer (RFC 6901).
    pub pointer: String,
}

/// A command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct FromCommand {
    /// The program: a name that is looked up in PATH, or a path.
    pub program: String,
    /// What it is given, each as one argument.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
}

/// The measurements.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// In the order in which they were made.
    pub samples: Vec<Sample>,
}

/// One measurement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// The number; absent if none was given.
    pub value: Option<Decimal>,
}

const REMEDY: &str = "let it catch up, and run again";

impl Rule {
    pub(super) fn judge(&self, facts: &Facts) -> Judgement {
        let (sample, most) = (facts.samples.len(), self.at_most);
        if sample == 0 {
            return Judgement::no_data(0, "nothing was measured", "check what is measured");
        }
        let mut largest = Decimal::ZERO;
        for (index, it) in facts.samples.iter().enumerate() {
            let number = index + 1;
            let Some(value) = it.value else {
                let reason = format!("measurement {number} gave no number");
                return Judgement::no_data(index, reason, "check what is measured");
            };
            if value < Decimal::ZERO {
                let reason = format!("measurement {number} gave {value}, which is below 0");
                return Judgement::fail(sample, reason, "check the clocks of both sides");
            }
            if value > most {
                let reason = format!("measurement {number} gave {value}, and {most} is the most");
                return Judgement::fail(sample, reason, REMEDY);
            }
            if value > largest {
                largest = value;
            }
        }
        let demanded = self.samples;
        if u32::try_from(sample).is_ok_and(|sample| sample < demanded) {
            let measured = counted(sample, "time", "times");
            let reason = format!("it was measured {measured}, and {demanded} are demanded");
            return Judgement::no_data(sample, reason, "run again");
        }
        let measured = counted(sample, "measurement", "measurements");
        Judgement::pass(sample, format!("{measured}, the largest {largest}; {most} is the most"))
    }

    pub(super) fn damage(&self, facts: &Facts) -> Vec<(&'static str, Facts)> {
        let mut copies = Copies::of(facts);
        let above = Decimal::new(self.at_most.value().next_up());
        for spot in spots(facts.samples.len()) {
            let mut add = |name, value| {
                copies.add(name, |facts: &mut Facts| {
                    if let Some(sample) = facts.samples.get_mut(spot) {
                        sample.value = value;
                    }
                });
            };
            add("number_missing", None);
            add("below_zero", Decimal::new(-f64::MIN_POSITIVE));
            if above.is_some() {
                add("just_above", above);
            }
        }
        if usize::try_from(self.samples).is_ok_and(|demanded| demanded == facts.samples.len()) {
            copies.add("one_sample_less", |facts| {
                facts.samples.pop();
            });
        }
        copies.add("nothing_seen", |facts| facts.samples.clear());
        copies.done()
    }

    pub(super) fn check(&self) -> Vec<InputError> {
        let mut errors = check_range("/limit_s", self.limit_s, 1, 3_600);
        errors.extend(check_range("/samples", self.samples.into(), 1, 1_000));
        errors.extend(check_range("/every_ms", self.every_ms, 0, 60_000));
        let said = [self.sql.is_some(), self.http.is_some(), self.command.is_some()];
        if said.into_iter().filter(|said| *said).count() != 1 {
            let remedy = "write exactly one of `sql`, `http` and `command`";
            errors.push(InputError::new("", "it must be clear what is measured", remedy));
        }
        if let Some(sql) = &self.sql {
            errors.extend(check_database("/sql/database", &sql.database));
            errors.extend(check_text("/sql/query", &sql.query));
        }
        if let Some(http) = &self.http {
            errors.extend(check_http_url("/http/url", &http.url));
            if !http.pointer.starts_with('/') {
                let remedy = "begin it with `/`, such as /lag";
                errors.push(InputError::new("/http/pointer", "not a JSON pointer", remedy));
            }
        }
        errors
            .extend(self.command.iter().flat_map(|it| check_text("/command/program", &it.program)));
        if self.at_most < Decimal::ZERO {
            let what = "a lag is never below 0";
            errors.push(InputError::new("/at_most", what, "write 0 or more"));
        }
        errors
    }

    pub(super) fn demands(&self) -> String {
        let samples = counted(usize::try_from(self.samples).unwrap_or(usize::MAX), "time", "times");
        format!("the lag is at most {}, measured {samples}", self.at_most)
    }
}
