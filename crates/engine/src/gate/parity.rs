//! The same searches on both sides.

use std::collections::{BTreeMap, BTreeSet};

use carnet_bundle::SnapshotStore;
use carnet_connect::{Filter, IdRange, Query, StoreSnapshot, VectorRepository};
use carnet_ledger::{Digest, Hasher};
use carnet_model::gate::query_parity::{self, Facts, Neighbour, Rule, Searched, settled};
use carnet_model::plan::ImportMode;
use carnet_model::{CollectionName, Decimal, Metric};

use crate::error::StepError;
use crate::parallel::each;
use crate::step::look::TargetSeen;
use crate::step::read_back::leaf;
use crate::step::{Context, ExportSeen};

/// A collection of up to this many records is read whole to choose from.
const WHOLE_RECORDS: u64 = 20_000;

/// Searches in each collection. The source is asked where a flag holds it still; else the snapshot,
/// which is the source at the moment of the export.
pub(super) fn search(cx: &Context<'_>, rule: &Rule) -> Result<Facts, StepError> {
    let exported: ExportSeen = cx.seen("export/export_snapshot")?;
    let before: TargetSeen = cx.seen("prepare/describe_target")?;
    let snapshot = SnapshotStore::open(&cx.arrived()?)?;
    let view = snapshot.snapshot()?;
    let source: &dyn VectorRepository = match cx.knowledge()?.quiesce {
        Some(_) => cx.source()?,
        None => &snapshot,
    };
    let replaces = cx.knowledge()?.import.mode == ImportMode::Replace;
    let mut collections = Vec::new();
    for collection in &exported.collections {
        let name = &collection.name;
        let seed = seed(cx, collection.root);
        let chosen = choose(view.as_ref(), collection, rule, &seed)?;
        let sides = Sides {
            source,
            target: cx.target()?,
            collection: name,
            rule,
            shared: !replaces && before.before(name) > 0,
        };
        let target_metric = sides.target.snapshot()?.describe(name)?.contract.metric;
        collections.push(Searched {
            collection: name.to_string(),
            records: chosen.findable,
            source_metric: collection.contract.metric,
            target_metric,
            queries: sides.search_all(cx, &chosen.vectors)?,
        });
    }
    Ok(Facts { collections })
}

/// What decides the choice: the plan and the content, so that nobody can choose, and anyone can
/// choose the same again.
fn seed(cx: &Context<'_>, root: Digest) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(cx.plan.digest().as_bytes());
    hasher.update(root.as_bytes());
    hasher.finish()
}

/// A number from the seed and a text, evenly spread.
fn drawn(seed: &Digest, text: &str) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(seed.as_bytes());
    hasher.update(text.as_bytes());
    hasher.finish()
}

struct Chosen {
    /// How many records a search can find.
    findable: u64,
    /// The vectors to search for, by the id of their record.
    vectors: BTreeMap<String, Vec<f32>>,
}

/// Chooses records whose vectors are searched for: those with the smallest draws. Of a large
/// collection, one is taken from each of as many equal ranges as there are searches.
fn choose(
    view: &dyn StoreSnapshot,
    collection: &carnet_bundle::CollectionDigest,
    rule: &Rule,
    seed: &Digest,
) -> Result<Chosen, StepError> {
    let wanted = rule.queries as usize;
    let metric = collection.contract.metric;
    if collection.records <= WHOLE_RECORDS.max(u64::from(rule.queries) * 4) {
        let mut draws = Draws::default();
        let findable =
            draws.read(view, &collection.name, &IdRange::all(), metric, seed, (wanted, None))?;
        return Ok(Chosen { findable, vectors: draws.into_vectors() });
    }
    let mut vectors = BTreeMap::new();
    for range in view.ranges(&collection.name, wanted)? {
        let mut draws = Draws::default();
        let needed = wanted.saturating_sub(vectors.len()).min(1);
        draws.read(view, &collection.name, &range, metric, seed, (needed, Some(1)))?;
        vectors.extend(draws.into_vectors());
    }
    Ok(Chosen { findable: collection.records, vectors })
}

/// The smallest draws so far.
#[derive(Default)]
struct Draws(BTreeMap<Digest, (String, Vec<f32>)>);

