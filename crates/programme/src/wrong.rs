//! What does not agree.

use std::fmt;

/// What files say that cannot be so together, or that says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Whether there was something to compare.
    pub kind: WrongKind,
    /// What is wrong, with the numbers.
    pub what: String,
    /// What to do.
    pub remedy: &'static str,
}

/// Whether there was something to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrongKind {
    /// There was nothing, so that nothing is shown.
    Empty,
    /// It does not agree.
    Differs,
}

impl Wrong {
    pub(crate) fn empty(what: impl Into<String>) -> Self {
        let remedy = "an empty basis shows nothing: find out why it is empty, and run again";
        Self { kind: WrongKind::Empty, what: what.into(), remedy }
    }

    pub(crate) fn differs(what: impl Into<String>) -> Self {
        let remedy =
            "find out which side is wrong; never edit evidence, write it anew for a new run";
        Self { kind: WrongKind::Differs, what: what.into(), remedy }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}
