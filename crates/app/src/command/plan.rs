//! `carnet plan`.

use std::path::PathBuf;

use carnet_ledger::Digest;
use carnet_model::Exit;
use carnet_model::plan::{Phase, Plan as Compiled};
use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::Setting;
use crate::failure::Failure;
use crate::findings::FindingView;
use crate::plan_file::PlanFile;
use crate::sheet::Sheet;

/// Show what a plan will do: each phase in order, its steps with their undo, its gates.
///
/// Only the plan file is read. `run --dry-run` also looks at both stores.
#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// The plan file.
    plan: PathBuf,
}

#[derive(Serialize)]
struct View<'f> {
    migration: String,
    plan_digest: Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<&'static str>,
    document: Value,
    phases: Vec<PhaseView>,
    warnings: Vec<FindingView<'f>>,
}

#[derive(Serialize)]
struct PhaseView {
    phase: String,
    does: String,
    digest: Digest,
    steps: Vec<StepView>,
    gates: Vec<GateView>,
}

#[derive(Serialize)]
struct StepView {
    name: String,
    does: String,
    undo: Option<String>,
}

#[derive(Serialize)]
struct GateView {
    gate: &'static str,
    demands: String,
    definition: Digest,
    age_s_max: u64,
}

impl Plan {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let file = PlanFile::open(&self.plan)?;
        setting.warn(&file.warnings);
        setting.screen.show(&view(&file)?, text)?;
        Ok(Exit::Done)
    }
}

fn view(file: &PlanFile) -> Result<View<'_>, Failure> {
    let plan: &Compiled = &file.plan;
    let knowledge = plan.knowledge();
    Ok(View {
        migration: plan.document().migration.to_string(),
        plan_digest: plan.digest(),
        source: knowledge.map(|it| format!("{} ({})", it.source.knowledge.store, it.source.name)),
        target: knowledge.map(|it| format!("{} ({})", it.target.knowledge.store, it.target.name)),
        mode: knowledge.map(|it| it.import.mode.name()),
        document: serde_json::from_str(&plan.canonical())
            .map_err(|error| Failure::from_error(&error, carnet_model::Code::BUG))?,
        phases: plan.phases().iter().zip(plan.phase_digests()).map(phase_view).collect(),
        warnings: file.warnings.views(),
    })
}

fn phase_view((phase, digest): (&Phase, &Digest)) -> PhaseView {
    let steps = phase.steps().map(|(node, _)| StepView {
        name: node.short_name().to_owned(),
        does: node.does.clone(),
        undo: node.undo_does.clone(),
    });
    let gates = phase.gates().map(|(node, gate)| GateView {
        gate: gate.definition.gate().id(),
        demands: node.does.clone(),
        definition: gate.definition.digest(),
        age_s_max: gate.definition.age_s_max,
    });
    PhaseView {
        phase: phase.name.clone(),
        does: phase.does.clone(),
        digest: *digest,
        steps: steps.collect(),
        gates: gates.collect(),
    }
}

fn text(view: &View<'_>) -> String {
    let mut sheet = Sheet::default();
    sheet.line(format_args!("plan {}", view.migration));
    sheet.field("  digest", 8, &view.plan_digest.to_string());
    let about = [("  from", view.source.as_deref()), ("  to", view.target.as_deref())];
    for (label, said) in about.into_iter().chain([("  mode", view.mode)]) {
        if let Some(said) = said {
            sheet.field(label, 8, said);
        }
    }
    for (number, phase) in (1..).zip(&view.phases) {
        sheet.gap();
        let nothing = phase.steps.is_empty() && phase.gates.is_empty();
        let does = if nothing { "nothing in this plan" } else { &phase.does };
        sheet.line(format_args!("{number} {}: {does}", phase.phase));
        for step in &phase.steps {
            sheet.field("  step", 6, &step.does);
            if let Some(undo) = &step.undo {
                sheet.field("  undo", 6, undo);
            }
        }
        for gate in &phase.gates {
            sheet.field("  gate", 6, &format!("{}: {}", gate.gate, gate.demands));
        }
    }
    sheet.gap();
    sheet.line("Undo runs newest first. A gate that does not pass stops the run.");
    sheet.text()
}
