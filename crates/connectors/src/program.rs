//! Running a program of others: no shell, nothing of our environment, a limit on time and output.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use carnet_connect::StoreError;
use carnet_model::Code;

/// Where programs are looked for that are named without a path.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How much of an output is kept.
const OUTPUT_BYTES_MAX: usize = 4 << 20;
/// How long the outputs of a program that has ended are still read: what it left in the background
/// may hold them open for ever.
const AFTER: Duration = Duration::from_millis(300);

/// A program, and what it is given.
pub(crate) struct Program<'a> {
    pub(crate) name: &'a str,
    pub(crate) env: &'a [(&'a str, String)],
    pub(crate) folder: Option<&'a Path>,
    pub(crate) limit: Duration,
    /// The code of a failure.
    pub(crate) code: Code,
}

/// What came of it.
pub(crate) struct Ran {
    /// The status with which it ended; -1 where a signal ended it.
    pub(crate) status: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

impl Ran {
    /// What it wrote, without the space around it.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim().to_owned()
    }

    /// The last line that says something, for messages: of its errors first.
    pub(crate) fn last_line(&self) -> String {
        let last = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            let line = text.lines().rev().find(|line| !line.trim().is_empty())?;
            Some(line.chars().filter(|c| !c.is_control()).take(300).collect::<String>())
        };
        last(&self.stderr).or_else(|| last(&self.stdout)).unwrap_or_default()
    }
}

impl Program<'_> {
    /// Runs it to its end, whatever that is. One that takes too long is killed with all that it
    /// started, which is a failure.
    pub(crate) fn run(&self, args: &[&str]) -> Result<Ran, StoreError> {
        let mut command = Command::new(self.name);
        command.args(args).env_clear().env("PATH", PATH).env("LC_ALL", "C");
        command.envs(self.env.iter().map(|(name, value)| (*name, value)));
        command.current_dir(self.folder.unwrap_or(Path::new("/")));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.process_group(0).spawn().map_err(|error| {
            StoreError::new(self.code, format!("{} cannot be started", self.name))
                .because(error)
                .remedy("install it, or name it in the plan")
        })?;
        let (sender, parts) = channel();
        let pipes: [Option<Box<dyn Read + Send>>; 2] = [
            child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
            child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
        ];
        for (number, pipe) in pipes.into_iter().enumerate() {
            let (Some(mut pipe), sender) = (pipe, sender.clone()) else { continue };
            // Not waited for: it ends with whoever holds the pipe.
            std::thread::spawn(move || {
                let mut buffer = vec![0; 1 << 14];
                while let Ok(count @ 1..) = pipe.read(&mut buffer) {
                    let part = buffer.get(..count).unwrap_or_default().to_vec();
                    if sender.send((number, part)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        self.wait(&mut child, &parts, args)
    }

    fn wait(
        &self,
        child: &mut Child,
        parts: &Receiver<(usize, Vec<u8>)>,
        args: &[&str],
    ) -> Result<Ran, StoreError> {
        let mut ran = Ran { status: -1, stdout: Vec::new(), stderr: Vec::new() };
        let deadline = Instant::now() + self.limit;
        let mut until: Option<Instant> = None;
        loop {
            match parts.recv_timeout(Duration::from_millis(10)) {
                Ok((0, part)) => keep(&mut ran.stdout, &part),
                Ok((_, part)) => keep(&mut ran.stderr, &part),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    until = until.or(Some(Instant::now()));
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
            if let Ok(Some(status)) = child.try_wait() {
                ran.status = status.code().unwrap_or(-1);
                let end = *until.get_or_insert_with(|| Instant::now() + AFTER);
                if Instant::now() >= end {
                    return Ok(ran);
                }
            } else if Instant::now() >= deadline {
                kill(child);
                let word = args.iter().find(|word| !word.starts_with('-')).unwrap_or(&"");
                let seconds = self.limit.as_secs();
                let what = format!("{} {word} took longer than {seconds} s", self.name);
                return Err(StoreError::new(self.code, what)
                    .remedy("see what holds it, and run the plan again"));
            }
        }
    }

    /// Runs it, and takes only success.
    pub(crate) fn done(&self, args: &[&str]) -> Result<Ran, StoreError> {
        let ran = self.run(args)?;
        if ran.status == 0 { Ok(ran) } else { Err(self.failed(args, &ran)) }
    }

    /// The failure of a run.
    pub(crate) fn failed(&self, args: &[&str], ran: &Ran) -> StoreError {
        let words: Vec<_> = args.iter().filter(|word| !word.starts_with('-')).take(2).collect();
        let words = words.into_iter().copied().collect::<Vec<_>>().join(" ");
        let what =
            format!("{} {words} ended with status {}: {}", self.name, ran.status, ran.last_line());
        StoreError::new(self.code, what).remedy("see what it says, and run the plan again")
    }
}

fn keep(kept: &mut Vec<u8>, part: &[u8]) {
    let room = OUTPUT_BYTES_MAX.saturating_sub(kept.len());
    kept.extend_from_slice(part.get(..room.min(part.len())).unwrap_or_default());
}

/// Ends it and all that it started.
fn kill(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        // It may be gone by now.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(limit: Duration) -> Result<Ran, StoreError> {
        let program =
            Program { name: "sh", env: &[], folder: None, limit, code: Code::WORKLOAD_FAILED };
        program.run(&["-c", "echo out; echo err >&2; env | grep -c HOME; sleep 2; exit 3"])
    }

    #[test]
    fn a_program_is_run_without_our_environment_and_within_its_time() {
        let ran = shell(Duration::from_secs(20)).unwrap();
        assert_eq!((ran.status, ran.text().as_str()), (3, "out\n0"));
        assert_eq!(ran.last_line(), "err");
        let began = Instant::now();
        let error = shell(Duration::from_millis(100)).err().unwrap();
        assert_eq!(error.code(), Code::WORKLOAD_FAILED);
        assert!(began.elapsed() < Duration::from_secs(2), "{error}");
        let program = Program {
            name: "no-such-program",
            env: &[],
            folder: None,
            limit: Duration::from_secs(1),
            code: Code::VM_FAILED,
        };
        assert_eq!(program.run(&[]).err().unwrap().code(), Code::VM_FAILED);
    }
}
