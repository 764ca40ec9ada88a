//! `carnet explain`.

use carnet_model::{Code, Exit};
use clap::Args;
use serde::Serialize;

use super::Setting;
use crate::failure::Failure;
use crate::pages;
use crate::screen::Screen;
use crate::sheet::Sheet;

/// Explain an error code: what it means, how it comes about, what to do.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The code, such as import.conflict; without one, all codes are listed.
    code: Option<String>,
}

#[derive(Serialize)]
struct Entry {
    code: &'static str,
    exit: u8,
    title: &'static str,
}

#[derive(Serialize)]
struct Page {
    #[serde(flatten)]
    entry: Entry,
    page: &'static str,
}

impl Explain {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        match &self.code {
            None => list(setting.screen)?,
            Some(name) => {
                let code = Code::parse(name).ok_or_else(|| unknown(name))?;
                let page = pages::page(code.name()).unwrap_or_default();
                setting.screen.show(&Page { entry: entry(code), page }, |_| plain(page))?;
            }
        }
        Ok(Exit::Done)
    }
}

fn list(screen: &Screen) -> Result<(), Failure> {
    let entries: Vec<_> = Code::ALL.iter().copied().map(entry).collect();
    screen.show(&entries, |entries| {
        let mut sheet = Sheet::default();
        sheet.line("code                    exit  what it means");
        for Entry { code, exit, title } in entries {
            sheet.line(format_args!("{code:<24}{exit:<6}{title}"));
        }
        sheet.text()
    })
}

fn entry(code: Code) -> Entry {
    let exit = code.exit() as u8;
    let line = pages::page(code.name()).and_then(|page| page.lines().nth(2)).unwrap_or_default();
    let title = line.split_once(". Exit status ").map_or(line, |(title, _)| title);
    Entry { code: code.name(), exit, title }
}

/// The page without the marks of Markdown headings.
fn plain(page: &str) -> String {
    let line = |line: &str| format!("{}\n", line.trim_start_matches('#').trim_start());
    page.lines()
        .map(|text| if text.starts_with('#') { line(text) } else { format!("{text}\n") })
        .collect()
}

fn unknown(name: &str) -> Failure {
    let near = Code::ALL.iter().find(|code| {
        let (_, last) = code.name().rsplit_once('.').unwrap_or(("", code.name()));
        name.contains(last) || code.name().starts_with(name)
    });
    let failure = Failure::new(Code::USAGE, format!("there is no code {name:?}"));
    match near {
        Some(code) => {
            failure.remedy(format!("try `carnet explain {code}`, or list all: `carnet explain`"))
        }
        None => failure.remedy("list all codes: `carnet explain`"),
    }
}
