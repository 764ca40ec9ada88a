//! `carnet status --watch`.

use std::time::Duration;

use carnet_engine::{GateReport, LogReader, PhaseReport, Report, StopReport, TimerReport, status};
use carnet_model::Exit;
use schemars::JsonSchema;
use serde::Serialize;

use crate::command::Setting;
use crate::failure::Failure;
use crate::plan_file::PlanFile;
use crate::screen::Screen;
use crate::sheet::plain;
use crate::view::run::RunView;

/// How often is looked.
const LOOK: Duration = Duration::from_secs(1);
/// Clears the terminal and puts the cursor at its top.
const CLEAR: &str = "\u{1b}[2J\u{1b}[H";

/// Shows a run until it ends, or until nobody works on it and it waits for something.
pub(super) fn watch(setting: &Setting<'_>, file: &PlanFile) -> Result<Exit, Failure> {
    let place = setting.log_of(&setting.state_of(&file.plan))?;
    let draws = setting.environment.stdout_terminal && !setting.global.json;
    let (mut before, mut size, mut told) = (None::<Report>, 0, String::new());
    loop {
        // The chain is only computed again where events came.
        let log = LogReader::open(&place).map_err(carnet_engine::EngineError::from);
        let now = log.map_err(|error| Failure::engine(&error))?.map_or(0, |log| log.size());
        let report = match before.take() {
            Some(report) if now == size && report.at_work != Some(true) => report,
            Some(_) | None => status(&place).map_err(|error| Failure::engine(&error))?,
        };
        size = now;
        let view = RunView::new(report.clone(), &file.path);
        if setting.global.json {
            let line = serde_json::to_string(&Changed::of(&report)).unwrap_or_default();
            show_if_new(&mut told, format!("{line}\n"))?;
        } else if draws {
            show_if_new(&mut told, format!("{CLEAR}{}", plain(&view.text())))?;
        } else {
            for line in lines(&report).lines().filter(|line| !told.lines().any(|it| it == *line)) {
                Screen::text(&format!("{line}\n"))?;
            }
            told = lines(&report);
        }
        if report.ended.is_some() || report.at_work == Some(false) || !is_going(&report) {
            return Ok(view.standing());
        }
        before = Some(report);
        std::thread::sleep(LOOK);
    }
}

fn show_if_new(told: &mut String, text: String) -> Result<(), Failure> {
    if text == *told {
        return Ok(());
    }
    Screen::data(&text)?;
    *told = text;
    Ok(())
}

/// Whether something can still happen without a person.
fn is_going(report: &Report) -> bool {
    report.status != "waiting"
}

/// What a watcher is told at each change: one JSON document a line.
#[derive(Serialize, JsonSchema)]
#[schemars(title = "each line of carnet status PLAN --watch --json")]
pub(in crate::command) struct Changed<'r> {
    /// The run.
    run: &'r str,
    /// Where it stands.
    status: &'static str,
    /// Whether a process works on it.
    at_work: Option<bool>,
    /// The phases.
    phases: &'r [PhaseReport],
    /// The gates, in order.
    gates: &'r [GateReport],
    /// The timers that were set and are not over.
    timers: &'r [TimerReport],
    /// All that waits for a person, oldest first.
    incidents: &'r [StopReport],
    /// Events in the log.
    events: u64,
}

impl<'r> Changed<'r> {
    fn of(report: &'r Report) -> Self {
        Self {
            run: &report.run,
            status: report.status,
            at_work: report.at_work,
            phases: &report.phases,
            gates: &report.gates,
            timers: &report.timers,
            incidents: &report.incidents,
            events: report.events,
        }
    }
}

/// The state as lines, each of which says one thing: a new line is a change.
fn lines(report: &Report) -> String {
    let mut lines = vec![format!("run {}: {}", report.run, report.status.replace('_', " "))];
    let phases = report.phases.iter().filter(|phase| phase.status != "not_started");
    lines.extend(phases.map(|phase| format!("phase {}: {}", phase.name, phase.status)));
    let gates = report.gates.iter().filter(|gate| gate.verdict != "not_run" || gate.open);
    lines.extend(gates.map(|gate| {
        let verdict = gate.verdict.replace('_', " ");
        let by = gate.exception.as_ref().map(|it| format!(", open by exception {it}"));
        let (phase, name, by) = (&gate.phase, &gate.gate, by.unwrap_or_default());
        format!("gate {phase}/{name}: {verdict}{by}: {}", gate.reason)
    }));
    let timers = report.timers.iter();
    lines.extend(timers.map(|timer| format!("timer {}: due {}", timer.timer, timer.due)));
    let incidents = report.incidents.iter();
    lines.extend(incidents.map(|it| format!("waits for {}: {}", it.subject, it.reason)));
    lines.join("\n")
}
