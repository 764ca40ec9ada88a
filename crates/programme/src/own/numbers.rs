//! Numbers of a document, none of which is 0 because it is missing.

use serde_json::Value;

use crate::read::Document;
use crate::wrong::Wrong;

/// What a document says.
#[derive(Clone, Copy)]
pub(crate) struct Says<'a> {
    pub(crate) name: &'static str,
    pub(crate) value: &'a Value,
}

impl<'a> Says<'a> {
    pub(crate) const fn of(document: &'a Document) -> Self {
        Self { name: document.form().name(), value: document.value() }
    }

    pub(crate) fn at(self, pointer: &str) -> Option<&'a Value> {
        self.value.pointer(pointer)
    }

    /// A number; that it is missing is no 0.
    pub(crate) fn number(self, pointer: &str) -> Result<i64, Wrong> {
        let found = self.at(pointer).and_then(Value::as_i64);
        found.ok_or_else(|| Wrong::empty(format!("{} does not say {pointer}", self.name)))
    }

    /// A number that need not be said; what is said instead of one is no number.
    pub(crate) fn given(self, pointer: &str) -> Result<Option<i64>, Wrong> {
        self.at(pointer).map(|_| self.number(pointer)).transpose()
    }

    pub(crate) fn text(self, pointer: &str) -> &'a str {
        self.at(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn is_true(self, pointer: &str) -> bool {
        self.at(pointer).and_then(Value::as_bool) == Some(true)
    }

    pub(crate) fn list(self, pointer: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
        self.at(pointer).and_then(Value::as_array).into_iter().flatten()
    }

    pub(crate) fn members(
        self,
        pointer: &str,
    ) -> impl Iterator<Item = (&'a str, &'a Value)> + use<'a> {
        let members = self.at(pointer).and_then(Value::as_object);
        members.into_iter().flatten().map(|(key, value)| (key.as_str(), value))
    }

    /// The sum of all numbers of a map.
    pub(crate) fn sum(self, pointer: &str) -> Result<i64, Wrong> {
        if self.at(pointer).is_none() {
            return Err(Wrong::empty(format!("{} does not say {pointer}", self.name)));
        }
        self.members(pointer).try_fold(0_i64, |sum, (name, value)| match value.as_i64() {
            Some(number) => Ok(sum.saturating_add(number)),
            None => self.empty(format!("does not say how many {name} are, at {pointer}")),
        })
    }

    /// One count of a map of counts; a name that does not occur was counted 0 times.
    pub(crate) fn count_of(self, pointer: &str, name: &str) -> Result<i64, Wrong> {
        self.sum(pointer)?;
        let found = self.members(pointer).find(|(key, _)| *key == name);
        Ok(found.and_then(|(_, value)| value.as_i64()).unwrap_or(0))
    }

    /// Two numbers that must be one.
    pub(crate) fn equal(self, what: &str, said: i64, computed: i64) -> Result<(), Wrong> {
        if said == computed {
            return Ok(());
        }
        self.differs(format!("says that {what} is {said}, and it is {computed}"))
    }

    pub(crate) fn at_least(self, more: (&str, i64), less: (&str, i64)) -> Result<(), Wrong> {
        if more.1 >= less.1 {
            return Ok(());
        }
        let ((more, high), (less, low)) = (more, less);
        self.differs(format!("says {more} {high} and {less} {low}: it cannot be fewer"))
    }

    pub(crate) fn differs<T>(self, what: impl AsRef<str>) -> Result<T, Wrong> {
        Err(Wrong::differs(format!("{} {}", self.name, what.as_ref())))
    }

    pub(crate) fn empty<T>(self, what: impl AsRef<str>) -> Result<T, Wrong> {
        Err(Wrong::empty(format!("{} {}", self.name, what.as_ref())))
    }
}
