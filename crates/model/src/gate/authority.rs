//! Everybody whom an authority snapshot names is known here, by the same keys.

use carnet_document::InputError;
use carnet_ledger::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::content::sha256_schema;
use super::damaged::{Copies, flipped, spots};
use super::finding::{Judgement, counted, short};
use super::limits::check_text;
use crate::policy::{KeyStanding, NamedKey};

/// Whose authority is compared with what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The authority snapshot, from the plan's folder.
    pub authority: String,
    /// Our trust file, in the form of SSH allowed signers, from the plan's folder.
    pub trust: String,
    /// The SHA-256 that the snapshot must have, in lower-case hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "sha256_schema")]
    pub snapshot: Option<Digest>,
    /// The manifest of a bundle whose `authority_snapshot_id` the snapshot must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
}

/// Who is named, and how each stands here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// What the manifest of the bundle declares, where the rule names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<Digest>,
    /// The digest of the snapshot, as it was read.
    pub snapshot: Option<Digest>,
    /// One for each key of each principal.
    pub keys: Vec<NamedKey>,
}

const REMEDY: &str = "ask whoever is named for the key by another way, and add it to the trust \
                      file; or have it sent under an authority that is known here";

impl Rule {
    pub(super) fn judge(&self, facts: &Facts) -> Judgement {
        let sample = facts.keys.len();
        let Some(snapshot) = facts.snapshot.filter(|_| sample > 0) else {
            return Judgement::no_data(0, "nobody is named who has authority", REMEDY);
        };
        if self.manifest.is_some() && facts.declared.is_none() {
            let reason = "the bundle declares no authority snapshot";
            return Judgement::no_data(sample, reason, "fetch the whole bundle");
        }
        let declared = self.snapshot.or(facts.declared);
        if let Some(declared) = declared.filter(|declared| *declared != snapshot) {
            let (found, wanted) = (short(snapshot), short(declared));
            let reason = format!("the authority snapshot is {found}, and {wanted} is declared");
            return Judgement::fail(sample, reason, "fetch the whole bundle");
        }
        let unknown = |it: &&NamedKey| it.standing != KeyStanding::Known;
        if let Some(first) = facts.keys.iter().find(unknown) {
            let more = facts.keys.iter().filter(unknown).count() - 1;
            let more = if more == 0 { String::new() } else { format!("; and {more} more") };
            return Judgement::fail(sample, format!("{first}{more}"), REMEDY);
        }
        let keys = counted(sample, "key", "keys");
        Judgement::pass(sample, format!("{keys} of those who have authority, all known here"))
    }

    pub(super) fn damage(&self, facts: &Facts) -> Vec<(&'static str, Facts)> {
        let mut copies = Copies::of(facts);
        for spot in spots(facts.keys.len()) {
            for standing in KeyStanding::ALL {
                let name = match standing {
                    KeyStanding::Known => continue,
                    KeyStanding::Unknown => "unknown_key",
                    KeyStanding::OtherPrincipal => "key_of_another",
                    KeyStanding::NotValid => "key_not_valid",
                };
                copies.add(name, |facts| {
                    if let Some(key) = facts.keys.get_mut(spot) {
                        key.standing = standing;
                    }
                });
            }
        }
        if self.snapshot.is_some() || self.manifest.is_some() {
            copies.add("other_snapshot", |facts| facts.snapshot = facts.snapshot.map(flipped));
        }
        copies.add("other_declared", |facts| facts.declared = facts.declared.map(flipped));
        if self.snapshot.is_none() {
            copies.add("nothing_declared", |facts| facts.declared = None);
        }
        copies.add("no_snapshot", |facts| facts.snapshot = None);
        copies.add("nothing_seen", |facts| facts.keys.clear());
        copies.done()
    }

    pub(super) fn check(&self) -> Vec<InputError> {
        let mut errors = check_text("/authority", &self.authority);
        errors.extend(check_text("/trust", &self.trust));
        errors.extend(self.manifest.iter().flat_map(|path| check_text("/manifest", path)));
        if self.snapshot.is_some() && self.manifest.is_some() {
            let what = "`snapshot` and `manifest` both say which snapshot it must be";
            errors.push(InputError::new("", what, "write one of them"));
        }
        errors
    }

    pub(super) fn demands(&self) -> String {
        format!("everybody in {} is known to {}", self.authority, self.trust)
    }
}
