//! `terraform.apply` and `terraform.destroy`, by the program itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use carnet_connect::Outside;
use carnet_ledger::Object;
use carnet_model::capability::{TerraformApply, TerraformDestroy, TerraformPlace};
use carnet_model::gate::terraform::State;
use carnet_model::{Code, Secret};

use tempfile::TempDir;

use super::program::{End, Program, Ran};
use super::secrets::{Variables, masked, resolve};
use super::{Act, Capability, Probed, unknown};
use crate::error::StepError;
use crate::step::{Done, integer_of, number};

/// No state is larger.
const STATE_BYTES_MAX: usize = 64 << 20;
/// How long a lock of somebody else is waited for.
const LOCK: &str = "-lock-timeout=30s";

/// A configuration with what its program is given.
pub(crate) struct Terraform<'a> {
    place: &'a TerraformPlace,
    folder: PathBuf,
    given: Vec<(String, Secret)>,
    hidden: Vec<Secret>,
    /// Where a dry run lets it keep what it needs for itself, beside nothing of the plan.
    scratch: Option<TempDir>,
}

impl<'a> Terraform<'a> {
    pub(crate) fn new(
        outside: &dyn Outside,
        place: &'a TerraformPlace,
        folder: PathBuf,
    ) -> Result<Self, StepError> {
        let Variables { mut given, mut hidden } = Variables::of(outside, &place.env)?;
        for (name, text) in &place.variables {
            let resolved = resolve(outside, text)?;
            given.push((format!("TF_VAR_{name}"), resolved.whole));
            hidden.extend(resolved.secret);
        }
        if !place.env.contains_key("HOME")
            && let Some(home) = outside.secret("HOME")
        {
            given.push(("HOME".to_owned(), home));
        }
        for (name, value) in [("CHECKPOINT_DISABLE", "1"), ("TF_IN_AUTOMATION", "1")] {
            given.push((name.to_owned(), Secret::new(value)));
        }
        Ok(Self { place, folder, given, hidden, scratch: None })
    }

    /// Runs one of its commands.
    fn run(
        &self,
        args: &[&str],
        started: impl FnOnce() -> Result<(), StepError>,
    ) -> Result<Ran, StepError> {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let program = Program {
            name: &self.place.program,
            args: &args,
            folder: &self.folder,
            env: &self.given,
            limit: Duration::from_secs(self.place.time_limit_s.into()),
            output_max: STATE_BYTES_MAX,
        };
        program.run(started)
    }

    /// What went wrong, with what it said.
    fn failed(&self, command: &str, ran: &Ran) -> StepError {
        let how = match ran.end {
            End::Exit(status) => format!("ended with status {status}"),
            End::Signal(signal) => format!("was ended by signal {signal}"),
            End::TimedOut => format!("took longer than {} s", self.place.time_limit_s),
        };
        let folder = self.folder.display();
        let said = masked(&ran.stderr.bytes, &self.hidden);
        let said = String::from_utf8_lossy(&said).into_owned();
        let said = said.lines().find_map(|line| line.split_once("Error: "));
        let said = said.map_or_else(String::new, |(_, said)| format!(": {said}"));
        let what = format!("terraform {command} in {folder} {how}{said}");
        StepError::new(Code::COMMAND_FAILED, what).remedy(
            "see what it says when it is run by hand in that folder, and run the plan again",
        )
    }

    fn well(&self, command: &str, ran: Ran) -> Result<Ran, StepError> {
        if ran.end == End::Exit(0) && !ran.stdout.cut {
            Ok(ran)
        } else {
            Err(self.failed(command, &ran))
        }
    }

    /// As a dry run has it: nothing is written beside the configuration.
    fn leaving_nothing(mut self) -> Result<Self, StepError> {
        let scratch = TempDir::new()
            .map_err(|error| StepError::io("make a folder in", &std::env::temp_dir(), error))?;
        let data = scratch.path().display().to_string();
        self.given.push(("TF_DATA_DIR".to_owned(), Secret::new(data)));
        self.scratch = Some(scratch);
        Ok(self)
    }

