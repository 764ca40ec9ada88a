//! Gates that an exception has opened: a phase is confirmed only once they pass.

use carnet_model::plan::{NodeKind, Plan};
use carnet_process::{GateStatus, Missing, RunState};

use crate::gate::{Surroundings, evaluate_outside};

/// What still does not pass. Each is looked at again now: an exception lets the work go on, and what
/// it was made for may be mended since.
pub(super) fn open(
    plan: &Plan,
    run: &RunState,
    phase: &str,
    around: &Surroundings<'_>,
) -> Vec<Missing> {
    let names = run.process.nodes().map(|(_, node)| node.name.as_str());
    let of_phase = names.filter(|name| name.split_once('/').is_some_and(|(of, _)| of == phase));
    let excepted = of_phase.filter_map(|name| {
        let gate = run.gate(name).filter(|gate| gate.status == GateStatus::Open)?;
        Some((name, gate.last.as_ref()?.exception.as_deref()?))
    });
    excepted.filter_map(|(name, exception)| still(plan, name, exception, around)).collect()
}

fn still(plan: &Plan, name: &str, exception: &str, around: &Surroundings<'_>) -> Option<Missing> {
    let NodeKind::Gate(gate) = &plan.node(name)?.1.kind else { return None };
    let (now, _) = evaluate_outside(around, &gate.definition);
    if now.opens() {
        return None;
    }
    let said = &now.judgement;
    let what = format!(
        "{name} is open by an exception alone ({exception}), and is still {}: {}",
        said.verdict.name(),
        said.reason
    );
    let remedy = said.remedy.as_deref().unwrap_or("have it pass");
    Some(Missing::new(what, remedy))
}
