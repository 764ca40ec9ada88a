//! `carnet repin`.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use carnet_engine::AMENDMENT;
use carnet_ledger::Digest;
use carnet_model::plan::Assurance;
use carnet_model::{Code, Exit};
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use super::Setting;
use super::desk::Desk;
use crate::cli::STATE;
use crate::failure::Failure;
use crate::sheet::Sheet;

/// Write the plan that pins a programme to its files as they are now.
///
/// The new plan amends the one that the run is under. It counts once the amendment is approved:
/// `carnet approve NEW amendment`, then `carnet run NEW`.
#[derive(Debug, Args)]
pub(crate) struct Repin {
    /// The plan file of the run.
    plan: PathBuf,
    /// The file to write, in the folder of the plan.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// The plan that was written.
#[derive(Serialize, JsonSchema)]
pub(super) struct Repinned {
    /// Its file.
    plan: String,
    /// The digest of the plan that it amends.
    #[schemars(with = "String")]
    amends: Digest,
    /// Its digest.
    #[schemars(with = "String")]
    plan_digest: Digest,
}

impl Repin {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let desk = Desk::open(setting, &self.plan)?;
        if desk.file.plan.programme().is_none() {
            let what = "the plan is no programme: it pins no files";
            return Err(Failure::new(Code::RUN_NOT_NOW, what));
        }
        if self.out.parent().unwrap_or(Path::new("")) != self.plan.parent().unwrap_or(Path::new(""))
        {
            let what = "the new plan must stand beside the old one: its paths start there";
            return Err(Failure::new(Code::USAGE, what).remedy("give another --out"));
        }
        let amends = desk.engine.plan_of_run().map_err(|error| Failure::engine(&error))?;
        if amends == desk.file.plan.digest() {
            let what = "the run is pinned to these very files";
            return Err(
                Failure::new(Code::RUN_NOT_NOW, what).remedy("go on with `carnet run PLAN`")
            );
        }
        can_be_pinned(&desk)?;
        let text = std::fs::read_to_string(&self.plan)
            .map_err(|error| Failure::io(format!("cannot read {}", self.plan.display()), error))?;
        write_new(&self.out, &amended(&text, amends))?;
        let desk = Desk::open(setting, &self.out)?;
        let view = Repinned {
            plan: self.out.display().to_string(),
            amends,
            plan_digest: desk.file.plan.digest(),
        };
        let authority = desk.engine.authority(&desk.request()?, AMENDMENT);
        let rule = authority.map_err(|error| Failure::engine(&error))?.rule;
        let state = &setting.global.state;
        let state = if state == Path::new(STATE) {
            String::new()
        } else {
            format!(" --state {}", word(&state.display().to_string()))
        };
        setting.screen.show(&view, |view| {
            let mut sheet = Sheet::default();
            sheet.line(format_args!("wrote {} (digest {})", view.plan, view.plan_digest));
            let (plan, mut label) = (word(&view.plan), "next");
            for who in rule.any_of.iter().take(rule.count as usize) {
                let by = match rule.assurance {
                    Assurance::Named => format!("--as {}", word(who)),
                    Assurance::Signed => format!("--as {} --key ssh:FILE", word(who)),
                };
                sheet.line(format_args!("{label:<12}carnet approve {plan} amendment {by}{state}"));
                label = "";
            }
            sheet.line(format_args!("{:<12}carnet run {plan}{state}", ""));
            sheet.text()
        })?;
        Ok(Exit::Done)
    }
}

/// Refuses what no approval could let a run go on with: it is pinned to its configuration for good,
/// and a file that is not there has no digest.
fn can_be_pinned(desk: &Desk<'_>) -> Result<(), Failure> {
    let drifted = desk.engine.drifted(&desk.file.plan).map_err(|error| Failure::engine(&error))?;
    if let Some(it) = drifted.iter().find(|it| it.is_config) {
        let what = format!("{} is the configuration that the run is pinned to", it.path);
        return Err(Failure::new(Code::PROGRAMME_PINNED, what).remedy(
            "put the file back as it was; a changed configuration needs a new platform_run_id and a \
             new run",
        ));
    }
    if let Some(it) = drifted.iter().find(|it| !it.is_there) {
        let what = format!("{} is not there", it.path);
        return Err(Failure::new(Code::PROGRAMME_DRIFT, what).remedy(
            "put the file back, or write a plan that amends that of the run and does not name it",
        ));
    }
    Ok(())
}

/// A word as a shell takes it for one.
fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "_-./:@%+=,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// The text of the plan with the digest of what it amends. A plan that was read has no other key at the
/// start of a line with this name.
fn amended(text: &str, amends: Digest) -> String {
    let line = format!("amends: sha256:{amends}");
    let is_key = |line: &str| line.starts_with("amends:");
    if text.lines().any(is_key) {
        let lines = text.lines().map(|it| if is_key(it) { line.as_str() } else { it });
        return lines.collect::<Vec<_>>().join("\n") + "\n";
    }
    format!("{}\n{line}\n", text.trim_end())
}

fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let written = OpenOptions::new().write(true).create_new(true).open(path);
    let written = written.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| {
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            return Failure::new(Code::FILE_EXISTS, format!("{} exists", path.display()))
                .remedy("give another --out");
        }
        Failure::io(format!("cannot write {}", path.display()), error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_one_word_for_a_shell() {
        assert_eq!(word("plans/r1.yaml"), "plans/r1.yaml");
        assert_eq!(word("a place"), "'a place'");
        assert_eq!(word("it's"), r"'it'\''s'");
        assert_eq!(word(""), "''");
    }

    #[test]
    fn one_line_names_what_is_amended() {
        let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
        let first = amended("carnet: v1\nphases: []\n", one);
        assert_eq!(first, format!("carnet: v1\nphases: []\namends: sha256:{one}\n"));
        assert_eq!(amended(&first, two), first.replace(&one.to_string(), &two.to_string()));
    }
}