    /// Gets providers and the backend ready.
    fn init(&self) -> Result<(), StepError> {
        let mut args = vec!["init", "-input=false", "-no-color"];
        if self.scratch.is_some() {
            // The list of providers is a file of the configuration.
            args.push("-lockfile=readonly");
        }
        let ran = self.run(&args, || Ok(()))?;
        self.well("init", ran).map(|_| ())
    }

    /// What its plan would change, in its own words; `None` if that is nothing.
    pub(crate) fn changes(&self) -> Result<Option<String>, StepError> {
        let args = ["plan", "-detailed-exitcode", "-input=false", "-no-color", "-lock=false"];
        let ran = self.run(&args, || Ok(()))?;
        match ran.end {
            End::Exit(0) => Ok(None),
            End::Exit(2) => {
                let said = masked(&ran.stdout.bytes, &self.hidden);
                let said = String::from_utf8_lossy(&said).into_owned();
                let line = said.lines().find_map(|line| line.strip_prefix("Plan: "));
                Ok(Some(line.unwrap_or("its outputs change").trim_end_matches('.').to_owned()))
            }
            End::Exit(_) | End::Signal(_) | End::TimedOut => Err(self.failed("plan", &ran)),
        }
    }

    /// What its state holds, with these outputs.
    pub(crate) fn state(
        &self,
        outputs: &BTreeMap<String, serde_json::Value>,
    ) -> Result<State, StepError> {
        let ran = self.well("show", self.run(&["show", "-json", "-no-color"], || Ok(()))?)?;
        State::read(&ran.stdout.bytes, outputs).ok_or_else(|| {
            let what = format!("terraform show in {} prints no state", self.folder.display());
            StepError::new(Code::COMMAND_FAILED, what).remedy("use Terraform 1, and run again")
        })
    }

    fn resources(&self) -> Result<u64, StepError> {
        Ok(self.state(&BTreeMap::new())?.count())
    }

    /// Changes the world, at an end that is known.
    fn change(&self, act: &Act<'_>, command: &str) -> Result<Ran, StepError> {
        let args = [command, "-auto-approve", "-input=false", "-no-color", LOCK];
        let ran = self.run(&args, || act.pass("terraform/started"))?;
        match ran.end {
            // What was made before an error is in the state: the undo, or another try, begins there.
            End::Exit(_) => self.well(command, ran),
            End::Signal(_) | End::TimedOut => {
                let what = self.failed(command, &ran).what;
                Err(unknown(
                    what,
                    "look at the state and at what it stands for, and settle the step",
                ))
            }
        }
    }
}

fn opened<'p>(
    act: &Act<'_>,
    place: &'p TerraformPlace,
    folder: &str,
) -> Result<Terraform<'p>, StepError> {
    let folder: &Path = &act.cx.folder.join(folder);
    if !folder.is_dir() {
        let what = format!("there is no folder {}", folder.display());
        return Err(StepError::new(Code::COMMAND_FAILED, what).remedy("make it first"));
    }
    let terraform = Terraform::new(act.cx.outside, place, folder.to_owned())?;
    if act.cx.dry_run { terraform.leaving_nothing() } else { Ok(terraform) }
}

/// How many resources the state held before.
const BEFORE: &str = "resources_before";

pub(super) struct Apply;

