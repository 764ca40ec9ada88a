//! How many damaged observations each gate refuses.

use schemars::JsonSchema;
use serde::Serialize;

use super::control::Control;
use super::definition::{Definition, Gate, Observation};
use super::evaluate::{evaluate, judge};
use super::finding::Verdict;
use super::sample::samples;

/// What one gate makes of its samples.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Scored {
    /// Which gate.
    #[schemars(with = "String")]
    pub gate: Gate,
    /// How many samples there are that must pass.
    pub samples: u64,
    /// How many of them passed.
    pub passed: u64,
    /// How many damaged copies were judged.
    pub damaged: u64,
    /// How many of them were refused.
    pub refused: u64,
    /// The names of the damage that was let pass.
    pub missed: Vec<String>,
    /// How many observations of nothing were judged.
    pub empty: u64,
    /// How many of them were `no_data`.
    pub no_data: u64,
}

impl Scored {
    /// Whether the gate passed what is good, refused what is damaged, and said `no_data` to
    /// nothing.
    pub fn is_sound(&self) -> bool {
        self.samples > 0
            && self.passed == self.samples
            && self.damaged > 0
            && self.refused == self.damaged
            && self.missed.is_empty()
            && self.empty > 0
            && self.no_data == self.empty
    }
}

/// Every built-in gate, judged on its samples, their damaged copies, and nothing.
pub fn score() -> Vec<Scored> {
    Gate::ALL.iter().map(|gate| scored(*gate)).collect()
}

fn scored(gate: Gate) -> Scored {
    let mut scored = Scored {
        gate,
        samples: 0,
        passed: 0,
        damaged: 0,
        refused: 0,
        missed: Vec::new(),
        empty: 0,
        no_data: 0,
    };
    for sample in samples(gate) {
        let definition = Definition::new(sample.rule);
        let controls: Vec<Control> = definition
            .rule
            .controls()
            .iter()
            .map(|name| Control::new(name, "refused", true))
            .collect();
        let seen = |facts| Observation { controls: controls.clone(), ..Observation::new(0, facts) };
        let evaluation = evaluate(&definition, &seen(sample.facts), 0, &[]);
        scored.samples += 1;
        scored.passed += u64::from(evaluation.judgement.verdict == Verdict::Pass);
        scored.damaged += evaluation.damaged;
        scored.refused += evaluation.refused;
        scored.missed.extend(evaluation.missed);
        for facts in sample.empty {
            scored.empty += 1;
            let verdict = judge(&definition, &seen(facts), 0).verdict;
            scored.no_data += u64::from(verdict == Verdict::NoData);
        }
    }
    scored
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_gate_is_sound() {
        let scores = score();
        assert_eq!(scores.len(), Gate::ALL.len());
        for scored in scores {
            assert!(scored.is_sound(), "{scored:?}");
        }
    }

    #[test]
    fn each_flaw_makes_a_gate_unsound() {
        let good = score().remove(0);
        let with = |change: fn(&mut Scored)| {
            let mut copy = good.clone();
            change(&mut copy);
            copy.is_sound()
        };
        assert!(good.is_sound());
        assert!(!with(|it| it.passed -= 1));
        assert!(!with(|it| it.refused -= 1));
        assert!(!with(|it| (it.damaged, it.refused) = (0, 0)));
        assert!(!with(|it| it.no_data -= 1));
        assert!(!with(|it| (it.empty, it.no_data) = (0, 0)));
        assert!(!with(|it| (it.samples, it.passed) = (0, 0)));
    }
}
