//! `carnet cap run`: one capability, used by hand, by the same engine and with the same evidence as in
//! a plan.

use std::path::{Path, PathBuf};
use std::time::Duration;

use carnet_connect::{StoreError, VectorRepository};
use carnet_connectors::OpenOptions;
use carnet_engine::{CapabilityReceipt, Report, RunRequest, StoreOpener, StoreRequest, status};
use carnet_ledger::Digest;
use carnet_model::capability::{Descriptor, Safety, UndoKind, step_of};
use carnet_model::plan::Plan;
use carnet_model::{Code, Exit, InputError};
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{named, safety};
use crate::command::Setting;
use crate::failure::Failure;
use crate::sheet::Sheet;
use crate::stores::open_for_engine;
use crate::world::World;

/// The largest file with inputs.
const INPUTS_BYTES_MAX: u64 = 16 << 20;

/// Use one capability by hand.
///
/// It runs as a plan of one step: the intent is recorded before anything is changed, and the outcome
/// with a receipt after it. Each use has a state directory of its own below --state; one that was
/// cut off is gone on with by the same command. Relative paths start where you are.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Such as file.copy.
    name: String,
    /// Read the inputs from this JSON file.
    #[arg(long, value_name = "FILE.json")]
    with: Option<PathBuf>,
    /// Set one input: JSON, or text as it is. May be given again, and stands above --with.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Look, show what would be done, and change nothing.
    #[arg(long = "dry-run", conflicts_with = "execute")]
    shows_only: bool,
    /// Do it. Without this, what changes something is refused.
    #[arg(long)]
    execute: bool,
    /// Also write the receipt as Markdown.
    #[arg(long, value_name = "FILE.md")]
    receipt: Option<PathBuf>,
}

/// What became of a use.
#[derive(Serialize, JsonSchema)]
#[schemars(title = "carnet cap run NAME --json")]
pub(in crate::command) struct View {
    /// The capability.
    capability: &'static str,
    /// Whether it only looked.
    dry_run: bool,
    /// `done`, or how else it ended.
    status: String,
    /// Why not, where it did not go well.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What is left of what was taken back.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_behind: Vec<String>,
    /// The receipt of each use.
    receipts: Vec<CapabilityReceipt>,
    /// Where the evidence is; absent of a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<PathBuf>,
}

impl Run {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let one = named(&self.name)?;
        if step_of(one.name).is_some() {
            let what = format!("{} takes what it needs from a plan of knowledge/v1", one.name);
            return Err(
                Failure::new(Code::USAGE, what).remedy("run such a plan: `carnet run PLAN`")
            );
        }
        if one.safety == Safety::Mutating && !self.shows_only && !self.execute {
            let what = format!("{} changes something, and you have not said to do it", one.name);
            return Err(Failure::new(Code::USAGE, what)
                .changed("nothing was changed")
                .remedy("say --dry-run to look, or --execute to do it"));
        }
        let with = self.inputs(one)?;
        let (plan, state) = Self::plan(setting, one, &with)?;
        let engine = setting.engine(state)?;
        let progress = setting.progress();
        let stores = Stores { setting };
        let request = RunRequest {
            plan: &plan,
            folder: Path::new("."),
            stores: &stores,
            outside: &World,
            patience: Duration::ZERO,
            workers: setting.global.workers(),
            progress: progress.as_ref(),
            dry_run: self.shows_only,
            snapshot_time: setting.environment.fixed_snapshot_time()?,
            signer: None,
        };
        let report = engine.run(&request).map_err(|error| Failure::engine(&error));
        drop(progress);
        let report = report?;
        let view = View::new(one, &report);
        if let Some(path) = &self.receipt {
            let pages: Vec<_> = view.receipts.iter().map(CapabilityReceipt::markdown).collect();
            std::fs::write(path, pages.join("\n")).map_err(|error| {
                Failure::io(format!("cannot write the receipt to {}", path.display()), error)
            })?;
        }
        setting.screen.show(&view, |view| text(one, view))?;
        outcome(&report)
    }

    /// The inputs of the file, with those of the command line above them.
    fn inputs(&self, one: &Descriptor) -> Result<Value, Failure> {
        let schema = (one.inputs)();
        let mut inputs = match &self.with {
            Some(path) => read(path)?,
            None => Map::new(),
        };
        for set in &self.sets {
            let Some((key, value)) = set.split_once('=').filter(|(key, _)| !key.is_empty()) else {
                // What was typed may be a secret in the wrong place.
                return Err(Failure::new(Code::USAGE, "--set without KEY=VALUE")
                    .remedy("write, for example, --set from=a.txt"));
            };
            // What must be text is text, also where it looks like JSON: `program=true`.
            let is_text = schema.pointer(&format!("/properties/{key}/type"));
            let json = || serde_json::from_str(value).ok();
            let json = if is_text.is_some_and(|kind| kind == "string") { None } else { json() };
            inputs.insert(key.to_owned(), json.unwrap_or_else(|| Value::from(value)));
        }
        Ok(Value::Object(inputs))
    }

    /// The plan, and the state directory of this use: the first that is not done.
    fn plan(
        setting: &Setting<'_>,
        one: &Descriptor,
        with: &Value,
    ) -> Result<(Plan, PathBuf), Failure> {
        let owner = setting.environment.user.as_deref().unwrap_or("unknown");
        let digest = Digest::of(with.to_string().as_bytes()).to_string();
        let short: String = digest.chars().take(8).collect();
        let stem = format!("cap-{}-{short}", one.name.replace(['.', '_'], "-"));
        for number in 1_u32.. {
            let name = format!("{stem}-{number}");
            let plan = Plan::of_one_step(&name, owner, one, with)
                .map_err(|errors| refused(one, &errors))?;
            let state = setting.state_of(&plan);
            if !status(&state).is_ok_and(|report| report.status == "done") {
                return Ok((plan, state));
            }
        }
        Err(Failure::new(Code::USAGE, "this was done too often").remedy("name another --state"))
    }
}

