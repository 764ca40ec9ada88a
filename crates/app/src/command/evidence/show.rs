//! `carnet evidence show`.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use carnet_model::{Code, Exit};
use clap::{Args, ValueEnum};

use super::open;
use super::source::Source;
use super::told::Told;
use crate::command::Setting;
use crate::failure::Failure;
use crate::screen::Screen;

/// How often `--follow` looks for new events.
const LOOK: Duration = Duration::from_millis(250);
/// Text is written out in pieces of about this size.
const PIECE_BYTES: usize = 64 << 10;

/// List events, a line each, or explain one of them.
///
/// Nothing is changed, and a run that works is not disturbed. With --json each line is an event,
/// byte for byte as it is stored.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// A plan, a state folder, or an export; without one, the only log in the state folder.
    #[arg(value_name = "PLAN|EXPORT")]
    place: Option<PathBuf>,
    /// Explain this event.
    #[arg(value_name = "NUMBER")]
    event: Option<u64>,
    /// Only events of this type, or of a kind: `gate.verdict`, `gate`.
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Only events that ended so.
    #[arg(long, value_enum)]
    outcome: Option<OutcomeWord>,
    /// Only events of this phase, its steps and its gates.
    #[arg(long, value_name = "PHASE")]
    phase: Option<String>,
    /// Only events of this step or gate: `validate/count`, `count`.
    #[arg(long, value_name = "STEP")]
    step: Option<String>,
    /// Only events from this number on.
    #[arg(long, value_name = "N", default_value_t = 0)]
    from: u64,
    /// Only events up to this number.
    #[arg(long, value_name = "N")]
    to: Option<u64>,
    /// Only events of this run, by its id or the beginning of it.
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    /// Wait for new events until the run ends.
    #[arg(long)]
    follow: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum OutcomeWord {
    /// It was done, or found to be so.
    Accepted,
    /// It was refused.
    Refused,
    /// It was tried and went wrong.
    Failed,
}

impl OutcomeWord {
    const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

impl Show {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        // `show 12` means an event of the only log, unless there is a file of that name.
        let number = |path: &Path| path.to_str()?.parse().ok().filter(|_| !path.exists());
        let (place, event) = match (self.place.as_deref(), self.event) {
            (Some(path), None) => match number(path) {
                Some(event) => (None, Some(event)),
                None => (Some(path), None),
            },
            named => named,
        };
        let source = Source::open(setting, place)?;
        if let Some(event) = event {
            explain(&source, event, setting.screen)?;
            return Ok(Exit::Done);
        }
        let mut list = List::new(self, setting.screen.json);
        let range = self.from..self.to.map_or(u64::MAX, |to| to.saturating_add(1));
        if self.follow {
            list.follow(source, range)?;
        } else {
            list.add(&source, range)?;
        }
        if list.shown == 0 {
            setting.screen.say("no event is like that");
        }
        Ok(Exit::Done)
    }

    fn wants(&self, event: &Told) -> bool {
        let is_type = |wanted: &String| {
            let rest = event.text("event_type").strip_prefix(wanted.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let resource = event.text("resource_id");
        let (phase, step) = resource.split_once('/').unwrap_or((resource, resource));
        self.event_type.as_ref().is_none_or(is_type)
            && self.outcome.is_none_or(|outcome| event.text("outcome") == outcome.name())
            && self.phase.as_deref().is_none_or(|wanted| wanted == phase)
            && self.step.as_deref().is_none_or(|wanted| wanted == resource || wanted == step)
            && self
                .run
                .as_deref()
                .is_none_or(|run| !run.is_empty() && event.text("correlation_id").starts_with(run))
    }
}

/// A list of events as it grows.
struct List<'a> {
    show: &'a Show,
    json: bool,
    text: String,
    day: String,
    shown: u64,
}

impl<'a> List<'a> {
    fn new(show: &'a Show, json: bool) -> Self {
        Self { show, json, text: String::new(), day: String::new(), shown: 0 }
    }

    fn add(&mut self, source: &Source, range: Range<u64>) -> Result<(), Failure> {
        source.each(range, |bytes| self.take(bytes, &Told::read(bytes)))?;
        self.flush()
    }

    fn take(&mut self, bytes: &[u8], event: &Told) -> Result<(), Failure> {
        if !self.show.wants(event) {
            return Ok(());
        }
        self.shown += 1;
        if self.json {
            self.text.push_str(&String::from_utf8_lossy(bytes));
            self.text.push('\n');
        } else {
            if event.day() != self.day {
                event.day().clone_into(&mut self.day);
                self.text.push_str(&self.day);
                self.text.push('\n');
            }
            self.text.push_str(&event.lines());
        }
        if self.text.len() < PIECE_BYTES { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        if self.json {
            Screen::data(&self.text)?;
        } else {
            Screen::text(&self.text)?;
        }
        self.text.clear();
        Ok(())
    }

    /// Lists what is there and what a run appends, until it ends.
    fn follow(&mut self, source: Source, range: Range<u64>) -> Result<(), Failure> {
        let Source::Log { place, mut log } = source else {
            return Err(Failure::new(Code::USAGE, "an export does not grow")
                .remedy("leave out --follow, or name the plan"));
        };
        let (mut seen, mut running) = (0, false);
        loop {
            let size = log.size();
            // Also what is not listed tells whether the run has ended.
            Source::Log { place: place.clone(), log }.each(seen..range.end, |bytes| {
                let event = Told::read(bytes);
                running = match event.text("event_type") {
                    "process.start" | "process.resume" => true,
                    "process.end" => false,
                    _ => running,
                };
                let wanted = event.sequence().is_some_and(|number| range.contains(&number));
                if wanted { self.take(bytes, &event) } else { Ok(()) }
            })?;
            self.flush()?;
            seen = size;
            if !running || seen >= range.end {
                return Ok(());
            }
            std::thread::sleep(LOOK);
            log = Box::new(open(&place)?);
        }
    }
}

fn explain(source: &Source, number: u64, screen: &Screen) -> Result<(), Failure> {
    let mut found = None;
    source.each(number..number.saturating_add(1), |bytes| {
        found = Some(bytes.to_owned());
        Ok(())
    })?;
    let Some(stored) = found else {
        let last = source.size().map(|size| format!(", the last one is {}", size - 1));
        return Err(Failure::new(Code::USAGE, format!("there is no event {number} here"))
            .remedy(format!("events are numbered from 0{}", last.unwrap_or_default())));
    };
    if screen.json {
        return Screen::data(&format!("{}\n", String::from_utf8_lossy(&stored)));
    }
    let event = Told::read(&stored);
    let object = match event.pointer() {
        Some(pointer) => source.object(pointer)?,
        None => None,
    };
    Screen::text(&event.whole(&stored, source.size(), object.as_deref()))
}
