//! Evidence files of a run are there, have their forms, are of this run and of its time, and agree
//! with themselves.

use carnet_document::InputError;
use carnet_programme::{CLOCK_SKEW_S, Run};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::evidence_files::{Asked, Demand, Seen, damage};
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

pub(super) const fn clock_skew_s() -> u32 {
    CLOCK_SKEW_S
}

pub(super) const fn lag_max() -> u32 {
    10
}

/// What was seen, and when.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// What the clock showed, in seconds since 1970, UTC; absent if nobody looked.
    pub now_s: Option<i64>,
    /// Each file, in the order of the rule.
    pub files: Vec<Seen>,
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
            Err(refusal) => {
                let sample = usize::from(refusal.verdict != super::finding::Verdict::NoData);
                let judgement = Judgement::fail(sample, refusal.reason, refusal.remedy);
                Judgement { verdict: refusal.verdict, ..judgement }
            }
        }
    }

    pub(super) fn damage(&self, facts: &Facts) -> Vec<(&'static str, Facts)> {
        let with = |files| Facts { files, ..facts.clone() };
        let files = damage(&self.demand(), &facts.files).into_iter();
        let mut copies: Vec<_> = files.map(|(name, files)| (name, with(files))).collect();
        copies.push(("file_not_looked_at", with(Vec::new())));
        copies.push(("no_clock", Facts { now_s: None, ..facts.clone() }));
        copies.push(("nothing_seen", Facts::default()));
        copies.retain(|(_, copy)| copy != facts);
        copies
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
