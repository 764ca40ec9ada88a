//! `carnet phase`.

use std::path::{Path, PathBuf};

use carnet_engine::{NextAct, PhaseRow, ProgrammeReport};
use carnet_model::Exit;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::Setting;
use super::desk::{Desk, said};
use crate::failure::Failure;
use crate::sheet::Sheet;
use crate::world::World;

/// Carry a programme from phase to phase.
///
/// A phase of a programme is set active and confirmed by an act of its own. In between, and behind
/// it, `carnet run PLAN` does the work.
#[derive(Debug, Args)]
pub(crate) struct Phase {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show where the phases stand, and what is missing before the next act.
    Show {
        /// The plan file.
        plan: PathBuf,
    },
    /// Set the next phase active, or confirm the one that is active. Refused with a list of what is
    /// missing, each with its remedy.
    Advance {
        /// The plan file.
        plan: PathBuf,
        /// What is to be said about it, for the evidence.
        #[arg(long, default_value = "")]
        reason: String,
        /// Who does it; your login name if nothing is said.
        #[arg(long, value_name = "NAME", value_parser = said)]
        by: Option<String>,
    },
    /// Hold a phase up: nothing of it is done until it is let go.
    Block(Held),
    /// Let a phase go on that somebody holds up.
    Unblock(Held),
}

#[derive(Debug, Args)]
struct Held {
    /// The plan file.
    plan: PathBuf,
    /// The phase, by its name.
    phase: String,
    /// Why, for the evidence.
    #[arg(long, value_parser = said)]
    reason: String,
    /// Who does it; your login name if nothing is said.
    #[arg(long, value_name = "NAME", value_parser = said)]
    by: Option<String>,
}

#[derive(Serialize)]
struct HeldView<'a> {
    phase: &'a str,
    blocked: bool,
    by: &'a str,
    reason: &'a str,
}

impl Phase {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        match &self.what {
            What::Show { plan } => show(setting, plan),
            What::Advance { plan, reason, by } => advance(setting, plan, reason, by.as_deref()),
            What::Block(held) => hold_up(setting, held, true),
            What::Unblock(held) => hold_up(setting, held, false),
        }
    }
}

fn show(setting: &Setting<'_>, plan: &Path) -> Result<Exit, Failure> {
    let desk = Desk::open(setting, plan)?;
    let report = desk.engine.programme(&desk.request()?, &World);
    let report = report.map_err(|error| Failure::engine(&error))?;
    setting.screen.show(&report, |report| text(report, plan))?;
    Ok(Exit::Done)
}

fn advance(
    setting: &Setting<'_>,
    plan: &Path,
    reason: &str,
    by: Option<&str>,
) -> Result<Exit, Failure> {
    let desk = Desk::open(setting, plan)?;
    let by = by.unwrap_or(desk.user);
    let done = desk.engine.advance(&desk.request()?, &World, by, reason);
    let done = done.map_err(|error| Failure::engine(&error))?;
    setting.screen.show(&done, |done| {
        let plan = plan.display();
        format!("{}: {} by {}\nnext        carnet run {plan}\n", done.phase, done.act, done.by)
    })?;
    Ok(Exit::Done)
}

fn hold_up(setting: &Setting<'_>, held: &Held, blocked: bool) -> Result<Exit, Failure> {
    let desk = Desk::open(setting, &held.plan)?;
    let by = held.by.as_deref().unwrap_or(desk.user);
    let done = desk.engine.hold_up(&desk.request()?, &held.phase, blocked, by, &held.reason);
    done.map_err(|error| Failure::engine(&error))?;
    let view = HeldView { phase: &held.phase, blocked, by, reason: &held.reason };
    setting.screen.show(&view, |view| {
        let what = if view.blocked { "held up" } else { "let go" };
        format!("{}: {what} by {}: {}\n", view.phase, view.by, view.reason)
    })?;
    Ok(Exit::Done)
}

fn text(report: &ProgrammeReport, plan: &Path) -> String {
    let mut sheet = Sheet::default();
    for row in &report.phases {
        phase(&mut sheet, row);
    }
    sheet.gap();
    match &report.next {
        None => {
            let next = format!("carnet run {}", plan.display());
            sheet.field("next", 12, &next);
        }
        Some(NextAct { phase, act, missing }) if missing.is_empty() => {
            let next = format!("carnet phase advance {}: {phase} is {act}", plan.display());
            sheet.field("next", 12, &next);
        }
        Some(NextAct { phase, act, missing }) => {
            sheet.line(format_args!("before {phase} is {act}"));
            for it in missing {
                sheet.field("", 2, &format!("- {}", it.what));
                sheet.field("", 4, &it.remedy);
            }
        }
    }
    sheet.text()
}

fn phase(sheet: &mut Sheet, row: &PhaseRow) {
    let ids = row.phase_id.join(" ");
    let level = if row.gate_level { "  at gate level" } else { "" };
    sheet.line(format_args!("{:<12}{:<14}{}{level}", row.status, ids, row.phase));
    if let Some(reason) = &row.reason {
        sheet.field("", 12, reason);
    }
}
