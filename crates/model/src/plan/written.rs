//! The small values of a plan, each with its own check and schema.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use carnet_ledger::Digest;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use crate::store_url::StoreUrl;

/// A text that is not what it must be: what it must be, and what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be {must}")]
pub struct NotWritten {
    must: String,
    remedy: String,
}

impl NotWritten {
    pub(super) fn new(must: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { must: must.into(), remedy: remedy.into() }
    }

    /// What to write instead.
    pub fn remedy(&self) -> &str {
        &self.remedy
    }
}

/// A value that is written as text and checked when it is read.
pub(super) trait Written: Sized {
    fn read(text: &str) -> Result<Self, NotWritten>;
}

/// Defines a checked text: its doc, name, pattern for the schema, and check.
macro_rules! written {
    ($(#[$doc:meta])* $name:ident, $pattern:literal, $max:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The text as it was written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string", "pattern": $pattern, "minLength": 1, "maxLength": $max,
                })
            }
        }
    };
}

written!(
    /// The name of a migration: 1 to 63 of `a-z 0-9 -`, not starting with `-`. It names the folder
    /// of the run's state.
    MigrationName, "^[a-z0-9][a-z0-9-]*$", 63
);
written!(
    /// A short text for people: 1 to 200 characters without control characters.
    Label, "^[^\\u0000-\\u001f\\u007f-\\u009f]+$", 200
);
written!(
    /// A path as the plan has it; a relative one starts at the plan's folder.
    WrittenPath, "^[^\\u0000-\\u001f\\u007f-\\u009f]+$", 4096
);
written!(
    /// A length of time by ISO 8601, in whole units: `P365D`, `PT4H30M`, `P2W`.
    Period, "^P([0-9]+Y)?([0-9]+M)?([0-9]+W)?([0-9]+D)?(T([0-9]+H)?([0-9]+M)?([0-9]+S)?)?$", 40
);
written!(
    /// The name of an environment variable.
    VariableName, "^[A-Za-z_][A-Za-z0-9_]*$", 255
);
written!(
    /// The name of a phase, a node, a branch or an approval: 1 to 63 of `a-z 0-9 _ -`, starting
    /// with a letter or digit.
    NodeName, "^[a-z0-9][a-z0-9_-]*$", 63
);
written!(
    /// The name of a column, as the store has it: 1 to 63 bytes.
    ColumnName, "^[^\\u0000-\\u001f\\u007f-\\u009f]+$", 63
);

fn printable(text: &str, max: usize) -> bool {
    !text.is_empty() && text.chars().count() <= max && !text.chars().any(char::is_control)
}

impl Written for MigrationName {
    fn read(text: &str) -> Result<Self, NotWritten> {
        let fits = (1..=63).contains(&text.len())
            && !text.starts_with('-')
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let wrong = || {
            let like: String = text
                .to_lowercase()
                .chars()
                .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' })
                .take(63)
                .collect();
            let like = like.trim_matches('-');
            let like = if like.is_empty() { "lab-to-prod" } else { like };
            NotWritten::new(
                "1 to 63 of a-z 0-9 -, not starting with -",
                format!("write, for example, {like}"),
            )
        };
        if fits { Ok(Self(text.to_owned())) } else { Err(wrong()) }
    }
}

impl Written for Label {
    fn read(text: &str) -> Result<Self, NotWritten> {
        if printable(text, 200) {
            return Ok(Self(text.to_owned()));
        }
        let must = "1 to 200 characters on one line";
        Err(NotWritten::new(must, "write a short name or phrase"))
    }
}

impl Written for WrittenPath {
    fn read(text: &str) -> Result<Self, NotWritten> {
        if printable(text, 4096) {
            return Ok(Self(text.to_owned()));
        }
        Err(NotWritten::new("a path", "write a path, relative to the folder of the plan"))
    }
}

impl WrittenPath {
    /// The path, seen from the plan's folder.
    pub fn within(&self, folder: &Path) -> PathBuf {
        folder.join(&self.0)
    }
}

impl Written for Period {
    fn read(text: &str) -> Result<Self, NotWritten> {
        if is_period(text) {
            return Ok(Self(text.to_owned()));
        }
        let must = "a length of time by ISO 8601 in whole units";
        Err(NotWritten::new(must, "write, for example, P365D (days), P2Y (years) or PT4H (hours)"))
    }
}

/// `P`, then numbers with their units in the order of the standard, hours and less after a `T`.
fn is_period(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('P') else { return false };
    let (date, time) = match rest.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (rest, None),
    };
    let parts = |part: &str, units: &str| -> Option<usize> {
        let (mut rest, mut units, mut count) = (part, units, 0);
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit())?;
            let unit = rest.get(end..)?.chars().next()?;
            let place = units.find(unit)?;
            if end == 0 || end > 9 {
                return None;
            }
            units = units.get(place + 1..)?;
            rest = rest.get(end + 1..)?;
            count += 1;
        }
        Some(count)
    };
    match (parts(date, "YMWD"), time.map(|time| parts(time, "HMS"))) {
        (Some(days), None) => days > 0,
        (Some(_), Some(Some(times))) => times > 0,
        (None, _) | (_, Some(None)) => false,
    }
}

