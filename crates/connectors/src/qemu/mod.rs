//! Virtual machines by QEMU, with swtpm as their TPM, run as programs (decision 18 says why). A machine
//! goes on when we end: its state is asked for over its QMP socket, and never guessed.

mod arguments;
mod disk;
mod folder;
mod qmp;

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

use carnet_connect::{Boot, DiskFacts, MachinePlace, MachineState, Machines, StoreError};
use carnet_model::Code;
use carnet_model::workload::DiskFormat;

use crate::program::Program;

use self::folder::Folder;

/// How long each call may take; a disk may be large.
const CALL: Duration = Duration::from_mins(1);
const CONVERT: Duration = Duration::from_hours(24);
/// How long a machine may take to end once it is told to without asking it.
const FORCED: Duration = Duration::from_secs(10);

/// What runs machines.
pub fn open_machines(place: &MachinePlace) -> Box<dyn Machines> {
    Box::new(Qemu { place: place.clone() })
}

struct Qemu {
    place: MachinePlace,
}

fn failed(what: impl Into<String>) -> StoreError {
    StoreError::new(Code::VM_FAILED, what).remedy("see what it says, and run the plan again")
}

/// A path that means the same wherever a program runs.
fn absolute(path: &Path) -> Result<String, StoreError> {
    let whole = std::path::absolute(path)
        .map_err(|error| StoreError::io(format!("cannot find {}", path.display()), error))?;
    Ok(whole.display().to_string())
}

fn run(
    name: &str,
    folder: Option<&Path>,
    limit: Duration,
    args: &[String],
) -> Result<crate::program::Ran, StoreError> {
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    Program { name, env: &[], folder, limit, code: Code::VM_FAILED }.done(&args)
}

impl Machines for Qemu {
    fn version(&self) -> Result<String, StoreError> {
        let ran = run(&self.place.emulator, None, CALL, &["--version".to_owned()])?;
        Ok(ran.text().lines().next().unwrap_or_default().to_owned())
    }

    fn disk(&self, file: &Path) -> Result<DiskFacts, StoreError> {
        disk::look(file)
    }

    fn in_use(&self, file: &Path, format: DiskFormat) -> Result<bool, StoreError> {
        let file = absolute(file)?;
        let args = ["info", "-f", format.name(), "--", &file];
        let program = Program {
            name: &self.place.images,
            env: &[],
            folder: None,
            limit: CALL,
            code: Code::VM_FAILED,
        };
        let ran = program.run(&args)?;
        // An emulator locks its disk; this is what the program says of a lock that it does not get.
        match ran.status {
            0 => Ok(false),
            _ if String::from_utf8_lossy(&ran.stderr).contains(" lock\n") => Ok(true),
            _ => Err(failed(format!("{} cannot read {file}: {}", program.name, ran.last_line()))),
        }
    }

    fn flatten(&self, from: &Path, to: &Path, format: DiskFormat) -> Result<(), StoreError> {
        // What is behind it was looked at before the program follows it.
        let seen = disk::look(from)?;
        if fs::symlink_metadata(to).is_ok() {
            let what = format!("there is something at {} already", to.display());
            return Err(StoreError::new(Code::VM_EXISTS, what).remedy("move it away"));
        }
        let words = ["convert", "-f", seen.format.name(), "-O", format.name()];
        let mut args: Vec<String> = words.map(str::to_owned).into();
        args.extend([absolute(from)?, absolute(to)?]);
        run(&self.place.images, None, CONVERT, &args).map(drop)
    }

    fn boot(&self, folder: &Path, boot: &Boot) -> Result<(), StoreError> {
        if self.state(folder)? != MachineState::Off {
            let what = format!("the machine in {} runs already", folder.display());
            return Err(StoreError::new(Code::VM_RUNNING, what).remedy("turn it off first"));
        }
        let place = Folder::new(folder)?;
        // One that an emulator left, which was killed, would hold the state.
        place.end_tpm(Duration::ZERO)?;
        place.prepare()?;
        if boot.machine.tpm {
            run(&self.place.tpm, Some(place.path()), CALL, &arguments::tpm(place.path()))?;
        }
        let args = arguments::emulator(place.path(), boot, &self.place.firmware_code);
        let started = run(&self.place.emulator, Some(place.path()), CALL, &args);
        if started.is_err() {
            // A TPM that nobody uses would stay.
            place.end_tpm(Duration::ZERO)?;
        }
        started.map(drop)
    }

    fn state(&self, folder: &Path) -> Result<MachineState, StoreError> {
        if fs::symlink_metadata(folder).is_err() {
            return Ok(MachineState::Off);
        }
        let place = Folder::new(folder)?;
        let Some(mut monitor) = qmp::Monitor::connect(&place)? else {
            if place.emulator_runs() {
                let what = format!("the machine in {} runs and does not answer", folder.display());
                return Err(failed(what));
            }
            return Ok(MachineState::Off);
        };
        let text = |answer: &serde_json::Value, pointer: &str| {
            answer.pointer(pointer).and_then(|it| it.as_str()).map(str::to_owned)
        };
        let (status, name) = (monitor.ask("query-status")?, monitor.ask("query-name")?);
        let tpm = monitor.ask("query-tpm")?;
        Ok(MachineState::On {
            key: text(&name, "/name").unwrap_or_default(),
            word: text(&status, "/status").unwrap_or_default(),
            tpm: text(&tpm, "/0/model"),
        })
    }

    fn console(&self, folder: &Path, bytes_max: usize) -> Result<Vec<u8>, StoreError> {
        let file = folder.join(folder::CONSOLE);
        let read = || -> std::io::Result<Vec<u8>> {
            let mut open = fs::File::open(&file)?;
            let from = open.metadata()?.len().saturating_sub(bytes_max as u64);
            open.seek(SeekFrom::Start(from))?;
            let mut bytes = Vec::new();
            open.take(bytes_max as u64).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        match read() {
            Ok(bytes) => Ok(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(StoreError::io(format!("cannot read {}", file.display()), error)),
        }
    }

    fn power_off(&self, folder: &Path, within: Duration) -> Result<bool, StoreError> {
        let place = Folder::new(folder)?;
        let mut by_itself = true;
        if let Some(mut monitor) = qmp::Monitor::connect(&place)? {
            // It may be gone before it answers.
            let _ = monitor.ask("system_powerdown");
            drop(monitor);
            by_itself = ends_within(&place, within);
            if !by_itself && let Some(mut monitor) = qmp::Monitor::connect(&place)? {
                let _ = monitor.ask("quit");
            }
        }
        if place.emulator_runs() && !ends_within(&place, FORCED) {
            by_itself = false;
            place.end_emulator()?;
        }
        place.end_tpm(Duration::from_secs(5))?;
        place.clear()?;
        Ok(by_itself)
    }
}

fn ends_within(place: &Folder, limit: Duration) -> bool {
    let began = Instant::now();
    while place.emulator_runs() {
        if began.elapsed() >= limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    true
}
