//! `carnet evidence project`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use carnet_ledger::projection::{Envelope, STATEMENT_PAYLOAD_TYPE, cloud_event, statement_of};
use carnet_ledger::{Event, SigningKey};
use carnet_model::{Code, Exit};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::source::Source;
use crate::amount;
use crate::command::Setting;
use crate::failure::Failure;
use crate::plan_file::PlanFile;
use crate::screen::Screen;
use crate::sheet::Sheet;
use crate::signer::signer;

/// Write events in a form that other systems read, one JSON document a line.
///
/// in-toto: a signed statement (DSSE) for each verdict of a gate, each import, validation and
/// refusal, failed ones too. cloudevents: every event, unsigned. Neither takes the place of the
/// evidence: each line names the event that it was made from. Nothing is changed.
#[derive(Debug, Args)]
pub(crate) struct Project {
    /// The plan, a state folder, or an export; without one, the only log in the state folder.
    #[arg(value_name = "PLAN|DIR|ARCHIVE")]
    place: Option<PathBuf>,
    /// The form.
    #[arg(long, value_enum)]
    to: Form,
    /// Write into this file, which must not be there yet [default: stdout].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Sign statements with this private key instead of the one that the plan names.
    #[arg(long, value_name = "KEY")]
    signer: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// in-toto statements in DSSE envelopes.
    InToto,
    /// CloudEvents 1.0.
    Cloudevents,
}

#[derive(Serialize)]
struct View {
    file: String,
    lines: u64,
    events: u64,
    key_id: Option<String>,
}

impl Project {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let key = self.key()?;
        let source = Source::open(setting, self.place.as_deref())?;
        let Some(path) = &self.out else {
            write(&source, key.as_deref(), &mut |line| Screen::data(&line))?;
            return Ok(Exit::Done);
        };
        let mut file = NewFile::make(path)?;
        let counts = write(&source, key.as_deref(), &mut |line| file.line(&line))?;
        file.finish()?;
        let view = View {
            file: path.display().to_string(),
            lines: counts.lines,
            events: counts.events,
            key_id: key.map(|key| key.verifying_key().key_id()),
        };
        setting.screen.show(&view, text)?;
        Ok(Exit::Done)
    }

    /// The key that signs statements. Cloud events have no place for a signature.
    fn key(&self) -> Result<Option<Arc<SigningKey>>, Failure> {
        if self.to == Form::Cloudevents {
            return match self.signer {
                None => Ok(None),
                Some(_) => Err(Failure::new(Code::USAGE, "cloud events are not signed")
                    .remedy("leave --signer out; what is signed is the log that they name")),
            };
        }
        let plan = self.place.as_deref().filter(|path| path.is_file());
        let plan = plan.and_then(|path| PlanFile::open(path).ok());
        let key = signer(self.signer.as_deref(), plan.as_ref())?;
        let none = || {
            Failure::new(Code::USAGE, "a statement is signed, and there is no key")
                .remedy("name the log's private key: --signer KEY, or evidence.signer in the plan")
        };
        key.ok_or_else(none).map(Some)
    }
}

/// Writes a line for each event that has one.
fn write(
    source: &Source,
    key: Option<&SigningKey>,
    take: &mut dyn FnMut(String) -> Result<(), Failure>,
) -> Result<Counts, Failure> {
    let mut counts = Counts::default();
    source.each(0..u64::MAX, |stored| {
        let event = Event::parse(stored).map_err(|error| {
            let what = format!("event {} cannot be read", counts.events);
            Failure::from_error(&error, Code::EVIDENCE_DAMAGED).while_doing(what)
        })?;
        counts.events += 1;
        let line = match key {
            Some(key) => statement_of(&event).map(|statement| {
                let payload = statement.into_bytes();
                Envelope::sign(STATEMENT_PAYLOAD_TYPE, payload, key).to_string()
            }),
            // An event that was read is UTF-8.
            None => Some(cloud_event(&event, &String::from_utf8_lossy(stored))),
        };
        let Some(line) = line else { return Ok(()) };
        counts.lines += 1;
        take(format!("{line}\n"))
    })?;
    Ok(counts)
}

#[derive(Default)]
struct Counts {
    events: u64,
    lines: u64,
}

/// A file that must not be there yet, and is gone again if its content does not become whole.
struct NewFile<'p> {
    path: &'p Path,
    file: BufWriter<File>,
    whole: bool,
}

impl<'p> NewFile<'p> {
    fn make(path: &'p Path) -> Result<Self, Failure> {
        let file = File::options().write(true).create_new(true).open(path).map_err(|error| {
            if error.kind() == std::io::ErrorKind::AlreadyExists {
                Failure::new(Code::EVIDENCE_EXISTS, format!("{} exists", path.display()))
                    .remedy("choose another file with --out: evidence is never written over")
            } else {
                Failure::io(format!("cannot make {}", path.display()), error)
            }
        })?;
        Ok(Self { path, file: BufWriter::new(file), whole: false })
    }

    fn line(&mut self, line: &str) -> Result<(), Failure> {
        let path = self.path;
        let failed = |error| Failure::io(format!("cannot write {}", path.display()), error);
        self.file.write_all(line.as_bytes()).map_err(failed)
    }

    fn finish(mut self) -> Result<(), Failure> {
        let path = self.path;
        let failed = |error| Failure::io(format!("cannot write {}", path.display()), error);
        self.file.flush().and_then(|()| self.file.get_ref().sync_all()).map_err(failed)?;
        self.whole = true;
        Ok(())
    }
}

impl Drop for NewFile<'_> {
    fn drop(&mut self) {
        if !self.whole {
            // The failure that is reported is the one that cut the work off.
            let _ = std::fs::remove_file(self.path);
        }
    }
}

fn text(view: &View) -> String {
    let mut sheet = Sheet::default();
    let lines = amount::counted(view.lines, "line", "lines");
    let events = amount::counted(view.events, "event", "events");
    sheet.line(format_args!("{}: {lines} from {events}", view.file));
    if let Some(key_id) = &view.key_id {
        sheet.field("  signed by", 11, key_id);
    }
    sheet.text()
}