impl Capability for Apply {
    fn prepare(&self, act: &Act<'_>) -> Result<Object, StepError> {
        let apply: TerraformApply = act.inputs()?;
        let terraform = opened(act, &apply.place, &apply.place.folder)?;
        // What is fetched lies beside the configuration, and changes nothing that it stands for.
        terraform.init()?;
        // What an attempt that failed has left of itself was not there before.
        let before = match act.first_look().and_then(|it| integer_of(&it, BEFORE)) {
            Some(before) => u64::try_from(before).unwrap_or(0),
            None => terraform.resources()?,
        };
        if before > 0 && apply.before.is_none() {
            let what = format!(
                "the state of {} holds {before} resources already, and nothing says what was \
                 applied before",
                apply.place.folder
            );
            return Err(StepError::new(Code::COMMAND_FAILED, what)
                .remedy("name the folder of that configuration under `before`"));
        }
        if let Some(before) = &apply.before {
            opened(act, &apply.place, before)?;
        }
        Ok(Object::from([(BEFORE.to_owned(), number(before))]))
    }

    fn act(&self, act: &Act<'_>, _: &Object) -> Result<Done, StepError> {
        let apply: TerraformApply = act.inputs()?;
        let terraform = opened(act, &apply.place, &apply.place.folder)?;
        terraform.change(act, "apply")?;
        act.pass("terraform/applied")?;
        Ok(Done::default().count("resources", terraform.resources()?))
    }

    fn probe(&self, act: &Act<'_>, _: &Object) -> Result<Probed, StepError> {
        let apply: TerraformApply = act.inputs()?;
        let terraform = opened(act, &apply.place, &apply.place.folder)?;
        // Half of it is none of it: what is there already is not made again.
        Ok(match terraform.changes()? {
            None => Probed::Applied(Done::default().count("resources", terraform.resources()?)),
            Some(_) => Probed::Begun,
        })
    }

    fn undo(&self, act: &Act<'_>, inputs: &Object) -> Result<Vec<String>, StepError> {
        let apply: TerraformApply = act.inputs()?;
        match (&apply.before, integer_of(inputs, BEFORE)) {
            (Some(before), Some(1..)) => {
                let terraform = opened(act, &apply.place, before)?;
                terraform.init()?;
                terraform.change(act, "apply")?;
            }
            (Some(_) | None, _) => {
                opened(act, &apply.place, &apply.place.folder)?.change(act, "destroy")?;
            }
        }
        Ok(Vec::new())
    }
}

pub(super) struct Destroy;

impl Capability for Destroy {
    fn prepare(&self, act: &Act<'_>) -> Result<Object, StepError> {
        let destroy: TerraformDestroy = act.inputs()?;
        let terraform = opened(act, &destroy.place, &destroy.place.folder)?;
        terraform.init()?;
        Ok(Object::from([(BEFORE.to_owned(), number(terraform.resources()?))]))
    }

    fn act(&self, act: &Act<'_>, inputs: &Object) -> Result<Done, StepError> {
        let destroy: TerraformDestroy = act.inputs()?;
        let terraform = opened(act, &destroy.place, &destroy.place.folder)?;
        terraform.change(act, "destroy")?;
        act.pass("terraform/destroyed")?;
        let left = terraform.resources()?;
        if left > 0 {
            let what = format!("{left} resources are left in {}", destroy.place.folder);
            return Err(StepError::new(Code::COMMAND_FAILED, what).remedy("destroy them by hand"));
        }
        let before = integer_of(inputs, BEFORE).and_then(|it| u64::try_from(it).ok()).unwrap_or(0);
        Ok(Done::default().count("destroyed", before))
    }

    fn probe(&self, act: &Act<'_>, inputs: &Object) -> Result<Probed, StepError> {
        let destroy: TerraformDestroy = act.inputs()?;
        let terraform = opened(act, &destroy.place, &destroy.place.folder)?;
        let before = integer_of(inputs, BEFORE).and_then(|it| u64::try_from(it).ok()).unwrap_or(0);
        Ok(match terraform.resources()? {
            0 => Probed::Applied(Done::default().count("destroyed", before)),
            _ => Probed::NotApplied,
        })
    }

    fn undo(&self, _: &Act<'_>, _: &Object) -> Result<Vec<String>, StepError> {
        Ok(Vec::new())
    }
}
