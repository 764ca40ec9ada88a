//! Runs and drills certify a programme: a small run, a large one, one that repeats another, and
//! faults that took place.

use carnet_document::InputError;
use carnet_programme::{CertifiedRun, Check, Drill, DrilledRun, Form, Run, certify, has_image};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use super::evidence_files::Facts;
use super::evidence_files::{
    Asked, Demand, Passed, check_root, check_run, clock_skew_s, damage, damage_between,
    damage_certified, lag_max, refused, surplus,
};
use super::finding::{Judgement, counted};

/// Where the report of a drill lies when nothing is said.
const DRILLS: &str = "evidence/runs/{platform_run_id}/drills";

/// Which runs, and which drills.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The root of the evidence: a folder, relative to the plan's, or
    /// `s3://BUCKET/PREFIX?endpoint=URL&region=NAME`.
    pub root: String,
    /// The runs in their order: the shakedown, then what it is the shakedown of.
    #[schemars(length(min = 2, max = 10))]
    pub runs: Vec<Certified>,
    /// The runs with a fault in them.
    #[schemars(length(min = 1, max = 10))]
    pub drills: Vec<Drilled>,
    /// The digest of the image that all of them must have been pinned to; without it they must have
    /// the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^sha256:[0-9a-f]{64}$"))]
    pub image: Option<String>,
    /// By how many seconds clocks may differ.
    #[serde(default = "clock_skew_s")]
    #[schemars(range(max = 3600))]
    pub clock_skew_s: u32,
}

/// A run that must be closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Certified {
    /// The ids of the run.
    pub run: Run,
    /// How many events it must have admitted, exactly.
    #[schemars(range(min = 1))]
    pub events: u64,
    /// The id of an earlier run, whose configuration and semantic digest it must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_meaning_as: Option<String>,
}

