//! Judging an observation and its damaged copies.

use carnet_document::Code;
use carnet_ledger::Digest;
use serde::{Deserialize, Serialize};

use super::control::{after_controls, damage_controls};
use super::definition::{Definition, Facts, Gate, Observation, Rule, damage_facts, judge_facts};
use super::finding::{Judgement, Verdict};

/// How facts are judged by a rule: [`judge`] passes the built-in one.
pub type Judge = fn(&Rule, &Facts) -> Option<Judgement>;

/// Judges an observation. `now_us` is in microseconds since 1970, UTC.
pub fn judge(definition: &Definition, observation: &Observation, now_us: i64) -> Judgement {
    judge_by(judge_facts, definition, observation, now_us)
}

/// Damaged copies of an observation, each with the name of its damage, and each different from the
/// observation. None if it is not one of this gate.
pub fn damage(
    definition: &Definition,
    observation: &Observation,
) -> Vec<(&'static str, Observation)> {
    let facts = damage_facts(&definition.rule, &observation.facts).into_iter();
    let facts = facts.map(|(name, facts)| (name, Observation { facts, ..observation.clone() }));
    let controls = damage_controls(&definition.rule, &observation.controls).into_iter();
    let with = |controls| Observation { controls, ..observation.clone() };
    facts.chain(controls.map(|(name, controls)| (name, with(controls)))).collect()
}

/// What a gate said about an observation, and what it said about damaged copies of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Which gate.
    pub gate: Gate,
    /// The digest of its definition.
    pub definition: Digest,
    /// The digest of the observation; absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observation: Option<Digest>,
    /// The verdict with its reason.
    pub judgement: Judgement,
    /// How many damaged copies were judged. None are unless the observation passed.
    pub damaged: u64,
    /// How many of them were refused.
    pub refused: u64,
    /// The names of the damage that was let pass; not empty, or `damaged` 0 beside a pass: the
    /// gate is broken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missed: Vec<String>,
}

impl Evaluation {
    /// The observation could not be made.
    pub fn error(definition: &Definition, reason: impl Into<String>, remedy: &str) -> Self {
        Self::without(definition, Verdict::Error, reason.into(), remedy)
    }

    /// The gate was not asked, since its object does not exist yet or an earlier gate is closed.
    pub fn not_run(definition: &Definition, reason: impl Into<String>) -> Self {
        Self::without(definition, Verdict::NotRun, reason.into(), "run the steps before it")
    }

    fn without(definition: &Definition, verdict: Verdict, reason: String, remedy: &str) -> Self {
        Self {
            gate: definition.gate(),
            definition: definition.digest(),
            observation: None,
            judgement: Judgement { verdict, reason, remedy: Some(remedy.to_owned()), sample: 0 },
            damaged: 0,
            refused: 0,
            missed: Vec::new(),
        }
    }

    /// Whether the gate lets damaged content pass, so that its pass means nothing.
    pub fn is_broken(&self) -> bool {
        self.judgement.verdict == Verdict::Pass
            && (self.damaged == 0 || self.refused != self.damaged)
    }

    /// Whether the run may go on.
    pub fn opens(&self) -> bool {
        self.judgement.verdict == Verdict::Pass && !self.is_broken()
    }

    /// Why the run may not go on: `gate.closed`, `gate.broken`, or what an approval still lacks,
    /// `approval.missing`.
    pub fn code(&self) -> Option<Code> {
        if self.opens() {
            None
        } else if self.is_broken() {
            Some(Code::GATE_BROKEN)
        } else if self.gate == Gate::Approval {
            Some(Code::APPROVAL_MISSING)
        } else {
            Some(Code::GATE_CLOSED)
        }
    }
}

/// Judges an observation, and, if it passes, its damaged copies: those that [`damage`] makes, and
/// those that the observer made from the content itself (a record dropped, doubled, changed by one
/// ulp, and so on, taken through the same digest), each with its name.
pub fn evaluate(
    definition: &Definition,
    observation: &Observation,
    now_us: i64,
    reread: &[(&'static str, Observation)],
) -> Evaluation {
    evaluate_with(judge_facts, definition, observation, now_us, reread)
}

/// [`evaluate`] with a judge of the caller's: how tests show that a broken one is caught.
pub fn evaluate_with(
    judge: Judge,
    definition: &Definition,
    observation: &Observation,
    now_us: i64,
    reread: &[(&'static str, Observation)],
) -> Evaluation {
    let judgement = judge_by(judge, definition, observation, now_us);
    let mut evaluation = Evaluation {
        gate: definition.gate(),
        definition: definition.digest(),
        observation: Some(observation.digest()),
        judgement,
        damaged: 0,
        refused: 0,
        missed: Vec::new(),
    };
    if evaluation.judgement.verdict != Verdict::Pass {
        return evaluation;
    }
    let made = damage(definition, observation);
    for (name, copy) in made.iter().chain(reread) {
        evaluation.damaged += 1;
        if judge_by(judge, definition, copy, now_us).verdict == Verdict::Pass {
            evaluation.missed.push((*name).to_owned());
        } else {
            evaluation.refused += 1;
        }
    }
    evaluation
}

fn judge_by(
    judge: Judge,
    definition: &Definition,
    observation: &Observation,
    now_us: i64,
) -> Judgement {
    if let Some(stale) = too_old(definition, observation, now_us) {
        return stale;
    }
    let said = judge(&definition.rule, &observation.facts).unwrap_or_else(|| Judgement {
        verdict: Verdict::Error,
        reason: format!(
            "the gate {} was shown an observation for {}",
            definition.gate(),
            observation.gate()
        ),
        remedy: Some("this is a defect in Carnet; please report it".to_owned()),
        sample: 0,
    });
    if said.verdict != Verdict::Pass {
        return said;
    }
    let passed = after_controls(&definition.rule, &observation.controls, said);
    if passed.verdict == Verdict::Pass && passed.sample < definition.sample_min.max(1) {
        let (sample, min) = (passed.sample, definition.sample_min.max(1));
        let reason = format!("{sample} compared, and {min} are the least: {}", passed.reason);
        let remedy = Some("give the gate more to compare, or demand fewer".to_owned());
        return Judgement { verdict: Verdict::NoData, reason, remedy, sample };
    }
    passed
}

fn too_old(definition: &Definition, observation: &Observation, now_us: i64) -> Option<Judgement> {
    let age_us = i128::from(now_us) - i128::from(observation.observed_at_us);
    let reason = if age_us < 0 {
        "the observation lies in the future: a clock was set back".to_owned()
    } else if age_us > i128::from(definition.age_s_max) * 1_000_000 {
        let seconds = age_us / 1_000_000;
        format!("the observation is {seconds} s old, and {} s is the most", definition.age_s_max)
    } else {
        return None;
    };
    let remedy = Some("look again: run the phase once more".to_owned());
    Some(Judgement { verdict: Verdict::Stale, reason, remedy, sample: 0 })
}
