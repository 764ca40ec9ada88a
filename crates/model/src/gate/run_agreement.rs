//! Evidence files of a run agree with each other.

use std::collections::BTreeSet;

use carnet_document::InputError;
use carnet_programme::{Check, Run, agree};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use super::evidence_files::Facts;
use super::evidence_files::{
    Asked, Demand, clock_skew_s, damage, damage_between, lag_max, refused,
};
use super::finding::{Judgement, counted};

/// Which files, of which run, and by which checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The root of the evidence: a folder, relative to the plan's, or
    /// `s3://BUCKET/PREFIX?endpoint=URL&region=NAME`.
    pub root: String,
    /// The ids of the run.
    pub run: Run,
    /// The files. Each check says which it needs; each form stands once.
    #[schemars(length(min = 1, max = 100))]
    pub files: Vec<Asked>,
    /// By what they must agree.
    #[schemars(length(min = 1))]
    pub checks: BTreeSet<Check>,
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

    fn checks(&self) -> Vec<Check> {
        self.checks.iter().copied().collect()
    }

    pub(super) fn judge(&self, facts: &Facts) -> Judgement {
        let passed = self.demand().each(facts.now_s, &facts.files);
        let agreed = passed.and_then(|passed| {
            let lag_max = i64::from(self.lag_max);
            agree(&self.checks(), &passed.evidence(), lag_max).map_err(|wrong| refused(&wrong))
        });
        match agreed {
            Ok(agreed) => {
                let checks = counted(self.checks.len(), "check", "checks");
                let reason = format!("{} agree by {checks}", self.run.platform_run_id);
                Judgement { sample: agreed.compared, ..Judgement::pass(0, reason) }
            }
            Err(refusal) => refusal.judgement(),
        }
    }

    pub(super) fn damage(&self, facts: &Facts) -> Vec<(&'static str, Facts)> {
        let mut files = damage(&self.demand(), &facts.files);
        files.extend(damage_between(&self.checks(), &facts.files, facts.files.len()));
        facts.damaged(files)
    }

    pub(super) fn check(&self) -> Vec<InputError> {
        let mut errors = self.demand().check();
        for check in &self.checks {
            for form in check.needs() {
                if !self.files.iter().any(|file| file.form == *form) {
                    let what = format!("the check `{}` needs a file `{form}`", check.name());
                    errors.push(InputError::new("/files", what, "add the file"));
                }
            }
        }
        let mut forms = BTreeSet::new();
        if let Some(twice) = self.files.iter().find(|file| !forms.insert(file.form)) {
            let what = format!("the form `{}` stands twice", twice.form);
            errors.push(InputError::new("/files", what, "compare one file of each form"));
        }
        errors
    }

    pub(super) fn demands(&self) -> String {
        let checks: Vec<&str> = self.checks.iter().map(|check| check.name()).collect();
        let (run, checks) = (&self.run.platform_run_id, checks.join(", "));
        format!("the evidence of {run} agrees: {checks}")
    }
}
