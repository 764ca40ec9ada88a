//! `service.restart`.
//!
//! There is nothing that a restart could be taken back to: the process before it is gone. Its undo
//! says so, and does nothing. Where a service must read again what an undo has put back, the plan
//! says it: a restart as the undo of a step before the one that changes what the service reads runs
//! after that was put back.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use carnet_ledger::{Object, Value};
use carnet_model::Code;
use carnet_model::capability::{Manager, ServiceRestart};

use super::program::{End, Program, Ran};
use super::{Act, Capability, Probed, unknown};
use crate::error::StepError;
use crate::step::{Done, text_of};

pub(super) struct Restart;

/// How a service stands.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Standing {
    /// Whether its manager calls it running.
    running: bool,
    /// Its main process and when that began: no other process has both.
    process: Option<String>,
    /// The manager's own word.
    word: String,
}

struct Service<'a> {
    asked: &'a ServiceRestart,
    folder: &'a Path,
}

impl Service<'_> {
    /// Runs the manager's program.
    fn run(&self, words: &[&str], limit: Duration) -> Result<Ran, StepError> {
        let mut args: Vec<String> = Vec::new();
        let program = match self.asked.manager {
            Manager::Systemd => "systemctl",
            Manager::Supervisord => {
                if let Some(settings) = &self.asked.settings {
                    let settings: PathBuf = self.folder.join(settings);
                    args.extend(["-c".to_owned(), settings.display().to_string()]);
                }
                "supervisorctl"
            }
        };
        args.extend(words.iter().map(|word| (*word).to_owned()));
        // What it prints is read: in no language but this one.
        let env = [("LC_ALL".to_owned(), carnet_model::Secret::new("C"))];
        let program = Program {
            name: program,
            args: &args,
            folder: self.folder,
            env: &env,
            limit,
            output_max: 8_192,
        };
        program.run(|| Ok(()))
    }

    /// Looks at it, without changing anything.
    fn look(&self) -> Result<Standing, StepError> {
        const LOOK: Duration = Duration::from_secs(30);
        let name = self.asked.service.as_str();
        match self.asked.manager {
            Manager::Systemd => {
                let properties = "--property=LoadState,ActiveState,MainPID";
                let ran = self.run(&["show", properties, "--", name], LOOK)?;
                let standing = systemd_standing(&String::from_utf8_lossy(&ran.stdout.bytes));
                standing.ok_or_else(|| failed(&format!("systemd knows no unit {name}"), &ran))
            }
            Manager::Supervisord => {
                let ran = self.run(&["status", name], LOOK)?;
                let standing =
                    supervisord_standing(name, &String::from_utf8_lossy(&ran.stdout.bytes));
                let unknown = format!("supervisord does not tell of {name}");
                standing.ok_or_else(|| failed(&unknown, &ran))
            }
        }
    }
}

/// What a manager said last.
fn failed(what: &str, ran: &Ran) -> StepError {
    let said = [ran.stderr.last_line(), ran.stdout.last_line(), "it says nothing".to_owned()];
    let said = said.into_iter().find(|line| !line.is_empty()).unwrap_or_default();
    StepError::new(Code::SERVICE_FAILED, format!("{what}: {said}"))
        .remedy("see the log of the service, and run the plan again")
}

/// `Key=value` lines of `systemctl show`.
fn systemd_standing(text: &str) -> Option<Standing> {
    let value = |key: &str| {
        text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap_or_default()
    };
    if value("LoadState") != "loaded" {
        return None;
    }
    let process = value("MainPID").parse().ok().and_then(process_of);
    let word = value("ActiveState").to_owned();
    Some(Standing { running: word == "active", process, word })
}

/// `NAME  RUNNING  pid 12, uptime 0:00:01` of `supervisorctl status`.
fn supervisord_standing(name: &str, text: &str) -> Option<Standing> {
    let states =
        ["STOPPED", "STARTING", "RUNNING", "BACKOFF", "STOPPING", "EXITED", "FATAL", "UNKNOWN"];
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(name))?;
    let mut words = line.split_whitespace().skip(1);
    let word = words.next().filter(|word| states.contains(word))?.to_owned();
    let pid = words.skip_while(|word| *word != "pid").nth(1);
    let process = pid.and_then(|pid| pid.trim_end_matches(',').parse().ok()).and_then(process_of);
    Some(Standing { running: word == "RUNNING", process, word })
}

