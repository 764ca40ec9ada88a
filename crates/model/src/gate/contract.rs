//! Metric, normalisation and embedding model are declared and equal.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::damaged::{Copies, spots};
use super::finding::{Judgement, counted};
use crate::contract::{EmbeddingModel, Metric, Normalisation};

/// Which sides must declare the contract. Sides beyond these may, and must then agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// The sides.
    pub sides: BTreeSet<Side>,
}

/// Where a statement belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The source: what its store declares, and what the plan states about it.
    Source,
    /// The snapshot.
    Snapshot,
    /// The target.
    Target,
}

impl Side {
    const fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Snapshot => "snapshot",
            Self::Target => "target",
        }
    }
}

/// What is declared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// One for each collection.
    pub collections: Vec<Declared>,
}

/// The statements about one collection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declared {
    /// The collection's name.
    pub collection: String,
    /// Several of one side complete one another: the store's own and the plan's.
    pub statements: Vec<Statement>,
}

/// One statement. What it does not say is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// The side it is about.
    pub side: Side,
    /// Who says so: `store`, `plan`, `manifest`.
    pub by: String,
    /// How vectors are compared.
    pub metric: Option<Metric>,
    /// Whether vectors were scaled.
    pub normalisation: Option<Normalisation>,
    /// The model that made the vectors.
    pub embedding_model: Option<EmbeddingModel>,
}

const REMEDY: &str = "state it in the plan under source.knowledge.collections, with `metric`, \
                      `normalisation` and `embedding_model`";

impl Rule {
    pub(super) fn judge(&self, facts: &Facts) -> Judgement {
        let sample = facts.collections.len();
        if sample == 0 || self.sides.is_empty() {
            return Judgement::no_data(
                0,
                "no contract was looked at",
                "check what the source holds",
            );
        }
        for declared in &facts.collections {
            let name = &declared.collection;
            if let Some(clash) = declared.clash() {
                let remedy =
                    "correct the statement in the plan, or choose a target of that contract";
                return Judgement::fail(sample, format!("collection {name}: {clash}"), remedy);
            }
            let missing = self.sides.iter().find_map(|side| declared.missing(*side));
            if let Some(missing) = missing {
                return Judgement::no_data(sample, format!("collection {name}: {missing}"), REMEDY);
            }
        }
        let collections = counted(sample, "collection", "collections");
        Judgement::pass(sample, format!("{collections} of one declared contract"))
    }

    pub(super) fn damage(&self, facts: &Facts) -> Vec<(&'static str, Facts)> {
        let mut copies = Copies::of(facts);
        for spot in spots(facts.collections.len()) {
            let mut add = |name, damage: &dyn Fn(&mut Declared)| {
                copies.add(name, |facts| {
                    if let Some(declared) = facts.collections.get_mut(spot) {
                        damage(declared);
                    }
                });
            };
            add("metric_other", &|it| it.contradict(|at| at.metric = at.metric.map(other_metric)));
            add("normalisation_other", &|it| {
                it.contradict(|at| at.normalisation = at.normalisation.map(other_scale));
            });
            add("model_other", &|it| {
                it.contradict(|at| {
                    if let Some(model) = &mut at.embedding_model {
                        model.name.push_str("-other");
                    }
                });
            });
            for side in &self.sides {
                add("metric_undeclared", &|it| it.silence(*side, |at| at.metric = None));
                add("normalisation_undeclared", &|it| {
                    it.silence(*side, |at| at.normalisation = None);
                });
                add("model_undeclared", &|it| it.silence(*side, |at| at.embedding_model = None));
            }
        }
        copies.add("nothing_seen", |facts| facts.collections.clear());
        copies.done()
    }
}

const fn other_metric(metric: Metric) -> Metric {
    match metric {
        Metric::L2 => Metric::InnerProduct,
        Metric::InnerProduct => Metric::Cosine,
        Metric::Cosine => Metric::L2,
    }
}

const fn scale_name(scale: Normalisation) -> &'static str {
    match scale {
        Normalisation::None => "none",
        Normalisation::UnitLength => "unit_length",
    }
}

const fn other_scale(scale: Normalisation) -> Normalisation {
    match scale {
        Normalisation::None => Normalisation::UnitLength,
        Normalisation::UnitLength => Normalisation::None,
    }
}

