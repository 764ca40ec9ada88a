//! Where things are shown: stdout is data, stderr is talk.

use std::io::{ErrorKind, Write};

use anstyle::{AnsiColor, Style};
use carnet_model::Exit;
use serde::Serialize;

use crate::environment::Environment;
use crate::failure::Failure;
use crate::sheet::{Sheet, WIDTH, plain, wrap};

/// The two outputs of one command.
pub(crate) struct Screen {
    /// Whether data and failures are JSON.
    pub(crate) json: bool,
    /// The styles of stderr.
    pub(crate) talk: Styles,
    /// Whether progress may draw over itself.
    pub(crate) draws: bool,
}

/// Styles of one output: all plain where colour is off. A word always carries the meaning too.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Styles {
    pub(crate) colour: bool,
    pub(crate) error: Style,
    pub(crate) help: Style,
    pub(crate) quiet: Style,
}

impl Styles {
    const fn new(colour: bool) -> Self {
        if !colour {
            let plain = Style::new();
            return Self { colour, error: plain, help: plain, quiet: plain };
        }
        Self {
            colour,
            error: AnsiColor::Red.on_default().bold(),
            help: AnsiColor::Cyan.on_default().bold(),
            quiet: Style::new().bold(),
        }
    }
}

impl Screen {
    pub(crate) fn new(json: bool, environment: &Environment) -> Self {
        Self {
            json,
            talk: Styles::new(environment.colour && environment.stderr_terminal),
            draws: environment.stderr_terminal,
        }
    }

    /// Writes data to stdout. A reader that went away (`carnet … | head`) has seen enough: that is
    /// no failure, and the exit status stays what the work gives.
    pub(crate) fn data(text: &str) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                Err(Failure::io("writing to stdout", error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Writes one JSON document to stdout.
    pub(crate) fn document(document: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(document)
            .map_err(|error| Failure::from_error(&error, carnet_model::Code::BUG))?;
        Self::data(&format!("{text}\n"))
    }

    /// Writes a view: one document with `--json`, else its text.
    pub(crate) fn show<V: Serialize>(
        &self,
        view: &V,
        text: impl FnOnce(&V) -> String,
    ) -> Result<(), Failure> {
        if self.json { Self::document(view) } else { Self::text(&text(view)) }
    }

    /// Writes text for people to stdout.
    pub(crate) fn text(text: &str) -> Result<(), Failure> {
        Self::data(&plain(text))
    }

    /// A line of talk for people; nothing with `--json`.
    pub(crate) fn say(&self, text: &str) {
        self.say_styled(&plain(text));
    }

    /// The same of a text that has styles of ours.
    pub(crate) fn say_styled(&self, text: &str) {
        if !self.json {
            Self::to_stderr(&format!("{text}\n"));
        }
    }

    /// A line of talk, whatever the form of the data.
    pub(crate) fn talk_line(text: &str) {
        Self::to_stderr(&format!("{}\n", plain(text)));
    }

    /// Shows a failure and gives its exit status.
    pub(crate) fn fail(&self, failure: &Failure) -> Exit {
        let text = if self.json {
            serde_json::to_string(&failure.json()).unwrap_or_default()
        } else {
            self.failure_text(failure)
        };
        Self::to_stderr(&format!("{}\n", text.trim_end()));
        failure.code.exit()
    }

    /// Nobody can be told that stderr is gone.
    fn to_stderr(text: &str) {
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }

    fn failure_text(&self, failure: &Failure) -> String {
        if failure.framed {
            return plain(&failure.what).into_owned();
        }
        let mut sheet = Sheet::default();
        if let Some(findings) = &failure.findings {
            sheet.styled(findings.text(self.talk.colour));
        }
        let mut part = |style: Style, label: &str, text: &str| {
            let lines = wrap(&plain(text), WIDTH - label.len() - 2);
            let mut lines = lines.iter();
            let first = lines.next().map_or("", String::as_str);
            sheet.styled(format_args!("{style}{label}{style:#}: {first}"));
            for line in lines {
                sheet.line(format_args!("{:indent$}{line}", "", indent = label.len() + 2));
            }
        };
        let plain = Style::new();
        part(self.talk.error, "error", &failure.what);
        for cause in &failure.causes {
            part(plain, "  because", cause);
        }
        let parts = [("  where", &failure.place), ("  state", &failure.changed)];
        for (label, text) in parts {
            text.as_ref().into_iter().for_each(|text| part(plain, label, text));
        }
        if let Some(remedy) = &failure.remedy {
            part(self.talk.help, "help", remedy);
        }
        let code = failure.code.name();
        part(self.talk.quiet, "code", &format!("{code} (carnet explain {code})"));
        sheet.text()
    }
}
