//! What checks found, until it is put into rows.

use std::collections::BTreeMap;

use super::report::{CheckId, Reason};

/// The first thing that one check found wrong, and how many more there were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) reason: Reason,
    pub(super) text: String,
    pub(super) more: u64,
}

/// What was found wrong, by check.
#[derive(Debug, Clone, Default)]
pub(super) struct Findings {
    first: BTreeMap<CheckId, Finding>,
}

impl Findings {
    /// Adds a finding. Only the first of a check is kept in words.
    pub(super) fn add(&mut self, id: CheckId, reason: Reason, text: impl FnOnce() -> String) {
        match self.first.get_mut(&id) {
            Some(first) => first.more += 1,
            None => {
                self.first.insert(id, Finding { reason, text: text(), more: 0 });
            }
        }
    }

    /// Adds what was found behind all that is here.
    pub(super) fn absorb(&mut self, later: Self) {
        for (id, finding) in later.first {
            match self.first.get_mut(&id) {
                Some(first) => first.more += 1 + finding.more,
                None => {
                    self.first.insert(id, finding);
                }
            }
        }
    }

    /// Takes what a check found out of here.
    pub(super) fn take(&mut self, id: CheckId) -> Option<Finding> {
        self.first.remove(&id)
    }
}
