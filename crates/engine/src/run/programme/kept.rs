//! What stays as it is for as long as a run goes on, whatever is approved: what its phases that have
//! begun must leave, what it is pinned to, and where its evidence lies. It is read from the text of
//! the plan that the run is under.

use carnet_ledger::Digest;
use carnet_model::plan::Plan;
use carnet_process::{Missing, PhaseState, PhaseStatus, Refused, RunState};
use serde_json::Value;

use crate::error::EngineError;

/// A plan as the log keeps it.
pub(super) struct Kept(Value);

impl Kept {
    /// The plan that a run is under; nothing stands in it if the log does not hold it.
    pub(super) fn of(run: &RunState, object: &dyn Fn(Digest) -> Option<Vec<u8>>) -> Self {
        let text = object(run.document).unwrap_or_default();
        Self(serde_json::from_slice(&text).unwrap_or_default())
    }

    fn phase(&self, name: &str) -> Option<&Value> {
        let phases = self.0.get("phases")?.as_array()?;
        phases.iter().find(|it| it.get("name").and_then(Value::as_str) == Some(name))
    }

    /// The run on the platform that it is pinned to, in a programme.
    pub(super) fn platform_run_id(&self) -> Option<&str> {
        self.0.pointer("/programme/run/platform_run_id")?.as_str()
    }

    /// How far a phase may be repeated, in the word of plans.
    pub(super) fn retry(&self, phase: &str) -> Option<&str> {
        self.phase(phase)?.pointer("/posture/retry")?.as_str()
    }
}

/// The steps of a phase that hold writers still, or let them go on.
fn freezes(phase: &Value) -> Vec<[Option<&Value>; 3]> {
    let steps = phase.get("steps").and_then(Value::as_array).into_iter().flatten();
    let marks = steps.map(|it| [it.get("name"), it.get("freeze"), it.get("unfreeze")]);
    marks.filter(|[_, freeze, unfreeze]| freeze.is_some() || unfreeze.is_some()).collect()
}

/// Refuses an amended plan that changes what must stay.
pub(in crate::run) fn check(
    plan: &Plan,
    run: &RunState,
    object: &dyn Fn(Digest) -> Option<Vec<u8>>,
) -> Result<(), EngineError> {
    let old = Kept::of(run, object);
    let new = Kept(serde_json::from_str(&plan.canonical()).unwrap_or_default());
    let phases = run.process.phases.iter().zip(&run.phases);
    let begun: Vec<&str> =
        phases.filter(|(_, held)| has_begun(held)).map(|(phase, _)| phase.name.as_str()).collect();
    let mut missing = Vec::new();
    let mut must_stay = |what: String, remedy: &str| missing.push(Missing::new(what, remedy));
    for name in &begun {
        let (was, is) = (old.phase(name), new.phase(name));
        let part = |key| (was.and_then(|it| it.get(key)), is.and_then(|it| it.get(key)));
        let back = "leave it as it was: a phase that has begun is judged by what it began with";
        for (key, what) in [("evidence", "the evidence contract"), ("phase_id", "the phase ids")] {
            let (was, is) = part(key);
            if was != is {
                must_stay(format!("{what} of {name} is another one"), back);
            }
        }
        if was.map(freezes) != is.map(freezes) {
            must_stay(format!("{name} freezes or lets go something else"), back);
        }
    }
    for (at, what) in [("/programme/run", "run"), ("/programme/evidence_root", "evidence_root")] {
        if !begun.is_empty() && old.0.pointer(at) != new.0.pointer(at) {
            let remedy = "put it back, or end this run and begin another one";
            must_stay(
                format!("`programme.{what}` is another one than what the run is pinned to"),
                remedy,
            );
        }
    }
    for (blocked, block) in &run.blocks {
        if new.phase(blocked).is_none() {
            let what =
                format!("{blocked} is left out, and {} holds it up: {}", block.by, block.reason);
            must_stay(what, "keep the phase, or have it let go: `carnet phase unblock`");
        }
    }
    match run.phase() {
        Some(phase) if !missing.is_empty() => {
            Err(Refused::Unready { phase: phase.to_owned(), act: "amended like this", missing }
                .into())
        }
        Some(_) | None => Ok(()),
    }
}

fn has_begun(phase: &PhaseState) -> bool {
    phase.status != PhaseStatus::NotStarted || phase.has_word()
}
