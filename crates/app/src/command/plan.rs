//! `carnet plan`.

use std::path::PathBuf;

use carnet_ledger::Digest;
use carnet_model::Exit;
use carnet_model::gate::{Definition, Rule};
use carnet_model::plan::{Phase, Plan as Compiled, Step};
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
    source: String,
    target: String,
    mode: &'static str,
    document: Value,
    phases: Vec<PhaseView>,
    warnings: Vec<FindingView<'f>>,
}

#[derive(Serialize)]
struct PhaseView {
    phase: &'static str,
    does: &'static str,
    digest: Digest,
    steps: Vec<Step>,
    gates: Vec<GateView>,
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
    let document = plan.document();
    let digests = plan.phase_digests().iter().map(|(_, digest)| *digest);
    Ok(View {
        migration: document.migration.to_string(),
        plan_digest: plan.digest(),
        source: format!("{} ({})", document.source.knowledge.store, document.source.name),
        target: format!("{} ({})", document.target.knowledge.store, document.target.name),
        mode: document.import.mode.name(),
        document: serde_json::from_str(&plan.canonical())
            .map_err(|error| Failure::from_error(&error, carnet_model::Code::BUG))?,
        phases: plan.phases().iter().zip(digests).map(phase_view).collect(),
        warnings: file.warnings.views(),
    })
}

fn phase_view((phase, digest): (&Phase, Digest)) -> PhaseView {
    let gates = phase.gates.iter().map(|gate| GateView {
        gate: gate.gate().id(),
        demands: demands(gate),
        definition: gate.digest(),
        age_s_max: gate.age_s_max,
    });
    PhaseView {
        phase: phase.name.name(),
        does: phase.name.does(),
        digest,
        steps: phase.steps.clone(),
        gates: gates.collect(),
    }
}

/// What a gate demands, for people.
fn demands(gate: &Definition) -> String {
    match &gate.rule {
        Rule::SchemaVersion(_) => "the snapshot has a schema version that this build reads".into(),
        Rule::Dimensions(_) => "vectors have one length on both sides".into(),
        Rule::Contract(_) => "metric, normalisation and model are declared and equal".into(),
        Rule::Losses(rule) if rule.waived.is_empty() => "the target can hold everything".into(),
        Rule::Losses(rule) => {
            let waived: Vec<_> = rule.waived.iter().map(ToString::to_string).collect();
            format!("the target can hold everything but {}", waived.join(", "))
        }
        Rule::Checksums(_) => "each file is as its checksum says, none is missing or added".into(),
        Rule::Count(_) => "as many records as there must be".into(),
        Rule::ContentRoot(_) => "every record read back is, bit for bit, that of the source".into(),
        Rule::QueryParity(rule) => format!(
            "{} searches find the same {} records in the same order on both sides",
            rule.queries, rule.k
        ),
        Rule::ArtifactChecksums(_) => "each artifact is the same file on both sides".into(),
    }
}

fn text(view: &View<'_>) -> String {
    let mut sheet = Sheet::default();
    sheet.line(format_args!("plan {}", view.migration));
    sheet.field("  digest", 8, &view.plan_digest.to_string());
    sheet.field("  from", 8, &view.source);
    sheet.field("  to", 8, &view.target);
    sheet.field("  mode", 8, view.mode);
    for (number, phase) in (1..).zip(&view.phases) {
        sheet.gap();
        let nothing = phase.steps.is_empty() && phase.gates.is_empty();
        let does = if nothing { "nothing in this plan" } else { phase.does };
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
