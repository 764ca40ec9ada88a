//! `carnet policy`: a file for each subcommand.

mod check;
mod decide;
mod snapshot;

use carnet_model::Exit;
use carnet_model::policy::{PolicyAnswer, PolicyReason};
use clap::{Args, Subcommand};

use super::Setting;
use crate::failure::Failure;
use crate::sheet::Sheet;

/// Check policies, ask them, and write them as snapshots.
///
/// A policy is a folder with modules in Rego, version 1 (*.rego), self-tests.json, and where they
/// are needed data.json and policy.json; or a snapshot of one; or a place in which policies are in
/// force.
#[derive(Debug, Args)]
pub(crate) struct Policy {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Check(check::Check),
    Decide(decide::Decide),
    Snapshot(snapshot::Snapshot),
}

impl Policy {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        match &self.what {
            What::Check(command) => command.run(setting),
            What::Decide(command) => command.run(setting),
            What::Snapshot(command) => command.run(setting),
        }
    }
}

/// Writes an answer for people.
fn answer(sheet: &mut Sheet, answer: &PolicyAnswer) {
    let rules = if answer.rules == 1 { "rule" } else { "rules" };
    let verdict = answer.decision.verdict;
    sheet.line(format_args!("{verdict}  ({} {rules} evaluated)", answer.rules));
    for reason in &answer.decision.reasons {
        self::reason(sheet, reason);
    }
    if let (true, Some(refusal)) = (answer.decision.reasons.is_empty(), answer.refusal()) {
        reason(sheet, &refusal);
    }
}

fn reason(sheet: &mut Sheet, reason: &PolicyReason) {
    let PolicyReason { class, code, subject, message, remedy } = reason;
    sheet.gap();
    sheet.line(format_args!("  {class}  {code}  {subject}"));
    sheet.field("  ", 2, message);
    sheet.field("  to do", 7, remedy);
}