impl Written for NodeName {
    fn read(text: &str) -> Result<Self, NotWritten> {
        let one_of_us = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let fits = (1..=63).contains(&text.len())
            && text.bytes().next().is_some_and(one_of_us)
            && text.bytes().all(|b| one_of_us(b) || b == b'-' || b == b'_');
        if fits {
            return Ok(Self(text.to_owned()));
        }
        let must = "1 to 63 of a-z 0-9 _ -, starting with a letter or digit";
        Err(NotWritten::new(must, "write, for example, add_column"))
    }
}

impl NodeName {
    /// A name made of one that fits.
    pub(super) fn of(fits: &str) -> Self {
        Self(fits.to_owned())
    }
}

impl Written for VariableName {
    fn read(text: &str) -> Result<Self, NotWritten> {
        let fits = (1..=255).contains(&text.len())
            && !text.starts_with(|c: char| c.is_ascii_digit())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if fits {
            return Ok(Self(text.to_owned()));
        }
        let must = "the name of an environment variable: A-Z a-z 0-9 _, not starting with a digit";
        Err(NotWritten::new(must, "write, for example, VECTOR_ENDPOINT"))
    }
}

impl Written for ColumnName {
    fn read(text: &str) -> Result<Self, NotWritten> {
        if text.len() <= 63 && printable(text, 63) {
            return Ok(Self(text.to_owned()));
        }
        let must = "the name of a column, 1 to 63 bytes";
        Err(NotWritten::new(must, "write the name as the table has it, without quotes of SQL"))
    }
}

/// A length of time in whole seconds: `PT10S`, `PT4H30M`, `P1D`, `P2W`. Months and years are not
/// taken, since they are of no one length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Duration(u64);

impl Duration {
    /// So many seconds.
    pub(super) const fn of_seconds(seconds: u64) -> Self {
        Self(seconds)
    }

    /// In seconds.
    pub const fn seconds(self) -> u64 {
        self.0
    }
}

/// Ten years: more is a slip.
const SECONDS_MAX: u64 = 10 * 365 * 86_400;

impl std::str::FromStr for Duration {
    type Err = NotWritten;

    fn from_str(text: &str) -> Result<Self, NotWritten> {
        Self::read(text)
    }
}

impl Written for Duration {
    fn read(text: &str) -> Result<Self, NotWritten> {
        let must = "a length of time in weeks, days, hours, minutes and seconds, up to ten years";
        let seconds = if is_period(text) { seconds_of(text) } else { None };
        seconds
            .filter(|seconds| (1..=SECONDS_MAX).contains(seconds))
            .map(Self)
            .ok_or_else(|| NotWritten::new(must, "write, for example, PT30S, PT5M, PT4H or P1D"))
    }
}

/// The seconds of a period that holds no months and years.
fn seconds_of(period: &str) -> Option<u64> {
    let (mut total, mut digits, mut in_time) = (0_u64, String::new(), false);
    for letter in period.chars().skip(1) {
        let unit = match letter {
            '0'..='9' => {
                digits.push(letter);
                continue;
            }
            'T' => {
                in_time = true;
                continue;
            }
            'W' => 7 * 86_400,
            'D' => 86_400,
            'H' => 3_600,
            'M' if in_time => 60,
            'S' => 1,
            _ => return None,
        };
        let number: u64 = digits.parse().ok()?;
        total = total.checked_add(number.checked_mul(unit)?)?;
        digits.clear();
    }
    Some(total)
}

impl JsonSchema for Duration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^P([0-9]+W)?([0-9]+D)?(T([0-9]+H)?([0-9]+M)?([0-9]+S)?)?$",
        })
    }
}

/// A moment, to the second: `2026-12-01T20:00:00+01:00`. The distance from UTC must be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(jiff::Timestamp);

impl Moment {
    /// Seconds since 1970, UTC.
    pub fn unix_seconds(self) -> i64 {
        self.0.as_second()
    }
}

impl Written for Moment {
    fn read(text: &str) -> Result<Self, NotWritten> {
        let moment: Option<jiff::Timestamp> = text.parse().ok();
        moment.filter(|moment| moment.subsec_nanosecond() == 0).map(Self).ok_or_else(|| {
            let must = "a moment with its distance from UTC, to the second";
            NotWritten::new(must, "write, for example, 2026-12-01T20:00:00+01:00")
        })
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Moment {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Moment".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

/// The digest of another plan: `sha256:` and 64 hex digits, as `carnet check` prints them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanDigest(Digest);

impl PlanDigest {
    /// The digest.
    pub const fn digest(self) -> Digest {
        self.0
    }
}

impl Written for PlanDigest {
    fn read(text: &str) -> Result<Self, NotWritten> {
        let digest = text.strip_prefix("sha256:").and_then(|hex| hex.parse().ok());
        digest.map(Self).ok_or_else(|| {
            let must = "sha256: and the 64 hex digits of the digest of a plan";
            NotWritten::new(must, "write the digest that `carnet check` prints for that plan")
        })
    }
}

impl Serialize for PlanDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("sha256:{}", self.0))
    }
}

