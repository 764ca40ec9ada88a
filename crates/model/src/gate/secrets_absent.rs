//! Parameters that a teardown must take away are gone, and those that it must keep are there.

use std::collections::BTreeSet;

use carnet_document::InputError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::damaged::{Copies, spots};
use super::finding::{Judgement, counted};
use super::limits::{check_aws, check_path, check_range, limit_s};

/// Which parameters of SSM must be gone. Their values are not asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The URL of the service; Amazon's own if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The region.
    pub region: String,
    /// The path below which all names are listed, such as `/carnet`.
    pub path: String,
    /// Names below it that must not be there. One that ends in `/` means all below it.
    pub absent: BTreeSet<String>,
    /// Names below it that must be there: what is kept shows that the list is one.
    pub present: BTreeSet<String>,
    /// How long an answer may take, in seconds.
    #[serde(default = "limit_s")]
    pub limit_s: u64,
}

/// What was listed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The names below the path that the rule is about.
    pub names: BTreeSet<String>,
}

const REMEDY: &str = "take it away, and run again";
const KEPT: &str = "name something below the path that is kept, and that these keys may see";

/// Whether a name is one that must be gone.
fn is_meant(absent: &str, name: &str) -> bool {
    if absent.ends_with('/') { name.starts_with(absent) } else { name == absent }
}

impl Rule {
    /// Whether a name below the path is one that the rule is about.
    pub fn is_about(&self, name: &str) -> bool {
        self.present.contains(name) || self.absent.iter().any(|absent| is_meant(absent, name))
    }

    pub(super) fn judge(&self, facts: &Facts) -> Judgement {
        let (path, count) = (&self.path, self.absent.len());
        if let Some(kept) = self.present.iter().find(|name| !facts.names.contains(*name)) {
            let reason =
                format!("{path}/{kept} is kept and not seen: what else is not seen shows nothing");
            return Judgement::no_data(0, reason, KEPT);
        }
        let is_left = |name: &&String| self.absent.iter().any(|absent| is_meant(absent, name));
        if let Some(left) = facts.names.iter().find(is_left) {
            return Judgement::fail(count, format!("{path}/{left} is still there"), REMEDY);
        }
        let gone = counted(count, "name is gone", "names are gone");
        let kept = counted(self.present.len(), "that is kept is", "that are kept are");
        Judgement::pass(count, format!("{gone} from {path}, and {kept} there"))
    }

    pub(super) fn damage(&self, facts: &Facts) -> Vec<(&'static str, Facts)> {
        let mut copies = Copies::of(facts);
        copies.add("nothing_seen", |facts| facts.names.clear());
        let at = |names: &BTreeSet<String>| -> Vec<String> {
            let spots = spots(names.len()).into_iter();
            spots.filter_map(|spot| names.iter().nth(spot).cloned()).collect()
        };
        for absent in at(&self.absent) {
            let left = if absent.ends_with('/') { absent + "deep/LEFT" } else { absent };
            copies.add("still_there", |facts| {
                facts.names.insert(left);
            });
        }
        for kept in at(&self.present) {
            copies.add("kept_not_seen", |facts| {
                facts.names.remove(&kept);
            });
        }
        copies.done()
    }

    pub(super) fn check(&self) -> Vec<InputError> {
        let mut errors = check_aws("", self.endpoint.as_deref(), &self.region);
        errors.extend(check_path("/path", &self.path));
        for (key, names) in [("absent", &self.absent), ("present", &self.present)] {
            if names.is_empty() {
                let what = format!("nothing must be {key}");
                errors.push(InputError::new(format!("/{key}"), what, "name at least one"));
            }
            for (number, name) in names.iter().enumerate() {
                let whole = name.strip_suffix('/').filter(|_| key == "absent").unwrap_or(name);
                let pointer = format!("/{key}/{number}");
                errors.extend(check_path(&pointer, &format!("/{whole}")));
            }
        }
        let both = |name: &&String| self.absent.iter().any(|absent| is_meant(absent, name));
        if let Some(name) = self.present.iter().find(both) {
            let what = format!("{name} is to be gone and kept at once");
            errors.push(InputError::new("/present", what, "take it out of one of the two"));
        }
        errors.extend(check_range("/limit_s", self.limit_s, 1, 86_400));
        errors
    }

    pub(super) fn demands(&self) -> String {
        let names = counted(self.absent.len(), "name is", "names are");
        format!("{names} gone from {}", self.path)
    }
}
