//! Parts that the views of runs and of copies share.

use carnet_engine::{CollectionReport, GateReport, Report};
use carnet_model::{Code, Exit};

use crate::amount;
use crate::failure::Failure;
use crate::sheet::Sheet;

/// Why a run or a copy did not come to its end. `what` is what it is called.
pub(super) fn stopped(report: &Report, what: &str) -> Failure {
    let Some(stop) = report.waits_for.as_ref().or(report.stop.as_ref()) else {
        return Failure::new(Code::BUG, format!("the {what} ended without a reason"));
    };
    let waits = report.waits_for.is_some();
    let why = report.code().unwrap_or(Code::BUG);
    // Taking back may want what the work itself wanted: room, or a system that answers.
    let for_a_system = report.stop.is_some() && why.exit() == Exit::Unreachable;
    let (code, how) = match (waits, for_a_system) {
        (true, true) => (why, "waits on its way back at"),
        (true, false) if why == Code::APPROVAL_MISSING => (why, "waits for the approval at"),
        (true, false) if is_of_programme(why) => (why, "waits at"),
        (true, false) if is_of_gate(why) => (Code::GATE_WAITS, "waits at the gate"),
        (true, false) => (Code::RUN_UNKNOWN, "waits at"),
        (false, _) => (why, "stopped at"),
    };
    let failure = Failure::new(code, format!("the {what} {how} {}", stop.subject))
        .because(&stop.reason)
        .changed(changed(report, what));
    // What turned it back, where the way back is what waits.
    let failure = match &report.stop {
        Some(first) if waits => failure.because(format!("turned back because: {}", first.reason)),
        Some(_) | None => failure,
    };
    let others = "`carnet incident list PLAN` shows what else can be done";
    match (stop.remedy.as_str(), waits && report.stop.is_some()) {
        ("", false) => failure,
        ("", true) => failure.remedy(others),
        (remedy, false) => failure.remedy(remedy),
        (remedy, true) => failure.remedy(format!("{remedy}; {others}")),
    }
}

fn is_of_gate(code: Code) -> bool {
    [Code::GATE_CLOSED, Code::GATE_BROKEN].contains(&code)
}

fn is_of_programme(code: Code) -> bool {
    [Code::PROGRAMME_BLOCKED, Code::PROGRAMME_DRIFT].contains(&code)
}

/// Whether what a run did that waits for this is certain.
fn is_certain(code: Code) -> bool {
    code == Code::APPROVAL_MISSING || is_of_gate(code) || is_of_programme(code)
}

/// What was and what was not changed, in words.
fn changed(report: &Report, what: &str) -> String {
    if report.dry_run {
        return "nothing was changed: it was a dry run".to_owned();
    }
    let standing = if report.waits_for.is_some() && report.stop.is_some() {
        "not all that was done could be undone yet; the same command goes on with that".to_owned()
    } else if report.waits_for.is_some() && report.code().is_some_and(is_certain) {
        "nothing is in doubt: what the run did stands, and nothing was undone".to_owned()
    } else if report.waits_for.is_some() {
        "nobody knows whether this took effect; nothing further was done or undone".to_owned()
    } else if report.standing.is_empty() {
        match what {
            "run" => "what the run did was undone; the source and the switch are as they were",
            _ => "what was written was taken back; the source is as it was",
        }
        .to_owned()
    } else {
        format!("these steps still stand: {}", report.standing.join(", "))
    };
    if report.left_behind.is_empty() {
        return standing;
    }
    format!("{standing}; left behind: {}", report.left_behind.join(", "))
}

/// Each collection with its root before and after.
pub(super) fn write_collections(sheet: &mut Sheet, all: &[CollectionReport], label: usize) {
    for one in all {
        let what = format!(
            "{}: {}, {} dimensions",
            one.name,
            amount::counted(one.records, "record", "records"),
            one.dimensions
        );
        sheet.field("collection", label, &what);
        sheet.field("  before", label, &one.root_source.to_string());
        let Some(after) = one.root_target else { continue };
        sheet.field("  after", label, &after.to_string());
        let read = one.records_target.unwrap_or_default();
        let read = amount::counted(read, "record", "records");
        let equal = if after == one.root_source {
            "equal, bit for bit"
        } else {
            "with what the target had"
        };
        sheet.field("", label, &format!("{equal}: {read} read back from the target"));
    }
}

/// The verdict of a gate, and what it said to damaged copies.
pub(super) fn said(gate: &GateReport) -> String {
    let by = if gate.exception.is_some() { "; open by exception" } else { "" };
    let verdict = format!("{}{by}", gate.verdict.replace('_', " "));
    if gate.damaged == 0 {
        return verdict;
    }
    let copies = if gate.damaged == 1 { "damaged copy" } else { "damaged copies" };
    format!("{verdict}; {} of {} {copies} refused", gate.refused, gate.damaged)
}
