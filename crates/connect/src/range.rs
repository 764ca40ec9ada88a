//! Ranges of ids: the unit of parallel and resumable work.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::records::shorten;

/// The ids from `from` (inclusive) to `to` (exclusive), by byte order; an absent border is open.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdRange {
    /// The first id that may be inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The first id that is outside again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

impl IdRange {
    /// Every id.
    pub fn all() -> Self {
        Self::default()
    }

    /// Adjacent ranges that together hold every id, cut at these ids. Borders that do not ascend
    /// are dropped: they would make empty or overlapping ranges.
    pub fn split_at(borders: impl IntoIterator<Item = String>) -> Vec<Self> {
        let mut ranges = Vec::new();
        let mut from: Option<String> = None;
        for border in borders {
            if border.is_empty() || from.as_ref().is_some_and(|last| *last >= border) {
                continue;
            }
            ranges.push(Self { from: from.replace(border.clone()), to: Some(border) });
        }
        ranges.push(Self { from, to: None });
        ranges
    }

    /// Whether an id is inside.
    pub fn contains(&self, id: &str) -> bool {
        self.from.as_deref().is_none_or(|from| from <= id)
            && self.to.as_deref().is_none_or(|to| id < to)
    }
}

impl fmt::Display for IdRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |id: &Option<String>, open: &str| match id {
            Some(id) => format!("{:?}", shorten(id)),
            None => open.to_owned(),
        };
        write!(f, "{}..{}", side(&self.from, "start"), side(&self.to, "end"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_each_id_exactly_once() {
        let borders = ["b", "b", "a", "é", ""].map(str::to_owned);
        let ranges = IdRange::split_at(borders);
        assert_eq!(ranges.len(), 3);
        for id in ["a", "b", "bb", "z", "é", "éa", "\u{1F600}"] {
            assert_eq!(ranges.iter().filter(|range| range.contains(id)).count(), 1, "{id}");
        }
        assert_eq!(IdRange::split_at([]), vec![IdRange::all()]);
    }
}
