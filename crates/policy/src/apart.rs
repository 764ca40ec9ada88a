//! Rego in a process of its own. Modules come from others: one that needs years to be parsed, or all
//! memory to be evaluated, ends that process and not this one. The engine's own timer cannot do it:
//! parsing is not timed, and a builtin is one piece of work however long it takes.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use carnet_ledger::Value;
use carnet_model::Code;
use carnet_model::policy::{PolicyAnswer, PolicyFiles, PolicyQuestion, PolicyVerdict};
use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};

use crate::engine::{PolicyEngine, PolicyFailure};
use crate::reasons::Judged;
use crate::rego::{COMPILE_MS_MAX, Compiled, Rego, answer};

/// What the process says when the modules are compiled.
const COMPILED: &str = "compiled";
/// How much longer than its own limits the process may take, in milliseconds: it has to start, and
/// to be given a processor.
const SLACK_MS: u64 = 2_000;
/// What the process needs before there is any policy, in bytes.
const OWN_MEMORY_BYTES: u64 = 32 << 20;
/// The longest question and the longest answer.
const MESSAGE_BYTES_MAX: u64 = 128 << 20;

/// Evaluates Rego by a program that does nothing but [`serve`].
#[derive(Debug, Clone)]
pub struct Apart {
    program: PathBuf,
    word: &'static str,
}

#[derive(Serialize, Deserialize)]
struct Asked {
    files: BTreeMap<String, String>,
    /// Absent where the modules are only to be compiled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    input: Option<Value>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Said {
    Answer(Box<PolicyAnswer>),
    Failure { code: String, what: String, remedy: String },
}

impl Apart {
    /// The program is started with this word as its only argument.
    pub const fn new(program: PathBuf, word: &'static str) -> Self {
        Self { program, word }
    }

    fn start(&self, policy: &PolicyFiles, input: Option<&Value>) -> Result<Worker, PolicyFailure> {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let files = policy.files().into_iter().map(|(path, bytes)| (path, text(bytes)));
        let asked = Asked { files: files.collect(), input: input.cloned() };
        let asked = serde_json::to_vec(&asked).map_err(|error| broken(&error.to_string()))?;
        let mut command = Command::new(&self.program);
        command.arg(self.word).env_clear();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| broken(&error.to_string()))?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        thread::spawn(move || {
            // A process that has ended reads no more; that shows in what it says.
            stdin.map(|mut stdin| stdin.write_all(&asked))
        });
        let (to, lines) = channel();
        thread::spawn(move || {
            let stdout = stdout
                .into_iter()
                .flat_map(|stdout| BufReader::new(stdout.take(MESSAGE_BYTES_MAX)).lines());
            stdout.map_while(Result::ok).all(|line| to.send(line).is_ok())
        });
        Ok(Worker { child, lines })
    }

    /// Waits until the modules are compiled.
    fn compiled(worker: &Worker) -> Result<(), PolicyFailure> {
        let limit = Duration::from_millis(COMPILE_MS_MAX + SLACK_MS);
        match worker.lines.recv_timeout(limit) {
            Ok(line) if line == COMPILED => Ok(()),
            Ok(line) => Err(failure(&line)),
            Err(RecvTimeoutError::Timeout) => {
                let what = format!("the policy does not compile within {COMPILE_MS_MAX} ms");
                let remedy = "nest its terms less deeply";
                Err(PolicyFailure::new(Code::POLICY_LIMIT, what, remedy))
            }
            Err(RecvTimeoutError::Disconnected) => {
                let what = "the policy needs more memory to compile than it may have";
                let remedy = "make it smaller, and nest its terms less deeply";
                Err(PolicyFailure::new(Code::POLICY_LIMIT, what, remedy))
            }
        }
    }
}

impl PolicyEngine for Apart {
    fn compile(&self, policy: &PolicyFiles) -> Result<(), PolicyFailure> {
        Self::compiled(&self.start(policy, None)?)
    }

    fn decide(&self, question: &PolicyQuestion<'_>) -> Result<PolicyAnswer, PolicyFailure> {
        crate::rego::canonical(question)?;
        let worker = self.start(question.policy, Some(question.input))?;
        Self::compiled(&worker)?;
        let began = Instant::now();
        let limits = question.policy.snapshot().limits;
        let said = worker.lines.recv_timeout(Duration::from_millis(limits.time_ms + SLACK_MS));
        let judged = match said {
            Ok(line) => match serde_json::from_str(&line) {
                Ok(Said::Answer(answer)) => return Ok(*answer),
                Ok(Said::Failure { .. }) | Err(_) => return Err(failure(&line)),
            },
            Err(RecvTimeoutError::Timeout) => Judged::bare(PolicyVerdict::TimedOut),
            Err(RecvTimeoutError::Disconnected) => {
                let max = limits.memory_bytes;
                Judged::wrong(format!("it needs more memory than {max} bytes"))
            }
        };
        Ok(answer(question, judged, 0, began.elapsed()))
    }
}

/// The process, which ends with this.
struct Worker {
    child: Child,
    lines: Receiver<String>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn broken(why: &str) -> PolicyFailure {
    let what = format!("the process that evaluates policies does not work: {why}");
    PolicyFailure::new(Code::FEATURE_MISSING, what, "start carnet from where it is installed")
}

fn failure(line: &str) -> PolicyFailure {
    match serde_json::from_str(line) {
        Ok(Said::Failure { code, what, remedy }) => {
            let code = Code::parse(&code).unwrap_or(Code::POLICY_COMPILE);
            PolicyFailure { code, what, remedy }
        }
        Ok(Said::Answer(_)) | Err(_) => broken("it says what nobody asked"),
    }
}

/// What the program of [`Apart`] does: reads one question, limits its own memory, compiles, says so,
/// and answers.
pub fn serve(from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut bytes = Vec::new();
    from.take(MESSAGE_BYTES_MAX).read_to_end(&mut bytes)?;
    let asked: Asked = serde_json::from_slice(&bytes)?;
    drop(bytes);
    match answered(asked, &mut to) {
        Ok(None) => Ok(()),
        Ok(Some(answer)) => say(&mut to, &Said::Answer(Box::new(answer))),
        Err(PolicyFailure { code, what, remedy }) => {
            let code = code.name().to_owned();
            say(&mut to, &Said::Failure { code, what, remedy })
        }
    }
}

fn say(to: &mut impl Write, said: &Said) -> io::Result<()> {
    let line = serde_json::to_string(said)?;
    writeln!(to, "{line}")?;
    to.flush()
}

fn answered(asked: Asked, to: &mut impl Write) -> Result<Option<PolicyAnswer>, PolicyFailure> {
    let files = asked.files.into_iter().map(|(path, text)| (path, text.into_bytes()));
    let policy = PolicyFiles::read(&files.collect())?;
    limit_memory(policy.snapshot().limits.memory_bytes);
    let compiled = Compiled::of(&policy)?;
    let spoken = writeln!(to, "{COMPILED}").and_then(|()| to.flush());
    spoken.map_err(|error| broken(&error.to_string()))?;
    let Some(input) = asked.input else { return Ok(None) };
    let question = PolicyQuestion { policy: &policy, input: &input };
    Rego::asked(&question, compiled).map(Some)
}

/// A system that cannot limit it has the clock alone; there is nobody to tell.
fn limit_memory(bytes: u64) {
    let bytes = Some(bytes.saturating_add(OWN_MEMORY_BYTES));
    let _ = setrlimit(Resource::Data, Rlimit { current: bytes, maximum: bytes });
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}
