//! Snapshot and stores have a schema version that this build reads.

use serde::{Deserialize, Serialize};

use super::damaged::{Copies, spots};
use super::finding::{Judgement, counted};

/// Which versions are read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// The versions that this build reads.
    pub supported: Vec<u32>,
}

/// The versions that were found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// One for each thing that has a version.
    pub subjects: Vec<Versioned>,
}

/// One thing and its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versioned {
    /// What it is, such as `the snapshot`.
    pub subject: String,
    /// Its version; `None` if it states none.
    pub version: Option<u32>,
}

impl Rule {
    pub(super) fn judge(&self, facts: &Facts) -> Judgement {
        let sample = facts.subjects.len();
        if sample == 0 {
            let remedy = "this is a defect in Carnet; please report it";
            return Judgement::no_data(0, "nothing with a schema version was looked at", remedy);
        }
        for Versioned { subject, version } in &facts.subjects {
            let Some(version) = version else {
                let remedy = "export it again with this build";
                let reason = format!("{subject} states no schema version");
                return Judgement::no_data(sample, reason, remedy);
            };
            if !self.supported.contains(version) {
                let known: Vec<String> = self.supported.iter().map(u32::to_string).collect();
                let known = known.join(", ");
                let reason =
                    format!("{subject} has schema version {version}; this build reads {known}");
                let remedy = "use a build that reads this version, or export again";
                return Judgement::fail(sample, reason, remedy);
            }
        }
        Judgement::pass(
            sample,
            format!("{} of a known version", counted(sample, "schema", "schemas")),
        )
    }

    pub(super) fn damage(&self, facts: &Facts) -> Vec<(&'static str, Facts)> {
        let mut copies = Copies::of(facts);
        let unknown = self.supported.iter().max().map_or(1, |last| last.saturating_add(1));
        for spot in spots(facts.subjects.len()) {
            for (name, version) in [
                ("version_unknown", Some(unknown)),
                ("version_zero", Some(0)),
                ("version_missing", None),
            ] {
                copies.add(name, |facts| {
                    if let Some(subject) = facts.subjects.get_mut(spot) {
                        subject.version = version;
                    }
                });
            }
        }
        copies.add("nothing_seen", |facts| facts.subjects.clear());
        copies.done()
    }
}
