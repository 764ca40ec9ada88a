//! The target can hold everything, but for what the plan waives by name.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::damaged::{Copies, spots};
use super::finding::{Judgement, counted};
use crate::loss::LossName;

/// What is waived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// The names under `accept_loss`.
    pub waived: BTreeSet<LossName>,
}

/// What would be lost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The collections that were held against what the target can hold.
    pub checked: Vec<String>,
    /// What the target cannot hold of them.
    pub losses: Vec<Loss>,
}

/// One thing that the target cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// The collection that it is about; absent for what belongs to none, such as artifacts.
    pub collection: Option<String>,
    /// Its name.
    pub name: String,
    /// Whether a waiver helps.
    pub waivable: bool,
    /// What exactly would be lost.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl Rule {
    fn waives(&self, loss: &Loss) -> bool {
        loss.waivable && self.waived.iter().any(|name| name.name() == loss.name)
    }

    pub(super) fn judge(&self, facts: &Facts) -> Judgement {
        let sample = facts.checked.len();
        if sample == 0 {
            let remedy = "check what the source holds";
            return Judgement::no_data(0, "no collection was held against the target", remedy);
        }
        let unwaived: Vec<&Loss> = facts.losses.iter().filter(|loss| !self.waives(loss)).collect();
        if let Some(loss) = unwaived.first() {
            let of = loss
                .collection
                .as_ref()
                .map_or_else(String::new, |it| format!("collection {it}: "));
            let more = match unwaived.len() {
                1 => String::new(),
                many => format!(", and {} more", many - 1),
            };
            let reason = format!("{of}{} ({}){more}", loss.what, loss.name);
            return Judgement::fail(sample, reason, &loss.remedy);
        }
        let reason = match facts.losses.len() {
            0 => format!("nothing of {} is lost", counted(sample, "collection", "collections")),
            waived => {
                format!(
                    "{} waived by the plan, nothing else is lost",
                    counted(waived, "loss", "losses")
                )
            }
        };
        Judgement::pass(sample, reason)
    }

    #[expect(clippy::unused_self, reason = "every rule damages by the same signature")]
    pub(super) fn damage(&self, facts: &Facts) -> Vec<(&'static str, Facts)> {
        let mut copies = Copies::of(facts);
        for spot in spots(facts.checked.len()) {
            copies.add("loss_not_waivable", |facts| {
                let collection = facts.checked.get(spot).cloned();
                facts.losses.push(Loss {
                    collection,
                    name: "dimensions".to_owned(),
                    waivable: false,
                    what: "vectors are too long".to_owned(),
                    remedy: "choose another target".to_owned(),
                });
            });
        }
        for spot in spots(facts.losses.len()) {
            copies.add("waiver_void", |facts| {
                if let Some(loss) = facts.losses.get_mut(spot) {
                    loss.waivable = false;
                }
            });
            copies.add("loss_of_another_name", |facts| {
                if let Some(loss) = facts.losses.get_mut(spot) {
                    loss.name.push_str("_other");
                }
            });
        }
        copies.add("nothing_seen", |facts| facts.checked.clear());
        copies.done()
    }
}
