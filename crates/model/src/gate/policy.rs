//! A policy allows it: the very rules that are declared, with at least one of them evaluated.

use carnet_document::InputError;
use carnet_ledger::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::content::sha256_schema;
use super::damaged::{Copies, flipped};
use super::finding::{Judgement, Verdict, counted, short};
use super::limits::check_text;
use crate::policy::{AdmissionTarget, PolicyAnswer, PolicyDecision, PolicyReason, PolicyVerdict};

/// Which policy is asked about what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The folder of the policy, from the plan's folder: that of its author, that of a snapshot, or
    /// one in which `policy.enforce` has installed some.
    pub policy: String,
    /// The SHA-256 that the snapshot must have, in lower-case hexadecimal. This or `manifest`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "sha256_schema")]
    pub snapshot: Option<Digest>,
    /// The manifest of a bundle whose `policy_snapshot_id` the snapshot must have. This or
    /// `snapshot`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
    /// The file with the input, as JSON. This or `admission`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// What is to be let in, and where: the input is made of it (docs/policy.md). This or `input`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admission: Option<Admission>,
}

/// What is to be let in, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct Admission {
    /// The folder with the files of the bundle: `manifest.json`, `dependency-manifest.json`,
    /// `authority/snapshot.json`.
    pub bundle: String,
    /// The environment that decides.
    pub target: AdmissionTarget,
}

/// What the policy answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// What the manifest of the bundle declares, where the rule names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<Digest>,
    /// The digest of the snapshot, as it was read.
    pub snapshot: Option<Digest>,
    /// The digest of the input, as it was read.
    pub input: Option<Digest>,
    /// The whole answer; absent if nothing was asked.
    pub answer: Option<Box<PolicyAnswer>>,
    /// The object of the evidence with all that is needed to ask again, where there is evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<Digest>,
}

const REMEDY: &str = "ask whoever owns the policy, or change what is refused";

impl Rule {
    pub(super) fn judge(&self, facts: &Facts) -> Judgement {
        let (Some(answer), Some(snapshot), Some(input)) =
            (&facts.answer, facts.snapshot, facts.input)
        else {
            return Judgement::no_data(0, "no policy was asked", "name a policy and an input");
        };
        let rules = usize::try_from(answer.rules).unwrap_or(usize::MAX);
        let Some(declared) = self.snapshot.or(facts.declared) else {
            let reason = "nothing says which policy it must be";
            return Judgement::no_data(rules, reason, "name a bundle that declares its policy");
        };
        if snapshot != declared {
            let (found, wanted) = (short(snapshot), short(declared));
            let reason = format!("the policy is {found}, and {wanted} is declared");
            return Judgement::fail(rules, reason, "put the declared policy there");
        }
        if answer.snapshot != snapshot || answer.input != input {
            let reason = "the answer is about another policy or another input";
            return Judgement::fail(rules, reason, "ask again");
        }
        if answer.allows() {
            let counted = counted(rules, "rule", "rules");
            return Judgement::pass(rules, format!("the policy allows it, by {counted}"));
        }
        refused(answer, rules)
    }

