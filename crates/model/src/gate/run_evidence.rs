//! Evidence files of a run are there, have their forms, are of this run and of its time, and agree
//! with themselves.

use carnet_document::InputError;
use carnet_programme::Run;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use super::evidence_files::Facts;
use super::evidence_files::{Asked, Demand, clock_skew_s, damage, lag_max};
use super::finding::{Judgement, counted};

/// Which files, of which run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The root of the evidence: a folder, relative to the plan's, or
    /// `s3://BUCKET/PREFIX?endpoint=URL&region=NAME`.
    pub root: String,
    /// The ids of the run.
    pub run: Run,
    /// The files.
    #[schemars(length(min = 1, max = 100))]
    pub files: Vec<Asked>,
    /// By how many seconds clocks may differ.
    #[serde(default = "clock_skew_s")]
    #[schemars(range(max = 3600))]
    pub clock_skew_s: u32,
    /// How far a consumer may be behind, in records, and has caught up.
    #[serde(default = "lag_max")]
    pub lag_max: u32,
}

impl Rule {
    const fn demand(&self) -> Demand<'_> {
        Demand {
            root: self.root.as_str(),
            run: &self.run,
            files: self.files.as_slice(),
            clock_skew_s: self.clock_skew_s,
            lag_max: self.lag_max,
        }
    }

    pub(super) fn judge(&self, facts: &Facts) -> Judgement {
        match self.demand().each(facts.now_s, &facts.files) {
            Ok(passed) => {
                let number = counted(passed.good.len(), "file is", "files are");
                let run = &self.run.platform_run_id;
                let reason = format!("{number} there, of {run}, and add up");
                Judgement { sample: passed.compared, ..Judgement::pass(0, reason) }
            }
            Err(refusal) => refusal.judgement(),
        }
    }

    pub(super) fn damage(&self, facts: &Facts) -> Vec<(&'static str, Facts)> {
        facts.damaged(damage(&self.demand(), &facts.files))
    }

    pub(super) fn check(&self) -> Vec<InputError> {
        self.demand().check()
    }

    pub(super) fn demands(&self) -> String {
        let forms: Vec<&str> = self.files.iter().map(|file| file.form.name()).collect();
        let (run, forms) = (&self.run.platform_run_id, forms.join(", "));
        format!("the evidence of {run} is there, and adds up: {forms}")
    }
}
