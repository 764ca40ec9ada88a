//! What a store can hold and do, as values that are read before anything is copied.

use carnet_model::{CollectionContract, Metric, Normalisation};
use serde::{Deserialize, Serialize};

/// How a store is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteCapability {
    /// Not at all.
    None,
    /// Collection by collection: a load is staged and becomes visible as a whole.
    WholeCollection,
    /// Range by range, each in a transaction of its own.
    Ranges,
}

/// What a reader sees while others write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadConsistency {
    /// One moment, kept by the store (MVCC), shared by all workers.
    Snapshot,
    /// Files whose change is noticed: the scan then fails (`store.changed`).
    ChangeDetected,
}

/// The capabilities of one store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    /// How it is written.
    pub write: WriteCapability,
    /// What a reader sees.
    pub read: ReadConsistency,
    /// The metrics that exact search supports.
    pub metrics: Vec<Metric>,
    /// Those of them that only vectors declared to have unit length can be searched by.
    pub unit_length_only: Vec<Metric>,
    /// The kinds of search index that can be declared; the first is the default.
    pub indexes: Vec<&'static str>,
    /// The longest vector.
    pub dimensions_max: u32,
    /// The longest vector that each index kind takes, where it is less than `dimensions_max`.
    pub indexed_dimensions_max: Vec<(&'static str, u32)>,
    /// The longest id in bytes.
    pub id_bytes_max: usize,
    /// Whether ids and metadata may hold U+0000.
    pub nul_in_text: bool,
    /// Whether vectors may hold NaN and infinities.
    pub non_finite: bool,
    /// Whether more than one collection fits into one store.
    pub collections: bool,
}

/// What a scan of the source found: the facts that decide whether a target can hold it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContentFacts {
    /// Records seen.
    pub records: u64,
    /// The longest id in bytes, and the id (shortened).
    pub id_bytes_max: usize,
    /// The first id or record with U+0000 in its id or metadata.
    pub first_nul: Option<String>,
    /// The first record with a NaN or an infinity in its vector.
    pub first_non_finite: Option<String>,
}

impl ContentFacts {
    /// Joins the facts of two parts of one collection. "First" is by id.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        let first = |a: Option<String>, b: Option<String>| match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Self {
            records: self.records + other.records,
            id_bytes_max: self.id_bytes_max.max(other.id_bytes_max),
            first_nul: first(self.first_nul, other.first_nul),
            first_non_finite: first(self.first_non_finite, other.first_non_finite),
        }
    }
}

