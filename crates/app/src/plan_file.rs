//! A plan file, read and checked.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use carnet_model::Code;
use carnet_model::plan::Plan;

use crate::failure::Failure;
use crate::findings::Findings;

/// The longest plan that is read. A plan is written by hand; this is far beyond one.
const BYTES_MAX: u64 = 1 << 20;

/// A plan without errors, and where it came from.
pub(crate) struct PlanFile {
    /// The path as the person gave it.
    pub(crate) path: PathBuf,
    /// The plan.
    pub(crate) plan: Plan,
    /// What a person should know about it.
    pub(crate) warnings: Findings,
}

impl PlanFile {
    /// Reads and checks a plan; all that is wrong with it is one failure.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let text = read(path)?;
        let file = path.display().to_string();
        match Plan::open(&file, &text) {
            Ok((plan, warnings)) => {
                let warnings = Findings::new(&file, &text, warnings);
                Ok(Self { path: path.to_owned(), plan, warnings })
            }
            Err(rejected) => Err(Failure::new(rejected.code(), rejected.to_string())
                .changed("only the plan file was read; nothing was changed")
                .findings(Findings::new(&file, &text, rejected.diagnostics))),
        }
    }

    /// The folder at which the paths of the plan start.
    pub(crate) fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            Some(_) | None => Path::new("."),
        }
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    let failed = |error: std::io::Error| {
        Failure::from_error(&error, Code::PLAN_NOT_FOUND)
            .while_doing(format!("cannot read the plan {}", path.display()))
            .remedy("give the path of a plan; `carnet init knowledge` writes a new one")
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(Failure::new(Code::PLAN_SYNTAX, "the plan is larger than 1 MiB")
            .place(path.display().to_string())
            .remedy("give the path of a plan; this file is something else"));
    }
    String::from_utf8(bytes).map_err(|error| {
        Failure::from_error(&error.utf8_error(), Code::PLAN_SYNTAX)
            .while_doing("the plan is not UTF-8 text")
            .place(path.display().to_string())
            .remedy("save the file as UTF-8")
    })
}
