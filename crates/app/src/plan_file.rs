//! A plan file, read and checked.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use carnet_engine::absent;
use carnet_ledger::Digest;
use carnet_model::Code;
use carnet_model::plan::{Around, BYTES_MAX, Plan};

use crate::command::Setting;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::findings::Findings;

/// The longest file that a plan may refer to: a list of keys, a script. Data is not named this way.
const FILE_BYTES_MAX: u64 = 64 << 20;

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
    /// Reads and checks a plan and the files that it refers to; all that is wrong with it is one
    /// failure.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        Self::open_at(path, None)
    }

    /// The same, and exceptions must not have expired by now: for who is about to begin.
    pub(crate) fn open_now(path: &Path) -> Result<Self, Failure> {
        Self::open_at(path, Some(Environment::now().div_euclid(1_000_000)))
    }

    /// The same for a run that may be on its way: the plan is read although a file is not there that
    /// the run is pinned to, so that the run can say so.
    pub(crate) fn open_of_run(setting: &Setting<'_>, path: &Path) -> Result<Self, Failure> {
        let failure = match Self::open(path) {
            Ok(file) => return Ok(file),
            Err(failure) => failure,
        };
        let there = |path: &Path| if path.is_file() { digest(path) } else { Ok(absent()) };
        let Ok(file) = Self::read_with(path, None, &there) else { return Err(failure) };
        let engine = setting.engine(setting.state_of(&file.plan))?;
        if engine.lacks_pinned(&file.plan).unwrap_or(false) { Ok(file) } else { Err(failure) }
    }

    fn open_at(path: &Path, now_s: Option<i64>) -> Result<Self, Failure> {
        Self::read_with(path, now_s, &digest)
    }

    fn read_with(
        path: &Path,
        now_s: Option<i64>,
        digest: &dyn Fn(&Path) -> Result<Digest, String>,
    ) -> Result<Self, Failure> {
        let text = read(path)?;
        let file = path.display().to_string();
        let folder = folder_of(path);
        let digest = |path: &str| digest(&folder.join(path));
        match Plan::open_with(&file, &text, &Around { now_s, file: &digest }) {
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
        folder_of(&self.path)
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    }
}

/// The SHA-256 of a file that a plan refers to.
fn digest(path: &Path) -> Result<Digest, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    let about = file.metadata().map_err(|error| error.to_string())?;
    if !about.is_file() {
        return Err("it is no file".to_owned());
    }
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err("it is larger than 64 MiB".to_owned());
    }
    Ok(Digest::of(&bytes))
}

fn read(path: &Path) -> Result<String, Failure> {
    let failed = |error: std::io::Error| {
        Failure::from_error(&error, Code::PLAN_NOT_FOUND)
            .while_doing(format!("cannot read the plan {}", path.display()))
            .remedy("give the path of a plan; `carnet init knowledge` writes a new one")
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > BYTES_MAX {
        return Err(Failure::new(Code::PLAN_SYNTAX, "the plan is larger than 4 MiB")
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