/// Something that the target cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Loss {
    /// The name by which a plan may waive it (`accept_loss`), where it can be waived.
    pub name: &'static str,
    /// Whether a waiver helps: a target that refuses the record cannot be talked into it.
    pub waivable: bool,
    /// What exactly would be lost.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl Capabilities {
    /// Why the metric cannot be kept, and what to do about it.
    fn metric_lost(&self, contract: &CollectionContract) -> Option<(String, &'static str)> {
        let metric = contract.metric?;
        if !self.metrics.contains(&metric) {
            return Some((
                format!("the metric {metric} is not supported"),
                "choose a target that supports it; a metric is never rewritten",
            ));
        }
        let unit = contract.normalisation == Some(Normalisation::UnitLength);
        (self.unit_length_only.contains(&metric) && !unit).then(|| {
            (
                format!(
                    "the metric {metric}, of vectors that are not declared to have unit length"
                ),
                "state `normalisation: unit_length` if they have it: cosine is then stored as \
                 inner product; otherwise choose another target",
            )
        })
    }

    /// What this target would lose of a collection. Empty: nothing.
    pub fn losses(&self, contract: &CollectionContract, facts: &ContentFacts) -> Vec<Loss> {
        let mut losses = Vec::new();
        let mut lost = |name, waivable, what: String, remedy: &str| {
            losses.push(Loss { name, waivable, what, remedy: remedy.to_owned() });
        };
        if contract.dimensions > self.dimensions_max {
            lost(
                "dimensions",
                false,
                format!("{} dimensions; at most {} fit", contract.dimensions, self.dimensions_max),
                "choose another target",
            );
        }
        if let Some((what, remedy)) = self.metric_lost(contract) {
            lost("metric", false, what, remedy);
        }
        if facts.id_bytes_max > self.id_bytes_max {
            lost(
                "id_length",
                false,
                format!("an id of {} bytes; at most {} fit", facts.id_bytes_max, self.id_bytes_max),
                "shorten the id in the source, or choose another target",
            );
        }
        if let Some(id) = facts.first_nul.as_ref().filter(|_| !self.nul_in_text) {
            lost(
                "nul_in_text",
                false,
                format!("U+0000 in record {id:?}"),
                "remove it in the source, or choose another target",
            );
        }
        if let Some(id) = facts.first_non_finite.as_ref().filter(|_| !self.non_finite) {
            lost(
                "non_finite",
                false,
                format!("NaN or infinity in the vector of record {id:?}"),
                "embed that record again, or choose another target",
            );
        }
        if let Some(index) = &contract.index {
            if !self.indexes.contains(&index.kind.as_str()) {
                lost(
                    "index",
                    true,
                    format!("the index kind {} is not supported; search will be exact", index.kind),
                    "state an index for the target, or accept the loss named `index`",
                );
            } else if let Some((_, most)) = self
                .indexed_dimensions_max
                .iter()
                .find(|(kind, most)| *kind == index.kind && contract.dimensions > *most)
            {
                lost(
                    "index",
                    true,
                    format!("an {} index takes at most {most} dimensions", index.kind),
                    "accept the loss named `index` to search without one",
                );
            }
        }
        losses
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnet_model::{CollectionName, IndexSpec};

    fn narrow() -> Capabilities {
        Capabilities {
            write: WriteCapability::Ranges,
            read: ReadConsistency::Snapshot,
            metrics: vec![Metric::L2],
            unit_length_only: Vec::new(),
            indexes: vec!["flat"],
            dimensions_max: 4,
            indexed_dimensions_max: vec![("flat", 3)],
            id_bytes_max: 5,
            nul_in_text: false,
            non_finite: false,
            collections: true,
        }
    }

    #[test]
    fn every_limit_is_named_and_nothing_else() {
        let mut contract = CollectionContract::unknown(CollectionName::standard(), 3);
        let mut facts = ContentFacts { records: 1, id_bytes_max: 5, ..ContentFacts::default() };
        assert_eq!(narrow().losses(&contract, &facts), vec![]);
        contract.dimensions = 5;
        contract.metric = Some(Metric::Cosine);
        contract.index = Some(IndexSpec { kind: "hnsw".into(), parameters: [].into() });
        facts.id_bytes_max = 6;
        facts.first_nul = Some("a".into());
        facts.first_non_finite = Some("b".into());
        let names: Vec<_> =
            narrow().losses(&contract, &facts).into_iter().map(|loss| loss.name).collect();
        assert_eq!(
            names,
            ["dimensions", "metric", "id_length", "nul_in_text", "non_finite", "index"]
        );
        let unit = Capabilities {
            metrics: vec![Metric::Cosine],
            unit_length_only: vec![Metric::Cosine],
            ..narrow()
        };
        let metric = |contract: &CollectionContract| {
            let losses = unit.losses(contract, &ContentFacts::default());
            losses.iter().any(|loss| loss.name == "metric" && !loss.waivable)
        };
        for (normalisation, lost) in [
            (None, true),
            (Some(Normalisation::None), true),
            (Some(Normalisation::UnitLength), false),
        ] {
            contract.normalisation = normalisation;
            assert_eq!(metric(&contract), lost, "{normalisation:?}");
        }
        contract.dimensions = 4;
        contract.index = Some(IndexSpec { kind: "flat".into(), parameters: [].into() });
        let losses = narrow().losses(&contract, &ContentFacts::default());
        assert!(losses.iter().any(|loss| loss.name == "index" && loss.waivable));
    }
}
