//! Times of evidence, in microseconds since 1970, UTC.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// The moment of a text such as `2026-01-01T00:00:00.5Z`.
pub(crate) fn micros(text: &str) -> Option<i64> {
    text.parse::<Timestamp>().ok().map(Timestamp::as_microsecond)
}

/// The moment that stands in the id of a run: `platform_20260101T000000Z`.
pub(crate) fn of_run_id(id: &str) -> Option<i64> {
    let digits = id.strip_prefix("platform_")?.strip_suffix('Z')?;
    let civil = DateTime::strptime("%Y%m%dT%H%M%S", digits).ok()?;
    civil.to_zoned(TimeZone::UTC).ok().map(|it| it.timestamp().as_microsecond())
}

/// The moment as text, to the second.
pub(crate) fn shown(micros: i64) -> String {
    match Timestamp::from_second(micros.div_euclid(1_000_000)) {
        Ok(moment) => moment.to_string(),
        Err(_) => "a time that no calendar has".to_owned(),
    }
}