impl JsonSchema for PlanDigest {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "PlanDigest".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^sha256:[0-9a-f]{64}$" })
    }
}

/// Where a store is, as the plan has it. Shown, serialised and compared without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct WrittenStore(StoreUrl);

impl WrittenStore {
    /// The parsed URL, paths still as written.
    pub fn url(&self) -> &StoreUrl {
        &self.0
    }

    /// The URL with its path seen from the plan's folder.
    pub fn within(&self, folder: &Path) -> StoreUrl {
        match &self.0 {
            StoreUrl::Faiss(path) => StoreUrl::Faiss(folder.join(path)),
            StoreUrl::Sqlite(path) => StoreUrl::Sqlite(folder.join(path)),
            StoreUrl::Snapshot(path) => StoreUrl::Snapshot(folder.join(path)),
            StoreUrl::Postgres(url) => StoreUrl::Postgres(url.clone()),
        }
    }
}

impl Written for WrittenStore {
    fn read(text: &str) -> Result<Self, NotWritten> {
        let url = StoreUrl::parse(text)
            .map_err(|error| NotWritten::new(format!("a store URL: {error}"), error.remedy()))?;
        if text.chars().any(char::is_control) {
            let must = "a store URL without control characters";
            return Err(NotWritten::new(must, "write the URL on one line"));
        }
        Ok(Self(url))
    }
}

impl fmt::Display for WrittenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for WrittenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Serialize for WrittenStore {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for WrittenStore {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "WrittenStore".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "pattern": "^(faiss:.|sqlite:.|snapshot:.|postgres(ql)?:)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_whole_units_in_order() {
        for good in ["P365D", "PT4H", "P1Y2M3W4DT5H6M7S", "P2W", "PT0S"] {
            assert!(Period::read(good).is_ok(), "{good}");
        }
        for bad in ["", "P", "PT", "365D", "P1.5D", "P1D1Y", "P1DT", "p1d", "P-1D", "PD", "P1H"] {
            assert!(Period::read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lengths_of_time_are_of_one_length_and_moments_say_where() {
        for (text, seconds) in [
            ("PT10S", 10),
            ("PT5M", 300),
            ("PT1H1M1S", 3661),
            ("P1DT1S", 86_401),
            ("P2W", 1_209_600),
        ] {
            assert_eq!(Duration::read(text).map(Duration::seconds), Ok(seconds), "{text}");
        }
        for bad in ["P1M", "P1Y", "PT0S", "10", "PT", "P9999W", "PT999999999H"] {
            assert!(Duration::read(bad).is_err(), "{bad}");
        }
        let moment = Moment::read("2026-12-01T20:00:00+01:00").unwrap();
        assert_eq!(moment.to_string(), "2026-12-01T19:00:00Z");
        assert_eq!(moment.unix_seconds(), 1_796_151_600);
        for bad in ["2026-12-01", "2026-12-01T20:00:00", "2026-12-01T20:00:00.5Z", "tomorrow"] {
            assert!(Moment::read(bad).is_err(), "{bad}");
        }
        let digest = format!("sha256:{}", "ab".repeat(32));
        assert!(PlanDigest::read(&digest).is_ok() && PlanDigest::read(&digest[7..]).is_err());
    }

    #[test]
    fn names_that_do_not_fit_come_with_one_that_does() {
        let error = MigrationName::read("KB Lab_to_Prod!").unwrap_err();
        assert_eq!(error.remedy(), "write, for example, kb-lab-to-prod");
        assert!(MigrationName::read("-a").is_err());
        assert!(MigrationName::read(&"a".repeat(64)).is_err());
        assert!(MigrationName::read(&"a".repeat(63)).is_ok());
        for good in ["a", "add_column", "0-1"] {
            assert!(NodeName::read(good).is_ok(), "{good}");
        }
        for bad in ["", "A", "-a", "_a", "a/b", "a:b", "é", &"a".repeat(64)] {
            assert!(NodeName::read(bad).is_err(), "{bad}");
        }
        assert!(VariableName::read("1A").is_err());
        assert!(VariableName::read("A_1").is_ok());
        assert!(Label::read("a\nb").is_err());
        assert!(WrittenPath::read("").is_err());
        assert!(ColumnName::read(&"ä".repeat(32)).is_err());
    }

    #[test]
    fn only_paths_are_seen_from_the_folder() {
        let store = WrittenStore::read("faiss:lab").unwrap();
        assert_eq!(store.within(Path::new("/p")), StoreUrl::Faiss("/p/lab".into()));
        let store = WrittenStore::read("postgres://u:secret@h/d?table=t").unwrap();
        assert_eq!(&store.within(Path::new("/p")), store.url());
        assert!(!format!("{store}{store:?}").contains("secret"));
        assert!(!serde_json::to_string(&store).unwrap().contains("secret"));
    }
}
