//! Images and disks come with a list of their parts and a statement on their making, and both are
//! about this very content.

use carnet_document::InputError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::damaged::{Copies, flipped};
use super::finding::{Judgement, counted};
use super::limits::check_text;
use crate::portability::Standing;
use crate::portability::supply::{Signed, SupplyChain, SupplyDemand};

/// What is looked at: a bundle, or a content with its two documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The bundle: a folder or a tar, relative to the plan's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
    /// Instead of a bundle: a file, such as a disk, or the folder of an OCI layout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// With `content`: the list of its parts (`CycloneDX` 1.5 or 1.6, SPDX 2.3; as JSON).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sbom: Option<String>,
    /// With `content`: the statement on its making (SLSA provenance v1 in an in-toto statement).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<String>,
    /// The trust file with the keys of builders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<String>,
    /// Whether a statement that nobody signed is taken. One whose signature is not believed never
    /// is.
    #[serde(default)]
    pub unsigned: bool,
}

/// What was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The content and its documents.
    pub seen: SupplyChain,
}

impl Rule {
    const fn demand(&self) -> SupplyDemand {
        SupplyDemand { signed: !self.unsigned }
    }

    pub(super) fn judge(&self, facts: &Facts) -> Judgement {
        let seen = &facts.seen;
        let subjects = seen.subjects.len();
        if subjects == 0 {
            let reason = "there is no image and no disk to be described";
            return Judgement::no_data(0, reason, "name a bundle that holds one");
        }
        for line in seen.assess(self.demand()) {
            match line.standing {
                Standing::Violated { why, remedy } => {
                    let reason = format!("{}: {why}", line.invariant);
                    return Judgement::fail(subjects, reason, &remedy);
                }
                Standing::NotApplicable { reason } => {
                    return Judgement::no_data(0, reason, "name a bundle that holds one");
                }
                Standing::Satisfied { .. } => {}
            }
        }
        let parts: u64 = seen.sboms.iter().map(|it| it.parts).sum();
        let signed = if self.unsigned { "" } else { "signed " };
        let number = counted(subjects, "content", "contents");
        let reason = format!("{number}: {parts} parts listed, {signed}provenance verified");
        Judgement::pass(subjects, reason)
    }

    pub(super) fn damage(&self, facts: &Facts) -> Vec<(&'static str, Facts)> {
        let mut copies = Copies::of(facts);
        let mut add = |name, damage: &dyn Fn(&mut SupplyChain)| {
            copies.add(name, |it: &mut Facts| damage(&mut it.seen));
        };
        add("other_content", &|it| {
            for subject in &mut it.subjects {
                subject.sha256 = flipped(subject.sha256);
            }
        });
        add("sbom_missing", &|it| it.sboms.clear());
        add("sbom_broken", &|it| {
            for sbom in &mut it.sboms {
                sbom.wrong = Some("it is not in its form".to_owned());
            }
        });
        add("sbom_of_other_content", &|it| {
            for sbom in &mut it.sboms {
                sbom.subject = sbom.subject.map(flipped);
            }
        });
        add("sbom_not_complete", &|it| {
            for sbom in &mut it.sboms {
                sbom.incomplete = Some("incomplete".to_owned());
            }
        });
        add("part_not_reached", &|it| {
            for sbom in &mut it.sboms {
                sbom.unreached.push("added".to_owned());
            }
        });
        add("part_not_identified", &|it| {
            for sbom in &mut it.sboms {
                sbom.unidentified.push("added".to_owned());
            }
        });
        add("provenance_missing", &|it| it.provenance.clear());
        add("provenance_of_other_content", &|it| {
            for statement in &mut it.provenance {
                for subject in &mut statement.subjects {
                    *subject = flipped(*subject);
                }
            }
        });
        add("upstream_not_declared", &|it| {
            for statement in &mut it.provenance {
                statement.undeclared.push("added".to_owned());
            }
        });
        add("signed_by_nobody_known", &|it| {
            for statement in &mut it.provenance {
                let why = "no key of the trust file made its signature".to_owned();
                statement.signed = Signed::ByNobodyKnown { why };
            }
        });
        if !self.unsigned {
            add("not_signed", &|it| {
                for statement in &mut it.provenance {
                    statement.signed = Signed::Not;
                }
            });
        }
        add("nothing_seen", &|it| *it = SupplyChain::default());
        copies.done()
    }

    pub(super) fn check(&self) -> Vec<InputError> {
        let mut errors = Vec::new();
        let paths = [
            ("/bundle", &self.bundle),
            ("/content", &self.content),
            ("/sbom", &self.sbom),
            ("/provenance", &self.provenance),
            ("/trust", &self.trust),
        ];
        for (pointer, path) in paths {
            errors.extend(path.iter().flat_map(|path| check_text(pointer, path)));
        }
        let documents = self.sbom.is_some() && self.provenance.is_some();
        let any = self.sbom.is_some() || self.provenance.is_some();
        let clear = match (&self.bundle, &self.content) {
            (Some(_), None) => !any,
            (None, Some(_)) => documents,
            (None, None) | (Some(_), Some(_)) => false,
        };
        if !clear {
            let remedy = "write `bundle`, or `content` with `sbom` and `provenance`";
            errors.push(InputError::new("", "it must be clear what is looked at", remedy));
        }
        if self.trust.is_none() && !self.unsigned {
            let what = "nobody's signature is believed";
            let remedy = "name the keys of builders under `trust`, or say `unsigned: true`";
            errors.push(InputError::new("/trust", what, remedy));
        }
        errors
    }

    pub(super) fn demands(&self) -> String {
        let what = self.bundle.as_deref().or(self.content.as_deref()).unwrap_or_default();
        let signed = if self.unsigned { "" } else { "signed " };
        format!("{what} has a list of its parts and {signed}provenance, both about this content")
    }
}
