//! A run, for people and programs.

use std::path::Path;

use carnet_engine::{Report, StopReport};
use carnet_model::Exit;
use carnet_model::portability::{TermLeft, Terms};
use schemars::JsonSchema;
use serde::Serialize;

use super::parts::{said, stopped, write_collections};

use crate::amount;
use crate::failure::Failure;
use crate::sheet::Sheet;

/// A run as it is shown. `--json` has the report of the engine, and what to do next.
#[derive(Serialize, JsonSchema)]
#[schemars(title = "carnet status PLAN --json, and what run and rollback print")]
pub(crate) struct RunView {
    #[serde(flatten)]
    report: Report,
    /// Commands that make sense now.
    next: Vec<String>,
    /// The dates of the switch, with the days that are left, where the plan states them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    terms: Vec<TermLeft>,
    #[serde(skip)]
    plan: String,
}

/// ` (process 4711)`, where the system says which it is.
pub(crate) fn process(report: &Report) -> String {
    report.process.map_or_else(String::new, |number| format!(" (process {number})"))
}

/// The width of the labels in the first column.
const LABEL: usize = 12;

impl RunView {
    pub(crate) fn new(report: Report, plan: &Path) -> Self {
        let plan = plan.display().to_string();
        let mut next = Vec::new();
        match report.status {
            _ if report.dry_run => next.push(format!("carnet run {plan}")),
            "done" => {
                next.push(format!("carnet status {plan}"));
                if report.can_roll_back {
                    next.push(format!("carnet rollback {plan}"));
                }
            }
            "rolled_back" => next.push(format!("carnet status {plan}")),
            _ if report.at_work == Some(true) => next.push(format!("carnet status {plan}")),
            "waiting" if report.stop.is_some() => {
                next.push(format!("carnet incident list {plan}"));
                next.push(format!("carnet run {plan}"));
            }
            "rolling_back" => {
                next.push(format!("carnet status {plan}"));
                next.push(format!("carnet rollback {plan}"));
            }
            _ => {
                next.push(format!("carnet status {plan}"));
                next.push(format!("carnet run {plan}"));
            }
        }
        Self { report, next, terms: Vec::new(), plan }
    }

    /// The same with the terms of its plan.
    pub(crate) fn with_terms(mut self, terms: Option<&Terms>, now_s: i64) -> Self {
        self.terms = terms.map(|terms| terms.left(now_s)).unwrap_or_default();
        self
    }

    /// How the command ends: what stopped the run is a failure.
    pub(crate) fn outcome(&self) -> Result<Exit, Failure> {
        match self.stop() {
            None if self.waits_for_time_or_word() => Ok(Exit::Waits),
            None => Ok(Exit::Done),
            Some(_) => Err(stopped(&self.report, "run")),
        }
    }

    /// The exit status of `status`: whether something must come first.
    pub(crate) fn standing(&self) -> Exit {
        let waits = self.report.waits_for.is_some() || self.waits_for_time_or_word();
        if waits { Exit::Waits } else { Exit::Done }
    }

    fn stop(&self) -> Option<&StopReport> {
        self.report.waits_for.as_ref().or(self.report.stop.as_ref())
    }

    /// The summary, in 80 columns.
    pub(crate) fn text(&self) -> String {
        let report = &self.report;
        let mut sheet = Sheet::default();
        sheet.line(self.headline());
        sheet.gap();
        self.write_content(&mut sheet);
        self.write_gates(&mut sheet);
        if !report.dry_run {
            self.write_phases(&mut sheet);
        }
        if let Some(switch) = &report.switch {
            let to = if switch.switched { "points to" } else { "does not point to" };
            let text = format!("{} in {} {to} {}", switch.key, switch.path, switch.value);
            sheet.field("switch", LABEL, &text);
        }
        for left in &report.left_behind {
            sheet.field("left behind", LABEL, left);
        }
        if let Some(stop) = self.stop() {
            let label = if report.waits_for.is_some() { "waits for" } else { "stopped by" };
            sheet.field(label, LABEL, &format!("{}: {}", stop.subject, stop.reason));
        }
        for TermLeft { term, at, days_left } in &self.terms {
            let left = match days_left {
                0.. => format!("{days_left} days left"),
                _ => "past".to_owned(),
            };
            sheet.field("term", LABEL, &format!("{} {at}: {left}", term.name()));
        }
        for timer in &report.timers {
            sheet.field("timer", LABEL, &format!("{}, due {}", timer.timer, timer.due));
        }
        for message in &report.messages {
            let text = if report.acts.contains(message) {
                format!("{message}: carnet phase advance {}", self.plan)
            } else {
                format!("{message}: carnet signal {} {message} --reason …", self.plan)
            };
            sheet.field("message", LABEL, &text);
        }
        for given in &report.approvals {
            let text = format!("{} by {}, until {}", given.subject, given.approver, given.expires);
            sheet.field("approved", LABEL, &text);
        }
        for more in report.incidents.iter().skip(1) {
            sheet.field("and for", LABEL, &format!("{}: {}", more.subject, more.reason));
        }
        if !report.dry_run {
            let back = if report.can_roll_back { "possible now" } else { "not possible now" };
            sheet.field("rollback", LABEL, back);
        }
        self.write_evidence(&mut sheet);
        for (number, next) in self.next.iter().enumerate() {
            sheet.field(if number == 0 { "next" } else { "" }, LABEL, next);
        }
        sheet.text()
    }

