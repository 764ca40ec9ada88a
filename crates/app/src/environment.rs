//! What is read from outside: variables, the clock, the machine. Nowhere else.

use std::io::IsTerminal;
use std::time::{SystemTime, UNIX_EPOCH};

use carnet_bundle::SnapshotTime;
use carnet_ledger::EventTime;
use carnet_model::{Code, Secret};

use crate::failure::Failure;

/// The surroundings of one command, read once.
pub(crate) struct Environment {
    /// Whether colour may be shown at all.
    pub(crate) colour: bool,
    /// Whether stderr is a terminal.
    pub(crate) stderr_terminal: bool,
    /// Whether stdout is a terminal that can be drawn over.
    pub(crate) stdout_terminal: bool,
    /// `PGPASSWORD`.
    pub(crate) postgres_password: Option<Secret>,
    /// `SOURCE_DATE_EPOCH` as it was set.
    source_date_epoch: Option<String>,
    /// `CARNET_FAULTS`: faults on purpose, for tests.
    #[cfg(feature = "faults")]
    pub(crate) faults: Option<String>,
    /// The login name, to name the person in the evidence.
    pub(crate) user: Option<String>,
}

impl Environment {
    /// Reads the variables.
    pub(crate) fn read() -> Self {
        // Without a name for its kind, a terminal is not trusted to understand more than text.
        let dumb = variable("TERM").is_none_or(|term| term == "dumb");
        Self {
            colour: variable("NO_COLOR").is_none() && !dumb,
            stderr_terminal: std::io::stderr().is_terminal() && !dumb,
            stdout_terminal: std::io::stdout().is_terminal() && !dumb,
            postgres_password: variable("PGPASSWORD").map(Secret::new),
            source_date_epoch: variable("SOURCE_DATE_EPOCH"),
            #[cfg(feature = "faults")]
            faults: variable("CARNET_FAULTS"),
            user: variable("USER").or_else(|| variable("LOGNAME")),
        }
    }

    /// A variable that a plan names, set and not empty.
    pub(crate) fn secret(name: &str) -> Option<Secret> {
        variable(name).map(Secret::new)
    }

    /// Whether a program of this name is on the path.
    pub(crate) fn has_program(name: &str) -> bool {
        let path = variable("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
    }

    /// Microseconds since 1970: the clock.
    pub(crate) fn now() -> i64 {
        #[expect(clippy::disallowed_methods, reason = "this is where the clock is read")]
        let now = SystemTime::now();
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    }

    /// When a snapshot says that it was made: `SOURCE_DATE_EPOCH` where it is set, else the clock.
    pub(crate) fn snapshot_time(&self) -> Result<SnapshotTime, Failure> {
        let seconds = match &self.source_date_epoch {
            Some(text) => text.parse().ok(),
            None => Some(Self::now().div_euclid(1_000_000)),
        };
        let time = seconds.and_then(|seconds| SnapshotTime::from_unix_seconds(seconds).ok());
        time.ok_or_else(no_epoch)
    }

    /// The time of `SOURCE_DATE_EPOCH`, where it is set.
    pub(crate) fn fixed_snapshot_time(&self) -> Result<Option<SnapshotTime>, Failure> {
        self.source_date_epoch.is_some().then(|| self.snapshot_time()).transpose()
    }

    /// `SOURCE_DATE_EPOCH` as an event tells time, where it is set.
    pub(crate) fn fixed_time(&self) -> Result<Option<EventTime>, Failure> {
        let Some(text) = &self.source_date_epoch else { return Ok(None) };
        let millis = text.parse::<i64>().ok().and_then(|seconds| seconds.checked_mul(1000));
        let time = millis.and_then(|millis| EventTime::from_unix_millis(millis).ok());
        time.map(Some).ok_or_else(no_epoch)
    }

    /// All cores.
    pub(crate) fn cores() -> usize {
        std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
    }
}

fn no_epoch() -> Failure {
    Failure::new(Code::USAGE, "SOURCE_DATE_EPOCH is not a number of seconds since 1970")
        .remedy("set it to a whole number, or unset it")
}

/// A variable that is set and not empty.
fn variable(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
    let value = std::env::var(name);
    value.ok().filter(|value| !value.is_empty())
}
