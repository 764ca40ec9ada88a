//! Two databases count the same.

use carnet_document::InputError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::damaged::Copies;
use super::expected::Scalar;
use super::finding::Judgement;
use super::limits::{check_database, check_range, check_text, limit_s};

/// Two queries, each of which gives one number. The numbers must be equal, and more than 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Where the rows come from.
    pub source: Side,
    /// Where they must be.
    pub target: Side,
    /// How long each query may take, in seconds.
    #[serde(default = "limit_s")]
    #[schemars(range(min = 1, max = 3_600))]
    pub limit_s: u64,
}

/// A query on one side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Side {
    /// The database: `sqlite:FILE` or `postgres://USER@HOST:PORT/DATABASE`.
    pub database: String,
    /// A query that gives one number, such as `select count(*) from orders`.
    pub query: String,
    /// What `$1`, `$2` … stand for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Scalar>,
}

/// The numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// In the source; absent if the query gave no number.
    pub source: Option<i64>,
    /// In the target; absent if the query gave no number.
    pub target: Option<i64>,
}

const REMEDY: &str = "find out which rows are missing, and run again";
const EMPTY: &str = "check that both queries count in the right place";

impl Rule {
    #[expect(clippy::unused_self, reason = "every rule judges by the same signature")]
    pub(super) fn judge(&self, facts: &Facts) -> Judgement {
        let (Some(source), Some(target)) = (facts.source, facts.target) else {
            return Judgement::no_data(0, "one of the two sides gave no number", EMPTY);
        };
        if source < 0 || target < 0 {
            return Judgement::fail(1, "a count below 0 is none", EMPTY);
        }
        if source == 0 {
            return Judgement::no_data(0, "the source counts 0: that proves nothing", EMPTY);
        }
        let sample = usize::try_from(source).unwrap_or(usize::MAX);
        if source != target {
            let reason = format!("the source counts {source}, the target {target}");
            return Judgement::fail(sample, reason, REMEDY);
        }
        Judgement::pass(sample, format!("both sides count {source}"))
    }

    #[expect(clippy::unused_self, reason = "every rule damages by the same signature")]
    pub(super) fn damage(&self, facts: &Facts) -> Vec<(&'static str, Facts)> {
        let mut copies = Copies::of(facts);
        let mut add = |name, damage: fn(&mut Facts)| copies.add(name, damage);
        add("target_one_less", |it| it.target = it.target.map(|n| n.saturating_sub(1)));
        add("target_one_more", |it| it.target = it.target.map(|n| n.saturating_add(1)));
        add("source_one_more", |it| it.source = it.source.map(|n| n.saturating_add(1)));
        add("source_negative", |it| it.source = Some(-1));
        add("target_zero", |it| it.target = Some(0));
        add("target_missing", |it| it.target = None);
        add("source_missing", |it| it.source = None);
        add("both_negative", |it| (it.source, it.target) = (Some(-1), Some(-1)));
        add("both_zero", |it| (it.source, it.target) = (Some(0), Some(0)));
        add("nothing_seen", |it| *it = Facts::default());
        copies.done()
    }

    pub(super) fn check(&self) -> Vec<InputError> {
        let mut errors = check_range("/limit_s", self.limit_s, 1, 3_600);
        for (pointer, side) in [("/source", &self.source), ("/target", &self.target)] {
            errors.extend(check_database(&format!("{pointer}/database"), &side.database));
            errors.extend(check_text(&format!("{pointer}/query"), &side.query));
        }
        if self.source == self.target {
            let what = "both sides ask the same of the same database";
            errors.push(InputError::new("/target", what, "name the other side"));
        }
        errors
    }

    #[expect(clippy::unused_self, reason = "every rule says its demand by the same signature")]
    pub(super) fn demands(&self) -> String {
        "source and target count the same, and more than 0".to_owned()
    }
}
