//! Running a program of others: no shell, nothing of our environment, a limit on time and output.

use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use carnet_model::{Code, Secret};

use crate::error::StepError;

/// Where programs are looked for that are named without a path.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How long the outputs of a program that has ended are still read: what it started in the
/// background may hold them open for ever.
const AFTER: Duration = Duration::from_millis(500);

/// A program, and what it is given.
pub(crate) struct Program<'a> {
    pub(crate) name: &'a str,
    pub(crate) args: &'a [String],
    pub(crate) folder: &'a Path,
    pub(crate) env: &'a [(String, Secret)],
    pub(crate) limit: Duration,
    pub(crate) output_max: usize,
}

/// How it ended.
pub(crate) struct Ran {
    pub(crate) end: End,
    pub(crate) stdout: Output,
    pub(crate) stderr: Output,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// By itself, with this status.
    Exit(i32),
    /// By this signal, not ours.
    Signal(i32),
    /// It was killed when its time was over.
    TimedOut,
}

/// What a program wrote, up to the limit.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) bytes: Vec<u8>,
    /// Whether there was more.
    pub(crate) cut: bool,
}

impl Output {
    fn take(&mut self, part: &[u8], max: usize) {
        let room = max.saturating_sub(self.bytes.len());
        let (kept, dropped) = part.split_at(room.min(part.len()));
        self.bytes.extend_from_slice(kept);
        self.cut |= !dropped.is_empty();
    }

    /// The last line that says something, for messages.
    pub(crate) fn last_line(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let line: String = line.chars().filter(|c| !c.is_control()).take(200).collect();
        line.trim().to_owned()
    }
}

impl Program<'_> {
    /// Runs it to its end. An error means that it was not started.
    pub(crate) fn run(
        &self,
        started: impl FnOnce() -> Result<(), StepError>,
    ) -> Result<Ran, StepError> {
        let mut child = self.spawn()?;
        let (sender, receiver) = channel();
        for (first, pipe) in [
            (true, child.stdout.take().map(Pipe::Out)),
            (false, child.stderr.take().map(Pipe::Err)),
        ] {
            let (Some(mut pipe), sender) = (pipe, sender.clone()) else { continue };
            // Not waited for: a pipe that a background process holds open ends with that process.
            std::thread::spawn(move || {
                let mut buffer = vec![0; 1 << 14];
                while let Ok(count @ 1..) = pipe.read(&mut buffer) {
                    let part = buffer.get(..count).unwrap_or_default().to_vec();
                    if sender.send((first, part)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        if let Err(error) = started() {
            kill(&mut child);
            return Err(error);
        }
        Ok(self.wait(&mut child, &receiver))
    }

    fn spawn(&self) -> Result<Child, StepError> {
        let path = if self.name.contains('/') {
            self.folder.join(self.name)
        } else {
            PathBuf::from(self.name)
        };
        let mut command = Command::new(path);
        command.args(self.args).current_dir(self.folder).env_clear().env("PATH", PATH);
        command.envs(self.env.iter().map(|(name, value)| (name, value.reveal())));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own, so that what it started can be ended with it.
        command.process_group(0).spawn().map_err(|error| {
            let what = format!("{} cannot be started in {}", self.name, self.folder.display());
            let mut failed = StepError::new(Code::COMMAND_FAILED, what).remedy(
                "check that the program is there and may be run; its name is looked for in \
                         the system's own folders, a path from the folder of the plan",
            );
            failed.cause = Some(error.into());
            failed
        })
    }

    fn wait(&self, child: &mut Child, parts: &Receiver<(bool, Vec<u8>)>) -> Ran {
        let mut ran =
            Ran { end: End::TimedOut, stdout: Output::default(), stderr: Output::default() };
        let deadline = Instant::now() + self.limit;
        let mut until = None;
        loop {
            match parts.recv_timeout(Duration::from_millis(10)) {
                Ok((true, part)) => ran.stdout.take(&part, self.output_max),
                Ok((false, part)) => ran.stderr.take(&part, self.output_max),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    // Both outputs are closed: only the end is missing.
                    std::thread::sleep(Duration::from_millis(2));
                    until = until.map(|_| Instant::now());
                }
            }
            if until.is_none()
                && let Ok(Some(status)) = child.try_wait()
            {
                ran.end = match status.code() {
                    Some(code) => End::Exit(code),
                    None => End::Signal(status.signal().unwrap_or(0)),
                };
                until = Some(Instant::now() + AFTER);
            }
            match until {
                Some(until) if Instant::now() >= until => return ran,
                None if Instant::now() >= deadline => {
                    kill(child);
                    return ran;
                }
                Some(_) | None => {}
            }
        }
    }
}

/// Ends a program and all that it started.
fn kill(child: &mut Child) {
    let group = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(group) = group {
        // It may have ended by itself just now.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.wait();
}

/// One of the two outputs.
enum Pipe {
    Out(std::process::ChildStdout),
    Err(std::process::ChildStderr),
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Out(pipe) => pipe.read(buffer),
            Self::Err(pipe) => pipe.read(buffer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, limit: Duration, output_max: usize) -> Ran {
        let args = ["-c".to_owned(), script.to_owned()];
        let env = [("GIVEN".to_owned(), Secret::new("yes"))];
        let program = Program {
            name: "sh",
            args: &args,
            folder: Path::new("/"),
            env: &env,
            limit,
            output_max,
        };
        program.run(|| Ok(())).unwrap()
    }

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn status_outputs_and_variables() {
        let ran = sh("echo out; echo err >&2; exit 7", LONG, 100);
        assert_eq!(ran.end, End::Exit(7));
        assert_eq!(
            (ran.stdout.bytes.as_slice(), ran.stderr.last_line()),
            (&b"out\n"[..], "err".into())
        );
        let ran = sh("env", LONG, 10_000);
        let env = String::from_utf8(ran.stdout.bytes).unwrap();
        assert!(env.contains("GIVEN=yes") && !env.contains("HOME="), "{env}");
        assert_eq!(sh("kill -9 $$", LONG, 1).end, End::Signal(9));
    }

    #[test]
    fn a_large_output_is_cut_and_does_not_block() {
        let ran = sh("head -c 3000000 /dev/zero", LONG, 1000);
        assert_eq!((ran.end, ran.stdout.bytes.len(), ran.stdout.cut), (End::Exit(0), 1000, true));
    }

    #[test]
    fn what_takes_too_long_is_killed_with_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("alive");
        let script = format!("(sleep 1; touch {}) & sleep 60", file.display());
        let began = Instant::now();
        assert_eq!(sh(&script, Duration::from_millis(200), 100).end, End::TimedOut);
        assert!(began.elapsed() < LONG);
        std::thread::sleep(Duration::from_millis(1_300));
        assert!(!file.exists(), "a process that it started lives on");
    }

    #[test]
    fn a_process_in_the_background_does_not_hold_the_command() {
        let began = Instant::now();
        assert_eq!(sh("sleep 5 & echo started", LONG, 100).end, End::Exit(0));
        assert!(began.elapsed() < Duration::from_secs(4));
    }

    #[test]
    fn what_cannot_be_started_says_so() {
        let program = Program {
            name: "no-such-program",
            args: &[],
            folder: Path::new("/"),
            env: &[],
            limit: LONG,
            output_max: 0,
        };
        let Err(error) = program.run(|| Ok(())) else { panic!("started") };
        assert_eq!(error.code, Code::COMMAND_FAILED);
    }
}
