//! One failure, ready to be shown: what, why, where, what was changed, what to do.

use std::error::Error;
use std::ops::{Deref, DerefMut};

use carnet_connect::StoreError;
use carnet_engine::{EngineError, Missing, Refused};
use carnet_model::plan::mask;
use carnet_model::{Code, StoreUrlError};
use serde::Serialize;

use crate::findings::{FindingView, Findings};

/// A failure as people and programs get to see it. No password is in it: the texts are masked when
/// it is made.
#[derive(Debug)]
pub(crate) struct Failure(Box<Parts>);

/// What a failure says.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) code: Code,
    pub(crate) what: String,
    pub(crate) causes: Vec<String>,
    pub(crate) place: Option<String>,
    pub(crate) changed: Option<String>,
    pub(crate) remedy: Option<String>,
    /// The findings of a plan, shown before the rest.
    pub(crate) findings: Option<Findings>,
    /// Whether the text of `what` is a whole page that needs no frame (usage).
    pub(crate) framed: bool,
}

impl Deref for Failure {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl DerefMut for Failure {
    fn deref_mut(&mut self) -> &mut Parts {
        &mut self.0
    }
}

impl Failure {
    pub(crate) fn new(code: Code, what: impl AsRef<str>) -> Self {
        Self(Box::new(Parts {
            code,
            what: mask(what.as_ref()),
            causes: Vec::new(),
            place: None,
            changed: None,
            remedy: None,
            findings: None,
            framed: false,
        }))
    }

    /// An error of a library with its causes, outermost first.
    pub(crate) fn from_error(error: &(dyn Error + 'static), code: Code) -> Self {
        Self::new(code, error.to_string()).causes(error.source())
    }

    /// What clap says about a command line, passwords masked.
    pub(crate) fn usage(error: &clap::Error) -> Self {
        let text = error.render().to_string();
        let mut failure = Self::new(Code::USAGE, text.trim_end());
        failure.framed = true;
        failure
    }

    /// An input/output failure at a path.
    pub(crate) fn io(what: impl AsRef<str>, error: std::io::Error) -> Self {
        Self::from(StoreError::io(what.as_ref(), error))
    }

    /// A failure around a run.
    pub(crate) fn engine(error: &EngineError) -> Self {
        let mut failure = Self::from_error(error, error.code());
        if let EngineError::Refused(Refused::Unready { missing, .. }) = error {
            for Missing { what, remedy } in missing {
                failure = failure.because(format!("{what}; {remedy}"));
            }
        }
        match error.remedy() {
            Some(remedy) => failure.remedy(remedy),
            None => failure,
        }
    }

    /// Adds the causes of an error.
    pub(crate) fn causes(mut self, first: Option<&(dyn Error + 'static)>) -> Self {
        let mut next = first;
        while let Some(cause) = next {
            self = self.because(cause.to_string());
            next = cause.source();
        }
        self
    }

    /// Adds one cause. One that says again what stands above it is left out.
    pub(crate) fn because(mut self, cause: impl AsRef<str>) -> Self {
        let cause = mask(cause.as_ref());
        if self.causes.last().unwrap_or(&self.what) != &cause {
            self.causes.push(cause);
        }
        self
    }

    /// Says what was being done: the failure so far becomes its cause.
    pub(crate) fn while_doing(mut self, what: impl AsRef<str>) -> Self {
        let inner = std::mem::replace(&mut self.what, mask(what.as_ref()));
        self.causes.insert(0, inner);
        self
    }

    /// Says where.
    pub(crate) fn place(mut self, place: impl AsRef<str>) -> Self {
        self.place = Some(mask(place.as_ref()));
        self
    }

    /// Says what was and what was not changed.
    pub(crate) fn changed(mut self, changed: impl AsRef<str>) -> Self {
        self.changed = Some(mask(changed.as_ref()));
        self
    }

    /// Says what to do.
    pub(crate) fn remedy(mut self, remedy: impl AsRef<str>) -> Self {
        self.remedy = Some(mask(remedy.as_ref()));
        self
    }

    /// Shows these findings before the rest.
    pub(crate) fn findings(mut self, findings: Findings) -> Self {
        self.findings = Some(findings);
        self
    }

    /// The same for programs.
    pub(crate) fn json(&self) -> impl Serialize {
        let first_line = self.what.lines().next().unwrap_or_default();
        let message =
            if self.framed { first_line.trim_start_matches("error: ") } else { &self.what };
        Document {
            error: ErrorView {
                code: self.code.name(),
                exit: self.code.exit() as u8,
                message,
                causes: &self.causes,
                place: self.place.as_deref(),
                changed: self.changed.as_deref(),
                remedy: self.remedy.as_deref(),
                findings: self.findings.as_ref().map(Findings::views),
            },
        }
    }
}

#[derive(Serialize)]
struct Document<'f> {
    error: ErrorView<'f>,
}

#[derive(Serialize)]
struct ErrorView<'f> {
    code: &'static str,
    exit: u8,
    message: &'f str,
    causes: &'f [String],
    #[serde(rename = "where")]
    place: Option<&'f str>,
    changed: Option<&'f str>,
    remedy: Option<&'f str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    findings: Option<Vec<FindingView<'f>>>,
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let failure = Self::from_error(&error, error.code());
        match error.remedy_text() {
            Some(remedy) => failure.remedy(remedy),
            None => failure,
        }
    }
}

impl From<StoreUrlError> for Failure {
    fn from(error: StoreUrlError) -> Self {
        Self::from_error(&error, error.code()).remedy(error.remedy())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_a_chain_without_echo_and_without_passwords() {
        let inner = std::io::Error::other("postgres://me:secret@h/d did not answer");
        let error = StoreError::new(Code::STORE_UNREACHABLE, "cannot connect").because(inner);
        let failure = Failure::from(error).because("x").because("x").while_doing("opening A");
        assert_eq!(failure.what, "opening A");
        assert_eq!(
            failure.causes,
            ["cannot connect", "postgres://me:******@h/d did not answer", "x"]
        );
        let shown = serde_json::to_value(failure.json()).unwrap();
        assert_eq!(shown["error"]["exit"], 6);
    }
}