    #[expect(clippy::unused_self, reason = "every rule damages by the same signature")]
    pub(super) fn damage(&self, facts: &Facts) -> Vec<(&'static str, Facts)> {
        let mut copies = Copies::of(facts);
        let mut add = |name, damage: &dyn Fn(&mut PolicyAnswer)| {
            copies.add(name, |facts: &mut Facts| {
                if let Some(answer) = &mut facts.answer {
                    damage(answer);
                }
            });
        };
        for verdict in PolicyVerdict::ALL {
            let name = match verdict {
                PolicyVerdict::Allow => continue,
                PolicyVerdict::Deny => "deny",
                PolicyVerdict::Undefined => "undefined",
                PolicyVerdict::Error => "error",
                PolicyVerdict::TimedOut => "timed_out",
                PolicyVerdict::NoRules => "no_rules",
            };
            add(name, &|answer| answer.decision = PolicyDecision::bare(verdict));
        }
        add("allow_with_reasons", &|answer| answer.decision.reasons.push(a_reason()));
        add("zero_rules", &|answer| answer.rules = 0);
        add("answer_of_other_snapshot", &|answer| answer.snapshot = flipped(answer.snapshot));
        add("answer_to_other_input", &|answer| answer.input = flipped(answer.input));
        copies.add("other_snapshot", |facts| {
            facts.snapshot = facts.snapshot.map(flipped);
            if let Some(answer) = &mut facts.answer {
                answer.snapshot = flipped(answer.snapshot);
            }
        });
        copies.add("other_declared", |facts| facts.declared = facts.declared.map(flipped));
        copies.add("nothing_declared", |facts| facts.declared = None);
        copies.add("no_input", |facts| facts.input = None);
        copies.add("nothing_seen", |facts| facts.answer = None);
        copies.done()
    }

    pub(super) fn check(&self) -> Vec<InputError> {
        let mut errors = check_text("/policy", &self.policy);
        if self.snapshot.is_some() == self.manifest.is_some() {
            let what = "exactly one of `snapshot` and `manifest` says which policy it must be";
            errors.push(InputError::new("", what, "name the digest, or a bundle's manifest"));
        }
        if self.input.is_some() == self.admission.is_some() {
            let what = "exactly one of `input` and `admission` says what is decided about";
            errors.push(InputError::new("", what, "name a file, or a bundle and a target"));
        }
        let named = [("/manifest", &self.manifest), ("/input", &self.input)];
        for (pointer, path) in named {
            errors.extend(path.iter().flat_map(|path| check_text(pointer, path)));
        }
        if let Some(admission) = &self.admission {
            errors.extend(check_text("/admission/bundle", &admission.bundle));
            errors.extend(check_text("/admission/target/name", &admission.target.name));
            let jurisdiction = &admission.target.jurisdiction;
            errors.extend(check_text("/admission/target/jurisdiction", jurisdiction));
        }
        errors
    }

    pub(super) fn demands(&self) -> String {
        match (&self.snapshot, &self.manifest) {
            (Some(snapshot), _) => {
                format!(
                    "the policy {} with the snapshot {} allows it",
                    self.policy,
                    short(*snapshot)
                )
            }
            (None, Some(manifest)) => {
                format!("the policy {}, which {manifest} declares, allows it", self.policy)
            }
            (None, None) => format!("the policy {} allows it", self.policy),
        }
    }
}

/// Why an answer that is none of allowing keeps the gate closed.
fn refused(answer: &PolicyAnswer, rules: usize) -> Judgement {
    let verdict = match answer.decision.verdict {
        PolicyVerdict::Error | PolicyVerdict::TimedOut => Verdict::Error,
        PolicyVerdict::NoRules => Verdict::NoData,
        PolicyVerdict::Allow if answer.decision.reasons.is_empty() => Verdict::NoData,
        PolicyVerdict::Allow | PolicyVerdict::Deny | PolicyVerdict::Undefined => Verdict::Fail,
    };
    let more = answer.decision.reasons.len().saturating_sub(1);
    let (reason, remedy) = match answer.refusal() {
        Some(PolicyReason { class, code, subject, message, remedy }) => {
            let more = match more {
                0 => String::new(),
                more => format!(", and {} more", counted(more, "reason", "reasons")),
            };
            (format!("{class} {code} {subject}: {message}{more}"), remedy)
        }
        None => ("the policy contradicts itself".to_owned(), REMEDY.to_owned()),
    };
    Judgement { verdict, ..Judgement::fail(rules, reason, &remedy) }
}

fn a_reason() -> PolicyReason {
    PolicyReason {
        class: carnet_ledger::RefusalClass::PolicyDenied,
        code: "damaged".to_owned(),
        subject: "damaged".to_owned(),
        message: "damaged".to_owned(),
        remedy: "damaged".to_owned(),
    }
}
