//! Evidence files of a run agree with each other.

use std::collections::BTreeSet;

use carnet_document::InputError;
use carnet_programme::{Bounds, Check, Run, agree};
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
    /// Where services and jobs may run: what the names of their tasks begin with, such as
    /// `arn:aws:ecs:eu-west-2:123456789012:task/`. The check `placement` needs it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub compute: Vec<String>,
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
            let bounds = Bounds { lag_max: i64::from(self.lag_max), compute: &self.compute };
            agree(&self.checks(), &passed.evidence(), bounds).map_err(|wrong| refused(&wrong))
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
        errors.extend(self.check_compute());
        errors
    }

    /// A beginning that ends in the middle of a name lets another host, account or cluster in.
    fn check_compute(&self) -> Option<InputError> {
        let is_placed = self.checks.contains(&Check::Placement);
        if is_placed == self.compute.is_empty() {
            let (what, remedy) = if is_placed {
                ("the check `placement` needs to know where tasks may run", "say `compute`")
            } else {
                ("nothing judges where tasks ran", "add the check `placement`, or leave this out")
            };
            return Some(InputError::new("/compute", what, remedy));
        }
        let open = |place: &&String| !place.ends_with([':', '/']) || place.len() < 2;
        let place = self.compute.iter().find(open)?;
        let what = format!("`{place}` ends in the middle of a name");
        Some(InputError::new("/compute", what, "end it with `:` or `/`"))
    }

    pub(super) fn demands(&self) -> String {
        let checks: Vec<&str> = self.checks.iter().map(|check| check.name()).collect();
        let (run, checks) = (&self.run.platform_run_id, checks.join(", "));
        format!("the evidence of {run} agrees: {checks}")
    }
}