    fn headline(&self) -> String {
        let report = &self.report;
        let name = &report.migration;
        let status = report.status.replace('_', " ");
        match (report.dry_run, report.already_done) {
            (true, _) if self.stop().is_none() => {
                format!("dry run of {name}: nothing stands in the way; nothing was changed")
            }
            (true, _) => format!("dry run of {name}: {status}; nothing was changed"),
            (false, true) => format!("run of {name}: already done; nothing was changed now"),
            (false, false) => match report.at_work {
                None => format!("run of {name}: {status}"),
                Some(true) => format!("run of {name}: {status}{}", process(report)),
                Some(false) if self.waits_for_time_or_word() => {
                    format!("run of {name}: waits; {} goes on when it has come", self.going_on())
                }
                Some(false) if status == "running" => {
                    format!("run of {name}: cut off; {} goes on", self.going_on())
                }
                Some(false) => {
                    format!("run of {name}: cut off while {status}; {} goes on", self.going_on())
                }
            },
        }
    }

    /// Whether nobody works on it because there is nothing to do yet.
    fn waits_for_time_or_word(&self) -> bool {
        let report = &self.report;
        let expects = !report.timers.is_empty() || !report.messages.is_empty();
        expects && report.status == "running" && !report.dry_run
    }

    /// The command that goes on with a run that was cut off.
    fn going_on(&self) -> String {
        let verb = if self.report.status == "rolling_back" { "rollback" } else { "run" };
        format!("`carnet {verb} {}`", self.plan)
    }

    fn write_content(&self, sheet: &mut Sheet) {
        let report = &self.report;
        let mut moved = vec![amount::counted(report.records, "record", "records")];
        if report.artifacts > 0 {
            moved.push(amount::counted(report.artifacts, "artifact", "artifacts"));
        }
        if report.bytes > 0 {
            moved.push(format!("{} in the snapshot", amount::bytes(report.bytes)));
        }
        if !report.collections.is_empty() {
            let label =
                if report.status == "done" && !report.dry_run { "moved" } else { "content" };
            sheet.field(label, LABEL, &moved.join(", "));
        }
        write_collections(sheet, &report.collections, LABEL);
        if !report.not_travelled.is_empty() {
            let names = report.not_travelled.join(", ");
            sheet.field("not moved", LABEL, &format!("of no known kind: {names}"));
        }
        if !report.collections.is_empty() {
            sheet.gap();
        }
    }

    fn write_gates(&self, sheet: &mut Sheet) {
        if self.report.gates.is_empty() {
            return;
        }
        sheet.line("gates");
        for gate in &self.report.gates {
            let name = format!("{}/{}", gate.phase, gate.gate);
            sheet.field(format!("  {name}"), 28, &said(gate));
            if let Some(exception) = &gate.exception {
                sheet.field("", 28, &gate.reason);
                sheet.field("", 28, &format!("exception {exception}"));
            }
            let not_run = gate.verdict == "not_run";
            if !gate.open && !not_run && !gate.reason.is_empty() {
                sheet.field("", 28, &gate.reason);
                if !gate.remedy.is_empty() {
                    sheet.field("", 28, &format!("help: {}", gate.remedy));
                }
            }
        }
        sheet.gap();
    }

    fn write_phases(&self, sheet: &mut Sheet) {
        sheet.line("phases");
        let names = self.report.phases.iter().map(|phase| phase.name.chars().count());
        let width = names.max().unwrap_or(0).clamp(14, 50) + 2;
        for phase in &self.report.phases {
            let time = phase.millis.map(|millis| amount::duration(millis.saturating_mul(1000)));
            let status = match phase.status {
                "done" => "done",
                "active" => "active",
                _ => "not started",
            };
            let time = time.unwrap_or_default();
            let line = format!("  {:<width$}{status:<12}{time:>12}", phase.name);
            sheet.line(line.trim_end());
        }
        sheet.gap();
    }

    fn write_evidence(&self, sheet: &mut Sheet) {
        let report = &self.report;
        let Some(place) = &report.evidence else { return };
        let events = amount::counted(report.events, "event", "events");
        sheet.field("evidence", LABEL, &format!("{}: {events}", place.display()));
        if let Some(last) = report.last_hash {
            sheet.field("  last hash", LABEL, &last.to_string());
        }
        sheet.field("  plan", LABEL, &report.plan);
        sheet.field("  run", LABEL, &report.run);
    }
}