fn read(path: &Path) -> Result<Map<String, Value>, Failure> {
    let place = path.display();
    let cannot = |error| Failure::io(format!("cannot read the inputs from {place}"), error);
    if std::fs::metadata(path).map_err(cannot)?.len() > INPUTS_BYTES_MAX {
        return Err(Failure::new(Code::USAGE, format!("{place} is larger than 16 MiB")));
    }
    let bytes = std::fs::read(path).map_err(cannot)?;
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(inputs)) => Ok(inputs),
        Ok(_) => Err(Failure::new(Code::USAGE, format!("{place} holds no JSON object"))),
        Err(error) => {
            let what = format!("{place} is not JSON");
            let at = format!("line {}, column {}", error.line(), error.column());
            Err(Failure::new(Code::USAGE, what).because(at))
        }
    }
}

/// All that is wrong with the inputs.
fn refused(one: &Descriptor, errors: &[InputError]) -> Failure {
    let told: Vec<_> = errors.iter().map(ToString::to_string).collect();
    Failure::new(Code::USAGE, format!("the inputs of {} are not as they must be", one.name))
        .because(told.join("; "))
        .changed("nothing was changed")
        .remedy(format!("see what it takes: `carnet cap show {}`", one.name))
}

fn outcome(report: &Report) -> Result<Exit, Failure> {
    let Some(stop) = report.stop.as_ref().or(report.waits_for.as_ref()) else {
        return Ok(Exit::Done);
    };
    let code = Code::parse(&stop.code).unwrap_or(Code::BUG);
    let failure = Failure::new(code, stop.reason.clone());
    Err(if stop.remedy.is_empty() { failure } else { failure.remedy(stop.remedy.clone()) })
}

impl View {
    fn new(one: &Descriptor, report: &Report) -> Self {
        let stop = report.stop.as_ref().or(report.waits_for.as_ref());
        Self {
            capability: one.name,
            dry_run: report.dry_run,
            status: report.status.to_owned(),
            reason: stop.map(|stop| stop.reason.clone()),
            left_behind: report.left_behind.clone(),
            receipts: report.receipts.clone(),
            evidence: report.evidence.clone(),
        }
    }
}

fn text(one: &Descriptor, view: &View) -> String {
    let mut sheet = Sheet::default();
    let what = format!("{} ({}): {}", one.does, safety(one.safety), view.status);
    sheet.field(view.capability, 10, &what);
    if view.dry_run {
        sheet.field("dry run", 10, "it only looked; nothing was changed and nothing recorded");
    }
    let undo = match one.undo {
        UndoKind::Nothing => "nothing to take back",
        UndoKind::Own => "it takes itself back if it fails half way",
        UndoKind::ByPlan => "none: only a plan can name what takes it back",
    };
    sheet.field("undo", 10, undo);
    for receipt in &view.receipts {
        sheet.field("result", 10, &receipt.result);
        if let Value::Object(facts) = &receipt.facts {
            for (name, value) in facts {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                sheet.field(format!("  {name}"), 22, &value);
            }
        }
    }
    for left in &view.left_behind {
        sheet.field("left", 10, left);
    }
    if let Some(evidence) = &view.evidence {
        sheet.field("evidence", 10, &evidence.display().to_string());
    }
    sheet.text()
}

/// Opens the stores that the inputs name.
struct Stores<'s> {
    setting: &'s Setting<'s>,
}

impl StoreOpener for Stores<'_> {
    fn open(&self, request: &StoreRequest) -> Result<Box<dyn VectorRepository>, StoreError> {
        let password = self.setting.environment.postgres_password.clone();
        let options = OpenOptions { layout: request.layout.clone(), drop: Vec::new(), password };
        open_for_engine(&request.url, &options)
    }
}
