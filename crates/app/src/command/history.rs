//! `carnet history`.

use std::path::PathBuf;

use carnet_engine::LogReader;
use carnet_model::{Code, Exit};
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use super::Setting;
use super::evidence::Told;
use crate::failure::Failure;
use crate::plan_file::PlanFile;
use crate::sheet::{Sheet, WIDTH, wrap};

/// Show what happened in all runs of a plan: when, what, how it ended, and by whom.
///
/// `carnet evidence show` lists every event; here are those that moved a run.
#[derive(Debug, Args)]
pub(crate) struct History {
    /// The plan file.
    plan: PathBuf,
    /// Only this run, by its id or the beginning of it.
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    /// Only the last run.
    #[arg(long, conflicts_with = "run")]
    last: bool,
    /// Only what is about this phase, step or gate: `validate`, `validate/count`.
    #[arg(long, value_name = "NODE")]
    about: Option<String>,
    /// Only what was refused or went wrong.
    #[arg(long)]
    trouble: bool,
    /// Only what people decided: approvals, incidents, messages, rollbacks.
    #[arg(long)]
    people: bool,
}

/// One thing that happened.
#[derive(Serialize, JsonSchema)]
pub(super) struct Entry {
    /// The number of its event: `carnet evidence show PLAN NUMBER` has all of it.
    event: u64,
    /// When.
    at: String,
    /// The run.
    run: String,
    /// What happened, in words.
    what: String,
    /// `accepted`, `refused` or `failed`.
    outcome: String,
    /// Who did or decided it.
    by: String,
    /// The phase, step or gate that it is about.
    about: Option<String>,
    /// Why, where something was refused, went wrong or was decided.
    reason: Option<String>,
    /// Of a gate that did not pass: the exception of the plan that opens it.
    #[serde(skip_serializing_if = "Option::is_none")]
    exception: Option<String>,
    #[serde(skip)]
    fact: String,
}

/// What only people do.
const OF_PEOPLE: [&str; 9] = [
    "approve",
    "withdraw",
    "receive",
    "retry",
    "settle_by_hand",
    "rollback",
    "block",
    "unblock",
    "note",
];

impl History {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let file = PlanFile::open(&self.plan)?;
        let state = setting.state_of(&file.plan);
        let log =
            LogReader::open(setting.log_of(&state)?).map_err(carnet_engine::EngineError::from);
        let log = log.map_err(|error| Failure::engine(&error))?.filter(|log| log.size() > 0);
        let Some(log) = log else {
            let what = format!("there is no run in {}", state.display());
            return Err(Failure::new(Code::RUN_NOT_FOUND, what)
                .remedy("give the folder that the run used: --state DIR"));
        };
        let mut all = Vec::new();
        log.each_event::<carnet_engine::JournalError>(0..log.size(), |sequence, bytes| {
            all.extend(entry(sequence, &Told::read(bytes)));
            Ok(())
        })
        .map_err(|error| Failure::engine(&error.into()))?;
        let last = all.last().map(|entry| entry.run.clone()).unwrap_or_default();
        all.retain(|entry| self.wants(entry, &last));
        setting.screen.show(&all, |all| lines(all))?;
        if all.is_empty() {
            setting.screen.say("nothing is like that");
        }
        Ok(Exit::Done)
    }

    fn wants(&self, entry: &Entry, last: &str) -> bool {
        let about = entry.about.as_deref().unwrap_or_default();
        let is_about = |wanted: &String| {
            let rest = about.strip_prefix(wanted.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.run.as_ref().is_none_or(|run| !run.is_empty() && entry.run.starts_with(run))
            && (!self.last || entry.run == last)
            && self.about.as_ref().is_none_or(is_about)
            && (!self.trouble || entry.outcome != "accepted" || entry.exception.is_some())
            && (!self.people || OF_PEOPLE.contains(&entry.fact.as_str()))
    }
}

/// What an event tells people; `None` of one that moves no run, such as a report beside it.
fn entry(event: u64, told: &Told) -> Option<Entry> {
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let fact = told.context("fact");
    let refused = told.text("event_type").ends_with(".refusal") && fact.is_empty();
    // What a gate that closes leads to stands in the facts.
    if fact.is_empty() && !(refused && told.text("action") != "leave_phase") || fact == "part" {
        return None;
    }
    let mut by = told.text("actor").to_owned();
    for name in ["approver", "by"] {
        let named = told.context(name);
        if !named.is_empty() {
            by = named;
        }
    }
    let reason = some(told.text("refusal_reason")).or_else(|| some(&told.context("reason")));
    let reason = reason.or_else(|| some(&told.context("text")));
    let exception = some(&told.context("exception"));
    Some(Entry {
        event,
        at: told.text("occurred_at").to_owned(),
        run: told.text("correlation_id").to_owned(),
        what: if refused { format!("refused: {}", told.text("action")) } else { told.words() },
        outcome: told.text("outcome").to_owned(),
        by,
        about: some(told.text("resource_id")),
        reason,
        exception,
        fact,
    })
}

/// A line each, under the day; what was refused or decided says why below.
fn lines(all: &[Entry]) -> String {
    let mut sheet = Sheet::default();
    let mut day = "";
    for entry in all {
        let (date, time) = entry.at.split_once('T').unwrap_or((&entry.at, ""));
        if date != day {
            day = date;
            sheet.line(day);
        }
        let time = time.get(..8).unwrap_or(time);
        let mark = match entry.outcome.as_str() {
            "accepted" if entry.exception.is_some() => "!",
            "accepted" => " ",
            "refused" => "!",
            _ => "x",
        };
        let room = WIDTH - 32;
        let what = wrap(&entry.what, room);
        let mut what = what.iter();
        let by: String = entry.by.chars().take(17).collect();
        let first = what.next().map_or("", String::as_str);
        sheet.line(format!("  {time} {mark} {first:<room$} {by}").trim_end());
        for line in what {
            sheet.line(format_args!("{:15}{line}", ""));
        }
        let decided = OF_PEOPLE.contains(&entry.fact.as_str());
        let told = decided || entry.outcome != "accepted" || entry.exception.is_some();
        let reason = entry.reason.clone().filter(|_| told);
        let exception = entry.exception.as_ref().map(|it| format!("exception {it}"));
        for line in reason.iter().chain(&exception).flat_map(|text| wrap(text, WIDTH - 15)) {
            sheet.line(format_args!("{:15}{line}", ""));
        }
    }
    sheet.text()
}
