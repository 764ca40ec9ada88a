//! The small values of a plan, each with its own check and schema.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

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
    fn names_that_do_not_fit_come_with_one_that_does() {
        let error = MigrationName::read("KB Lab_to_Prod!").unwrap_err();
        assert_eq!(error.remedy(), "write, for example, kb-lab-to-prod");
        assert!(MigrationName::read("-a").is_err());
        assert!(MigrationName::read(&"a".repeat(64)).is_err());
        assert!(MigrationName::read(&"a".repeat(63)).is_ok());
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
