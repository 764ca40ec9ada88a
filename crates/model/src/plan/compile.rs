//! The compiled plan: immutable, with nothing left to decide.

use super::diagnostic::Diagnostic;
use super::document::Document;
use super::open::{self, Rejected};

/// A plan that was read and checked without an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    document: Document,
}

impl Plan {
    /// Reads and checks the text of a plan file. `file` is only repeated in a rejection. Gives
    /// the plan with the warnings that a person should see.
    pub fn open(file: &str, text: &str) -> Result<(Self, Vec<Diagnostic>), Rejected> {
        let (document, warnings) = open::open(file, text)?;
        Ok((Self { document }, warnings))
    }

    /// The document after defaults.
    pub fn document(&self) -> &Document {
        &self.document
    }
}
