//! `carnet note`.

use std::fmt::Write;
use std::path::PathBuf;

use carnet_engine::{NoteKind, NoteRow, kept_notes};
use carnet_model::{Code, Exit};
use clap::{Args, ValueEnum};
use schemars::JsonSchema;
use serde::Serialize;

use super::Setting;
use super::desk::{Desk, said};
use crate::failure::Failure;
use crate::plan_file::PlanFile;

/// The longest note: an event repeats no longer text.
const BYTES_MAX: usize = 4_000;

/// Keep a decision or an action in the evidence of a run, or write out all that were kept.
#[derive(Debug, Args)]
pub(crate) struct Note {
    /// The plan file.
    plan: PathBuf,
    /// What was decided or done, in at most 4,000 bytes.
    #[arg(long, required_unless_present = "markdown", conflicts_with = "markdown")]
    text: Option<String>,
    /// What it is about.
    #[arg(long, value_enum, default_value_t = About::Decision)]
    kind: About,
    /// Who says so; your login name if nothing is said.
    #[arg(long, value_name = "NAME", value_parser = said)]
    by: Option<String>,
    /// Write all notes out as a log in Markdown, under the day.
    #[arg(long)]
    markdown: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum About {
    /// What was decided, and why.
    Decision,
    /// What was done.
    Action,
    /// What was cleaned up before something that failed is done again.
    Reset,
}

/// A note that was kept.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "NoteKept")]
pub(super) struct Kept<'a> {
    /// `decision`, `action` or `reset`.
    kind: &'static str,
    /// Who says so.
    by: &'a str,
    /// What.
    text: &'a str,
}

impl Note {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let Some(text) = self.text.as_deref().filter(|_| !self.markdown) else {
            let file = PlanFile::open(&self.plan)?;
            let notes = kept_notes(setting.log_of(&setting.state_of(&file.plan))?)
                .map_err(|error| Failure::engine(&error))?;
            let name = file.plan.document().migration.to_string();
            setting.screen.show(&notes, |notes| markdown(&name, notes))?;
            return Ok(Exit::Done);
        };
        if text.trim().is_empty() || text.len() > BYTES_MAX {
            let what = format!("a note has 1 to {BYTES_MAX} bytes, and this one {}", text.len());
            return Err(Failure::new(Code::USAGE, what).remedy("split it, or name a file in it"));
        }
        let desk = Desk::open(setting, &self.plan)?;
        let by = self.by.as_deref().unwrap_or(desk.user);
        let kind = match self.kind {
            About::Decision => NoteKind::Decision,
            About::Action => NoteKind::Action,
            About::Reset => NoteKind::Reset,
        };
        let done = desk.engine.note(&desk.request()?, kind, by, text);
        done.map_err(|error| Failure::engine(&error))?;
        let view = Kept { kind: kind.name(), by, text };
        setting.screen.show(&view, |view| format!("{} kept, by {}\n", view.kind, view.by))?;
        Ok(Exit::Done)
    }
}

/// A heading for each day, and an entry for each note. A text cannot end its entry or begin a heading:
/// its lines are quoted.
fn markdown(name: &str, notes: &[NoteRow]) -> String {
    let mut text = format!("# Notes of {name}\n");
    let mut day = "";
    for note in notes {
        let (date, time) = note.at.split_once('T').unwrap_or((&note.at, ""));
        if date != day {
            day = date;
            // Writing to a string cannot fail.
            let _ = write!(text, "\n## {date}\n");
        }
        let time = time.get(..8).unwrap_or(time);
        let by = plain(&note.by);
        let _ = write!(
            text,
            "\n### {time} {} in {} by {by} (event {})\n\n",
            note.kind, note.phase, note.event
        );
        for line in note.text.lines() {
            let _ = writeln!(text, "{}", format!("> {line}").trim_end());
        }
    }
    text
}

/// A name on one line.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_stand_under_their_day_and_cannot_pass_for_another() {
        let note = |at: &str, text: &str| NoteRow {
            event: 7,
            at: at.to_owned(),
            phase: "package".to_owned(),
            kind: "action",
            by: "me\n# x".to_owned(),
            text: text.to_owned(),
        };
        let notes = [
            note("2026-02-13T10:00:00.000000Z", "built\n## 2026-02-14"),
            note("2026-02-14T11:00:00.000000Z", "done"),
        ];
        let text = markdown("m", &notes);
        let headings: Vec<_> = text.lines().filter(|line| line.starts_with('#')).collect();
        let entry = |time: &str| format!("### {time} action in package by me # x (event 7)");
        assert_eq!(
            headings,
            [
                "# Notes of m",
                "## 2026-02-13",
                &entry("10:00:00"),
                "## 2026-02-14",
                &entry("11:00:00")
            ]
        );
        assert!(text.contains("\n> built\n> ## 2026-02-14\n"));
    }
}