/// A process and when it began, in ticks since this boot of the machine.
fn process_of(pid: u32) -> Option<String> {
    if pid == 0 {
        return None;
    }
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    // The name of the program stands in brackets and may hold anything; what follows does not.
    let (_, rest) = stat.rsplit_once(')')?;
    let began = rest.split_whitespace().nth(19)?;
    Some(format!("{pid} {began} {}", boot.trim()))
}

fn written(standing: &Standing) -> Value {
    standing.process.clone().map_or(Value::Null, Value::from)
}

fn done(standing: &Standing) -> Done {
    Done::default().fact("process", written(standing)).fact("state", standing.word.clone())
}

impl Capability for Restart {
    fn prepare(&self, act: &Act<'_>) -> Result<Object, StepError> {
        let asked: ServiceRestart = act.inputs()?;
        let before = Service { asked: &asked, folder: act.cx.folder }.look()?;
        Ok(Object::from([
            ("service".to_owned(), asked.service.into()),
            ("process".to_owned(), written(&before)),
            ("state".to_owned(), before.word.into()),
        ]))
    }

    fn act(&self, act: &Act<'_>, inputs: &Object) -> Result<Done, StepError> {
        let asked: ServiceRestart = act.inputs()?;
        let service = Service { asked: &asked, folder: act.cx.folder };
        let before = text_of(inputs, "process");
        let limit = Duration::from_secs(asked.time_limit_s.into());
        let deadline = Instant::now() + limit;
        let name = asked.service.as_str();
        let words: &[&str] = match asked.manager {
            Manager::Systemd => &["restart", "--", name],
            Manager::Supervisord => &["restart", name],
        };
        let ran = service.run(words, limit)?;
        act.pass("service/restarted")?;
        if ran.end == End::TimedOut {
            let what = format!("the restart of {name} took longer than {} s", asked.time_limit_s);
            return Err(unknown(what, "see whether the service runs, and settle the step"));
        }
        // The answer of the manager is not trusted: its view of the process is.
        loop {
            let now = service.look()?;
            if now.running && now.process.is_some() && now.process != before {
                return Ok(done(&now));
            }
            let starting = ["STARTING", "activating", "reloading"].contains(&now.word.as_str());
            if !starting || Instant::now() >= deadline {
                let what = format!("{name} is {} after its restart", now.word);
                return Err(failed(&what, &ran));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Restarting twice does no harm that restarting once does not: what is not certainly done is
    /// done again.
    fn probe(&self, act: &Act<'_>, inputs: &Object) -> Result<Probed, StepError> {
        let asked: ServiceRestart = act.inputs()?;
        let now = Service { asked: &asked, folder: act.cx.folder }.look()?;
        let new = now.process.is_some() && now.process != text_of(inputs, "process");
        Ok(if now.running && new { Probed::Applied(done(&now)) } else { Probed::NotApplied })
    }

    fn undo(&self, act: &Act<'_>, inputs: &Object) -> Result<Vec<String>, StepError> {
        let asked: ServiceRestart = act.inputs()?;
        let now = Service { asked: &asked, folder: act.cx.folder }.look()?;
        let name = &asked.service;
        Ok(match &now.process {
            _ if !now.running => vec![format!("the service {name} is {}", now.word)],
            same if *same == text_of(inputs, "process") => Vec::new(),
            _ => vec![format!("the service {name} was restarted; its process before is gone")],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_managers_print_is_understood() {
        let us = std::process::id();
        let here = process_of(us).unwrap();
        assert!(here.starts_with(&format!("{us} ")) && process_of(0).is_none());
        let text = format!("web  RUNNING   pid {us}, uptime 0:00:02\n");
        let standing = supervisord_standing("web", &text).unwrap();
        assert_eq!((standing.running, standing.process.as_ref()), (true, Some(&here)));
        let standing = supervisord_standing("web", "web  FATAL  Exited too quickly\n").unwrap();
        assert_eq!((standing.running, standing.process), (false, None));
        for text in
            ["web: ERROR (no such process)\n", "", "unix:///x no such file\n", "webx RUNNING"]
        {
            assert!(supervisord_standing("web", text).is_none(), "{text}");
        }
        let text = format!("LoadState=loaded\nActiveState=active\nMainPID={us}\n");
        let standing = systemd_standing(&text).unwrap();
        assert_eq!((standing.running, standing.process), (true, Some(here)));
        assert!(systemd_standing("LoadState=not-found\nActiveState=inactive\n").is_none());
        assert!(
            !systemd_standing("LoadState=loaded\nActiveState=failed\nMainPID=0\n").unwrap().running
        );
    }
}
