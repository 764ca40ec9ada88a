//! `command.run`.

use std::path::PathBuf;
use std::time::Duration;

use carnet_ledger::{Object, Value};
use carnet_model::capability::{Command, CommandRepeat};
use carnet_model::{Code, Secret};

use super::program::{End, Output, Program, Ran};
use super::secrets::Variables;
use super::{Act, Capability, Probed, secrets, unknown};
use crate::error::StepError;
use crate::step::{Done, number};

pub(super) struct Run;

fn folder(act: &Act<'_>, command: &Command) -> PathBuf {
    command.folder.as_ref().map_or(act.cx.folder.to_owned(), |it| act.cx.folder.join(it))
}

/// What the program is given. In a programme the run that it belongs to is part of it, whatever the step
/// says: what it starts refuses to work for another one.
fn variables(act: &Act<'_>, command: &Command) -> Result<Variables, StepError> {
    let mut variables = Variables::of(act.cx.outside, &command.env)?;
    if let Some(programme) = act.cx.plan.programme() {
        variables.given.retain(|(name, _)| name != RUN_SCOPE);
        let id = Secret::new(programme.run.platform_run_id.clone());
        variables.given.push((RUN_SCOPE.to_owned(), id));
    }
    Ok(variables)
}

/// The variable by which services know the run that they work for.
pub(super) const RUN_SCOPE: &str = "REQUIRED_PLATFORM_RUN_ID";

/// An output as an object of the evidence, without the secrets that it was given.
fn kept(act: &Act<'_>, output: &Output, hidden: &[Secret]) -> Result<Value, StepError> {
    let bytes = secrets::masked(&output.bytes, hidden);
    Ok(Value::from(act.cx.recorder.put(&bytes)?))
}

impl Capability for Run {
    fn prepare(&self, act: &Act<'_>) -> Result<Object, StepError> {
        let command: Command = act.inputs()?;
        secrets::check(act, command.env.values())?;
        let folder = folder(act, &command);
        if !folder.is_dir() {
            let what = format!("there is no folder {}", folder.display());
            return Err(StepError::new(Code::COMMAND_FAILED, what).remedy("make it first"));
        }
        Ok(Object::from([
            ("program".to_owned(), command.program.into()),
            ("folder".to_owned(), folder.display().to_string().into()),
        ]))
    }

    fn act(&self, act: &Act<'_>, _: &Object) -> Result<Done, StepError> {
        let command: Command = act.inputs()?;
        let Variables { given, hidden } = variables(act, &command)?;
        let program = Program {
            name: &command.program,
            args: &command.args,
            folder: &folder(act, &command),
            env: &given,
            limit: Duration::from_secs(command.time_limit_s.into()),
            output_max: usize::try_from(command.output_bytes_max).unwrap_or(0),
        };
        let Ran { end, stdout, stderr } = program.run(|| act.pass("command/started"))?;
        let told = |what: String| {
            let masked = Output { bytes: secrets::masked(&stderr.bytes, &hidden), cut: false };
            match masked.last_line() {
                line if line.is_empty() => what,
                line => format!("{what}; it said last: {line}"),
            }
        };
        let name = &command.program;
        let code = match end {
            End::Exit(code) if command.succeeds_with.contains(&code) => code,
            End::Exit(code) => {
                let what = told(format!("{name} ended with status {code}"));
                return Err(StepError::new(Code::COMMAND_FAILED, what)
                    .remedy("see what it says, and run the plan again"));
            }
            End::Signal(signal) => {
                let what = told(format!("{name} was ended by signal {signal}"));
                return Err(unknown(what, LOOK));
            }
            End::TimedOut => {
                let limit = command.time_limit_s;
                let what = told(format!("{name} took longer than {limit} s and was killed"));
                return Err(unknown(what, LOOK));
            }
        };
        Ok(Done::default()
            .count("exit", u64::try_from(code).unwrap_or(0))
            .fact("stdout", kept(act, &stdout, &hidden)?)
            .fact("stderr", kept(act, &stderr, &hidden)?)
            .fact("cut", stdout.cut || stderr.cut))
    }

    fn probe(&self, act: &Act<'_>, _: &Object) -> Result<Probed, StepError> {
        let command: Command = act.inputs()?;
        let CommandRepeat::Probe(probe) = &command.repeat else {
            let again = command.repeat == CommandRepeat::Again;
            let why = format!("the plan names no probe for {}", command.program);
            return Ok(if again { Probed::NotApplied } else { Probed::Unknown(why) });
        };
        let Variables { given, .. } = variables(act, &command)?;
        let program = Program {
            name: &probe.program,
            args: &probe.args,
            folder: &folder(act, &command),
            env: &given,
            limit: Duration::from_secs(probe.time_limit_s.into()),
            output_max: 4_096,
        };
        let ran = program.run(|| Ok(()))?;
        Ok(match ran.end {
            End::Exit(0) => Probed::Applied(Done::default().fact("probe", number(0))),
            End::Exit(1) => Probed::NotApplied,
            End::Exit(code) => {
                Probed::Unknown(format!("the probe {} ended with status {code}", probe.program))
            }
            End::Signal(_) | End::TimedOut => {
                Probed::Unknown(format!("the probe {} did not end by itself", probe.program))
            }
        })
    }

    fn undo(&self, _: &Act<'_>, _: &Object) -> Result<Vec<String>, StepError> {
        Ok(Vec::new())
    }
}

const LOOK: &str = "look whether it did its work, and settle the step";
