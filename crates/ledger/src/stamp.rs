//! Ids and times of events. Both are inputs: nothing here reads a clock or rolls a die.

use std::fmt;
use std::str::FromStr;

use crate::digest::hex;

/// The id of an event: a UUID, shown in lowercase with hyphens.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(pub [u8; 16]);

/// The text is not a UUID in lowercase with hyphens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a UUID in lowercase with hyphens")]
pub struct NotAnId;

impl EventId {
    /// The id as it is shown, in ASCII.
    pub(crate) fn ascii(self) -> [u8; 36] {
        let digits: [u8; 32] = hex(&self.0);
        let mut text = [b'-'; 36];
        // Groups of 8, 4, 4, 4 and 12 digits.
        for (to, from) in [(0, 0..8), (9, 8..12), (14, 12..16), (19, 16..20), (24, 20..32)] {
            if let Some(group) = text.get_mut(to..to + from.len())
                && let Some(digits) = digits.get(from)
            {
                group.copy_from_slice(digits);
            }
        }
        text
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.ascii()).unwrap_or_default())
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for EventId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let digits = text.replace('-', "");
        let number = u128::from_str_radix(&digits, 16).map_err(|_| NotAnId)?;
        let id = Self(number.to_be_bytes());
        if id.ascii() == text.as_bytes() { Ok(id) } else { Err(NotAnId) }
    }
}

/// When something happened: UTC to the millisecond, years 0 to 9999, shown in the one form
/// `2026-12-01T20:00:00.000Z` (RFC 3339).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventTime(i64);

/// No time in the form `YYYY-MM-DDTHH:MM:SS.mmmZ`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a time of the form YYYY-MM-DDTHH:MM:SS.mmmZ")]
pub struct NotATime;

/// 0000-01-01 and 10000-01-01, in milliseconds since 1970.
const YEARS_0_TO_9999: std::ops::Range<i64> = -62_167_219_200_000..253_402_300_800_000;
const DAY: i64 = 86_400_000;

impl EventTime {
    /// From milliseconds since 1970-01-01T00:00:00Z.
    pub fn from_unix_millis(millis: i64) -> Result<Self, NotATime> {
        if YEARS_0_TO_9999.contains(&millis) { Ok(Self(millis)) } else { Err(NotATime) }
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub fn unix_millis(self) -> i64 {
        self.0
    }

    /// The time as it is shown, in ASCII.
    pub(crate) fn ascii(self) -> [u8; 24] {
        let (year, month, day) = date_of(self.0.div_euclid(DAY));
        let millis = self.0.rem_euclid(DAY);
        let mut text = *b"0000-00-00T00:00:00.000Z";
        for (range, number) in [
            (0..4, year),
            (5..7, month),
            (8..10, day),
            (11..13, millis / 3_600_000),
            (14..16, millis / 60_000 % 60),
            (17..19, millis / 1_000 % 60),
            (20..23, millis % 1_000),
        ] {
            // None of them is negative, and each fits into its digits.
            let mut rest = u32::try_from(number).unwrap_or_default();
            for digit in text.get_mut(range).unwrap_or_default().iter_mut().rev() {
                *digit += u8::try_from(rest % 10).unwrap_or_default();
                rest /= 10;
            }
        }
        text
    }
}

/// Days since 1970 of a date in the Gregorian calendar. Years are counted from March, so that the
/// leap day comes last; 400 of them have 146,097 days.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year
        - 719_468
}

/// The inverse of `days_of`.
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = days.div_euclid(146_097) * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

impl fmt::Display for EventTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.ascii()).unwrap_or_default())
    }
}

impl fmt::Debug for EventTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for EventTime {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        let part = |range: std::ops::Range<usize>| {
            let digits = text.get(range).ok_or(NotATime)?;
            digits.parse::<i64>().map_err(|_| NotATime)
        };
        let days = days_of(part(0..4)?, part(5..7)?, part(8..10)?);
        let seconds = part(11..13)? * 3_600 + part(14..16)? * 60 + part(17..19)?;
        let time = Self::from_unix_millis(days * DAY + seconds * 1_000 + part(20..23)?)?;
        // Whatever is out of range or not in the form comes back as other text.
        if time.ascii() == text.as_bytes() { Ok(time) } else { Err(NotATime) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_000_000_123, "2026-11-18T11:06:40.123Z"),
            (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] {
            let time = EventTime::from_unix_millis(millis).unwrap();
            assert_eq!(time.to_string(), text);
            assert_eq!(text.parse(), Ok(time));
        }
        assert!(EventTime::from_unix_millis(253_402_300_800_000).is_err());
        assert!(EventTime::from_unix_millis(-62_167_219_200_001).is_err());
    }

    #[test]
    fn other_forms_of_a_time_are_refused() {
        for wrong in [
            "",
            "2026-12-01",
            "2026-12-01T20:00:00Z",
            "2026-12-01T20:00:00.000+00:00",
            "2026-12-01 20:00:00.000Z",
            "2026-02-29T00:00:00.000Z",
            "2026-13-01T00:00:00.000Z",
            "2026-12-01T24:00:00.000Z",
            "2026-12-01T20:00:60.000Z",
            "2026-12-01T20:00:00.000Zx",
            "+026-12-01T20:00:00.000Z",
            "2026-12-01T2é:00:00.000Z",
        ] {
            assert_eq!(wrong.parse::<EventTime>(), Err(NotATime), "{wrong}");
        }
    }

    #[test]
    fn ids_are_uuids_in_one_form() {
        let text = "01934f6e-8a3b-7c00-8000-0123456789ab";
        assert_eq!(text.parse::<EventId>().unwrap().to_string(), text);
        for wrong in
            ["", "evt-1", &text.to_uppercase(), &text.replace('-', ""), &format!("{text}0")]
        {
            assert_eq!(wrong.parse::<EventId>(), Err(NotAnId), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn every_time_round_trips(millis in YEARS_0_TO_9999) {
            let time = EventTime::from_unix_millis(millis).unwrap();
            prop_assert_eq!(time.to_string().parse(), Ok(time));
        }

        #[test]
        fn no_text_makes_the_readers_fall(text in "\\PC{0,40}") {
            let _ = (text.parse::<EventTime>(), text.parse::<EventId>());
        }
    }
}
