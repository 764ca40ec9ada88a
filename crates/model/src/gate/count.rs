//! As many records as there must be.

use serde::{Deserialize, Serialize};

use super::damaged::{Copies, spots};
use super::finding::{Judgement, counted};
use crate::plan::ImportMode;

/// How records enter a target that is not empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// The import mode.
    pub mode: ImportMode,
}

/// The counts that were found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// One for each collection.
    pub collections: Vec<Counts>,
}

/// The records of one collection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// The collection's name.
    pub collection: String,
    /// In the source.
    pub source: Option<u64>,
    /// In the snapshot.
    pub snapshot: Option<u64>,
    /// In the target before the import; 0 if the collection was not there.
    pub before: u64,
    /// What the target must hold, noted before the first write.
    pub expected: Option<u64>,
    /// In the target, counted by reading it back.
    pub target: Option<u64>,
}

const REMEDY: &str = "compare the two with `carnet diff`, which names the first missing record";

impl Rule {
    pub(super) fn judge(&self, facts: &Facts) -> Judgement {
        let sample = facts.collections.len();
        if facts.collections.iter().all(|counts| counts.source.unwrap_or(0) == 0) {
            let remedy = "check the source: a move of nothing proves nothing";
            return Judgement::no_data(sample, "the source holds no records", remedy);
        }
        let mut total: u64 = 0;
        for counts in &facts.collections {
            let name = &counts.collection;
            let (Some(source), Some(snapshot), Some(expected), Some(target)) =
                (counts.source, counts.snapshot, counts.expected, counts.target)
            else {
                let reason = format!("collection {name} was not counted on every side");
                return Judgement::no_data(sample, reason, "check that the collection is there");
            };
            let wrong = if snapshot != source {
                format!("the source has {source} records, the snapshot {snapshot}")
            } else if !self.is_plausible(source, counts.before, expected) {
                let before = counts.before;
                format!("{expected} records were expected of {source} and {before} before")
            } else if target != expected {
                format!("the target has {target} records, and {expected} were expected")
            } else {
                total = total.saturating_add(target);
                continue;
            };
            return Judgement::fail(sample, format!("collection {name}: {wrong}"), REMEDY);
        }
        let collections = counted(sample, "collection", "collections");
        Judgement::pass(sample, format!("{total} records in {collections}, as expected"))
    }

    /// Whether the expectation can follow from the mode: the loaded records alone, or joined with
    /// those that were there (of which some may be the same).
    fn is_plausible(&self, source: u64, before: u64, expected: u64) -> bool {
        if self.mode == ImportMode::Replace || before == 0 {
            return expected == source;
        }
        (source.max(before)..=source.saturating_add(before)).contains(&expected)
    }

    #[expect(clippy::unused_self, reason = "every rule damages by the same signature")]
    pub(super) fn damage(&self, facts: &Facts) -> Vec<(&'static str, Facts)> {
        let mut copies = Copies::of(facts);
        for spot in spots(facts.collections.len()) {
            let mut add = |name, damage: fn(&mut Counts)| {
                copies.add(name, |facts| {
                    if let Some(counts) = facts.collections.get_mut(spot) {
                        damage(counts);
                    }
                });
            };
            add("target_one_less", |it| it.target = it.target.map(|n| n.saturating_sub(1)));
            add("target_one_more", |it| it.target = it.target.map(|n| n.saturating_add(1)));
            add("snapshot_one_less", |it| it.snapshot = it.snapshot.map(|n| n.saturating_sub(1)));
            add("source_one_more", |it| it.source = it.source.map(|n| n.saturating_add(1)));
            add("expected_one_more", |it| it.expected = it.expected.map(|n| n.saturating_add(1)));
            add("target_missing", |it| it.target = None);
        }
        copies.add("all_empty", |facts| {
            for it in &mut facts.collections {
                (it.source, it.snapshot, it.before) = (Some(0), Some(0), 0);
                (it.expected, it.target) = (Some(0), Some(0));
            }
        });
        copies.add("nothing_seen", |facts| facts.collections.clear());
        copies.done()
    }
}
