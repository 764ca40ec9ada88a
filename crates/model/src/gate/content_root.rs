//! The content read back from the target is the content of the source.

use carnet_ledger::Digest;
use serde::{Deserialize, Serialize};

use super::damaged::{Copies, flipped, spots};
use super::finding::{Judgement, counted, short};
use crate::plan::ImportMode;

/// How records enter a target that is not empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// The import mode.
    pub mode: ImportMode,
}

/// The roots that were computed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// One for each collection.
    pub collections: Vec<Roots>,
}

/// The collection root of one collection, by side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roots {
    /// The collection's name.
    pub collection: String,
    /// How many records the source root covers.
    pub records: u64,
    /// How many records the target held before the import.
    pub before: u64,
    /// Computed from the source.
    pub source: Option<Digest>,
    /// Stated by the manifest of the snapshot.
    pub snapshot: Option<Digest>,
    /// What the target must have, noted before the first write.
    pub expected: Option<Digest>,
    /// Computed from what the target gives back.
    pub target: Option<Digest>,
}

const REMEDY: &str = "compare the two with `carnet diff`, which names the first differing record";

impl Rule {
    pub(super) fn judge(&self, facts: &Facts) -> Judgement {
        let sample = facts.collections.len();
        if facts.collections.iter().all(|roots| roots.records == 0) {
            let remedy = "check the source: a move of nothing proves nothing";
            return Judgement::no_data(sample, "the source holds no records", remedy);
        }
        for roots in &facts.collections {
            let name = &roots.collection;
            let (Some(source), Some(snapshot), Some(expected), Some(target)) =
                (roots.source, roots.snapshot, roots.expected, roots.target)
            else {
                let reason = format!("collection {name} has no root on one of the sides");
                return Judgement::no_data(sample, reason, "read every side again");
            };
            let fresh = self.mode == ImportMode::Replace || roots.before == 0;
            let (one, one_root, other, other_root) = if snapshot != source {
                ("source", source, "snapshot", snapshot)
            } else if fresh && expected != source {
                ("source", source, "expectation", expected)
            } else if target != expected {
                ("expectation", expected, "target", target)
            } else {
                continue;
            };
            let (one_root, other_root) = (short(one_root), short(other_root));
            let reason = format!(
                "collection {name}: the {other} has the root {other_root}…, the {one} {one_root}…"
            );
            return Judgement::fail(sample, reason, REMEDY);
        }
        Judgement::pass(
            sample,
            format!("{} of equal content", counted(sample, "collection", "collections")),
        )
    }

    #[expect(clippy::unused_self, reason = "every rule damages by the same signature")]
    pub(super) fn damage(&self, facts: &Facts) -> Vec<(&'static str, Facts)> {
        let mut copies = Copies::of(facts);
        for spot in spots(facts.collections.len()) {
            let mut add = |name, damage: fn(&mut Roots)| {
                copies.add(name, |facts| {
                    if let Some(roots) = facts.collections.get_mut(spot) {
                        damage(roots);
                    }
                });
            };
            add("source_changed", |it| it.source = it.source.map(flipped));
            add("snapshot_changed", |it| it.snapshot = it.snapshot.map(flipped));
            add("expectation_changed", |it| it.expected = it.expected.map(flipped));
            add("target_changed", |it| it.target = it.target.map(flipped));
            add("target_missing", |it| it.target = None);
        }
        copies.add("collections_exchanged", |facts| {
            if let [first, .., last] = facts.collections.as_mut_slice() {
                std::mem::swap(&mut first.target, &mut last.target);
            }
        });
        copies.add("all_empty", |facts| {
            facts.collections.iter_mut().for_each(|roots| roots.records = 0);
        });
        copies.add("nothing_seen", |facts| facts.collections.clear());
        copies.done()
    }
}
