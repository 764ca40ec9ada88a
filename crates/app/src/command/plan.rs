//! `carnet plan`.

use std::path::PathBuf;

use carnet_model::plan::{Change, Changes, NodeChange, PhaseChange, mask};
use carnet_model::{Code, Exit};
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use super::Setting;
use crate::failure::Failure;
use crate::plan_file::PlanFile;
use crate::sheet::Sheet;
use crate::view::plan::PlanView;
use crate::view::plan_text;

/// Show what a plan will do: each phase in order, its gates, and its steps with their undo.
///
/// Only the plan file and the files that it names are read. `run --dry-run` also looks at the
/// systems.
#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// The plan file.
    plan: PathBuf,
    /// Show what the plan changes of this one, which it amends.
    #[arg(long, value_name = "OLD")]
    amends: Option<PathBuf>,
}

/// What a plan changes of another, as `carnet plan NEW --amends OLD --json` shows it.
#[derive(Serialize, JsonSchema)]
#[schemars(title = "carnet plan --amends --json")]
pub(crate) struct ChangesView {
    migration: String,
    /// The digest of the plan that is amended.
    old: String,
    /// The digest of the amended plan.
    new: String,
    #[serde(flatten)]
    changes: Changes,
}

impl Plan {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let file = PlanFile::open(&self.plan)?;
        setting.warn(&file.warnings);
        if let Some(old) = &self.amends {
            let old = PlanFile::open(old)?;
            setting.screen.show(&changes(&old, &file)?, changes_text)?;
            return Ok(Exit::Done);
        }
        let document = serde_json::from_str(&file.plan.canonical())
            .map_err(|error| Failure::from_error(&error, Code::BUG))?;
        let view = PlanView::of(&file.plan, document, file.warnings.views());
        setting.screen.show(&view, plan_text::text)?;
        Ok(Exit::Done)
    }
}

/// What an amended plan changes. It must name the plan that it amends.
fn changes(old: &PlanFile, new: &PlanFile) -> Result<ChangesView, Failure> {
    let (before, after) = (&old.plan, &new.plan);
    let digest = before.digest();
    let refused = |what: String, remedy: String| {
        Failure::new(Code::PLAN_CONFLICT, what)
            .place(new.path.display().to_string())
            .changed("only the two plan files were read; nothing was changed")
            .remedy(remedy)
    };
    if after.parent() != Some(digest) {
        let other = after.parent().map(|parent| format!("sha256:{parent}"));
        let what = match other {
            Some(parent) => format!("the plan amends {parent}, which is another one"),
            None => "the plan does not say that it amends another one".to_owned(),
        };
        return Err(refused(what, format!("write `amends: sha256:{digest}`")));
    }
    let (one, other) = (&before.document().migration, &after.document().migration);
    if one != other {
        let what = format!("the plan amends one of {one}, and is of {other}");
        return Err(refused(what, format!("write `migration: {one}`")));
    }
    Ok(ChangesView {
        migration: other.to_string(),
        old: digest.to_string(),
        new: after.digest().to_string(),
        changes: after.changes_from(before),
    })
}

fn changes_text(view: &ChangesView) -> String {
    let mut sheet = Sheet::default();
    sheet.line(format_args!("plan {}, amended", view.migration));
    sheet.field("  from", 6, &view.old);
    sheet.field("  to", 6, &view.new);
    let Changes { rules, phases } = &view.changes;
    if view.changes.is_empty() {
        sheet.gap();
        sheet.line("It does the same, under the same rules.");
        return sheet.text();
    }
    if !rules.is_empty() {
        sheet.gap();
        sheet.line("rules");
    }
    for rule in rules {
        sheet.line(format_args!("  {} {} {}", sign(rule.change), word(rule.change), rule.key));
    }
    for phase in phases {
        sheet.gap();
        phase_changes(&mut sheet, phase);
    }
    sheet.gap();
    sheet.line("Whatever stands here and has not started yet is done as the new plan says.");
    sheet.text()
}

fn phase_changes(sheet: &mut Sheet, phase: &PhaseChange) {
    let what = told(&phase.what);
    let head =
        format!("{} phase {}: {}{what}", sign(phase.change), phase.phase, word(phase.change));
    sheet.line(head);
    for NodeChange { node, does, change, what } in &phase.nodes {
        let name = node.split_once('/').map_or(node.as_str(), |(_, name)| name);
        let said = format!("{name}: {}{}; {}", word(*change), told(what), mask(does));
        sheet.field(format_args!("  {}", sign(*change)), 3, &said);
    }
}

/// What of it differs.
fn told(what: &[&str]) -> String {
    if what.is_empty() { String::new() } else { format!(" ({})", what.join(", ")) }
}

const fn sign(change: Change) -> char {
    match change {
        Change::Added => '+',
        Change::Changed => '~',
        Change::Moved => '>',
        Change::Removed => '-',
    }
}

const fn word(change: Change) -> &'static str {
    match change {
        Change::Added => "added",
        Change::Changed => "changed",
        Change::Moved => "moved",
        Change::Removed => "removed",
    }
}
