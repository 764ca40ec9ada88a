//! What a gate says.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The six verdicts. Only `pass` opens a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything that the gate demands was seen and is so.
    Pass,
    /// Something is not so.
    Fail,
    /// The observation itself went wrong.
    Error,
    /// There was nothing, or too little, to judge.
    NoData,
    /// What was seen is too old.
    Stale,
    /// The gate has not been asked.
    NotRun,
}

impl Verdict {
    /// The word in reports and events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Error => "error",
            Self::NoData => "no_data",
            Self::Stale => "stale",
            Self::NotRun => "not_run",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A verdict with its reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Why, naming the first thing that is not so.
    pub reason: String,
    /// What to do; absent for a pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// How many things were compared: files, collections, queries.
    pub sample: u64,
}

impl Judgement {
    pub(super) fn pass(sample: usize, reason: impl Into<String>) -> Self {
        Self { verdict: Verdict::Pass, reason: reason.into(), remedy: None, sample: size(sample) }
    }

    pub(super) fn fail(sample: usize, reason: impl Into<String>, remedy: &str) -> Self {
        let (reason, remedy) = (reason.into(), Some(remedy.to_owned()));
        Self { verdict: Verdict::Fail, reason, remedy, sample: size(sample) }
    }

    pub(super) fn no_data(sample: usize, reason: impl Into<String>, remedy: &str) -> Self {
        Self { verdict: Verdict::NoData, ..Self::fail(sample, reason, remedy) }
    }
}

fn size(sample: usize) -> u64 {
    u64::try_from(sample).unwrap_or(u64::MAX)
}

/// Counts in words: `1 file`, `2 files`.
pub(super) fn counted(count: usize, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
}

/// The first sixteen digits, enough to tell two digests apart on a screen.
pub(super) fn short(digest: carnet_ledger::Digest) -> String {
    let text = digest.to_string();
    text.get(..16).unwrap_or(&text).to_owned()
}