impl Declared {
    /// The first two statements that contradict one another.
    fn clash(&self) -> Option<String> {
        let metrics = self.statements.iter().filter_map(|it| Some((it, it.metric?)));
        let scales = self.statements.iter().filter_map(|it| Some((it, it.normalisation?)));
        let models =
            self.statements.iter().filter_map(|it| Some((it, it.embedding_model.as_ref()?)));
        differing("metric", metrics, |a, b| a == b, |metric| metric.name().to_owned())
            .or_else(|| {
                differing("normalisation", scales, |a, b| a == b, |it| scale_name(*it).to_owned())
            })
            .or_else(|| {
                differing("embedding model", models, |a, b| same_model(a, b), |it| shown(it))
            })
            .or_else(|| self.revisions())
    }

    /// Within a side a revision may stand in one statement only; sides must agree about it, and a
    /// side that says nothing about it differs from one that does.
    fn revisions(&self) -> Option<String> {
        let sides: BTreeSet<Side> = self.statements.iter().map(|it| it.side).collect();
        let mut found: Vec<(Side, Option<&str>)> = Vec::new();
        for side in sides {
            let of_side = self.statements.iter().filter(|it| it.side == side);
            let models: Vec<_> = of_side.filter_map(|it| it.embedding_model.as_ref()).collect();
            if !models.is_empty() {
                found.push((side, models.iter().find_map(|model| model.revision.as_deref())));
            }
        }
        let (first, revision) = found.first()?;
        let (other, differs) = found.iter().find(|(_, other)| other != revision)?;
        let word = |revision: Option<&str>| revision.unwrap_or("not stated").to_owned();
        Some(format!(
            "the revision of the embedding model is {} in the {}, {} in the {}",
            word(*revision),
            first.name(),
            word(*differs),
            other.name()
        ))
    }

    /// What nobody declares about a side.
    fn missing(&self, side: Side) -> Option<String> {
        let of_side = || self.statements.iter().filter(move |it| it.side == side);
        let mut missing = Vec::new();
        if of_side().all(|it| it.metric.is_none()) {
            missing.push("metric");
        }
        if of_side().all(|it| it.normalisation.is_none()) {
            missing.push("normalisation");
        }
        if of_side().all(|it| it.embedding_model.is_none()) {
            missing.push("embedding_model");
        }
        let side = side.name();
        (!missing.is_empty()).then(|| format!("the {side} does not declare {}", missing.join(", ")))
    }

    /// Adds a copy of the first statement with a change.
    fn contradict(&mut self, change: impl Fn(&mut Statement)) {
        let changed = self.statements.iter().map(|statement| {
            let mut changed = statement.clone();
            change(&mut changed);
            (changed != *statement).then_some(changed)
        });
        if let Some(changed) = changed.flatten().next() {
            self.statements.push(changed);
        }
    }

    /// Takes something out of all statements about a side.
    fn silence(&mut self, side: Side, change: impl Fn(&mut Statement)) {
        self.statements.iter_mut().filter(|it| it.side == side).for_each(change);
    }
}

/// Models that may be the same: a revision that is not stated is not another one.
fn same_model(a: &EmbeddingModel, b: &EmbeddingModel) -> bool {
    let revisions = a.revision.as_ref().zip(b.revision.as_ref());
    a.name == b.name && revisions.is_none_or(|(a, b)| a == b)
}

fn shown(model: &EmbeddingModel) -> String {
    match &model.revision {
        Some(revision) => format!("{} ({revision})", model.name),
        None => model.name.clone(),
    }
}

/// The first statement that says something else than the first of all.
fn differing<'a, T>(
    field: &str,
    values: impl Iterator<Item = (&'a Statement, T)>,
    same: impl Fn(&T, &T) -> bool,
    show: impl Fn(&T) -> String,
) -> Option<String> {
    let mut values = values;
    let (first, value) = values.next()?;
    let (other, differs) = values.find(|(_, other)| !same(&value, other))?;
    Some(format!(
        "the {field} is {} by the {} ({}), {} by the {} ({})",
        show(&value),
        first.side.name(),
        first.by,
        show(&differs),
        other.side.name(),
        other.by
    ))
}
