//! Searches give the same records in the same order on both sides.
//!
//! Both sides search exactly. Two distances are equal if they differ by no more than the tolerance
//! times the larger of 1 and either distance. Records at equal distances may change places with
//! one another. So that this also holds at the border, a list goes on past its first `k` records
//! while the distances are still equal ([`settled`] says whether it does).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::damaged::{Copies, spots};
use super::finding::{Judgement, counted};
use crate::contract::Metric;
use crate::decimal::Decimal;

/// How much is compared, and how closely.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Searches per collection; fewer only if the collection has fewer records.
    pub queries: u32,
    /// Nearest records per search.
    pub k: u32,
    /// How far two equal distances may lie apart.
    pub tolerance: Decimal,
}

/// The searches that were made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// One for each collection.
    pub collections: Vec<Searched>,
}

/// The searches in one collection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Searched {
    /// The collection's name.
    pub collection: String,
    /// How many records of the source a search can find. Under cosine, zero vectors are not among
    /// them.
    pub records: u64,
    /// The metric that the source searched by.
    pub source_metric: Option<Metric>,
    /// The metric that the target searched by.
    pub target_metric: Option<Metric>,
    /// The searches.
    pub queries: Vec<Query>,
}

/// One search on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// The id of the record whose vector was searched for.
    pub id: String,
    /// What the source found, nearest first.
    pub source: Vec<Neighbour>,
    /// What the target found, nearest first, without records that the source does not have.
    pub target: Vec<Neighbour>,
}

/// One found record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbour {
    /// Its id.
    pub id: String,
    /// Its distance; smaller is nearer.
    pub distance: Decimal,
}

const REMEDY: &str = "compare the two sides with `carnet diff`; if they are equal, the target \
                      searches by another metric or not exactly";

/// Whether a list that was cut off holds all records that can tie at the border: its last record
/// is clearly farther away than the `k`-th. If it is not, search again for more. A list of all
/// records needs no settling.
pub fn settled(list: &[Neighbour], k: u32, tolerance: Decimal) -> bool {
    let k = usize::try_from(k).unwrap_or(usize::MAX);
    let border = k.checked_sub(1).and_then(|index| list.get(index));
    let (Some(border), Some(farthest)) = (border, list.last()) else { return false };
    list.len() > k && clearly_differ(border.distance, farthest.distance, tolerance)
}

/// Farther apart than the tie itself and the rounding of both sides can explain.
fn clearly_differ(a: Decimal, b: Decimal, tolerance: Decimal) -> bool {
    let wide = Decimal::new(tolerance.value() * 3.0).unwrap_or(tolerance);
    !equal(a, b, wide)
}

fn equal(a: Decimal, b: Decimal, tolerance: Decimal) -> bool {
    let (a, b) = (a.value(), b.value());
    (a - b).abs() <= tolerance.value() * a.abs().max(b.abs()).max(1.0)
}

impl Rule {
    pub(super) fn judge(&self, facts: &Facts) -> Judgement {
        let sample = facts.collections.iter().map(|it| it.queries.len()).sum();
        if facts.collections.iter().all(|it| it.records == 0 || it.queries.is_empty()) {
            let remedy = "check that the collections hold records that a search can find";
            return Judgement::no_data(sample, "no search was compared", remedy);
        }
        if self.queries == 0 || self.k == 0 {
            let remedy = "ask for at least one search and one record";
            return Judgement::no_data(sample, "the rule asks for no comparison", remedy);
        }
        for searched in &facts.collections {
            if let Some(judgement) = self.judge_collection(searched, sample) {
                return judgement;
            }
        }
        let searches = counted(sample, "search", "searches");
        Judgement::pass(sample, format!("{searches} with the same {} nearest records", self.k))
    }

