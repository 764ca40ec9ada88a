//! Vectors have one length on all sides.

use serde::{Deserialize, Serialize};

use super::damaged::{Copies, spots};
use super::finding::{Judgement, counted};

/// Nothing to choose: all sides must agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {}

/// The lengths that were found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// One for each collection.
    pub collections: Vec<Lengths>,
}

/// The length of the vectors of one collection, in elements.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lengths {
    /// The collection's name.
    pub collection: String,
    /// In the source.
    pub source: Option<u32>,
    /// In the snapshot.
    pub snapshot: Option<u32>,
    /// In the target.
    pub target: Option<u32>,
}

impl Rule {
    #[expect(clippy::unused_self, reason = "every rule judges by the same signature")]
    pub(super) fn judge(&self, facts: &Facts) -> Judgement {
        let sample = facts.collections.len();
        if sample == 0 {
            return Judgement::no_data(
                0,
                "no collection was compared",
                "check what the source holds",
            );
        }
        for lengths in &facts.collections {
            let name = &lengths.collection;
            let sides = [
                ("source", lengths.source),
                ("snapshot", lengths.snapshot),
                ("target", lengths.target),
            ];
            let mut first = None;
            for (side, length) in sides {
                let Some(length) = length else {
                    let reason = format!("collection {name}: the {side} has no dimensions");
                    return Judgement::no_data(
                        sample,
                        reason,
                        "check that the collection is there",
                    );
                };
                let expected = *first.get_or_insert(length);
                if length == 0 || length != expected {
                    let reason = format!(
                        "collection {name}: the {side} has {length} dimensions, the source {expected}"
                    );
                    let remedy = "load into a collection of the same dimensions";
                    return Judgement::fail(sample, reason, remedy);
                }
            }
        }
        Judgement::pass(
            sample,
            format!("{} of equal dimensions", counted(sample, "collection", "collections")),
        )
    }

    #[expect(clippy::unused_self, reason = "every rule damages by the same signature")]
    pub(super) fn damage(&self, facts: &Facts) -> Vec<(&'static str, Facts)> {
        let mut copies = Copies::of(facts);
        for spot in spots(facts.collections.len()) {
            let mut add = |name, damage: fn(&mut Lengths)| {
                copies.add(name, |facts| {
                    if let Some(lengths) = facts.collections.get_mut(spot) {
                        damage(lengths);
                    }
                });
            };
            add("source_longer", |it| it.source = it.source.map(|length| length + 1));
            add("snapshot_longer", |it| it.snapshot = it.snapshot.map(|length| length + 1));
            add("target_longer", |it| it.target = it.target.map(|length| length + 1));
            add("target_missing", |it| it.target = None);
            add("all_zero", |it| {
                (it.source, it.snapshot, it.target) = (Some(0), Some(0), Some(0));
            });
        }
        copies.add("nothing_seen", |facts| facts.collections.clear());
        copies.done()
    }
}
