//! What can go wrong with a store, as one type that carries a stable code.

use std::error::Error;
use std::fmt;

use carnet_model::Code;

/// A failure of a store. `Display` says only what failed and where; the cause is in `source()`.
#[derive(Debug)]
pub struct StoreError {
    code: Code,
    what: String,
    remedy: Option<String>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl StoreError {
    /// A failure with a code and what was being done: a lowercase fragment without a full stop,
    /// naming the collection, file, row or range. It must never hold a password.
    pub fn new(code: Code, what: impl Into<String>) -> Self {
        Self { code, what: what.into(), remedy: None, source: None }
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// An input/output failure at a path: told apart into full disk, read-only place, missing
    /// file and the rest.
    pub fn io(what: impl Into<String>, source: std::io::Error) -> Self {
        use std::io::ErrorKind;
        // Every other kind is one and the same to a caller: the place failed.
        #[expect(clippy::wildcard_enum_match_arm, reason = "ErrorKind is non-exhaustive")]
        let code = match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Code::DISK_FULL,
            ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => Code::STORE_READ_ONLY,
            ErrorKind::NotFound => Code::STORE_NOT_FOUND,
            _ => Code::IO,
        };
        Self::new(code, what).because(source)
    }

    /// The stable code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// What to do about it, where it is known: said here, or by the nearest cause that is a failure
    /// of a store.
    pub fn remedy_text(&self) -> Option<&str> {
        let cause = || self.source.as_deref()?.downcast_ref::<Self>()?.remedy_text();
        self.remedy.as_deref().or_else(cause)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remedy_is_not_lost_below_another_layer() {
        let inner =
            StoreError::new(Code::RECORD_ID, "a record has an empty id").remedy("give it one");
        let outer = StoreError::new(inner.code(), "row 7").because(inner);
        assert_eq!(outer.remedy_text(), Some("give it one"));
        let outer = StoreError::new(Code::IO, "row 7").because(std::io::Error::other("x"));
        assert_eq!(outer.remedy_text(), None);
    }
}
