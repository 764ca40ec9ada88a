//! `carnet repin`.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use carnet_ledger::Digest;
use carnet_model::{Code, Exit};
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use super::Setting;
use super::desk::Desk;
use crate::failure::Failure;
use crate::plan_file::PlanFile;

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
        let text = std::fs::read_to_string(&self.plan)
            .map_err(|error| Failure::io(format!("cannot read {}", self.plan.display()), error))?;
        write_new(&self.out, &amended(&text, amends))?;
        let new = PlanFile::open(&self.out)?;
        let view = Repinned {
            plan: self.out.display().to_string(),
            amends,
            plan_digest: new.plan.digest(),
        };
        setting.screen.show(&view, |view| {
            format!(
                "wrote {} (digest {})\nnext        carnet plan {} --amends {}\n            carnet approve {} \
                 amendment\n            carnet run {}\n",
                view.plan,
                view.plan_digest,
                view.plan,
                self.plan.display(),
                view.plan,
                view.plan
            )
        })?;
        Ok(Exit::Done)
    }
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
    fn one_line_names_what_is_amended() {
        let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
        let first = amended("carnet: v1\nphases: []\n", one);
        assert_eq!(first, format!("carnet: v1\nphases: []\namends: sha256:{one}\n"));
        assert_eq!(amended(&first, two), first.replace(&one.to_string(), &two.to_string()));
    }
}
