//! What every store must do, as checks that run against the real thing. A connector is done when
//! they pass. Capability values choose between expectations; no store is named here.

mod checks;
mod sample;

use std::fmt;

use crate::error::StoreError;
use crate::repository::VectorRepository;

pub use sample::{SAMPLE_DIMENSIONS, sample_contract, sample_records};

/// Opens a fresh, empty store of one kind. Each call gives another place.
pub type Fresh<'f> = dyn FnMut() -> Result<Box<dyn VectorRepository>, StoreError> + 'f;

/// A check that did not hold.
#[derive(Debug)]
pub struct Failure {
    /// The check's name.
    pub check: &'static str,
    /// What was seen.
    pub seen: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "conformance check {}: {}", self.check, self.seen)
    }
}

impl std::error::Error for Failure {}

/// Runs every check, each on a fresh store; the first that does not hold ends the run. Gives how
/// many were run.
pub fn run(fresh: &mut Fresh<'_>) -> Result<usize, Failure> {
    for (name, check) in checks::ALL {
        let failed = |seen| Failure { check: name, seen };
        let store = fresh().map_err(|error| failed(describe(&error)))?;
        check(store.as_ref()).map_err(failed)?;
    }
    Ok(checks::ALL.len())
}

fn describe(error: &StoreError) -> String {
    use std::error::Error as _;
    let mut text = format!("{} ({})", error, error.code());
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
