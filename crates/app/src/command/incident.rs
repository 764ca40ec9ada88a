//! `carnet incident`.

use std::path::{Path, PathBuf};

use carnet_engine::{ByHand, EngineError, StopReport, status};
use carnet_model::{Code, Exit};
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use super::Setting;
use super::desk::{Desk, said};
use crate::failure::Failure;
use crate::plan_file::PlanFile;
use crate::sheet::Sheet;

/// Look at what waits for a person, and decide it.
#[derive(Debug, Args)]
pub(crate) struct Incident {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List what waits for a person. Status 5 if something does.
    List {
        /// The plan file.
        plan: PathBuf,
    },
    /// Have it tried again by the next `carnet run` or `carnet rollback`.
    Retry {
        /// The plan file.
        plan: PathBuf,
        /// What the incident is about, such as a step, as PHASE/NODE.
        step: String,
    },
    /// Skip an undo that failed: the step stays as it is. Where the plan has approvals, somebody who
    /// may must have approved `skip:PHASE/STEP`.
    Skip {
        /// The plan file.
        plan: PathBuf,
        /// The step whose undo failed, as PHASE/NODE.
        step: String,
        /// Why it may stay.
        #[arg(long, value_parser = said)]
        reason: String,
        /// Who says so; your login name if nothing is said.
        #[arg(long, value_name = "NAME", value_parser = said)]
        by: Option<String>,
    },
    /// Say what became of a step by hand.
    Settle {
        /// The plan file.
        plan: PathBuf,
        /// The step, as PHASE/NODE.
        step: String,
        /// What became of it.
        #[arg(long, value_enum)]
        outcome: Settled,
        /// How that is known.
        #[arg(long, value_parser = said)]
        reason: String,
        /// Who says so.
        #[arg(long, value_name = "NAME", value_parser = said)]
        by: String,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Settled {
    /// It is done: seen, or done by hand.
    Applied,
    /// It is not done.
    NotApplied,
    /// It was undone by hand.
    Undone,
}

#[derive(Serialize)]
struct View<'a> {
    step: &'a str,
    decided: &'static str,
    by: &'a str,
    reason: &'a str,
}

impl Incident {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        match &self.what {
            What::List { plan } => list(setting, plan),
            What::Retry { plan, step } => {
                let desk = Desk::open(setting, plan)?;
                let done = desk.engine.retry(&desk.request()?, step);
                let view = View { step, decided: "retry", by: desk.user, reason: "" };
                told(setting, plan, done, &view)
            }
            What::Skip { plan, step, reason, by } => {
                let desk = Desk::open(setting, plan)?;
                let by = by.as_deref().unwrap_or(desk.user);
                let view = View { step, decided: "left_standing", by, reason };
                settle(setting, &desk, plan, ByHand::LeftStanding, &view)
            }
            What::Settle { plan, step, outcome, reason, by } => {
                let desk = Desk::open(setting, plan)?;
                let by_hand = match outcome {
                    Settled::Applied => ByHand::Applied,
                    Settled::NotApplied => ByHand::NotApplied,
                    Settled::Undone => ByHand::Undone,
                };
                let view = View { step, decided: by_hand.name(), by, reason };
                settle(setting, &desk, plan, by_hand, &view)
            }
        }
    }
}

fn settle(
    setting: &Setting<'_>,
    desk: &Desk<'_>,
    plan: &Path,
    by_hand: ByHand,
    view: &View<'_>,
) -> Result<Exit, Failure> {
    let done = desk.engine.settle(&desk.request()?, view.step, by_hand, view.by, view.reason);
    told(setting, plan, done, view)
}

fn told(
    setting: &Setting<'_>,
    plan: &Path,
    done: Result<(), EngineError>,
    view: &View<'_>,
) -> Result<Exit, Failure> {
    done.map_err(|error| Failure::engine(&error))?;
    let plan = plan.display();
    setting.screen.show(view, |view| {
        let decided = view.decided.replace('_', " ");
        format!("{}: {decided}, says {}\nnext        carnet status {plan}\n", view.step, view.by)
    })?;
    Ok(Exit::Done)
}

fn list(setting: &Setting<'_>, plan: &Path) -> Result<Exit, Failure> {
    let file = PlanFile::open(plan)?;
    let report = status(setting.log_of(&setting.state_of(&file.plan))?)
        .map_err(|error| Failure::engine(&error))?;
    let goes_back = report.stop.is_some();
    setting.screen.show(&report.incidents, |all| lines(all, goes_back, plan))?;
    Ok(if report.incidents.is_empty() { Exit::Done } else { Exit::Waits })
}

/// What waits, and what can be decided: of an undo that failed more than of a step.
fn lines(all: &[StopReport], goes_back: bool, plan: &Path) -> String {
    let mut sheet = Sheet::default();
    if all.is_empty() {
        sheet.line("nothing waits for a person");
    }
    for one in all {
        sheet.line(format_args!("{}  {}", one.subject, one.code));
        sheet.field("", 2, &one.reason);
        if !one.remedy.is_empty() {
            sheet.field("", 2, &format!("help: {}", one.remedy));
        }
    }
    let plan = plan.display();
    let retry = format!("carnet incident retry {plan} STEP");
    let settle = format!("carnet incident settle {plan} STEP --outcome … --by … --reason …");
    let next = match all.first() {
        None => Vec::new(),
        Some(one) if one.code == Code::APPROVAL_MISSING.name() => {
            vec![format!("carnet approve {plan} {}", one.subject)]
        }
        Some(_) if goes_back => {
            vec![retry, format!("carnet incident skip {plan} STEP --reason …"), settle]
        }
        Some(_) => vec![retry],
    };
    for (number, next) in next.iter().enumerate() {
        sheet.field(if number == 0 { "next" } else { "" }, 10, next);
    }
    sheet.text()
}
