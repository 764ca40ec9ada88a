//! What is wrong with a document, as data. How it looks on a screen is the caller's business.

use serde::{Serialize, Serializer};

use super::mask::mask;
use crate::code::Code;

/// A place in the text of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Span {
    /// The first byte, counted from 0.
    pub start: usize,
    /// The byte after the last one.
    pub end: usize,
    /// The line of the first byte, counted from 1.
    pub line: usize,
    /// The column of the first byte in characters, counted from 1.
    pub column: usize,
}

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The plan cannot run.
    Error,
    /// The plan can run, and a person should know.
    Warning,
}

/// One finding: what is wrong, where, and what to write instead. Holds no password: the texts are
/// masked when it is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// The stable code.
    #[serde(serialize_with = "code_name")]
    pub code: Code,
    /// Error or warning.
    pub severity: Severity,
    /// Where.
    pub span: Span,
    /// What is wrong, as a fragment without a full stop.
    pub message: String,
    /// The offending value, cut to 80 characters.
    pub value: Option<String>,
    /// What to do.
    pub remedy: String,
    /// Another place that belongs to it, such as the first of two equal keys, and what it is.
    pub related: Option<(Span, String)>,
}

impl Diagnostic {
    /// One with which the document cannot be used.
    pub fn error(
        code: Code,
        span: Span,
        message: impl AsRef<str>,
        remedy: impl AsRef<str>,
    ) -> Self {
        Self {
            code,
            severity: Severity::Error,
            span,
            message: mask(message.as_ref()),
            value: None,
            remedy: mask(remedy.as_ref()),
            related: None,
        }
    }

    /// One that a person should know.
    pub fn warning(
        code: Code,
        span: Span,
        message: impl AsRef<str>,
        remedy: impl AsRef<str>,
    ) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, span, message, remedy) }
    }

    /// With the value that is wrong, of which 80 characters are shown.
    #[must_use]
    pub fn with_value(mut self, value: &str) -> Self {
        self.value = Some(shortened(value));
        self
    }

    /// With another place that belongs to it, and what it is.
    #[must_use]
    pub fn with_related(mut self, span: Span, what: &str) -> Self {
        self.related = Some((span, what.to_owned()));
        self
    }
}

/// At most 80 characters of a value, passwords masked first.
pub fn shortened(value: &str) -> String {
    let masked = mask(value);
    if masked.chars().count() <= 80 {
        return masked;
    }
    masked.chars().take(79).chain(std::iter::once('…')).collect()
}

fn code_name<S: Serializer>(code: &Code, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(code.name())
}