/// A run with a fault in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Drilled {
    /// The ids of the run.
    pub run: Run,
    /// Which drill.
    pub drill: Drill,
    /// Where its report lies; `evidence/runs/{platform_run_id}/drills/DRILL.json` when nothing is
    /// said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl Rule {
    /// The files that are looked at: those of each run, then those of each drill.
    pub fn parts(&self) -> Vec<(&Run, Vec<Asked>)> {
        let runs = self.runs.iter().map(|one| {
            let id = &one.run.platform_run_id;
            let named = self.runs.iter().any(|other| other.same_meaning_as.as_ref() == Some(id));
            let forms = CertifiedRun::forms(named || one.same_meaning_as.is_some());
            (&one.run, forms.into_iter().map(Asked::usual).collect())
        });
        let drills = self.drills.iter().map(|one| {
            let place = || format!("{DRILLS}/{}.json", one.drill.name());
            let files = one.drill.forms().iter().map(|form| Asked {
                path: (*form == Form::DrillReport).then(|| one.path.clone().unwrap_or_else(place)),
                ..Asked::usual(*form)
            });
            (&one.run, files.collect())
        });
        runs.chain(drills).collect()
    }

    const fn demand<'a>(&'a self, run: &'a Run, files: &'a [Asked]) -> Demand<'a> {
        let (root, clock_skew_s, lag_max) = (self.root.as_str(), self.clock_skew_s, lag_max());
        Demand { root, run, files, clock_skew_s, lag_max }
    }

    /// The place of the run that this one repeats.
    fn repeats(&self, run: &Certified) -> Option<usize> {
        let id = run.same_meaning_as.as_ref()?;
        let found = self.runs.iter().position(|other| other.run.platform_run_id == *id);
        Some(found.unwrap_or(usize::MAX))
    }

    pub(super) fn judge(&self, facts: &Facts) -> Judgement {
        let (parts, mut rest) = (self.parts(), facts.files.as_slice());
        let mut passed = Vec::with_capacity(parts.len());
        for (run, files) in &parts {
            let (mine, others) = rest.split_at(files.len().min(rest.len()));
            rest = others;
            match self.demand(run, files).each(facts.now_s, mine) {
                Ok(good) => passed.push(good),
                Err(refusal) => return refusal.of(run).judgement(),
            }
        }
        if !rest.is_empty() {
            return surplus().judgement();
        }
        let mut good = passed.iter().map(Passed::evidence);
        let runs = self.runs.iter().zip(good.by_ref()).map(|(one, evidence)| {
            let (events, repeats) = (one.events, self.repeats(one));
            CertifiedRun { evidence, events, repeats }
        });
        let runs: Vec<_> = runs.collect();
        let drills = self.drills.iter().zip(good);
        let drills = drills.map(|(one, evidence)| DrilledRun { evidence, drill: one.drill });
        let pinned = self.image.as_deref().zip(runs.first());
        if let Some(wrong) = pinned.and_then(|(image, run)| has_image(run, image).err()) {
            return refused(&wrong).judgement();
        }
        match certify(&runs, &drills.collect::<Vec<_>>()) {
            Ok(agreed) => Judgement { sample: agreed.compared, ..Judgement::pass(0, self.told()) },
            Err(wrong) => refused(&wrong).judgement(),
        }
    }

    fn told(&self) -> String {
        let events: Vec<String> = self.runs.iter().map(|one| one.events.to_string()).collect();
        let again = self.runs.iter().filter(|one| one.same_meaning_as.is_some()).count();
        let (runs, drills) = (
            counted(self.runs.len(), "run", "runs"),
            counted(self.drills.len(), "drill", "drills"),
        );
        let again = counted(again, "repetition", "repetitions");
        format!("{runs} of {} events, {again} and {drills} certify", events.join(", "))
    }

    pub(super) fn damage(&self, facts: &Facts) -> Vec<(&'static str, Facts)> {
        let parts = self.parts();
        let files: Vec<Asked> = parts.iter().flat_map(|(_, files)| files.clone()).collect();
        let Some((run, _)) = parts.first() else { return Vec::new() };
        let mut copies = damage(&self.demand(run, &files), &facts.files);
        let of_runs = parts.iter().take(self.runs.len()).map(|(_, files)| files.len()).sum();
        let checks = [Check::Closure, Check::Unresolved];
        copies.extend(damage_between(&checks, &facts.files, of_runs));
        copies.extend(damage_certified(&facts.files, of_runs));
        facts.damaged(copies)
    }

    pub(super) fn check(&self) -> Vec<InputError> {
        let mut errors = check_root(&self.root);
        let least = self.runs.first().map_or(0, |one| one.events);
        for (spot, one) in self.runs.iter().enumerate() {
            let at = format!("/runs/{spot}");
            let before = self.runs.get(..spot).unwrap_or_default();
            let earlier = |id: &str| before.iter().find(|run| run.run.platform_run_id == id);
            let mut wrong = |key, what, remedy| {
                errors.push(InputError::new(format!("{at}/{key}"), what, remedy));
            };
            if earlier(&one.run.platform_run_id).is_some() {
                let what = "this run stands here already";
                wrong("run/platform_run_id", what, "name each run once");
            }
            if one.events < least {
                let remedy = "let the shakedown, which is the first run, be the smallest";
                wrong("events", "the shakedown has more events", remedy);
            }
            match one.same_meaning_as.as_deref().map(earlier) {
                Some(None) => {
                    let what = "no earlier run has this id";
                    wrong("same_meaning_as", what, "write the id of a run that stands before");
                }
                Some(Some(other)) if other.events != one.events => {
                    let what = "that run has another number of events";
                    wrong("same_meaning_as", what, "repeat a run with as many events");
                }
                Some(Some(_)) | None => {}
            }
            errors.extend(check_run(&format!("{at}/run"), &one.run));
        }
        for (spot, one) in self.drills.iter().enumerate() {
            errors.extend(check_run(&format!("/drills/{spot}/run"), &one.run));
        }
        let drills = self.parts().into_iter().skip(self.runs.len());
        for (spot, (run, files)) in drills.enumerate() {
            let wrong = files.iter().find_map(|asked| asked.path(run).err());
            errors.extend(wrong.map(|what| {
                let remedy = "write a plain path below the root, with the tokens that there are";
                InputError::new(format!("/drills/{spot}/path"), what, remedy)
            }));
        }
        errors
    }

    pub(super) fn demands(&self) -> String {
        let drills: Vec<&str> = self.drills.iter().map(|one| one.drill.name()).collect();
        format!("{}: {}", self.told(), drills.join(", "))
    }
}