    /// What is wrong with one collection.
    fn judge_collection(&self, searched: &Searched, sample: usize) -> Option<Judgement> {
        let name = &searched.collection;
        let least = searched.records.min(u64::from(self.queries));
        let queries: BTreeSet<&str> = searched.queries.iter().map(|it| it.id.as_str()).collect();
        let made = u64::try_from(queries.len()).unwrap_or(u64::MAX);
        if made < least {
            let reason =
                format!("collection {name}: {made} different searches, {least} are asked for");
            return Some(Judgement::no_data(sample, reason, "run the validation again"));
        }
        let fail = |reason: String| Some(Judgement::fail(sample, reason, REMEDY));
        match (searched.source_metric, searched.target_metric) {
            (Some(source), Some(target)) if source == target => {}
            (Some(source), Some(target)) => {
                return fail(format!(
                    "collection {name}: {source} in the source, {target} in the target"
                ));
            }
            (None, _) | (_, None) => {
                let reason = format!("collection {name}: a side searched by an unknown metric");
                return Some(Judgement::no_data(sample, reason, "declare the metric"));
            }
        }
        let count = searched.records.min(u64::from(self.k));
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let wrong =
            searched.queries.iter().find_map(|query| Some((query, self.differing(query, count)?)));
        let (query, wrong) = wrong?;
        fail(format!("collection {name}, search for {:?}: {wrong}", query.id))
    }

    /// The first difference between what the two sides found.
    fn differing(&self, query: &Query, count: usize) -> Option<String> {
        for (side, list) in [("source", &query.source), ("target", &query.target)] {
            if list.len() < count {
                return Some(format!("the {side} found {} of {count} records", list.len()));
            }
            let ids: BTreeSet<&str> = list.iter().map(|it| it.id.as_str()).collect();
            if ids.len() != list.len() {
                return Some(format!("the {side} found a record twice"));
            }
            if let Some(place) = self.unsorted(list) {
                return Some(format!("place {place} of the {side} is nearer than the one before"));
            }
        }
        let places = query.source.iter().zip(&query.target).take(count).enumerate();
        for (index, (source, target)) in places {
            if !equal(source.distance, target.distance, self.tolerance) {
                return Some(format!(
                    "place {} is {:?} at {} in the source, {:?} at {} in the target",
                    index + 1,
                    source.id,
                    source.distance,
                    target.id,
                    target.distance
                ));
            }
        }
        self.stranger("target", &query.source, &query.target, count)
            .or_else(|| self.stranger("source", &query.target, &query.source, count))
    }

    fn unsorted(&self, list: &[Neighbour]) -> Option<usize> {
        let after = list.iter().skip(1);
        let place = list.iter().zip(after).position(|(one, next)| {
            next.distance < one.distance && !equal(one.distance, next.distance, self.tolerance)
        });
        place.map(|index| index + 2)
    }

    /// The first of the nearest records of one side that the other has nowhere at that distance.
    fn stranger(
        &self,
        other: &str,
        list: &[Neighbour],
        others: &[Neighbour],
        count: usize,
    ) -> Option<String> {
        let found: BTreeMap<&str, Decimal> =
            others.iter().map(|it| (it.id.as_str(), it.distance)).collect();
        list.iter().take(count).enumerate().find_map(|(index, it)| {
            let place = index + 1;
            match found.get(it.id.as_str()) {
                None => Some(format!("the {other} misses {:?}, place {place}", it.id)),
                Some(distance) if !equal(it.distance, *distance, self.tolerance) => Some(format!(
                    "{:?}, place {place} at {}, is at {distance} in the {other}",
                    it.id, it.distance
                )),
                Some(_) => None,
            }
        })
    }
}

