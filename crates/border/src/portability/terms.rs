//! The terms of a switch between providers, as the EU Data Act (Regulation (EU) 2023/2854, Articles
//! 23 to 31) bounds them. Dates are compared; nothing here is legal advice.

use std::borrow::Cow;
use std::fmt;

use carnet_document::InputError;
use jiff::fmt::temporal::Pieces;
use jiff::{Span, Zoned};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::reading;

/// Notice is at most so many months.
const NOTICE_MONTHS_MAX: i64 = 2;
/// The transition takes at most so many days …
const TRANSITION_DAYS_MAX: i64 = 30;
/// … or so many months, where the provider gave reasons.
const JUSTIFIED_MONTHS_MAX: i64 = 7;
/// Data can be retrieved for at least so many days after the transition.
const RETRIEVAL_DAYS_MIN: i64 = 30;
const DAY_S: i64 = 86_400;

/// A moment with its distance from UTC, as it was written: months are counted in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TermMoment {
    text: String,
    zoned: Zoned,
}

impl TermMoment {
    /// Reads `2026-12-01T20:00:00+01:00`. The distance from UTC must be written.
    pub fn read(text: &str) -> Option<Self> {
        let pieces = Pieces::parse(text).ok()?;
        let offset = pieces.to_numeric_offset()?;
        let time = pieces.time().filter(|time| time.subsec_nanosecond() == 0)?;
        let zoned = pieces.date().to_datetime(time).to_zoned(offset.to_time_zone()).ok()?;
        Some(Self { text: text.to_owned(), zoned })
    }

    /// Seconds since 1970, UTC.
    pub fn unix_seconds(&self) -> i64 {
        self.zoned.timestamp().as_second()
    }

    fn plus(&self, span: Span) -> Option<i64> {
        Some(self.zoned.checked_add(span).ok()?.timestamp().as_second())
    }
}

impl fmt::Display for TermMoment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for TermMoment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for TermMoment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || serde::de::Error::custom("not a moment with its distance from UTC");
        Self::read(&text).ok_or_else(wrong)
    }
}

impl JsonSchema for TermMoment {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "TermMoment".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$",
        })
    }
}

/// The terms of a switch. They stand in the plan under `terms`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Carnet switching terms")]
pub struct Terms {
    /// When the customer gave notice.
    pub notice_date: TermMoment,
    /// When the transition starts: at most two months after the notice.
    pub transition_starts: TermMoment,
    /// When the transition must be done: at most 30 days after its start.
    pub transition_deadline: TermMoment,
    /// Why the provider needs longer: at most seven months then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1_024))]
    pub longer_because: Option<String>,
    /// That the customer asked for a longer transition, and why: it has no bound then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1_024))]
    pub extended_by_customer: Option<String>,
    /// Until when data can be retrieved: at least 30 days after the transition.
    pub retrieval_until: TermMoment,
    /// When everything must be erased: after the retrieval.
    pub erasure_due: TermMoment,
}

/// One of the terms.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum TermName {
    /// When notice was given.
    NoticeDate,
    /// When the transition starts.
    TransitionStarts,
    /// When the transition must be done.
    TransitionDeadline,
    /// Until when data can be retrieved.
    RetrievalUntil,
    /// When everything must be erased.
    ErasureDue,
}

impl TermName {
    /// All of them, in their order in time.
    pub const ALL: [Self; 5] = [
        Self::NoticeDate,
        Self::TransitionStarts,
        Self::TransitionDeadline,
        Self::RetrievalUntil,
        Self::ErasureDue,
    ];

    /// The word in plans and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoticeDate => "notice_date",
            Self::TransitionStarts => "transition_starts",
            Self::TransitionDeadline => "transition_deadline",
            Self::RetrievalUntil => "retrieval_until",
            Self::ErasureDue => "erasure_due",
        }
    }
}

/// A term as a person looks at it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TermLeft {
    /// Which.
    pub term: TermName,
    /// When.
    pub at: TermMoment,
    /// How many whole days are left; below 0 once it is past.
    pub days_left: i64,
}

impl Terms {
    /// The JSON Schema of the terms.
    pub fn schema() -> Value {
        reading::schema_of::<Self>()
    }

    /// Reads what stands in a plan under `terms`: all that is wrong is told.
    pub fn read_value(value: &Value) -> Result<Self, Vec<InputError>> {
        let terms: Self = reading::read_value(value)?;
        let errors = terms.check();
        if errors.is_empty() { Ok(terms) } else { Err(errors) }
    }

    /// The moment of one term.
    pub const fn at(&self, term: TermName) -> &TermMoment {
        match term {
            TermName::NoticeDate => &self.notice_date,
            TermName::TransitionStarts => &self.transition_starts,
            TermName::TransitionDeadline => &self.transition_deadline,
            TermName::RetrievalUntil => &self.retrieval_until,
            TermName::ErasureDue => &self.erasure_due,
        }
    }

    /// All terms, with the days that are left at a moment.
    pub fn left(&self, now_s: i64) -> Vec<TermLeft> {
        let left = |term| {
            let at = self.at(term).clone();
            let days_left = at.unix_seconds().saturating_sub(now_s).div_euclid(DAY_S);
            TermLeft { term, at, days_left }
        };
        TermName::ALL.map(left).to_vec()
    }

    /// What is out of order, or out of the bounds of the law.
    fn check(&self) -> Vec<InputError> {
        let mut errors = Vec::new();
        for pair in TermName::ALL.windows(2) {
            let [before, after] = pair else { continue };
            if self.at(*after).unix_seconds() < self.at(*before).unix_seconds() {
                let (pointer, before) = (format!("/{}", after.name()), before.name());
                let what = format!("it lies before `{before}`");
                errors.push(InputError::new(pointer, what, "write a later moment"));
            }
        }
        let mut late = |term: TermName, is_late: Option<bool>, what: &str, remedy: &str| {
            if is_late != Some(false) {
                errors.push(InputError::new(format!("/{}", term.name()), what, remedy));
            }
        };
        let months = |from: &TermMoment, count| from.plus(Span::new().months(count));
        let days = |from: &TermMoment, count| from.plus(Span::new().days(count));
        let starts = self.transition_starts.unix_seconds();
        late(
            TermName::TransitionStarts,
            months(&self.notice_date, NOTICE_MONTHS_MAX).map(|most| starts > most),
            "it is more than two months after the notice",
            "start at most two months after `notice_date`",
        );
        let ends = self.transition_deadline.unix_seconds();
        match (&self.extended_by_customer, &self.longer_because) {
            (Some(_), _) => {}
            (None, Some(_)) => late(
                TermName::TransitionDeadline,
                months(&self.transition_starts, JUSTIFIED_MONTHS_MAX).map(|most| ends > most),
                "it is more than seven months after the start",
                "end it at most seven months after `transition_starts`",
            ),
            (None, None) => late(
                TermName::TransitionDeadline,
                days(&self.transition_starts, TRANSITION_DAYS_MAX).map(|most| ends > most),
                "it is more than 30 days after the start, and no reason is given",
                "end it at most 30 days after `transition_starts`, or say why in `longer_because`",
            ),
        }
        let until = self.retrieval_until.unix_seconds();
        late(
            TermName::RetrievalUntil,
            days(&self.transition_deadline, RETRIEVAL_DAYS_MIN).map(|least| until < least),
            "it is less than 30 days after the transition",
            "keep the data at least 30 days after `transition_deadline`",
        );
        errors
    }
}

#[cfg(test)]
mod tests;
