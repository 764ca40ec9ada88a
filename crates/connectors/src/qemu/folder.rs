//! The folder of a machine: its absolute path, and what its programs leave in it.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use carnet_connect::StoreError;
use rustix::process::{Pid, Signal, kill_process};

/// What the programs leave, from the folder of the machine. The names of sockets are short: a socket
/// has room for about a hundred bytes of path.
pub(super) const CONSOLE: &str = "run/console.log";
pub(super) const MONITOR: &str = "run/qmp.sock";
pub(super) const EMULATOR_PID: &str = "run/qemu.pid";
pub(super) const TPM: &str = "run/tpm.sock";
pub(super) const TPM_PID: &str = "run/tpm.pid";
const RUN: &str = "run";

/// A folder that is there.
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(super) fn new(path: &Path) -> Result<Self, StoreError> {
        let path = fs::canonicalize(path)
            .map_err(|error| StoreError::io(format!("cannot open {}", path.display()), error))?;
        Ok(Self { path })
    }

    /// Absolute, without links.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the folder for the programs, without what earlier ones left.
    pub(super) fn prepare(&self) -> Result<(), StoreError> {
        let run = self.path.join(RUN);
        let made = match fs::remove_dir_all(&run) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => fs::DirBuilder::new().mode(0o700).create(&run),
        };
        made.map_err(|error| StoreError::io(format!("cannot make {}", run.display()), error))
    }

    /// Removes what the programs left but the console.
    pub(super) fn clear(&self) -> Result<(), StoreError> {
        for name in [MONITOR, EMULATOR_PID, TPM, TPM_PID] {
            let path = self.path.join(name);
            match fs::remove_file(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    let what = format!("cannot remove {}", path.display());
                    return Err(StoreError::io(what, error));
                }
            }
        }
        Ok(())
    }

    /// The process that a file names, if it still is the one that was started for this machine: a
    /// number alone may belong to another one by now.
    fn process(&self, name: &str) -> Option<Pid> {
        let number = fs::read_to_string(self.path.join(name)).ok()?.trim().parse::<i32>().ok()?;
        let command = fs::read(format!("/proc/{number}/cmdline")).ok()?;
        let ours = self.path.as_os_str().as_encoded_bytes();
        let found = command.windows(ours.len().max(1)).any(|part| part == ours);
        if found { Pid::from_raw(number) } else { None }
    }

    pub(super) fn emulator_runs(&self) -> bool {
        self.process(EMULATOR_PID).is_some()
    }

    pub(super) fn end_emulator(&self) -> Result<(), StoreError> {
        self.end(EMULATOR_PID, Duration::ZERO)
    }

    /// The TPM ends with the emulator; one that does not within this time is ended.
    pub(super) fn end_tpm(&self, within: Duration) -> Result<(), StoreError> {
        self.end(TPM_PID, within)
    }

    fn end(&self, name: &str, within: Duration) -> Result<(), StoreError> {
        let began = Instant::now();
        for signal in [None, Some(Signal::TERM), Some(Signal::KILL)] {
            let Some(process) = self.process(name) else { return Ok(()) };
            if let Some(signal) = signal {
                // It may have ended just now.
                let _ = kill_process(process, signal);
            }
            let limit = signal.map_or(within, |_| began.elapsed() + Duration::from_secs(5));
            while self.process(name).is_some() && began.elapsed() < limit {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        match self.process(name) {
            None => Ok(()),
            Some(_) => Err(super::failed(format!(
                "a program of the machine in {} does not end",
                self.path.display()
            ))),
        }
    }
}
