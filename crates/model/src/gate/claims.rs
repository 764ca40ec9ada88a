//! An environment claims all that a bundle needs.

use carnet_document::InputError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::damaged::Copies;
use super::finding::{Judgement, counted};
use super::limits::check_text;
use crate::portability::claims::{Claims, Needs, StatefulAsset, StatefulPart, compare};

/// Which bundle, and whose claims.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The bundle: a folder or a tar, relative to the plan's folder.
    pub bundle: String,
    /// The file with the claims of the environment that is to take it in, as `carnet claims --json`
    /// prints them.
    pub claims: String,
    /// What the workload or the data rest on that is stateful, and not in the bundle as data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stateful: Vec<StatefulPart>,
}

/// What was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// What the bundle needs.
    pub needs: Option<Box<Needs>>,
    /// What the environment claims.
    pub claims: Option<Box<Claims>>,
}

impl Rule {
    #[expect(clippy::unused_self, reason = "every gate is asked in the same way")]
    pub(super) fn judge(&self, facts: &Facts) -> Judgement {
        let Some(needs) = &facts.needs else {
            return Judgement::no_data(0, "there is no bundle", "make the bundle first");
        };
        let Some(claims) = &facts.claims else {
            let remedy = "ask the target for the output of `carnet claims --json`";
            return Judgement::no_data(0, "there are no claims", remedy);
        };
        let refused = compare(needs, claims);
        let compared = claims_of(needs);
        let target = &claims.environment;
        let Some(first) = refused.first() else {
            let number = counted(compared, "claim", "claims");
            return Judgement::pass(compared, format!("{target} takes it in: {number} compared"));
        };
        let more = match refused.len() {
            1 => String::new(),
            number => format!(", and {} more", number - 1),
        };
        let remedy = match first.alternative {
            Some(way) => format!("{} ({})", first.remedy, way.name()),
            None => first.remedy.clone(),
        };
        Judgement::fail(compared, format!("{first}{more}"), &remedy)
    }

    #[expect(clippy::unused_self, reason = "every gate is asked in the same way")]
    pub(super) fn damage(&self, facts: &Facts) -> Vec<(&'static str, Facts)> {
        let mut copies = Copies::of(facts);
        let mut claimed = |name, damage: fn(&mut Claims)| {
            copies.add(name, |it: &mut Facts| {
                if let Some(claims) = &mut it.claims {
                    damage(claims);
                }
            });
        };
        claimed("scenario_not_taken", |it| it.import.clear());
        claimed("version_not_read", |it| it.bundle_versions.clear());
        claimed("contents_not_known", |it| it.content_types.clear());
        claimed("profile_not_read", |it| it.evidence_profiles.clear());
        claimed("hashes_not_checked", |it| it.hash_profiles.clear());
        claimed("jurisdiction_not_taken", |it| it.jurisdictions.clear());
        claimed("classification_not_taken", |it| it.classifications.clear());
        let needs = facts.needs.as_ref();
        if needs.is_some_and(|it| it.policy_language.is_some()) {
            claimed("policy_not_enforced", |it| it.policies.clear());
        }
        if needs.is_some_and(|it| !it.encryption.is_empty()) {
            claimed("encryption_not_opened", |it| it.encryption.clear());
        }
        if needs.is_some_and(|it| it.runtime.is_some()) {
            claimed("no_runtime", |it| it.runtimes.clear());
        }
        if let Some(disk) = needs.and_then(|it| it.disk) {
            claimed("disk_format_not_taken", |it| it.disk.formats.clear());
            if disk.virtual_bytes > 0 {
                claimed("disk_too_large", |it| it.disk.virtual_bytes_max = 0);
            }
            if disk.tpm {
                claimed("no_tpm", |it| it.disk.tpm = false);
            }
        }
        copies.add("stateful_part_added", |it: &mut Facts| {
            let asset = StatefulAsset::VolumeClaim;
            if let Some(needs) = &mut it.needs {
                needs.stateful.push(StatefulPart { asset, name: "added".to_owned() });
            }
        });
        copies.add("no_bundle", |it| it.needs = None);
        copies.add("no_claims", |it| it.claims = None);
        copies.add("nothing_seen", |it| *it = Facts::default());
        copies.done()
    }

    pub(super) fn check(&self) -> Vec<InputError> {
        let mut errors = check_text("/bundle", &self.bundle);
        errors.extend(check_text("/claims", &self.claims));
        errors
    }

    pub(super) fn demands(&self) -> String {
        format!("{} claims all that {} needs", self.claims, self.bundle)
    }
}

/// How many claims a bundle needs.
fn claims_of(needs: &Needs) -> usize {
    let always = 6;
    let disk = needs.disk.map_or(0, |disk| if disk.tpm { 3 } else { 2 });
    let some = [needs.policy_language.is_some(), needs.runtime.is_some()];
    always
        + needs.content_types.len()
        + needs.encryption.len()
        + needs.stateful.len()
        + disk
        + some.into_iter().filter(|it| *it).count()
}