impl Draws {
    /// Reads a range, up to some batches, and keeps the smallest draws. Gives how many records a
    /// search can find.
    fn read(
        &mut self,
        view: &dyn StoreSnapshot,
        name: &CollectionName,
        range: &IdRange,
        metric: Option<Metric>,
        seed: &Digest,
        (keep, batches): (usize, Option<usize>),
    ) -> Result<u64, StepError> {
        let mut findable = 0;
        let mut left = batches.unwrap_or(usize::MAX);
        let mut stream = view.scan(name, range)?;
        while let Some(batch) = if left == 0 { None } else { stream.next()? } {
            left -= 1;
            for record in batch.iter().filter(|record| can_be_found(metric, record.vector)) {
                findable += 1;
                let draw = drawn(seed, record.id);
                let last = self.0.last_key_value().map(|(last, _)| *last);
                if self.0.len() < keep || last.is_some_and(|last| draw < last) {
                    self.0.insert(draw, (record.id.to_owned(), record.vector.to_vec()));
                }
                if self.0.len() > keep {
                    self.0.pop_last();
                }
            }
        }
        Ok(findable)
    }

    fn into_vectors(self) -> BTreeMap<String, Vec<f32>> {
        self.0.into_values().collect()
    }
}

/// Whether a search can find the record, and with it others: a zero vector has no direction, and
/// what is not a number has no distance.
fn can_be_found(metric: Option<Metric>, vector: &[f32]) -> bool {
    vector.iter().all(|x| x.is_finite())
        && (metric != Some(Metric::Cosine) || vector.iter().any(|x| *x != 0.0))
}

struct Sides<'s> {
    source: &'s dyn VectorRepository,
    target: &'s dyn VectorRepository,
    collection: &'s CollectionName,
    rule: &'s Rule,
    /// Whether the target may hold records of its own: only those that both sides hold alike are
    /// then compared.
    shared: bool,
}

impl Sides<'_> {
    fn search_all(
        &self,
        cx: &Context<'_>,
        vectors: &BTreeMap<String, Vec<f32>>,
    ) -> Result<Vec<query_parity::Query>, StepError> {
        let title = format!("search {}", self.collection);
        let total = Some(vectors.len() as u64);
        let job = cx.work.progress.job(&title, "searches", total);
        let vectors: Vec<_> = vectors.iter().collect();
        each(cx.work.workers, &vectors, |(id, vector)| {
            let source = self.nearest(self.source, vector)?;
            let target = self.nearest(self.target, vector)?;
            job.add(1);
            Ok(query_parity::Query { id: (*id).clone(), source, target })
        })
    }

    /// The nearest records of one side: `k`, and as many more as may tie with the last of them.
    fn nearest(
        &self,
        store: &dyn VectorRepository,
        vector: &[f32],
    ) -> Result<Vec<Neighbour>, StepError> {
        let k = self.rule.k as usize;
        let mut asked = k + 1;
        loop {
            let filter = Filter::default();
            let query = Query { vector, k: asked, filter: &filter, exact: true };
            let hits = store.query(self.collection, &query)?;
            let all = hits.len() < asked;
            let ids: Vec<&str> = hits.iter().map(|hit| hit.id.as_str()).collect();
            let known = if self.shared { Some(self.of_both(&ids)?) } else { None };
            let neighbours: Vec<Neighbour> = hits
                .iter()
                .filter(|hit| known.as_ref().is_none_or(|known| known.contains(&hit.id)))
                .filter_map(|hit| {
                    let distance = Decimal::new(hit.distance)?;
                    Some(Neighbour { id: hit.id.clone(), distance })
                })
                .collect();
            if all || settled(&neighbours, self.rule.k, self.rule.tolerance) {
                return Ok(neighbours);
            }
            asked = asked.saturating_mul(2);
        }
    }

    /// Those of these records that both sides hold alike: the target may have had others, and newer
    /// ones.
    fn of_both(&self, ids: &[&str]) -> Result<BTreeSet<String>, StepError> {
        let source = self.source.fetch(self.collection, ids)?;
        let target = self.target.fetch(self.collection, ids)?;
        let held: BTreeSet<_> = source.iter().map(|record| leaf(&record)).collect();
        let alike = target.iter().filter(|record| held.contains(&leaf(record)));
        Ok(alike.map(|record| record.id.to_owned()).collect())
    }
}