impl Rule {
    pub(super) fn damage(&self, facts: &Facts) -> Vec<(&'static str, Facts)> {
        let mut copies = Copies::of(facts);
        for spot in spots(facts.collections.len()) {
            let queries = facts.collections.get(spot).map_or(0, |it| it.queries.len());
            for at in spots(queries) {
                let mut add = |name, damage: &dyn Fn(&mut Query)| {
                    copies.add(name, |facts| {
                        let searched = facts.collections.get_mut(spot);
                        if let Some(query) = searched.and_then(|it| it.queries.get_mut(at)) {
                            damage(query);
                        }
                    });
                };
                add("neighbour_dropped", &|query| {
                    if let Some(first) = query.source.first() {
                        query.target.retain(|it| it.id != first.id);
                    }
                });
                add("neighbour_doubled", &|query| {
                    if let [first, second, ..] = query.target.as_mut_slice() {
                        second.id.clone_from(&first.id);
                    }
                });
                add("neighbour_replaced", &|query| {
                    if let Some(first) = query.target.first_mut() {
                        first.id.push_str("-other");
                    }
                });
                add("neighbours_exchanged", &|query| self.exchange(&mut query.target));
                add("distance_changed", &|query| self.push_away(&mut query.target));
                add("metric_wrong", &|query| {
                    let metric = facts.collections.get(spot).and_then(|it| it.source_metric);
                    self.measure_otherwise(metric, &mut query.target);
                });
                add("target_empty", &|query| query.target.clear());
            }
            copies.add("metric_renamed", |facts| {
                if let Some(it) = facts.collections.get_mut(spot) {
                    it.target_metric = match it.target_metric {
                        Some(Metric::L2) => Some(Metric::Cosine),
                        Some(Metric::InnerProduct | Metric::Cosine) | None => Some(Metric::L2),
                    };
                }
            });
            copies.add("queries_too_few", |facts| {
                if let Some(it) = facts.collections.get_mut(spot) {
                    let least = it.records.min(u64::from(self.queries));
                    let kept = usize::try_from(least.saturating_sub(1)).unwrap_or(0);
                    it.queries.truncate(kept);
                }
            });
        }
        copies.add("nothing_seen", |facts| facts.collections.clear());
        copies.done()
    }

    /// How many places count.
    fn k_len(&self) -> usize {
        usize::try_from(self.k).unwrap_or(usize::MAX)
    }

    /// Exchanges the first two records that clearly do not tie; nothing if all do.
    fn exchange(&self, list: &mut [Neighbour]) {
        let next = list.iter().skip(1);
        let pair = list.iter().zip(next).take(self.k_len());
        let place = pair.enumerate().find_map(|(index, (one, next))| {
            clearly_differ(one.distance, next.distance, self.tolerance).then_some(index)
        });
        if let Some([one, next]) = place.and_then(|place| list.get_mut(place..place + 2)) {
            std::mem::swap(&mut one.id, &mut next.id);
        }
    }

    /// Moves the first record by ten times the tolerance.
    fn push_away(&self, list: &mut [Neighbour]) {
        if let Some(first) = list.first_mut() {
            let distance = first.distance.value();
            let step = (self.tolerance.value() * 10.0).max(1e-9) * distance.abs().max(1.0);
            first.distance = Decimal::new(distance - step).unwrap_or(Decimal::ZERO);
        }
    }

    /// The distances that unit vectors have under another metric, if one of those that count then
    /// clearly differs.
    fn measure_otherwise(&self, metric: Option<Metric>, list: &mut [Neighbour]) {
        let otherwise = |distance: f64| match metric {
            Some(Metric::L2) | None => distance * distance / 2.0,
            Some(Metric::InnerProduct) => 1.0 + distance,
            Some(Metric::Cosine) => (2.0 * distance.max(0.0)).sqrt(),
        };
        let changed: Vec<Decimal> = list
            .iter()
            .map(|it| Decimal::new(otherwise(it.distance.value())).unwrap_or(it.distance))
            .collect();
        let counting = list.iter().zip(&changed).take(self.k_len());
        let mut seen = counting.map(|(it, other)| (it.distance, *other));
        if seen.any(|(it, other)| clearly_differ(it, other, self.tolerance)) {
            list.iter_mut().zip(changed).for_each(|(it, other)| it.distance = other);
        }
    }
}
