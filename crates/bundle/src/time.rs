//! The moment of a snapshot, in the three forms that its parts use.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::error::BundleError;

/// A moment in whole seconds UTC, from 1970 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotTime(DateTime);

impl SnapshotTime {
    /// From seconds since 1970-01-01T00:00:00Z, such as `SOURCE_DATE_EPOCH` holds.
    pub fn from_unix_seconds(seconds: i64) -> Result<Self, BundleError> {
        let moment =
            Timestamp::from_second(seconds).ok().filter(|_| seconds >= 0).ok_or_else(|| {
                BundleError::Request {
                    what: format!("{seconds} seconds since 1970 is not a time of a snapshot"),
                }
            })?;
        Ok(Self(TimeZone::UTC.to_datetime(moment)))
    }

    /// `knowledge_snapshot_YYYYMMDD_HHMMSS`.
    pub fn folder(&self) -> String {
        let t = self.0;
        format!(
            "knowledge_snapshot_{:04}{:02}{:02}_{:02}{:02}{:02}",
            t.year(),
            t.month(),
            t.day(),
            t.hour(),
            t.minute(),
            t.second()
        )
    }

    /// `YYYYMMDDTHHMMSSZ`.
    pub fn id(&self) -> String {
        self.utc().replace(['-', ':'], "")
    }

    /// `YYYY-MM-DDTHH:MM:SSZ`.
    pub fn utc(&self) -> String {
        let t = self.0;
        format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
            t.year(),
            t.month(),
            t.day(),
            t.hour(),
            t.minute(),
            t.second()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_moment_in_three_forms() {
        let time = SnapshotTime::from_unix_seconds(1_755_012_600).unwrap();
        assert_eq!(time.folder(), "knowledge_snapshot_20250812_153000");
        assert_eq!(time.id(), "20250812T153000Z");
        assert_eq!(time.utc(), "2025-08-12T15:30:00Z");
        assert!(SnapshotTime::from_unix_seconds(-1).is_err());
        assert!(SnapshotTime::from_unix_seconds(i64::MAX).is_err());
    }
}
